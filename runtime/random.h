#pragma once

#include <cstdint>

namespace verdict {

// SplitMix64's finaliser: a keyed, well mixed 64-bit value. Integers only.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}
constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b) { return mix64(mix64(a) ^ (b * 0x2545f4914f6cdd1dU)); }

// Uniform in [0, bound) but for a bias of at most bound / 2^64. bound > 0.
constexpr std::uint64_t scale_to(std::uint64_t draw, std::uint64_t bound) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(draw) * bound >> 64);
}

// A generator whose whole state is (key, ordinal): the n-th draw is a function of both, so streams with different keys
// never disturb each other.
class KeyedRandom {
 public:
  constexpr explicit KeyedRandom(std::uint64_t key) : key_(key) {}
  constexpr std::uint64_t next() { return mix64(key_, ordinal_++); }
  constexpr std::uint64_t below(std::uint64_t bound) { return scale_to(next(), bound); }
  constexpr bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t key_;
  std::uint64_t ordinal_ = 0;
};

}  // namespace verdict
