#include <gtest/gtest.h>

#include "tests/unit/storage/producing.h"

// What a log keeps of its producers: over rolls, stops, kills, truncations and damage.
namespace verdict::storage {
namespace {

using testing::describe;
using testing::make_producer_batch;
using testing::ProducerBatch;
using testing::ProducingHarness;

constexpr LogConfig kSmall{.segment_bytes = 500, .index_interval_bytes = 200};
using Offsets = std::vector<Offset>;

// A follower's copy, from reads of at most so many bytes.
void copy_log(ProducingHarness& from, ProducingHarness& to, std::size_t max_bytes) {
  std::vector<Appended> appended;
  while (to.log->log_end() < from.log->log_end()) {
    const auto bytes =
        from.runtime.run(from.log->read_bytes(to.log->log_end(), max_bytes, from.log->log_end(), true)).value();
    const Bytes whole(bytes);
    Bytes rest = whole;
    while (take_batch(rest)) {
    }
    ASSERT_LT(rest.size(), whole.size()) << "part of a batch";
    ASSERT_TRUE(to.log->append_as_follower(whole.first(whole.size() - rest.size()), Log::Holes::refused,
                                           to.runtime.wall_now(), appended));
  }
}

struct LogProducers : ::testing::Test {
  ProducingHarness h{kSmall};

  void SetUp() override { h.open(); }
  std::string state() { return describe(h.log->producers()); }
  std::vector<AbortedTxn> aborted() { return h.log->aborted_transactions(Offset(0), h.log->log_end()); }
  Offset stable(std::int64_t high_watermark) { return h.log->last_stable_offset(Offset(high_watermark)); }
  void stop_and_open(std::int64_t high_watermark) {
    const Offset end = h.log->log_end();
    ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
    h.open({.clean = true, .recovery_point = end, .high_watermark = Offset(high_watermark)});
  }
  // A killed process: what was written is there.
  void kill_and_open(std::int64_t recovery_point, std::int64_t high_watermark) {
    h.open({.clean = false, .recovery_point = Offset(recovery_point), .high_watermark = Offset(high_watermark)});
  }
};

TEST_F(LogProducers, ARetryIsAnsweredWithTheFirstOnesPlace) {
  h.must_produce({.sequence = 0});
  const Appended first = h.must_produce({.sequence = 3, .timestamp = 77});
  h.must_produce({.sequence = 6});
  const Appended again = h.must_produce({.sequence = 3, .timestamp = 88});
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.base, first.base);
  EXPECT_EQ(again.last, first.last);
  EXPECT_EQ(again.epoch, first.epoch);
  EXPECT_EQ(again.crc, first.crc);
  EXPECT_EQ(again.max_timestamp, 77);
  EXPECT_EQ(h.log->log_end(), Offset(9));
}

TEST_F(LogProducers, RefusalsChangeNothing) {
  h.must_produce({.epoch = 1, .sequence = 0, .transactional = true});
  const std::string before = state();
  EXPECT_EQ(h.refusal({.epoch = 1, .sequence = 4}), LogErrorKind::out_of_order_sequence);
  EXPECT_EQ(h.refusal({.epoch = 0, .sequence = 3}), LogErrorKind::invalid_producer_epoch);
  EXPECT_EQ(h.refusal({.epoch = 1, .sequence = 3}), LogErrorKind::invalid_txn_state);
  EXPECT_EQ(state(), before);
  ASSERT_TRUE(h.try_end(7, 1, true, 4));
  EXPECT_EQ(h.try_end(7, 1, true, 3).error().kind, LogErrorKind::coordinator_fenced);
  EXPECT_EQ(h.try_end(7, 0, true, 4).error().kind, LogErrorKind::invalid_producer_epoch);
  EXPECT_EQ(h.log->log_end(), Offset(4));
  EXPECT_NE(state(), before);
}

TEST_F(LogProducers, AFailedAppendIsNoPartOfTheState) {
  h.must_produce({.sequence = 0});
  const std::string before = state();
  h.runtime.disk().fault = [](std::string_view call, const std::string&) {
    return call == "append" ? std::make_error_code(std::errc::no_space_on_device) : std::error_code();
  };
  EXPECT_EQ(h.refusal({.sequence = 3}), LogErrorKind::append_failed);
  h.runtime.disk().fault = nullptr;
  EXPECT_EQ(state(), before);
  EXPECT_FALSE(h.must_produce({.sequence = 3}).duplicate);
}

TEST_F(LogProducers, TheLastStableOffsetWaitsForTheMarkerToBeCommitted) {
  h.append(0);
  EXPECT_EQ(stable(3), Offset(3));
  h.must_produce({.sequence = 0, .transactional = true});  // 3 to 5
  h.append(0);                                             // 6 to 8
  EXPECT_EQ(stable(2), Offset(2));
  EXPECT_EQ(stable(9), Offset(3));
  h.end(7, 0, true);  // 9
  EXPECT_EQ(stable(9), Offset(3));
  EXPECT_EQ(stable(10), Offset(10));
}

TEST_F(LogProducers, TheLogStartBoundsTheLastStableOffset) {
  h.must_produce({.sequence = 0, .transactional = true});
  h.append(0);
  h.log->advance_log_start(Offset(4));
  EXPECT_EQ(stable(6), Offset(4));
}

TEST_F(LogProducers, WithoutProducersThereAreNoFiles) {
  for (int i = 0; i < 9; ++i) h.append(0);
  EXPECT_GT(h.log->segment_count(), 1U);
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  EXPECT_EQ(h.snapshots(), Offsets());
}

TEST_F(LogProducers, SnapshotsAreTakenAtRollsAndAtTheEnd) {
  for (int i = 0; i < 9; ++i) h.must_produce({.sequence = i * 3});
  std::vector<Offset> bases;
  for (const auto& [path, content] : h.runtime.disk().copy().files) {
    if (const auto base = parse_segment_file_name(path.substr(6), ".log"); base && *base != Offset(0))
      bases.push_back(*base);
  }
  ASSERT_GE(bases.size(), 2U);
  EXPECT_EQ(h.snapshots(), bases);
  const std::string before = state();
  stop_and_open(27);
  bases.push_back(Offset(27));
  EXPECT_EQ(h.snapshots(), bases);
  // Of older batches a snapshot holds nothing.
  EXPECT_EQ(state(), "producer 7 0 -1 1700000000000 -1 : 26 2 26 \n");
  EXPECT_TRUE(h.must_produce({.sequence = 24}).duplicate);
  EXPECT_EQ(h.refusal({.sequence = 21}), LogErrorKind::out_of_order_sequence);
  EXPECT_NE(before, "");
}

// With message.timestamp.type=LogAppendTime a retry is stamped before it is recognised: its CRC says nothing.
TEST_F(LogProducers, ARetryIsAnsweredWithTheFirstOnesCrcAfterARestartToo) {
  const Appended first = h.must_produce({.sequence = 0, .timestamp = 1'700'000'000'077});
  h.append(0);
  stop_and_open(6);
  const Appended again = h.must_produce({.sequence = 0, .timestamp = 1'700'000'000'088});
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.crc, first.crc);
  EXPECT_EQ(again.max_timestamp, 1'700'000'000'077);
}

TEST_F(LogProducers, ASegmentTakesItsSnapshotWithIt) {
  for (int i = 0; i < 9; ++i) h.must_produce({.sequence = i * 3});
  const Offsets before = h.snapshots();
  LogConfig config = kSmall;
  config.retention_bytes = 0;
  h.log->set_config(config);
  ASSERT_TRUE(h.log->enforce_retention(h.runtime.wall_now(), h.log->log_end()));
  EXPECT_EQ(h.snapshots(), Offsets{h.log->log_end()});
  EXPECT_EQ(before.size() + 1, 3U);
  kill_and_open(27, 27);
  EXPECT_EQ(h.refusal({.sequence = 28}), LogErrorKind::out_of_order_sequence);
}

TEST_F(LogProducers, AKilledProcessFindsTheSameState) {
  for (int i = 0; i < 4; ++i) h.must_produce({.producer = 1, .sequence = i * 3});
  h.must_produce({.producer = 2, .sequence = 0, .transactional = true});
  h.must_produce({.producer = 3, .sequence = 0, .transactional = true});
  h.end(3, 0, false);
  h.append(0);
  const std::string before = state();
  const auto index = aborted();
  EXPECT_EQ(index.size(), 1U);
  kill_and_open(0, 0);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(aborted(), index);
  EXPECT_EQ(stable(h.log->log_end().value()), Offset(12));
}

// From the segment that holds the recovery point on, with the snapshot at its base.
TEST_F(LogProducers, RecoveryBeginsWithASnapshot) {
  for (int i = 0; i < 12; ++i) h.must_produce({.producer = 1 + i % 2, .sequence = i / 2 * 3});
  const Offset base = h.log->active_segment_base();
  ASSERT_TRUE(h.runtime.run(h.log->flush()));
  h.must_produce({.producer = 1, .sequence = 18});
  std::uint64_t read = 0;
  h.runtime.disk().fault = [&](std::string_view call, const std::string& path) {
    if (call == "read" && path == h.path(0, ".log")) ++read;
    return std::error_code();
  };
  kill_and_open(base.value(), base.value());
  EXPECT_EQ(read, 0U) << "the first segment is not looked at";
  EXPECT_TRUE(h.must_produce({.producer = 1, .sequence = 18}).duplicate);
  EXPECT_EQ(h.refusal({.producer = 2, .sequence = 19}), LogErrorKind::out_of_order_sequence);
  EXPECT_FALSE(h.must_produce({.producer = 2, .sequence = 18}).duplicate);
}

TEST_F(LogProducers, ADamagedSnapshotIsSkippedOnceAndWrittenAnew) {
  for (int i = 0; i < 12; ++i) h.must_produce({.producer = 1 + i % 2, .sequence = i / 2 * 3});
  const Offset base = h.log->active_segment_base();
  for (const bool clean : {false, true}) {
    SCOPED_TRACE(clean);
    ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
    const Offset damaged = clean ? h.log->log_end() : base;
    h.runtime.disk().file(h.path(damaged.value(), ".snapshot"))[20] ^= std::byte{1};
    const Offset end = h.log->log_end();
    h.runtime.warnings.clear();
    h.open({.clean = clean, .recovery_point = end, .high_watermark = end});
    EXPECT_EQ(h.log->recovery().snapshots_skipped, 1U);
    ASSERT_EQ(h.runtime.warnings.size(), 1U);
    EXPECT_TRUE(h.runtime.warnings[0].starts_with(h.path(damaged.value(), ".snapshot") + ": damaged"));
    EXPECT_TRUE(h.must_produce({.producer = 1, .sequence = 15}).duplicate);
    EXPECT_EQ(h.refusal({.producer = 2, .sequence = 19}), LogErrorKind::out_of_order_sequence);
    h.open({.clean = clean, .recovery_point = end, .high_watermark = end});
    EXPECT_EQ(h.log->recovery().snapshots_skipped, 0U);
    EXPECT_TRUE(h.must_produce({.producer = 1, .sequence = 15}).duplicate);
  }
}

// A power loss may leave anything of a snapshot above the recovery point: recovery doesn't look at it.
TEST_F(LogProducers, SnapshotsAboveTheRecoveryPointAreWrittenAnew) {
  for (int i = 0; i < 12; ++i) h.must_produce({.sequence = i * 3});
  const Offsets before = h.snapshots();
  ASSERT_GE(before.size(), 2U);
  const auto good = h.runtime.disk().file(h.path(before.back().value(), ".snapshot"));
  h.runtime.disk().file(h.path(before.back().value(), ".snapshot")).resize(3);
  kill_and_open(0, 36);
  EXPECT_EQ(h.log->recovery().snapshots_skipped, 0U);
  EXPECT_EQ(h.snapshots(), before);
  EXPECT_EQ(h.runtime.disk().file(h.path(before.back().value(), ".snapshot")), good);
}

TEST_F(LogProducers, AnAbortAloneReachesItsFile) {
  for (int i = 0; i < 4; ++i) h.must_produce({.producer = 1, .sequence = i, .records = 1});
  ASSERT_TRUE(h.runtime.run(h.log->flush()));  // the indexes have all entries that there are
  h.must_produce({.producer = 2, .sequence = 0, .records = 1, .transactional = true});
  h.end(2, 0, false);
  ASSERT_TRUE(h.log->roll(h.runtime.wall_now()));
  const Offset point = h.runtime.run(h.log->flush()).value();
  const auto index = aborted();
  EXPECT_EQ(index.size(), 1U);
  kill_and_open(point.value(), point.value());
  EXPECT_EQ(aborted(), index);
}

TEST_F(LogProducers, WithoutAnyUsableSnapshotTheWholeLogIsRead) {
  for (int i = 0; i < 12; ++i) h.must_produce({.producer = 1 + i, .sequence = 0});
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  const Offset end = h.log->log_end();
  for (const Offset offset : h.snapshots()) h.runtime.disk().file(h.path(offset.value(), ".snapshot")).resize(5);
  h.open({.clean = true, .recovery_point = end, .high_watermark = end});
  EXPECT_EQ(h.log->producers().producers().size(), 12U);
}

TEST_F(LogProducers, TruncationTakesBackWhatWasCut) {
  std::vector<std::string> states{""};
  std::vector<std::size_t> indexes{0};
  std::vector<Offset> ends{Offset(0)};
  const auto note = [&] {
    states.push_back(state());
    indexes.push_back(aborted().size());
    ends.push_back(h.log->log_end());
  };
  for (int i = 0; i < 6; ++i) {
    h.must_produce({.producer = 1, .sequence = i * 3, .transactional = true});
    note();
    h.must_produce({.producer = 2, .sequence = i * 3});
    note();
    h.end(1, 0, i % 2 == 0);
    note();
  }
  const auto whole = h.runtime.disk().copy();
  ASSERT_GT(h.log->segment_count(), 2U);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    SCOPED_TRACE(i);
    h.runtime.disk().restore(whole);
    h.open({.clean = false});
    ASSERT_TRUE(h.log->truncate_to(ends[i]));
    // Older batches than the newest may be forgotten, with a snapshot between; what may come next is the same.
    const auto next = [](const std::string& text) { return text.substr(0, text.find(':')); };
    EXPECT_EQ(next(state()), next(states[i]));
    EXPECT_EQ(aborted().size(), indexes[i]);
    if (const Offsets left = h.snapshots(); !left.empty()) EXPECT_LE(left.back(), ends[i]);
    const std::string cut = state();
    h.open({.clean = false, .recovery_point = ends[i]});
    EXPECT_EQ(next(state()), next(cut));
    EXPECT_EQ(aborted().size(), indexes[i]);
  }
}

// The snapshot says nothing of a transaction whose marker is below it and not committed yet.
TEST_F(LogProducers, AnUncommittedMarkerHoldsTheLastStableOffsetAfterARestart) {
  h.append(0);                                             // 0 to 2
  h.must_produce({.sequence = 0, .transactional = true});  // 3 to 5
  h.end(7, 0, true);                                       // 6
  ASSERT_TRUE(h.log->roll(h.runtime.wall_now()));
  h.append(0);  // 7 to 9
  EXPECT_EQ(stable(5), Offset(3));
  stop_and_open(5);
  EXPECT_EQ(stable(5), Offset(3));
  EXPECT_EQ(stable(6), Offset(3));
  kill_and_open(7, 5);
  EXPECT_EQ(stable(5), Offset(3));
  ASSERT_TRUE(h.log->truncate_to(Offset(7)));
  EXPECT_EQ(stable(6), Offset(3));
  EXPECT_EQ(stable(7), Offset(7));
  stop_and_open(7);
  EXPECT_EQ(stable(7), Offset(7));
}

TEST_F(LogProducers, AFullTruncationForgetsEverything) {
  for (int i = 0; i < 9; ++i) h.must_produce({.sequence = i * 3, .transactional = true});
  h.end(7, 0, false);
  ASSERT_TRUE(h.log->truncate_fully_and_start_at(Offset(100)));
  EXPECT_EQ(state(), "");
  EXPECT_EQ(h.snapshots(), Offsets());
  EXPECT_TRUE(h.log->aborted_transactions(Offset(0), Offset(1000)).empty());
  kill_and_open(0, 0);
  EXPECT_EQ(state(), "");
  EXPECT_EQ(h.must_produce({.sequence = 50}).base, Offset(100));
}

TEST_F(LogProducers, FollowersKnowWhatTheirLeaderKnows) {
  ProducingHarness follower(kSmall);
  follower.open();
  for (int i = 0; i < 5; ++i) {
    h.must_produce({.producer = 1, .sequence = i * 3, .transactional = true});
    h.must_produce({.producer = 2, .sequence = i * 3});
    h.end(1, 0, i % 2 == 0);
  }
  ASSERT_NO_FATAL_FAILURE(copy_log(h, follower, 700));
  EXPECT_EQ(describe(follower.log->producers()), state());
  EXPECT_EQ(follower.log->aborted_transactions(Offset(0), Offset(1000)), aborted());
  EXPECT_EQ(aborted().size(), 2U);
}

TEST_F(LogProducers, ADamagedIndexOfAbortedTransactionsIsBuiltAnew) {
  for (int i = 0; i < 6; ++i) {
    h.must_produce({.producer = 1, .sequence = i * 3, .transactional = true});
    h.must_produce({.producer = 2, .sequence = i * 3, .transactional = true});
    h.end(1, 0, false);
    if (i % 3 == 2) h.end(2, 0, false);
  }
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  const auto before = aborted();
  EXPECT_EQ(before.size(), 8U);
  const Offset end = h.log->log_end();
  std::size_t files = 0;
  for (const auto& [path, content] : h.runtime.disk().copy().files) {
    if (!path.ends_with(".txnindex")) continue;
    ++files;
    for (const bool clean : {true, false}) {
      SCOPED_TRACE(path + (clean ? " clean" : " killed"));
      const auto good = *content;
      h.runtime.disk().file(path)[1] ^= std::byte{1};
      h.runtime.warnings.clear();
      h.open({.clean = clean, .recovery_point = end, .high_watermark = end});
      EXPECT_EQ(aborted(), before);
      ASSERT_EQ(h.runtime.warnings.size(), 1U);
      EXPECT_TRUE(h.runtime.warnings[0].starts_with(path + ": damaged")) << h.runtime.warnings[0];
      EXPECT_GE(h.log->recovery().indexes_rebuilt, 1U);
      ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
      EXPECT_EQ(h.runtime.disk().file(path), good);
    }
  }
  EXPECT_GE(files, 2U);
}

// What can't be built anew from a log that is damaged itself makes recovery look at all of it.
TEST_F(LogProducers, ADamagedLogBehindADamagedIndexIsCut) {
  for (int i = 0; i < 6; ++i) {
    h.must_produce({.sequence = i * 3, .transactional = true});
    h.end(7, 0, false);
  }
  ASSERT_TRUE(h.runtime.run(h.log->close_cleanly()));
  const Offset end = h.log->log_end();
  const BatchHeader first = parse_header(h.runtime.disk().file(h.path(0, ".log"))).value();
  h.runtime.disk().file(h.path(0, ".log"))[first.size() + 7] = std::byte{0};  // the second batch's base offset
  h.runtime.disk().file(h.path(0, ".txnindex")).resize(5);
  h.open({.clean = true, .recovery_point = Offset(0), .high_watermark = end});
  EXPECT_TRUE(h.log->recovery().checked);
  EXPECT_EQ(h.log->log_end(), Offset(3));
  EXPECT_EQ(stable(3), Offset(0));
  EXPECT_TRUE(aborted().empty());
}

TEST_F(LogProducers, ExpiryIsOfTheBatchesTimes) {
  h.must_produce({.producer = 1, .sequence = 0, .timestamp = 1'700'000'000'000});
  h.must_produce({.producer = 2, .sequence = 0, .transactional = true, .timestamp = 1'700'000'000'000});
  h.runtime.wall_ms += 24 * 3600 * 1000 - 1;
  h.log->expire_producers(h.runtime.wall_now());
  EXPECT_EQ(h.log->producers().producers().size(), 2U);
  h.runtime.wall_ms += 1;
  h.log->expire_producers(h.runtime.wall_now());
  EXPECT_EQ(h.log->producers().find(ProducerId(1)), nullptr);
  EXPECT_NE(h.log->producers().find(ProducerId(2)), nullptr);
}

TEST_F(LogProducers, ABatchThatWrapsIsKnownAfterARestart) {
  const auto first = h.must_produce({.sequence = INT32_MAX - 1});  // MAX - 1, MAX, 0
  for (const bool clean : {true, false}) {
    if (clean) {
      stop_and_open(3);
    } else {
      kill_and_open(0, 3);
    }
    const auto again = h.must_produce({.sequence = INT32_MAX - 1});
    EXPECT_TRUE(again.duplicate);
    EXPECT_EQ(again.base, first.base);
    EXPECT_EQ(h.refusal({.sequence = 2}), LogErrorKind::out_of_order_sequence);
  }
  EXPECT_EQ(h.must_produce({.sequence = 1}).base, Offset(3));
}

// Told once, and not of those that are known again.
TEST_F(LogProducers, WhoIsForgottenIsTold) {
  using Ids = std::vector<ProducerId>;
  for (const std::int64_t id : {1, 2, 3}) h.must_produce({.producer = id, .sequence = 0});
  h.runtime.wall_ms += 24 * 3600 * 1000 - 1;
  h.must_produce({.producer = 3, .sequence = 3, .timestamp = h.runtime.wall_ms});
  EXPECT_EQ(h.log->take_forgotten(), Ids());
  h.runtime.wall_ms += 1;
  h.log->expire_producers(h.runtime.wall_now());
  h.must_produce({.producer = 2, .sequence = 7, .timestamp = h.runtime.wall_ms});
  EXPECT_EQ(h.log->take_forgotten(), Ids{ProducerId(1)});
  EXPECT_EQ(h.log->take_forgotten(), Ids());
  h.runtime.wall_ms += 24 * 3600 * 1000;
  stop_and_open(15);
  EXPECT_EQ(h.log->take_forgotten(), (Ids{ProducerId(2), ProducerId(3)})) << "also of a snapshot";
  EXPECT_EQ(state(), "");
}

// The last batches of a producer may be told again by the log, behind the snapshot that is too old.
TEST_F(LogProducers, WhoIsKnownAgainIsNotForgotten) {
  for (int i = 0; i < 12; ++i) h.must_produce({.sequence = i * 3});
  ASSERT_FALSE(h.snapshots().empty());
  h.must_produce({.sequence = 36});
  h.runtime.wall_ms += 24 * 3600 * 1000;
  kill_and_open(h.log->active_segment_base().value(), 39);
  EXPECT_NE(state(), "");
  EXPECT_TRUE(h.log->take_forgotten().empty());
}

// ---- planted defects, each beside the healthy log ----

struct PlantedProducers : LogProducers, ::testing::WithParamInterface<bool> {
  bool plant(Defect defect) {
    if (GetParam()) h.runtime.plant(defect);
    return GetParam();
  }
};
INSTANTIATE_TEST_SUITE_P(Both, PlantedProducers, ::testing::Bool());

TEST_P(PlantedProducers, AGapInTheSequencesIsTaken) {
  const bool planted = plant(Defect::SequenceGap);
  h.must_produce({.sequence = 0});
  EXPECT_EQ(h.produce({.sequence = 6}).has_value(), planted);
  EXPECT_FALSE(h.produce({.sequence = 1}).has_value()) << "never back";
  EXPECT_FALSE(h.produce({.epoch = 1, .sequence = 3}).has_value());
  EXPECT_EQ(h.runtime.marks[Mark::DefectSequenceGap], planted ? 1 : 0);
}

TEST_P(PlantedProducers, AResendInAnotherLeaderEpochIsTakenAgain) {
  const bool planted = plant(Defect::ResendNewEpoch);
  const auto in_epoch = [&](int epoch) {
    auto batch = make_producer_batch({.sequence = 0});
    return h.log->append_as_leader(batch, LeaderEpoch(epoch), h.runtime.wall_now()).value();
  };
  EXPECT_FALSE(in_epoch(1).duplicate);
  EXPECT_TRUE(in_epoch(1).duplicate);
  EXPECT_EQ(in_epoch(2).duplicate, !planted);
  EXPECT_TRUE(in_epoch(2).duplicate);
  EXPECT_EQ(h.log->log_end(), Offset(planted ? 6 : 3));
  EXPECT_EQ(h.runtime.marks[Mark::DefectResendNewEpoch], planted ? 1 : 0);
}

TEST_P(PlantedProducers, TheLastStableOffsetIsServedTooEarly) {
  const bool planted = plant(Defect::LsoBeforeReplay);
  h.must_produce({.sequence = 0, .transactional = true});
  h.must_produce({.producer = 8, .sequence = 0});
  EXPECT_EQ(stable(6), Offset(0));
  kill_and_open(0, 6);
  EXPECT_EQ(stable(6), Offset(planted ? 6 : 0));
  h.must_produce({.producer = 8, .sequence = 3});
  EXPECT_EQ(stable(6), Offset(0));
  ASSERT_TRUE(h.log->assign_epoch_start(LeaderEpoch(1), h.log->log_end()));
  EXPECT_EQ(stable(6), Offset(planted ? 6 : 0));
  EXPECT_EQ(h.runtime.marks[Mark::DefectLsoBeforeReplay], planted ? 2 : 0);
}

// A kill at any change of the disk leaves a state that fits the log that is found.
TEST_F(LogProducers, AKillAtAnyChangeIsSurvived) {
  const auto work = [](ProducingHarness& h) {
    const auto produce = [&](const ProducerBatch& batch) { return h.produce(batch).has_value(); };
    for (int i = 0; i < 5; ++i) {
      if (!produce({.producer = 1, .sequence = i * 3, .transactional = true})) return;
      if (!produce({.producer = 2, .sequence = i * 3})) return;
      if (!h.try_end(1, 0, i % 2 == 0)) return;
    }
    if (!h.runtime.run(h.log->flush())) return;
    if (!h.log->truncate_to(Offset(12))) return;
    if (!produce({.producer = 3, .sequence = 0})) return;
    if (!h.runtime.run(h.log->close_cleanly())) return;
  };
  for (std::uint64_t changes = 0;; ++changes) {
    SCOPED_TRACE(changes);
    ProducingHarness killed(kSmall);
    killed.open();
    killed.runtime.disk().changes_left = changes;
    work(killed);
    const bool all = *killed.runtime.disk().changes_left > 0;
    killed.runtime.disk().changes_left.reset();
    const Offset point = killed.log->recovery_point();
    killed.open({.clean = false, .recovery_point = point});
    // The same log, read by one that never stopped.
    ProducingHarness fresh(kSmall);
    fresh.open();
    ASSERT_NO_FATAL_FAILURE(copy_log(killed, fresh, 1 << 20));
    const auto next = [](const ProducerState& state) {
      std::string text;
      for (const auto& [id, entry] : state.producers()) {
        text += std::to_string(id.value()) + " " + std::to_string(entry.epoch.value()) + " " +
                std::to_string(entry.last_sequence()) + " " + std::to_string(entry.txn_first.value()) + "\n";
      }
      return text;
    };
    EXPECT_EQ(next(killed.log->producers()), next(fresh.log->producers()));
    EXPECT_EQ(killed.log->aborted_transactions(Offset(0), Offset(1000)),
              fresh.log->aborted_transactions(Offset(0), Offset(1000)));
    EXPECT_EQ(killed.log->producers().first_open(), fresh.log->producers().first_open());
    if (all) break;
  }
}

}  // namespace
}  // namespace verdict::storage
