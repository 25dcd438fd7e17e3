#include "protocol/wire/reader.h"

namespace verdict::wire {

std::uint32_t Reader::long_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    if (cursor_ == end_) {
      fail(Fault::truncated);
      return 0;
    }
    const auto byte = std::to_integer<std::uint64_t>(*cursor_++);
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      if (value > std::numeric_limits<std::uint32_t>::max()) {
        break;
      }
      return static_cast<std::uint32_t>(value);
    }
  }
  fail(Fault::overlong_varint);
  return 0;
}

bool TagReader::next() {
  if (started_ && reader_.ok()) {
    if (!taken_) {
      reader_.skip(static_cast<std::int64_t>(end_ - reader_.position()));
    } else if (reader_.position() != end_) {
      reader_.fail(Fault::tag_size);
    }
  }
  if (!reader_.ok() || left_ == 0) {
    return false;
  }
  --left_;
  const std::uint32_t tag = reader_.varint();
  const std::uint32_t size = reader_.varint();
  if (started_ && tag <= tag_) {
    reader_.fail(Fault::unsorted_tag);
  } else if (size > reader_.remaining()) {
    reader_.fail(Fault::truncated);
  }
  started_ = true;
  taken_ = false;
  tag_ = tag;
  end_ = reader_.position() + size;
  return reader_.ok();
}

}  // namespace verdict::wire
