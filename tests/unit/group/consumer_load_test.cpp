#include "protocol/group/records.h"
#include "protocol/group/topic_hash.h"
#include "tests/unit/group/consumer_harness.h"
#include "tests/unit/storage/kafka_log.h"

// What a coordinator knows of consumer groups after it loaded their records, and what their members see of it.
namespace verdict::group {
namespace {

using enum ErrorCode;

struct ConsumerLoad : ::testing::Test {
  Topics topics;
};

// A log that Apache Kafka 4.1 wrote: "a", a static member of the topics orders and one, and "b" with a regular
// expression join; a gives up a partition and leaves for a while, b for good.
std::vector<LogRecord> golden() {
  return storage::testing::records_of<LogRecord>(std::string(VERDICT_SOURCE_DIR) +
                                                 "/tests/data/consumer-group/00000000000000000000.log");
}
constexpr std::int64_t kGoldenHash = -7851306945350434258;

TEST(ConsumerRecords, AreByteForByteWhatKafkaWrites) {
  const auto records = golden();
  ASSERT_EQ(records.size(), 20U);
  std::size_t same = 0;
  for (const LogRecord& record : records) {
    const auto read =
        read_record(record.key, record.value ? std::optional<std::span<const std::byte>>(*record.value) : std::nullopt);
    ASSERT_TRUE(read.has_value()) << read.error();
    const auto& consumer = std::get<ConsumerRecord>(*read);
    const LogRecord again = consumer_record(consumer.group, consumer.change);
    EXPECT_EQ(again.key, record.key);
    ASSERT_EQ(again.value.has_value(), record.value.has_value());
    if (record.value) {
      EXPECT_EQ(again.value->size(), record.value->size());
    }
    same += again == record ? 1U : 0U;
  }
  EXPECT_EQ(same, 14U);  // in the others Kafka has the two topics in the order of a hash table
}

TEST(ConsumerRecords, OfKafkasLogAreUnderstood) {
  Topics topics;
  std::vector<Logged> log;
  for (LogRecord& record : golden()) {
    log.push_back({.record = std::move(record)});
  }
  ConsumerHarness h(topics, {}, log);
  const auto& group = h.consumers("golden");
  EXPECT_EQ(group.group_state, "Assigning");
  EXPECT_EQ(group.group_epoch, 3);
  EXPECT_EQ(group.assignment_epoch, 2);
  ASSERT_EQ(group.members.size(), 1U);
  EXPECT_EQ(group.members[0].member_id, "a");
  EXPECT_EQ(group.members[0].instance_id, "i");
  EXPECT_EQ(group.members[0].rack_id, "r");
  EXPECT_EQ(group.members[0].member_epoch, -2);
  EXPECT_EQ(group.members[0].subscribed_topic_names.size(), 2U);
}

TEST(ConsumerRecords, HashTopicsAsKafkaDoes) {
  protocol::MetadataImage image;
  const auto apply = [&](const protocol::MetadataRecord& record) {
    ASSERT_TRUE(image.apply(record, image.applied_to()).has_value());
  };
  apply(protocol::records::RegisterBroker{.broker = NodeId(1), .epoch = BrokerEpoch(1), .rack = "rack-a"});
  for (const auto& [name, id, partitions] :
       {std::tuple("orders", "X8uAm-EsRJWH2YC0o7oOlw", 2), std::tuple("one", "yUDr-gLUQVac2LoNTfJ51w", 1)}) {
    apply(protocol::records::Topic{.name = name, .id = *Uuid::parse(id)});
    for (std::int32_t i = 0; i < partitions; ++i) {
      apply(protocol::records::Partition{
          .key = {.topic = *Uuid::parse(id), .index = i}, .replicas = {NodeId(1)}, .isr = {NodeId(1)}});
    }
  }
  EXPECT_EQ(metadata_hash({{"one", {}}, {"orders", {}}}, image), kGoldenHash);
  EXPECT_EQ(metadata_hash({{"one", {}}, {"nothing", {}}, {"orders", {}}}, image), kGoldenHash);
  EXPECT_NE(metadata_hash({{"orders", {}}}, image), kGoldenHash);
  EXPECT_EQ(metadata_hash({{"nothing", {}}}, image), 0);
}

TEST_F(ConsumerLoad, WhatWasWrittenIsKnown) {
  topics.create("t", 3);
  topics.create("ux", 2);
  ConsumerHarness first(topics);
  first.join("a", {"t"}, {.instance = "i", .assignor = "range"});
  first.join("b", {}, {.regex = "u."});
  first.join("c", {"t"});
  first.beat({.member = "a", .epoch = 1});
  first.commit("t", 0, 3, {.member = "c", .generation = 3});
  first.join("d", {"t"}, {.group = "h"});
  first.beat({.member = "d", .epoch = -1, .group = "h"});
  ConsumerHarness second(topics, {}, first.log);
  for (const std::string group : {"g", "h"}) {
    EXPECT_EQ(second.seen(group), first.seen(group));
  }
  EXPECT_EQ(second.list(), first.list());
  EXPECT_EQ(second.fetch("t", 0).offset, 3);
  EXPECT_EQ(second.consumers().assignor_name, "range");
  EXPECT_EQ(second.join("x", {"t"}, {.instance = "i"}).error, UNRELEASED_INSTANCE_ID);
  // Each goes on from where it was.
  Consumer a{.id = "a", .topics = {"t"}, .epoch = 1, .owned = {{"t", {0}}}};
  EXPECT_EQ(a.beat(second), NONE);
  second.wait(44'999);
  EXPECT_EQ(a.beat(second), NONE);
  second.wait(1);
  EXPECT_EQ(second.consumers().members.size(), 1U);
}

TEST_F(ConsumerLoad, WhoWasToGiveUpHasItsTimeAnew) {
  topics.create("t", 2);
  ConsumerHarness first(topics);
  first.join("a", {"t"}, {.rebalance_ms = 20'000});
  first.join("b", {"t"});
  first.beat({.member = "a", .epoch = 1});
  ConsumerHarness second(topics, {}, first.log);
  second.wait(19'999);
  EXPECT_EQ(second.beat({.member = "a", .epoch = 1}).error, NONE);
  second.wait(1);
  EXPECT_EQ(second.beat({.member = "a", .epoch = 1}).error, UNKNOWN_MEMBER_ID);
}

TEST_F(ConsumerLoad, TombstonesTakeGroupsAway) {
  topics.create("t", 1);
  ConsumerHarness first(topics);
  first.join("a", {"t"});
  first.go("a");
  first.delete_group();
  ConsumerHarness second(topics, {}, first.log);
  EXPECT_EQ(second.list(), std::vector<std::string>{});
  // Compaction leaves the tombstones of what is gone from the log.
  std::vector<Logged> rest(first.log.end() - 6, first.log.end());
  ConsumerHarness third(topics, {}, rest);
  EXPECT_EQ(third.list(), std::vector<std::string>{});
}

// Of a partition that went from a to b compaction left a's first record and not its second: b has it, whatever a's
// last record then takes away.
TEST_F(ConsumerLoad, TheLaterRecordOwnsAPartition) {
  topics.create("t", 1);
  const Uuid t = topics.id("t");
  const auto current = [&](std::string member, std::int32_t epoch, Assignment assigned) {
    return Logged{
        .record = consumer_record(
            "g", changes::Current{.member = std::move(member),
                                  .value = MemberAssignment{.epoch = epoch, .assigned = std::move(assigned)}})};
  };
  const std::vector<Logged> log = {
      {.record = consumer_record("g", changes::Epoch{{{.epoch = 3, .metadata_hash = 1}}})},
      {.record = consumer_record("g", changes::TargetEpoch{3})},
      {.record = consumer_record("g", changes::Metadata{.member = "a", .value = MemberMetadata{.topics = {"t"}}})},
      {.record = consumer_record("g", changes::Metadata{.member = "b", .value = MemberMetadata{.topics = {"t"}}})},
      {.record = consumer_record("g", changes::Target{.member = "b", .value = Assignment{{t, {0}}}})},
      current("a", 1, {{t, {0}}}),
      current("b", 3, {{t, {0}}}),
      current("a", 3, {})};
  ConsumerHarness h(topics, {}, log);
  EXPECT_EQ(h.seen(), "Stable 3/3 a@3 | b@3 t[0]");
  h.join("c", {"t"});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 3, .owned = Named{}}).assignment.value_or(Named{}), Named{});
}

TEST_F(ConsumerLoad, ARecordThatCannotBeReadStopsTheLoad) {
  const LogRecord good = consumer_record("g", changes::Epoch{{{.epoch = 3, .metadata_hash = 1}}});
  const auto load = [&](LogRecord record) {
    GroupCoordinator machine({}, nullptr);
    const auto done = machine.replay(
        record.key, record.value ? std::optional<std::span<const std::byte>>(*record.value) : std::nullopt, 0,
        std::nullopt);
    return done ? std::string() : done.error();
  };
  EXPECT_EQ(load(good), "");
  LogRecord broken = good;
  broken.value->pop_back();
  EXPECT_EQ(load(broken), "ConsumerGroupMetadataValue: a malformed value of version 0");
  broken = good;
  broken.value->at(1) = std::byte{1};
  EXPECT_EQ(load(broken), "ConsumerGroupMetadataValue: version 1 is unknown");
  broken = good;
  broken.key.pop_back();
  EXPECT_EQ(load(broken), "ConsumerGroupMetadataKey: a malformed key");
  broken = good;
  broken.value->resize(1);
  EXPECT_EQ(load(broken), "ConsumerGroupMetadataValue: a value of 1 bytes has no version");
}

// A state that a later version may have: the member has to begin anew.
TEST_F(ConsumerLoad, AnUnknownStateIsFenced) {
  topics.create("t", 1);
  ConsumerHarness first(topics);
  first.join("a", {"t"});
  first.log.push_back({.record = consumer_record(
                           "g", changes::Current{.member = "a",
                                                 .value = MemberAssignment{
                                                     .epoch = 1, .previous_epoch = 1, .state = MemberState{9}}})});
  ConsumerHarness second(topics, {}, first.log);
  EXPECT_EQ(second.beat({.member = "a", .epoch = 1}).error, FENCED_MEMBER_EPOCH);
  EXPECT_EQ(second.beat({.member = "a", .epoch = 1, .owned = Named{}}).assignment, (Named{{"t", {0}}}));
}

// A topic's metadata as Kafka before 4.1 kept it is taken away when the group's epoch has its hash.
TEST_F(ConsumerLoad, OlderPartitionMetadataGoes) {
  topics.create("t", 1);
  ConsumerHarness first(topics);
  first.join("a", {"t"});
  std::vector<std::byte> key = consumer_record("g", changes::PartitionMetadata{}).key;
  first.log.push_back({.record = {.key = key, .value = std::vector<std::byte>{{}, {}, std::byte{1}, {}}}});
  ConsumerHarness second(topics, {}, first.log);
  const std::size_t before = second.log.size();
  EXPECT_EQ(second.beat({.member = "a", .epoch = 1}).error, NONE);
  EXPECT_EQ(second.written(before), "4-");
}

}  // namespace
}  // namespace verdict::group
