#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verdict {

// 128 bits, big-endian in files and frames. Text form as Kafka's: unpadded URL-safe base64, 22 characters.
struct Uuid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;
  constexpr bool is_zero() const { return high == 0 && low == 0; }
  std::string to_string() const;
  static std::optional<Uuid> parse(std::string_view text);  // nothing but exactly 22 characters of the alphabet
};

}  // namespace verdict
