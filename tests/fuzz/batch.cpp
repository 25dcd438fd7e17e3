// Any bytes as a record batch, from the network and from a file. The CRC is repaired in every second run: otherwise
// nothing behind it would ever be reached.
#include "runtime/assert.h"
#include "storage/validate.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::storage;
  if (size == 0) return 0;
  auto bytes = verdict::fuzz::bytes_of(data + 1, size - 1);
  Decompressor decompressor;
  if ((data[0] & 1U) != 0) {
    if (const auto batch = BatchView::parse(bytes)) {
      const BatchHeader& header = batch->header();
      set_timestamps(std::span(bytes).first(header.size()), header.log_append_time(), header.max_timestamp);
    }
  }
  ValidationRules rules;
  rules.compacted = (data[0] & 2U) != 0;
  rules.allow_control = (data[0] & 4U) != 0;
  rules.max_decompressed_bytes = std::size_t{1} << 20;
  const auto valid = validate_batch(bytes, rules, decompressor);
  Bytes rest(bytes);
  while (const auto batch = take_batch(rest)) {
    const bool whole = batch->crc_valid();
    auto reader = open_records(*batch, decompressor, std::size_t{1} << 20);
    std::int32_t count = 0;
    bool broken = !reader;
    RecordView record;
    while (!broken) {
      const auto more = reader->next(record);
      broken = !more;
      if (broken || !*more) break;
      const bool checked = valid && batch->bytes().data() == bytes.data() && batch->header().codec() != Codec::none;
      VERDICT_ASSERT(!checked || record.offset == batch->header().base_offset + count, "offset out of place");
      ++count;
      RecordHeaders headers(record);
      RecordHeaderView header;
      while (headers.next(header)) {
      }
    }
    if (valid && batch->bytes().data() == bytes.data()) {
      VERDICT_ASSERT(whole && !broken && count == batch->header().count, "a valid batch can't be read");
    }
  }
  return 0;
}
