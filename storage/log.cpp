#include "storage/log.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/assert.h"
#include "storage/planted.h"
#include "storage/segment.h"

namespace verdict::storage {
namespace {

// Planted defects of epoch fencing: Kafka's log compares no epochs, so nothing but the protocol keeps logs the same.
bool takes_any_epoch(const DefectSet& defects) {
  return defects.has(Defect::Kip279) || defects.has(Defect::Kip320Fetch) || defects.has(Defect::Kip320Truncate);
}

}  // namespace

Log::Log(Runtime& runtime, FileCache& files, std::string directory, LogConfig config)
    : runtime_(runtime), files_(files), directory_(std::move(directory)), config_(config), flushed_(runtime) {}

Log::~Log() = default;

std::string Log::path_of(Offset base, SegmentFile file) const {
  std::string path = directory_ + "/";
  append_segment_file_name(path, base, suffix_of(file));
  return path;
}

Outcome<std::shared_ptr<File>> Log::open_file(Segment& segment, SegmentFile file, bool create) {
  FileCache::Slot& slot = segment.files[static_cast<std::size_t>(file)];
  return files_.get(slot, [&] { return path_of(segment.base, file); }, create);
}

LeaderEpoch Log::last_epoch() const {
  const auto latest = epochs_.latest();
  return latest ? latest->epoch : kNoEpoch;
}

Offset Log::active_segment_base() const { return active().base; }

std::size_t Log::segment_index_for(Offset offset) const {
  const auto after = std::ranges::upper_bound(segments_, offset, {}, [](const auto& segment) { return segment->base; });
  return after == segments_.begin() ? 0 : static_cast<std::size_t>(after - segments_.begin()) - 1;
}

// The one that begins at `base`.
Segment& Log::segment_of(Offset base) { return active().base == base ? active() : *segments_[segment_index_for(base)]; }

Offset Log::end_of_segment(std::size_t index) const {
  return index + 1 < segments_.size() ? segments_[index + 1]->base : log_end_;
}

// Positions are signed 32-bit numbers in Kafka's indexes.
std::uint64_t Log::segment_limit() const { return std::min<std::uint64_t>(config_.segment_bytes, INT32_MAX); }

LogError Log::fail(LogErrorKind kind, std::error_code cause, std::string detail) const {
  return LogError{kind, cause, directory_ + ": " + std::move(detail)};
}

LogError Log::go_offline(std::error_code cause, std::string detail) {
  if (!offline_) {
    runtime_.mark(Mark::LogDirectoryOffline);
    offline_ = fail(LogErrorKind::offline, cause, std::move(detail));
  }
  return *offline_;
}

std::expected<Appended, LogError> Log::append_as_leader(std::span<std::byte> batch, LeaderEpoch epoch, WallTime now,
                                                        AppendOrigin origin) {
  if (offline_) return std::unexpected(*offline_);
  VERDICT_ASSERT(epoch >= last_epoch(), "a leader appends in the newest epoch");
  const auto parsed = parse_header(batch);
  VERDICT_ASSERT(parsed && parsed->size() == batch.size(), "only validated batches are appended");
  if (batch.size() > segment_limit()) {
    return std::unexpected(
        fail(LogErrorKind::too_large, {},
             fmt::format("a batch of {} bytes, segment.bytes is {}", batch.size(), segment_limit())));
  }
  stamp(batch, log_end_, epoch);
  BatchHeader header = *parsed;
  header.base_offset = log_end_;
  header.leader_epoch = epoch;
  if (header.producer_id > kNoProducerId) {
    auto known = admit(header, batch, origin);
    if (!known) return std::unexpected(known.error());
    if (*known) return **known;
  }
  bool rolled = false;
  if (auto room = make_room(batch.size(), header, now, rolled); !room) return std::unexpected(room.error());
  if (auto written = write_bytes(batch); !written) return std::unexpected(written.error());
  const Appended appended = note_appended(header, rolled);
  if (header.producer_id > kNoProducerId) note_producer(header, batch, active());
  replayed_ = true;
  return appended;
}

Log::Done Log::check_follower_batches(Bytes batches, Holes holes) const {
  Offset expected = log_end_;
  LeaderEpoch newest = last_epoch();
  const auto refuse = [&](std::string why) {
    return std::unexpected(fail(LogErrorKind::invalid_batch, {}, std::move(why)));
  };
  while (!batches.empty()) {
    const auto batch = take_batch(batches);
    if (!batch) return refuse(fmt::format("batch for offset {}: {}", expected.value(), name_of(batch.error())));
    const BatchHeader& header = batch->header();
    if (!batch->crc_valid() && refuses_bad_crc(runtime_))
      return refuse(fmt::format("batch at offset {}: bad CRC", header.base_offset.value()));
    const bool continues = holes == Holes::allowed ? header.base_offset >= expected : header.base_offset == expected;
    if (!continues) {
      return refuse(fmt::format("batch at offset {}, expected {}", header.base_offset.value(), expected.value()));
    }
    if (header.leader_epoch > kNoEpoch && header.leader_epoch < newest && !takes_any_epoch(runtime_.defects())) {
      return refuse(fmt::format("batch at offset {} has epoch {} after {}", header.base_offset.value(),
                                header.leader_epoch.value(), newest.value()));
    }
    newest = std::max(newest, header.leader_epoch);
    expected = header.next_offset();
  }
  return {};
}

std::expected<void, LogError> Log::append_as_follower(Bytes batches, Holes holes, WallTime now,
                                                      std::vector<Appended>& appended) {
  appended.clear();
  if (offline_) return std::unexpected(*offline_);
  if (auto checked = check_follower_batches(batches, holes); !checked) return checked;
  while (!batches.empty()) {
    const auto first = parse_header(batches);
    bool rolled = false;
    if (auto room = make_room(first->size(), *first, now, rolled); !room) return room;
    // One write takes as many batches as the segment has room for.
    std::size_t group = first->size();
    while (group < batches.size()) {
      const auto next = parse_header(batches.subspan(group));
      if (roll_due(group + next->size(), *next, now)) break;
      group += next->size();
    }
    if (auto written = write_bytes(batches.first(group)); !written) return written;
    for (std::size_t at = 0; at < group;) {
      const auto header = parse_header(batches.subspan(at));
      appended.push_back(note_appended(*header, rolled && at == 0));
      if (header->producer_id > kNoProducerId) note_producer(*header, batches.subspan(at), active());
      at += header->size();
    }
    batches = batches.subspan(group);
  }
  return {};
}

// Kafka's LogSegment.shouldRoll.
bool Log::roll_due(std::size_t bytes, const BatchHeader& first, WallTime now) const {
  const Segment& segment = active();
  if (first.last_offset() - segment.base > INT32_MAX) return true;
  if (segment.size == 0) return false;
  if (segment.size + bytes > segment_limit() || segment.index_full(config_.index_bytes)) return true;
  const std::int64_t waited = segment.first_timestamp && *segment.first_timestamp >= 0
                                  ? first.max_timestamp - *segment.first_timestamp
                                  : to_ms(now) - to_ms(segment.created);
  return waited > config_.segment_ms;
}

Log::Done Log::make_room(std::size_t bytes, const BatchHeader& first, WallTime now, bool& rolled) {
  if (!roll_due(bytes, first, now) && !(active().size != 0 && runtime_.maybe(Site::EarlyRoll))) return {};
  rolled = true;
  // Offsets of a segment are within 31 bits of its base, also after a large hole.
  const Offset base = first.last_offset() - log_end_ > INT32_MAX ? first.base_offset : log_end_;
  // An empty segment can't take the batch either: its base is too far below.
  if (active().size == 0) {
    Segment& stale = active();
    if (auto removed = remove_files(stale); !removed) return removed;
    segments_.pop_back();
    if (auto snapshot = write_snapshot(base); !snapshot) return snapshot;
    return add_segment(base, now);
  }
  return start_segment(base, now);
}

Log::Done Log::write_bytes(Bytes bytes) {
  Segment& segment = active();
  auto file = open_file(segment, SegmentFile::log, true);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(fail(LogErrorKind::append_failed, file.error(), path()));
  if ((*file)->size() != segment.size) {
    return std::unexpected(
        go_offline({}, fmt::format("{}: {} bytes, {} expected", path(), (*file)->size(), segment.size)));
  }
  const ConstBuffer buffer{bytes.data(), bytes.size()};
  const auto written = (*file)->append_now(std::span(&buffer, 1));
  if (written && *written == bytes.size()) {
    segment.log_dirty = true;
    return {};
  }
  const std::error_code cause = written ? std::make_error_code(std::errc::no_space_on_device) : written.error();
  runtime_.mark(Mark::AppendFailedCutBack);
  if (auto cut = (*file)->truncate_now(segment.size); !cut) {
    return std::unexpected(go_offline(cut.error(), path() + ": a failed append can't be cut back"));
  }
  return std::unexpected(fail(LogErrorKind::append_failed, cause, path()));
}

Appended Log::note_appended(const BatchHeader& header, bool rolled) {
  Segment& segment = active();
  const std::uint64_t position = segment.size;
  segment.note(header, position, config_.index_interval_bytes);
  size_bytes_ += header.size();
  // Behind a hole of a compacted log as well: what stood there may have been of this epoch already. Kafka takes the
  // batch's own offset, and lets a follower keep what diverges in the hole.
  if (header.leader_epoch > last_epoch() && epochs_.assign(header.leader_epoch, log_end_)) ++epochs_version_;
  log_end_ = header.next_offset();
  const auto size = static_cast<std::uint32_t>(header.size());
  push_tail({header.base_offset, header.last_offset(), segment.base, position, size});
  return {header.base_offset,
          header.last_offset(),
          header.leader_epoch,
          segment.base,
          position,
          size,
          header.crc,
          header.max_timestamp,
          rolled};
}

void Log::push_tail(const Tail& tail) {
  if (tail_.size() < config_.tail_batches) {
    if (tail_first_ != 0) {
      std::ranges::rotate(tail_, tail_.begin() + static_cast<std::ptrdiff_t>(tail_first_));
      tail_first_ = 0;
    }
    tail_.push_back(tail);
  } else if (!tail_.empty()) {
    tail_[tail_first_] = tail;
    tail_first_ = (tail_first_ + 1) % tail_.size();
  }
}

bool Log::assign_epoch_start(LeaderEpoch epoch, Offset start) {
  const bool changed = epochs_.assign(epoch, start);
  if (changed) ++epochs_version_;
  if (changed) replayed_ = false;
  return changed;
}

bool Log::advance_log_start(Offset offset) {
  VERDICT_ASSERT(offset <= log_end_);
  if (offset <= log_start_) return false;
  log_start_ = offset;
  if (epochs_.truncate_from_start(offset)) ++epochs_version_;
  return true;
}

Log::Done Log::add_segment(Offset base, WallTime now) {
  auto segment = std::make_shared<Segment>(base, now);
  auto file = open_file(*segment, SegmentFile::log, true);
  const auto path = [&] { return path_of(base, SegmentFile::log); };
  if (!file) return std::unexpected(fail(LogErrorKind::append_failed, file.error(), path()));
  if ((*file)->size() != 0) {
    if (auto cut = (*file)->truncate_now(0); !cut) return std::unexpected(go_offline(cut.error(), path()));
  }
  segment->loaded = segment->times_known = true;
  segment->log_dirty = segment->index_dirty = true;
  segments_.push_back(std::move(segment));
  directory_dirty_ = true;
  return {};
}

// The old segment's index goes to its file before the new segment exists: a crash between leaves no segment behind the
// newest with less than what recovery finds. So does the producers' snapshot, which recovery of the new segment needs.
Log::Done Log::start_segment(Offset base, WallTime now) {
  Segment& old = active();
  old.finish_times();
  if (auto snapshot = write_snapshot(base); !snapshot) return snapshot;
  if (auto written = write_indexes(old); !written) return written;
  if (recovery_point_ < promised_point_) {
    // The checkpoint on disk may name an offset in the segment that begins now: recovery would not look at this one.
    if (auto settled = settle(old); !settled) return settled;
    if (auto epochs = write_epochs_now(); !epochs) return epochs;
  }
  if (auto added = add_segment(base, now); !added) return added;
  note_loaded(old);
  runtime_.mark(Mark::SegmentRolled);
  return {};
}

std::expected<bool, LogError> Log::roll(WallTime now) {
  if (offline_) return std::unexpected(*offline_);
  if (active().size == 0) return false;
  if (auto started = start_segment(log_end_, now); !started) return std::unexpected(started.error());
  return true;
}

std::expected<bool, LogError> Log::roll_if_due(WallTime now) {
  if (offline_) return std::unexpected(*offline_);
  const Segment& segment = active();
  const std::int64_t since =
      segment.first_timestamp && *segment.first_timestamp >= 0 ? *segment.first_timestamp : to_ms(segment.created);
  if (segment.size == 0 || to_ms(now) - since <= config_.segment_ms) return false;
  return roll(now);
}

}  // namespace verdict::storage
