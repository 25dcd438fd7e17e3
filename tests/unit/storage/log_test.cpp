#include <gtest/gtest.h>

#include "runtime/io.h"
#include "tests/unit/storage/support.h"

namespace verdict::storage {
namespace {

using testing::BatchSpec;
using testing::LogHarness;
using testing::make_batch;

TEST(Log, AppendStampsOffsetsAndEpochAndRolls) {
  LogHarness h;
  h.open();
  Offset next{0};
  int rolled = 0;
  for (int i = 0; i < 20; ++i) {
    const Appended appended = h.append(i / 5, {.records = i % 4 + 1});
    EXPECT_EQ(appended.base, next);
    EXPECT_EQ(appended.last, next + i % 4);
    EXPECT_EQ(appended.epoch, LeaderEpoch(i / 5));
    rolled += appended.rolled ? 1 : 0;
    next = appended.last + 1;
  }
  EXPECT_GT(rolled, 2);
  EXPECT_EQ(h.runtime.marks[Mark::SegmentRolled], rolled);
  EXPECT_EQ(h.log->segment_count(), static_cast<std::size_t>(rolled) + 1);
  EXPECT_EQ(h.log->log_end(), next);
  const auto all = h.all();
  ASSERT_EQ(all.size(), 20U);
  EXPECT_EQ(all[7].leader_epoch, LeaderEpoch(1));
  EXPECT_EQ(h.log->end_offset_for(LeaderEpoch(0)), (EpochEnd{LeaderEpoch(0), h.log->epochs().entries()[1].start}));
  EXPECT_EQ(h.log->end_offset_for(LeaderEpoch(3)), (EpochEnd{LeaderEpoch(3), next}));
  EXPECT_FALSE(h.log->end_offset_for(LeaderEpoch(4)));
}

// Kafka's slices: the byte limit cuts inside a batch, but never the first one, and the offset bound only between two.
TEST(Log, ReadsRespectTheirBounds) {
  for (const bool deferred : {false, true}) {
    LogHarness h({.segment_bytes = 5000, .index_interval_bytes = 200, .tail_batches = deferred ? 3U : 128U});
    h.runtime.deferred = deferred;
    h.open();
    std::uint32_t size = 0;
    for (int i = 0; i < 30; ++i) size = h.append(0).size;  // three records each
    const auto read = [&](std::int64_t from, std::size_t max, std::int64_t upper, bool one) {
      return h.runtime.run(h.log->read(Offset(from), max, Offset(upper), one));
    };
    EXPECT_EQ(read(4, 1, 90, true)->size, size);
    EXPECT_EQ(read(4, 1, 90, true)->first, Offset(3));
    EXPECT_TRUE(read(4, 1, 90, false)->empty());
    for (const std::int64_t upper : {15, 16, 90}) {
      EXPECT_EQ(read(4, size * 3 + 5, upper, true)->size, size * 3 + 5);
      EXPECT_EQ(read(4, size * 3 + 5, upper, false)->next, Offset(12));
    }
    EXPECT_EQ(read(4, size * 3 + 5, 14, true)->size, size * 3) << "the batch cut would reach the bound";
    EXPECT_EQ(read(4, size * 3, 90, true)->size, size * 3);
    EXPECT_EQ(read(4, 100000, 9, true)->next, Offset(9));
    EXPECT_TRUE(read(9, 100000, 9, true)->empty());
    EXPECT_TRUE(read(90, 100000, 90, true)->empty());
    EXPECT_EQ(read(91, 1, 90, true).error().kind, LogErrorKind::out_of_range);
    EXPECT_EQ(read(0, 100000, 90, true)->size, size * 30);
    EXPECT_EQ(h.all().size(), 30U);
  }
}

TEST(Log, FollowerTakesManyBatchesAndRefusesGapsAndDamage) {
  LogHarness h;
  h.open();
  std::vector<std::byte> bytes;
  for (int i = 0; i < 10; ++i) {
    const auto batch = make_batch({.base = Offset(i * 3), .epoch = LeaderEpoch(i / 4)});
    bytes.insert(bytes.end(), batch.begin(), batch.end());
  }
  std::vector<Appended> appended;
  const WallTime now = h.runtime.wall_now();
  auto damaged = bytes;
  damaged[damaged.size() - 3] ^= std::byte{1};
  EXPECT_EQ(h.log->append_as_follower(damaged, Log::Holes::refused, now, appended).error().kind,
            LogErrorKind::invalid_batch);
  EXPECT_EQ(h.log->log_end(), Offset(0));
  EXPECT_EQ(
      h.log->append_as_follower(Bytes(bytes).first(bytes.size() - 1), Log::Holes::refused, now, appended).error().kind,
      LogErrorKind::invalid_batch);
  ASSERT_TRUE(h.log->append_as_follower(bytes, Log::Holes::refused, now, appended));
  EXPECT_EQ(appended.size(), 10U);
  EXPECT_EQ(h.log->log_end(), Offset(30));
  EXPECT_EQ(h.log->epochs().entries().size(), 3U);
  const auto gap = make_batch({.base = Offset(33), .epoch = LeaderEpoch(2)});
  EXPECT_FALSE(h.log->append_as_follower(gap, Log::Holes::refused, now, appended));
  EXPECT_TRUE(h.log->append_as_follower(gap, Log::Holes::allowed, now, appended));
  const auto old = make_batch({.base = Offset(36), .epoch = LeaderEpoch(1)});
  EXPECT_FALSE(h.log->append_as_follower(old, Log::Holes::refused, now, appended));
  const auto slice = h.runtime.run(h.log->read(Offset(31), 1, Offset(36), true));
  EXPECT_EQ(slice->first, Offset(33));
}

// A batch may stand as far behind the one before it as it likes, in a leader's log whose base offset has rotted. It
// begins a segment of its own, and who asks for what is between gets it.
TEST(Log, AHoleMayBeWiderThanASegment) {
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  LogHarness h;
  h.open();
  h.append(0);
  std::vector<Appended> appended;
  const auto far = make_batch({.base = Offset(kFar), .epoch = LeaderEpoch(0)});
  ASSERT_TRUE(h.log->append_as_follower(far, Log::Holes::allowed, h.runtime.wall_now(), appended));
  EXPECT_EQ(h.log->segment_count(), 2U);
  const Offset middle(kFar / 2);
  h.open({.clean = false, .recovery_point = Offset(kFar)});
  const auto behind = h.runtime.run(h.log->read_bytes(middle, 1 << 20, h.log->log_end(), true));
  ASSERT_TRUE(behind) << behind.error().to_string();
  EXPECT_EQ(parse_header(*behind)->base_offset, Offset(kFar));
  const auto before = h.runtime.run(h.log->read(Offset(0), 1 << 20, middle, true));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->first, Offset(0));
  EXPECT_EQ(before->next, Offset(3));
  ASSERT_TRUE(h.log->truncate_to(middle));
  EXPECT_EQ(h.log->log_end(), Offset(3));
}

TEST(Log, TheLastOffsetThatASegmentCanName) {
  LogHarness h;
  h.open();
  h.append(0);
  std::vector<Appended> appended;
  const auto last = make_batch({.records = 1, .base = Offset(INT32_MAX), .epoch = LeaderEpoch(0)});
  ASSERT_TRUE(h.log->append_as_follower(last, Log::Holes::allowed, h.runtime.wall_now(), appended));
  EXPECT_EQ(h.log->segment_count(), 1U);
  for (const bool clean : {true, false}) {
    h.open({.clean = clean});
    EXPECT_EQ(h.log->log_end(), Offset(INT32_MAX) + 1);
  }
}

// What stood in the hole, and is compacted away, may be of the new epoch: whoever holds something of an older one there
// has to let it go.
TEST(Log, BehindAHoleAnEpochBeginsWhereTheLogEnded) {
  LogHarness h;
  h.open();
  std::vector<Appended> appended;
  const WallTime now = h.runtime.wall_now();
  ASSERT_TRUE(h.log->append_as_follower(make_batch({.base = Offset(0)}), Log::Holes::allowed, now, appended));
  const Offset end = h.log->log_end();
  const auto behind = make_batch({.base = Offset(9), .epoch = LeaderEpoch(2)});
  ASSERT_TRUE(h.log->append_as_follower(behind, Log::Holes::allowed, now, appended));
  EXPECT_EQ(h.log->epochs().end_offset_for(LeaderEpoch(0), h.log->log_end())->end, end);
}

TEST(Log, TheDefectTakesDamageFromTheLeader) {
  LogHarness h;
  h.runtime.plant(Defect::CrcIgnored);
  h.open();
  auto batch = make_batch({.epoch = LeaderEpoch(1)});
  std::vector<Appended> appended;
  ASSERT_TRUE(h.log->append_as_follower(batch, Log::Holes::refused, h.runtime.wall_now(), appended));
  EXPECT_EQ(h.runtime.marks[Mark::DefectCrcIgnored], 0);
  batch = make_batch({.base = Offset(3), .epoch = LeaderEpoch(1)});
  batch[batch.size() - 3] ^= std::byte{1};
  ASSERT_TRUE(h.log->append_as_follower(batch, Log::Holes::refused, h.runtime.wall_now(), appended));
  EXPECT_EQ(h.log->log_end(), Offset(6));
  EXPECT_EQ(h.runtime.marks[Mark::DefectCrcIgnored], 1);
}

TEST(Log, FailedAppendIsCutBackAndAFailedCutIsTheEnd) {
  LogHarness h;
  h.open();
  h.append(0);
  bool fail_truncate = false;
  h.runtime.disk().fault = [&](std::string_view call, const std::string& path) {
    if (path.ends_with(".log") && (call == "append" || (call == "truncate" && fail_truncate))) {
      return std::make_error_code(std::errc::no_space_on_device);
    }
    return std::error_code();
  };
  auto batch = make_batch({});
  const auto failed = h.log->append_as_leader(batch, LeaderEpoch(0), h.runtime.wall_now());
  EXPECT_EQ(failed.error().kind, LogErrorKind::append_failed);
  EXPECT_EQ(h.log->log_end(), Offset(3));
  h.runtime.disk().fault = nullptr;
  EXPECT_EQ(h.append(0).base, Offset(3));
  EXPECT_EQ(h.all().size(), 2U);
  fail_truncate = true;
  h.runtime.disk().fault = [&](std::string_view call, const std::string&) {
    return call == "append" || call == "truncate" ? std::make_error_code(std::errc::io_error) : std::error_code();
  };
  EXPECT_EQ(h.log->append_as_leader(batch, LeaderEpoch(0), h.runtime.wall_now()).error().kind, LogErrorKind::offline);
  EXPECT_TRUE(h.log->offline());
  h.runtime.disk().fault = nullptr;
  EXPECT_EQ(h.log->append_as_leader(batch, LeaderEpoch(0), h.runtime.wall_now()).error().kind, LogErrorKind::offline);
}

TEST(Log, FailedSyncTakesTheLogOffline) {
  LogHarness h;
  h.open();
  h.append(0);
  EXPECT_EQ(h.runtime.run(h.log->flush()).value(), Offset(3));
  h.append(0);
  h.runtime.disk().fault = [](std::string_view call, const std::string&) {
    return call == "sync" ? std::make_error_code(std::errc::io_error) : std::error_code();
  };
  EXPECT_EQ(h.runtime.run(h.log->flush()).error().kind, LogErrorKind::offline);
  EXPECT_EQ(h.log->recovery_point(), Offset(3));
  EXPECT_EQ(h.runtime.marks[Mark::LogDirectoryOffline], 1);
}

TEST(Log, TruncationCutsBatchesSegmentsAndEpochs) {
  for (std::int64_t to = 0; to <= 60; ++to) {
    LogHarness h;
    h.open();
    for (int i = 0; i < 20; ++i) h.append(i / 6);
    if (to % 2 == 0) ASSERT_TRUE(h.runtime.run(h.log->flush()));
    const auto truncated = h.log->truncate_to(Offset(to));
    ASSERT_TRUE(truncated);
    EXPECT_EQ(truncated->new_end, Offset(to - to % 3));
    EXPECT_LE(h.log->recovery_point(), h.log->log_end());
    EXPECT_EQ(h.all().size(), static_cast<std::size_t>(to / 3));
    for (const EpochStart& entry : h.log->epochs().entries()) EXPECT_LT(entry.start, h.log->log_end());
    h.append(7);
    h.append(7);
    EXPECT_EQ(h.all().size(), static_cast<std::size_t>(to / 3) + 2);
    const auto epochs = h.log->epochs().entries();
    const Offset end = h.log->log_end();
    const std::uint64_t size = h.log->size_bytes();
    h.open({.clean = false, .recovery_point = Offset(to % 2 == 0 ? 60 : 0)});
    EXPECT_EQ(h.log->log_end(), end);
    EXPECT_EQ(h.log->epochs().entries(), epochs);
    EXPECT_EQ(h.log->size_bytes(), size);
  }
}

// A leader that wrote nothing in its epoch and then follows: its own epoch is not the new leader's.
TEST(Log, TruncationAtTheEndCutsAnEpochWithoutRecords) {
  LogHarness h;
  h.open();
  h.append(4);
  const Offset end = h.log->log_end();
  ASSERT_TRUE(h.log->assign_epoch_start(LeaderEpoch(6), end));
  const auto truncated = h.log->truncate_to(end);
  ASSERT_TRUE(truncated);
  EXPECT_EQ(truncated->old_end, truncated->new_end);
  EXPECT_EQ(h.log->log_end(), end);
  EXPECT_EQ(h.log->last_epoch(), LeaderEpoch(4));
  ASSERT_TRUE(h.log->assign_epoch_start(LeaderEpoch(6), end));
  ASSERT_TRUE(h.log->truncate_to(end + 1));
  EXPECT_EQ(h.log->last_epoch(), LeaderEpoch(6)) << "it begins below";
}

TEST(Log, TruncateFullyStartsElsewhere) {
  LogHarness h;
  h.open();
  for (int i = 0; i < 20; ++i) h.append(1);
  ASSERT_TRUE(h.log->truncate_fully_and_start_at(Offset(500)));
  EXPECT_EQ(h.log->log_start(), Offset(500));
  EXPECT_EQ(h.log->epochs().entries().size(), 0U);
  EXPECT_EQ(h.append(3).base, Offset(500));
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  h.open({.clean = true, .recovery_point = Offset(503)});
  EXPECT_EQ(h.log->log_start(), Offset(500));
  EXPECT_EQ(h.all().size(), 1U);
}

TEST(Log, RetentionRemovesWholeOldSegmentsBelowTheHighWatermark) {
  LogHarness h({.segment_bytes = 600, .index_interval_bytes = 200, .retention_bytes = 1000, .retention_ms = -1});
  h.open();
  for (int i = 0; i < 30; ++i) h.append(0);
  const std::size_t before = h.log->segment_count();
  EXPECT_TRUE(h.log->enforce_retention(h.runtime.wall_now(), Offset(0))->empty());
  std::optional<Offset> told;
  const auto removed = h.log->enforce_retention(h.runtime.wall_now(), Offset(90), [&](Offset to) {
    EXPECT_FALSE(told) << "once, before anything goes";
    EXPECT_EQ(h.log->log_start(), Offset(0));
    told = to;
  });
  EXPECT_EQ(told, h.log->log_start());
  ASSERT_TRUE(removed);
  EXPECT_GT(removed->size(), 0U);
  EXPECT_EQ(h.log->segment_count(), before - removed->size());
  EXPECT_EQ(h.log->log_start(), removed->back().next);
  EXPECT_EQ(h.log->epochs().entries().front().start, h.log->log_start());
  EXPECT_GE(h.log->size_bytes(), 1000U);
  EXPECT_FALSE(h.runtime.disk().has("d/t-0/00000000000000000000.log"));
  const auto early = h.runtime.run(h.log->read(Offset(0), 1, Offset(90), true));
  EXPECT_EQ(early.error().kind, LogErrorKind::out_of_range);
  // By time, everything goes, the newest segment too.
  LogConfig by_time = h.config;
  by_time.retention_ms = 1000;
  h.log->set_config(by_time);
  const WallTime later = h.runtime.wall_now() + std::chrono::hours(1);
  ASSERT_TRUE(h.log->enforce_retention(later, Offset(90)));
  EXPECT_EQ(h.log->log_start(), Offset(90));
  EXPECT_EQ(h.log->segment_count(), 1U);
  EXPECT_EQ(h.append(0).base, Offset(90));
}

TEST(Log, RollsByTimeAndByIndexSize) {
  LogHarness h({.segment_ms = 1000, .index_interval_bytes = 50, .index_bytes = 80});
  h.open();
  h.append(0, {.timestamp = 1000});
  EXPECT_FALSE(h.append(0, {.timestamp = 1500}).rolled);
  EXPECT_TRUE(h.append(0, {.timestamp = 2100}).rolled);
  int rolled = 0;
  for (int i = 0; i < 30; ++i) rolled += h.append(0, {.timestamp = 2100 + i}).rolled ? 1 : 0;
  EXPECT_GE(rolled, 3);
  EXPECT_EQ(h.all().size(), 33U);
}

Task<std::expected<ReadSlice, LogError>> read_while(Log* log, Offset from) {
  co_return co_await log->read(from, 1000000, log->log_end(), true);
}

// A read that sleeps while the log is truncated or loses its oldest segments starts again.
TEST(Log, SuspendedReadSurvivesTruncationAndRetention) {
  for (const int change : {0, 1, 2}) {
    LogHarness h({.segment_bytes = 600, .index_interval_bytes = 200, .retention_bytes = 0, .tail_batches = 1});
    h.open();
    for (int i = 0; i < 12; ++i) h.append(0);
    h.runtime.deferred = true;
    std::optional<std::expected<ReadSlice, LogError>> result;
    Scope scope(h.runtime);
    struct Keep {
      static Task<void> run(Task<std::expected<ReadSlice, LogError>> task,
                            std::optional<std::expected<ReadSlice, LogError>>* into) {
        into->emplace(co_await task);
      }
    };
    scope.spawn(Keep::run(read_while(h.log.get(), Offset(4)), &result));
    ASSERT_FALSE(result);
    if (change == 0) ASSERT_TRUE(h.log->truncate_to(Offset(6)));
    if (change == 1) ASSERT_TRUE(h.log->truncate_to(Offset(0)));
    if (change == 2) ASSERT_TRUE(h.log->enforce_retention(h.runtime.wall_now(), Offset(36)));
    while (h.runtime.step()) {
    }
    ASSERT_TRUE(result);
    if (change == 0) EXPECT_EQ((*result)->next, Offset(6));
    if (change != 0) EXPECT_EQ(result->error().kind, LogErrorKind::out_of_range);
  }
}

TEST(Log, FileHandlesAreBounded) {
  LogHarness h;
  FileCache files(h.runtime.disk(), 4);
  std::vector<std::unique_ptr<Log>> logs;
  for (int i = 0; i < 50; ++i) {
    auto log = h.runtime.run(Log::open(h.runtime, files, "d/t-" + std::to_string(i), h.config, {.clean = true}));
    logs.push_back(std::move(*log));
  }
  for (int round = 0; round < 10; ++round) {
    for (const auto& log : logs) {
      auto batch = make_batch({});
      ASSERT_TRUE(log->append_as_leader(batch, LeaderEpoch(0), h.runtime.wall_now()));
    }
  }
  EXPECT_LE(h.runtime.disk().open_files(), 4U);
  for (const auto& log : logs) EXPECT_EQ(log->log_end(), Offset(30));
}

TEST(Log, AFileThatIsKeptIsOpenedOnce) {
  LogHarness h;
  FileCache files(h.runtime.disk(), 2);
  FileCache::Slot first;
  std::string asked;
  const auto get = [&](FileCache::Slot& slot, const char* path) {
    return files.get(
        slot,
        [&] {
          asked += path;
          return std::string(path);
        },
        true);
  };
  {
    FileCache::Slot second;
    ASSERT_TRUE(get(first, "a"));
    ASSERT_TRUE(get(second, "b"));
    ASSERT_TRUE(get(first, "a"));
    EXPECT_EQ(asked, "ab");
    FileCache::Slot third;
    ASSERT_TRUE(get(third, "c"));  // the longest unused goes
    ASSERT_TRUE(get(first, "a"));
    EXPECT_EQ(asked, "abc");
    ASSERT_TRUE(get(second, "b"));
    EXPECT_EQ(asked, "abcb");
  }
  EXPECT_EQ(files.size(), 1U);  // what a slot held goes with it
  EXPECT_EQ(h.runtime.disk().open_files(), 1U);
  files.forget(first);
  EXPECT_EQ(h.runtime.disk().open_files(), 0U);
}

TEST(Log, CleanStopIsOpenedUncheckedAndGoesOn) {
  LogHarness h;
  h.open();
  for (int i = 0; i < 25; ++i) h.append(i / 10);
  const auto epochs = h.log->epochs().entries();
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  h.open({.clean = true, .recovery_point = Offset(75)});
  EXPECT_FALSE(h.log->recovery().checked);
  EXPECT_EQ(h.log->log_end(), Offset(75));
  EXPECT_EQ(h.log->epochs().entries(), epochs);
  h.append(3);
  EXPECT_EQ(h.all().size(), 26U);
}

TEST(Log, TimeLookUps) {
  LogHarness h;
  h.open();
  for (int i = 0; i < 40; ++i)
    h.append(2, {.records = 3, .timestamp = 1000 + i * 10, .codec = i % 2 ? Codec::lz4 : Codec::zstd});
  Decompressor decompressor;
  for (int i = 0; i < 40; ++i) {
    const auto found = h.runtime.run(h.log->offset_for_time(1000 + i * 10 + 1, decompressor)).value();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->offset, Offset(i * 3 + 1));
    EXPECT_EQ(found->epoch, LeaderEpoch(2));
  }
  EXPECT_EQ(h.runtime.run(h.log->offset_for_time(0, decompressor)).value()->offset, Offset(0));
  EXPECT_FALSE(h.runtime.run(h.log->offset_for_time(5000, decompressor)).value());
  EXPECT_EQ(h.runtime.run(h.log->offset_of_max_timestamp(decompressor)).value()->offset, Offset(119));
}

}  // namespace
}  // namespace verdict::storage
