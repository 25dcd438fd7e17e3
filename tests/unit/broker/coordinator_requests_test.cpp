#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>

#include "protocol/broker/coordinators.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/create_topics.h"
#include "protocol/wire/gen/find_coordinator.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/gen/produce.h"
#include "protocol/wire/gen/update_features.h"
#include "storage/batch_builder.h"
#include "tests/unit/broker/asker.h"

// What coordinators stand on, asked of the brokers of a simulated cluster.
namespace verdict::broker {
namespace {

using wire::ErrorCode;

std::vector<std::pair<std::string, std::string>> properties() {
  return {{"offsets.topic.num.partitions", "6"},
          {"transaction.state.log.num.partitions", "4"},
          {"transaction.state.log.segment.bytes", "2000000"}};
}

class CoordinatorRequests : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  CoordinatorRequests() : world({.seed = GetParam()}), cluster(world, config(), nullptr), asker(world) {}
  static sim::ClusterConfig config() { return {.brokers = 3, .properties = properties()}; }

  void start(std::set<int> brokers) {
    cluster.start(cluster.controller().index);
    for (const int id : brokers) cluster.start(index(id));
    world.start(asker.index());
    const auto serving = [&](int id) { return cluster.serving(index(id)) != nullptr; };
    ASSERT_EQ(world.run_until([&] { return std::ranges::all_of(brokers, serving); }, world.now() + 60s),
              sim::RunEnd::stopped);
    world.run_for(1s);
  }
  sim::NodeIndex index(int id) const { return cluster.machine(NodeId(id))->index; }
  const protocol::MetadataImage& image(int id) { return cluster.node(index(id))->broker()->image(); }

  wire::FindCoordinatorResponse::Coordinator find(int broker, CoordinatorType type, std::string_view key) {
    std::vector<std::string_view> keys{key};
    const auto answer = asker.ask<wire::FindCoordinatorResponse>(
        broker, 4, wire::FindCoordinatorRequest{.key_type = static_cast<std::int8_t>(type), .coordinator_keys = keys});
    EXPECT_TRUE(answer && (*answer)->coordinators.size() == 1);
    if (!answer || (*answer)->coordinators.size() != 1) return {.error_code = -1};
    auto out = (*answer)->coordinators[0];
    EXPECT_EQ(out.key, key);
    out.key = key;
    hosts.emplace_back(out.host);
    out.host = hosts.back();
    return out;
  }
  ErrorCode error_of(int broker, CoordinatorType type, std::string_view key) {
    return static_cast<ErrorCode>(find(broker, type, key).error_code);
  }
  bool found_in_time(int broker, CoordinatorType type, std::string_view key) {
    for (int i = 0; i < 100; ++i) {
      const ErrorCode error = error_of(broker, type, key);
      if (error == ErrorCode::NONE) return true;
      EXPECT_EQ(error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
      world.run_for(100ms);
    }
    return false;
  }
  wire::InitProducerIdResponse init(int broker, std::optional<std::string_view> transactional_id = std::nullopt,
                                    std::int64_t id = -1, std::int16_t epoch = -1) {
    const auto answer = asker.ask<wire::InitProducerIdResponse>(
        broker, 5,
        wire::InitProducerIdRequest{.transactional_id = transactional_id, .producer_id = id, .producer_epoch = epoch});
    EXPECT_TRUE(answer);
    return answer ? (*answer).value : wire::InitProducerIdResponse{.error_code = -1};
  }
  // Asks as clients do: again while the block is on its way.
  std::int64_t new_id(int broker) {
    for (int i = 0; i < 100; ++i) {
      const auto answer = init(broker);
      if (answer.error_code == 0) {
        EXPECT_EQ(answer.producer_epoch, 0);
        return answer.producer_id;
      }
      EXPECT_EQ(static_cast<ErrorCode>(answer.error_code), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
      world.run_for(100ms);
    }
    ADD_FAILURE() << "no id within 10 s";
    return -1;
  }
  ErrorCode produce(int broker, std::string_view topic, std::int32_t index_of, bool keyed) {
    storage::BatchBuilder builder({});
    const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
    builder.add(1'000, keyed ? storage::NullableBytes(bytes("key")) : std::nullopt, bytes("value"));
    storage::Compressor compressor;
    const std::span<std::byte> batch = builder.finish(compressor);
    std::vector<wire::ProduceRequest::PartitionProduceData> parts{
        {.index = index_of, .records = wire::Records::of(batch)}};
    std::vector<wire::ProduceRequest::TopicProduceData> topics{{.name = topic, .partition_data = parts}};
    const auto answer = asker.ask<wire::ProduceResponse>(
        broker, 9, wire::ProduceRequest{.acks = -1, .timeout_ms = 5'000, .topic_data = topics});
    EXPECT_TRUE(answer);
    return answer ? static_cast<ErrorCode>((*answer)->responses[0].partition_responses[0].error_code)
                  : ErrorCode::UNKNOWN_SERVER_ERROR;
  }

  sim::World world;
  sim::Cluster cluster;
  Asker asker;
  std::deque<std::string> hosts;
};

TEST_P(CoordinatorRequests, TheFirstWhoAsksHasTheTopicMade) {
  start({1, 2, 3});
  for (const int id : {1, 2, 3}) {
    const ErrorCode error = error_of(id, CoordinatorType::group, "g");
    EXPECT_TRUE(id > 1 || error == ErrorCode::COORDINATOR_NOT_AVAILABLE) << wire::to_string(error);
  }
  ASSERT_TRUE(found_in_time(1, CoordinatorType::group, "g"));
  world.run_for(2s);
  const auto* topic = image(1).topic(kOffsetsTopic);
  ASSERT_NE(topic, nullptr);
  EXPECT_EQ(topic->partitions.size(), 6U);
  const protocol::ConfigValues configs{
      {"cleanup.policy", "compact"}, {"compression.type", "producer"}, {"segment.bytes", "104857600"}};
  EXPECT_EQ(image(1).configs({protocol::ConfigResourceType::topic, std::string(kOffsetsTopic)}), configs);
  // Everybody names the leader of the key's partition, wherever it is.
  for (const std::string_view key : {"g", "h", "i", "group-1", ""}) {
    const auto& partition = topic->partitions.at(coordinator_partition(key, 6));
    EXPECT_EQ(partition.replicas.size(), 3U);
    for (const int id : {1, 2, 3}) {
      const auto found = find(id, CoordinatorType::group, key);
      EXPECT_EQ(found.error_code, 0);
      EXPECT_EQ(NodeId(found.node_id), partition.leader);
      EXPECT_EQ(found.host, cluster.machine(partition.leader)->host);
      EXPECT_EQ(found.port, sim::kBrokerPort);
    }
  }
  EXPECT_EQ(image(1).topic(kTransactionsTopic), nullptr) << "only on need";
}

TEST_P(CoordinatorRequests, TransactionsHaveATopicOfTheirOwn) {
  start({1, 2, 3});
  ASSERT_TRUE(found_in_time(2, CoordinatorType::transaction, "t"));
  world.run_for(1s);
  EXPECT_EQ(image(2).topic(kTransactionsTopic)->partitions.size(), 4U);
  const protocol::ConfigValues configs{{"cleanup.policy", "compact"},
                                       {"compression.type", "uncompressed"},
                                       {"min.insync.replicas", "2"},
                                       {"segment.bytes", "2000000"},
                                       {"unclean.leader.election.enable", "false"}};
  EXPECT_EQ(image(2).configs({protocol::ConfigResourceType::topic, std::string(kTransactionsTopic)}), configs);
  EXPECT_EQ(image(2).topic(kOffsetsTopic), nullptr);
}

TEST_P(CoordinatorRequests, WithTooFewBrokersThereIsNoCoordinator) {
  start({1, 2});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(error_of(1, CoordinatorType::group, "g"), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    world.run_for(300ms);
  }
  EXPECT_EQ(image(1).topic(kOffsetsTopic), nullptr);
  cluster.start(index(3));
  EXPECT_TRUE(found_in_time(1, CoordinatorType::group, "g"));
}

TEST_P(CoordinatorRequests, ACoordinatorThatDiesIsReplaced) {
  start({1, 2, 3});
  ASSERT_TRUE(found_in_time(1, CoordinatorType::group, "g"));
  world.run_for(3s);
  const int first = find(1, CoordinatorType::group, "g").node_id;
  world.kill(index(first));
  const int other = first == 1 ? 2 : 1;
  world.run_for(5s);
  ASSERT_TRUE(found_in_time(other, CoordinatorType::group, "g"));
  EXPECT_NE(find(other, CoordinatorType::group, "g").node_id, first);
}

TEST_P(CoordinatorRequests, KindsThatNobodyServesAreInvalid) {
  start({1, 2, 3});
  for (const int type : {2, 3, -1}) {
    EXPECT_EQ(error_of(1, static_cast<CoordinatorType>(type), "g"), ErrorCode::INVALID_REQUEST) << type;
    const auto old = asker.ask<wire::FindCoordinatorResponse>(
        1, 1, wire::FindCoordinatorRequest{.key = "g", .key_type = static_cast<std::int8_t>(type)});
    ASSERT_TRUE(old);
    EXPECT_EQ(static_cast<ErrorCode>((*old)->error_code), ErrorCode::INVALID_REQUEST) << type;
    EXPECT_EQ((*old)->node_id, -1);
  }
  EXPECT_TRUE(image(1).topics().empty());
}

TEST_P(CoordinatorRequests, ProducerIdsAreGivenOnceWhateverDies) {
  start({1, 2, 3});
  std::set<std::int64_t> ids;
  for (int round = 0; round < 3; ++round) {
    for (const int id : {1, 2, 3, 1, 2, 3}) EXPECT_TRUE(ids.insert(new_id(id)).second);
    world.kill(index(1));
    world.kill(cluster.controller().index);
    world.run_for(500ms);
    cluster.start(cluster.controller().index);
    cluster.start(index(1));
    world.run_for(6s);
  }
  EXPECT_EQ(ids.size(), 18U);
  // A life that ended leaves the rest of its block behind.
  EXPECT_GE(*ids.rbegin(), 3000);
}

TEST_P(CoordinatorRequests, AnIdAndItsEpochBelongTogether) {
  start({1, 2, 3});
  new_id(1);
  EXPECT_EQ(static_cast<ErrorCode>(init(1, std::nullopt, 5, -1).error_code), ErrorCode::INVALID_REQUEST);
  const auto refused = init(1, std::nullopt, -1, 5);
  EXPECT_EQ(static_cast<ErrorCode>(refused.error_code), ErrorCode::INVALID_REQUEST);
  EXPECT_EQ(refused.producer_id, -1);
  EXPECT_EQ(refused.producer_epoch, -1);
  // Who has no transactional id gets a new id, whatever it had before.
  EXPECT_NE(init(1, std::nullopt, 5, 3).producer_id, 5);
  EXPECT_EQ(static_cast<ErrorCode>(init(1, "").error_code), ErrorCode::INVALID_REQUEST);
  EXPECT_EQ(static_cast<ErrorCode>(init(1, "t").error_code), ErrorCode::NOT_COORDINATOR);  // no topic yet
}

// An error leaves the epoch -1, as one that is none.
TEST_P(CoordinatorRequests, WhoIsNotTheCoordinatorNamesNoEpoch) {
  start({1, 2, 3});
  ASSERT_TRUE(found_in_time(1, CoordinatorType::transaction, "tx"));
  const int coordinator = find(1, CoordinatorType::transaction, "tx").node_id;
  const auto answer = init(coordinator == 1 ? 2 : 1, "tx");
  EXPECT_EQ(static_cast<ErrorCode>(answer.error_code), ErrorCode::NOT_COORDINATOR);
  EXPECT_EQ(answer.producer_id, -1);
  EXPECT_EQ(answer.producer_epoch, -1);
}

TEST_P(CoordinatorRequests, InternalTopicsAreNotForClients) {
  start({1, 2, 3});
  ASSERT_TRUE(found_in_time(1, CoordinatorType::group, "g"));
  world.run_for(1s);
  for (const int id : {1, 2, 3}) {
    EXPECT_EQ(produce(id, kOffsetsTopic, 0, true), ErrorCode::INVALID_TOPIC_EXCEPTION) << id;
    EXPECT_EQ(produce(id, kOffsetsTopic, 6, true), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) << id;
  }
  std::vector<wire::MetadataRequest::MetadataRequestTopic> names{{.name = kOffsetsTopic}};
  const auto metadata = asker.ask<wire::MetadataResponse>(1, 9, wire::MetadataRequest{.topics = names});
  ASSERT_TRUE(metadata);
  EXPECT_TRUE((*metadata)->topics[0].is_internal);
}

TEST_P(CoordinatorRequests, ACompactedTopicKeepsEverythingAndNeedsKeys) {
  start({1, 2, 3});
  std::vector<std::vector<std::int32_t>> replicas{{1, 2, 3}};
  std::vector<wire::CreateTopicsRequest::CreatableReplicaAssignment> assignments{{.broker_ids = replicas[0]}};
  std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> configs{{.name = "cleanup.policy", .value = "compact"},
                                                                       {.name = "retention.ms", .value = "100"},
                                                                       {.name = "retention.bytes", .value = "10"},
                                                                       {.name = "segment.ms", .value = "100"}};
  std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{{.name = "compacted",
                                                                 .num_partitions = -1,
                                                                 .replication_factor = -1,
                                                                 .assignments = assignments,
                                                                 .configs = configs}};
  const auto made =
      asker.ask<wire::CreateTopicsResponse>(1, 5, wire::CreateTopicsRequest{.topics = topics, .timeout_ms = 5'000});
  ASSERT_TRUE(made);
  ASSERT_EQ((*made)->topics[0].error_code, 0);
  world.run_for(2s);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(produce(1, "compacted", 0, true), ErrorCode::NONE);
    world.run_for(1s);
  }
  EXPECT_EQ(produce(1, "compacted", 0, false), ErrorCode::INVALID_RECORD);
  world.run_for(20s);
  const PartitionKey key{.topic = image(1).topic("compacted")->id, .index = 0};
  for (const int id : {1, 2, 3}) {
    const PartitionPtr replica = cluster.node(index(id))->broker()->replicas().find(key);
    EXPECT_EQ(replica->log().log_start(), Offset(0)) << id;
    EXPECT_EQ(replica->log().log_end(), Offset(5)) << id;
  }
}

TEST_P(CoordinatorRequests, FeaturesReachEveryBroker) {
  start({1, 2, 3});
  EXPECT_EQ(protocol::feature_level(image(3), protocol::kTransactionFeature), 2);
  EXPECT_EQ(protocol::feature_level(image(3), protocol::kGroupFeature), 1);
  EXPECT_EQ(protocol::feature_level(image(3), "no.such.feature"), 0);
  std::vector<wire::UpdateFeaturesRequest::FeatureUpdateKey> updates{
      {.feature = "transaction.version", .max_version_level = 1, .upgrade_type = 2}};
  const auto done = asker.ask<wire::UpdateFeaturesResponse>(
      2, 2, wire::UpdateFeaturesRequest{.feature_updates = updates, .validate_only = false});
  ASSERT_TRUE(done);
  EXPECT_EQ((*done)->error_code, 0);
  world.run_for(1s);
  for (const int id : {1, 2, 3}) EXPECT_EQ(protocol::feature_level(image(id), protocol::kTransactionFeature), 1);
}

INSTANTIATE_TEST_SUITE_P(, CoordinatorRequests, ::testing::Range<std::uint64_t>(1, 4));

}  // namespace
}  // namespace verdict::broker
