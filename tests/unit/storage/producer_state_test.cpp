#include <gtest/gtest.h>

#include "tests/unit/storage/producing.h"

// The rules of KIP-98 for one partition's producers, apart from any log.
namespace verdict::storage {
namespace {

using testing::describe;

struct Batch {
  std::int64_t producer = 7;
  int epoch = 0;
  std::int32_t sequence = 0;
  std::int32_t records = 1;
  bool transactional = false;
  AppendOrigin origin = AppendOrigin::client;
};

// A state with offsets as a log would give them.
struct Partition {
  ProducerState state;
  Offset end{0};
  std::int64_t now = 1000;

  BatchHeader header(const Batch& batch) const {
    BatchHeader header;
    header.base_offset = end;
    header.attributes = batch.transactional ? 0x10 : 0;
    header.last_offset_delta = batch.records - 1;
    header.count = batch.records;
    header.max_timestamp = now;
    header.producer_id = ProducerId(batch.producer);
    header.producer_epoch = ProducerEpoch(static_cast<std::int16_t>(batch.epoch));
    header.base_sequence = batch.sequence;
    header.crc = 99;
    return header;
  }
  std::expected<const SequencedBatch*, ProducerFault> admit(const Batch& batch) const {
    return state.admit(header(batch), std::nullopt, batch.origin);
  }
  std::optional<ProducerFault> fault(const Batch& batch) const {
    const auto admitted = admit(batch);
    return admitted ? std::nullopt : std::optional(admitted.error());
  }
  Offset append(const Batch& batch) {
    const auto admitted = admit(batch);
    EXPECT_TRUE(admitted && *admitted == nullptr);
    return replicate(batch);
  }
  Offset replicate(const Batch& batch) {
    const BatchHeader appended = header(batch);
    EXPECT_FALSE(state.append(appended, std::nullopt));
    end = appended.next_offset();
    return appended.base_offset;
  }
  std::pair<BatchHeader, TxnMarker> marker(std::int64_t producer, int epoch, bool commit, int coordinator) const {
    BatchHeader header = this->header({.producer = producer, .epoch = epoch, .sequence = -1, .transactional = true});
    header.attributes |= 0x20;
    return {header, testing::marker_of(producer, epoch, commit, coordinator)};
  }
  std::optional<CompletedTxn> finish(std::int64_t producer, int epoch, bool commit, int coordinator = 0) {
    const auto [header, marker] = this->marker(producer, epoch, commit, coordinator);
    EXPECT_TRUE(state.admit(header, marker, AppendOrigin::coordinator));
    end = header.next_offset();
    return state.append(header, marker);
  }
  std::optional<ProducerFault> marker_fault(std::int64_t producer, int epoch, int coordinator) const {
    const auto [header, marker] = this->marker(producer, epoch, true, coordinator);
    const auto admitted = state.admit(header, marker, AppendOrigin::coordinator);
    return admitted ? std::nullopt : std::optional(admitted.error());
  }
};

TEST(ProducerState, SequencesAreContiguous) {
  Partition p;
  p.append({.sequence = 0, .records = 3});
  EXPECT_EQ(p.fault({.sequence = 4}), ProducerFault::out_of_order_sequence);
  EXPECT_EQ(p.fault({.sequence = 2}), ProducerFault::out_of_order_sequence) << "part of an older batch is no retry";
  p.append({.sequence = 3, .records = 2});
  EXPECT_EQ(p.state.find(ProducerId(7))->last_sequence(), 4);
  EXPECT_EQ(p.fault({.sequence = 5}), std::nullopt);
  EXPECT_EQ(p.fault({.producer = 8, .sequence = 17}), std::nullopt) << "who is not known may begin anywhere";
}

TEST(ProducerState, SequencesWrapToZero) {
  Partition p;
  p.append({.sequence = INT32_MAX - 2, .records = 2});
  p.append({.sequence = INT32_MAX, .records = 3});  // MAX, 0, 1
  EXPECT_EQ(p.state.find(ProducerId(7))->last_sequence(), 1);
  const auto again = p.admit({.sequence = INT32_MAX, .records = 3});
  ASSERT_TRUE(again && *again != nullptr);
  EXPECT_EQ((*again)->base(), Offset(2));
  EXPECT_EQ(p.fault({.sequence = 2}), std::nullopt);
  Partition exact;
  exact.append({.sequence = INT32_MAX - 1, .records = 2});
  EXPECT_EQ(exact.fault({.sequence = 0}), std::nullopt);
  EXPECT_EQ(exact.fault({.sequence = 1}), ProducerFault::out_of_order_sequence);
}

TEST(ProducerState, FiveBatchesAreRecognised) {
  Partition p;
  for (int i = 0; i < 6; ++i) {
    p.now = 1000 + i;
    p.append({.sequence = i * 2, .records = 2});
  }
  EXPECT_EQ(p.fault({.sequence = 0, .records = 2}), ProducerFault::out_of_order_sequence);
  for (int i = 1; i < 6; ++i) {
    const auto again = p.admit({.sequence = i * 2, .records = 2});
    ASSERT_TRUE(again && *again != nullptr) << i;
    EXPECT_EQ((*again)->base(), Offset(i * 2));
    EXPECT_EQ((*again)->last, Offset(i * 2 + 1));
    EXPECT_EQ((*again)->timestamp, 1000 + i);
    EXPECT_EQ((*again)->crc, 99U);
  }
  EXPECT_EQ(p.fault({.sequence = 2, .records = 1}), ProducerFault::out_of_order_sequence) << "the same range only";
}

TEST(ProducerState, ANewEpochBeginsAtZeroAndTheOldOneIsFenced) {
  Partition p;
  p.append({.epoch = 3, .sequence = 0, .records = 2});
  EXPECT_EQ(p.fault({.epoch = 2, .sequence = 2}), ProducerFault::invalid_producer_epoch);
  EXPECT_EQ(p.fault({.epoch = 4, .sequence = 2}), ProducerFault::out_of_order_sequence);
  p.append({.epoch = 4, .sequence = 0, .records = 2});
  EXPECT_EQ(p.fault({.epoch = 3, .sequence = 0, .records = 2}), ProducerFault::invalid_producer_epoch)
      << "batches of an older epoch are no duplicates any more";
  p.append({.epoch = 4, .sequence = 2});
}

TEST(ProducerState, FollowersBelieveWhatComes) {
  Partition p;
  p.replicate({.epoch = 5, .sequence = 10});
  p.replicate({.epoch = 5, .sequence = 70});
  EXPECT_EQ(p.state.find(ProducerId(7))->last_sequence(), 70);
}

TEST(ProducerState, TransactionsOpenAndEnd) {
  Partition p;
  p.append({.sequence = 0});
  EXPECT_EQ(p.state.first_unstable(), std::nullopt);
  p.append({.sequence = 1, .records = 2, .transactional = true});
  p.append({.sequence = 3, .transactional = true});
  EXPECT_EQ(p.state.first_unstable(), Offset(1));
  EXPECT_EQ(p.fault({.sequence = 4}), ProducerFault::invalid_txn_state);
  EXPECT_EQ(p.fault({.sequence = 5}), ProducerFault::out_of_order_sequence) << "sequences are looked at first";
  const auto done = p.finish(7, 0, false);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->first, Offset(1));
  EXPECT_EQ(done->last, Offset(4));
  EXPECT_EQ(done->last_stable_offset, Offset(5));
  EXPECT_TRUE(done->aborted);
  EXPECT_EQ(p.state.first_open(), std::nullopt);
  EXPECT_EQ(p.state.first_unstable(), Offset(1)) << "its marker is not below the high watermark yet";
  p.state.on_high_watermark(Offset(4));
  EXPECT_EQ(p.state.first_unstable(), Offset(1));
  p.state.on_high_watermark(Offset(5));
  EXPECT_EQ(p.state.first_unstable(), std::nullopt);
  p.append({.sequence = 4});
  EXPECT_FALSE(p.finish(7, 0, true)) << "there was nothing to end";
}

TEST(ProducerState, TheLastStableOffsetOfAnEndIsThatOfTheOthers) {
  Partition p;
  p.append({.producer = 1, .sequence = 0, .transactional = true});  // 0
  p.append({.producer = 2, .sequence = 0, .transactional = true});  // 1
  p.append({.producer = 3, .sequence = 0, .transactional = true});  // 2
  EXPECT_EQ(p.finish(2, 0, false)->last_stable_offset, Offset(0));
  EXPECT_EQ(p.finish(1, 0, false)->last_stable_offset, Offset(2));
  EXPECT_EQ(p.finish(3, 0, false)->last_stable_offset, Offset(6));
  EXPECT_EQ(p.state.first_unstable(), Offset(0));
  p.state.on_high_watermark(Offset(4));  // only the marker at 3
  EXPECT_EQ(p.state.first_unstable(), Offset(0));
  p.state.on_high_watermark(Offset(5));
  EXPECT_EQ(p.state.first_unstable(), Offset(2));
}

TEST(ProducerState, MarkersAreFencedByBothEpochs) {
  Partition p;
  p.append({.epoch = 2, .sequence = 0, .transactional = true});
  EXPECT_EQ(p.marker_fault(7, 1, 0), ProducerFault::invalid_producer_epoch);
  EXPECT_TRUE(p.finish(7, 2, true, 5));
  EXPECT_EQ(p.marker_fault(7, 2, 4), ProducerFault::coordinator_fenced);
  EXPECT_EQ(p.marker_fault(7, 2, 5), std::nullopt);
  EXPECT_EQ(p.marker_fault(9, 0, 0), std::nullopt) << "nothing is known of that one";
}

TEST(ProducerState, AMarkerOfAHigherEpochFencesAndForgetsSequences) {
  Partition p;
  p.append({.epoch = 2, .sequence = 0, .records = 4, .transactional = true});
  EXPECT_TRUE(p.finish(7, 3, false));
  EXPECT_EQ(p.fault({.epoch = 2, .sequence = 4, .transactional = true}), ProducerFault::invalid_producer_epoch);
  EXPECT_EQ(p.fault({.epoch = 3, .sequence = 4, .transactional = true}), ProducerFault::out_of_order_sequence);
  p.append({.epoch = 3, .sequence = 0, .transactional = true});
}

TEST(ProducerState, AMarkerOfTheSameEpochKeepsSequences) {
  Partition p;
  p.append({.sequence = 0, .records = 4, .transactional = true});
  p.finish(7, 0, true);
  const auto again = p.admit({.sequence = 0, .records = 4, .transactional = true});
  ASSERT_TRUE(again && *again != nullptr);
  EXPECT_EQ(p.fault({.sequence = 0}), ProducerFault::out_of_order_sequence);
  p.append({.sequence = 4, .transactional = true});
}

TEST(ProducerState, CoordinatorsNeedNoSequences) {
  Partition p;
  const Batch offsets{.sequence = -1, .records = 2, .transactional = true, .origin = AppendOrigin::coordinator};
  p.append(offsets);
  p.append(offsets);
  EXPECT_EQ(p.end, Offset(4));
  EXPECT_EQ(p.state.find(ProducerId(7))->last_sequence(), -1);
  EXPECT_EQ(p.fault({.epoch = -1, .sequence = -1, .transactional = true, .origin = AppendOrigin::coordinator}),
            ProducerFault::invalid_producer_epoch);
}

TEST(ProducerState, ExpiresWhoIsSilentWithoutATransaction) {
  Partition p;
  p.append({.producer = 1, .sequence = 0});
  p.append({.producer = 2, .sequence = 0, .transactional = true});
  p.now = 5000;
  p.append({.producer = 3, .sequence = 0});
  p.state.expire(10'999, 10'000);
  EXPECT_EQ(p.state.producers().size(), 3U);
  p.state.expire(11'000, 10'000);
  EXPECT_EQ(p.state.find(ProducerId(1)), nullptr);
  EXPECT_EQ(p.state.producers().size(), 2U);
  EXPECT_EQ(p.fault({.producer = 1, .sequence = 55}), std::nullopt);
}

TEST(ProducerState, SnapshotsHoldTheLastBatchOfEach) {
  Partition p;
  p.append({.producer = 1, .sequence = 0, .records = 2});
  p.append({.producer = 1, .sequence = 2, .records = 3});
  p.append({.producer = 2, .epoch = 4, .sequence = 0, .transactional = true});
  p.append({.producer = 3, .sequence = 0, .transactional = true});
  p.finish(3, 1, true, 6);
  const std::vector<std::byte> file = p.state.encode();
  EXPECT_EQ(file.size(), 10U + 3 * 46U);
  ProducerState loaded;
  ASSERT_TRUE(loaded.decode(file));
  EXPECT_EQ(describe(loaded),
            "producer 1 0 -1 1000 -1 : 4 2 4 \n"
            "producer 2 4 -1 1000 5 : 0 0 5 \n"
            "producer 3 1 6 1000 -1 :\n"
            "open 5 \n");
  EXPECT_EQ(loaded.encode(), file);
}

TEST(ProducerState, ADamagedSnapshotIsNone) {
  Partition p;
  p.append({.sequence = 0});
  const std::vector<std::byte> file = p.state.encode();
  ProducerState loaded;
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::vector<std::byte> bad = file;
    bad[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(loaded.decode(bad)) << bit;
    EXPECT_TRUE(loaded.empty());
  }
  for (std::size_t size = 0; size < file.size(); ++size) EXPECT_FALSE(loaded.decode(Bytes(file).first(size))) << size;
  EXPECT_TRUE(loaded.decode(file));
}

TEST(ProducerState, AHundredThousandProducersLoadQuickly) {
  Partition p;
  for (int i = 0; i < 100'000; ++i) p.replicate({.producer = 100'000 - i, .sequence = 0});
  const std::vector<std::byte> file = p.state.encode();
  ProducerState loaded;
  ASSERT_TRUE(loaded.decode(file));
  EXPECT_EQ(loaded.producers().size(), 100'000U);
  EXPECT_EQ(loaded.encode(), file);
}

TEST(TxnMarker, IsKafkasControlBatch) {
  const std::vector<std::byte> batch = build_marker(testing::marker_of(12, 3, false, 9), 1'700'000'000'000);
  const auto view = BatchView::parse(batch).value();
  EXPECT_EQ(batch.size(), 78U);  // Kafka's too
  EXPECT_TRUE(view.crc_valid());
  EXPECT_TRUE(view.header().control());
  EXPECT_TRUE(view.header().transactional());
  EXPECT_EQ(view.header().base_sequence, -1);
  EXPECT_EQ(parse_marker(view), testing::marker_of(12, 3, false, 9));
  const auto data = testing::make_producer_batch({});
  EXPECT_EQ(parse_marker(BatchView::parse(data).value()), std::nullopt);
}

}  // namespace
}  // namespace verdict::storage
