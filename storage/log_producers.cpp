#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/checkpoint.h"
#include "storage/log.h"
#include "storage/planted.h"
#include "storage/segment.h"

// What a log knows of its producers: checked before an append, brought forward by each, kept in snapshots, and built
// anew from the newest usable snapshot and the batches after it. A snapshot need not survive the machine before the
// recovery point has passed it: recovery looks at none above the segment that it begins with.
namespace verdict::storage {
namespace {

constexpr std::string_view kLogger = "ProducerStateManager";
constexpr std::string_view kSuffix = ".snapshot";
constexpr std::size_t kLargestSnapshot = std::size_t{1} << 30;

LogErrorKind kind_of(ProducerFault fault) {
  switch (fault) {
    case ProducerFault::out_of_order_sequence:
      return LogErrorKind::out_of_order_sequence;
    case ProducerFault::invalid_producer_epoch:
      return LogErrorKind::invalid_producer_epoch;
    case ProducerFault::invalid_txn_state:
      return LogErrorKind::invalid_txn_state;
    case ProducerFault::coordinator_fenced:
      return LogErrorKind::coordinator_fenced;
  }
  return LogErrorKind::invalid_batch;
}

}  // namespace

// ---- appends ----

std::expected<std::optional<Appended>, LogError> Log::admit(const BatchHeader& header, Bytes batch,
                                                            AppendOrigin origin) {
  const auto admitted = producers_.admit(header, marker_of(header, batch), origin);
  if (!admitted) {
    const ProducerEntry& known = *producers_.find(header.producer_id);
    if (admitted.error() == ProducerFault::out_of_order_sequence && takes_gap(runtime_, known, header))
      return std::optional<Appended>();
    return std::unexpected(refusal(admitted.error(), header));
  }
  if (*admitted == nullptr) return std::optional<Appended>();
  const auto duplicate = duplicate_of(**admitted);
  if (!duplicate) return std::unexpected(duplicate.error());
  if (forgets_with_epoch(runtime_, duplicate->epoch, header.leader_epoch)) return std::optional<Appended>();
  return *duplicate;
}

LogError Log::refusal(ProducerFault fault, const BatchHeader& header) const {
  const ProducerEntry& known = *producers_.find(header.producer_id);
  return fail(
      kind_of(fault), {},
      fmt::format("producer {}: epoch {}, sequence {} where epoch {} has come to {}", header.producer_id.value(),
                  header.producer_epoch.value(), header.base_sequence, known.epoch.value(), known.last_sequence()));
}

// What a retry of a batch that is in the log is answered with.
std::expected<Appended, LogError> Log::duplicate_of(const SequencedBatch& first) {
  Appended duplicate;
  duplicate.base = first.base();
  duplicate.last = first.last;
  duplicate.epoch = duplicate.base < log_start_ ? kNoEpoch : epochs_.epoch_of(duplicate.base).value_or(kNoEpoch);
  duplicate.segment_base = duplicate.base;
  duplicate.crc = first.crc;
  if (first.crc == 0 && duplicate.epoch != kNoEpoch) {
    // Known from a snapshot. With LogAppendTime the retry's CRC is another one than the batch got.
    const auto seen = walk(duplicate.base, duplicate.base + 1, [&](const BatchHeader& there, Bytes) {
      duplicate.crc = there.crc;
      return false;
    });
    if (!seen) return std::unexpected(seen.error());
  }
  duplicate.max_timestamp = first.timestamp;
  duplicate.duplicate = true;
  return duplicate;
}

void Log::note_producer(const BatchHeader& header, Bytes batch, Segment& segment) {
  const auto done = producers_.append(header, marker_of(header, batch));
  if (!done || !done->aborted) return;
  segment.txns.append(*done);
  segment.index_dirty = true;
}

std::expected<Appended, LogError> Log::append_marker(const TxnMarker& marker, LeaderEpoch epoch, WallTime now) {
  std::vector<std::byte> batch = build_marker(marker, to_ms(now));
  return append_as_leader(batch, epoch, now, AppendOrigin::coordinator);
}

// ---- questions ----

void Log::expire_producers(WallTime now) {
  const auto forgotten = producers_.expire(to_ms(now), config_.producer_id_expiration_ms);
  forgotten_.insert(forgotten_.end(), forgotten.begin(), forgotten.end());
}

std::vector<ProducerId> Log::take_forgotten() {
  std::erase_if(forgotten_, [&](ProducerId id) { return producers_.find(id) != nullptr; });
  return std::exchange(forgotten_, {});
}

Offset Log::last_stable_offset(Offset high_watermark) {
  if (producers_.unreplicated().empty() && !producers_.first_open()) return high_watermark;
  producers_.on_high_watermark(high_watermark);
  if (!replayed_ && runtime_.defects().has(Defect::LsoBeforeReplay)) [[unlikely]] {
    runtime_.mark(Mark::DefectLsoBeforeReplay);
    return high_watermark;
  }
  const auto unstable = producers_.first_unstable();
  return unstable ? std::min(std::max(*unstable, log_start_), high_watermark) : high_watermark;
}

std::vector<AbortedTxn> Log::aborted_transactions(Offset from, Offset upper_bound) const {
  std::vector<AbortedTxn> found;
  bool more = true;
  for (std::size_t index = segment_index_for(from); index < segments_.size() && more; ++index) {
    more = segments_[index]->txns.collect(from, upper_bound, found);
  }
  return found;
}

// ---- snapshots ----

std::string Log::snapshot_path(Offset offset) const {
  std::string path = directory_ + "/";
  append_segment_file_name(path, offset, kSuffix);
  return path;
}

Log::Done Log::write_snapshot(Offset offset) {
  if (!tracks_producers() || snapshots_.contains(offset)) return {};
  return write_snapshot_of(producers_, offset);
}

Log::Done Log::write_snapshot_of(const ProducerState& state, Offset offset) {
  const std::string path = snapshot_path(offset);
  const auto refuse = [&](std::error_code cause) {
    return std::unexpected(fail(LogErrorKind::append_failed, cause, path));
  };
  auto opened = runtime_.disk().open(path, OpenMode::create);
  if (!opened) return refuse(opened.error());
  const std::shared_ptr<File> file = std::move(*opened);
  directory_dirty_ = true;
  if (auto written = rewrite_now(*file, state.encode()); !written) return refuse(written.error());
  snapshots_.insert(offset);
  unsynced_snapshots_.push_back(file);
  return {};
}

Log::Done Log::drop_snapshot(Offset offset) {
  if (!snapshots_.contains(offset)) return {};
  const std::string path = snapshot_path(offset);
  if (auto removed = runtime_.disk().remove(path); !removed && removed.error() != std::errc::no_such_file_or_directory)
    return std::unexpected(fail(LogErrorKind::append_failed, removed.error(), path));
  snapshots_.erase(offset);
  directory_dirty_ = true;
  return {};
}

Log::Done Log::drop_snapshots_above(Offset offset) {
  while (!snapshots_.empty() && *snapshots_.rbegin() > offset) {
    if (auto dropped = drop_snapshot(*snapshots_.rbegin()); !dropped) return dropped;
  }
  return {};
}

bool Log::load_snapshot(Offset offset, ProducerState& state) {
  const std::string path = snapshot_path(offset);
  const auto bytes = read_small_file(runtime_.disk(), path, kLargestSnapshot);
  if (bytes && state.decode(as_bytes(*bytes))) {
    const auto forgotten = state.expire(to_ms(runtime_.wall_now()), config_.producer_id_expiration_ms);
    if (&state == &producers_) forgotten_.insert(forgotten_.end(), forgotten.begin(), forgotten.end());
    return true;
  }
  state.clear();
  ++recovery_.snapshots_skipped;
  runtime_.mark(Mark::SnapshotSkipped);
  runtime_.log(LogLevel::warn, kLogger,
               fmt::format("{}: {}; the producers' state is built from an older one", path,
                           bytes ? "damaged" : bytes.error().message()));
  return false;
}

Task<Log::Done> Log::flush_snapshots() {
  while (!unsynced_snapshots_.empty()) {
    const std::shared_ptr<File> file = unsynced_snapshots_.back();
    unsynced_snapshots_.pop_back();
    const IoResult synced = co_await sync(*file);
    if (!synced.ok()) co_return std::unexpected(go_offline(synced.error, directory_ + ": a producer snapshot"));
  }
  co_return Done();
}

// ---- rebuilding ----

Log::Done Log::walk(Offset from, Offset to, const See& see) {
  for (std::size_t index = segment_index_for(from); index < segments_.size(); ++index) {
    Segment& segment = *segments_[index];
    if (segment.base >= to) break;
    auto file = open_file(segment, SegmentFile::log);
    const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
    if (!file) return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
    std::uint64_t position = 0;
    if (from > segment.base) {
      const auto start = position_now(segment, from);
      if (!start) return std::unexpected(start.error());
      position = *start;
    }
    ScanWindow window(*file, segment.size, kRecoveryChunk);
    Offset expected = segment.base;
    while (position < segment.size) {
      if (auto there = bring_now(window, segment, position, kBatchHeaderSize); !there) return there;
      const auto header = parse_header(window.view(position));
      if (!header || header->size() > segment.size - position || header->base_offset < expected)
        return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
      expected = header->next_offset();
      if (header->base_offset >= to) return {};
      if (header->control()) {
        if (auto whole = bring_now(window, segment, position, header->size()); !whole) return whole;
      }
      if (!see(*header, window.view(position))) return {};
      position += header->size();
    }
  }
  return {};
}

Log::Done Log::replay(ProducerState& state, Offset from, Offset to) {
  if (from >= to) return {};
  return walk(from, to, [&](const BatchHeader& header, Bytes batch) {
    if (header.producer_id > kNoProducerId) state.append(header, marker_of(header, batch));
    return true;
  });
}

// The state as of `end`, from a snapshot at or below `at_most` and the batches after it. A snapshot says nothing of
// transactions that ended before it, so `at_most` is where the high watermark may be.
Log::Done Log::load_producers(ProducerState& state, Offset end, Offset at_most) {
  state.clear();
  at_most = std::min(at_most, end);
  std::vector<Offset> skipped;
  std::optional<Offset> found;
  for (auto at = snapshots_.upper_bound(at_most); at != snapshots_.begin() && !found;) {
    --at;
    if (load_snapshot(*at, state)) {
      found = *at;
    } else {
      skipped.push_back(*at);
    }
  }
  const Offset front = segments_.front()->base;
  Offset from = found.value_or(front);
  // Where a segment has no snapshot at its base and none before it, no producer was known there.
  if (!found && skipped.empty()) from = segments_[segment_index_for(at_most)]->base;
  from = std::max(from, front);
  for (; !skipped.empty(); skipped.pop_back()) {
    const Offset offset = skipped.back();  // the lowest comes last
    if (offset < from) {
      if (auto dropped = drop_snapshot(offset); !dropped) return dropped;
      continue;
    }
    if (auto played = replay(state, from, offset); !played) return played;
    from = offset;
    // One that can't be written stays damaged on the disk, and is skipped again.
    static_cast<void>(write_snapshot_of(state, offset));
  }
  return replay(state, from, end);
}

// After a cut at log_end_.
Log::Done Log::reload_producers() {
  const ProducerState::Unreplicated before = producers_.unreplicated();
  if (auto dropped = drop_snapshots_above(log_end_); !dropped) return dropped;
  if (auto loaded = load_producers(producers_, log_end_, log_end_); !loaded) return loaded;
  producers_.keep_unreplicated(before, log_end_);
  return {};
}

// ---- .txnindex ----

Log::Done Log::write_txns(Segment& segment) {
  if (!segment.txns_filed && segment.txns.empty()) return {};
  std::vector<std::byte> pending;
  segment.txns.encode(segment.txns_written, pending);
  if (!segment.txns_filed) directory_dirty_ = true;
  const std::size_t written_bytes = segment.txns_written * TxnIndex::kEntrySize;
  if (auto done = write_index(segment, SegmentFile::txn_index, written_bytes, pending); !done) return done;
  segment.txns_written = segment.txns.size();
  segment.txns_filed = true;
  return {};
}

// Of a segment that takes no more batches, whose file was damaged: durable at once, for nothing else makes it so.
Log::Done Log::rebuild_txns(Segment& segment) {
  const std::string path = path_of(segment.base, SegmentFile::txn_index);
  runtime_.log(LogLevel::warn, "log", path + ": damaged; built anew from the log");
  ++recovery_.indexes_rebuilt;
  segment.txns.clear();
  segment.txns_written = 0;
  const Offset end = end_of_segment(segment_index_for(segment.base));
  ProducerState state;
  if (auto loaded = load_producers(state, segment.base, segment.base); !loaded) return loaded;
  const auto walked = walk(segment.base, end, [&](const BatchHeader& header, Bytes batch) {
    if (header.producer_id <= kNoProducerId) return true;
    const auto done = state.append(header, marker_of(header, batch));
    if (done && done->aborted) segment.txns.append(*done);
    return true;
  });
  if (!walked) return walked;
  if (auto written = write_txns(segment); !written) return written;
  auto file = open_file(segment, SegmentFile::txn_index);
  if (!file) return std::unexpected(fail(LogErrorKind::append_failed, file.error(), path));
  if (auto synced = (*file)->sync_now(); !synced) return std::unexpected(go_offline(synced.error(), path));
  return {};
}

}  // namespace verdict::storage
