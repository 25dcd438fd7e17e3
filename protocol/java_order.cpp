#include "protocol/java_order.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

namespace verdict::protocol {
namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

struct Decoded {
  std::uint32_t code_point = kReplacement;
  std::size_t bytes = 1;
};

struct Range {
  unsigned low = 0x80;
  unsigned high = 0xbf;
  bool contains(unsigned byte) const { return byte >= low && byte <= high; }
};

// The first character. Of a broken sequence the longest part that could have begun a character becomes one U+FFFD, as
// Unicode (3.9, "maximal subparts") has it; but a surrogate is one too, as in Java.
Decoded decode_first(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {.code_point = lead};
  if (lead < 0xc2 || lead > 0xf4) return {};
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  Range second;  // no overlong forms, nothing above U+10FFFF
  if (lead == 0xe0) second.low = 0xa0;
  if (lead == 0xf0) second.low = 0x90;
  if (lead == 0xf4) second.high = 0x8f;
  std::uint32_t code_point = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size() || !(i == 1 ? second : Range{}).contains(byte(i))) return {.bytes = i};
    code_point = code_point << 6U | (byte(i) & 0x3fU);
  }
  const bool surrogate = code_point >= 0xd800 && code_point < 0xe000;
  return {.code_point = surrogate ? kReplacement : code_point, .bytes = length};
}

}  // namespace

std::int32_t java_hash(std::string_view utf8) {
  std::uint32_t hash = 0;
  const auto add = [&hash](std::uint32_t unit) { hash = hash * 31 + unit; };
  while (!utf8.empty()) {
    const Decoded next = decode_first(utf8);
    utf8.remove_prefix(next.bytes);
    if (next.code_point < 0x10000) {
      add(next.code_point);
    } else {
      add(0xd800 + ((next.code_point - 0x10000) >> 10U));
      add(0xdc00 + ((next.code_point - 0x10000) & 0x3ffU));
    }
  }
  return static_cast<std::int32_t>(hash);
}

namespace {

// Java spreads the upper half of a hash over the lower: tables are small.
std::uint32_t bucket_of(std::int32_t hash, std::size_t buckets) {
  const auto bits = static_cast<std::uint32_t>(hash);
  return (bits ^ (bits >> 16U)) & static_cast<std::uint32_t>(buckets - 1);
}

}  // namespace

std::int32_t java_hash(const Uuid& id) {
  const std::uint64_t both = id.high ^ id.low;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(both >> 32U) ^ static_cast<std::uint32_t>(both));
}

std::size_t java_buckets(std::size_t entries) {
  std::size_t buckets = 16;
  while (entries * 4 > buckets * 3) buckets *= 2;
  return buckets;
}

std::size_t java_buckets_of_copy(std::size_t entries) {
  return std::bit_ceil(std::max<std::size_t>(entries * 4 / 3 + 1, 16));
}

std::vector<std::size_t> java_order(std::span<const std::int32_t> hashes, std::size_t buckets) {
  std::vector<std::size_t> order(hashes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(bucket_of(hashes[i], buckets), i); });
  return order;
}

}  // namespace verdict::protocol
