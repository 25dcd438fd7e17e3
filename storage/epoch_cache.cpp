#include "storage/epoch_cache.h"

#include <algorithm>

#include "runtime/assert.h"
#include "storage/checkpoint.h"
#include "storage/text.h"

namespace verdict::storage {

bool EpochCache::assign(LeaderEpoch epoch, Offset start) {
  VERDICT_ASSERT(epoch > kNoEpoch && start >= Offset(0));
  if (!entries_.empty() && entries_.back().epoch == epoch && entries_.back().start <= start) return false;
  while (!entries_.empty() && (entries_.back().epoch >= epoch || entries_.back().start >= start)) entries_.pop_back();
  entries_.push_back({epoch, start});
  return true;
}

bool EpochCache::truncate_from_end(Offset end) {
  const std::size_t before = entries_.size();
  while (!entries_.empty() && entries_.back().start >= end) entries_.pop_back();
  return entries_.size() != before;
}

bool EpochCache::truncate_from_start(Offset start) {
  const auto after = std::ranges::upper_bound(entries_, start, {}, &EpochStart::start);
  if (after == entries_.begin()) return false;
  const auto holder = std::prev(after);
  const bool changed = holder != entries_.begin() || holder->start != start;
  holder->start = start;
  entries_.erase(entries_.begin(), holder);
  return changed;
}

void EpochCache::clear() { entries_.clear(); }

std::optional<EpochStart> EpochCache::latest() const {
  if (entries_.empty()) return std::nullopt;
  return entries_.back();
}

std::optional<EpochEnd> EpochCache::end_offset_for(LeaderEpoch asked, Offset log_end) const {
  if (entries_.empty() || asked == kNoEpoch || asked > entries_.back().epoch) return std::nullopt;
  if (asked == entries_.back().epoch) return EpochEnd{asked, log_end};
  const auto higher = std::ranges::upper_bound(entries_, asked, {}, &EpochStart::epoch);
  if (higher == entries_.begin()) return EpochEnd{asked, higher->start};
  return EpochEnd{std::prev(higher)->epoch, higher->start};
}

std::optional<LeaderEpoch> EpochCache::epoch_of(Offset offset) const {
  const auto after = std::ranges::upper_bound(entries_, offset, {}, &EpochStart::start);
  if (after == entries_.begin()) return std::nullopt;
  return std::prev(after)->epoch;
}

std::optional<LeaderEpoch> EpochCache::previous_epoch(LeaderEpoch epoch) const {
  const auto at = std::ranges::lower_bound(entries_, epoch, {}, &EpochStart::epoch);
  if (at == entries_.begin()) return std::nullopt;
  return std::prev(at)->epoch;
}

std::string format_epochs(const EpochCache& cache) {
  std::string text = "0\n" + std::to_string(cache.entries().size()) + "\n";
  for (const EpochStart& entry : cache.entries()) {
    text += std::to_string(entry.epoch.value()) + " " + std::to_string(entry.start.value()) + "\n";
  }
  return text;
}

std::optional<EpochCache> parse_epochs(std::string_view text) {
  const auto lines = checkpoint_lines(text);
  if (!lines) return std::nullopt;
  EpochCache cache;
  for (const std::string_view line : *lines) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const auto epoch = parse_number<std::int32_t>(line.substr(0, space));
    const auto start = parse_number<std::int64_t>(line.substr(space + 1));
    if (!epoch || !start || *epoch < 0 || *start < 0) return std::nullopt;
    const auto latest = cache.latest();
    if (latest && (latest->epoch.value() >= *epoch || latest->start.value() >= *start)) return std::nullopt;
    cache.assign(LeaderEpoch(*epoch), Offset(*start));
  }
  return cache;
}

}  // namespace verdict::storage
