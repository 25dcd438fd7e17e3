#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/assert.h"

namespace verdict::checker {

constexpr std::uint64_t mix64(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

// 64-bit keys to small values, open addressing. It can't be iterated, so that no result depends on the table's layout.
// The key ~0 is reserved. A pointer is valid until the next insertion or removal.
template <class Value>
class IdMap {
 public:
  Value* find(std::uint64_t key) {
    if (slots_.empty()) return nullptr;
    const std::size_t at = locate(key);
    return slots_[at].key == key ? &slots_[at].value : nullptr;
  }

  Value& operator[](std::uint64_t key) {
    VERDICT_ASSERT(key != kEmpty);
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[locate(key)];
    if (slot.key == kEmpty) {
      slot.key = key;
      ++size_;
    }
    return slot.value;
  }

  void erase(std::uint64_t key) {
    if (slots_.empty()) return;
    std::size_t hole = locate(key);
    if (slots_[hole].key != key) return;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t next = (hole + 1) & mask; slots_[next].key != kEmpty; next = (next + 1) & mask) {
      const std::size_t home = mix64(slots_[next].key) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;  // already between its home and the hole
      slots_[hole] = slots_[next];
      hole = next;
    }
    slots_[hole] = Slot{};
    --size_;
  }

  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    Value value{};
  };

  std::size_t locate(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = mix64(key) & mask;
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) slots_[locate(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace verdict::checker
