#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "storage/log_directory.h"
#include "tests/unit/storage/support.h"

// Directories that Apache Kafka 4.1 wrote, against what its own DumpLogSegments says of them (dump/).
namespace verdict::storage {
namespace {

namespace fs = std::filesystem;
using testing::LogHarness;
using testing::MemoryRuntime;

const fs::path kGolden = fs::path(VERDICT_SOURCE_DIR) / "tests/data/golden-logs";

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream stream(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string describe(const BatchHeader& h, std::uint64_t position) {
  const std::int32_t last_sequence = h.base_sequence < 0 ? -1 : h.base_sequence + h.last_offset_delta;
  return fmt::format(
      "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} "
      "partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {} position: {} {}: {} size: {} "
      "magic: {} compresscodec: {} crc: {} isvalid: true",
      h.base_offset.value(), h.last_offset().value(), h.count, h.base_sequence, last_sequence, h.producer_id.value(),
      h.producer_epoch.value(), h.leader_epoch.value(), h.transactional(), h.control(),
      h.delete_horizon() ? fmt::format("OptionalLong[{}]", h.base_timestamp) : "OptionalLong.empty", position,
      h.log_append_time() ? "LogAppendTime" : "CreateTime", h.max_timestamp, h.size(), static_cast<int>(h.magic),
      name_of(h.codec().value()), h.crc);
}

std::string describe(const BatchHeader& batch, const RecordView& record) {
  std::string keys;
  RecordHeaders headers(record);
  for (RecordHeaderView header; headers.next(header);) keys += (keys.empty() ? "" : ",") + std::string(header.key);
  const auto size = [](const NullableBytes& bytes) { return bytes ? static_cast<long>(bytes->size()) : -1; };
  std::string text = fmt::format(
      "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]", record.offset.value(),
      batch.log_append_time() ? "LogAppendTime" : "CreateTime", record.timestamp, size(record.key), size(record.value),
      batch.base_sequence < 0 ? -1 : batch.base_sequence + (record.offset - batch.base_offset), keys);
  if (batch.control()) {
    const auto type = parse_control_key(*record.key).value();
    if (type > ControlType::commit) return text;
    const auto epoch = load_be<std::int32_t>(record.value->data() + 2);
    return text + fmt::format(" endTxnMarker: {} coordinatorEpoch: {}",
                              type == ControlType::commit ? "COMMIT" : "ABORT", epoch);
  }
  if (record.key) text += fmt::format(" key: {}", as_text(*record.key));
  if (record.value) text += fmt::format(" payload: {}", as_text(*record.value));
  return text;
}

// Compares a .log file with its dump; `decoded`: the records' contents are printed decoded there, so only what stands
// before is compared.
void compare_log(const fs::path& log, const fs::path& dump, bool decoded) {
  SCOPED_TRACE(log.string());
  const std::string file = read_text(log);
  const auto lines = lines_of(dump);
  std::size_t line = 2;
  Decompressor decompressor;
  Bytes rest = as_bytes(file);
  while (!rest.empty()) {
    const auto position = file.size() - rest.size();
    const auto batch = take_batch(rest);
    ASSERT_TRUE(batch) << name_of(batch.error());
    ASSERT_TRUE(batch->crc_valid());
    ASSERT_LT(line, lines.size());
    EXPECT_EQ(lines[line++], describe(batch->header(), position));
    auto records = open_records(*batch, decompressor);
    ASSERT_TRUE(records) << name_of(records.error());
    RecordView record;
    for (;;) {
      const auto more = records->next(record);
      ASSERT_TRUE(more) << name_of(more.error());
      if (!*more) break;
      ASSERT_LT(line, lines.size());
      const std::string ours = describe(batch->header(), record);
      if (decoded || lines[line].find("headerKeys: [] LeaderChange") != std::string::npos) {
        EXPECT_TRUE(lines[line].starts_with(ours.substr(0, ours.find(']') + 1))) << ours << "\n" << lines[line];
      } else {
        EXPECT_EQ(lines[line].substr(0, lines[line].find_last_not_of(' ') + 1),
                  ours.substr(0, ours.find_last_not_of(' ') + 1));
      }
      ++line;
    }
  }
  EXPECT_EQ(line, lines.size());
}

TEST(GoldenLog, EveryDumpedFileReadsAsKafkaReadsIt) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(kGolden / "dump")) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".log.txt")) continue;
    std::string log = name.substr(0, name.size() - 4);
    log[log.find('_')] = '/';
    compare_log(kGolden / "clean" / log, entry.path(), false);
    ++compared;
  }
  EXPECT_GE(compared, 17);
  const std::string first = "00000000000000000000.log";
  compare_log(kGolden / "clean/__cluster_metadata-0" / first, kGolden / "dump/cluster_metadata.txt", true);
  compare_log(kGolden / "clean/__consumer_offsets-0" / first, kGolden / "dump/consumer_offsets.txt", true);
}

// Every partition of clean/, opened after what its checkpoint calls a clean stop.
TEST(GoldenLog, CleanDirectoryOpensUnchecked) {
  MemoryRuntime runtime;
  runtime.disk().load(kGolden / "clean", "data");
  auto directory = LogDirectory::open(runtime, "data");
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_TRUE((*directory)->clean());
  EXPECT_EQ((*directory)->previous_broker_epoch(), 11);
  EXPECT_EQ((*directory)->meta()->node_id, 1);
  EXPECT_EQ((*directory)->partitions().size(), 13U);
  FileCache files(runtime.disk(), 8);
  for (const auto& partition : (*directory)->partitions()) {
    SCOPED_TRACE(partition.path);
    EXPECT_TRUE(partition.topic_id);
    auto log = runtime.run(Log::open(runtime, files, partition.path, {}, (*directory)->open_input(partition.name)));
    ASSERT_TRUE(log) << log.error().to_string();
    EXPECT_FALSE((*log)->recovery().checked);
    const auto end = (*directory)->recovery_points().find(partition.name);
    if (end != (*directory)->recovery_points().end()) EXPECT_EQ((*log)->log_end(), end->second);
    EXPECT_EQ((*log)->epochs().entries().size(), 1U);
  }
  EXPECT_LE(files.size(), 8U);
}

TEST(GoldenLog, UncleanDirectoryRecoversToTheSameEnds) {
  MemoryRuntime runtime;
  runtime.disk().load(kGolden / "unclean", "data");
  auto directory = LogDirectory::open(runtime, "data");
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_FALSE((*directory)->clean());
  FileCache files(runtime.disk(), 8);
  const std::map<std::string, std::int64_t> ends{
      {"codec-none", 120}, {"codec-gzip", 120}, {"codec-snappy", 120}, {"codec-lz4", 120}, {"codec-zstd", 120}};
  for (const auto& partition : (*directory)->partitions()) {
    SCOPED_TRACE(partition.path);
    auto log = runtime.run(Log::open(runtime, files, partition.path, {}, (*directory)->open_input(partition.name)));
    ASSERT_TRUE(log) << log.error().to_string();
    EXPECT_TRUE((*log)->recovery().checked);
    EXPECT_EQ((*log)->recovery().bytes_cut, 0U) << (*log)->recovery().why_cut;
    const auto end = ends.find(partition.name.topic);
    if (end != ends.end()) EXPECT_EQ((*log)->log_end(), Offset(end->second));
    EXPECT_FALSE((*log)->recovery().epochs_rebuilt);
    // The preallocated zeros of the newest segment's index are gone.
    const std::string index = partition.path + "/" + segment_file_name((*log)->active_segment_base(), ".index");
    EXPECT_LT(runtime.disk().file(index).size(), 1000U);
  }
}

// Indexes that recovery builds are Kafka's, byte for byte.
TEST(GoldenLog, RebuiltIndexesAreKafkasOwn) {
  for (const std::string partition : {"rolled-0", "rolled-1", "codec-none-0", "txn-0"}) {
    SCOPED_TRACE(partition);
    LogHarness harness({.segment_bytes = 2048, .index_interval_bytes = partition.starts_with("rolled") ? 512U : 4096U});
    auto& disk = harness.runtime.disk();
    disk.load(kGolden / "clean" / partition, "p-0");
    std::map<std::string, testing::Content> kafkas;
    for (const auto& [path, content] : disk.copy().files) {
      if (!path.ends_with("index") || path.ends_with("txnindex")) continue;
      kafkas[path] = *content;
      ASSERT_TRUE(disk.remove(path));
    }
    harness.open({.clean = false}, "p-0");
    ASSERT_TRUE(harness.runtime.run(harness.log->close_cleanly()));
    for (const auto& [path, content] : kafkas) EXPECT_EQ(disk.file(path), content) << path;
  }
}

TEST(GoldenLog, TimesAreFoundAsKafkaFindsThem) {
  for (const std::string codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
    LogHarness harness;
    harness.runtime.disk().load(kGolden / "clean" / ("codec-" + codec + "-0"), "p-0");
    harness.open({.clean = true}, "p-0");
    Decompressor decompressor;
    for (int record : {0, 1, 60, 119}) {
      const auto found =
          harness.runtime.run(harness.log->offset_for_time(1'700'000'000'000 + record * 1000 - 1, decompressor));
      ASSERT_TRUE(found && *found);
      EXPECT_EQ((*found)->offset, Offset(record));
      EXPECT_EQ((*found)->timestamp, 1'700'000'000'000 + record * 1000);
    }
    EXPECT_FALSE(harness.runtime.run(harness.log->offset_for_time(1'700'000'119'001, decompressor)).value());
    EXPECT_EQ(harness.runtime.run(harness.log->offset_of_max_timestamp(decompressor)).value()->offset, Offset(119));
  }
}

TEST(GoldenLog, CompactedLogHasHolesAndServesTheNextRecord) {
  LogHarness harness;
  harness.runtime.disk().load(kGolden / "clean/compacted-0", "p-0");
  harness.open({.clean = true}, "p-0");
  const auto slice = harness.runtime.run(harness.log->read(Offset(3), 10, Offset(60), true));
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->first, Offset(40));
  EXPECT_EQ(harness.log->log_end(), Offset(60));
}

// As DumpLogSegments prints a snapshot, without the first line.
std::vector<std::string> describe(const ProducerState& state) {
  std::vector<std::string> lines;
  const auto optional = [](Offset offset) {
    return offset == kNoOffset ? std::string("OptionalLong.empty") : fmt::format("OptionalLong[{}]", offset.value());
  };
  for (const auto& [id, entry] : state.producers()) {
    std::string line = fmt::format(
        "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {} ",
        id.value(), entry.epoch.value(), entry.coordinator_epoch, optional(entry.txn_first), entry.last_timestamp);
    if (entry.batch_count() > 0) {
      const SequencedBatch& last = entry.batch(entry.batch_count() - 1);
      line +=
          fmt::format("firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                      last.first_sequence(), last.last_sequence, last.last.value(), last.offset_delta, last.timestamp);
    }
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> dumped_snapshot(const fs::path& dump) {
  auto lines = lines_of(dump);
  lines.erase(lines.begin());
  std::ranges::sort(lines);
  return lines;
}

TEST(GoldenLog, KafkasSnapshotsAreRead) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(kGolden / "dump")) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".snapshot.txt")) continue;
    SCOPED_TRACE(name);
    std::string file = name.substr(0, name.size() - 4);
    file[file.find('_')] = '/';
    const std::string bytes = read_text(kGolden / "clean" / file);
    ProducerState state;
    ASSERT_TRUE(state.decode(as_bytes(bytes)));
    EXPECT_EQ(describe(state), dumped_snapshot(entry.path()));
    if (state.producers().size() < 2) EXPECT_EQ(as_text(state.encode()), bytes);
    ++compared;
  }
  EXPECT_GE(compared, 19);
}

// What is built from the batches alone is what Kafka wrote down, state and aborted transactions.
TEST(GoldenLog, ProducersAreRebuiltAsKafkaHasThem) {
  const std::map<std::string, std::string> ends{{"txn-0", "00000000000000000036"},
                                                {"txn-1", "00000000000000000031"},
                                                {"rolled-0", "00000000000000000112"},
                                                {"codec-lz4-0", "00000000000000000120"}};
  for (const auto& [partition, end] : ends) {
    SCOPED_TRACE(partition);
    LogHarness harness({.producer_id_expiration_ms = INT64_MAX});
    auto& disk = harness.runtime.disk();
    disk.load(kGolden / "clean" / partition, "p-0");
    std::map<std::string, testing::Content> indexes;
    for (const auto& [path, content] : disk.copy().files) {
      if (path.ends_with(".txnindex") && !content->empty()) indexes[path] = *content;
      if (path.ends_with(".txnindex") || path.ends_with(".snapshot")) ASSERT_TRUE(disk.remove(path));
    }
    harness.open({.clean = false}, "p-0");
    ProducerState as_stored;  // the last batch gets the time of the marker after it
    ASSERT_TRUE(as_stored.decode(harness.log->producers().encode()));
    EXPECT_EQ(describe(as_stored), dumped_snapshot(kGolden / "dump" / (partition + "_" + end + ".snapshot.txt")));
    ASSERT_TRUE(harness.runtime.run(harness.log->close_cleanly()));
    for (const auto& [path, content] : indexes) EXPECT_EQ(disk.file(path), content) << path;
  }
}

// read_committed.json: what Kafka's consumer got of the topic txn.
TEST(GoldenLog, ReadCommittedGetsWhatKafkasConsumerGot) {
  std::string got;
  for (int partition = 0; partition < 2; ++partition) {
    LogHarness harness({.producer_id_expiration_ms = INT64_MAX});
    harness.runtime.disk().load(kGolden / "clean" / fmt::format("txn-{}", partition), "p-0");
    const Offset end(partition == 0 ? 36 : 31);
    harness.open({.clean = true, .recovery_point = end, .high_watermark = end}, "p-0");
    const Offset stable = harness.log->last_stable_offset(end);
    EXPECT_EQ(stable, Offset(partition == 0 ? 36 : 30));
    const auto aborted = harness.log->aborted_transactions(Offset(0), stable);
    for (Offset at{0}; at < stable;) {
      const auto bytes = harness.runtime.run(harness.log->read_bytes(at, 1 << 20, stable, true)).value();
      Bytes rest(bytes);
      while (!rest.empty()) {
        const auto batch = take_batch(rest).value();
        at = batch.header().next_offset();
        const bool lost = std::ranges::any_of(aborted, [&](const AbortedTxn& txn) {
          return batch.header().transactional() && txn.producer_id == batch.header().producer_id &&
                 txn.first <= batch.header().base_offset && batch.header().base_offset <= txn.last;
        });
        if (batch.header().control() || lost) continue;
        Decompressor decompressor;
        auto records = open_records(batch, decompressor).value();
        for (RecordView record; records.next(record).value();) {
          got += fmt::format("{}[{}, {}, \"{}\"]", got.empty() ? "" : ", ", partition, record.offset.value(),
                             as_text(*record.value));
        }
      }
    }
  }
  EXPECT_EQ("[" + got + "]", read_text(kGolden / "read_committed.json").substr(0, got.size() + 2));
}

}  // namespace
}  // namespace verdict::storage
