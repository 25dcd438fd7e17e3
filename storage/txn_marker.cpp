#include "storage/txn_marker.h"

#include <array>

#include "storage/batch_builder.h"

namespace verdict::storage {
namespace {

constexpr std::size_t kValueSize = 6;  // version i16 (0), coordinator epoch i32

}  // namespace

std::vector<std::byte> build_marker(const TxnMarker& marker, std::int64_t timestamp_ms) {
  BatchBuilder builder({.producer_id = marker.producer_id,
                        .producer_epoch = marker.producer_epoch,
                        .transactional = true,
                        .control = true});
  std::array<std::byte, kValueSize> value{};
  store_be(value.data() + 2, marker.coordinator_epoch);
  builder.add_control(timestamp_ms, marker.commit ? ControlType::commit : ControlType::abort, value);
  Compressor compressor;
  const auto batch = builder.finish(compressor);
  return {batch.begin(), batch.end()};
}

std::optional<TxnMarker> parse_marker(const BatchView& batch) {
  const BatchHeader& header = batch.header();
  if (!header.control() || header.producer_id <= kNoProducerId || header.codec() != Codec::none) return std::nullopt;
  RecordReader reader(header, batch.payload());
  RecordView record;
  const auto more = reader.next(record);
  if (!more || !*more || !record.key || !record.value || record.value->size() < kValueSize) return std::nullopt;
  const auto type = parse_control_key(*record.key);
  if (type != ControlType::commit && type != ControlType::abort) return std::nullopt;
  return TxnMarker{.producer_id = header.producer_id,
                   .producer_epoch = header.producer_epoch,
                   .coordinator_epoch = load_be<std::int32_t>(record.value->data() + 2),
                   .commit = type == ControlType::commit};
}

std::optional<TxnMarker> marker_of(const BatchHeader& header, Bytes batch) {
  if (!header.control()) return std::nullopt;
  const auto view = BatchView::parse(batch);
  return view ? parse_marker(*view) : std::nullopt;
}

}  // namespace verdict::storage
