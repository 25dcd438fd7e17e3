#include "storage/batch_builder.h"

#include <algorithm>

#include "runtime/assert.h"
#include "storage/crc32c.h"

namespace verdict::storage {
namespace {

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::size_t varint_size(std::int64_t value) {
  const auto bits = static_cast<std::size_t>(std::bit_width(zigzag(value) | 1));
  return (bits + 6) / 7;
}

void put_varint(std::vector<std::byte>& out, std::int64_t value) {
  std::uint64_t rest = zigzag(value);
  for (; rest >= 0x80; rest >>= 7) out.push_back(static_cast<std::byte>(rest | 0x80));
  out.push_back(static_cast<std::byte>(rest));
}

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
  std::byte* at = batch_.data();
  const int attributes =
      static_cast<int>(options_.codec) | (options_.transactional ? 0x10 : 0) | (options_.control ? 0x20 : 0);
  store_be(at, options_.base_offset.value());
  store_be(at + 8, static_cast<std::int32_t>(batch_.size() - kBatchOverhead));
  store_be(at + 12, options_.leader_epoch.value());
  store_be(at + 16, kMagic);
  store_be(at + 21, static_cast<std::int16_t>(attributes));
  store_be(at + 23, count_ - 1);
  store_be(at + 27, base_timestamp_);
  store_be(at + 35, max_timestamp_);
  store_be(at + 43, options_.producer_id.value());
  store_be(at + 51, options_.producer_epoch.value());
  store_be(at + 53, options_.base_sequence);
  store_be(at + 57, count_);
  store_be(at + 17, crc32c(Bytes(batch_).subspan(21)));
  return batch_;
}

}  // namespace verdict::storage
