#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/wire/arena.h"
#include "protocol/wire/fault.h"
#include "protocol/wire/message.h"

namespace verdict::wire {

constexpr std::size_t kLongestString = 32767;

template <class T>
T load_big_endian(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

// Takes a message's body apart. The first fault sticks: from then on nothing is left, every read gives zero or empty,
// so that callers check ok() once at the end and loops over counts stay short.
class Reader {
 public:
  explicit Reader(Bytes body) : begin_(body.data()), cursor_(body.data()), end_(body.data() + body.size()) {}

  bool ok() const { return !failed_; }
  const CodecError& error() const { return error_; }
  std::size_t position() const { return static_cast<std::size_t>(cursor_ - begin_); }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - cursor_); }
  [[gnu::cold]] void fail(Fault fault, const char* field = nullptr) {
    if (!failed_) {
      failed_ = true;
      error_ = {.fault = fault, .field = field, .position = position()};
      end_ = cursor_;
    }
  }

  bool boolean() { return integer<std::uint8_t>() != 0; }
  std::int8_t int8() { return static_cast<std::int8_t>(integer<std::uint8_t>()); }
  std::int16_t int16() { return integer<std::int16_t>(); }
  std::uint16_t uint16() { return integer<std::uint16_t>(); }
  std::int32_t int32() { return integer<std::int32_t>(); }
  std::int64_t int64() { return integer<std::int64_t>(); }
  double float64() { return std::bit_cast<double>(integer<std::uint64_t>()); }
  Uuid uuid() {
    const std::uint64_t high = integer<std::uint64_t>();
    const std::uint64_t low = integer<std::uint64_t>();
    return {high, low};
  }
  std::uint32_t varint() {
    if (cursor_ != end_ && (*cursor_ & std::byte{0x80}) == std::byte{}) {
      return std::to_integer<std::uint32_t>(*cursor_++);
    }
    return long_varint();
  }

  std::string_view string(bool compact, const char* field) {
    return nullable_string(compact, false, field).value_or(std::string_view{});
  }
  std::optional<std::string_view> nullable_string(bool compact, bool nullable, const char* field) {
    const std::int64_t size = compact ? std::int64_t{varint()} - 1 : int16();
    if (!take_length(size, nullable, field)) {
      return size == -1 && nullable ? std::optional<std::string_view>{} : std::string_view{};
    }
    if (size > static_cast<std::int64_t>(kLongestString)) {
      fail(Fault::string_too_long, field);
      return std::string_view{};
    }
    return std::string_view{reinterpret_cast<const char*>(skip(size)), static_cast<std::size_t>(size)};
  }
  Bytes bytes(bool compact, const char* field) { return nullable_bytes(compact, false, field).value_or(Bytes{}); }
  std::optional<Bytes> nullable_bytes(bool compact, bool nullable, const char* field) {
    const std::int64_t size = compact ? std::int64_t{varint()} - 1 : int32();
    if (!take_length(size, nullable, field)) {
      return size == -1 && nullable ? std::optional<Bytes>{} : Bytes{};
    }
    return Bytes{skip(size), static_cast<std::size_t>(size)};
  }
  Records records(bool compact, bool nullable, const char* field) {
    const std::optional<Bytes> batches = nullable_bytes(compact, nullable, field);
    return batches ? Records::of(*batches) : Records::none();
  }

  // -1: null; otherwise the bytes left suffice for as many elements of `least_bytes` each.
  std::int64_t array_length(bool compact, bool nullable, std::size_t least_bytes, const char* field) {
    const std::int64_t count = compact ? std::int64_t{varint()} - 1 : int32();
    if (count < 0) {
      take_length(count, nullable, field);
      return count == -1 && nullable && ok() ? -1 : 0;
    }
    if (static_cast<std::uint64_t>(count) > remaining() / least_bytes) {
      fail(Fault::truncated, field);
      return 0;
    }
    return count;
  }
  template <class T>
  std::span<T> new_array(Arena& arena, std::int64_t count) {
    const auto n = static_cast<std::size_t>(count);
    T* first = static_cast<T*>(arena.try_allocate(n * sizeof(T), alignof(T)));
    if (first == nullptr) {
      fail(Fault::arena_limit);
      return {};
    }
    std::uninitialized_value_construct_n(first, n);
    return {first, n};
  }

  // The bytes that the frame has left; fails as truncated if there are fewer.
  const std::byte* skip(std::int64_t size) {
    if (static_cast<std::uint64_t>(size) > remaining()) {
      fail(Fault::truncated);
      return end_;
    }
    const std::byte* from = cursor_;
    cursor_ += size;
    return from;
  }

 private:
  template <class T>
  T integer() {
    if (remaining() < sizeof(T)) {
      fail(Fault::truncated);
      return 0;
    }
    const T value = load_big_endian<T>(cursor_);
    cursor_ += sizeof(T);
    return value;
  }
  // True if `size` bytes are there to take. A null without leave and a lack of bytes are faults.
  bool take_length(std::int64_t size, bool nullable, const char* field) {
    if (size < 0) {
      if (size < -1) {
        fail(Fault::negative_length, field);
      } else if (!nullable) {
        fail(Fault::null_not_allowed, field);
      }
      return false;
    }
    if (static_cast<std::uint64_t>(size) > remaining()) {
      fail(Fault::truncated, field);
      return false;
    }
    return ok();
  }
  std::uint32_t long_varint();

  const std::byte* begin_;
  const std::byte* cursor_;
  const std::byte* end_;
  bool failed_ = false;
  CodecError error_{};
};

// The tagged fields at the end of a struct (KIP-482): while (tags.next()) { if (tags.tag() is known) { tags.take();
// read } }. What isn't taken is skipped; what is must fill its size.
class TagReader {
 public:
  explicit TagReader(Reader& reader) : reader_(reader), left_(reader.varint()) {}
  bool next();
  std::uint32_t tag() const { return tag_; }
  void take() { taken_ = true; }

 private:
  Reader& reader_;
  std::uint32_t left_;
  std::uint32_t tag_ = 0;
  std::size_t end_ = 0;
  bool started_ = false;
  bool taken_ = false;
};

}  // namespace verdict::wire
