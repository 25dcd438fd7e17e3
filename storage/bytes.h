#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

// Kafka's byte order (big-endian) and varints (protobuf's, zigzag where signed).
namespace verdict::storage {

using Bytes = std::span<const std::byte>;

template <std::integral T>
T load_be(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (sizeof(T) > 1 && std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

template <std::integral T>
void store_be(std::byte* at, T value) {
  if constexpr (sizeof(T) > 1 && std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
}

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

constexpr std::size_t varint_size(std::int64_t value) {
  const auto bits = static_cast<std::size_t>(std::bit_width(zigzag(value) | 1));
  return (bits + 6) / 7;
}

inline void put_varint(std::vector<std::byte>& out, std::int64_t value) {
  std::uint64_t rest = zigzag(value);
  for (; rest >= 0x80; rest >>= 7) out.push_back(static_cast<std::byte>(rest | 0x80));
  out.push_back(static_cast<std::byte>(rest));
}

// Reads forward through bytes that may be hostile: each call says whether it succeeded and never reads past the end.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  const std::byte* position() const { return at_; }

  bool varlong(std::int64_t& value) {
    std::uint64_t raw = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return false;
      const auto byte = static_cast<std::uint8_t>(*at_++);
      raw |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        value = static_cast<std::int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
        return true;
      }
    }
    return false;
  }
  // A zigzag varint that fits 32 bits.
  bool varint(std::int32_t& value) {
    if (at_ != end_ && static_cast<std::uint8_t>(*at_) < 0x80) {
      const auto raw = static_cast<std::uint32_t>(*at_++);
      value = static_cast<std::int32_t>((raw >> 1) ^ (~(raw & 1) + 1));
      return true;
    }
    std::int64_t wide = 0;
    if (!varlong(wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
    value = static_cast<std::int32_t>(wide);
    return true;
  }
  template <std::integral T>
  bool fixed(T& value) {
    if (left() < sizeof(T)) return false;
    value = load_be<T>(at_);
    at_ += sizeof(T);
    return true;
  }
  bool take(std::size_t size, Bytes& into) {
    if (left() < size) return false;
    into = {at_, size};
    at_ += size;
    return true;
  }
  bool skip(std::size_t size) {
    if (left() < size) return false;
    at_ += size;
    return true;
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace verdict::storage
