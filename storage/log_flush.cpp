#include <fmt/format.h>

#include <algorithm>

#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/checkpoint.h"
#include "storage/log.h"
#include "storage/segment.h"

// What makes a log durable, and its index files.
namespace verdict::storage {
namespace {

constexpr std::string_view kEpochFile = "/leader-epoch-checkpoint";

}  // namespace

Log::Done Log::write_index(Segment& segment, SegmentFile index, std::size_t written_bytes, Bytes pending) {
  auto file = open_file(segment, index, true);
  const auto path = [&] { return path_of(segment.base, index); };
  if (!file) return std::unexpected(fail(LogErrorKind::append_failed, file.error(), path()));
  // A failed write, a truncation or Kafka's preallocation left other bytes behind the entries.
  if ((*file)->size() != written_bytes) {
    if (auto cut = (*file)->truncate_now(written_bytes); !cut) {
      return std::unexpected(fail(LogErrorKind::append_failed, cut.error(), path()));
    }
  }
  if (pending.empty()) return {};
  if (auto appended = append_whole_now(**file, pending); !appended)
    return std::unexpected(fail(LogErrorKind::append_failed, appended.error(), path()));
  return {};
}

// Indexes reach their files here only: at roll, flush and close. Recovery builds what a crash leaves unwritten.
Log::Done Log::write_indexes(Segment& segment) {
  if (!segment.loaded || !segment.index_dirty) return {};
  std::vector<std::byte> pending;
  segment.offsets.encode(segment.offsets_written, pending);
  const std::size_t offset_bytes = segment.offsets_written * OffsetIndex::kEntrySize;
  if (auto done = write_index(segment, SegmentFile::offset_index, offset_bytes, pending); !done) return done;
  segment.offsets_written = segment.offsets.size();
  pending.clear();
  segment.times.encode(segment.times_written, pending);
  const std::size_t time_bytes = segment.times_written * TimeIndex::kEntrySize;
  if (auto done = write_index(segment, SegmentFile::time_index, time_bytes, pending); !done) return done;
  segment.times_written = segment.times.size();
  if (auto done = write_txns(segment); !done) return done;
  segment.index_dirty = false;
  segment.index_unsynced = true;
  return {};
}

Log::Done Log::write_epochs_now() {
  if (epochs_written_ == epochs_version_) return {};
  const std::string path = directory_ + std::string(kEpochFile);
  if (auto done = replace_file_now(runtime_.disk(), path, format_epochs(epochs_)); !done) {
    // A full disk takes nothing from what is durable: the next flush tries again.
    if (done.error() == std::errc::no_space_on_device) {
      return std::unexpected(fail(LogErrorKind::append_failed, done.error(), path));
    }
    return std::unexpected(go_offline(done.error(), path));
  }
  epochs_written_ = epochs_version_;
  directory_dirty_ = false;
  return {};
}

Task<Log::Done> Log::flush_epochs() {
  while (epochs_written_ != epochs_version_) {
    const std::string path = directory_ + std::string(kEpochFile);
    const std::uint64_t version = epochs_version_;
    // Not replace_file: between its sync and its rename the epochs may change, and be written by a truncation.
    const std::string aside = path + ".flush";
    auto file = runtime_.disk().open(aside, OpenMode::create);
    if (!file) co_return std::unexpected(fail(LogErrorKind::append_failed, file.error(), aside));
    const std::string text = format_epochs(epochs_);
    auto cut = (*file)->truncate_now(0);
    if (!cut) co_return std::unexpected(fail(LogErrorKind::append_failed, cut.error(), aside));
    const auto written = append_whole_now(**file, as_bytes(text));
    if (!written) co_return std::unexpected(fail(LogErrorKind::append_failed, written.error(), aside));
    const IoResult synced = co_await sync(**file);
    if (!synced.ok()) co_return std::unexpected(go_offline(synced.error, aside));
    if (offline_) co_return std::unexpected(*offline_);
    if (version != epochs_version_) continue;
    if (auto renamed = runtime_.disk().rename(aside, path); !renamed) {
      co_return std::unexpected(go_offline(renamed.error(), path));
    }
    directory_dirty_ = true;
    epochs_written_ = version;
  }
  co_return Done();
}

Task<Log::Done> Log::flush_segment(std::shared_ptr<Segment> segment) {
  if (segment->log_dirty) {
    auto file = open_file(*segment, SegmentFile::log);
    const auto path = [&] { return path_of(segment->base, SegmentFile::log); };
    if (!file) co_return std::unexpected(fail(LogErrorKind::append_failed, file.error(), path()));
    segment->log_dirty = false;
    const std::shared_ptr<File> held = *file;
    const IoResult synced = co_await sync(*held);
    if (!synced.ok() && !segment->removed) co_return std::unexpected(go_offline(synced.error, path()));
  }
  if (segment->removed) co_return Done();
  if (auto written = write_indexes(*segment); !written) co_return written;
  if (!segment->index_unsynced) co_return Done();
  auto offsets = open_file(*segment, SegmentFile::offset_index);
  auto times = open_file(*segment, SegmentFile::time_index);
  if (!offsets || !times) {
    const std::error_code cause = offsets ? times.error() : offsets.error();
    co_return std::unexpected(
        fail(LogErrorKind::append_failed, cause, path_of(segment->base, SegmentFile::offset_index)));
  }
  segment->index_unsynced = false;
  directory_dirty_ = directory_dirty_ || !segment->index_created;
  segment->index_created = true;
  const std::shared_ptr<File> first = *offsets;
  const std::shared_ptr<File> second = *times;
  const IoResult offsets_synced = co_await sync(*first);
  const IoResult times_synced = co_await sync(*second);
  if (segment->removed) co_return Done();
  if (!offsets_synced.ok())
    co_return std::unexpected(go_offline(offsets_synced.error, path_of(segment->base, SegmentFile::offset_index)));
  if (!times_synced.ok())
    co_return std::unexpected(go_offline(times_synced.error, path_of(segment->base, SegmentFile::time_index)));
  if (!segment->txns_filed) co_return Done();
  auto txns = open_file(*segment, SegmentFile::txn_index);
  const std::string txn_path = path_of(segment->base, SegmentFile::txn_index);
  if (!txns) co_return std::unexpected(fail(LogErrorKind::append_failed, txns.error(), txn_path));
  const std::shared_ptr<File> third = *txns;
  const IoResult txns_synced = co_await sync(*third);
  if (!txns_synced.ok() && !segment->removed) co_return std::unexpected(go_offline(txns_synced.error, txn_path));
  co_return Done();
}

Task<Log::Done> Log::flush_files() {
  std::vector<std::shared_ptr<Segment>> dirty;
  for (const auto& segment : segments_) {
    if (segment->log_dirty || segment->index_dirty || segment->index_unsynced) dirty.push_back(segment);
  }
  for (const std::shared_ptr<Segment>& segment : dirty) {
    if (segment->removed) continue;
    Done done = co_await flush_segment(segment);
    if (!done) co_return done;
  }
  Done snapshots = co_await flush_snapshots();
  if (!snapshots) co_return snapshots;
  Done epochs = co_await flush_epochs();
  if (!epochs) co_return epochs;
  if (!directory_dirty_) co_return Done();
  directory_dirty_ = false;
  const IoResult synced = co_await sync_directory(runtime_.disk(), directory_);
  if (!synced.ok()) co_return std::unexpected(go_offline(synced.error, directory_));
  co_return Done();
}

Task<std::expected<Offset, LogError>> Log::flush() {
  while (flushing_) co_await flushed_.wait();
  if (offline_) co_return std::unexpected(*offline_);
  flushing_ = true;
  Offset target = log_end_;
  Done done;
  for (std::uint64_t generation = ~generation_; done && generation != generation_;) {
    // A truncation on the way may have put other bytes below the end that this flush began with.
    generation = generation_;
    target = log_end_;
    done = co_await flush_files();
  }
  flushing_ = false;
  flushed_.notify();
  if (!done) co_return std::unexpected(done.error());
  if (offline_) co_return std::unexpected(*offline_);
  recovery_point_ = std::max(recovery_point_, target);
  promised_point_ = std::max(promised_point_, recovery_point_);
  co_return recovery_point_;
}

Task<std::expected<void, LogError>> Log::close_cleanly() {
  if (offline_) co_return std::unexpected(*offline_);
  Segment& newest = active();
  newest.finish_times();
  newest.index_dirty = true;  // both files are there after a clean stop, if empty
  if (auto snapshot = write_snapshot(log_end_); !snapshot) co_return std::unexpected(snapshot.error());
  const auto flushed = co_await flush();
  release_files();
  if (!flushed) co_return std::unexpected(flushed.error());
  co_return Done();
}

void Log::release_files() {
  ++generation_;  // ends a cleaning pass
  for (const auto& segment : segments_) {
    for (FileCache::Slot& slot : segment->files) files_.forget(slot);
  }
}

}  // namespace verdict::storage
