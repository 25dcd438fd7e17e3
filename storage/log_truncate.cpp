#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/assert.h"
#include "storage/log.h"
#include "storage/segment.h"

// Truncation and retention: what takes bytes out of a log.
namespace verdict::storage {
namespace {

bool absent(std::error_code error) { return error == std::errc::no_such_file_or_directory; }

}  // namespace

// Renamed first, so that a crash leaves either the file or a `.deleted` one that open() sweeps up.
Log::Done Log::remove_files(Segment& segment) {
  Disk& disk = runtime_.disk();
  for (const SegmentFile file : kSegmentFiles) {
    if (file == SegmentFile::txn_index && !segment.txns_filed) continue;
    const std::string path = path_of(segment.base, file);
    files_.forget(segment.files[static_cast<std::size_t>(file)]);
    if (auto renamed = disk.rename(path, path + ".deleted"); !renamed && !absent(renamed.error())) {
      return std::unexpected(fail(LogErrorKind::append_failed, renamed.error(), path));
    }
    directory_dirty_ = true;
  }
  segment.removed = true;
  size_bytes_ -= segment.size;
  ++generation_;
  std::erase(loaded_, segment.base);
  for (const SegmentFile file : kSegmentFiles) {
    if (file == SegmentFile::txn_index && !segment.txns_filed) continue;
    const std::string path = path_of(segment.base, file) + ".deleted";
    if (auto removed = disk.remove(path); !removed && !absent(removed.error())) {
      runtime_.log(LogLevel::warn, "log", fmt::format("{}: {}", path, removed.error().message()));
    }
  }
  return {};
}

// Makes the segment's bytes, its aborted transactions, the snapshots, the directory and the epochs durable, in this
// turn.
Log::Done Log::settle(Segment& segment) {
  auto file = open_file(segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(go_offline(file.error(), path()));
  if (auto synced = (*file)->sync_now(); !synced) return std::unexpected(go_offline(synced.error(), path()));
  segment.log_dirty = false;
  if (segment.txns_filed) {
    auto txns = open_file(segment, SegmentFile::txn_index);
    if (!txns) return std::unexpected(go_offline(txns.error(), path()));
    if (auto synced = (*txns)->sync_now(); !synced) return std::unexpected(go_offline(synced.error(), path()));
  }
  for (; !unsynced_snapshots_.empty(); unsynced_snapshots_.pop_back()) {
    if (auto synced = unsynced_snapshots_.back()->sync_now(); !synced)
      return std::unexpected(go_offline(synced.error(), directory_ + ": a producer snapshot"));
  }
  if (directory_dirty_) {
    if (auto synced = runtime_.disk().sync_directory_now(directory_); !synced) {
      return std::unexpected(go_offline(synced.error(), directory_));
    }
    directory_dirty_ = false;
  }
  if (auto epochs = write_epochs_now(); !epochs && offline_) return epochs;
  return {};
}

std::expected<std::uint64_t, LogError> Log::position_now(Segment& segment, Offset offset) {
  if (auto loaded = load_now(segment); !loaded) return std::unexpected(loaded.error());
  auto file = open_file(segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  ScanWindow window(*file, segment.size, kLookupChunk);
  std::uint64_t position = segment.position_for(offset);
  while (position < segment.size) {
    if (auto there = bring_now(window, segment, position, kBatchHeaderSize); !there)
      return std::unexpected(there.error());
    const auto header = parse_header(window.view(position));
    if (!header) return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
    if (header->last_offset() >= offset) break;
    position += header->size();
  }
  return std::min(position, segment.size);
}

// The segment becomes the newest, with its first `size` bytes, which are whole batches. Finds what an append needs to
// know (largest timestamp, bytes since the last index entry) from the indexes and the batches after their last entry.
// Returns the segment's end offset.
std::expected<Offset, LogError> Log::make_active(Segment& segment, std::uint64_t size) {
  segment.size = size;
  if (auto loaded = load_now(segment); !loaded) return std::unexpected(loaded.error());
  std::erase(loaded_, segment.base);
  segment.offsets.truncate(size);
  auto file = open_file(segment, SegmentFile::log, true);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  ScanWindow window(*file, size, kLookupChunk);

  const std::uint64_t indexed = segment.offsets.position_at_or_below(size);
  Offset end = segment.base;
  BatchHeader latest;  // of those after the last index entry, the one with the largest timestamp
  std::uint64_t position = 0;
  tail_.clear();
  tail_first_ = 0;
  while (position < size) {
    if (auto there = bring_now(window, segment, position, kBatchHeaderSize); !there)
      return std::unexpected(there.error());
    const auto header = parse_header(window.view(position));
    if (!header || header->base_offset < end || header->size() > size - position ||
        header->last_offset() - segment.base > INT32_MAX) {
      return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
    }
    if (position == 0) segment.first_timestamp = header->max_timestamp;
    if (position >= indexed) {
      if (header->count > 0 && header->max_timestamp > latest.max_timestamp) latest = *header;
      push_tail({header->base_offset, header->last_offset(), segment.base, position,
                 static_cast<std::uint32_t>(header->size())});
      end = header->next_offset();
    }
    position = position == 0 && indexed > 0 ? indexed : position + header->size();
  }
  segment.times.truncate(static_cast<std::uint32_t>(end - segment.base));  // at most one past what an entry can say
  segment.txns.truncate(end);
  segment.txns_written = std::min(segment.txns_written, segment.txns.size());
  segment.offsets_written = std::min(segment.offsets_written, segment.offsets.size());
  segment.times_written = std::min(segment.times_written, segment.times.size());
  segment.index_dirty = true;
  segment.bytes_since_entry = size - indexed;
  const auto indexed_time = segment.times.last();
  segment.max_timestamp = indexed_time ? indexed_time->timestamp : kNoTimestamp;
  segment.max_timestamp_offset = segment.base + (indexed_time ? indexed_time->relative : 0);
  if (latest.max_timestamp > segment.max_timestamp) {
    segment.max_timestamp = latest.max_timestamp;
    segment.max_timestamp_offset = latest.last_offset();
  }
  if (size == 0) segment.first_timestamp.reset();
  segment.times_known = true;
  return end;
}

std::expected<Truncated, LogError> Log::truncate_to(Offset offset) {
  if (offline_) return std::unexpected(*offline_);
  const Truncated unchanged{log_end_, log_end_};
  if (offset >= log_end_) {
    // The epochs are cut all the same: one that began at the end without a record is not its leader's, and who names it
    // in a fetch is told of the same divergence for ever.
    if (epochs_.truncate_from_end(offset)) ++epochs_version_;
    return unchanged;
  }
  if (offset < segments_.front()->base) return truncate_fully_and_start_at(offset);
  ++generation_;
  const Offset old_end = log_end_;
  // The newest goes first, so that a crash on the way leaves a prefix.
  while (segments_.size() > 1 && segments_.back()->base > offset) {
    if (auto removed = remove_files(active()); !removed) {
      return std::unexpected(go_offline(removed.error().cause, removed.error().detail));
    }
    segments_.pop_back();
  }
  Segment& segment = active();
  const auto position = position_now(segment, offset);
  if (!position) return std::unexpected(go_offline(position.error().cause, position.error().detail));
  auto file = open_file(segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(go_offline(file.error(), path()));
  if (auto cut = (*file)->truncate_now(*position); !cut) return std::unexpected(go_offline(cut.error(), path()));
  size_bytes_ -= segment.size - *position;
  const auto end = make_active(segment, *position);
  if (!end) return std::unexpected(go_offline(end.error().cause, end.error().detail));
  log_end_ = *end;
  log_start_ = std::min(log_start_, log_end_);
  recovery_point_ = std::min(recovery_point_, log_end_);
  cleaned_to_ = std::min(cleaned_to_, log_end_);
  if (epochs_.truncate_from_end(log_end_)) ++epochs_version_;
  if (tracks_producers()) {
    if (auto loaded = reload_producers(); !loaded)
      return std::unexpected(go_offline(loaded.error().cause, loaded.error().detail));
  }
  if (auto settled = settle(segment); !settled) return std::unexpected(settled.error());
  return Truncated{old_end, log_end_};
}

std::expected<Truncated, LogError> Log::truncate_fully_and_start_at(Offset offset) {
  if (offline_) return std::unexpected(*offline_);
  const Truncated truncated{log_end_, offset};
  if (offset >= segments_.front()->base && offset < log_end_) {
    if (auto cut = truncate_to(offset); !cut) return cut;
  }
  ++generation_;
  // The new segment stands on the disk before the first old one goes: a crash must not leave an empty folder behind,
  // which would open as a log that begins at 0.
  if (active().base != offset || active().size != 0) {
    if (auto added = add_segment(offset, runtime_.wall_now()); !added)
      return std::unexpected(go_offline(added.error().cause, added.error().detail));
    if (auto settled = settle(active()); !settled) return std::unexpected(settled.error());
  }
  while (segments_.size() > 1) {
    if (auto removed = remove_files(*segments_.front()); !removed) {
      return std::unexpected(go_offline(removed.error().cause, removed.error().detail));
    }
    segments_.erase(segments_.begin());
  }
  // After the segments, which can't be understood without them.
  producers_.clear();
  if (auto dropped = drop_snapshots_above(kNoOffset); !dropped)
    return std::unexpected(go_offline(dropped.error().cause, dropped.error().detail));
  tail_.clear();
  tail_first_ = 0;
  log_start_ = log_end_ = offset;
  recovery_point_ = std::min(recovery_point_, offset);
  cleaned_to_ = offset;
  epochs_.clear();
  ++epochs_version_;
  if (auto settled = settle(active()); !settled) return std::unexpected(settled.error());
  return truncated;
}

// Reads the largest timestamp from the last entry of the time index.
Log::Done Log::learn_timestamps(Segment& segment) {
  if (segment.times_known) return {};
  if (auto file = open_file(segment, SegmentFile::time_index); file && (*file)->size() >= TimeIndex::kEntrySize) {
    std::array<std::byte, TimeIndex::kEntrySize> last{};
    const auto read = (*file)->read_now(last, (*file)->size() - last.size());
    const auto entry = read && *read == last.size() ? TimeIndex::parse(last) : std::nullopt;
    if (entry && entry->last()) {
      segment.max_timestamp = entry->last()->timestamp;
      segment.max_timestamp_offset = segment.base + entry->last()->relative;
      segment.times_known = true;
      return {};
    }
  }
  return load_now(segment);
}

std::expected<std::size_t, LogError> Log::count_expired(WallTime now, Offset high_watermark) {
  std::uint64_t left = size_bytes_;
  const bool by_size = config_.delete_old && config_.retention_bytes >= 0;
  const bool by_time = config_.delete_old && config_.retention_ms >= 0;
  std::size_t count = 0;
  for (; count < segments_.size(); ++count) {
    Segment& segment = *segments_[count];
    const bool newest = count + 1 == segments_.size();
    const Offset end = end_of_segment(count);
    if (end > high_watermark || (newest && segment.size == 0)) break;
    bool expired = !newest && end <= log_start_;
    if (!expired && by_size) expired = left - segment.size >= static_cast<std::uint64_t>(config_.retention_bytes);
    if (!expired && by_time) {
      if (auto learned = learn_timestamps(segment); !learned) return std::unexpected(learned.error());
      const std::int64_t newest_ms = segment.largest_timestamp().value_or(to_ms(segment.created));
      expired = to_ms(now) - newest_ms > config_.retention_ms;
    }
    if (!expired) break;
    left -= segment.size;
  }
  return count;
}

std::expected<std::vector<RemovedSegment>, LogError> Log::enforce_retention(
    WallTime now, Offset high_watermark, const std::function<void(Offset)>& starts_at) {
  if (offline_) return std::unexpected(*offline_);
  std::vector<RemovedSegment> removed;
  const auto expired = count_expired(now, high_watermark);
  if (!expired) return std::unexpected(expired.error());
  if (*expired == segments_.size()) {
    if (auto rolled = roll(now); !rolled) return std::unexpected(rolled.error());
  }
  if (*expired > 0 && segments_[*expired]->base > log_start() && starts_at) starts_at(segments_[*expired]->base);
  for (std::size_t i = 0; i < *expired; ++i) {
    Segment& segment = *segments_.front();
    const RemovedSegment gone{segment.base, segments_[1]->base, segment.size};
    advance_log_start(gone.next);
    if (auto done = remove_files(segment); !done) return std::unexpected(done.error());
    if (auto dropped = drop_snapshot(segment.base); !dropped) return std::unexpected(dropped.error());
    segments_.erase(segments_.begin());
    runtime_.mark(Mark::RetentionRemovedSegment);
    removed.push_back(gone);
  }
  return removed;
}

}  // namespace verdict::storage
