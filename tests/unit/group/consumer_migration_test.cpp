#include "protocol/group/consumer_protocol.h"
#include "protocol/group/record_codec.h"
#include "protocol/wire/gen/data_records.h"
#include "tests/unit/group/consumer_harness.h"

// Classic groups that become consumer groups, and back; classic members in between.
namespace verdict::group {
namespace {

using enum ErrorCode;

struct Migrations : ::testing::Test {
  Topics topics;

  std::string assignment(const std::vector<std::pair<std::string, std::set<std::int32_t>>>& partitions) {
    Assignment out;
    for (const auto& [topic, indexes] : partitions) {
      out[topics.id(topic)] = indexes;
    }
    return text_of(write_assignment(out, 0, &topics.image));
  }
  std::string mine(ConsumerHarness& h, Token sync) {
    const auto read = read_assignment(h.synced(sync).assignment, &topics.image);
    std::string out;
    for (const auto& [id, indexes] : read ? read->partitions : Assignment{}) {
      out += topics.image.topic(id)->name + "[" + ConsumerHarness::joined_text(indexes) + "]";
    }
    return out;
  }
  static Joiner consumer(std::vector<std::string> of = {"t"}) {
    return {.member = "", .protocols = {{"range", subscription(of)}}};
  }
  // A stable classic group of one member, which has all of t.
  std::string classic(ConsumerHarness& h, Joiner who = consumer()) {
    Token joined = who.instance ? h.join(who) : h.join_new(who);
    h.wait(3'000);
    const std::string id(h.joined(joined).member_id);
    const std::string all = assignment({{"t", {0, 1}}});
    h.sync({.member = id, .assignments = {{id, all}}, .instance = who.instance});
    EXPECT_EQ(h.state(), "Stable");
    return id;
  }
  static Joiner again(const std::string& id, std::vector<std::string> of = {"t"}) {
    Joiner who = consumer(std::move(of));
    who.member = id;
    return who;
  }
};

TEST_F(Migrations, AClassicGroupBecomesAConsumerGroupAndBack) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  const std::string c = classic(h);
  h.commit("t", 0, 5, {.member = c, .generation = 1});
  const std::size_t before = h.log.size();
  const Beaten joined = h.join("n", {"t"});
  EXPECT_EQ(joined.error, NONE);
  EXPECT_EQ(joined.epoch, 2);
  EXPECT_EQ(joined.assignment, Named{});
  EXPECT_EQ(h.written(before), "2- 5 3 7 6 8 5 3 7 7 6 8");
  EXPECT_EQ(h.fetch("t", 0).offset, 5);
  EXPECT_EQ(h.seen(), "Reconciling 2/2 " + c + "@1 t[0,1] | n@2");

  // The classic member joins again. It is of the eager kind, which owns nothing when it joins.
  EXPECT_EQ(h.heartbeat(c), REBALANCE_IN_PROGRESS);
  Token join = h.join(again(c));
  EXPECT_EQ(h.joined(join).error_code, 0);
  EXPECT_EQ(h.joined(join).generation_id, 2);
  EXPECT_EQ(h.joined(join).protocol_name, "range");
  EXPECT_EQ(mine(h, h.sync({.member = c, .generation = 2})).size(), 4U);
  EXPECT_EQ(h.heartbeat(c, 2), NONE);
  EXPECT_EQ(h.beat({.member = "n", .epoch = 2}).assignment.value_or(Named{})["t"].size(), 1U);
  EXPECT_EQ(std::string(h.consumers().group_state), "Stable");
  EXPECT_EQ(h.consumers().members[0].member_type, 0);
  EXPECT_EQ(h.commit("t", 0, 6, {.member = c, .generation = 1}), ILLEGAL_GENERATION);
  EXPECT_EQ(h.commit("t", 0, 6, {.member = c, .generation = 2, .version = 8}), NONE);

  // The last of its kind goes: a classic group again, that rebalances.
  EXPECT_EQ(h.go("n"), NONE);
  EXPECT_EQ(h.state(), "PreparingRebalance");
  EXPECT_EQ(h.heartbeat(c, 2), REBALANCE_IN_PROGRESS);
  join = h.join(again(c));
  EXPECT_EQ(h.joined(join).error_code, 0);
  EXPECT_EQ(h.joined(join).generation_id, 3);
  EXPECT_EQ(h.joined(join).leader, c);
  ConsumerHarness second(topics, {}, h.log);
  EXPECT_EQ(second.list(), (std::vector<std::string>{"g:consumer:Stable:classic"}));
  EXPECT_EQ(second.fetch("t", 0).offset, 6);
}

// One of the cooperative kind says what it owns, and joins once more when it has given up the rest.
TEST_F(Migrations, ACooperativeMemberGivesUpFirst) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  const std::string c = classic(h);
  h.join("n", {"t"});
  const auto owning = [&](std::set<std::int32_t> partitions) {
    wire::ConsumerProtocolSubscription said;
    std::vector<std::string_view> of = {"t"};
    std::vector<std::int32_t> list(partitions.begin(), partitions.end());
    wire::ConsumerProtocolSubscription::TopicPartition owned{.topic = "t", .partitions = list};
    said.topics = of;
    said.user_data = std::nullopt;
    said.owned_partitions = std::span(&owned, 1);
    Joiner who = again(c);
    who.protocols[0].second = text_of(encoded(said, 1, 1));
    return who;
  };
  Token join = h.join(owning({0, 1}));
  EXPECT_EQ(h.joined(join).generation_id, 1);
  const std::string kept = mine(h, h.sync({.member = c, .generation = 1}));
  ASSERT_EQ(kept.size(), 4U) << kept;
  EXPECT_EQ(h.beat({.member = "n", .epoch = 2}).assignment, std::nullopt);
  EXPECT_EQ(h.heartbeat(c), REBALANCE_IN_PROGRESS);
  join = h.join(owning({kept[2] - '0'}));
  EXPECT_EQ(h.joined(join).generation_id, 2);
  EXPECT_EQ(mine(h, h.sync({.member = c, .generation = 2})), kept);
  EXPECT_EQ(h.heartbeat(c, 2), NONE);
  EXPECT_EQ(h.beat({.member = "n", .epoch = 2}).assignment.value_or(Named{})["t"].size(), 1U);
}

TEST_F(Migrations, EmptyGroupsChangeTheirTypeAtOnce) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  h.join("a", {"t"});
  h.commit("t", 0, 1, {.member = "a", .generation = 1});
  h.go("a");
  EXPECT_EQ(h.joined(h.join(again("nobody"))).error_code, code(UNKNOWN_MEMBER_ID));
  EXPECT_EQ(h.seen(), "Empty 2/1");
  std::string id;
  h.join_new(consumer(), &id);
  EXPECT_EQ(h.list(), (std::vector<std::string>{"g:consumer:PreparingRebalance:classic"}));
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  h.wait(3'000);
  EXPECT_EQ(h.leave({{id}}), (std::vector<std::int16_t>{0, 0}));
  EXPECT_EQ(h.state(), "Empty");
  EXPECT_EQ(h.join("b", {"t"}).epoch, 1);
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  ConsumerHarness second(topics, {}, h.log);
  EXPECT_EQ(second.seen(), h.seen());
}

TEST_F(Migrations, APolicyMayForbidThem) {
  topics.create("t", 2);
  GroupCoordinator::Options options;
  options.consumer_upgrade = false;
  ConsumerHarness h(topics, options);
  classic(h);
  const Beaten refused = h.join("n", {"t"});
  EXPECT_EQ(refused.error, GROUP_ID_NOT_FOUND);
  EXPECT_EQ(refused.message, "Cannot upgrade classic group g to consumer group because online upgrade is disabled.");
  EXPECT_EQ(h.state(), "Stable");

  options.consumer_upgrade = true;
  options.consumer_downgrade = false;
  ConsumerHarness second(topics, options, h.log);
  EXPECT_EQ(second.join("n", {"t"}).error, NONE);
  EXPECT_EQ(second.go("n"), NONE);
  EXPECT_EQ(second.consumers().members.size(), 1U);
}

TEST_F(Migrations, OnlyConsumersThatSpeakPlainlyAreTaken) {
  topics.create("t", 2);
  ConsumerHarness connect(topics);
  Joiner who = consumer();
  who.type = "connect";
  connect.join_new(who);
  EXPECT_EQ(connect.join("n", {"t"}).error, GROUP_ID_NOT_FOUND);

  ConsumerHarness garbled(topics);
  garbled.stable(1, {.member = "", .protocols = {{"range", "?"}}});
  EXPECT_EQ(garbled.join("n", {"t"}).message,
            "Cannot upgrade classic group g to consumer group because the embedded consumer protocol is malformed.");

  ConsumerHarness custom(topics);
  const Token joined = custom.join_new(consumer());
  custom.wait(3'000);
  const std::string id(custom.joined(joined).member_id);
  std::string with_data = assignment({{"t", {0}}});
  with_data.resize(with_data.size() - 4);
  with_data += std::string("\0\0\0\1x", 5);
  custom.sync({.member = id, .assignments = {{id, with_data}}});
  EXPECT_EQ(custom.join("n", {"t"}).error, GROUP_ID_NOT_FOUND);

  GroupCoordinator::Options small;
  small.consumer_max_size = 1;
  ConsumerHarness full(topics, small);
  classic(full);
  EXPECT_EQ(full.join("n", {"t"}).error, GROUP_MAX_SIZE_REACHED);
  EXPECT_EQ(full.state(), "Stable");
}

TEST_F(Migrations, AnUpgradeEndsARebalance) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  const std::string c = classic(h);
  std::string d;
  const Token waits = h.join_new(consumer(), &d);
  EXPECT_FALSE(h.answered(waits));
  EXPECT_EQ(h.join("n", {"t"}).error, NONE);
  EXPECT_EQ(h.joined(waits).error_code, code(REBALANCE_IN_PROGRESS));
  EXPECT_EQ(h.consumers().members.size(), 3U);

  // Also the first, when no protocol was chosen yet.
  ConsumerHarness early(topics);
  std::string first;
  const Token waiting = early.join_new(consumer(), &first);
  EXPECT_EQ(early.join("n", {"t"}).epoch, 1);
  EXPECT_EQ(early.joined(waiting).error_code, code(REBALANCE_IN_PROGRESS));
  EXPECT_EQ(early.joined(early.join(again(first))).generation_id, 1);
  EXPECT_EQ(early.consumers().members.size(), 2U);
}

TEST_F(Migrations, ClassicMembersAreHeldToTheirTimes) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  const std::string c = classic(h);
  h.join("n", {"t"});
  h.wait(9'999);
  EXPECT_EQ(h.heartbeat(c), REBALANCE_IN_PROGRESS);  // the session that it asked for: 10 s
  h.wait(10'000);
  EXPECT_EQ(h.heartbeat(c), UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.beat({.member = "n", .epoch = 2}).assignment, (Named{{"t", {0, 1}}}));

  std::string id;
  const Token join = h.join_new(consumer(), &id);
  EXPECT_EQ(h.joined(join).generation_id, 4);
  Consumer n{.id = "n", .topics = {"t"}, .epoch = 3, .owned = {{"t", {0, 1}}}};
  for (int i = 0; i < 7; ++i) {  // it lives, but does not sync
    EXPECT_EQ(n.beat(h), NONE);
    h.heartbeat(id, 4);
    h.wait(9'000);
  }
  EXPECT_EQ(h.heartbeat(id, 4), UNKNOWN_MEMBER_ID);
}

TEST_F(Migrations, ClassicMembersAreCheckedAsOthers) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  const std::string c = classic(h);
  h.join("n", {"t"});
  Joiner who = consumer();
  who.type = "connect";
  EXPECT_EQ(h.joined(h.join(who)).error_code, code(INCONSISTENT_GROUP_PROTOCOL));
  who = consumer();
  who.protocols[0].first = "sticky";
  EXPECT_EQ(h.joined(h.join(who)).error_code, code(INCONSISTENT_GROUP_PROTOCOL));
  EXPECT_EQ(h.heartbeat("n", 2), UNKNOWN_MEMBER_ID);  // that one is no classic member
  EXPECT_EQ(h.heartbeat("x"), UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.heartbeat(c, 2), ILLEGAL_GENERATION);
  EXPECT_EQ(h.synced(h.sync({.member = c, .generation = 1, .protocol = "sticky"})).error_code,
            code(INCONSISTENT_GROUP_PROTOCOL));
  EXPECT_EQ(h.synced(h.sync({.member = c, .generation = 1})).error_code, code(REBALANCE_IN_PROGRESS));
  EXPECT_EQ(h.synced(h.sync({.member = c, .generation = 7})).error_code, code(ILLEGAL_GENERATION));
  EXPECT_EQ(h.leave({{"x"}, {c}, {"n"}}), (std::vector<std::int16_t>{0, code(UNKNOWN_MEMBER_ID), 0, 0}));
  EXPECT_EQ(std::string(h.consumers().group_state), "Empty");
}

TEST_F(Migrations, AStaticMemberGoesFromOneProtocolToTheOther) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  Joiner who = consumer();
  who.instance = "i";
  const std::string c = classic(h, who);
  const Beaten upgraded = h.join("n", {"t"}, {.instance = "i"});
  EXPECT_EQ(upgraded.error, NONE);
  EXPECT_EQ(upgraded.assignment, (Named{{"t", {0, 1}}}));
  EXPECT_EQ(h.heartbeat(c, 1, "i"), FENCED_INSTANCE_ID);
  EXPECT_EQ(h.consumers().members.size(), 1U);

  // The other way: the only member is a classic one again, and so is the group.
  const Token join = h.join(who);
  EXPECT_EQ(h.joined(join).error_code, 0);
  EXPECT_EQ(h.state(), "Stable");
  const std::string id(h.joined(join).member_id);
  EXPECT_EQ(h.heartbeat(id, h.joined(join).generation_id, "i"), NONE);
  EXPECT_EQ(mine(h, h.sync({.member = id, .generation = h.joined(join).generation_id, .instance = "i"})), "t[0,1]");
  ConsumerHarness second(topics, {}, h.log);
  EXPECT_EQ(second.list(), h.list());
}

}  // namespace
}  // namespace verdict::group
