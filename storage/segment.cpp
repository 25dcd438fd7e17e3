#include "storage/segment.h"

#include <algorithm>

#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/crc32c.h"

namespace verdict::storage {

std::string_view suffix_of(SegmentFile file) {
  constexpr std::array<std::string_view, kSegmentFiles.size()> kSuffixes{".log", ".index", ".timeindex", ".txnindex"};
  return kSuffixes[static_cast<std::size_t>(file)];
}

void Segment::note(const BatchHeader& header, std::uint64_t position, std::uint32_t index_interval_bytes) {
  VERDICT_ASSERT(loaded);
  if (!first_timestamp) first_timestamp = header.max_timestamp;
  // Of a batch that compaction left empty no record has the time.
  if (header.count > 0 && header.max_timestamp > max_timestamp) {
    max_timestamp = header.max_timestamp;
    max_timestamp_offset = header.last_offset();
  }
  if (bytes_since_entry > index_interval_bytes) {
    offsets.append({relative(header.last_offset()), static_cast<std::uint32_t>(position)});
    if (max_timestamp > kNoTimestamp) times.maybe_append({max_timestamp, relative(max_timestamp_offset)});
    bytes_since_entry = 0;
    index_dirty = true;
  }
  bytes_since_entry += header.size();
  size = position + header.size();
}

void Segment::finish_times() {
  if (max_timestamp > kNoTimestamp && times.maybe_append({max_timestamp, relative(max_timestamp_offset)})) {
    index_dirty = true;
  }
}

void Segment::unload() {
  offsets = {};
  times = {};
  loaded = false;
}

void Segment::forget_batches() {
  offsets = {};
  times = {};
  offsets_written = times_written = 0;
  bytes_since_entry = 0;
  max_timestamp = kNoTimestamp;
  max_timestamp_offset = Offset(0);
  first_timestamp.reset();
  times_known = true;
  loaded = true;
  index_dirty = true;
  size = 0;
}

std::uint32_t Segment::relative(Offset offset) const {
  const std::int64_t distance = offset - base;
  VERDICT_ASSERT(distance >= 0 && distance <= INT32_MAX);
  return static_cast<std::uint32_t>(distance);
}

std::uint32_t Segment::position_for(Offset offset) const {
  const std::int64_t distance = std::clamp<std::int64_t>(offset - base, 0, INT32_MAX);
  return offsets.position_for_offset(static_cast<std::uint32_t>(distance));
}

bool Segment::index_full(std::uint32_t index_bytes) const {
  return (offsets.size() + 1) * OffsetIndex::kEntrySize > index_bytes ||
         (times.size() + 2) * TimeIndex::kEntrySize > index_bytes;  // one is kept for finish_times
}

std::optional<std::int64_t> Segment::largest_timestamp() const {
  if (!times_known || max_timestamp <= kNoTimestamp) return std::nullopt;
  return max_timestamp;
}

Bytes ScanWindow::view(std::uint64_t position) const {
  if (position < start_ || position >= start_ + filled_) return {};
  const auto skip = static_cast<std::size_t>(position - start_);
  return {buffer_.data() + skip, filled_ - skip};
}

std::span<std::byte> ScanWindow::prepare(std::uint64_t position, std::size_t need) {
  VERDICT_ASSERT(position <= end_);
  const std::uint64_t wanted = std::min<std::uint64_t>(std::max(need, chunk_), end_ - position);
  start_ = position;
  filled_ = 0;
  if (buffer_.size() < wanted) buffer_.resize(static_cast<std::size_t>(wanted));
  return {buffer_.data(), static_cast<std::size_t>(wanted)};
}

Task<std::error_code> ScanWindow::load(std::uint64_t position, std::size_t need) {
  const std::span<std::byte> into = prepare(position, need);
  if (into.empty()) co_return std::error_code();
  const IoResult read = co_await read_at(*file_, into, position);
  if (read.ok()) filled_ = read.bytes;
  co_return read.error;
}

std::error_code ScanWindow::load_now(std::uint64_t position, std::size_t need) {
  const std::span<std::byte> into = prepare(position, need);
  if (into.empty()) return {};
  const auto read = file_->read_now(into, position);
  if (!read) return read.error();
  filled_ = *read;
  return {};
}

Task<std::expected<bool, std::error_code>> check_crc(ScanWindow* window, std::uint64_t position, BatchHeader header) {
  constexpr std::size_t kNotCovered = 21;
  const std::uint64_t end = position + header.size();
  std::uint32_t sum = 0;
  for (std::uint64_t at = position + kNotCovered; at < end;) {
    if (!window->has(at, 1)) {
      const std::error_code error = co_await window->load(at, 1);
      if (error) co_return std::unexpected(error);
      if (!window->has(at, 1)) co_return false;
    }
    const Bytes seen = window->view(at);
    const Bytes part = seen.first(std::min<std::uint64_t>(seen.size(), end - at));
    sum = crc32c(part, sum);
    at += part.size();
  }
  co_return sum == header.crc;
}

Task<std::expected<std::vector<std::byte>, std::error_code>> read_whole(std::shared_ptr<File> file) {
  std::vector<std::byte> bytes(file->size());
  if (bytes.empty()) co_return bytes;
  const IoResult read = co_await read_at(*file, bytes, 0);
  if (!read.ok()) co_return std::unexpected(read.error);
  bytes.resize(read.bytes);
  co_return bytes;
}

std::expected<std::vector<std::byte>, std::error_code> read_whole_now(File& file) {
  std::vector<std::byte> bytes(file.size());
  if (bytes.empty()) return bytes;
  const auto read = file.read_now(bytes, 0);
  if (!read) return std::unexpected(read.error());
  bytes.resize(*read);
  return bytes;
}

}  // namespace verdict::storage
