#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/random.h"
#include "sim/queue.h"

namespace verdict::sim {

// One event of a run in 24 bytes: when, what, and a digest of every draw, delivery, disk write and note that it caused.
struct TraceEntry {
  std::int64_t at_ns = 0;
  std::uint64_t what = 0;  // kind << 56 | entity
  std::uint64_t digest = 0;
  friend bool operator==(const TraceEntry&, const TraceEntry&) = default;
};

// Kept by a recorded run (World::record), to compare two runs that should be one.
struct TraceLog {
  std::vector<TraceEntry> entries;
};

struct TraceDifference {
  std::size_t index = 0;    // of the first event that differs, from 0
  std::string description;  // one line: both sides
};
std::optional<TraceDifference> first_difference(const TraceLog& a, const TraceLog& b);

// The running hash of a run: XXH3 over 64-bit words, in blocks, each of which begins with the hash of what was before
// it. Equal on every build and machine of one endianness.
class RunningHash {
 public:
  void value(std::uint64_t word) {
    block_[used_++] = word;
    if (used_ == block_.size()) fold();
    if (log_ != nullptr) digest_ = mix64(digest_, word);
  }
  void bytes(std::span<const std::byte> data);

  void event(std::int64_t at_ns, EventKind kind, std::uint32_t entity) {
    const std::uint64_t what = static_cast<std::uint64_t>(kind) << 56 | entity;
    if (log_ != nullptr) start_entry(at_ns, what);
    value(static_cast<std::uint64_t>(at_ns));
    value(what);
  }

  std::uint64_t digest() const;  // of all so far
  void record(TraceLog* log);    // nullptr: stop
  void finish_entry();

 private:
  void fold();
  void start_entry(std::int64_t at_ns, std::uint64_t what);

  std::array<std::uint64_t, 256> block_{};
  std::size_t used_ = 0;
  TraceLog* log_ = nullptr;
  TraceEntry entry_;
  bool open_ = false;
  std::uint64_t digest_ = 0;
};

}  // namespace verdict::sim
