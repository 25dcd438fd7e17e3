#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "storage/bytes.h"
#include "storage/types.h"

namespace verdict::storage {

// The last offset of each key, in a bounded piece of memory: what a cleaning pass learns from the dirty part of a log.
// As in Kafka's SkimpyOffsetMap a key is known by 128 bits of hash alone: two keys that agree in all of them count as
// one. The hash is seeded, so that nobody who chooses keys can make them agree.
class OffsetMap {
 public:
  static constexpr std::size_t kSlotBytes = 24;

  // `load_percent` (1 to 100): how much of it fills up before it counts as full.
  OffsetMap(std::size_t memory_bytes, unsigned load_percent, std::uint64_t seed);

  // Forgets everything. `expected`: keys, for a first size; the map grows while it and its successor fit the memory.
  void reset(std::size_t expected);

  bool put(Bytes key, Offset offset);  // false: it is full, and holds what it held
  Offset get(Bytes key) const;         // kNoOffset: never put

  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return slots_count_ * kSlotBytes; }  // in use now

 private:
  struct Slot {
    std::uint64_t high;
    std::uint64_t low;  // 0 with high 0: empty
    std::int64_t offset;
    bool empty() const { return high == 0 && low == 0; }
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  struct Free {
    void operator()(Slot* slots) const;
  };
  using Slots = std::unique_ptr<Slot[], Free>;

  Slot hash(Bytes key) const;
  static std::size_t find(const Slots& slots, std::size_t count, const Slot& wanted);  // its place, or an empty one's
  static Slots allocate(std::size_t count);
  bool grow();
  std::size_t room() const { return slots_count_ * load_percent_ / 100; }

  std::size_t most_slots_;
  unsigned load_percent_;
  std::uint64_t seed_;
  Slots slots_;
  std::size_t slots_count_ = 0;
  std::size_t size_ = 0;
};

}  // namespace verdict::storage
