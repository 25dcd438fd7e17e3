#include "protocol/wire/fault.h"

#include "runtime/assert.h"

namespace verdict::wire {

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::truncated:
      return "the bytes end too early";
    case Fault::negative_length:
      return "a length is negative";
    case Fault::overlong_varint:
      return "a variable-length number is longer than 32 bits";
    case Fault::null_not_allowed:
      return "null is not allowed in this version";
    case Fault::string_too_long:
      return "a string is longer than 32767 bytes";
    case Fault::unsorted_tag:
      return "the tags of tagged fields do not rise";
    case Fault::tag_size:
      return "a tagged field does not fill its size";
    case Fault::trailing_bytes:
      return "bytes follow the message";
    case Fault::arena_limit:
      return "the arrays need more memory than is allowed";
    case Fault::unsupported_version:
      return "the message has no such version";
    case Fault::unsupported_field:
      return "this version can't carry a value other than the default";
    case Fault::unknown_api:
      return "there is no such api key";
    case Fault::frame_too_large:
      return "over 2147483647 bytes";
  }
  VERDICT_ASSERT(false);
  return {};
}

std::string CodecError::to_string() const {
  std::string text;
  if (field != nullptr) {
    text.append(field).append(": ");
  }
  text.append(wire::to_string(fault));
  if (position != 0) {
    text.append(" (byte ").append(std::to_string(position)).append(")");
  }
  return text;
}

}  // namespace verdict::wire
