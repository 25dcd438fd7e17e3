#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "storage/batch.h"
#include "storage/compression.h"

namespace verdict::storage {

struct RecordHeaderInput {
  std::string_view key;
  NullableBytes value;
};

struct BatchOptions {
  Codec codec = Codec::none;
  Offset base_offset{0};  // producers send 0
  LeaderEpoch leader_epoch = kNoEpoch;
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = kNoProducerEpoch;
  std::int32_t base_sequence = -1;
  bool transactional = false;
  bool control = false;
};

// Writes one batch. Reusable: reset keeps the buffers.
class BatchBuilder {
 public:
  explicit BatchBuilder(BatchOptions options = {}) { reset(options); }
  void reset(BatchOptions options);

  void add(std::int64_t timestamp_ms, NullableBytes key, NullableBytes value,
           std::span<const RecordHeaderInput> headers = {});
  // A record of a control batch; `value` is already encoded.
  void add_control(std::int64_t timestamp_ms, ControlType type, Bytes value);

  std::int32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  std::size_t plain_size() const { return kBatchHeaderSize + records_.size(); }  // bytes, before compression

  // The whole batch; needs at least one record. Valid until the next call on the builder.
  std::span<std::byte> finish(Compressor& compressor);

 private:
  BatchOptions options_;
  std::int32_t count_ = 0;
  std::int64_t base_timestamp_ = kNoTimestamp;
  std::int64_t max_timestamp_ = kNoTimestamp;
  std::vector<std::byte> records_;
  std::vector<std::byte> batch_;
};

}  // namespace verdict::storage
