#include "storage/crc32c.h"

#include <array>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace verdict::storage {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // 0x1edc6f41, bits reversed

using Slices = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Slices make_slices() {
  Slices tables{};
  for (std::uint32_t n = 0; n < 256; ++n) {
    std::uint32_t sum = n;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kPolynomial : 0);
    tables[0][n] = sum;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::uint32_t n = 0; n < 256; ++n) {
      const std::uint32_t before = tables[k - 1][n];
      tables[k][n] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr Slices kSlices = make_slices();

std::uint32_t update_portable(std::uint32_t sum, const std::byte* at, std::size_t size) {
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
    word ^= sum;
    sum = 0;
    for (std::size_t k = 0; k < 8; ++k) sum ^= kSlices[7 - k][word >> (8 * k) & 0xff];
  }
  for (; size > 0; ++at, --size) sum = (sum >> 8) ^ kSlices[0][(sum ^ static_cast<std::uint8_t>(*at)) & 0xff];
  return sum;
}

#if defined(__x86_64__)

// What following `Zeros` zero bytes do to a sum is linear over GF(2): four look-ups by byte.
using Shift = std::array<std::array<std::uint32_t, 256>, 4>;

template <std::size_t Zeros>
constexpr Shift make_shift() {
  std::array<std::uint32_t, 32> columns{};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    std::uint32_t sum = std::uint32_t{1} << bit;
    for (std::size_t n = 0; n < Zeros; ++n) sum = (sum >> 8) ^ kSlices[0][sum & 0xff];
    columns[bit] = sum;
  }
  Shift shift{};
  for (std::size_t k = 0; k < 4; ++k) {
    for (std::size_t n = 1; n < 256; ++n) {
      const auto low = static_cast<std::size_t>(std::countr_zero(n));
      shift[k][n] = shift[k][n & (n - 1)] ^ columns[8 * k + low];
    }
  }
  return shift;
}

std::uint32_t apply(const Shift& shift, std::uint32_t sum) {
  return shift[0][sum & 0xff] ^ shift[1][sum >> 8 & 0xff] ^ shift[2][sum >> 16 & 0xff] ^ shift[3][sum >> 24];
}

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, 8);
  return word;
}

// The instruction has a latency of three cycles and a throughput of one: three blocks go side by side.
template <std::size_t Block>
[[gnu::target("sse4.2")]] std::uint64_t three_blocks(std::uint64_t sum, const std::byte*& at, std::size_t& size) {
  static constexpr Shift kShift = make_shift<Block>();
  while (size >= 3 * Block) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (const std::byte* end = at + Block; at != end; at += 8) {
      sum = _mm_crc32_u64(sum, word_at(at));
      second = _mm_crc32_u64(second, word_at(at + Block));
      third = _mm_crc32_u64(third, word_at(at + 2 * Block));
    }
    sum = apply(kShift, static_cast<std::uint32_t>(sum)) ^ second;
    sum = apply(kShift, static_cast<std::uint32_t>(sum)) ^ third;
    at += 2 * Block;
    size -= 3 * Block;
  }
  return sum;
}

[[gnu::target("sse4.2")]] std::uint32_t update_sse42(std::uint32_t before, const std::byte* at, std::size_t size) {
  std::uint64_t sum = three_blocks<1024>(before, at, size);
  sum = three_blocks<128>(sum, at, size);
  for (; size >= 8; at += 8, size -= 8) sum = _mm_crc32_u64(sum, word_at(at));
  auto narrow = static_cast<std::uint32_t>(sum);
  for (; size > 0; ++at, --size) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
  return narrow;
}

#endif

}  // namespace

std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t before) {
  return ~update_portable(~before, bytes.data(), bytes.size());
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~update_sse42(~before, bytes.data(), bytes.size());
#endif
  return crc32c_portable(bytes, before);
}

}  // namespace verdict::storage
