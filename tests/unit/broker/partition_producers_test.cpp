#include <gtest/gtest.h>

#include <map>

#include "protocol/broker/partition.h"
#include "tests/unit/storage/producing.h"

// Producers' batches and markers at one partition's leader: which are answered, with what, and when.
namespace verdict::broker {
namespace {

using storage::testing::make_producer_batch;
using storage::testing::marker_of;
using storage::testing::MemoryRuntime;
using storage::testing::ProducerBatch;

struct Host final : PartitionHost {
  void complete_produce(const replication::CompleteProduce& done) override { answers[done.waiter] = done; }
  void propose_isr(Partition&, const replication::SendAlterPartition&,
                   std::span<const replication::IsrMember>) override {}
  void start_fetching(Partition&, NodeId) override {}
  void stop_fetching(Partition&) override {}
  void delay_fetch(Partition&) override {}
  void ask_leader_offsets(Partition&, const replication::AskLeaderOffsets&) override {}
  void segment_rolled(Partition&) override {}
  void log_shortened(Partition&) override {}
  void log_failed(Partition&, const storage::LogError& error) override { ADD_FAILURE() << error.to_string(); }
  std::map<WaiterId, replication::CompleteProduce> answers;
};

struct Forgotten final : protocol::Observer {
  void observe(const protocol::Event& event) override {
    if (const auto* e = std::get_if<protocol::events::ProducersForgotten>(&event))
      ids.insert(ids.end(), e->producers.begin(), e->producers.end());
  }
  std::vector<ProducerId> ids;
};

// Leader of a partition with one follower, whose fetches the test makes.
struct PartitionProducers : ::testing::Test {
  static constexpr std::int16_t kAll = -1;

  MemoryRuntime runtime;
  storage::FileCache files{runtime.disk(), 16};
  storage::Decompressor decompressor;
  replication::Effects effects;
  Host host;
  Forgotten forgotten;
  std::unique_ptr<Partition> partition;
  std::int32_t epoch = 0;
  protocol::TopicConfig config{.segment_bytes = 1 << 20,
                               .segment_ms = INT64_MAX,
                               .segment_index_bytes = 1 << 20,
                               .index_interval_bytes = 4096,
                               .retention_ms = -1,
                               .retention_bytes = -1,
                               .max_message_bytes = 1 << 20,
                               .min_insync_replicas = 1,
                               .timestamp_before_max_ms = INT64_MAX,
                               .timestamp_after_max_ms = INT64_MAX,
                               .producer_id_expiration_ms = 1000};

  void SetUp() override { lead({.clean = true}, Offset(0)); }

  void lead(storage::Log::OpenInput input, Offset high_watermark) {
    partition.reset();
    input.high_watermark = high_watermark;
    const Partition::Context context{.runtime = runtime,
                                     .host = host,
                                     .observer = &forgotten,
                                     .decompressor = decompressor,
                                     .effects = effects,
                                     .self = NodeId(1),
                                     .replica_lag_time_max = 30s};
    partition = std::make_unique<Partition>(context, PartitionKey{.topic = {}, .index = 0}, "t");
    partition->configure(config);
    auto log = runtime.run(storage::Log::open(runtime, files, "d/t-0", log_config(config), input));
    ASSERT_TRUE(log);
    partition->open(std::move(*log), high_watermark);
    elect();
  }
  void elect() {
    ++epoch;
    const NodeIds both{NodeId(1), NodeId(2)};
    const std::vector<replication::ReplicaBroker> brokers{{.id = NodeId(1), .epoch = BrokerEpoch(1), .fenced = false},
                                                          {.id = NodeId(2), .epoch = BrokerEpoch(1), .fenced = false}};
    partition->metadata_changed({.leader = NodeId(1),
                                 .leader_epoch = LeaderEpoch(epoch),
                                 .partition_epoch = PartitionEpoch(epoch),
                                 .replicas = both,
                                 .isr = both,
                                 .brokers = brokers,
                                 .local_broker_epoch = BrokerEpoch(1),
                                 .min_insync_replicas = 1});
  }
  ProduceOutcome produce(std::uint64_t waiter, const ProducerBatch& spec, std::int16_t acks = kAll) {
    auto batch = make_producer_batch(spec);
    return partition->produce(batch, acks, WaiterId(waiter));
  }
  void verifying(const ProducerBatch& spec, bool adds = false) {
    partition->verifying(storage::parse_header(make_producer_batch(spec)).value(), adds);
  }
  ProduceOutcome end(std::uint64_t waiter, int producer_epoch, bool commit, std::int32_t coordinator_epoch = 0) {
    return partition->write_marker(marker_of(7, producer_epoch, commit, coordinator_epoch), WaiterId(waiter));
  }
  void follower_fetches(std::int64_t offset) {
    const auto decision = partition->fetch(replication::FollowerFetch{.replica = NodeId(2),
                                                                      .broker_epoch = BrokerEpoch(1),
                                                                      .current_leader_epoch = LeaderEpoch(epoch),
                                                                      .fetch_offset = Offset(offset)});
    ASSERT_EQ(decision.error, ErrorCode::NONE);
  }
  bool answered(std::uint64_t waiter) const { return host.answers.contains(WaiterId(waiter)); }
  Offset answer(std::uint64_t waiter) const {
    const replication::CompleteProduce& done = host.answers.at(WaiterId(waiter));
    return done.error == ErrorCode::NONE ? done.base : kNoOffset;
  }
};

TEST_F(PartitionProducers, ARetryWaitsForTheFirstOnesCommit) {
  EXPECT_TRUE(produce(1, {.sequence = 0}).waits);
  EXPECT_TRUE(produce(2, {.sequence = 3}).waits);
  const ProduceOutcome again = produce(3, {.sequence = 0});
  EXPECT_TRUE(again.waits);
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.append_time_ms, 1'700'000'000'000);
  EXPECT_EQ(partition->log().log_end(), Offset(6));
  EXPECT_FALSE(answered(3));
  follower_fetches(3);
  EXPECT_EQ(answer(1), Offset(0));
  EXPECT_EQ(answer(3), Offset(0));
  EXPECT_FALSE(answered(2));
  follower_fetches(6);
  EXPECT_EQ(answer(2), Offset(3));
}

TEST_F(PartitionProducers, ARetryOfWhatIsCommittedIsAnsweredAtOnce) {
  produce(1, {.sequence = 0});
  follower_fetches(3);
  produce(2, {.sequence = 3});
  EXPECT_TRUE(produce(3, {.sequence = 0}).waits);
  EXPECT_EQ(answer(3), Offset(0)) << "whatever else waits";
  EXPECT_FALSE(answered(2));
}

TEST_F(PartitionProducers, ARetryWithAcks1IsAnsweredAtOnce) {
  produce(1, {.sequence = 0}, 1);
  EXPECT_EQ(answer(1), Offset(0));
  produce(2, {.sequence = 0}, 1);
  EXPECT_EQ(answer(2), Offset(0));
}

TEST_F(PartitionProducers, ARetryOfWhatRetentionTookIsAnsweredAtOnce) {
  produce(1, {.sequence = 0});
  produce(2, {.sequence = 3});
  follower_fetches(6);
  partition->log().advance_log_start(Offset(4));  // within the batch (DeleteRecords)
  produce(3, {.sequence = 3});
  EXPECT_EQ(answer(3), Offset(3));
  partition->log().advance_log_start(Offset(6));
  produce(4, {.sequence = 3});
  EXPECT_EQ(answer(4), Offset(3));
}

TEST_F(PartitionProducers, RefusalsAreKafkasCodes) {
  produce(1, {.epoch = 1, .sequence = 0, .transactional = true});
  const auto error = [&](const ProducerBatch& spec) { return produce(9, spec).error; };
  EXPECT_EQ(error({.epoch = 1, .sequence = 4}), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_EQ(error({.epoch = 0, .sequence = 3}), ErrorCode::INVALID_PRODUCER_EPOCH);
  EXPECT_EQ(error({.epoch = 1, .sequence = 3}), ErrorCode::INVALID_TXN_STATE);
  EXPECT_EQ(produce(9, {.epoch = 1, .sequence = 9}).log_start, Offset(0));
  EXPECT_EQ(error({.epoch = 1, .sequence = -1}), ErrorCode::INVALID_RECORD);
  EXPECT_EQ(end(9, 0, true).error, ErrorCode::INVALID_PRODUCER_EPOCH);
  EXPECT_TRUE(end(2, 1, true, 3).waits);
  EXPECT_EQ(end(9, 1, true, 2).error, ErrorCode::TRANSACTION_COORDINATOR_FENCED);
  EXPECT_FALSE(answered(9));
  EXPECT_EQ(partition->log().log_end(), Offset(4));
}

TEST_F(PartitionProducers, CoordinatorsWriteWithoutSequences) {
  for (const std::uint64_t waiter : {1U, 2U}) {
    auto batch = make_producer_batch({.sequence = -1, .transactional = true});
    EXPECT_TRUE(partition->produce(batch, kAll, WaiterId(waiter), storage::AppendOrigin::coordinator).waits);
  }
  EXPECT_EQ(partition->log().log_end(), Offset(6)) << "the second is no retry of the first";
  auto batch = storage::build_marker(marker_of(7, 0, true), 0);
  EXPECT_EQ(partition->produce(batch, kAll, WaiterId(3)).error, ErrorCode::INVALID_RECORD)
      << "clients write no control batches";
}

TEST_F(PartitionProducers, AMarkerIsAnsweredWhenItIsCommittedAndThenTheLastStableOffsetMoves) {
  produce(1, {.sequence = 0, .transactional = true});
  produce(2, {.producer = 8, .sequence = 0});
  follower_fetches(6);
  EXPECT_EQ(partition->replica().high_watermark(), Offset(6));
  EXPECT_EQ(partition->last_stable_offset(), Offset(0));
  EXPECT_TRUE(end(3, 0, false).waits);
  EXPECT_FALSE(answered(3));
  EXPECT_EQ(partition->last_stable_offset(), Offset(0));
  FetchWatcher watcher(runtime);
  partition->watch(watcher);
  follower_fetches(7);
  EXPECT_TRUE(watcher.woken);
  EXPECT_TRUE(partition->log().producers().unreplicated().empty()) << "also where nobody asks";
  EXPECT_EQ(answer(3), Offset(6));
  EXPECT_EQ(partition->last_stable_offset(), Offset(7));
  EXPECT_EQ(partition->log().aborted_transactions(Offset(0), Offset(7)).size(), 1U);
  partition->unwatch(watcher);
}

TEST_F(PartitionProducers, ALeaderThatComesBackKnowsTheLastStableOffset) {
  produce(1, {.sequence = 0, .transactional = true});
  produce(2, {.producer = 8, .sequence = 0});
  follower_fetches(6);
  end(3, 0, true);
  lead({.clean = false}, Offset(6));
  EXPECT_EQ(partition->replica().high_watermark(), Offset(6));
  EXPECT_EQ(partition->last_stable_offset(), Offset(0)) << "the marker is not committed yet";
  follower_fetches(7);
  EXPECT_EQ(partition->last_stable_offset(), Offset(7));
  produce(5, {.producer = 8, .sequence = 0});
  EXPECT_EQ(answer(5), Offset(3));
}

// KIP-890: of several batches whose producer is verified the first one comes first.
TEST_F(PartitionProducers, NoneIsTakenBeforeTheLowestSequenceThatWasAskedAbout) {
  const auto error = [&](const ProducerBatch& spec) { return produce(9, spec).error; };
  const ProducerBatch first{.sequence = 20, .transactional = true}, second{.sequence = 23, .transactional = true};
  verifying(second), verifying(first), verifying(second);
  EXPECT_EQ(error(second), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_EQ(error(first), ErrorCode::NONE);
  EXPECT_EQ(error(second), ErrorCode::NONE) << "the first append ends it";
  verifying({.producer = 8, .sequence = 5});
  EXPECT_EQ(error({.producer = 8, .sequence = 9}), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  runtime.wall_ms += 1000;
  partition->expire_producers();
  EXPECT_EQ(error({.producer = 8, .sequence = 9}), ErrorCode::NONE) << "it expires as producers do";
}

TEST_F(PartitionProducers, AMarkerEndsItUnlessItIsOfTheNextTransaction) {
  produce(1, {.epoch = 3, .sequence = 0, .transactional = true});
  verifying({.epoch = 3, .sequence = 0, .transactional = true});  // a late one
  EXPECT_EQ(end(2, 3, true).error, ErrorCode::NONE);
  EXPECT_EQ(produce(9, {.epoch = 3, .sequence = 3, .transactional = true}).error, ErrorCode::NONE);
  verifying({.epoch = 4, .sequence = 0, .transactional = true}, true);
  EXPECT_EQ(end(2, 4, true).error, ErrorCode::NONE) << "version 2: the marker has the next epoch already";
  EXPECT_EQ(produce(9, {.epoch = 4, .sequence = 3, .transactional = true}).error,
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_EQ(produce(9, {.epoch = 4, .sequence = 0, .transactional = true}).error, ErrorCode::NONE);
}

TEST_F(PartitionProducers, AnElectionForgetsWhoWasAskedAbout) {
  const ProducerBatch first{.producer = 7, .sequence = 20, .transactional = true};
  verifying(first);
  elect();
  EXPECT_EQ(produce(9, {.producer = 7, .sequence = 23, .transactional = true}).error, ErrorCode::NONE);
}

TEST_F(PartitionProducers, AtVersion2WhoIsNotKnownBeginsWithZero) {
  const auto error = [&](std::int64_t producer, int sequence, bool adds) {
    const ProducerBatch spec{.producer = producer, .sequence = sequence, .transactional = true};
    verifying(spec, adds);
    return produce(9, spec).error;
  };
  EXPECT_EQ(error(1, 4, false), ErrorCode::NONE);
  EXPECT_EQ(error(2, 4, true), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_EQ(error(2, 0, true), ErrorCode::NONE);
  EXPECT_EQ(end(3, 0, true).error, ErrorCode::NONE);
  EXPECT_EQ(error(2, 3, true), ErrorCode::NONE) << "who is known goes on";
}

TEST_F(PartitionProducers, TheSilentExpire) {
  produce(1, {.sequence = 0, .timestamp = runtime.wall_ms});
  runtime.wall_ms += 999;
  partition->expire_producers();
  EXPECT_EQ(produce(9, {.sequence = 70}).error, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_TRUE(forgotten.ids.empty());
  runtime.wall_ms += 1;
  partition->expire_producers();
  EXPECT_EQ(forgotten.ids, std::vector<ProducerId>{ProducerId(7)});
  EXPECT_EQ(produce(2, {.sequence = 70}).error, ErrorCode::NONE);
}

TEST_F(PartitionProducers, WhoExpiredMeanwhileIsForgottenAtTheStart) {
  produce(1, {.sequence = 0, .timestamp = runtime.wall_ms});
  const Offset end = partition->log().log_end();
  ASSERT_TRUE(runtime.run(partition->log().close_cleanly()));
  runtime.wall_ms += 1000;
  lead({.clean = true, .recovery_point = end}, end);
  EXPECT_EQ(forgotten.ids, std::vector<ProducerId>{ProducerId(7)});
  EXPECT_EQ(produce(2, {.sequence = 70}).error, ErrorCode::NONE);
}

}  // namespace
}  // namespace verdict::broker
