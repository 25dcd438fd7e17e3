#include "storage/validate.h"

namespace verdict::storage {
namespace {

using Verdict = std::expected<BatchSummary, ValidationFailure>;

std::unexpected<ValidationFailure> fail(BatchError error, std::optional<std::int32_t> index = std::nullopt) {
  return std::unexpected(ValidationFailure{error, index});
}

// The order of Kafka's checks: it decides which error a batch with several faults gets.
std::optional<BatchError> check_set(Bytes bytes, const BatchView& batch, const ValidationRules& rules) {
  const BatchHeader& header = batch.header();
  if (batch.bytes().size() != bytes.size()) return BatchError::several_batches;
  if (header.base_offset != Offset(0)) return BatchError::base_offset_not_zero;
  if (header.size() > rules.max_message_bytes) return BatchError::too_large;
  if (!batch.crc_valid()) return BatchError::bad_crc;
  if (header.count <= 0 || header.count - 1 != header.last_offset_delta) return BatchError::bad_count;
  if (header.control() && !rules.allow_control) return BatchError::control_batch;
  if (header.producer_id > kNoProducerId && !rules.allow_control &&
      (header.base_sequence < 0 || header.producer_epoch < ProducerEpoch(0))) {
    return BatchError::bad_sequence;
  }
  if (!header.codec()) return BatchError::unknown_codec;
  // Only a broker sets it; Kafka minds where it would set it itself, and else takes it off.
  if (header.log_append_time() && rules.timestamp_type == TimestampType::log_append_time)
    return BatchError::bad_timestamp;
  return std::nullopt;
}

}  // namespace

bool timestamp_allowed(std::int64_t timestamp, const ValidationRules& rules) {
  if (rules.timestamp_type == TimestampType::log_append_time || timestamp == kNoTimestamp) return true;
  // Saturating: the limits are INT64_MAX where there are none.
  std::int64_t age = 0;
  if (__builtin_sub_overflow(rules.now_ms, timestamp, &age)) return false;
  return age <= rules.before_max_ms && age >= -rules.after_max_ms;
}

Verdict validate_batch_verbose(Bytes bytes, const ValidationRules& rules, Decompressor& decompressor) {
  if (bytes.empty()) return fail(BatchError::empty);
  const auto batch = BatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  if (const auto error = check_set(bytes, *batch, rules)) return fail(*error);
  const BatchHeader& header = batch->header();

  auto records = open_records(*batch, decompressor, rules.max_decompressed_bytes);
  if (!records) return fail(records.error());
  BatchSummary summary{header, INT64_MIN, 0};
  RecordView record;
  for (std::int32_t index = 0;; ++index) {
    const auto more = records->next(record);
    if (!more) return fail(more.error(), index);
    if (!*more) break;
    if (header.codec() != Codec::none && record.offset != header.base_offset + index)
      return fail(BatchError::bad_offset_delta, index);
    if (rules.compacted && !record.key && !header.control()) return fail(BatchError::keyless, index);
    if (!timestamp_allowed(record.timestamp, rules)) return fail(BatchError::bad_timestamp, index);
    if (record.timestamp > summary.max_timestamp) {
      summary.max_timestamp = record.timestamp;
      summary.max_timestamp_delta = index;
    }
  }
  return summary;
}

std::expected<BatchSummary, BatchError> validate_batch(Bytes bytes, const ValidationRules& rules,
                                                       Decompressor& decompressor) {
  auto verdict = validate_batch_verbose(bytes, rules, decompressor);
  if (!verdict) return std::unexpected(verdict.error().error);
  return *verdict;
}

void stamp_timestamps(std::span<std::byte> batch, const BatchSummary& summary, const ValidationRules& rules) {
  if (rules.timestamp_type == TimestampType::log_append_time) {
    set_timestamps(batch, true, rules.now_ms);
  } else if (summary.max_timestamp != summary.header.max_timestamp || summary.header.log_append_time()) {
    set_timestamps(batch, false, summary.max_timestamp);
  }
}

}  // namespace verdict::storage
