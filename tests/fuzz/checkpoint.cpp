// Any bytes as one of the small text files of a log directory: refused, or written back with the same meaning.
#include "storage/checkpoint.h"

#include "runtime/assert.h"
#include "storage/epoch_cache.h"
#include "storage/meta_properties.h"
#include "storage/partition_metadata.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::storage;
  const std::string_view text = verdict::fuzz::text_of(data, size);
  if (const auto offsets = parse_offsets(text))
    VERDICT_ASSERT(parse_offsets(format_offsets(*offsets)) == *offsets, "offsets change");
  if (const auto epochs = parse_epochs(text)) {
    const auto again = parse_epochs(format_epochs(*epochs));
    VERDICT_ASSERT(again && again->entries() == epochs->entries(), "epochs change");
  }
  if (const auto meta = parse_meta_properties(text)) {
    VERDICT_ASSERT(parse_meta_properties(format_meta_properties(*meta)) == *meta, "meta.properties changes");
  }
  if (const auto topic = parse_partition_metadata(text)) {
    VERDICT_ASSERT(parse_partition_metadata(format_partition_metadata(*topic)) == *topic, "partition.metadata changes");
  }
  if (const auto epoch = parse_clean_shutdown(text)) {
    VERDICT_ASSERT(parse_clean_shutdown(format_clean_shutdown(*epoch)) == *epoch, "the clean-shutdown file changes");
  }
  return 0;
}
