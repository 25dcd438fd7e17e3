#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include "checker/history.h"

namespace verdict::reports {

// Acknowledged records and the latency of sends over virtual time, in a bounded number of buckets whose width doubles
// when the run outgrows them.
class LoadStats {
 public:
  struct Bucket {
    std::uint64_t acknowledged = 0;
    std::uint64_t failed = 0;  // fail and info
    std::int64_t p50_us = -1;  // of the acknowledged; -1: none. Within 1/8 of the true value.
    std::int64_t p99_us = -1;
    std::int64_t max_us = -1;
  };

  void add(const checker::HistoryEntry& entry);
  std::int64_t bucket_ms() const { return bucket_ms_; }
  std::vector<Bucket> buckets() const;

 private:
  static constexpr std::size_t kBuckets = 240;
  static constexpr std::size_t kSteps = 8 * 40;  // eight to each power of two of microseconds
  struct Cell {
    std::uint64_t acknowledged = 0;
    std::uint64_t failed = 0;
    std::int64_t max_us = -1;
    std::array<std::uint32_t, kSteps> latency{};
    void merge(const Cell& other);
    std::int64_t quantile(std::uint64_t permille) const;
  };
  Cell& cell(std::int64_t time_ns);

  std::int64_t bucket_ms_ = 10;
  std::vector<Cell> cells_;
  std::map<std::int64_t, std::int64_t> invoked_ns_;  // by operation
};

// history.jsonl
std::expected<LoadStats, std::string> load_history(const std::string& path);

}  // namespace verdict::reports
