// Any bytes as an offset index and as a time index: refused, or in order and within the log.
#include "storage/index.h"

#include "runtime/assert.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::storage;
  if (size < 4) return 0;
  const std::uint64_t log_size =
      std::uint64_t{data[0]} << 24U | std::uint64_t{data[1]} << 16U | std::uint64_t{data[2]} << 8U | data[3];
  const auto bytes = verdict::fuzz::bytes_of(data + 4, size - 4);
  if (auto index = OffsetIndex::parse(bytes, log_size)) {
    for (const OffsetIndex::Entry& entry : index->entries()) {
      VERDICT_ASSERT(entry.position < log_size, "an entry beyond the log");
      VERDICT_ASSERT(index->position_for_offset(entry.relative) <= entry.position, "an entry leads behind itself");
    }
    std::vector<std::byte> written;
    index->encode(0, written);
    const auto again = OffsetIndex::parse(written, log_size);
    VERDICT_ASSERT(again && again->entries() == index->entries(), "an index changes on its way");
    index->truncate(log_size / 2);
  }
  if (auto index = TimeIndex::parse(bytes)) {
    std::vector<std::byte> written;
    index->encode(0, written);
    const auto again = TimeIndex::parse(written);
    VERDICT_ASSERT(again && again->entries() == index->entries(), "an index changes on its way");
    for (const TimeIndex::Entry& entry : index->entries())
      VERDICT_ASSERT(index->lookup(entry.timestamp), "an entry that isn't found");
    index->truncate(100);
  }
  return 0;
}
