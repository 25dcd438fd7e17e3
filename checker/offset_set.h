#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace verdict::checker {

// Offsets of one log; a bit each.
class OffsetSet {
 public:
  bool contains(std::int64_t offset) const {
    const auto at = static_cast<std::uint64_t>(offset);
    return at / 64 < bits_.size() && ((bits_[at / 64] >> (at % 64)) & 1U) != 0;
  }
  void insert(std::int64_t offset) {
    const auto at = static_cast<std::uint64_t>(offset);
    if (at / 64 >= bits_.size()) bits_.resize(at / 64 + 1, 0);
    bits_[at / 64] |= std::uint64_t{1} << (at % 64);
  }
  void erase(std::int64_t offset) {
    const auto at = static_cast<std::uint64_t>(offset);
    if (at / 64 < bits_.size()) bits_[at / 64] &= ~(std::uint64_t{1} << (at % 64));
  }
  void erase_from(std::int64_t offset) {
    const auto at = static_cast<std::uint64_t>(offset);
    if (at / 64 >= bits_.size()) return;
    bits_.resize(at / 64 + 1);
    bits_[at / 64] &= (std::uint64_t{1} << (at % 64)) - 1;
  }
  std::size_t memory_bytes() const { return bits_.capacity() * sizeof(std::uint64_t); }

 private:
  std::vector<std::uint64_t> bits_;
};

}  // namespace verdict::checker
