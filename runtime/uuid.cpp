#include "runtime/uuid.h"

namespace verdict {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kTextSize = 22;

// Bits of the text, most significant first: 128 bits of value, then 4 zero bits.
std::uint64_t six_bits(const Uuid& id, std::size_t index) {
  std::uint64_t bits = 0;
  for (std::size_t bit = index * 6; bit < index * 6 + 6; ++bit) {
    const std::uint64_t word = bit < 64 ? id.high : id.low;
    bits = bits << 1 | (bit < 128 ? word >> (63 - bit % 64) & 1 : 0);
  }
  return bits;
}

}  // namespace

std::string Uuid::to_string() const {
  std::string text(kTextSize, 'A');
  for (std::size_t i = 0; i < kTextSize; ++i) text[i] = kAlphabet[six_bits(*this, i)];
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != kTextSize) return std::nullopt;
  Uuid id;
  for (std::size_t i = 0; i < kTextSize; ++i) {
    const std::size_t value = kAlphabet.find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    for (std::size_t bit = i * 6; bit < i * 6 + 6; ++bit) {
      const std::uint64_t set = value >> (5 - (bit - i * 6)) & 1;
      if (bit >= 128) {
        if (set != 0) return std::nullopt;
      } else if (bit < 64) {
        id.high |= set << (63 - bit);
      } else {
        id.low |= set << (127 - bit);
      }
    }
  }
  return id;
}

}  // namespace verdict
