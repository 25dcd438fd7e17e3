#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/random.h"
#include "tests/unit/storage/cleaning.h"

namespace verdict::storage {
namespace {

using testing::CleaningHarness;

void save(CleaningHarness& h, const std::string& name) {
  const std::filesystem::path target = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove_all(target);
  for (const auto& [path, content] : h.runtime.disk().copy().files) {
    const std::filesystem::path file = target / path.substr(2);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(content->data()), static_cast<std::streamsize>(content->size()));
  }
}

// Leaves a log of keyed records, tombstones and transactions in <temporary directory>/verdict-dirty/t-0, and the same,
// compacted, in verdict-clean/t-0: for Kafka's DumpLogSegments, and to see which records Kafka's own cleaner leaves of
// the first.
TEST(DumpClean, WritesALogBeforeAndAfterItsCompaction) {
  CleaningHarness h({.segment_bytes = 4000, .index_interval_bytes = 512, .compacted = true});
  h.open();
  h.runtime.wall_ms = 1'764'000'000'000;
  KeyedRandom random(7);
  static constexpr std::array kCodecs{Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd};
  std::array<std::int32_t, 4> sequence{};
  std::array<bool, 4> open{};
  for (int i = 0; i < 400; ++i) {
    const auto who = static_cast<std::size_t>(random.below(4));
    h.runtime.wall_ms += 10;
    if (open[who] && random.one_in(3)) {
      h.end(static_cast<std::int64_t>(who), 0, random.one_in(2));
      open[who] = false;
      continue;
    }
    testing::KeyedBatch batch{.producer = who == 0 ? -1 : static_cast<std::int64_t>(who),
                              .sequence = sequence[who],
                              .transactional = who > 1,
                              .codec = kCodecs[static_cast<std::size_t>(random.below(5))],
                              .timestamp = h.runtime.wall_ms};
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
      const std::uint64_t key = random.below(12);
      const std::string name = key == 0 ? std::string("\0\0\0\1", 4) : "key-" + std::to_string(key);
      batch.records.push_back({name, random.one_in(6) ? std::nullopt : std::optional("v" + std::to_string(i))});
    }
    h.put(batch);
    sequence[who] += static_cast<std::int32_t>(batch.records.size());
    open[who] = open[who] || who > 1;
  }
  for (std::size_t who = 2; who < open.size(); ++who) {
    if (open[who]) h.end(static_cast<std::int64_t>(who), 0, false);
  }
  h.roll();
  h.put("last", "1");
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  save(h, "verdict-dirty");
  h.open({.clean = true, .recovery_point = Offset(1'000'000), .high_watermark = Offset(1'000'000)});
  const std::size_t before = h.records().size();
  h.clean();
  EXPECT_LT(h.records().size(), before / 4);
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  save(h, "verdict-clean");
}

}  // namespace
}  // namespace verdict::storage
