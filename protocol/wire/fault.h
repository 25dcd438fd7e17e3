#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace verdict::wire {

// Why bytes are no message, or a message no bytes.
enum class Fault : std::uint8_t {
  truncated,            // the frame ends within a field, or a length or count claims more than is left
  negative_length,      // below -1
  overlong_varint,      // over 5 bytes or 32 bits
  null_not_allowed,     // null for a field that is not nullable in this version
  string_too_long,      // over 32767 bytes, Kafka's limit
  unsorted_tag,         // tags must rise
  tag_size,             // a tagged field's size differs from its content's
  trailing_bytes,       // decode_exact: bytes after the message
  arena_limit,          // arrays larger than the arena may become
  unsupported_version,  // outside of the message's versions
  unsupported_field,    // a value other than the default in a field that this version lacks and may not drop
  unknown_api,          // no such api key
  frame_too_large,      // over 2^31 - 1 bytes
};

std::string_view to_string(Fault);

struct CodecError {
  Fault fault;
  const char* field = nullptr;  // static name as in JSON, or null
  std::size_t position = 0;     // decoding: byte of the body
  std::string to_string() const;
};

}  // namespace verdict::wire
