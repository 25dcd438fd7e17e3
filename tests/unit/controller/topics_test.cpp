#include <set>

#include "protocol/controller/placement.h"
#include "protocol/controller/topic_rules.h"
#include "tests/unit/controller/harness.h"

namespace verdict::controller {
namespace {

using enum wire::ErrorCode;
using Topic = wire::CreateTopicsRequest::CreatableTopic;

struct CreateTopicsTest : testing::Test {
  CreateTopicsTest() : h({{"num.partitions", "3"}, {"default.replication.factor", "2"}}) { h.start_brokers(3); }
  wire::CreateTopicsResponse::CreatableTopicResult create(Topic topic, bool validate_only = false) {
    std::vector<Topic> topics{topic};
    return h.create_topics({.topics = topics, .validate_only = validate_only}).topics[0];
  }
  void expect_error(Topic topic, wire::ErrorCode expected, std::string_view message) {
    const auto result = create(topic);
    EXPECT_EQ(result.error_code, error(expected)) << topic.name;
    EXPECT_EQ(result.error_message.value_or("none"), message);
  }
  Harness h;
};

TEST_F(CreateTopicsTest, DefaultsComeFromTheConfiguration) {
  const auto result = create({.name = "t", .num_partitions = -1, .replication_factor = -1});
  EXPECT_EQ(result.error_code, 0);
  EXPECT_FALSE(result.error_message.has_value());
  EXPECT_EQ(result.num_partitions, 3);
  EXPECT_EQ(result.replication_factor, 2);
  const auto* topic = h.controller.image().topic("t");
  ASSERT_NE(topic, nullptr);
  EXPECT_EQ(topic->id, result.topic_id);
  ASSERT_EQ(topic->partitions.size(), 3U);
  std::set<NodeId> leaders;
  for (const auto& [index, partition] : topic->partitions) {
    EXPECT_EQ(partition.replicas.size(), 2U);
    EXPECT_EQ(partition.isr, partition.replicas);
    EXPECT_EQ(partition.leader, partition.replicas[0]);
    EXPECT_EQ(partition.leader_epoch, LeaderEpoch(0));
    EXPECT_EQ(partition.directories[0], Harness::directory(partition.replicas[0].value()));
    leaders.insert(partition.leader);
  }
  EXPECT_EQ(leaders.size(), 3U) << "leaderships are spread";
}

TEST_F(CreateTopicsTest, TellsTheConfigurationInForce) {
  std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> configs{{.name = "retention.ms", .value = "1000"}};
  const auto result = create({.name = "t", .num_partitions = 1, .replication_factor = 1, .configs = configs});
  ASSERT_TRUE(result.configs.has_value());
  const auto found =
      std::ranges::find(*result.configs, "retention.ms", &wire::CreateTopicsResponse::CreatableTopicConfigs::name);
  ASSERT_NE(found, result.configs->end());
  EXPECT_EQ(found->value, "1000");
  EXPECT_EQ(found->config_source, 1);
}

TEST_F(CreateTopicsTest, ValidateOnlyWritesNothing) {
  const Offset before = h.end;
  EXPECT_EQ(create({.name = "t", .num_partitions = 1, .replication_factor = 1}, /*validate_only=*/true).error_code, 0);
  EXPECT_EQ(h.end, before);
  EXPECT_EQ(h.controller.image().topic("t"), nullptr);
}

TEST_F(CreateTopicsTest, ErrorsAreKafkas) {
  EXPECT_EQ(create({.name = "a.b", .num_partitions = 1, .replication_factor = 1}).error_code, 0);
  expect_error({.name = "a.b", .num_partitions = 1, .replication_factor = 1}, TOPIC_ALREADY_EXISTS,
               "Topic 'a.b' already exists.");
  expect_error({.name = "a_b", .num_partitions = 1, .replication_factor = 1}, INVALID_TOPIC_EXCEPTION,
               "Topic 'a_b' collides with existing topic: a.b");
  expect_error({.name = "", .num_partitions = 1, .replication_factor = 1}, INVALID_TOPIC_EXCEPTION,
               "Topic name is invalid: the empty string is not allowed");
  expect_error(
      {.name = "a b", .num_partitions = 1, .replication_factor = 1}, INVALID_TOPIC_EXCEPTION,
      "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'");
  expect_error({.name = "..", .num_partitions = 1, .replication_factor = 1}, INVALID_TOPIC_EXCEPTION,
               "Topic name is invalid: '..' is not allowed");
  expect_error({.name = "__cluster_metadata", .num_partitions = 1, .replication_factor = 1}, INVALID_REQUEST,
               "Creation of internal topic __cluster_metadata is prohibited.");
  expect_error({.name = "t", .num_partitions = 0, .replication_factor = 1}, INVALID_PARTITIONS,
               "Number of partitions was set to an invalid non-positive value.");
  expect_error({.name = "t", .num_partitions = 1, .replication_factor = 0}, INVALID_REPLICATION_FACTOR,
               "Replication factor must be larger than 0, or -1 to use the default value.");
  expect_error(
      {.name = "t", .num_partitions = 1, .replication_factor = 4}, INVALID_REPLICATION_FACTOR,
      "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because "
      "only 3 broker(s) are registered.");
  expect_error({.name = "t", .num_partitions = 10'001, .replication_factor = 1}, POLICY_VIOLATION,
               "Excessively large number of partitions per request.");
  EXPECT_EQ(
      bad_topic_name(std::string(250, 'x')).value(),
      "Topic name is invalid: the length of '" + std::string(250, 'x') + "' is longer than the max allowed length 249");
  EXPECT_FALSE(bad_topic_name(std::string(249, 'x')));
}

TEST_F(CreateTopicsTest, ConfigErrorsAreKafkas) {
  const auto with = [&](std::string_view name, std::optional<std::string_view> value, std::string_view message) {
    std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> configs{{.name = name, .value = value}};
    expect_error({.name = "t", .num_partitions = 1, .replication_factor = 1, .configs = configs}, INVALID_CONFIG,
                 message);
  };
  with("nonsense", "1", "Unknown topic config name: nonsense");
  with("retention.ms", std::nullopt, "Null value not supported for topic configs: retention.ms");
  with("retention.ms", "-5", "Invalid value -5 for configuration retention.ms: Value must be at least -1");
  with("segment.bytes", "x", "Invalid value x for configuration segment.bytes: Not a number of type INT");
  with("cleanup.policy", "shred",
       "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete");
}

TEST_F(CreateTopicsTest, ManualAssignmentsAreChecked) {
  using Assignment = wire::CreateTopicsRequest::CreatableReplicaAssignment;
  const auto with = [&](std::vector<std::pair<int, std::vector<std::int32_t>>> given, wire::ErrorCode expected,
                        std::string_view message, std::int32_t partitions = -1, std::int16_t factor = -1) {
    std::vector<Assignment> assignments;
    for (auto& [index, replicas] : given) {
      assignments.push_back({.partition_index = index, .broker_ids = replicas});
    }
    expect_error({.name = "t", .num_partitions = partitions, .replication_factor = factor, .assignments = assignments},
                 expected, message);
  };
  with({{0, {1}}}, INVALID_REQUEST,
       "A manual partition assignment was specified, but replication factor was not set to -1.", -1, 1);
  with({{0, {1}}}, INVALID_REQUEST, "A manual partition assignment was specified, but numPartitions was not set to -1.",
       1);
  with({{0, {}}}, INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes an empty replica list.");
  with({{0, {1, 9}}}, INVALID_REPLICA_ASSIGNMENT,
       "The manual partition assignment includes broker 9, but no such broker is registered.");
  with({{0, {1, 1}}}, INVALID_REPLICA_ASSIGNMENT,
       "The manual partition assignment includes the broker 1 more than once.");
  with({{0, {1}}, {0, {2}}}, INVALID_REPLICA_ASSIGNMENT, "Found multiple manual partition assignments for partition 0");
  with({{0, {1}}, {2, {2}}}, INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence");
  with({{0, {1}}, {1, {1, 2}}}, INVALID_REPLICA_ASSIGNMENT,
       "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with "
       "previous "
       "partitions, which have 1 replica(s).");
  h.let_session_end(1);
  with(
      {{0, {1}}}, INVALID_REPLICA_ASSIGNMENT,
      "All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.");
  const auto key = h.create("fine", {{1, 2}});
  EXPECT_EQ(h.at(key).isr, ids({2})) << "fenced replicas begin outside the ISR";
  EXPECT_EQ(h.at(key).leader, NodeId(2));
}

TEST_F(CreateTopicsTest, DuplicatesInOneRequest) {
  std::vector<Topic> topics{{.name = "t", .num_partitions = 1, .replication_factor = 1},
                            {.name = "t", .num_partitions = 1, .replication_factor = 1}};
  for (const auto& result : h.create_topics({.topics = topics}).topics) {
    EXPECT_EQ(result.error_code, error(INVALID_REQUEST));
    EXPECT_EQ(result.error_message, "Duplicate topic name.");
  }
}

struct DeleteTopicsTest : testing::Test {
  wire::DeleteTopicsResponse remove(std::vector<wire::DeleteTopicsRequest::DeleteTopicState> topics) {
    const wire::DeleteTopicsRequest request{.topics = topics};
    h.step(events_in::DeleteTopics{.token = ++h.token, .version = 6, .request = request});
    h.commit();
    return h.answer<wire::DeleteTopicsResponse>(h.token);
  }
  Harness h;
};

TEST_F(DeleteTopicsTest, ByNameAndById) {
  h.start_brokers(1);
  const auto a = h.create("a", {{1}}, {{"retention.ms", "5"}});
  const auto b = h.create("b", {{1}});
  const auto results = remove({{.name = "a"}, {.name = std::nullopt, .topic_id = b.topic}});
  EXPECT_EQ(results.responses[0].topic_id, a.topic);
  EXPECT_EQ(results.responses[1].name, "b");
  EXPECT_TRUE(h.controller.image().topics().empty());
  EXPECT_EQ(h.controller.image().partition_count(), 0);
  EXPECT_TRUE(h.controller.image().configs({protocol::ConfigResourceType::topic, "a"}).empty());
  const auto again = h.create("a", {{1}});
  EXPECT_NE(again.topic, a.topic);
}

TEST_F(DeleteTopicsTest, ErrorsAreKafkas) {
  h.start_brokers(1);
  const auto a = h.create("a", {{1}});
  const auto code_of = [&](std::vector<wire::DeleteTopicsRequest::DeleteTopicState> topics) {
    return remove(topics).responses[0].error_code;
  };
  EXPECT_EQ(code_of({{.name = "none"}}), error(UNKNOWN_TOPIC_OR_PARTITION));
  EXPECT_EQ(code_of({{.name = std::nullopt, .topic_id = {4, 4}}}), error(UNKNOWN_TOPIC_ID));
  EXPECT_EQ(code_of({{.name = "a", .topic_id = a.topic}}), error(INVALID_REQUEST));
  EXPECT_EQ(code_of({{.name = std::nullopt}}), error(INVALID_REQUEST));
  EXPECT_EQ(code_of({{.name = "a"}, {.name = std::nullopt, .topic_id = a.topic}}), error(INVALID_REQUEST));
  EXPECT_NE(h.controller.image().topic("a"), nullptr);
}

TEST(DeleteTopics, CanBeSwitchedOff) {
  Harness h({{"delete.topic.enable", "false"}});
  h.start_brokers(1);
  h.create("a", {{1}});
  std::vector<wire::DeleteTopicsRequest::DeleteTopicState> topics{{.name = "a"}};
  const wire::DeleteTopicsRequest request{.topics = topics};
  h.step(events_in::DeleteTopics{.token = 500, .version = 6, .request = request});
  h.commit();
  EXPECT_EQ(h.answer<wire::DeleteTopicsResponse>(500).responses[0].error_code, error(TOPIC_DELETION_DISABLED));
}

protocol::MetadataImage brokers(std::initializer_list<std::pair<bool, const char*>> fenced_and_rack) {
  protocol::MetadataImage image;
  std::int32_t id = 0;
  for (const auto& [fenced, rack] : fenced_and_rack) {
    ++id;
    EXPECT_TRUE(image.apply(
        protocol::records::RegisterBroker{
            .broker = NodeId(id), .epoch = BrokerEpoch(id), .rack = std::string(rack), .fenced = fenced},
        Offset(id)));
  }
  return image;
}

TEST(Placement, LeadersAreUnfencedAndReplicasDistinct) {
  const auto image = brokers({{true, ""}, {false, ""}, {false, ""}, {true, ""}});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto placed = place_replicas(image, 20, 3, seed);
    ASSERT_TRUE(placed);
    for (const NodeIds& replicas : *placed) {
      EXPECT_FALSE(image.broker(replicas[0])->fenced);
      EXPECT_FALSE(image.broker(replicas[1])->fenced) << "fenced brokers come last";
      EXPECT_EQ(std::set(replicas.begin(), replicas.end()).size(), 3U);
    }
  }
}

TEST(Placement, RacksRepeatOnlyWhenAllWereUsed) {
  const auto image = brokers({{false, "a"}, {false, "a"}, {false, "b"}, {false, "b"}, {false, "c"}});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto placed = place_replicas(image, 20, 3, seed);
    ASSERT_TRUE(placed);
    for (const NodeIds& replicas : *placed) {
      std::set<std::string> racks;
      for (const NodeId id : replicas) {
        racks.insert(*image.broker(id)->rack);
      }
      EXPECT_EQ(racks.size(), 3U);
    }
  }
}

TEST(Placement, NeedsAnUnfencedBroker) {
  EXPECT_EQ(place_replicas(brokers({{true, ""}}), 1, 1, 0).error(), "All brokers are currently fenced.");
}

}  // namespace
}  // namespace verdict::controller
