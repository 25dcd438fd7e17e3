#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/assert.h"
#include "storage/checkpoint.h"
#include "storage/log.h"
#include "storage/planted.h"
#include "storage/segment.h"

// Opening a log. After a clean stop only the newest segment's indexes and the batches behind their last entry are
// looked at. Otherwise every batch from the base of the segment that holds the recovery point is checked, the log ends
// at the first bad one, and indexes, epochs and the producers' state are made to match what is there.
namespace verdict::storage {

struct Log::Loader {
  Log& log;
  OpenInput input;
  std::optional<EpochCache> stored_epochs;
  std::uint64_t cut_from = 0;    // of the segment that was checked last
  std::set<Offset> txn_files{};  // bases of the segments that have a .txnindex

  Done complete_swaps(const std::vector<std::string>& names);
  std::expected<Offset, LogError> end_of_swap(Offset base) const;
  Done sweep(std::vector<Offset>& bases);
  Done load_segments();
  Done load_clean();
  Task<Done> check();
  Task<Done> check_segment(std::shared_ptr<Segment> segment, Offset expected, bool* whole);
  Done finish_segment(Segment& segment, bool newest);
  Done finish_txns(Segment& segment);
  Done load_txns(std::size_t count);
  Done drop_stray_snapshots();
  Done load_producers_before(std::size_t index);
  Done load_clean_producers();
  bool marker_above_high_watermark(Offset below);
  Done cut_segments_from(std::size_t index);
  Done settle_bounds();
  void assign_epochs(LeaderEpoch epoch, Offset before, Offset base);
  bool hole_before(std::size_t index, Offset expected);
  Disk& disk() const { return log.runtime_.disk(); }
  std::string path(std::string_view name) const { return log.directory_ + "/" + std::string(name); }
};

namespace {

constexpr std::string_view kSwap = ".swap";

// Of any file of a segment, whatever follows the number.
std::optional<Offset> base_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == name.npos ? std::nullopt : parse_segment_file_name(name, name.substr(dot));
}

bool is_leftover(std::string_view name) {
  return name.ends_with(".deleted") || name.ends_with(".cleaned") || name.ends_with(".tmp") || name.ends_with(".flush");
}

}  // namespace

// Where the segment in "BASE.log.swap" ends.
std::expected<Offset, LogError> Log::Loader::end_of_swap(Offset base) const {
  const std::string file_path = log.path_of(base, SegmentFile::log) + std::string(kSwap);
  auto opened = disk().open(file_path, OpenMode::read);
  if (!opened) return std::unexpected(log.fail(LogErrorKind::read_failed, opened.error(), file_path));
  const std::shared_ptr<File> file = std::move(*opened);
  std::uint64_t position = 0;
  const auto index = read_small_file(disk(), log.path_of(base, SegmentFile::offset_index) + std::string(kSwap));
  const auto offsets = index ? OffsetIndex::parse(as_bytes(*index), file->size()) : std::nullopt;
  if (offsets) position = offsets->position_at_or_below(file->size());
  Offset end = base;
  ScanWindow window(file, file->size(), kRecoveryChunk);
  while (position < file->size()) {
    if (!window.has(position, kBatchHeaderSize)) {
      if (const auto error = window.load_now(position, kBatchHeaderSize))
        return std::unexpected(log.fail(LogErrorKind::read_failed, error, file_path));
    }
    const auto header = parse_header(window.view(position));
    if (!header || header->base_offset < end || header->size() > file->size() - position)
      return std::unexpected(log.fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", file_path, position)));
    end = header->next_offset();
    position += header->size();
  }
  return end;
}

// Files that compaction was about to put in the place of others (Kafka's LogLoader). Were they all named so, the others
// may be gone in part: they are removed, and these take their place. Otherwise, with a ".cleaned" file left, the others
// are whole, and these go.
Log::Done Log::Loader::complete_swaps(const std::vector<std::string>& names) {
  std::optional<Offset> unfinished;  // the lowest base of a .cleaned file
  for (const std::string& name : names) {
    const auto base = name.ends_with(".cleaned") ? base_of(name) : std::nullopt;
    if (base) unfinished = std::min(unfinished.value_or(*base), *base);
  }
  std::vector<std::string> gone;
  std::vector<std::string> kept;
  for (const std::string& name : names) {
    if (!name.ends_with(kSwap)) continue;
    const auto base = base_of(name);
    (!base || (unfinished && *base >= *unfinished) ? gone : kept).push_back(name);
  }
  if (!gone.empty() || unfinished) log.runtime_.mark(Mark::SwapDropped);
  for (const std::string& name : kept) {
    const auto base = parse_segment_file_name(name, ".log.swap");
    if (!base) continue;
    const auto end = end_of_swap(*base);
    if (!end) return std::unexpected(end.error());
    for (const std::string& other : names) {
      const auto at = other.ends_with(kSwap) || other.ends_with(".snapshot") ? std::nullopt : base_of(other);
      if (at && *at >= *base && *at < std::max(*end, *base + 1)) gone.push_back(other);
    }
  }
  const auto failed = [this](std::error_code error, std::string_view what) {
    return std::unexpected(log.fail(LogErrorKind::read_failed, error, std::string(what)));
  };
  for (const std::string& name : gone) {
    if (auto removed = disk().remove(path(name)); !removed) return failed(removed.error(), name);
  }
  if (kept.empty()) return {};
  if (auto synced = disk().sync_directory_now(log.directory_); !synced) return failed(synced.error(), "sync");
  for (const std::string& name : kept) {
    const std::string whole(std::string_view(name).substr(0, name.size() - kSwap.size()));
    if (auto renamed = disk().rename(path(name), path(whole)); !renamed) return failed(renamed.error(), name);
  }
  if (auto synced = disk().sync_directory_now(log.directory_); !synced) return failed(synced.error(), "sync");
  log.runtime_.mark(Mark::SwapCompleted);
  return {};
}

// Removes what an interrupted deletion or checkpoint left, and index files without their log.
Log::Done Log::Loader::sweep(std::vector<Offset>& bases) {
  auto names = disk().list(log.directory_);
  if (!names) return std::unexpected(log.fail(LogErrorKind::read_failed, names.error(), "list"));
  if (std::ranges::any_of(*names, [](const std::string& name) { return name.ends_with(kSwap); })) {
    if (auto completed = complete_swaps(*names); !completed) return completed;
    names = disk().list(log.directory_);
    if (!names) return std::unexpected(log.fail(LogErrorKind::read_failed, names.error(), "list"));
  }
  std::set<Offset> logs;
  for (const std::string& name : *names) {
    if (const auto base = parse_segment_file_name(name, ".log")) logs.insert(*base);
    if (const auto base = parse_segment_file_name(name, ".txnindex")) txn_files.insert(*base);
    if (const auto offset = parse_segment_file_name(name, ".snapshot")) log.snapshots_.insert(*offset);
  }
  for (const std::string& name : *names) {
    bool remove = is_leftover(name);
    for (const std::string_view suffix : {".index", ".timeindex", ".txnindex"}) {
      const auto base = parse_segment_file_name(name, suffix);
      remove = remove || (base && !logs.contains(*base));
    }
    if (!remove) continue;
    if (auto removed = disk().remove(path(name)); !removed) {
      return std::unexpected(log.fail(LogErrorKind::read_failed, removed.error(), name));
    }
    log.directory_dirty_ = true;
  }
  bases.assign(logs.begin(), logs.end());
  return {};
}

Log::Done Log::Loader::load_segments() {
  if (!disk().status(log.directory_)) {
    if (auto made = disk().make_directory(log.directory_); !made) {
      return std::unexpected(log.fail(LogErrorKind::append_failed, made.error(), "make directory"));
    }
    if (auto synced = disk().sync_directory_now(parent_of(log.directory_)); !synced) {
      return std::unexpected(log.fail(LogErrorKind::append_failed, synced.error(), "sync parent directory"));
    }
  }
  std::vector<Offset> bases;
  if (auto swept = sweep(bases); !swept) return swept;
  const WallTime now = log.runtime_.wall_now();
  for (const Offset base : bases) {
    const auto status = disk().status(log.path_of(base, SegmentFile::log));
    if (!status)
      return std::unexpected(log.fail(LogErrorKind::read_failed, status.error(), segment_file_name(base, ".log")));
    auto segment = std::make_shared<Segment>(base, now);
    segment->size = status->size;
    segment->txns_filed = txn_files.contains(base);
    log.size_bytes_ += status->size;
    log.segments_.push_back(std::move(segment));
  }
  const auto text = read_small_file(disk(), path("leader-epoch-checkpoint"));
  if (text) stored_epochs = parse_epochs(*text);
  log.log_start_ = input.log_start;
  log.cleaned_to_ = input.cleaned_to;
  if (log.segments_.empty()) {
    log.log_end_ = input.log_start;
    if (auto dropped = log.drop_snapshots_above(kNoOffset); !dropped) return dropped;
    return log.add_segment(input.log_start, now);
  }
  return drop_stray_snapshots();
}

Log::Done Log::Loader::load_clean() {
  Segment& newest = log.active();
  const auto end = log.make_active(newest, newest.size);
  if (!end) return std::unexpected(end.error());
  newest.index_dirty = true;  // trims Kafka's preallocation before the first entry
  log.log_end_ = *end;
  log.epochs_ = *stored_epochs;
  if (auto loaded = load_txns(log.segments_.size()); !loaded) return loaded;
  return load_clean_producers();
}

// The epoch of a batch at `base` that comes after one that ends at `before`: it began in the hole between them, as did
// others of which nothing is left, if the checkpoint says so (compaction took what they held).
void Log::Loader::assign_epochs(LeaderEpoch epoch, Offset before, Offset base) {
  if (stored_epochs && before != base) {
    for (const EpochStart& stored : stored_epochs->entries()) {
      if (stored.epoch > log.last_epoch() && stored.epoch <= epoch && stored.start >= before && stored.start <= base)
        log.epochs_.assign(stored.epoch, stored.start);
    }
  }
  if (epoch > log.last_epoch()) log.epochs_.assign(epoch, before);
}

// One segment, batch by batch. `whole` is false if it ends in something else than a whole, valid batch that continues
// the log; its good bytes are then counted in segment->size, the reason is in the report.
Task<Log::Done> Log::Loader::check_segment(std::shared_ptr<Segment> segment, Offset expected, bool* whole) {
  const std::string file_path = log.path_of(segment->base, SegmentFile::log);
  auto file = log.open_file(*segment, SegmentFile::log);
  if (!file) co_return std::unexpected(log.fail(LogErrorKind::read_failed, file.error(), file_path));
  const std::uint64_t end = segment->size;
  ScanWindow window(*file, end, kRecoveryChunk);
  segment->forget_batches();
  segment->txns.clear();
  segment->txns_written = 0;
  std::string why;
  std::uint64_t position = 0;
  while (position < end && why.empty()) {
    if (!window.has(position, kBatchHeaderSize)) {
      const std::error_code error = co_await window.load(position, kBatchHeaderSize);
      if (error) co_return std::unexpected(log.fail(LogErrorKind::read_failed, error, file_path));
    }
    const auto header = parse_header(window.view(position));
    if (!header) {
      why = name_of(header.error());
    } else if (header->size() > end - position) {
      why = name_of(BatchError::truncated);
    } else if (header->base_offset < expected || header->last_offset() - segment->base > INT32_MAX) {
      why = fmt::format("offset {} where {} is next", header->base_offset.value(), expected.value());
    } else if (header->leader_epoch > kNoEpoch && header->leader_epoch < log.last_epoch()) {
      why = fmt::format("epoch {} after {}", header->leader_epoch.value(), log.last_epoch().value());
    } else {
      const auto valid = co_await check_crc(&window, position, *header);
      if (!valid) co_return std::unexpected(log.fail(LogErrorKind::read_failed, valid.error(), file_path));
      if (!*valid && refuses_bad_crc(log.runtime_)) why = name_of(BatchError::bad_crc);
    }
    if (!why.empty()) break;
    if (header->base_offset > expected) log.recovery_.holes = true;
    const Offset before = expected;
    expected = header->next_offset();
    if (header->leader_epoch > log.last_epoch()) assign_epochs(header->leader_epoch, before, header->base_offset);
    segment->note(*header, position, log.config_.index_interval_bytes);
    if (header->producer_id > kNoProducerId) {
      if (header->control() && !window.has(position, header->size())) {
        const std::error_code error = co_await window.load(position, header->size());
        if (error) co_return std::unexpected(log.fail(LogErrorKind::read_failed, error, file_path));
      }
      log.note_producer(*header, window.view(position), *segment);
    }
    position += header->size();
    ++log.recovery_.batches;
  }
  *whole = why.empty();
  log.log_end_ = expected;
  cut_from = end;
  if (!*whole)
    log.recovery_.why_cut = fmt::format("{} at {}: {}", segment_file_name(segment->base, ".log"), position, why);
  co_return Done();
}

// Cuts a bad tail off and puts the index files right, if they are not.
Log::Done Log::Loader::finish_segment(Segment& segment, bool newest) {
  const std::string file_path = log.path_of(segment.base, SegmentFile::log);
  if (segment.size != cut_from) {
    log.runtime_.mark(Mark::RecoveryCutBatch);
    log.recovery_.bytes_cut += cut_from - segment.size;
    log.size_bytes_ -= cut_from - segment.size;
    auto file = log.open_file(segment, SegmentFile::log);
    if (!file) return std::unexpected(log.fail(LogErrorKind::append_failed, file.error(), file_path));
    if (auto cut = (*file)->truncate_now(segment.size); !cut) {
      return std::unexpected(log.fail(LogErrorKind::append_failed, cut.error(), file_path));
    }
    if (auto synced = (*file)->sync_now(); !synced) return std::unexpected(log.go_offline(synced.error(), file_path));
  }
  if (!newest) segment.finish_times();
  segment.log_dirty = true;  // recovery proves what is in the page cache, not what is on the disk
  Segment stored(segment.base, segment.created);
  stored.size = segment.size;
  const auto offsets = read_small_file(disk(), log.path_of(segment.base, SegmentFile::offset_index));
  const auto times = read_small_file(disk(), log.path_of(segment.base, SegmentFile::time_index));
  const bool same = offsets && times && Log::adopt_indexes(stored, as_bytes(*offsets), as_bytes(*times)) &&
                    stored.offsets.entries() == segment.offsets.entries() &&
                    stored.times.entries() == segment.times.entries();
  if (same) {
    segment.offsets_written = segment.offsets.size();
    segment.times_written = segment.times.size();
  } else {
    ++log.recovery_.indexes_rebuilt;
    log.runtime_.mark(Mark::RecoveryRebuiltIndex);
  }
  if (auto finished = finish_txns(segment); !finished) return finished;
  if (auto written = log.write_indexes(segment); !written) return written;
  if (!newest) segment.unload();
  return {};
}

// A file that is no index may be what an unclean stop left; one that says otherwise than the batches surely is.
Log::Done Log::Loader::finish_txns(Segment& segment) {
  if (!segment.txns_filed) return {};
  const std::string file_path = log.path_of(segment.base, SegmentFile::txn_index);
  const auto bytes = read_small_file(disk(), file_path);
  const auto stored = bytes ? TxnIndex::parse(as_bytes(*bytes), segment.base, log.log_end_) : std::nullopt;
  if (stored && stored->entries() == segment.txns.entries()) {
    segment.txns_written = segment.txns.size();
    return {};
  }
  if (!stored) log.runtime_.log(LogLevel::warn, "log", file_path + ": damaged; built anew from the log");
  ++log.recovery_.indexes_rebuilt;
  return {};
}

// Of the first `count` segments, which are not checked.
Log::Done Log::Loader::load_txns(std::size_t count) {
  for (std::size_t index = 0; index < count; ++index) {
    Segment& segment = *log.segments_[index];
    if (!segment.txns_filed) continue;
    const auto bytes = read_small_file(disk(), log.path_of(segment.base, SegmentFile::txn_index));
    auto stored = bytes ? TxnIndex::parse(as_bytes(*bytes), segment.base, log.end_of_segment(index)) : std::nullopt;
    if (stored) {
      segment.txns = std::move(*stored);
      segment.txns_written = segment.txns.size();
    } else if (auto rebuilt = log.rebuild_txns(segment); !rebuilt) {
      return rebuilt;
    }
  }
  return {};
}

// Those that stand at no segment's base, except the last one, if it is above them all: an orderly stop left it.
Log::Done Log::Loader::drop_stray_snapshots() {
  const std::set<Offset> all = log.snapshots_;
  for (const Offset offset : all) {
    const bool at_base =
        std::ranges::binary_search(log.segments_, offset, {}, [](const auto& segment) { return segment->base; });
    if (at_base || (offset == *all.rbegin() && offset > log.active().base)) continue;
    if (auto dropped = log.drop_snapshot(offset); !dropped) return dropped;
  }
  return {};
}

// Before recovery checks the segments from `index` on. Snapshots above are written anew on the way.
Log::Done Log::Loader::load_producers_before(std::size_t index) {
  const Offset base = log.segments_[index]->base;
  log.producers_.clear();
  if (auto loaded = load_txns(index); !loaded) return loaded;
  if (auto dropped = log.drop_snapshots_above(base); !dropped) return dropped;
  if (log.snapshots_.empty()) return {};
  return log.load_producers(log.producers_, base, marker_above_high_watermark(base) ? input.high_watermark : base);
}

// After an orderly stop a log without a snapshot has no producers.
Log::Done Log::Loader::load_clean_producers() {
  if (auto dropped = log.drop_snapshots_above(log.log_end_); !dropped) return dropped;
  if (log.snapshots_.empty()) return {};
  const Offset newest = *log.snapshots_.rbegin();
  return log.load_producers(log.producers_, log.log_end_,
                            marker_above_high_watermark(newest) ? input.high_watermark : newest);
}

// Whether a transaction ended between the high watermark and `below`: a snapshot there doesn't tell of it.
bool Log::Loader::marker_above_high_watermark(Offset below) {
  if (input.high_watermark >= below) return false;
  bool found = false;
  const auto walked =
      log.walk(std::max(input.high_watermark, log.segments_.front()->base), below, [&](const auto& header, Bytes) {
        found = header.control() && header.producer_id > kNoProducerId;
        return !found;
      });
  return found || !walked;
}

Log::Done Log::Loader::cut_segments_from(std::size_t index) {
  while (log.segments_.size() > index) {
    Segment& segment = log.active();
    log.recovery_.bytes_cut += segment.size;
    ++log.recovery_.segments_removed;
    if (auto removed = log.remove_files(segment); !removed) return removed;
    log.segments_.pop_back();
  }
  return {};
}

// A segment that begins later than the one before it ends: the tail between was lost, unless it lies below the recovery
// point, where compaction removes whole tails.
bool Log::Loader::hole_before(std::size_t index, Offset expected) {
  const Offset base = log.segments_[index]->base;
  if (base == expected) return false;
  log.recovery_.holes = true;
  log.runtime_.mark(Mark::RecoveryFoundHole);
  return base < expected || base > input.recovery_point;
}

Task<Log::Done> Log::Loader::check() {
  log.recovery_.checked = true;
  std::size_t index = stored_epochs ? log.segment_index_for(input.recovery_point) : 0;
  Offset expected = log.segments_[index]->base;
  if (stored_epochs) log.epochs_ = *stored_epochs;
  log.epochs_.truncate_from_end(expected);
  log.log_end_ = expected;
  if (Done loaded = load_producers_before(index); !loaded) co_return loaded;
  const std::size_t first = index;
  bool whole = true;
  for (; index < log.segments_.size() && whole; ++index) {
    const std::shared_ptr<Segment> segment = log.segments_[index];
    if (segment->base != log.log_end_ && hole_before(index, log.log_end_)) {
      log.recovery_.why_cut =
          fmt::format("{}: begins where {} is next", segment_file_name(segment->base, ".log"), log.log_end_.value());
      break;
    }
    if (index != first) {
      if (Done snapshot = log.write_snapshot(segment->base); !snapshot) co_return snapshot;
    }
    Done checked = co_await check_segment(segment, segment->base, &whole);
    if (!checked) co_return checked;
    if (Done finished = finish_segment(*segment, !whole || index + 1 == log.segments_.size()); !finished)
      co_return finished;
  }
  if (Done cut = cut_segments_from(index); !cut) co_return cut;
  // The last one that was kept may have been finished as if another came after it.
  Segment& newest = log.active();
  const auto end = log.make_active(newest, newest.size);
  if (!end) co_return std::unexpected(end.error());
  VERDICT_ASSERT(*end == log.log_end_);
  co_return log.drop_snapshots_above(log.log_end_);
}

Log::Done Log::Loader::settle_bounds() {
  log.log_start_ = std::max(log.log_start_, log.segments_.front()->base);
  if (log.log_start_ > log.log_end_) {
    // Everything that the checkpoint left was cut: the log goes on where it said.
    auto moved = log.truncate_fully_and_start_at(log.log_start_);
    if (!moved) return std::unexpected(moved.error());
  }
  // What a checkpoint says of a log that is not this long is of records that are gone.
  if (log.cleaned_to_ > log.log_end_ || log.cleaned_to_ < log.log_start_) log.cleaned_to_ = log.log_start_;
  log.epochs_.truncate_from_end(log.log_end_);
  log.epochs_.truncate_from_start(log.log_start_);
  const bool same = stored_epochs && stored_epochs->entries() == log.epochs_.entries();
  log.recovery_.epochs_rebuilt = !same && (stored_epochs || log.log_end_ > log.segments_.front()->base);
  if (same) log.epochs_written_ = log.epochs_version_;
  log.recovery_point_ = std::min(std::max(input.recovery_point, log.segments_.front()->base), log.log_end_);
  log.promised_point_ = std::max(input.recovery_point, log.recovery_point_);
  if (log.recovery_point_ < input.recovery_point || log.recovery_.bytes_cut > 0) return log.settle(log.active());
  return {};
}

Task<std::expected<std::unique_ptr<Log>, LogError>> Log::open(Runtime& runtime, FileCache& files, std::string directory,
                                                              LogConfig config, OpenInput input) {
  std::unique_ptr<Log> log(new Log(runtime, files, std::move(directory), config));
  Loader loader{.log = *log, .input = input, .stored_epochs = std::nullopt};
  if (auto loaded = loader.load_segments(); !loaded) co_return std::unexpected(loaded.error());
  // A new partition has no epochs to be missed.
  if (log->size_bytes_ == 0 && log->segments_.size() == 1 && !loader.stored_epochs) loader.stored_epochs.emplace();
  bool check = !input.clean || !loader.stored_epochs;
  if (!check && !loader.load_clean()) check = true;  // a clean stop that left damage: look at everything again
  if (check) {
    Done checked = co_await loader.check();
    if (!checked) co_return std::unexpected(checked.error());
  }
  if (auto settled = loader.settle_bounds(); !settled) co_return std::unexpected(settled.error());
  co_return std::move(log);
}

}  // namespace verdict::storage
