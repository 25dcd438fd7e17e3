#include "storage/offset_map.h"

#include <algorithm>
#include <cstdlib>

#include "runtime/assert.h"
#include "runtime/random.h"

#define XXH_INLINE_ALL
#define XXH_NO_INLINE_HINTS 1
#include <xxhash.h>

namespace verdict::storage {
namespace {

constexpr std::size_t kFewestSlots = 256;

}  // namespace

void OffsetMap::Free::operator()(Slot* slots) const { std::free(slots); }

OffsetMap::OffsetMap(std::size_t memory_bytes, unsigned load_percent, std::uint64_t seed)
    : most_slots_(std::max(memory_bytes / kSlotBytes, std::size_t{2})),
      load_percent_(std::clamp(load_percent, 1U, 100U)),
      seed_(seed) {}

// Zeroed by the system when it is first touched: a large map that stays almost empty costs little.
OffsetMap::Slots OffsetMap::allocate(std::size_t count) {
  auto* slots = static_cast<Slot*>(std::calloc(count, sizeof(Slot)));
  VERDICT_ASSERT(slots != nullptr, "no memory for the cleaner's map");
  return Slots(slots);
}

void OffsetMap::reset(std::size_t expected) {
  const std::size_t wanted = std::min(expected, most_slots_) * 100 / load_percent_ + 1;
  slots_.reset();
  slots_count_ = std::min(std::max(wanted, kFewestSlots), most_slots_);
  slots_ = allocate(slots_count_);
  size_ = 0;
}

OffsetMap::Slot OffsetMap::hash(Bytes key) const {
  const XXH128_hash_t sum = XXH3_128bits_withSeed(key.data(), key.size(), seed_);
  return {sum.high64, sum.high64 == 0 && sum.low64 == 0 ? 1 : sum.low64, 0};
}

// Linear probing, which ends: one slot at least is empty or the wanted one.
std::size_t OffsetMap::find(const Slots& slots, std::size_t count, const Slot& wanted) {
  std::size_t at = scale_to(wanted.high, count);
  for (;;) {
    const Slot& slot = slots[at];
    if (slot.empty() || (slot.low == wanted.low && slot.high == wanted.high)) return at;
    at = at + 1 == count ? 0 : at + 1;
  }
}

bool OffsetMap::grow() {
  const std::size_t larger = std::min(slots_count_ * 2, most_slots_ - slots_count_);
  if (larger < slots_count_ + slots_count_ / 2) return false;
  Slots next = allocate(larger);
  for (std::size_t i = 0; i < slots_count_; ++i) {
    const Slot& slot = slots_[i];
    if (!slot.empty()) next[find(next, larger, slot)] = slot;
  }
  slots_ = std::move(next);
  slots_count_ = larger;
  return true;
}

bool OffsetMap::put(Bytes key, Offset offset) {
  Slot wanted = hash(key);
  wanted.offset = offset.value();
  std::size_t at = find(slots_, slots_count_, wanted);
  if (slots_[at].empty()) {
    if (size_ + 1 > std::max(std::min(room(), slots_count_ - 1), std::size_t{1})) {
      if (!grow()) return false;
      at = find(slots_, slots_count_, wanted);
    }
    ++size_;
  }
  slots_[at] = wanted;
  return true;
}

Offset OffsetMap::get(Bytes key) const {
  const Slot wanted = hash(key);
  const Slot& slot = slots_[find(slots_, slots_count_, wanted)];
  return slot.empty() ? kNoOffset : Offset(slot.offset);
}

}  // namespace verdict::storage
