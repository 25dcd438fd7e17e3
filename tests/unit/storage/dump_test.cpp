#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/storage/support.h"

namespace verdict::storage {
namespace {

// Leaves a log of several segments, codecs and epochs in <temporary directory>/verdict-dump/t-0, for Kafka's own tool:
//   kafka.sh dump-log --deep-iteration --files .../t-0/*.log,.../t-0/*.index,.../t-0/*.timeindex
TEST(Dump, WritesALogForKafkasTools) {
  testing::LogHarness h({.segment_bytes = 20000, .index_interval_bytes = 512});
  h.open();
  static constexpr std::array kCodecs{Codec::none, Codec::lz4, Codec::zstd};
  for (int i = 0; i < 300; ++i) {
    h.append(i / 60, {.records = 1 + i % 9,
                      .timestamp = 1'700'000'000'000 + i * 100 - i % 5 * 250,
                      .codec = kCodecs[static_cast<std::size_t>(i) % 3],
                      .value_size = static_cast<std::size_t>(i * 13 % 400)});
    if (i == 150) ASSERT_TRUE(h.log->truncate_to(h.log->log_end() - 20));
  }
  Compressor compressor;
  BatchBuilder control({.control = true});
  std::array<std::byte, 6> marker{};
  control.add_control(1'700'000'100'000, ControlType::commit, marker);
  ASSERT_TRUE(h.log->append_as_leader(control.finish(compressor), LeaderEpoch(5), h.runtime.wall_now()));
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  const std::filesystem::path target = std::filesystem::path(::testing::TempDir()) / "verdict-dump";
  std::filesystem::remove_all(target);
  int written = 0;
  for (const auto& [path, content] : h.runtime.disk().copy().files) {
    const std::filesystem::path file = target / path.substr(2);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(content->data()), static_cast<std::streamsize>(content->size()));
    ++written;
  }
  EXPECT_GT(written, 9);
}

}  // namespace
}  // namespace verdict::storage
