#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/log.h"
#include "storage/segment.h"

// Reads and look-ups. A task that slept compares generation_: after a truncation or removal it starts again.
namespace verdict::storage {
namespace {

constexpr std::size_t kLoadedAtMost = 2;  // inactive segments of one log whose indexes stay in memory

}  // namespace

// The oldest kept batch that ends at or after `from`, if it is certain that no batch before it does.
std::optional<std::size_t> Log::find_tail(Offset from) const {
  std::size_t low = 0;
  std::size_t high = tail_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (tail_at(middle).last < from) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == tail_.size()) return std::nullopt;
  if (low == 0 && tail_at(0).base > from) return std::nullopt;
  return low;
}

ReadSlice Log::slice_of_tail(std::size_t index, std::size_t max_bytes, Offset upper_bound, bool at_least_one) const {
  const Tail& first = tail_at(index);
  ReadSlice slice;
  slice.segment_base = first.segment_base;
  slice.position = first.position;
  slice.first = first.base;
  slice.next = first.base;
  for (; index < tail_.size(); ++index) {
    const Tail& batch = tail_at(index);
    if (batch.segment_base != first.segment_base || batch.last >= upper_bound) break;
    if (slice.size + batch.size > max_bytes && !(slice.size == 0 && at_least_one)) {
      if (slice.size != 0) slice.size = std::max(slice.size, max_bytes);
      break;
    }
    slice.size += batch.size;
    slice.next = batch.last + 1;
  }
  return slice;
}

std::optional<std::expected<ReadSlice, LogError>> Log::try_read(Offset from, std::size_t max_bytes, Offset upper_bound,
                                                                bool at_least_one) {
  using Read = std::expected<ReadSlice, LogError>;
  if (offline_) return Read(std::unexpected(*offline_));
  if (from < log_start_ || from > log_end_) {
    return Read(std::unexpected(
        fail(LogErrorKind::out_of_range, {},
             fmt::format("offset {} is not in {} to {}", from.value(), log_start_.value(), log_end_.value()))));
  }
  ReadSlice empty;
  empty.first = empty.next = from;
  empty.segment_base = active().base;
  empty.position = active().size;
  if (from >= upper_bound || from == log_end_) return Read(std::move(empty));
  const auto index = find_tail(from);
  if (!index) return std::nullopt;
  ReadSlice slice = slice_of_tail(*index, max_bytes, upper_bound, at_least_one);
  if (slice.empty()) {
    empty.segment_base = slice.segment_base;
    empty.position = slice.position;
    return Read(std::move(empty));
  }
  auto file = open_file(segment_of(slice.segment_base), SegmentFile::log);
  if (!file) {
    return Read(
        std::unexpected(fail(LogErrorKind::read_failed, file.error(), path_of(slice.segment_base, SegmentFile::log))));
  }
  slice.file = *file;
  return Read(std::move(slice));
}

bool Log::adopt_indexes(Segment& segment, Bytes offsets, Bytes times) {
  auto offset_index = OffsetIndex::parse(offsets, segment.size);
  auto time_index = TimeIndex::parse(times);
  if (!offset_index || !time_index) return false;
  segment.offsets = std::move(*offset_index);
  segment.times = std::move(*time_index);
  segment.offsets_written = segment.offsets.size();
  segment.times_written = segment.times.size();
  segment.loaded = true;
  if (const auto last = segment.times.last(); last && !segment.times_known) {
    segment.max_timestamp = last->timestamp;
    segment.max_timestamp_offset = segment.base + last->relative;
  }
  segment.times_known = true;
  return true;
}

void Log::note_loaded(Segment& segment) {
  std::erase(loaded_, segment.base);
  loaded_.push_back(segment.base);
  while (loaded_.size() > kLoadedAtMost) {
    Segment& oldest = *segments_[segment_index_for(loaded_.front())];
    if (oldest.base == loaded_.front() && &oldest != &active() && !oldest.index_dirty) oldest.unload();
    loaded_.erase(loaded_.begin());
  }
}

Task<Log::Done> Log::rebuild_indexes(std::shared_ptr<Segment> segment) {
  runtime_.mark(Mark::RecoveryRebuiltIndex);
  auto file = open_file(*segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment->base, SegmentFile::log); };
  if (!file) co_return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  const std::uint64_t generation = generation_;
  Segment fresh(segment->base, segment->created);
  fresh.forget_batches();
  ScanWindow window(*file, segment->size, kRecoveryChunk);
  for (std::uint64_t position = 0; position < segment->size;) {
    if (!window.has(position, kBatchHeaderSize)) {
      const std::error_code error = co_await window.load(position, kBatchHeaderSize);
      if (error) co_return std::unexpected(fail(LogErrorKind::read_failed, error, path()));
      if (generation != generation_) co_return Done();
    }
    const auto header = parse_header(window.view(position));
    if (!header || header->base_offset < segment->base || header->last_offset() - segment->base > INT32_MAX) {
      co_return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
    }
    fresh.note(*header, position, config_.index_interval_bytes);
    position += header->size();
  }
  fresh.finish_times();
  segment->offsets = std::move(fresh.offsets);
  segment->times = std::move(fresh.times);
  segment->offsets_written = segment->times_written = 0;
  segment->index_dirty = true;
  segment->max_timestamp = fresh.max_timestamp;
  segment->max_timestamp_offset = fresh.max_timestamp_offset;
  segment->times_known = segment->loaded = true;
  co_return write_indexes(*segment);
}

// On return the indexes are in memory, or the generation has changed.
Task<Log::Done> Log::load_indexes(std::shared_ptr<Segment> segment) {
  if (segment->loaded) co_return Done();
  const std::uint64_t generation = generation_;
  bool whole = false;
  auto offsets_file = open_file(*segment, SegmentFile::offset_index);
  auto times_file = open_file(*segment, SegmentFile::time_index);
  if (offsets_file && times_file) {
    const auto offsets = co_await read_whole(*offsets_file);
    const auto times = co_await read_whole(*times_file);
    if (generation != generation_ || segment->loaded) co_return Done();
    whole = offsets && times && adopt_indexes(*segment, *offsets, *times);
  }
  if (!whole) {
    Done rebuilt = co_await rebuild_indexes(segment);
    // An index that can't be written still serves from memory.
    if (!rebuilt && rebuilt.error().kind != LogErrorKind::append_failed) co_return rebuilt;
  }
  if (generation == generation_) note_loaded(*segment);
  co_return Done();
}

Log::Done Log::load_now(Segment& segment) {
  if (segment.loaded) return {};
  auto offsets_file = open_file(segment, SegmentFile::offset_index);
  auto times_file = open_file(segment, SegmentFile::time_index);
  if (offsets_file && times_file) {
    const auto offsets = read_whole_now(**offsets_file);
    const auto times = read_whole_now(**times_file);
    if (offsets && times && adopt_indexes(segment, *offsets, *times)) {
      if (&segment != &active()) note_loaded(segment);
      return {};
    }
  }
  return rebuild_now(segment);
}

Log::Done Log::bring_now(ScanWindow& window, const Segment& segment, std::uint64_t position, std::size_t need) const {
  if (window.has(position, need)) return {};
  if (const auto error = window.load_now(position, need))
    return std::unexpected(fail(LogErrorKind::read_failed, error, path_of(segment.base, SegmentFile::log)));
  return {};
}

Log::Done Log::rebuild_now(Segment& segment) {
  runtime_.mark(Mark::RecoveryRebuiltIndex);
  auto file = open_file(segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment.base, SegmentFile::log); };
  if (!file) return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  const std::uint64_t size = segment.size;
  segment.forget_batches();
  ScanWindow window(*file, size, kRecoveryChunk);
  for (std::uint64_t position = 0; position < size;) {
    if (auto there = bring_now(window, segment, position, kBatchHeaderSize); !there) return there;
    const auto header = parse_header(window.view(position));
    if (!header || header->base_offset < segment.base || header->size() > size - position ||
        header->last_offset() - segment.base > INT32_MAX) {
      segment.size = size;
      return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
    }
    segment.note(*header, position, config_.index_interval_bytes);
    position += header->size();
  }
  if (&segment != &active()) segment.finish_times();
  return {};
}

// The first batch of the segment that ends at or after `from`. Where the generation changes on the way, the result
// means nothing.
Task<std::expected<Log::Place, LogError>> Log::find_batch(std::shared_ptr<Segment> segment, Offset from) {
  Place place{segment, 0, {}, false};
  const std::uint64_t generation = generation_;
  Done loaded = co_await load_indexes(segment);
  if (!loaded) co_return std::unexpected(loaded.error());
  if (generation != generation_) co_return place;
  auto file = open_file(*segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment->base, SegmentFile::log); };
  if (!file) co_return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  ScanWindow window(*file, segment->size, kLookupChunk);
  place.position = segment->position_for(from);
  while (place.position < window.end()) {
    if (!window.has(place.position, kBatchHeaderSize)) {
      const std::error_code error = co_await window.load(place.position, kBatchHeaderSize);
      if (generation != generation_) co_return place;
      if (error) co_return std::unexpected(fail(LogErrorKind::read_failed, error, path()));
    }
    const auto header = parse_header(window.view(place.position));
    if (!header) {
      co_return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), place.position)));
    }
    if (header->last_offset() >= from) {
      place.header = *header;
      place.found = true;
      break;
    }
    place.position += header->size();
  }
  co_return place;
}

// From a batch on as many as the bounds allow. The sparse index gives a place close to the end; headers do the rest.
Task<std::expected<ReadSlice, LogError>> Log::cut_slice(Place place, std::size_t max_bytes, Offset upper_bound,
                                                        bool at_least_one) {
  const std::shared_ptr<Segment> segment = place.segment;
  const std::uint64_t generation = generation_;
  ReadSlice slice;
  slice.segment_base = segment->base;
  slice.position = place.position;
  slice.first = slice.next = place.header.base_offset;
  const std::size_t first_size = place.header.size();
  if (place.header.last_offset() >= upper_bound || (first_size > max_bytes && !at_least_one)) co_return slice;
  auto file = open_file(*segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment->base, SegmentFile::log); };
  if (!file) co_return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  slice.file = *file;
  slice.size = first_size;
  slice.next = place.header.next_offset();
  if (first_size >= max_bytes) co_return slice;

  const std::uint64_t end = segment->size;
  const std::uint64_t limit = std::min<std::uint64_t>(end, place.position + max_bytes);
  const Offset segment_end = end_of_segment(segment_index_for(segment->base));
  if (limit == end && upper_bound >= segment_end) {
    slice.size = static_cast<std::size_t>(end - place.position);
    slice.next = segment_end;
    co_return slice;
  }
  std::uint64_t position = place.position + first_size;
  if (segment->loaded) {
    std::uint64_t jump = segment->offsets.position_at_or_below(limit - 1);
    if (upper_bound < segment_end) {
      jump = std::min<std::uint64_t>(jump, segment->position_for(upper_bound));
    }
    position = std::max(position, jump);
  }
  ScanWindow window(slice.file, end, kLookupChunk);
  while (position < limit) {
    if (!window.has(position, kBatchHeaderSize)) {
      const std::error_code error = co_await window.load(position, kBatchHeaderSize);
      if (generation != generation_) co_return slice;
      if (error) co_return std::unexpected(fail(LogErrorKind::read_failed, error, path()));
    }
    const auto header = parse_header(window.view(position));
    if (!header) co_return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
    slice.size = static_cast<std::size_t>(position - slice.position);
    if (header->base_offset > slice.next) slice.next = header->base_offset;
    if (header->last_offset() >= upper_bound) break;
    if (position + header->size() > limit) {
      slice.size = static_cast<std::size_t>(limit - slice.position);
      break;
    }
    position += header->size();
    slice.size = static_cast<std::size_t>(position - slice.position);
    slice.next = header->next_offset();
  }
  co_return slice;
}

Task<std::expected<ReadSlice, LogError>> Log::read(Offset from, std::size_t max_bytes, Offset upper_bound,
                                                   bool at_least_one) {
  for (;;) {
    if (auto hot = try_read(from, max_bytes, upper_bound, at_least_one)) co_return std::move(*hot);
    const std::uint64_t generation = generation_;
    Place place;
    for (std::size_t index = segment_index_for(from); index < segments_.size() && !place.found; ++index) {
      auto found = co_await find_batch(segments_[index], from);
      if (generation != generation_) break;
      if (!found) co_return std::unexpected(found.error());
      place = *found;
    }
    if (generation != generation_) continue;
    ReadSlice empty;
    empty.first = empty.next = from;
    empty.segment_base = active().base;
    empty.position = active().size;
    if (!place.found) co_return empty;  // nothing but a hole up to the log end
    auto slice = co_await cut_slice(place, max_bytes, upper_bound, at_least_one);
    if (generation != generation_) continue;
    if (slice && slice->empty()) {
      empty.segment_base = slice->segment_base;
      empty.position = slice->position;
      co_return empty;
    }
    co_return slice;
  }
}

Task<std::expected<std::vector<std::byte>, LogError>> Log::read_bytes(Offset from, std::size_t max_bytes,
                                                                      Offset upper_bound, bool at_least_one) {
  for (;;) {
    const std::uint64_t generation = generation_;
    auto slice = co_await read(from, max_bytes, upper_bound, at_least_one);
    if (!slice) co_return std::unexpected(slice.error());
    std::vector<std::byte> bytes(slice->size);
    if (bytes.empty()) co_return bytes;
    const IoResult got = co_await read_at(*slice->file, bytes, slice->position);
    if (generation != generation_) continue;
    const auto path = [&] { return path_of(slice->segment_base, SegmentFile::log); };
    if (!got.ok()) co_return std::unexpected(fail(LogErrorKind::read_failed, got.error, path()));
    if (got.bytes != bytes.size()) co_return std::unexpected(fail(LogErrorKind::damaged, {}, path() + ": ends early"));
    co_return bytes;
  }
}

// The first record of the segment at or after log start with a timestamp >= the target.
Task<std::expected<std::optional<TimedOffset>, LogError>> Log::search_segment(std::shared_ptr<Segment> segment,
                                                                              std::int64_t timestamp_ms,
                                                                              Decompressor& decompressor) {
  using Found = std::optional<TimedOffset>;
  const std::uint64_t generation = generation_;
  Done loaded = co_await load_indexes(segment);
  if (!loaded) co_return std::unexpected(loaded.error());
  if (generation != generation_) co_return Found();
  auto file = open_file(*segment, SegmentFile::log);
  const auto path = [&] { return path_of(segment->base, SegmentFile::log); };
  if (!file) co_return std::unexpected(fail(LogErrorKind::read_failed, file.error(), path()));
  // Nothing up to this entry is later than one ms before the target.
  const auto entry = segment->times.lookup(std::max<std::int64_t>(timestamp_ms, 0) - 1);
  const Offset begin = segment->base + (entry ? entry->relative : 0);
  std::uint64_t position = segment->position_for(std::max(begin, log_start_));
  ScanWindow window(*file, segment->size, kLookupChunk);
  while (position < window.end()) {
    std::size_t need = kBatchHeaderSize;
    for (int pass = 0; pass < 2; ++pass) {
      if (!window.has(position, need)) {
        const std::error_code error = co_await window.load(position, need);
        if (generation != generation_) co_return Found();
        if (error) co_return std::unexpected(fail(LogErrorKind::read_failed, error, path()));
      }
      const auto header = parse_header(window.view(position));
      if (!header || header->size() > window.end() - position) {
        co_return std::unexpected(fail(LogErrorKind::damaged, {}, fmt::format("{} at {}", path(), position)));
      }
      need = header->size();
      if (header->max_timestamp < timestamp_ms || header->last_offset() < log_start_) break;
    }
    const auto batch = BatchView::parse(window.view(position));
    position += need;
    if (!batch || batch->header().max_timestamp < timestamp_ms) continue;
    auto records = open_records(*batch, decompressor);
    RecordView record;
    for (bool more = records.has_value(); more;) {
      const auto next = records->next(record);
      more = next.value_or(false);
      if (!more || record.timestamp < timestamp_ms || record.offset < log_start_) continue;
      co_return Found(TimedOffset{record.offset, record.timestamp, batch->header().leader_epoch});
    }
  }
  co_return Found();
}

Task<std::expected<std::optional<TimedOffset>, LogError>> Log::offset_for_time(std::int64_t timestamp_ms,
                                                                               Decompressor& decompressor) {
  using Found = std::optional<TimedOffset>;
  for (;;) {
    if (offline_) co_return std::unexpected(*offline_);
    const std::uint64_t generation = generation_;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (auto learned = learn_timestamps(*segments_[i]); !learned) co_return std::unexpected(learned.error());
      if (segments_[i]->largest_timestamp().value_or(kNoTimestamp) < timestamp_ms) continue;
      auto found = co_await search_segment(segments_[i], timestamp_ms, decompressor);
      if (generation != generation_) break;
      if (!found || *found) co_return found;
    }
    if (generation == generation_) co_return Found();
  }
}

Task<std::expected<std::optional<TimedOffset>, LogError>> Log::offset_of_max_timestamp(Decompressor& decompressor) {
  std::int64_t largest = kNoTimestamp;
  if (offline_) co_return std::unexpected(*offline_);
  for (const auto& segment : segments_) {
    if (auto learned = learn_timestamps(*segment); !learned) co_return std::unexpected(learned.error());
    largest = std::max(largest, segment->largest_timestamp().value_or(kNoTimestamp));
  }
  if (largest == kNoTimestamp) co_return std::optional<TimedOffset>();
  co_return co_await offset_for_time(largest, decompressor);
}

}  // namespace verdict::storage
