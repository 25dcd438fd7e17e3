#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "storage/batch.h"

// What a leader asks of a client's batch before it appends it: what Kafka's LogValidator does, which looks at the
// offsets inside a compressed batch and believes those of a plain one.
namespace verdict::storage {

enum class TimestampType : std::uint8_t { create_time, log_append_time };  // message.timestamp.type

struct ValidationRules {
  std::size_t max_message_bytes = 1048588;  // max.message.bytes, whole batch
  bool compacted = false;                   // cleanup.policy has compact: every record needs a key
  // Coordinators and the controller write control batches, and transactional ones without sequences; clients don't.
  bool allow_control = false;
  TimestampType timestamp_type = TimestampType::create_time;
  std::int64_t now_ms = 0;                  // wall clock, for the two limits
  std::int64_t before_max_ms = INT64_MAX;   // message.timestamp.before.max.ms
  std::int64_t after_max_ms = 3600 * 1000;  // message.timestamp.after.max.ms
  std::size_t max_decompressed_bytes = kDefaultDecompressedLimit;
};

struct BatchSummary {
  BatchHeader header;
  std::int64_t max_timestamp = kNoTimestamp;  // ms, of the records themselves; the header may say otherwise
  std::int32_t max_timestamp_delta = 0;       // offset delta of the first record that has it
};

// message.timestamp.before.max.ms and after.max.ms; what the broker stamps itself is always allowed.
bool timestamp_allowed(std::int64_t timestamp, const ValidationRules& rules);

// `bytes` is what a produce request holds for one partition: exactly one batch. Every record is read, compressed or
// not; the CRC is checked before anything that it covers is believed.
std::expected<BatchSummary, BatchError> validate_batch(Bytes bytes, const ValidationRules& rules,
                                                       Decompressor& decompressor);

// The record that caused keyless, bad_timestamp, bad_record or bad_offset_delta (index in the batch), for the
// record_errors of a Produce answer; none if the whole batch is at fault.
struct ValidationFailure {
  BatchError error;
  std::optional<std::int32_t> record_index;
};
std::expected<BatchSummary, ValidationFailure> validate_batch_verbose(Bytes bytes, const ValidationRules& rules,
                                                                      Decompressor& decompressor);

// What a leader does to the timestamps of a batch that was found valid, before it appends it: LogAppendTime sets the
// attribute and rules.now_ms; CreateTime corrects a maximum in the header that the records don't have, as Kafka does.
// The CRC is computed anew where something changed.
void stamp_timestamps(std::span<std::byte> batch, const BatchSummary& summary, const ValidationRules& rules);

}  // namespace verdict::storage
