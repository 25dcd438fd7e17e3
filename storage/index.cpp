#include "storage/index.h"

#include <algorithm>

#include "runtime/assert.h"

namespace verdict::storage {
namespace {

bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

std::optional<OffsetIndex> OffsetIndex::parse(Bytes file, std::uint64_t log_size) {
  OffsetIndex index;
  while (file.size() >= kEntrySize) {
    const Entry entry{load_be<std::uint32_t>(file.data()), load_be<std::uint32_t>(file.data() + 4)};
    // No entry has position 0: index.interval.bytes stand before the first.
    if (entry.position == 0) break;
    if (entry.position >= log_size || entry.relative > INT32_MAX) return std::nullopt;
    if (!index.entries_.empty()) {
      const Entry& before = index.entries_.back();
      if (entry.relative <= before.relative || entry.position <= before.position) return std::nullopt;
    }
    index.entries_.push_back(entry);
    file = file.subspan(kEntrySize);
  }
  if (!all_zero(file)) return std::nullopt;
  return index;
}

void OffsetIndex::append(Entry entry) {
  VERDICT_ASSERT(entry.position > 0);
  VERDICT_ASSERT(entries_.empty() ||
                 (entry.relative > entries_.back().relative && entry.position > entries_.back().position));
  entries_.push_back(entry);
}

std::uint32_t OffsetIndex::position_for_offset(std::uint32_t relative) const {
  const auto after = std::ranges::upper_bound(entries_, relative, {}, &Entry::relative);
  return after == entries_.begin() ? 0 : std::prev(after)->position;
}

std::uint32_t OffsetIndex::position_at_or_below(std::uint64_t position) const {
  const auto after = std::ranges::upper_bound(entries_, position, {}, &Entry::position);
  return after == entries_.begin() ? 0 : std::prev(after)->position;
}

void OffsetIndex::truncate(std::uint64_t log_size) {
  entries_.erase(std::ranges::lower_bound(entries_, log_size, {}, &Entry::position), entries_.end());
}

void OffsetIndex::encode(std::size_t first, std::vector<std::byte>& out) const {
  for (std::size_t i = first; i < entries_.size(); ++i) {
    const std::size_t at = out.size();
    out.resize(at + kEntrySize);
    store_be(out.data() + at, entries_[i].relative);
    store_be(out.data() + at + 4, entries_[i].position);
  }
}

std::optional<TimeIndex> TimeIndex::parse(Bytes file) {
  TimeIndex index;
  while (file.size() >= kEntrySize) {
    const Entry entry{load_be<std::int64_t>(file.data()), load_be<std::uint32_t>(file.data() + 8)};
    // A first entry of zeros is padding, or says nothing that its absence doesn't.
    if (entry.timestamp == 0 && entry.relative == 0) break;
    if (entry.timestamp < 0 || entry.relative > INT32_MAX) return std::nullopt;
    if (!index.entries_.empty()) {
      const Entry& before = index.entries_.back();
      if (entry.timestamp <= before.timestamp || entry.relative <= before.relative) return std::nullopt;
    }
    index.entries_.push_back(entry);
    file = file.subspan(kEntrySize);
  }
  if (!all_zero(file)) return std::nullopt;
  return index;
}

bool TimeIndex::maybe_append(Entry entry) {
  if (entry.timestamp < 0) return false;
  if (!entries_.empty() &&
      (entry.timestamp <= entries_.back().timestamp || entry.relative <= entries_.back().relative)) {
    return false;
  }
  entries_.push_back(entry);
  return true;
}

std::optional<TimeIndex::Entry> TimeIndex::lookup(std::int64_t timestamp) const {
  const auto after = std::ranges::upper_bound(entries_, timestamp, {}, &Entry::timestamp);
  if (after == entries_.begin()) return std::nullopt;
  return *std::prev(after);
}

std::optional<TimeIndex::Entry> TimeIndex::last() const {
  if (entries_.empty()) return std::nullopt;
  return entries_.back();
}

void TimeIndex::truncate(std::uint32_t relative_end) {
  entries_.erase(std::ranges::lower_bound(entries_, relative_end, {}, &Entry::relative), entries_.end());
}

void TimeIndex::encode(std::size_t first, std::vector<std::byte>& out) const {
  for (std::size_t i = first; i < entries_.size(); ++i) {
    const std::size_t at = out.size();
    out.resize(at + kEntrySize);
    store_be(out.data() + at, entries_[i].timestamp);
    store_be(out.data() + at + 8, entries_[i].relative);
  }
}

}  // namespace verdict::storage
