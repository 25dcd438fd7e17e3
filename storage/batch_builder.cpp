#include "storage/batch_builder.h"

#include <algorithm>

#include "runtime/assert.h"

namespace verdict::storage {
namespace {

std::size_t nullable_size(const NullableBytes& bytes) {
  return bytes ? varint_size(static_cast<std::int64_t>(bytes->size())) + bytes->size() : 1;
}

void put_nullable(std::vector<std::byte>& out, const NullableBytes& bytes) {
  put_varint(out, bytes ? static_cast<std::int64_t>(bytes->size()) : -1);
  if (bytes) out.insert(out.end(), bytes->begin(), bytes->end());
}

}  // namespace

void BatchBuilder::reset(BatchOptions options) {
  options_ = options;
  count_ = 0;
  base_timestamp_ = kNoTimestamp;
  max_timestamp_ = kNoTimestamp;
  records_.clear();
}

void BatchBuilder::add(std::int64_t timestamp_ms, NullableBytes key, NullableBytes value,
                       std::span<const RecordHeaderInput> headers) {
  if (count_ == 0) {
    base_timestamp_ = timestamp_ms;
    max_timestamp_ = timestamp_ms;
  }
  max_timestamp_ = std::max(max_timestamp_, timestamp_ms);
  const std::int64_t timestamp_delta = timestamp_ms - base_timestamp_;
  std::size_t size = 1 + varint_size(timestamp_delta) + varint_size(count_) + nullable_size(key) +
                     nullable_size(value) + varint_size(static_cast<std::int64_t>(headers.size()));
  for (const RecordHeaderInput& header : headers) {
    size += nullable_size(as_bytes(header.key)) + nullable_size(header.value);
  }
  put_varint(records_, static_cast<std::int64_t>(size));
  records_.push_back(std::byte{0});  // attributes: none are defined
  put_varint(records_, timestamp_delta);
  put_varint(records_, count_);
  put_nullable(records_, key);
  put_nullable(records_, value);
  put_varint(records_, static_cast<std::int64_t>(headers.size()));
  for (const RecordHeaderInput& header : headers) {
    put_nullable(records_, as_bytes(header.key));
    put_nullable(records_, header.value);
  }
  ++count_;
}

void BatchBuilder::add_control(std::int64_t timestamp_ms, ControlType type, Bytes value) {
  VERDICT_ASSERT(options_.control);
  std::byte key[4] = {};
  store_be(key + 2, static_cast<std::int16_t>(type));
  add(timestamp_ms, Bytes(key), value);
}

std::span<std::byte> BatchBuilder::finish(Compressor& compressor) {
  VERDICT_ASSERT(count_ > 0);
  batch_.assign(kBatchHeaderSize, std::byte{0});
  compressor.compress(options_.codec, records_, batch_);
  const int attributes =
      static_cast<int>(options_.codec) | (options_.transactional ? 0x10 : 0) | (options_.control ? 0x20 : 0);
  write_header(batch_, {.base_offset = options_.base_offset,
                        .leader_epoch = options_.leader_epoch,
                        .attributes = static_cast<std::int16_t>(attributes),
                        .last_offset_delta = count_ - 1,
                        .base_timestamp = base_timestamp_,
                        .max_timestamp = max_timestamp_,
                        .producer_id = options_.producer_id,
                        .producer_epoch = options_.producer_epoch,
                        .base_sequence = options_.base_sequence,
                        .count = count_});
  return batch_;
}

}  // namespace verdict::storage
