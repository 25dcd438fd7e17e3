#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/checkpoint.h"
#include "storage/cleaned_transactions.h"
#include "storage/cleaner.h"
#include "storage/log.h"
#include "storage/planted.h"
#include "storage/segment.h"

// Compaction, by the rules of Kafka's LogCleaner. A pass walks the dirty part and learns each key's last offset, then
// walks all from the log's beginning and writes what stays into new segments, each in the place of several. It works on
// while appends go on behind it; a truncation, or the removal of a segment, ends it.
namespace verdict::storage {
namespace {

constexpr std::size_t kWriteChunk = 256 << 10;

// Offsets [next, end) that are still to come in a segment.
struct OffsetsToCome {
  Offset next;
  Offset end;
};

// Walks over the batches of one segment file, which are whole in view when they are handed out, have a good CRC, and
// offsets that are the segment's, in order: the CRC doesn't cover those.
class SegmentWalk {
 public:
  enum class Found : std::uint8_t { batch, needs_bytes, end, damaged };

  SegmentWalk(std::shared_ptr<File> file, std::uint64_t position, std::uint64_t end, OffsetsToCome offsets,
              std::size_t chunk)
      : window_(std::move(file), end, chunk), position_(position), offsets_(offsets) {}

  Found look(Runtime& runtime, BatchView& batch) {
    if (position_ == window_.end()) return Found::end;
    const Bytes seen = window_.view(position_);
    need_ = kBatchHeaderSize;
    if (seen.size() >= need_) {
      const auto header = parse_header(seen);
      if (!header || header->size() > window_.end() - position_) return Found::damaged;
      if (header->base_offset < offsets_.next || header->next_offset() > offsets_.end) return Found::damaged;
      need_ = header->size();
    }
    if (seen.size() < need_) return tried_ == need_ ? Found::damaged : Found::needs_bytes;
    batch = *BatchView::parse(seen);
    if (!batch.crc_valid() && refuses_bad_crc(runtime)) return Found::damaged;
    return Found::batch;
  }
  void advance(const BatchView& batch) {
    position_ += batch.bytes().size();
    offsets_.next = batch.header().next_offset();
    tried_ = 0;
  }
  Task<std::error_code> load() {
    tried_ = need_;
    return window_.load(position_, need_);
  }
  std::uint64_t position() const { return position_; }

 private:
  ScanWindow window_;
  std::uint64_t position_;
  OffsetsToCome offsets_;
  std::size_t need_ = 0;
  std::size_t tried_ = 0;
};

std::int64_t after_ms(std::int64_t now_ms, std::int64_t time_ms) {
  return time_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + time_ms;
}

}  // namespace

// ---- what may be cleaned ----

// The first batch's largest timestamp; none: no batch, or it has none.
std::optional<std::int64_t> Log::first_timestamp_of(Segment& segment) {
  if (!segment.first_timestamp && segment.size != 0) {
    std::array<std::byte, kBatchHeaderSize> head{};
    auto file = open_file(segment, SegmentFile::log);
    const auto read = file ? (*file)->read_now(head, 0) : Outcome<std::size_t>(0);
    const auto header = read && *read == head.size() ? parse_header(head) : std::unexpected(BatchError::truncated);
    if (header) segment.first_timestamp = header->max_timestamp;
  }
  return segment.first_timestamp && *segment.first_timestamp > 0 ? segment.first_timestamp : std::nullopt;
}

// min.compaction.lag.ms: base of the first dirty segment that is too young as a whole.
Offset Log::too_young_from(std::size_t first, std::int64_t now_ms) {
  for (std::size_t index = first; index + 1 < segments_.size(); ++index) {
    Segment& segment = *segments_[index];
    if (!learn_timestamps(segment)) return segment.base;
    if (segment.largest_timestamp().value_or(to_ms(segment.created)) > now_ms - config_.min_compaction_lag_ms)
      return segment.base;
  }
  return active().base;
}

// max.compaction.lag.ms
bool Log::waited_too_long(std::size_t first, std::int64_t now_ms) {
  for (std::size_t index = first; index + 1 < segments_.size(); ++index) {
    const auto timestamp = first_timestamp_of(*segments_[index]);
    if (timestamp && now_ms - *timestamp > config_.max_compaction_lag_ms) return true;
  }
  return false;
}

CleaningRange Log::cleanable(WallTime now, Offset high_watermark) {
  CleaningRange range;
  // A checkpoint from outside the log says nothing: all of it counts as dirty.
  const bool known = cleaned_to_ >= log_start_ && cleaned_to_ <= log_end_;
  range.first_dirty = range.first_uncleanable = known ? cleaned_to_ : log_start_;
  range.last_stable = last_stable_offset(high_watermark);
  const std::size_t first = segment_index_for(range.first_dirty);
  Offset bound = std::min(range.last_stable, active().base);
  const Offset past = std::min(high_watermark, active().base);
  if (segment_index_for(past) != segment_index_for(bound)) runtime_.mark(Mark::CleaningHeldByTransaction);
  if (runtime_.defects().has(Defect::CleanPastLso)) [[unlikely]] {
    if (segment_index_for(past) != segment_index_for(bound)) runtime_.mark(Mark::DefectCleanPastLso);
    bound = past;
  }
  if (config_.min_compaction_lag_ms > 0) bound = std::min(bound, too_young_from(first, to_ms(now)));
  const std::size_t end = segment_index_for(bound);
  range.first_uncleanable = std::max(range.first_dirty, segments_[end]->base);
  for (std::size_t index = 0; index < end; ++index) {
    const Segment& segment = *segments_[index];
    if (segment.base < range.first_dirty) range.clean_bytes += segment.size;
    if (index >= first) range.dirty_bytes += segment.size;
  }
  if (range.first_uncleanable == range.first_dirty) range.dirty_bytes = 0;
  range.overdue = config_.max_compaction_lag_ms < INT64_MAX && waited_too_long(first, to_ms(now));
  return range;
}

// ---- one pass ----

struct Log::Cleaning {
  struct LastRecord {  // of a producer that is known
    Offset data;       // of its newest batch; kNoOffset: none
    ProducerEpoch epoch;
  };

  Log& log;
  Cleaner& cleaner;
  CleaningRange range;
  const OnCleaned& told;
  std::int64_t now_ms;
  std::uint64_t generation;
  CleaningReport report{};
  Offset latest{-1};  // what the map knows of goes up to here
  CleanedTransactions transactions{};
  std::map<ProducerId, LastRecord> last_records{};
  // The segment that is being made.
  std::shared_ptr<Segment> fresh{};
  std::shared_ptr<File> file{};
  std::vector<std::byte> pending{};
  CleanedSegment made{};

  bool broken_off() const { return generation != log.generation_ || cleaner.stopping() || log.offline_.has_value(); }
  std::string path(SegmentFile kind) const { return log.path_of(fresh->base, kind) + ".cleaned"; }
  std::unexpected<LogError> damaged(const Segment& segment, std::uint64_t position) const {
    return std::unexpected(
        log.fail(LogErrorKind::damaged, {},
                 fmt::format("{} at {}: not compacted", log.path_of(segment.base, SegmentFile::log), position)));
  }

  // What to do with a batch at `position` of its segment; false: the walk ends.
  using SeeBatch = std::function<std::expected<bool, LogError>(const BatchView& batch, std::uint64_t position)>;
  Task<Done> walk(std::shared_ptr<Segment> segment, std::uint64_t position, Offset end, SeeBatch see);

  Task<Done> learn();
  Task<Done> learn_segment(std::shared_ptr<Segment> segment, Offset end, bool* full);
  std::expected<bool, LogError> learn_batch(const Segment& segment, const BatchView& batch);
  Task<Done> clean_groups();
  std::size_t group_at(std::size_t index) const;
  Task<Done> clean_group(std::size_t index, std::size_t count);
  std::expected<bool, LogError> clean_batch(const Segment& segment, const BatchView& batch, std::uint64_t position,
                                            bool last);
  bool keeps(const BatchHeader& header, const RecordView& record);
  bool last_of_producer(const BatchHeader& header) const;
  void note_producers();
  Done open(SegmentFile kind);
  Done begin(Offset base, WallTime created);
  Done write_pending();
  Done write_file(SegmentFile kind, Bytes bytes);
  Task<Done> finish();
  void forget();
};

// At the cleaner's pace; ends when the pass is broken off, too.
Task<Log::Done> Log::Cleaning::walk(std::shared_ptr<Segment> segment, std::uint64_t position, Offset end,
                                    SeeBatch see) {
  auto opened = log.open_file(*segment, SegmentFile::log);
  const auto name = [&] { return log.path_of(segment->base, SegmentFile::log); };
  if (!opened) co_return std::unexpected(log.fail(LogErrorKind::read_failed, opened.error(), name()));
  SegmentWalk scan(*opened, position, segment->size, {segment->base, end}, cleaner.options().io_bytes);
  BatchView batch;
  for (;;) {
    const SegmentWalk::Found found = scan.look(log.runtime_, batch);
    if (found == SegmentWalk::Found::end) break;
    if (found == SegmentWalk::Found::damaged) co_return damaged(*segment, scan.position());
    if (found == SegmentWalk::Found::needs_bytes) {
      const std::error_code error = co_await scan.load();
      if (broken_off()) break;
      if (error) co_return std::unexpected(log.fail(LogErrorKind::read_failed, error, name()));
      continue;
    }
    const auto more = see(batch, scan.position());
    if (!more) co_return std::unexpected(more.error());
    if (!*more) break;
    const std::size_t size = batch.bytes().size();
    scan.advance(batch);
    co_await cleaner.pace(size);
    if (broken_off()) break;
  }
  co_return Done();
}

Task<Log::Done> Log::Cleaning::learn() {
  // Each record has some bytes of framing; compressed ones make it grow.
  constexpr std::size_t kBytesARecord = 32;
  cleaner.map().reset(range.dirty_bytes / kBytesARecord);
  latest = range.first_dirty - 1;
  transactions = {};
  transactions.add_aborted(log.aborted_transactions(range.first_dirty, range.first_uncleanable));
  bool full = false;
  for (std::size_t index = log.segment_index_for(range.first_dirty); !full && !broken_off(); ++index) {
    const std::shared_ptr<Segment> segment = log.segments_[index];
    if (segment->base >= range.first_uncleanable) break;
    Done learned = co_await learn_segment(segment, log.end_of_segment(index), &full);
    if (!learned) co_return learned;
  }
  if (full) log.runtime_.mark(Mark::CleaningMapFull);
  co_return Done();
}

Task<Log::Done> Log::Cleaning::learn_segment(std::shared_ptr<Segment> segment, Offset end, bool* full) {
  std::uint64_t position = 0;
  if (range.first_dirty > segment->base) {
    const auto start = log.position_now(*segment, range.first_dirty);
    if (!start) co_return std::unexpected(start.error());
    position = *start;
  }
  Done walked = co_await walk(segment, position, end, [&](const BatchView& batch, std::uint64_t) {
    auto room = learn_batch(*segment, batch);
    *full = room && !*room;
    return room;
  });
  if (walked && !*full && !broken_off()) latest = std::max(latest, end - 1);  // a hole at its end
  co_return walked;
}

// False: the map is full.
std::expected<bool, LogError> Log::Cleaning::learn_batch(const Segment& segment, const BatchView& batch) {
  const BatchHeader& header = batch.header();
  if (header.control()) {
    transactions.on_control(header, batch.bytes(), nullptr);
  } else if (!transactions.on_batch(header)) {
    auto records = open_records(batch, cleaner.decompressor());
    if (!records) return damaged(segment, 0);
    RecordView record;
    for (;;) {
      const auto more = records->next(record);
      if (!more) return damaged(segment, 0);
      if (!*more) break;
      if (!record.key || record.offset < range.first_dirty) continue;
      if (!cleaner.map().put(*record.key, record.offset)) return false;
      latest = std::max(latest, record.offset);
    }
  }
  if (header.last_offset() >= range.first_dirty) latest = std::max(latest, header.last_offset());
  return true;
}

Task<Log::Done> Log::Cleaning::clean_groups() {
  transactions = {};
  const Offset end = std::min(report.clean_to, range.first_uncleanable);
  for (std::size_t index = 0; !broken_off() && log.segments_[index]->base < end; ++index) {
    const std::size_t count = group_at(index);
    Done cleaned = co_await clean_group(index, count);
    forget();
    if (!cleaned) co_return cleaned;
  }
  co_return Done();
}

// How many segments from `index` on fit into one: its bytes, its indexes, and 31 bits of relative offsets.
std::size_t Log::Cleaning::group_at(std::size_t index) const {
  const Offset base = log.segments_[index]->base;
  const auto index_bytes = [this](std::uint64_t size) {
    return (size / std::max<std::uint64_t>(log.config_.index_interval_bytes, kBatchHeaderSize) + 2) *
           TimeIndex::kEntrySize;
  };
  const Offset end = std::min(report.clean_to, range.first_uncleanable);
  std::uint64_t size = log.segments_[index]->size;
  std::size_t count = 1;
  for (; index + count < log.segments_.size() - 1; ++count) {
    const Segment& next = *log.segments_[index + count];
    if (next.base >= end || size + next.size > log.segment_limit()) break;
    if (index_bytes(size + next.size) > log.config_.index_bytes) break;
    if (log.end_of_segment(index + count) - 1 - base > INT32_MAX) break;
    size += next.size;
  }
  return count;
}

// Kafka's lastRecordsOfActiveProducers.
void Log::Cleaning::note_producers() {
  last_records.clear();
  for (const auto& [id, entry] : log.producers_.producers()) {
    const std::size_t batches = entry.batch_count();
    last_records.emplace_hint(last_records.end(), id,
                              LastRecord{batches == 0 ? kNoOffset : entry.batch(batches - 1).last, entry.epoch});
  }
}

Task<Log::Done> Log::Cleaning::clean_group(std::size_t index, std::size_t count) {
  const std::vector<std::shared_ptr<Segment>> members(
      log.segments_.begin() + static_cast<std::ptrdiff_t>(index),
      log.segments_.begin() + static_cast<std::ptrdiff_t>(index + count));
  std::uint64_t size = 0;
  for (const auto& member : members) size += member->size;
  if (count == 1 && size == 0) co_return Done();
  note_producers();
  if (Done begun = begin(members.front()->base, members.back()->created); !begun) co_return begun;
  made.to = log.end_of_segment(index + count - 1);
  for (std::size_t i = 0; i < count; ++i) {
    const Offset end = log.end_of_segment(index + i);
    transactions.add_aborted(log.aborted_transactions(members[i]->base, end));
    const Segment& member = *members[i];
    Done cleaned = co_await walk(members[i], 0, end, [&](const BatchView& batch, std::uint64_t position) {
      const bool closes = i + 1 == count && position + batch.bytes().size() == member.size;
      return clean_batch(member, batch, position, closes);
    });
    if (!cleaned || broken_off()) co_return cleaned;
  }
  Done finished = co_await finish();
  if (!finished || broken_off()) co_return finished;
  if (Done swapped = log.swap_in(index, count, fresh); !swapped) co_return swapped;
  generation = log.generation_;
  report.bytes_read += size;
  report.bytes_left += fresh->size;
  report.segments_before += static_cast<std::uint32_t>(count);
  ++report.segments_after;
  made.size = fresh->size;
  if (told) told(made);
  co_return Done();
}

// `last`: of the group. It stays, if empty, so that the segment ends where it ended: recovery then finds no hole
// between two segments that a lost tail could have left as well. (Kafka does so with the last of a whole pass.)
std::expected<bool, LogError> Log::Cleaning::clean_batch(const Segment& segment, const BatchView& batch,
                                                         std::uint64_t position, bool last) {
  const BatchHeader& header = batch.header();
  const bool control = header.control();
  const bool discardable =
      control ? transactions.on_control(header, batch.bytes(), &fresh->txns) : transactions.on_batch(header);
  BatchRetention retention;
  // The deletion of markers waits as that of tombstones does.
  retention.discard_records =
      control ? discardable && header.delete_horizon() && header.base_timestamp <= now_ms : discardable;
  retention.keep_empty = last || (header.producer_id > kNoProducerId && last_of_producer(header));
  retention.marker_of_nothing = control && discardable;
  retention.new_horizon_ms = after_ms(now_ms, log.config_.delete_retention_ms);
  if (control && retention.discard_records) log.runtime_.mark(Mark::MarkerExpired);
  const std::size_t before = pending.size();
  const auto filtered = cleaner.filter().filter(
      batch, retention, [&](const RecordView& record) { return keeps(header, record); }, pending,
      cleaner.options().tell_records ? &made.records : nullptr);
  if (!filtered) return damaged(segment, position);
  if (*filtered == Filtered::emptied) log.runtime_.mark(Mark::EmptyBatchKept);
  if (*filtered == Filtered::gone) return true;
  const auto left = parse_header(Bytes(pending).subspan(before));
  VERDICT_ASSERT(left && left->base_offset == header.base_offset && left->last_offset() == header.last_offset() &&
                     left->leader_epoch == header.leader_epoch && left->size() == pending.size() - before,
                 "a batch keeps its place");
  if (cleaner.options().tell_records) made.batches.push_back({header.base_offset, header.last_offset(), fresh->size});
  fresh->note(*left, fresh->size, log.config_.index_interval_bytes);
  if (pending.size() < kWriteChunk) return true;
  if (Done written = write_pending(); !written) return std::unexpected(written.error());
  return true;
}

bool Log::Cleaning::keeps(const BatchHeader& header, const RecordView& record) {
  if (header.control()) {
    if (!log.runtime_.defects().has(Defect::Kafka14055)) [[likely]]
      return true;
    // As if the marker's key were one of the data's.
    const bool kept = record.offset > latest || !record.key || record.offset >= cleaner.map().get(*record.key);
    if (!kept) log.runtime_.mark(Mark::DefectKafka14055);
    return kept;
  }
  if (record.offset > latest) return true;
  if (!record.key || record.offset < cleaner.map().get(*record.key)) return false;
  if (record.value || !header.delete_horizon() || now_ms < header.base_timestamp) return true;
  log.runtime_.mark(Mark::TombstoneExpired);
  return false;
}

// A producer's sequence, and where it has none the epoch that fences, is in its newest batch or marker.
bool Log::Cleaning::last_of_producer(const BatchHeader& header) const {
  const auto known = last_records.find(header.producer_id);
  if (known == last_records.end()) return false;
  if (known->second.data != kNoOffset) return header.last_offset() == known->second.data;
  return header.control() && header.producer_epoch == known->second.epoch;
}

// ---- the files of a pass ----

Log::Done Log::Cleaning::open(SegmentFile kind) {
  auto opened = log.runtime_.disk().open(path(kind), OpenMode::create);
  if (!opened) return std::unexpected(log.fail(LogErrorKind::append_failed, opened.error(), path(kind)));
  file = std::move(*opened);
  return {};
}

Log::Done Log::Cleaning::begin(Offset base, WallTime created) {
  fresh = std::make_shared<Segment>(base, created);
  fresh->forget_batches();
  made = {};
  made.from = base;
  made.clean_to = report.clean_to;
  pending.clear();
  if (Done opened = open(SegmentFile::log); !opened) return opened;
  if (auto cut = file->truncate_now(0); !cut)
    return std::unexpected(log.fail(LogErrorKind::append_failed, cut.error(), path(SegmentFile::log)));
  return {};
}

Log::Done Log::Cleaning::write_pending() {
  if (pending.empty()) return {};
  if (auto written = append_whole_now(*file, pending); !written)
    return std::unexpected(log.fail(LogErrorKind::append_failed, written.error(), path(SegmentFile::log)));
  pending.clear();
  return {};
}

Log::Done Log::Cleaning::write_file(SegmentFile kind, Bytes bytes) {
  if (Done opened = open(kind); !opened) return opened;
  if (auto written = rewrite_now(*file, bytes); !written)
    return std::unexpected(log.fail(LogErrorKind::append_failed, written.error(), path(kind)));
  return {};
}

// All files whole and durable.
Task<Log::Done> Log::Cleaning::finish() {
  fresh->finish_times();
  fresh->txns_filed = !fresh->txns.empty();
  if (Done written = write_pending(); !written) co_return written;
  for (const SegmentFile kind : kSegmentFiles) {
    std::vector<std::byte> bytes;
    if (kind == SegmentFile::offset_index) fresh->offsets.encode(0, bytes);
    if (kind == SegmentFile::time_index) fresh->times.encode(0, bytes);
    if (kind == SegmentFile::txn_index) fresh->txns.encode(0, bytes);
    if (kind == SegmentFile::txn_index && bytes.empty()) continue;
    if (kind != SegmentFile::log) {
      if (Done written = write_file(kind, bytes); !written) co_return written;
    }
    const std::shared_ptr<File> held = file;
    const IoResult synced = co_await sync(*held);
    if (broken_off()) co_return Done();
    if (!synced.ok()) co_return std::unexpected(log.fail(LogErrorKind::append_failed, synced.error, path(kind)));
  }
  co_return Done();
}

// What a group that was not swapped in has left; a start would sweep it up as well.
void Log::Cleaning::forget() {
  file.reset();
  if (fresh != nullptr && log.runtime_.disk().status(path(SegmentFile::log))) {
    for (const SegmentFile kind : kSegmentFiles) static_cast<void>(log.runtime_.disk().remove(path(kind)));
  }
  fresh.reset();
}

Task<std::expected<CleaningReport, LogError>> Log::clean(Cleaner* cleaner, CleaningRange range, OnCleaned told) {
  if (offline_) co_return std::unexpected(*offline_);
  VERDICT_ASSERT(!cleaning_, "one pass at a time");
  cleaning_ = true;
  Cleaning pass{.log = *this,
                .cleaner = *cleaner,
                .range = range,
                .told = told,
                .now_ms = to_ms(runtime_.wall_now()),
                .generation = generation_};
  Done done = co_await pass.learn();
  pass.report.clean_to = pass.latest + 1;
  if (done && !pass.broken_off()) done = co_await pass.clean_groups();
  cleaner->map().reset(0);
  cleaning_ = false;
  if (offline_) co_return std::unexpected(*offline_);
  if (!done) co_return std::unexpected(done.error());
  pass.report.interrupted = pass.broken_off();
  if (pass.report.interrupted) {
    runtime_.mark(Mark::CleaningInterrupted);
  } else {
    cleaned_to_ = pass.report.clean_to;
  }
  co_return pass.report;
}

// ---- the swap ----

// Once all of the new files are named `.swap`, durably, a start completes what a crash breaks off: nothing of the old
// ones is needed. Until then it drops the new ones.
Log::Done Log::swap_in(std::size_t index, std::size_t count, std::shared_ptr<Segment> fresh) {
  Disk& disk = runtime_.disk();
  const auto rename_all = [&](std::string_view from, std::string_view to) -> std::error_code {
    for (const SegmentFile kind : kSegmentFiles) {
      if (kind == SegmentFile::txn_index && !fresh->txns_filed) continue;
      const std::string path = path_of(fresh->base, kind);
      if (auto renamed = disk.rename(path + std::string(from), path + std::string(to)); !renamed)
        return renamed.error();
    }
    const auto synced = disk.sync_directory_now(directory_);
    return synced ? std::error_code() : synced.error();
  };
  const Offset end = end_of_segment(index + count - 1);
  if (const auto error = rename_all(".cleaned", ".swap")) return std::unexpected(go_offline(error, "a swap"));
  for (std::size_t i = 0; i < count; ++i) {
    if (auto removed = remove_files(*segments_[index + i]); !removed)
      return std::unexpected(go_offline(removed.error().cause, removed.error().detail));
  }
  if (const auto error = rename_all(".swap", "")) return std::unexpected(go_offline(error, "a swap"));
  std::vector<Offset> bases;
  for (std::size_t i = 1; i < count; ++i) bases.push_back(segments_[index + i]->base);
  const auto at = segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(index),
                                  segments_.begin() + static_cast<std::ptrdiff_t>(index + count));
  fresh->offsets_written = fresh->offsets.size();
  fresh->times_written = fresh->times.size();
  fresh->txns_written = fresh->txns.size();
  fresh->index_dirty = false;
  fresh->index_created = true;
  fresh->unload();
  size_bytes_ += fresh->size;
  segments_.insert(at, std::move(fresh));
  forget_tail_below(end);
  runtime_.mark(Mark::SegmentsCleaned);
  for (const Offset base : bases) {
    if (auto dropped = drop_snapshot(base); !dropped) return dropped;
  }
  return {};
}

void Log::forget_tail_below(Offset end) {
  std::ranges::rotate(tail_, tail_.begin() + static_cast<std::ptrdiff_t>(tail_first_));
  tail_first_ = 0;
  const auto kept = std::ranges::find_if(tail_, [&](const Tail& batch) { return batch.base >= end; });
  tail_.erase(tail_.begin(), kept);
}

}  // namespace verdict::storage
