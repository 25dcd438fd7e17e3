#include "protocol/wire/base64.h"

#include <algorithm>
#include <cstdint>

namespace verdict::wire {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<std::uint32_t> six_bits(char c) {
  const std::size_t at = kAlphabet.find(c);
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<std::uint32_t>(at));
}

}  // namespace

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t size = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < size ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= size ? kAlphabet[group >> (18 - 6 * k) & 63] : '=');
    }
  }
}

std::optional<std::vector<std::byte>> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::vector<std::byte> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t chars = last ? 4 - padding : 4;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::optional<std::uint32_t> bits = k < chars ? six_bits(text[i + k]) : 0U;
      if (!bits) {
        return std::nullopt;
      }
      group = group << 6 | *bits;
    }
    for (std::size_t k = 0; k + 1 < chars; ++k) {
      out.push_back(static_cast<std::byte>(group >> (16 - 8 * k)));
    }
    if (chars < 4 && (group & ((1U << (8 * (4 - chars))) - 1)) != 0) {
      return std::nullopt;  // bits beyond the last byte
    }
  }
  return out;
}

}  // namespace verdict::wire
