#include "storage/batch.h"

#include <array>

#include "runtime/assert.h"
#include "storage/crc32c.h"

namespace verdict::storage {
namespace {

constexpr std::size_t kEpochAt = 12;
constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kAttributesAt = 21;
constexpr std::size_t kMaxTimestampAt = 35;

constexpr std::array<std::string_view, 18> kErrorNames{"truncated",
                                                       "bad length",
                                                       "unsupported magic",
                                                       "bad CRC",
                                                       "unknown codec",
                                                       "bad compression",
                                                       "decompressed too large",
                                                       "bad record",
                                                       "bad count",
                                                       "bad offset delta",
                                                       "base offset not zero",
                                                       "control batch",
                                                       "bad sequence",
                                                       "record without key",
                                                       "too large",
                                                       "timestamp out of range",
                                                       "empty",
                                                       "several batches"};

std::unexpected<BatchError> fail(BatchError error) { return std::unexpected(error); }

// A length as a varint: -1 is null.
bool take_nullable(ByteReader& reader, NullableBytes& into) {
  std::int32_t size = 0;
  if (!reader.varint(size) || size < -1) return false;
  if (size < 0) {
    into.reset();
    return true;
  }
  return reader.take(static_cast<std::size_t>(size), into.emplace());
}

bool skip_header(ByteReader& reader) {
  std::int32_t size = 0;
  NullableBytes value;
  return reader.varint(size) && size >= 0 && reader.skip(static_cast<std::size_t>(size)) &&
         take_nullable(reader, value);
}

}  // namespace

std::string_view name_of(BatchError error) { return kErrorNames[static_cast<std::size_t>(error)]; }

std::optional<Codec> BatchHeader::codec() const {
  const int id = attributes & 0x07;
  if (id > static_cast<int>(Codec::zstd)) return std::nullopt;
  return static_cast<Codec>(id);
}

std::expected<BatchHeader, BatchError> parse_header(Bytes bytes) {
  if (bytes.size() < kBatchHeaderSize) return fail(BatchError::truncated);
  const std::byte* at = bytes.data();
  BatchHeader header;
  header.base_offset = Offset(load_be<std::int64_t>(at));
  header.length = load_be<std::int32_t>(at + 8);
  header.leader_epoch = LeaderEpoch(load_be<std::int32_t>(at + kEpochAt));
  header.magic = load_be<std::int8_t>(at + 16);
  header.crc = load_be<std::uint32_t>(at + kCrcAt);
  header.attributes = load_be<std::int16_t>(at + kAttributesAt);
  header.last_offset_delta = load_be<std::int32_t>(at + 23);
  header.base_timestamp = load_be<std::int64_t>(at + 27);
  header.max_timestamp = load_be<std::int64_t>(at + kMaxTimestampAt);
  header.producer_id = ProducerId(load_be<std::int64_t>(at + 43));
  header.producer_epoch = ProducerEpoch(load_be<std::int16_t>(at + 51));
  header.base_sequence = load_be<std::int32_t>(at + 53);
  header.count = load_be<std::int32_t>(at + 57);
  if (header.magic != kMagic) return fail(BatchError::unsupported_magic);
  if (header.length < kMinBatchLength) return fail(BatchError::bad_length);
  if (header.last_offset_delta < 0 || header.count < 0) return fail(BatchError::bad_count);
  constexpr std::int64_t kLargestBase = INT64_MAX - INT32_MAX - 1;
  if (header.base_offset < Offset(0) || header.base_offset > Offset(kLargestBase)) return fail(BatchError::bad_count);
  return header;
}

void write_header(std::span<std::byte> batch, const BatchHeader& header) {
  VERDICT_ASSERT(batch.size() >= kBatchHeaderSize);
  std::byte* at = batch.data();
  store_be(at, header.base_offset.value());
  store_be(at + 8, static_cast<std::int32_t>(batch.size() - kBatchOverhead));
  store_be(at + kEpochAt, header.leader_epoch.value());
  store_be(at + 16, header.magic);
  store_be(at + kAttributesAt, header.attributes);
  store_be(at + 23, header.last_offset_delta);
  store_be(at + 27, header.base_timestamp);
  store_be(at + kMaxTimestampAt, header.max_timestamp);
  store_be(at + 43, header.producer_id.value());
  store_be(at + 51, header.producer_epoch.value());
  store_be(at + 53, header.base_sequence);
  store_be(at + 57, header.count);
  store_be(at + kCrcAt, crc32c(Bytes(batch).subspan(kAttributesAt)));
}

std::expected<BatchView, BatchError> BatchView::parse(Bytes bytes) {
  const auto header = parse_header(bytes);
  if (!header) return fail(header.error());
  if (bytes.size() < header->size()) return fail(BatchError::truncated);
  BatchView view;
  view.header_ = *header;
  view.bytes_ = bytes.first(header->size());
  return view;
}

bool BatchView::crc_valid() const { return crc32c(bytes_.subspan(kAttributesAt)) == header_.crc; }

std::expected<BatchView, BatchError> take_batch(Bytes& rest) {
  auto batch = BatchView::parse(rest);
  if (batch) rest = rest.subspan(batch->bytes().size());
  return batch;
}

bool RecordHeaders::next(RecordHeaderView& header) {
  if (left_ == 0) return false;
  --left_;
  std::int32_t size = 0;
  Bytes key;
  const bool read =
      reader_.varint(size) && reader_.take(static_cast<std::size_t>(size), key) && take_nullable(reader_, header.value);
  VERDICT_ASSERT(read, "headers are checked before they are handed out");
  header.key = as_text(key);
  return true;
}

RecordReader::RecordReader(const BatchHeader& header, Bytes records)
    : reader_(records),
      base_offset_(header.base_offset),
      base_timestamp_(header.base_timestamp),
      max_timestamp_(header.max_timestamp),
      left_(header.count),
      log_append_time_(header.log_append_time()) {}

std::expected<bool, BatchError> RecordReader::next(RecordView& record) {
  if (left_ == 0) {
    if (reader_.left() != 0) return fail(BatchError::bad_count);
    return false;
  }
  const std::byte* start = reader_.position();
  std::int32_t length = 0;
  if (reader_.left() == 0) return fail(BatchError::bad_count);
  Bytes body;
  if (!reader_.varint(length) || length < 0 || !reader_.take(static_cast<std::size_t>(length), body)) {
    return fail(BatchError::bad_record);
  }
  ByteReader fields(body);
  std::int8_t attributes = 0;
  std::int64_t timestamp_delta = 0;
  std::int32_t offset_delta = 0;
  if (!fields.fixed(attributes) || !fields.varlong(timestamp_delta) || !fields.varint(offset_delta) ||
      !take_nullable(fields, record.key) || !take_nullable(fields, record.value) ||
      !fields.varint(record.header_count) || record.header_count < 0) {
    return fail(BatchError::bad_record);
  }
  record.headers = {fields.position(), fields.left()};
  for (std::int32_t i = 0; i < record.header_count; ++i) {
    if (!skip_header(fields)) return fail(BatchError::bad_record);
  }
  if (fields.left() != 0) return fail(BatchError::bad_record);
  --left_;
  // Both wrap as Java's do: a hostile delta is no undefined behaviour here.
  record.offset = Offset(static_cast<std::int64_t>(static_cast<std::uint64_t>(base_offset_.value()) +
                                                   static_cast<std::uint64_t>(offset_delta)));
  record.timestamp = log_append_time_ ? max_timestamp_
                                      : static_cast<std::int64_t>(static_cast<std::uint64_t>(base_timestamp_) +
                                                                  static_cast<std::uint64_t>(timestamp_delta));
  record.size = static_cast<std::size_t>(reader_.position() - start);
  return true;
}

std::expected<RecordReader, BatchError> open_records(const BatchView& batch, Decompressor& decompressor,
                                                     std::size_t limit) {
  const auto codec = batch.header().codec();
  if (!codec) return fail(BatchError::unknown_codec);
  const auto records = decompressor.decompress(*codec, batch.payload(), limit);
  if (!records) {
    return fail(records.error() == CompressionError::too_large ? BatchError::decompressed_too_large
                                                               : BatchError::bad_compression);
  }
  return RecordReader(batch.header(), *records);
}

void stamp(std::span<std::byte> batch, Offset base_offset, LeaderEpoch epoch) {
  VERDICT_ASSERT(batch.size() >= kBatchHeaderSize);
  store_be(batch.data(), base_offset.value());
  store_be(batch.data() + kEpochAt, epoch.value());
}

void set_timestamps(std::span<std::byte> batch, bool log_append_time, std::int64_t max_timestamp) {
  VERDICT_ASSERT(batch.size() >= kBatchHeaderSize);
  const int others = load_be<std::int16_t>(batch.data() + kAttributesAt) & ~0x08;
  store_be(batch.data() + kAttributesAt, static_cast<std::int16_t>(others | (log_append_time ? 0x08 : 0)));
  store_be(batch.data() + kMaxTimestampAt, max_timestamp);
  store_be(batch.data() + kCrcAt, crc32c(Bytes(batch).subspan(kAttributesAt)));
}

std::optional<ControlType> parse_control_key(Bytes key) {
  ByteReader reader(key);
  std::int16_t version = 0;
  std::int16_t type = 0;
  if (!reader.fixed(version) || !reader.fixed(type) || version != 0) return std::nullopt;
  if (type < 0 || type > static_cast<std::int16_t>(ControlType::kraft_voters)) return std::nullopt;
  return static_cast<ControlType>(type);
}

}  // namespace verdict::storage
