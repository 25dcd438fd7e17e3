#include <gtest/gtest.h>

#include "tests/unit/storage/support.h"

// What a crash may leave, and what open() makes of it.
namespace verdict::storage {
namespace {

using testing::LogHarness;
using testing::MemoryState;

constexpr const char* kFirst = "d/t-0/00000000000000000000.log";

// A small log of one segment, cut at each byte: it ends at the last whole batch.
TEST(Recovery, EveryCutEndsAtTheLastValidBatch) {
  LogHarness h({.index_interval_bytes = 100});
  h.open();
  std::vector<std::uint64_t> ends{0};
  for (int i = 0; i < 6; ++i) {
    const Appended appended = h.append(i / 2, {.codec = i % 3 == 0 ? Codec::lz4 : Codec::none});
    ends.push_back(appended.position + appended.size);
  }
  const MemoryState whole = h.runtime.disk().copy();
  for (std::size_t size = 0; size <= ends.back(); ++size) {
    SCOPED_TRACE(size);
    h.runtime.disk().restore(whole);
    h.runtime.disk().file(kFirst).resize(size);
    h.open({.clean = false});
    std::size_t batches = 0;
    while (batches + 1 < ends.size() && ends[batches + 1] <= size) ++batches;
    EXPECT_EQ(h.log->log_end(), Offset(static_cast<std::int64_t>(batches) * 3));
    EXPECT_EQ(h.log->recovery().bytes_cut, size - ends[batches]);
    EXPECT_EQ(h.runtime.disk().file(kFirst).size(), ends[batches]);
    EXPECT_EQ(h.all().size(), batches);
    EXPECT_EQ(h.log->epochs().entries().size(), (batches + 1) / 2);
    h.append(9);
    EXPECT_EQ(h.all().size(), batches + 1);
  }
}

// A zero tail (size without data) is cut as well.
TEST(Recovery, ZeroTailIsCut) {
  LogHarness h;
  h.open();
  h.append(0);
  h.runtime.disk().file(kFirst).resize(5000);
  h.open({.clean = false});
  EXPECT_EQ(h.log->log_end(), Offset(3));
  EXPECT_EQ(h.runtime.marks[Mark::RecoveryCutBatch], 1);
}

TEST(Recovery, TheDefectKeepsABatchWhoseCrcIsWrong) {
  for (const bool planted : {false, true}) {
    LogHarness h;
    if (planted) h.runtime.plant(Defect::CrcIgnored);
    h.open();
    h.append(0);
    h.append(0);
    h.runtime.disk().file(kFirst).back() ^= std::byte{1};
    h.open({.clean = false});
    EXPECT_EQ(h.log->log_end(), Offset(planted ? 6 : 3));
    EXPECT_EQ(h.runtime.marks[Mark::DefectCrcIgnored], planted ? 1 : 0);
  }
}

// Any flipped bit that the CRC covers, or that breaks the header, ends the log before its batch; a flip in what is not
// covered (base offset, epoch) never makes the log longer or unreadable.
TEST(Recovery, EveryFlippedBit) {
  LogHarness h({.index_interval_bytes = 100});
  h.open();
  for (int i = 0; i < 3; ++i) h.append(1, {.records = 2, .value_size = 5});
  const Appended second{.base = Offset(2)};
  const MemoryState whole = h.runtime.disk().copy();
  const std::size_t size = h.runtime.disk().file(kFirst).size();
  const std::size_t batch = size / 3;
  for (std::size_t bit = 0; bit < size * 8; ++bit) {
    SCOPED_TRACE(bit);
    h.runtime.disk().restore(whole);
    h.runtime.disk().file(kFirst)[bit / 8] ^= std::byte(1U << (bit % 8));
    h.open({.clean = false});
    const std::size_t in_batch = bit / 8 % batch;
    const auto before = static_cast<std::int64_t>(bit / 8 / batch);
    if (in_batch >= 16 || (in_batch >= 8 && in_batch < 12)) EXPECT_EQ(h.log->log_end(), second.base + (before - 1) * 2);
    EXPECT_LE(h.all().size(), 3U);
  }
}

TEST(Recovery, DamagedMiddleSegmentEndsTheLogThere) {
  LogHarness h;
  h.open();
  for (int i = 0; i < 30; ++i) h.append(0);
  const std::size_t segments = h.log->segment_count();
  ASSERT_GT(segments, 4U);
  const auto headers = h.all();
  std::vector<std::string> logs;
  for (const auto& [path, content] : h.runtime.disk().copy().files) {
    if (path.ends_with(".log")) logs.push_back(path);
  }
  h.runtime.disk().file(logs[2]).back() ^= std::byte{1};
  h.open({.clean = false});
  EXPECT_EQ(h.log->segment_count(), 3U);
  EXPECT_EQ(h.log->recovery().segments_removed, segments - 3);
  EXPECT_LT(h.log->log_end(), Offset(90));
  EXPECT_FALSE(h.runtime.disk().has(logs[3]));
  h.append(1);
  EXPECT_EQ(h.all().back().leader_epoch, LeaderEpoch(1));
}

// A segment that a power loss removed or emptied must not hide behind the ones after it.
TEST(Recovery, MissingSegmentEndsTheLogBeforeIt) {
  for (const bool emptied : {false, true}) {
    LogHarness h;
    h.open();
    for (int i = 0; i < 30; ++i) h.append(0);
    std::vector<std::string> logs;
    for (const auto& [path, content] : h.runtime.disk().copy().files) {
      if (path.ends_with(".log")) logs.push_back(path);
    }
    const Offset lost = *parse_segment_file_name(logs[2].substr(6), ".log");
    if (emptied) {
      h.runtime.disk().file(logs[2]).clear();
    } else {
      ASSERT_TRUE(h.runtime.disk().remove(logs[2]));
    }
    h.open({.clean = false});
    EXPECT_EQ(h.log->log_end(), lost);
    EXPECT_TRUE(h.log->recovery().holes);
    EXPECT_EQ(h.runtime.marks[Mark::RecoveryFoundHole], 1);
  }
}

TEST(Recovery, BrokenOrMissingIndexesAreRebuilt) {
  for (int way = 0; way < 4; ++way) {
    LogHarness h;
    h.open();
    for (int i = 0; i < 30; ++i) h.append(0, {.timestamp = 1000 + i * 10});
    ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
    const MemoryState good = h.runtime.disk().copy();
    for (const auto& [path, content] : good.files) {
      if (!path.ends_with("index")) continue;
      if (way == 0) ASSERT_TRUE(h.runtime.disk().remove(path));
      if (way == 1) h.runtime.disk().file(path).assign(content->size() + 1, std::byte{0x7f});
      if (way == 2 && !content->empty()) h.runtime.disk().file(path).pop_back();
      if (way == 3) h.runtime.disk().file(path).resize(content->size() + 480);
    }
    h.open({.clean = way != 1, .recovery_point = Offset(way == 1 ? 0 : 90)});
    EXPECT_EQ(h.all().size(), 30U);
    Decompressor decompressor;
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(h.runtime.run(h.log->offset_for_time(1001 + i * 10, decompressor)).value()->offset, Offset(i * 3 + 1));
    }
  }
}

// Killed after each of the disk calls that appends, rolls, a flush, a truncation and retention make: what open() finds
// is a prefix, and what flush had promised is in it.
TEST(Recovery, KilledAfterAnyDiskCall) {
  bool finished = false;
  std::uint64_t calls = 0;
  for (; !finished; ++calls) {
    SCOPED_TRACE(calls);
    LogHarness h({.segment_bytes = 600, .index_interval_bytes = 200, .retention_bytes = 900, .retention_ms = -1});
    h.open();
    h.runtime.disk().changes_left = calls;
    Offset promised{0};
    Offset lowest{0};
    const auto append = [&](int count, int epoch) {
      for (int i = 0; i < count; ++i) {
        auto batch = testing::make_batch({});
        if (!h.log->append_as_leader(batch, LeaderEpoch(epoch), h.runtime.wall_now())) return;
      }
    };
    append(10, 1);
    if (const auto flushed = h.runtime.run(h.log->flush())) promised = *flushed;
    append(10, 2);
    const Offset target{45};
    if (h.log->truncate_to(target)) promised = std::min(promised, target);
    append(10, 4);
    if (!h.log->offline()) {
      if (const auto removed = h.log->enforce_retention(h.runtime.wall_now(), Offset(30));
          removed && !removed->empty()) {
        lowest = removed->back().next;
      }
    }
    const Offset end = h.log->log_end();
    finished = *h.runtime.disk().changes_left > 0;
    h.runtime.disk().changes_left.reset();
    h.open({.clean = false, .recovery_point = promised});
    EXPECT_GE(h.log->log_end(), promised);
    EXPECT_GE(h.log->log_start(), lowest);
    Offset expected = h.log->log_start();
    for (const BatchHeader& header : h.all()) {
      EXPECT_EQ(header.base_offset, expected);
      EXPECT_EQ(h.log->epochs().epoch_of(header.base_offset), header.leader_epoch);
      expected = header.next_offset();
    }
    EXPECT_EQ(expected, h.log->log_end());
    if (finished) EXPECT_EQ(h.log->log_end(), end);
  }
  EXPECT_GT(calls, 60U);
}

TEST(Recovery, OnlySegmentsFromTheRecoveryPointAreChecked) {
  LogHarness h;
  h.open();
  for (int i = 0; i < 30; ++i) h.append(0);
  const Offset point = h.runtime.run(h.log->flush()).value();
  h.append(0);
  h.open({.clean = false, .recovery_point = point});
  EXPECT_LE(h.log->recovery().batches, 6U);
  EXPECT_EQ(h.log->log_end(), Offset(93));
  EXPECT_FALSE(h.log->recovery().epochs_rebuilt);
}

// Whatever change it dies at, the log neither begins anew below where it ended nor holds what it never held.
TEST(Recovery, ATruncationInFullMayDieAnywhere) {
  for (const std::int64_t to : {0, 7, 12, 42, 60}) {
    bool done = false;
    for (std::uint64_t changes = 0; !done; ++changes) {
      LogHarness h;
      h.open();
      while (h.log->log_end() < Offset(42)) h.append(1);
      h.runtime.disk().changes_left = changes;
      done = h.log->truncate_fully_and_start_at(Offset(to)).has_value();
      h.runtime.disk().changes_left.reset();
      h.open({.clean = false});
      const std::int64_t start = h.log->log_start().value(), end = h.log->log_end().value();
      const bool after = start == to && end == to;
      const bool before = end <= 42 && start <= end && (to < 42 ? end > 0 : end == 42);
      EXPECT_TRUE(after || (before && !done)) << to << ", dead at " << changes << ": " << start << " " << end;
    }
  }
}

}  // namespace
}  // namespace verdict::storage
