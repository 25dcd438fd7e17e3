#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/wire/errors.h"
#include "protocol/wire/gen/add_partitions_to_txn.h"
#include "protocol/wire/gen/create_topics.h"
#include "protocol/wire/gen/delete_topics.h"
#include "protocol/wire/gen/end_txn.h"
#include "protocol/wire/gen/find_coordinator.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/offset_commit.h"
#include "protocol/wire/gen/offset_delete.h"
#include "protocol/wire/gen/produce.h"
#include "protocol/wire/gen/txn_offset_commit.h"
#include "protocol/wire/gen/write_txn_markers.h"
#include "tests/unit/broker/asker.h"
#include "tests/unit/storage/producing.h"

// What a broker says to single requests of producers and of groups' members, as recorded conversations with Kafka 4.1
// have it.
namespace verdict::broker {
namespace {

using storage::testing::make_producer_batch;
using storage::testing::ProducerBatch;
using wire::ErrorCode;

constexpr int kTold = 3;  // partitions of topic "t"

struct Identity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
};

struct MarkerTap final : sim::MessageTap {
  Duration markers_take{};
  sim::FrameDecision on_frame(const sim::FrameHead& frame) final {
    const bool marker = frame.api_key == static_cast<std::int16_t>(wire::ApiKey::WriteTxnMarkers) && !frame.response;
    if (!marker || markers_take == Duration::zero()) return {};
    return {.action = sim::FrameAction::delay, .delay = markers_take};
  }
};

// One broker, which is every coordinator, and a topic.
class TransactionalWrites : public ::testing::Test {
 protected:
  TransactionalWrites() : world({.seed = 3}), cluster(world, config(), nullptr), asker(world) {
    world.set_tap(&tap);
    cluster.start_all();
    world.start(asker.index());
    const auto serving = [&] { return cluster.serving(cluster.machine(NodeId(1))->index) != nullptr; };
    EXPECT_EQ(world.run_until(serving, world.now() + 60s), sim::RunEnd::stopped);
    make_topic("t");
    find(0, "g");
    find(1, "tx");
  }
  static sim::ClusterConfig config() {
    return {.brokers = 1,
            .properties = {{"offsets.topic.num.partitions", "1"},
                           {"offsets.topic.replication.factor", "1"},
                           {"transaction.state.log.num.partitions", "1"},
                           {"transaction.state.log.replication.factor", "1"},
                           {"transaction.state.log.min.isr", "1"},
                           {"transaction.state.log.segment.bytes", "2000000"}}};
  }
  void make_topic(std::string_view name) {
    std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{
        {.name = name, .num_partitions = kTold, .replication_factor = 1}};
    const auto made =
        asker.ask<wire::CreateTopicsResponse>(1, 5, wire::CreateTopicsRequest{.topics = topics, .timeout_ms = 5'000});
    EXPECT_TRUE(made && (*made)->topics[0].error_code == 0);
    world.run_for(1s);
  }
  void find(std::int8_t type, std::string_view key) {
    for (int i = 0; i < 100; ++i) {
      std::vector<std::string_view> keys{key};
      const auto answer = asker.ask<wire::FindCoordinatorResponse>(
          1, 4, wire::FindCoordinatorRequest{.key_type = type, .coordinator_keys = keys});
      if (answer && (*answer)->coordinators[0].error_code == 0) break;
      world.run_for(100ms);
    }
    world.run_for(1s);
  }
  Identity init() {
    for (int i = 0; i < 100; ++i) {
      const auto answer = asker.ask<wire::InitProducerIdResponse>(
          1, 4, wire::InitProducerIdRequest{.transactional_id = "tx", .transaction_timeout_ms = 60'000});
      if (answer && (*answer)->error_code == 0) return {(*answer)->producer_id, (*answer)->producer_epoch};
      world.run_for(100ms);
    }
    ADD_FAILURE() << "no producer id";
    return {};
  }
  ErrorCode add(const Identity& who, std::vector<std::int32_t> partitions, std::string_view topic = "t") {
    std::vector<wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic> topics{
        {.name = topic, .partitions = partitions}};
    const auto answer = asker.ask<wire::AddPartitionsToTxnResponse>(
        1, 3,
        wire::AddPartitionsToTxnRequest{.v3_and_below_transactional_id = "tx",
                                        .v3_and_below_producer_id = who.id,
                                        .v3_and_below_producer_epoch = who.epoch,
                                        .v3_and_below_topics = topics});
    EXPECT_TRUE(answer);
    return answer ? wire::error_from_code(
                        (*answer)->results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
                  : ErrorCode::NETWORK_EXCEPTION;
  }
  auto ask_to_end(int version, const Identity& who, bool commits) {
    auto answer = asker.ask<wire::EndTxnResponse>(
        1, version,
        wire::EndTxnRequest{
            .transactional_id = "tx", .producer_id = who.id, .producer_epoch = who.epoch, .committed = commits});
    EXPECT_TRUE(answer);
    return answer;
  }
  ErrorCode end(const Identity& who, bool commits) {
    const auto answer = ask_to_end(4, who, commits);
    return answer ? wire::error_from_code((*answer)->error_code) : ErrorCode::NETWORK_EXCEPTION;
  }
  // Commits as a producer of transaction version two does; who it is then.
  Identity end_and_go_on(const Identity& who) {
    const auto answer = ask_to_end(5, who, true);
    EXPECT_TRUE(answer && (*answer)->error_code == 0);
    return answer ? Identity{(*answer)->producer_id, (*answer)->producer_epoch} : Identity{};
  }
  static ProducerBatch of(const Identity& who, std::int32_t sequence = 0) {
    return {.producer = who.id, .epoch = who.epoch, .sequence = sequence, .transactional = true};
  }
  struct Written {
    std::int32_t partition;
    std::vector<std::byte> batch;
  };
  using Parts = std::vector<wire::ProduceResponse::PartitionProduceResponse>;
  auto send(int version, std::vector<Written> writes, std::optional<std::string_view> transactional_id = "tx") {
    std::vector<wire::ProduceRequest::PartitionProduceData> data;
    for (Written& write : writes) data.push_back({.index = write.partition, .records = wire::Records::of(write.batch)});
    std::vector<wire::ProduceRequest::TopicProduceData> topics{{.name = "t", .partition_data = data}};
    return asker.send<wire::ProduceResponse>(
        1, version,
        wire::ProduceRequest{
            .transactional_id = transactional_id, .acks = -1, .timeout_ms = 5'000, .topic_data = topics});
  }
  // The answers hold no text but their error message, in `messages`.
  Parts produce(int version, std::vector<Written> writes, std::optional<std::string_view> transactional_id = "tx") {
    const auto answer = asker.await(*send(version, std::move(writes), transactional_id));
    messages.clear();
    Parts parts;
    EXPECT_TRUE(answer && (*answer)->responses.size() == 1);
    if (!answer) return parts;
    for (auto part : (*answer)->responses[0].partition_responses) {
      messages.emplace_back(part.error_message.value_or(""));
      part.error_message = std::nullopt;
      part.record_errors = {};
      parts.push_back(part);
    }
    return parts;
  }
  ErrorCode produce_one(int version, std::int32_t partition, const ProducerBatch& spec) {
    const Parts parts = produce(version, {{partition, make_producer_batch(spec)}});
    return parts.size() == 1 ? wire::error_from_code(parts[0].error_code) : ErrorCode::NETWORK_EXCEPTION;
  }
  ErrorCode commit_offset(int version, const Identity& who) {
    std::vector<wire::TxnOffsetCommitRequest::TxnOffsetCommitRequestPartition> partitions{{.committed_offset = 5}};
    std::vector<wire::TxnOffsetCommitRequest::TxnOffsetCommitRequestTopic> topics{
        {.name = "t", .partitions = partitions}};
    const auto answer =
        asker.ask<wire::TxnOffsetCommitResponse>(1, version,
                                                 wire::TxnOffsetCommitRequest{.transactional_id = "tx",
                                                                              .group_id = "g",
                                                                              .producer_id = who.id,
                                                                              .producer_epoch = who.epoch,
                                                                              .topics = topics});
    EXPECT_TRUE(answer);
    return answer ? wire::error_from_code((*answer)->topics[0].partitions[0].error_code) : ErrorCode::NETWORK_EXCEPTION;
  }
  ErrorCode write_marker(const Identity& who) {
    std::vector<std::int32_t> indexes{0};
    std::vector<wire::WriteTxnMarkersRequest::WritableTxnMarkerTopic> topics{
        {.name = "t", .partition_indexes = indexes}};
    std::vector<wire::WriteTxnMarkersRequest::WritableTxnMarker> markers{
        {.producer_id = who.id, .producer_epoch = who.epoch, .transaction_result = false, .topics = topics}};
    const auto answer =
        asker.ask<wire::WriteTxnMarkersResponse>(1, 1, wire::WriteTxnMarkersRequest{.markers = markers});
    EXPECT_TRUE(answer);
    return answer ? wire::error_from_code((*answer)->markers[0].topics[0].partitions[0].error_code)
                  : ErrorCode::NETWORK_EXCEPTION;
  }
  Offset log_end(std::int32_t partition) {
    BrokerNode* broker = cluster.node(cluster.machine(NodeId(1))->index)->broker();
    const Uuid topic = broker->image().topic("t")->id;
    return broker->replicas().find({.topic = topic, .index = partition})->log().log_end();
  }

  MarkerTap tap;
  sim::World world;
  sim::Cluster cluster;
  Asker asker;
  std::vector<std::string> messages;
};

TEST_F(TransactionalWrites, RecordsOfATransactionNeedItsId) {
  const Identity who = init();
  ASSERT_EQ(add(who, {0}), ErrorCode::NONE);
  const Parts parts = produce(
      9, {{0, make_producer_batch(of(who))}, {1, make_producer_batch({.producer = -1, .epoch = -1, .sequence = -1})}},
      std::nullopt);
  ASSERT_EQ(parts.size(), 2U);
  for (const auto& part : parts)
    EXPECT_EQ(wire::error_from_code(part.error_code), ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
  EXPECT_EQ(log_end(0), Offset(0));
  EXPECT_EQ(log_end(1), Offset(0)) << "nothing of the request is written";
}

TEST_F(TransactionalWrites, APartitionThatWasNotAddedIsToldInTheProducersVersion) {
  const Identity who = init();
  for (const int version : {9, 10}) {
    EXPECT_EQ(produce_one(version, 0, of(who)), ErrorCode::INVALID_TXN_STATE) << version;
    EXPECT_EQ(messages, std::vector<std::string>{"Partition was not added to the transaction"});
  }
  EXPECT_EQ(produce_one(11, 0, of(who)), ErrorCode::TRANSACTION_ABORTABLE);
  EXPECT_EQ(commit_offset(3, who), ErrorCode::INVALID_TXN_STATE);
  EXPECT_EQ(commit_offset(4, who), ErrorCode::TRANSACTION_ABORTABLE);
  EXPECT_EQ(log_end(0), Offset(0));
}

// From Produce 12 on a leader adds the partition itself.
TEST_F(TransactionalWrites, FromVersion12OnALeaderAddsWhatIsWritten) {
  const Identity who = init();
  EXPECT_EQ(produce_one(12, 0, of(who)), ErrorCode::NONE);
  EXPECT_EQ(log_end(0), Offset(3));
  EXPECT_EQ(end(who, true), ErrorCode::NONE);
  world.run_for(1s);
  EXPECT_EQ(log_end(0), Offset(4)) << "it gets its marker";
}

// The coordinator is asked again about the first one, since the transaction before is still being ended.
TEST_F(TransactionalWrites, ALaterBatchDoesNotOvertakeOneThatIsAskedAboutAgain) {
  tap.markers_take = 10ms;
  for (const Duration later : {1ms, 6ms, 14ms, 30ms}) {
    const Identity who = init();
    const Offset before = log_end(0);
    ASSERT_EQ(produce_one(12, 0, of(who)), ErrorCode::NONE);
    const Identity next = end_and_go_on(who);
    const auto first = send(12, {{0, make_producer_batch(of(next, 0))}});
    world.run_for(later);
    const auto second = send(12, {{0, make_producer_batch(of(next, 3))}});
    Offset base = before + 4;  // three records and the marker
    for (const auto& sent : {first, second}) {
      const auto answer = asker.await(*sent);
      ASSERT_TRUE(answer);
      const auto& part = (*answer)->responses[0].partition_responses[0];
      EXPECT_EQ(wire::error_from_code(part.error_code), ErrorCode::NONE) << later.count();
      EXPECT_EQ(Offset(part.base_offset), base) << later.count();
      base = base + 3;
    }
    EXPECT_EQ(end(next, true), ErrorCode::NONE);
    world.run_for(1s);
  }
}

// The coordinator is asked about who comes with another epoch, though a transaction of its producer is open.
TEST_F(TransactionalWrites, AnOpenTransactionOfAnotherEpochConfirmsNothing) {
  const Identity who = init();
  ASSERT_EQ(add(who, {0}), ErrorCode::NONE);
  ASSERT_EQ(produce_one(9, 0, of(who)), ErrorCode::NONE);
  const Identity next{.id = who.id, .epoch = static_cast<std::int16_t>(who.epoch + 1)};
  EXPECT_EQ(produce_one(9, 0, of(next)), ErrorCode::INVALID_PRODUCER_EPOCH);
  EXPECT_EQ(log_end(0), Offset(3));
  EXPECT_EQ(produce_one(9, 0, of(who, 3)), ErrorCode::NONE) << "its own goes on";
}

TEST_F(TransactionalWrites, AMarkerHasAnIdAndAnEpoch) {
  EXPECT_EQ(write_marker({.id = -1, .epoch = 0}), ErrorCode::UNKNOWN_SERVER_ERROR);
  EXPECT_EQ(write_marker({.id = 5, .epoch = -1}), ErrorCode::UNKNOWN_SERVER_ERROR);
  EXPECT_EQ(log_end(0), Offset(0));
  EXPECT_EQ(write_marker({.id = 5, .epoch = 0}), ErrorCode::NONE);
  EXPECT_EQ(log_end(0), Offset(1));
}

TEST_F(TransactionalWrites, OfAPartitionThatIsNamedTwiceTheLastBatchCounts) {
  const ProducerBatch first{.producer = 40, .sequence = 0, .records = 1}, last{.producer = 41, .sequence = 0};
  const Parts parts = produce(9, {{0, make_producer_batch(first)}, {0, make_producer_batch(last)}}, std::nullopt);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].error_code, 0);
  EXPECT_EQ(log_end(0), Offset(3));
}

TEST_F(TransactionalWrites, BytesBehindABatchThatBeginNoneAreDropped) {
  std::vector<std::byte> batch = make_producer_batch({.producer = 40, .sequence = 0});
  batch.resize(batch.size() + 16);
  EXPECT_EQ(produce(9, {{0, batch}}, std::nullopt).at(0).error_code, 0);
  EXPECT_EQ(log_end(0), Offset(3));
  const std::vector<std::byte> another = make_producer_batch({.producer = 40, .sequence = 3});
  batch = another;
  batch.insert(batch.end(), another.begin(), another.end());
  EXPECT_EQ(wire::error_from_code(produce(9, {{0, batch}}, std::nullopt).at(0).error_code), ErrorCode::INVALID_RECORD);
  EXPECT_EQ(log_end(0), Offset(3));
}

TEST_F(TransactionalWrites, MarkersOfADeletedTopicEndTheTransaction) {
  make_topic("gone");
  const Identity who = init();
  ASSERT_EQ(add(who, {0}, "gone"), ErrorCode::NONE);
  ASSERT_EQ(add(who, {0}), ErrorCode::NONE);
  ASSERT_EQ(produce_one(9, 0, of(who)), ErrorCode::NONE);
  std::vector<std::string_view> names{"gone"};
  const auto deleted =
      asker.ask<wire::DeleteTopicsResponse>(1, 4, wire::DeleteTopicsRequest{.topic_names = names, .timeout_ms = 5'000});
  ASSERT_TRUE(deleted && (*deleted)->responses[0].error_code == 0);
  world.run_for(2s);
  EXPECT_EQ(end(who, true), ErrorCode::NONE);
  world.run_for(2s);
  EXPECT_EQ(add(who, {1}), ErrorCode::NONE) << "the next one can begin";
}

TEST_F(TransactionalWrites, UnknownPartitionsAreToldBesideTheOthersUnderOneName) {
  std::vector<wire::OffsetCommitRequest::OffsetCommitRequestPartition> partitions{
      {.partition_index = 7, .committed_offset = 1}, {.partition_index = 0, .committed_offset = 2}};
  std::vector<wire::OffsetCommitRequest::OffsetCommitRequestTopic> topics{{.name = "t", .partitions = partitions}};
  const auto answer = asker.ask<wire::OffsetCommitResponse>(
      1, 8, wire::OffsetCommitRequest{.group_id = "g", .generation_id_or_member_epoch = -1, .topics = topics});
  ASSERT_TRUE(answer);
  ASSERT_EQ((*answer)->topics.size(), 1U);
  std::map<std::int32_t, ErrorCode> told;
  for (const auto& part : (*answer)->topics[0].partitions)
    told[part.partition_index] = wire::error_from_code(part.error_code);
  const std::map<std::int32_t, ErrorCode> expected{{0, ErrorCode::NONE}, {7, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION}};
  EXPECT_EQ(told, expected);
}

TEST_F(TransactionalWrites, AGroupsErrorStandsAloneInOffsetDelete) {
  std::vector<wire::OffsetDeleteRequest::OffsetDeleteRequestPartition> partitions{{.partition_index = 7}};
  std::vector<wire::OffsetDeleteRequest::OffsetDeleteRequestTopic> topics{{.name = "t", .partitions = partitions}};
  const auto answer = asker.ask<wire::OffsetDeleteResponse>(
      1, 0, wire::OffsetDeleteRequest{.group_id = "unheard-of", .topics = topics});
  ASSERT_TRUE(answer);
  EXPECT_EQ(wire::error_from_code((*answer)->error_code), ErrorCode::GROUP_ID_NOT_FOUND);
  EXPECT_TRUE((*answer)->topics.empty());
}

// Version 6 is unstable in Kafka 4.1, and ends the connection.
TEST_F(TransactionalWrites, AnUnstableVersionEndsTheConnection) {
  const auto answer = asker.ask<wire::InitProducerIdResponse>(1, 6, wire::InitProducerIdRequest{});
  EXPECT_FALSE(answer);
}

}  // namespace
}  // namespace verdict::broker
