#include "storage/batch_filter.h"

#include <algorithm>

#include "runtime/assert.h"

namespace verdict::storage {
namespace {

constexpr std::int16_t kHorizonBit = 0x40;
constexpr std::int16_t kCodecBits = 0x07;

}  // namespace

std::expected<Filtered, BatchError> BatchFilter::filter(const BatchView& batch, const BatchRetention& retention,
                                                        const Keep& keep, std::vector<std::byte>& out,
                                                        std::vector<Offset>* kept) {
  const BatchHeader& header = batch.header();
  left_.clear();
  first_timestamp_ = max_timestamp_ = kNoTimestamp;
  tombstones_ = false;
  bool all = true;
  if (!retention.discard_records) {
    auto records = open_records(batch, decompressor_);
    if (!records) return std::unexpected(records.error());
    RecordView record;
    for (;;) {
      const auto more = records->next(record);
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      if (!keep(record)) {
        all = false;
        continue;
      }
      if (left_.empty()) first_timestamp_ = record.timestamp;
      max_timestamp_ = std::max(max_timestamp_, record.timestamp);
      tombstones_ = tombstones_ || !record.value;
      left_.push_back(record.encoded());
      if (kept != nullptr) kept->push_back(record.offset);
    }
  }
  if (left_.empty()) {
    if (!retention.keep_empty) return Filtered::gone;
    write_empty(header, out);
    return Filtered::emptied;
  }
  const bool new_horizon = (tombstones_ || retention.marker_of_nothing) && !header.delete_horizon();
  if (all && !new_horizon) {
    out.insert(out.end(), batch.bytes().begin(), batch.bytes().end());
    return Filtered::unchanged;
  }
  const std::int64_t old_horizon_ms = header.delete_horizon() ? header.base_timestamp : -1;
  rewrite(header, new_horizon ? retention.new_horizon_ms : old_horizon_ms, out);
  return Filtered::rewritten;
}

// One with another distance to the base timestamp, which is later by `shift_ms` now.
void BatchFilter::move_record(Bytes record, std::int64_t shift_ms) {
  ByteReader reader(record);
  std::int32_t length = 0;
  std::int8_t attributes = 0;
  std::int64_t delta = 0;
  const bool read = reader.varint(length) && reader.fixed(attributes) && reader.varlong(delta);
  VERDICT_ASSERT(read, "a record is checked before it is kept");
  const Bytes rest(reader.position(), reader.left());
  // Wraps as the reader's sum does.
  const auto moved =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(delta) - static_cast<std::uint64_t>(shift_ms));
  put_varint(records_, static_cast<std::int64_t>(1 + varint_size(moved) + rest.size()));
  records_.push_back(static_cast<std::byte>(attributes));
  put_varint(records_, moved);
  records_.insert(records_.end(), rest.begin(), rest.end());
}

// As Kafka writes it: the base timestamp is the delete horizon, or the first record's that is left.
void BatchFilter::rewrite(const BatchHeader& header, std::int64_t horizon_ms, std::vector<std::byte>& out) {
  const bool log_append_time = header.log_append_time();
  BatchHeader made = header;
  made.attributes = static_cast<std::int16_t>(header.attributes & ~kHorizonBit);
  made.base_timestamp = first_timestamp_;
  if (!log_append_time) made.max_timestamp = max_timestamp_;
  made.count = static_cast<std::int32_t>(left_.size());
  if (horizon_ms >= 0) {
    made.attributes = static_cast<std::int16_t>(made.attributes | kHorizonBit);
    made.base_timestamp = horizon_ms;
  } else if (log_append_time) {
    made.base_timestamp = header.base_timestamp;  // nobody reads the records' own
  }
  const auto shift = static_cast<std::int64_t>(static_cast<std::uint64_t>(made.base_timestamp) -
                                               static_cast<std::uint64_t>(header.base_timestamp));
  records_.clear();
  for (const Bytes record : left_) {
    if (shift == 0) {
      records_.insert(records_.end(), record.begin(), record.end());
    } else {
      move_record(record, shift);
    }
  }
  const std::size_t start = out.size();
  out.resize(start + kBatchHeaderSize);
  compressor_.compress(*header.codec(), records_, out);
  write_header(std::span(out).subspan(start), made);
}

void BatchFilter::write_empty(const BatchHeader& header, std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  out.resize(start + kBatchHeaderSize);
  BatchHeader made = header;
  made.attributes = static_cast<std::int16_t>(header.attributes & ~kHorizonBit & ~kCodecBits);
  made.base_timestamp = kNoTimestamp;
  made.count = 0;
  write_header(std::span(out).subspan(start), made);
}

}  // namespace verdict::storage
