#include <gtest/gtest.h>

#include "tests/unit/storage/cleaning.h"

// Compaction: each rule of Kafka's LogCleaner.
namespace verdict::storage {
namespace {

using testing::CleaningHarness;
using testing::KeyedBatch;

using Offsets = std::vector<std::int64_t>;
constexpr std::int64_t kDay = std::int64_t{24} * 3600 * 1000;

struct CleanTest : ::testing::Test {
  CleaningHarness h{{.segment_bytes = 4000, .index_interval_bytes = 200, .compacted = true}};
  void SetUp() override { h.open(); }
  void another_pass() {
    h.put("c", "1");
    h.roll();
    h.clean();
  }
};

TEST_F(CleanTest, TheLastValueOfEachKeyStaysAtItsPlace) {
  h.put("a", "1");
  h.put("b", "1");
  h.put({.records = {{"a", "2"}, {"c", "1"}, {"a", "3"}}});
  h.put("b", "2");
  h.roll();
  h.put("a", "not yet");
  const auto before = h.records();
  const CleaningReport report = h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{3, 4, 5, 6}));
  for (const auto& [offset, record] : h.records()) EXPECT_EQ(record, before.at(offset));
  EXPECT_EQ(report.clean_to, Offset(6));
  EXPECT_EQ(h.log->cleaned_to(), Offset(6));
  EXPECT_EQ(h.log->log_end(), Offset(7));
  EXPECT_EQ(h.log->segment_count(), 2U);
  ASSERT_EQ(h.swaps.size(), 1U);
  EXPECT_EQ(h.swaps[0].records, (std::vector{Offset(3), Offset(4), Offset(5)}));
}

TEST_F(CleanTest, AFetchInAHoleGetsWhatIsNext) {
  h.put("a", "1");
  h.put("b", "1");
  h.put("a", "2");
  h.roll();
  h.clean();
  const auto bytes = h.runtime.run(h.log->read_bytes(Offset(0), 1 << 20, h.log->log_end(), true)).value();
  EXPECT_EQ(parse_header(bytes)->base_offset, Offset(1));
  const auto hot = h.log->try_read(Offset(0), 1 << 20, h.log->log_end(), true);
  EXPECT_FALSE(hot.has_value());  // what was in memory of the old file is forgotten
}

TEST_F(CleanTest, NeitherTheActiveSegmentNorWhatIsAboveTheHighWatermark) {
  h.put("a", "1");
  EXPECT_TRUE(h.cleanable().empty());
  h.roll();
  h.put("a", "2");
  h.roll();
  EXPECT_EQ(h.cleanable().first_uncleanable, Offset(2));
  EXPECT_EQ(h.log->cleanable(h.runtime.wall_now(), Offset(1)).first_uncleanable, Offset(1));
  // The segment that holds the bound is left alone as a whole.
  EXPECT_TRUE(h.log->cleanable(h.runtime.wall_now(), Offset(0)).empty());
}

TEST_F(CleanTest, AnOpenTransactionHoldsItBack) {
  h.put("a", "1");
  h.put("b", "1");
  h.roll();
  h.put({.records = {{"a", "2"}}, .producer = 7, .transactional = true});
  h.roll();
  h.put("b", "2");
  h.roll();
  EXPECT_EQ(h.cleanable().first_uncleanable, Offset(2));
  EXPECT_EQ(h.runtime.marks[Mark::CleaningHeldByTransaction], 1);
  h.end(7, 0, false);
  h.roll();
  EXPECT_EQ(h.cleanable().first_uncleanable, Offset(5));
  h.clean();
  EXPECT_EQ(h.view(), (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
}

TEST_F(CleanTest, TheDefectGoesPastAnOpenTransaction) {
  h.runtime.plant(Defect::CleanPastLso);
  h.put("a", "1");
  h.roll();
  h.put({.records = {{"a", "2"}}, .producer = 7, .transactional = true});
  h.roll();
  h.clean();
  h.end(7, 0, false);
  EXPECT_TRUE(h.view().empty());  // the committed value is gone
  EXPECT_GT(h.runtime.marks[Mark::DefectCleanPastLso], 0);
}

TEST_F(CleanTest, MinCompactionLagHoldsYoungSegmentsBack) {
  h.config.min_compaction_lag_ms = 1000;
  h.open();
  h.put({.records = {{"a", "1"}}, .timestamp = h.runtime.wall_ms - 5000});
  h.roll();
  h.put({.records = {{"a", "2"}}, .timestamp = h.runtime.wall_ms - 500});
  h.roll();
  EXPECT_EQ(h.cleanable().first_uncleanable, Offset(1));
  h.runtime.wall_ms += 600;
  EXPECT_EQ(h.cleanable().first_uncleanable, Offset(2));
}

TEST_F(CleanTest, MaxCompactionLagMakesItOverdue) {
  h.config.max_compaction_lag_ms = 1000;
  h.open();
  h.put({.records = {{"a", "1"}}, .timestamp = h.runtime.wall_ms});
  h.roll();
  EXPECT_FALSE(h.cleanable().overdue);
  h.runtime.wall_ms += 1001;
  EXPECT_TRUE(h.cleanable().overdue);
  h.clean();
  EXPECT_FALSE(h.cleanable().overdue);
}

TEST_F(CleanTest, TheDirtyShareCountsWholeSegments) {
  h.put("a", "1");
  h.roll();
  h.clean();
  h.put("b", "1");
  h.roll();
  const CleaningRange range = h.cleanable();
  EXPECT_EQ(range.clean_bytes, range.dirty_bytes);
  EXPECT_EQ(range.dirty_millionths(), 500'000U);
}

// KIP-534: the first pass that meets a tombstone sets the time, one after that time removes it.
TEST_F(CleanTest, ATombstoneGoesDeleteRetentionAfterItsFirstCleaning) {
  h.put("a", "1");
  h.put("a", std::nullopt);
  h.put("b", "1");
  h.roll();
  const auto before = h.records();
  h.runtime.wall_ms += 10 * kDay;  // its age says nothing
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{1, 2}));
  EXPECT_EQ(h.records().at(1), before.at(1));  // its timestamp is what it was, though the base is the horizon
  const auto headers = h.all();
  EXPECT_TRUE(headers[0].delete_horizon());
  EXPECT_EQ(headers[0].base_timestamp, h.runtime.wall_ms + kDay);
  EXPECT_FALSE(headers[1].delete_horizon());
  h.runtime.wall_ms += kDay - 1;
  another_pass();
  EXPECT_EQ(h.offsets().front(), 1);
  EXPECT_EQ(h.all()[0].base_timestamp, headers[0].base_timestamp);
  h.runtime.wall_ms += 1;
  another_pass();
  EXPECT_EQ(h.offsets().front(), 2);
  EXPECT_EQ(h.runtime.marks[Mark::TombstoneExpired], 1);
}

// With its horizon as the base timestamp a tombstone's own is far away, which takes more bytes.
TEST_F(CleanTest, AFollowerTakesABatchThatCompactionHasMadeLargerThanASegment) {
  auto batch = testing::make_keyed({.records = {{std::string(600, 'k'), std::nullopt}}});
  CleaningHarness tight{{.segment_bytes = static_cast<std::uint32_t>(batch.size()), .compacted = true}};
  tight.open();
  const WallTime now = tight.runtime.wall_now();
  ASSERT_TRUE(tight.log->append_as_leader(batch, LeaderEpoch(0), now));
  tight.roll();
  tight.clean();
  const auto cleaned = tight.runtime.run(tight.log->read_bytes(Offset(0), 1 << 20, tight.log->log_end(), true)).value();
  ASSERT_GT(cleaned.size(), batch.size());

  CleaningHarness follower{{.segment_bytes = static_cast<std::uint32_t>(batch.size()), .compacted = true}};
  follower.open();
  std::vector<Appended> appended;
  const auto copied = follower.log->append_as_follower(cleaned, Log::Holes::allowed, now, appended);
  ASSERT_TRUE(copied) << copied.error().to_string();
  EXPECT_EQ(follower.log->log_end(), Offset(1));
  // It has a segment of its own, and the log goes on behind it.
  follower.put("k", "1");
  EXPECT_EQ(follower.log->log_end(), Offset(2));
  EXPECT_EQ(follower.log->segment_count(), 2U);
  EXPECT_EQ(follower.offsets(), (Offsets{0, 1}));
}

TEST_F(CleanTest, ATombstoneWithALaterValueGoesAtOnce) {
  h.put("a", std::nullopt);
  h.put("a", "1");
  h.roll();
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{1}));
}

TEST_F(CleanTest, AbortedRecordsGoAndTheirMarkerStaysUntilTheyAreGone) {
  h.put("a", "1");
  h.put({.records = {{"a", "2"}, {"b", "2"}}, .producer = 7, .transactional = true});
  h.end(7, 0, false);
  h.put({.records = {{"z", "1"}}, .producer = 7, .sequence = 2});  // the producer's newest batch
  h.roll();
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{0, 3, 4}));
  // Its line in the index of aborted transactions as well: an old reader may still be within it.
  EXPECT_EQ(h.log->aborted_transactions(Offset(0), Offset(5)).size(), 1U);
  another_pass();  // now it ends nothing: it gets its time
  EXPECT_EQ(h.records().count(3), 1U);
  EXPECT_TRUE(h.log->aborted_transactions(Offset(0), Offset(5)).empty());
  h.runtime.wall_ms += kDay;
  another_pass();
  EXPECT_EQ(h.records().count(3), 0U);
  EXPECT_EQ(h.runtime.marks[Mark::MarkerExpired], 1);
}

TEST_F(CleanTest, ACommitMarkerStaysWhileARecordOfItsTransactionDoes) {
  h.put({.records = {{"a", "1"}, {"b", "1"}}, .producer = 7, .transactional = true});
  h.end(7, 0, true);
  h.put({.records = {{"z", "1"}}, .producer = 7, .sequence = 2});
  h.put("a", "2");
  h.roll();
  for (int i = 0; i < 3; ++i) {
    h.clean();
    EXPECT_EQ(h.records().count(2), 1U);
    h.runtime.wall_ms += 2 * kDay;
    h.put("b" + std::to_string(i), "1");
    h.roll();
  }
  h.put("b", "2");
  h.roll();
  h.clean();  // with the last record of the transaction gone, the marker gets its time at the next pass
  another_pass();
  EXPECT_EQ(h.records().count(2), 1U);
  h.runtime.wall_ms += kDay;
  h.put("c", "2");
  h.roll();
  h.clean();
  EXPECT_EQ(h.records().count(2), 0U);
}

// KAFKA-14055: a key of four bytes is what a marker's key is, too.
TEST_F(CleanTest, AKeyLikeAMarkersTakesNoMarkerAway) {
  const std::string commit_key("\0\0\0\1", 4);
  for (const bool planted : {false, true}) {
    CleaningHarness own{h.config};
    if (planted) own.runtime.plant(Defect::Kafka14055);
    own.open();
    own.put({.records = {{"a", "1"}}, .producer = 7, .transactional = true});
    own.end(7, 0, true);
    own.put({.records = {{"b", "1"}}, .producer = 8});
    own.put(commit_key, "data");
    own.put({.records = {{"z", "1"}}, .producer = 7, .sequence = 1});
    own.roll();
    own.clean();
    EXPECT_EQ(own.records().count(1), planted ? 0U : 1U);
    EXPECT_EQ(own.runtime.marks[Mark::DefectKafka14055], planted ? 1 : 0);
    own.runtime.disk().remove("d/t-0/00000000000000000000.snapshot");
    own.open({.clean = false});
    EXPECT_EQ(own.log->last_stable_offset(own.log->log_end()) == own.log->log_end(), !planted);
  }
}

TEST_F(CleanTest, AProducersLastBatchStaysEmptyForItsSequence) {
  h.put({.records = {{"a", "1"}, {"b", "1"}}, .producer = 7});
  h.put({.records = {{"a", "2"}, {"b", "2"}}, .producer = 7, .sequence = 2});
  h.put("a", "3");
  h.put("b", "3");
  h.roll();
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{4, 5}));
  ASSERT_EQ(h.all().size(), 3U);
  const BatchHeader kept = h.all()[0];
  EXPECT_EQ(kept.base_offset, Offset(2));
  EXPECT_EQ(kept.last_offset(), Offset(3));
  EXPECT_EQ(kept.count, 0);
  EXPECT_EQ(kept.base_sequence, 2);
  h.open({.clean = false});
  EXPECT_EQ(h.log->producers().find(ProducerId(7))->last_sequence(), 3);
  EXPECT_EQ(h.refusal({.sequence = 6}), LogErrorKind::out_of_order_sequence);
  h.put({.records = {{"a", "4"}}, .producer = 7, .sequence = 4});
}

TEST_F(CleanTest, OfAForgottenProducerNothingStays) {
  h.put({.records = {{"a", "1"}}, .producer = 7});
  h.put("a", "2");
  h.roll();
  h.runtime.wall_ms += 2 * kDay;
  h.log->expire_producers(h.runtime.wall_now());
  h.clean();
  EXPECT_EQ(h.all().size(), 1U);
}

TEST_F(CleanTest, AMarkerWithANewEpochStaysForItsEpoch) {
  h.config.producer_id_expiration_ms = 100 * kDay;
  h.open();
  h.put({.records = {{"a", "1"}}, .producer = 7, .transactional = true});
  h.end(7, 1, false);  // version 2: the marker's epoch is the next one, and there is no batch of it
  h.put("a", "2");
  h.roll();
  for (int i = 0; i < 4; ++i) {
    h.clean();
    h.runtime.wall_ms += kDay / 2;
    h.put("b", std::to_string(i));
    h.roll();
  }
  h.open({.clean = false});
  EXPECT_EQ(h.refusal({.epoch = 0}), LogErrorKind::invalid_producer_epoch);
}

TEST_F(CleanTest, RecordsWithoutAKeyGo) {
  BatchBuilder builder;
  builder.add(h.runtime.wall_ms, std::nullopt, as_bytes("value"));
  Compressor compressor;
  auto batch = builder.finish(compressor);
  ASSERT_TRUE(h.log->append_as_leader(batch, LeaderEpoch(0), h.runtime.wall_now()));
  h.put("a", "1");
  h.roll();
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{1}));
}

TEST_F(CleanTest, BatchesAreCompressedAsTheyWere) {
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    CleaningHarness own{h.config};
    own.open();
    own.put({.records = {{"a", "1"}, {"b", "1"}, {"a", std::string(300, 'x')}, {"c", std::nullopt}}, .codec = codec});
    own.put("b", "2");
    own.roll();
    const auto before = own.records();
    own.clean();
    EXPECT_EQ(own.offsets(), (Offsets{2, 3, 4}));
    for (const auto& [offset, record] : own.records()) EXPECT_EQ(record, before.at(offset));
    EXPECT_EQ(own.all()[0].codec(), codec);
    EXPECT_EQ(own.all()[0].last_offset(), Offset(3));
    EXPECT_EQ(own.all()[0].count, 2);
  }
}

TEST_F(CleanTest, SegmentsAreJoinedUpToTheirSizeAndIndex) {
  for (int i = 0; i < 12; ++i) {
    h.put(std::to_string(i), std::string(900, 'x'));
    h.roll();
  }
  h.clean();
  EXPECT_EQ(h.log->segment_count(), 4U);  // of 4 records each, and the active one
  EXPECT_EQ(h.offsets().size(), 12U);
  h.config.index_bytes = 24;
  CleaningHarness own{h.config};
  own.open();
  for (int i = 0; i < 6; ++i) {
    own.put(std::to_string(i), std::string(900, 'x'));
    own.roll();
  }
  own.clean();
  EXPECT_EQ(own.log->segment_count(), 7U);
}

TEST_F(CleanTest, AMapThatIsFullEndsThePassAndTheNextGoesOn) {
  h.options.dedupe_bytes = 20 * OffsetMap::kSlotBytes;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40; ++i) h.put(std::to_string(i), std::to_string(round));
  }
  h.roll();
  const CleaningReport first = h.clean();
  EXPECT_EQ(first.clean_to, Offset(18));
  EXPECT_EQ(h.runtime.marks[Mark::CleaningMapFull], 1);
  EXPECT_EQ(h.offsets().size(), 80U);
  for (int i = 0; i < 10 && h.log->cleaned_to() < Offset(80); ++i) h.clean();
  EXPECT_EQ(h.log->cleaned_to(), Offset(80));
  EXPECT_EQ(h.offsets().size(), 40U);
  EXPECT_EQ(h.offsets().front(), 40);
}

TEST_F(CleanTest, TruncationAndRetentionBreakItOff) {
  h.runtime.deferred = true;
  for (int i = 0; i < 8; ++i) {
    h.put("a", std::string(2000, 'x'));
    h.roll();
  }
  Cleaner cleaner(h.runtime, h.options);
  const CleaningRange range = h.cleanable();
  Scope scope(h.runtime);
  std::optional<CleaningReport> report;
  scope.spawn([](Log* log, Cleaner* tools, CleaningRange what, std::optional<CleaningReport>* into) -> Task<void> {
    auto done = co_await log->clean(tools, what, {});
    *into = done.value();
  }(h.log.get(), &cleaner, range, &report));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(h.runtime.step());
  ASSERT_TRUE(h.log->truncate_to(Offset(3)));
  while (h.runtime.step()) {
  }
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->interrupted);
  EXPECT_EQ(h.log->cleaned_to(), Offset(0));
  EXPECT_EQ(h.files_ending({".cleaned"}), std::vector<std::string>{});
  EXPECT_EQ(h.offsets().size(), 3U);
}

TEST_F(CleanTest, ATruncationLowersWhatCountsAsClean) {
  h.put("a", "1");
  h.put("b", "1");
  h.roll();
  h.clean();
  EXPECT_EQ(h.log->cleaned_to(), Offset(2));
  ASSERT_TRUE(h.log->truncate_to(Offset(1)));
  EXPECT_EQ(h.log->cleaned_to(), Offset(1));
}

TEST_F(CleanTest, ACheckpointFromOutsideTheLogMeansThatAllIsDirty) {
  h.put("a", "1");
  h.roll();
  h.put("a", "2");
  h.roll();
  h.open({.clean = false, .cleaned_to = Offset(99)});
  EXPECT_EQ(h.cleanable().first_dirty, Offset(0));
  h.open({.clean = false, .cleaned_to = Offset(1)});
  EXPECT_EQ(h.cleanable().first_dirty, Offset(1));
}

TEST_F(CleanTest, ADamagedBatchIsNotTakenOver) {
  h.put("a", "1");
  h.put("b", "1");
  h.roll();
  h.put("a", "2");
  h.roll();
  h.runtime.disk().file("d/t-0/00000000000000000000.log").back() ^= std::byte{1};
  const auto done = h.try_clean();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, LogErrorKind::damaged);
  EXPECT_EQ(h.files_ending({".cleaned"}), std::vector<std::string>{});
}

// No CRC covers a batch's base offset: it may say anything.
TEST_F(CleanTest, ABatchWithOffsetsOfAnotherPlaceIsNotTakenOver) {
  h.put("a", "1");
  const std::uint64_t position = h.put("b", "1").position;
  h.put("a", "2");
  h.roll();
  h.put("a", "3");
  h.roll();
  const auto whole = h.runtime.disk().copy();
  const std::vector<std::pair<std::size_t, int>> flips{{0, 0x20}, {4, 0x80}, {5, 1}, {7, 4}, {7, 3}, {7, 1}};
  for (const auto& [byte, bits] : flips) {
    h.runtime.disk().restore(whole);
    h.open({.clean = false, .recovery_point = Offset(3)});
    h.runtime.disk().file("d/t-0/00000000000000000000.log").at(position + byte) ^= static_cast<std::byte>(bits);
    const auto done = h.try_clean();
    ASSERT_FALSE(done) << byte;
    EXPECT_EQ(done.error().kind, LogErrorKind::damaged);
    EXPECT_EQ(h.files_ending({".cleaned"}), std::vector<std::string>{});
  }
}

TEST_F(CleanTest, EpochsOfWhichNothingIsLeftAreKeptByRecovery) {
  h.put("x", "1");
  h.log->assign_epoch_start(LeaderEpoch(1), h.log->log_end());
  h.put("a", "1");
  h.log->assign_epoch_start(LeaderEpoch(2), h.log->log_end());
  h.put("a", "2");
  h.log->assign_epoch_start(LeaderEpoch(3), h.log->log_end());
  h.put("a", "3");
  h.roll();
  ASSERT_TRUE(h.runtime.run(h.log->flush()));
  h.clean();
  const auto before = h.log->epochs().entries();
  ASSERT_EQ(before.size(), 4U);
  h.open({.clean = false});
  EXPECT_EQ(h.log->epochs().entries(), before);
}

TEST_F(CleanTest, RecoveryFindsNoHoleBetweenSegments) {
  for (int i = 0; i < 4; ++i) {
    h.put("a", std::string(3000, 'x'));
    h.roll();
  }
  h.clean();
  EXPECT_EQ(h.offsets(), (Offsets{3}));
  h.open({.clean = false});  // with no recovery point at all
  EXPECT_EQ(h.log->log_end(), Offset(4));
  EXPECT_EQ(h.log->recovery().bytes_cut, 0U);
}

TEST_F(CleanTest, OffsetsByTimeSkipHoles) {
  h.put({.records = {{"a", "1"}}, .timestamp = 1000});
  h.put({.records = {{"b", "1"}}, .timestamp = 2000});
  h.put({.records = {{"a", "2"}}, .timestamp = 3000});
  h.roll();
  h.clean();
  Decompressor decompressor;
  EXPECT_EQ(h.runtime.run(h.log->offset_for_time(500, decompressor)).value()->offset, Offset(1));
  EXPECT_EQ(h.runtime.run(h.log->offset_for_time(2500, decompressor)).value()->offset, Offset(2));
}

// KIP-734: no record has the time of a batch that is left empty.
TEST_F(CleanTest, TheLargestTimestampIsThatOfARecord) {
  h.put({.records = {{"b", "1"}}, .timestamp = 2000});
  h.put({.records = {{"a", "1"}}, .producer = 7, .timestamp = 9000});
  h.put({.records = {{"a", "2"}}, .timestamp = 1000});
  h.roll();
  h.clean();
  ASSERT_EQ(h.all().size(), 3U);
  Decompressor decompressor;
  for (const bool reopened : {false, true}) {
    if (reopened) h.open({.clean = false});
    const auto found = h.runtime.run(h.log->offset_of_max_timestamp(decompressor)).value();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->offset, Offset(0));
  }
}

TEST(OffsetMap, StaysWithinItsMemory) {
  OffsetMap map(1 << 16, 90, 1);
  map.reset(10);
  std::int64_t put = 0;
  while (map.put(as_bytes("key-" + std::to_string(put)), Offset(put))) ++put;
  EXPECT_LE(map.memory_bytes(), std::size_t{1} << 16);
  EXPECT_GT(put, 1000);
  EXPECT_TRUE(map.put(as_bytes("key-3"), Offset(put)));  // a key that is known has its place
  EXPECT_EQ(map.get(as_bytes("key-3")), Offset(put));
  for (std::int64_t i = 4; i < put; ++i) ASSERT_EQ(map.get(as_bytes("key-" + std::to_string(i))), Offset(i));
  EXPECT_EQ(map.get(as_bytes("none")), kNoOffset);
  map.reset(1'000'000);
  EXPECT_EQ(map.size(), 0U);
  EXPECT_LE(map.memory_bytes(), std::size_t{1} << 16);
}

}  // namespace
}  // namespace verdict::storage
