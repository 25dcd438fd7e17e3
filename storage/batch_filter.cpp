#include "storage/batch_filter.h"

#include <algorithm>

#include "runtime/assert.h"
#include "storage/crc32c.h"

namespace verdict::storage {
namespace {

constexpr std::int16_t kHorizonBit = 0x40;
constexpr std::int16_t kCodecBits = 0x07;

void put_varint(std::vector<std::byte>& out, std::int64_t value) {
  auto raw = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  for (; raw >= 0x80; raw >>= 7) out.push_back(static_cast<std::byte>(raw | 0x80));
  out.push_back(static_cast<std::byte>(raw));
}

// All but the base offset, length, epoch and magic, which the original's header gives.
struct NewHeader {
  std::int16_t attributes;
  std::int64_t base_timestamp;
  std::int64_t max_timestamp;
  std::int32_t count;
};

void write_header(std::byte* at, std::size_t size, const BatchHeader& original, const NewHeader& header) {
  store_be(at, original.base_offset.value());
  store_be(at + 8, static_cast<std::int32_t>(size - kBatchOverhead));
  store_be(at + 12, original.leader_epoch.value());
  store_be(at + 16, kMagic);
  store_be(at + 21, header.attributes);
  store_be(at + 23, original.last_offset_delta);
  store_be(at + 27, header.base_timestamp);
  store_be(at + 35, header.max_timestamp);
  store_be(at + 43, original.producer_id.value());
  store_be(at + 51, original.producer_epoch.value());
  store_be(at + 53, original.base_sequence);
  store_be(at + 57, header.count);
  store_be(at + 17, crc32c(Bytes(at + 21, size - 21)));
}

}  // namespace

std::expected<Filtered, BatchError> BatchFilter::filter(const BatchView& batch, const BatchRetention& retention,
                                                        const Keep& keep, std::vector<std::byte>& out,
                                                        std::vector<Offset>* kept) {
  const BatchHeader& header = batch.header();
  places_.clear();
  first_timestamp_ = max_timestamp_ = kNoTimestamp;
  tombstones_ = false;
  bool all = true;
  Bytes plain;
  if (!retention.discard_records) {
    const auto codec = header.codec();
    if (!codec) return std::unexpected(BatchError::unknown_codec);
    const auto records = decompressor_.decompress(*codec, batch.payload(), kDefaultDecompressedLimit);
    if (!records) return std::unexpected(BatchError::bad_compression);
    plain = *records;
    RecordReader reader(header, plain);
    RecordView record;
    for (std::size_t at = 0;; at += record.size) {
      const auto more = reader.next(record);
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      if (!keep(record)) {
        all = false;
        continue;
      }
      if (places_.empty()) first_timestamp_ = record.timestamp;
      max_timestamp_ = std::max(max_timestamp_, record.timestamp);
      tombstones_ = tombstones_ || !record.value;
      places_.push_back({at, record.size});
      if (kept != nullptr) kept->push_back(record.offset);
    }
  }
  if (places_.empty()) {
    if (!retention.keep_empty) return Filtered::gone;
    write_empty(header, out);
    return Filtered::emptied;
  }
  const bool new_horizon = (tombstones_ || retention.marker_of_nothing) && !header.delete_horizon();
  if (all && !new_horizon) {
    out.insert(out.end(), batch.bytes().begin(), batch.bytes().end());
    return Filtered::unchanged;
  }
  rewrite(batch,
          new_horizon               ? retention.new_horizon_ms
          : header.delete_horizon() ? header.base_timestamp
                                    : -1,
          plain, out);
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
  const std::size_t before = records_.size();
  put_varint(records_, moved);
  const std::size_t delta_size = records_.size() - before;
  records_.resize(before);
  put_varint(records_, static_cast<std::int64_t>(1 + delta_size + rest.size()));
  records_.push_back(static_cast<std::byte>(attributes));
  put_varint(records_, moved);
  records_.insert(records_.end(), rest.begin(), rest.end());
}

// As Kafka writes it: the base timestamp is the delete horizon, or the first record's that is left.
void BatchFilter::rewrite(const BatchView& batch, std::int64_t horizon_ms, Bytes plain, std::vector<std::byte>& out) {
  const BatchHeader& header = batch.header();
  const bool log_append_time = header.log_append_time();
  NewHeader made{.attributes = static_cast<std::int16_t>(header.attributes & ~kHorizonBit),
                 .base_timestamp = first_timestamp_,
                 .max_timestamp = log_append_time ? header.max_timestamp : max_timestamp_,
                 .count = static_cast<std::int32_t>(places_.size())};
  if (horizon_ms >= 0) {
    made.attributes = static_cast<std::int16_t>(made.attributes | kHorizonBit);
    made.base_timestamp = horizon_ms;
  } else if (log_append_time) {
    made.base_timestamp = header.base_timestamp;  // nobody reads the records' own
  }
  const auto shift = static_cast<std::int64_t>(static_cast<std::uint64_t>(made.base_timestamp) -
                                               static_cast<std::uint64_t>(header.base_timestamp));
  records_.clear();
  for (const Place& place : places_) {
    const Bytes record = plain.subspan(place.at, place.size);
    if (shift == 0) {
      records_.insert(records_.end(), record.begin(), record.end());
    } else {
      move_record(record, shift);
    }
  }
  const std::size_t start = out.size();
  out.resize(start + kBatchHeaderSize);
  compressor_.compress(*header.codec(), records_, out);
  write_header(out.data() + start, out.size() - start, header, made);
}

void BatchFilter::write_empty(const BatchHeader& header, std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  out.resize(start + kBatchHeaderSize);
  write_header(out.data() + start, kBatchHeaderSize, header,
               {.attributes = static_cast<std::int16_t>(header.attributes & ~kHorizonBit & ~kCodecBits),
                .base_timestamp = kNoTimestamp,
                .max_timestamp = header.max_timestamp,
                .count = 0});
}

}  // namespace verdict::storage
