#include "reports/load_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <fstream>

namespace verdict::reports {
namespace {

// Eight steps to each power of two: exact below 8, then the step's upper end is within an eighth.
std::size_t step_of(std::int64_t us) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0));
  if (value < 8) return static_cast<std::size_t>(value);
  const auto power = static_cast<std::uint64_t>(std::bit_width(value)) - 4;  // value >> power is in [8, 16)
  return static_cast<std::size_t>(8 * (power + 1) + ((value >> power) - 8));
}

std::int64_t top_of(std::size_t step) {
  if (step < 8) return static_cast<std::int64_t>(step);
  const std::size_t power = step / 8 - 1;
  return static_cast<std::int64_t>(((step % 8 + 9) << power) - 1);
}

}  // namespace

void LoadStats::Cell::merge(const Cell& other) {
  acknowledged += other.acknowledged;
  failed += other.failed;
  max_us = std::max(max_us, other.max_us);
  for (std::size_t i = 0; i < kSteps; ++i) latency[i] += other.latency[i];
}

std::int64_t LoadStats::Cell::quantile(std::uint64_t permille) const {
  std::uint64_t count = 0;
  for (const std::uint32_t n : latency) count += n;
  if (count == 0) return -1;
  const std::uint64_t rank = (count * permille + 999) / 1000;  // from 1
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kSteps; ++i) {
    below += latency[i];
    if (below >= rank) return std::min(top_of(i), max_us);
  }
  return max_us;
}

LoadStats::Cell& LoadStats::cell(std::int64_t time_ns) {
  std::int64_t at = std::max<std::int64_t>(time_ns, 0) / 1'000'000 / bucket_ms_;
  while (at >= static_cast<std::int64_t>(kBuckets)) {
    std::vector<Cell> merged((cells_.size() + 1) / 2);
    for (std::size_t i = 0; i < cells_.size(); ++i) merged[i / 2].merge(cells_[i]);
    cells_ = std::move(merged);
    bucket_ms_ *= 2;
    at /= 2;
  }
  if (cells_.size() <= static_cast<std::size_t>(at)) cells_.resize(static_cast<std::size_t>(at) + 1);
  return cells_[static_cast<std::size_t>(at)];
}

void LoadStats::add(const checker::HistoryEntry& entry) {
  using checker::HistoryType;
  if (entry.call != checker::HistoryCall::send) return;
  if (entry.type == HistoryType::invoke) {
    invoked_ns_[entry.op] = entry.time_ns;
    return;
  }
  const auto invoked = invoked_ns_.find(entry.op);
  Cell& into = cell(entry.time_ns);
  if (entry.type == HistoryType::ok) {
    ++into.acknowledged;
    if (invoked != invoked_ns_.end()) {
      const std::int64_t us = (entry.time_ns - invoked->second) / 1000;
      ++into.latency[std::min(step_of(us), kSteps - 1)];
      into.max_us = std::max(into.max_us, us);
    }
  } else {
    ++into.failed;
  }
  if (invoked != invoked_ns_.end()) invoked_ns_.erase(invoked);
}

std::vector<LoadStats::Bucket> LoadStats::buckets() const {
  std::vector<Bucket> made;
  made.reserve(cells_.size());
  for (const Cell& cell : cells_) {
    made.push_back({.acknowledged = cell.acknowledged,
                    .failed = cell.failed,
                    .p50_us = cell.quantile(500),
                    .p99_us = cell.quantile(990),
                    .max_us = cell.max_us});
  }
  return made;
}

std::expected<LoadStats, std::string> load_history(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::unexpected(path + ": can't be read");
  LoadStats stats;
  checker::HistoryEntry entry;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    if (auto parsed = checker::parse_history_line(line, entry); !parsed) {
      if (file.eof()) break;  // a torn last line, as a crash leaves one
      return std::unexpected(fmt::format("{}:{}: {}", path, number, parsed.error()));
    }
    stats.add(entry);
  }
  return stats;
}

}  // namespace verdict::reports
