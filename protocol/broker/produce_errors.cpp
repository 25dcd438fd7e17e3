#include "protocol/broker/produce_errors.h"

#include <fmt/format.h>

#include <algorithm>

namespace verdict::broker {
namespace {

using storage::BatchError;
using wire::ErrorCode;

constexpr std::size_t kLengthAt = 8;
constexpr std::size_t kMagicAt = 16;
constexpr std::int32_t kMinLegacyLength = 14;  // below it Kafka reads nothing else of a batch
constexpr std::size_t kMostShown = 3;

std::int64_t wrapped_sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

std::size_t size_of(const storage::NullableBytes& bytes) { return bytes ? bytes->size() : 0; }

struct RecordFault {
  ErrorCode error;
  std::string message;
};

std::optional<RecordFault> fault_of(const storage::BatchHeader& header, const storage::RecordView& record,
                                    const std::string& partition, const storage::ValidationRules& rules) {
  if (rules.compacted && !record.key) {
    return RecordFault{ErrorCode::INVALID_RECORD,
                       "Compacted topic cannot accept message without key in topic partition " + partition};
  }
  if (!storage::timestamp_allowed(record.timestamp, rules)) {
    const std::int64_t oldest = wrapped_sum(rules.now_ms, -rules.before_max_ms);
    const std::int64_t newest = wrapped_sum(rules.now_ms, rules.after_max_ms);
    return RecordFault{
        ErrorCode::INVALID_TIMESTAMP,
        fmt::format("Timestamp {} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
                    record.timestamp, record.offset.value(), oldest, newest)};
  }
  if (rules.timestamp_type == storage::TimestampType::create_time || !header.log_append_time()) return std::nullopt;
  return RecordFault{
      ErrorCode::INVALID_TIMESTAMP,
      fmt::format(
          "Invalid timestamp type in message DefaultRecord(offset={}, timestamp={}, key={} bytes, value={} bytes). "
          "Producer should not set timestamp type to LogAppendTime.",
          record.offset.value(), record.timestamp, size_of(record.key), size_of(record.value))};
}

// Every record at fault is named, not only the first.
void list_records(BatchRefusal& out, storage::Bytes bytes, const std::string& partition,
                  const storage::ValidationRules& rules, storage::Decompressor& decompressor) {
  const auto batch = storage::BatchView::parse(bytes);
  if (!batch) return;
  auto records = storage::open_records(*batch, decompressor, rules.max_decompressed_bytes);
  if (!records) return;
  storage::RecordView record;
  for (std::int32_t index = 0;; ++index) {
    const auto more = records->next(record);
    if (!more || !*more) break;
    auto fault = fault_of(batch->header(), record, partition, rules);
    if (!fault) continue;
    if (fault->error == ErrorCode::INVALID_TIMESTAMP) out.error = ErrorCode::INVALID_TIMESTAMP;
    out.records.emplace_back(index, std::move(fault->message));
  }
  if (out.error == ErrorCode::INVALID_TIMESTAMP) {
    out.message = "One or more records have been rejected due to invalid timestamp";
    return;
  }
  std::string shown;
  for (std::size_t i = 0; i < std::min(out.records.size(), kMostShown); ++i) {
    shown += fmt::format("{}RecordError(batchIndex={}, message='{}')", i == 0 ? "" : ", ", out.records[i].first,
                         out.records[i].second);
  }
  out.message = fmt::format(
      "One or more records have been rejected due to {} record errors in total, and only showing the first three "
      "errors at most: [{}]",
      out.records.size(), shown);
}

bool compressed(storage::Bytes bytes) {
  const auto header = storage::parse_header(bytes);
  return header && header->codec() && *header->codec() != storage::Codec::none;
}

void judge_head(BatchRefusal& out, BatchError fault, storage::Bytes bytes) {
  if (fault == BatchError::bad_length) {
    out.error = ErrorCode::CORRUPT_MESSAGE;
    const std::int32_t length = storage::load_be<std::int32_t>(bytes.data() + kLengthAt);
    if (length < kMinLegacyLength) {
      out.message =
          fmt::format("Record size {} is less than the minimum record overhead ({})", length, kMinLegacyLength);
    }
    return;
  }
  const auto magic = static_cast<std::int8_t>(bytes[kMagicAt]);
  out.error = magic == 0 || magic == 1 ? ErrorCode::INVALID_RECORD : ErrorCode::CORRUPT_MESSAGE;
  if (out.error == ErrorCode::CORRUPT_MESSAGE) out.message = fmt::format("Invalid magic found in record: {}", magic);
}

}  // namespace

BatchRefusal refusal_of(BatchError fault, storage::Bytes batch, const std::string& partition,
                        const storage::ValidationRules& rules, storage::Decompressor& decompressor) {
  using enum BatchError;
  BatchRefusal out{.error = ErrorCode::INVALID_RECORD, .names_log_start = true};
  switch (fault) {
    case bad_length:
    case unsupported_magic:
      out.names_log_start = false;
      judge_head(out, fault, batch);
      break;
    case bad_crc:
      out.names_log_start = false;
      out.error = ErrorCode::CORRUPT_MESSAGE;
      break;
    case too_large:
      out.names_log_start = false;
      out.error = ErrorCode::MESSAGE_TOO_LARGE;
      break;
    case truncated:
    case empty:
    case several_batches:
      out.names_log_start = false;
      break;
    case unknown_codec:
    case bad_compression:
    case decompressed_too_large:
      out.error = ErrorCode::UNKNOWN_SERVER_ERROR;
      break;
    case bad_offset_delta:
      if (compressed(batch)) out.error = ErrorCode::UNKNOWN_SERVER_ERROR;
      break;
    case bad_timestamp:
    case keyless:
      list_records(out, batch, partition, rules, decompressor);
      break;
    case bad_record:
    case bad_count:
    case base_offset_not_zero:
    case control_batch:
    case bad_sequence:
      break;
  }
  return out;
}

}  // namespace verdict::broker
