#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/wire/codec.h"
#include "protocol/wire/fault.h"
#include "protocol/wire/message.h"
#include "protocol/wire/reader.h"
#include "runtime/assert.h"

namespace verdict::wire {

constexpr std::size_t varint_bytes(std::uint32_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}

// The size pass: counts, and finds what can't be encoded.
class Sizer {
 public:
  void boolean(bool) { size_.bytes += 1; }
  void int8(std::int8_t) { size_.bytes += 1; }
  void int16(std::int16_t) { size_.bytes += 2; }
  void uint16(std::uint16_t) { size_.bytes += 2; }
  void int32(std::int32_t) { size_.bytes += 4; }
  void int64(std::int64_t) { size_.bytes += 8; }
  void float64(double) { size_.bytes += 8; }
  void uuid(const Uuid&) { size_.bytes += 16; }
  void varint(std::uint32_t value) { size_.bytes += varint_bytes(value); }
  void raw(const void*, std::size_t size) { size_.bytes += size; }
  void splice(std::int32_t, std::uint32_t size) { size_.spliced += size; }
  [[gnu::cold]] void fail(Fault fault, const char* field) {
    if (!failed_) {
      failed_ = true;
      error_ = {.fault = fault, .field = field};
    }
  }

  bool ok() const { return !failed_; }
  const CodecError& error() const { return error_; }
  EncodedSize size() const { return size_; }

 private:
  EncodedSize size_;
  bool failed_ = false;
  CodecError error_{};
};

// The write pass, into exactly the bytes that the size pass counted.
class Writer {
 public:
  Writer(std::span<std::byte> out, std::vector<Splice>* splices)
      : begin_(out.data()), cursor_(out.data()), end_(out.data() + out.size()), splices_(splices) {}

  void boolean(bool value) { integer<std::uint8_t>(value ? 1 : 0); }
  void int8(std::int8_t value) { integer(value); }
  void int16(std::int16_t value) { integer(value); }
  void uint16(std::uint16_t value) { integer(value); }
  void int32(std::int32_t value) { integer(value); }
  void int64(std::int64_t value) { integer(value); }
  void float64(double value) { integer(std::bit_cast<std::uint64_t>(value)); }
  void uuid(const Uuid& id) {
    integer(id.high);
    integer(id.low);
  }
  void varint(std::uint32_t value) {
    VERDICT_ASSERT(varint_bytes(value) <= room());
    while (value >= 0x80) {
      *cursor_++ = static_cast<std::byte>(value | 0x80);
      value >>= 7;
    }
    *cursor_++ = static_cast<std::byte>(value);
  }
  void raw(const void* from, std::size_t size) {
    VERDICT_ASSERT(size <= room());
    if (size != 0) {
      std::memcpy(cursor_, from, size);
      cursor_ += size;
    }
  }
  void splice(std::int32_t index, std::uint32_t size) {
    VERDICT_ASSERT(splices_ != nullptr, "spliced records where nobody splices");
    splices_->push_back({.position = static_cast<std::size_t>(cursor_ - begin_), .index = index, .size = size});
  }
  [[noreturn]] void fail(Fault, const char* field) {
    VERDICT_ASSERT(false, field);
    __builtin_unreachable();
  }
  std::size_t room() const { return static_cast<std::size_t>(end_ - cursor_); }

 private:
  template <class T>
  void integer(T value) {
    VERDICT_ASSERT(sizeof(T) <= room());
    const T big = std::endian::native == std::endian::little ? std::byteswap(value) : value;
    std::memcpy(cursor_, &big, sizeof big);
    cursor_ += sizeof big;
  }

  std::byte* begin_;
  std::byte* cursor_;
  std::byte* end_;
  std::vector<Splice>* splices_;
};

// The rest of the grammar, for either pass.
template <class Sink>
void put_length(Sink& sink, std::size_t size, bool compact, const char* field) {
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    sink.fail(Fault::frame_too_large, field);
  } else if (compact) {
    sink.varint(static_cast<std::uint32_t>(size) + 1);
  } else {
    sink.int32(static_cast<std::int32_t>(size));
  }
}

template <class Sink>
void put_null_length(Sink& sink, bool compact, bool nullable, const char* field) {
  if (!nullable) {
    sink.fail(Fault::null_not_allowed, field);
  } else if (compact) {
    sink.varint(0);
  } else {
    sink.int32(-1);
  }
}

template <class Sink>
void put_string(Sink& sink, std::string_view text, bool compact, const char* field) {
  if (text.size() > kLongestString) {
    sink.fail(Fault::string_too_long, field);
    return;
  }
  if (compact) {
    sink.varint(static_cast<std::uint32_t>(text.size()) + 1);
  } else {
    sink.int16(static_cast<std::int16_t>(text.size()));
  }
  sink.raw(text.data(), text.size());
}

template <class Sink>
void put_nullable_string(Sink& sink, const std::optional<std::string_view>& text, bool compact, bool nullable,
                         const char* field) {
  if (text) {
    put_string(sink, *text, compact, field);
  } else if (!nullable) {
    sink.fail(Fault::null_not_allowed, field);
  } else if (compact) {
    sink.varint(0);
  } else {
    sink.int16(-1);
  }
}

template <class Sink>
void put_bytes(Sink& sink, Bytes bytes, bool compact, const char* field) {
  put_length(sink, bytes.size(), compact, field);
  sink.raw(bytes.data(), bytes.size());
}

template <class Sink>
void put_nullable_bytes(Sink& sink, const std::optional<Bytes>& bytes, bool compact, bool nullable, const char* field) {
  if (bytes) {
    put_bytes(sink, *bytes, compact, field);
  } else {
    put_null_length(sink, compact, nullable, field);
  }
}

template <class Sink>
void put_records(Sink& sink, const Records& records, bool compact, bool nullable, const char* field) {
  if (records.null) {
    put_null_length(sink, compact, nullable, field);
    return;
  }
  put_length(sink, records.size, compact, field);
  if (records.splice >= 0) {
    sink.splice(records.splice, records.size);
  } else {
    sink.raw(records.data, records.size);
  }
}

// `put` writes the field's content to the sink that it is given.
template <class Sink, class Put>
void put_tagged(Sink& sink, std::uint32_t tag, const Put& put) {
  Sizer inner;
  put(inner);
  sink.varint(tag);
  sink.varint(static_cast<std::uint32_t>(inner.size().bytes));
  put(sink);
}

}  // namespace verdict::wire
