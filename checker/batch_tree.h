#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "checker/id_map.h"

// All batches that any replica of any partition ever appended, each stored once.
//
// A log is a path from its partition's root to a head, so "equal prefixes" is "the same node", exactly, and three
// replicas of one record share one node. Truncation moves a head to an ancestor; what diverges is a fork.
namespace verdict::checker {

using BatchIndex = std::uint32_t;
constexpr BatchIndex kNoBatch = ~BatchIndex{0};

// What makes two batches the same one.
struct BatchContent {
  std::int64_t last = -1;  // offset of the last record
  std::int32_t epoch = -1;
  std::uint32_t crc = 0;
  std::uint64_t identity = 0;  // of producer id, producer epoch and base sequence
  std::uint32_t length = 0;    // bytes
};

// 0 without a producer id.
constexpr std::uint64_t batch_identity(std::int64_t producer, std::int16_t epoch, std::int32_t sequence) {
  if (producer < 0) return 0;
  return mix64(static_cast<std::uint64_t>(producer) * 0x9e3779b97f4a7c15ULL ^
               (static_cast<std::uint64_t>(static_cast<std::uint32_t>(sequence)) << 16) ^
               static_cast<std::uint16_t>(epoch)) |
         1;
}

struct Batch {
  std::int64_t end;        // last offset + 1; the base is the parent's end
  std::int64_t bytes_end;  // sum of lengths up to and with this batch
  std::uint64_t identity;
  BatchIndex parent;
  BatchIndex child;     // the first; later siblings are in the partition's forks
  std::uint32_t depth;  // root 0
  std::uint32_t crc;
  std::int32_t epoch;
  std::uint16_t held;  // bit s: the replica in slot s has held it
  bool unknown;        // recovered, but its append was never announced (the node died between the two)
};
static_assert(sizeof(Batch) <= 48, "a committed batch may cost 64 bytes in all");

class BatchTree {
 public:
  Batch& operator[](BatchIndex i) { return chunks_[i / kChunk][i % kChunk]; }
  const Batch& operator[](BatchIndex i) const { return chunks_[i / kChunk][i % kChunk]; }

  BatchIndex add_root(std::int64_t end) {
    const BatchIndex i = allocate();
    (*this)[i] = Batch{end, 0, 0, kNoBatch, kNoBatch, 0, 0, -1, 0xffff, false};
    return i;
  }

  // The caller links siblings: `child` of the parent is only set here if it had none.
  BatchIndex add(BatchIndex parent, const BatchContent& content) {
    const BatchIndex i = allocate();
    Batch& up = (*this)[parent];
    (*this)[i] = Batch{content.last + 1,
                       up.bytes_end + content.length,
                       content.identity,
                       parent,
                       kNoBatch,
                       up.depth + 1,
                       content.crc,
                       content.epoch,
                       0,
                       false};
    if (up.child == kNoBatch) up.child = i;
    return i;
  }

  std::int64_t base(BatchIndex i) const { return (*this)[(*this)[i].parent].end; }

  bool same(BatchIndex i, const BatchContent& content) const {
    const Batch& b = (*this)[i];
    return b.crc == content.crc && b.epoch == content.epoch && b.end == content.last + 1 &&
           b.identity == content.identity && !b.unknown;
  }

  std::size_t memory_bytes() const {
    return chunks_.size() * kChunk * sizeof(Batch) + chunks_.capacity() * sizeof(chunks_[0]);
  }

 private:
  static constexpr std::size_t kChunk = 512;

  BatchIndex allocate() {
    if (size_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique_for_overwrite<Batch[]>(kChunk));
    return static_cast<BatchIndex>(size_++);
  }

  std::vector<std::unique_ptr<Batch[]>> chunks_;
  std::size_t size_ = 0;
};

// What is known of some batches beside what the tree has of all. A pointer is valid until the next one is made.
template <class Value>
class BatchTable {
 public:
  Value* find(BatchIndex i) {
    const std::uint32_t* place = places_.find(i);
    return place == nullptr ? nullptr : &values_[*place - 1];
  }
  Value& operator[](BatchIndex i) {
    std::uint32_t& place = places_[i];
    if (place == 0) {
      values_.emplace_back();
      place = static_cast<std::uint32_t>(values_.size());
    }
    return values_[place - 1];
  }
  std::size_t memory_bytes() const { return values_.capacity() * sizeof(Value) + places_.memory_bytes(); }

 private:
  std::vector<Value> values_;
  IdMap<std::uint32_t> places_;  // from 1
};

}  // namespace verdict::checker
