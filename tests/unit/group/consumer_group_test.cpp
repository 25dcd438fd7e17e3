#include "tests/unit/group/consumer_harness.h"

// Members of the consumer protocol: what they are told, and when.
namespace verdict::group {
namespace {

using enum ErrorCode;

struct ConsumerGroups : ::testing::Test {
  Topics topics;
};

TEST_F(ConsumerGroups, OneMembersLife) {
  topics.create("t", 3);
  ConsumerHarness h(topics);
  const Beaten joined = h.join("m", {"t"});
  EXPECT_EQ(joined.error, NONE);
  EXPECT_EQ(joined.member, "m");
  EXPECT_EQ(joined.epoch, 1);
  EXPECT_EQ(joined.assignment, (Named{{"t", {0, 1, 2}}}));
  EXPECT_EQ(h.written(0), "5 3 7 6 8");
  EXPECT_EQ(h.seen(), "Stable 1/1 m@1 t[0,1,2]");
  EXPECT_EQ(h.list(), (std::vector<std::string>{"g:consumer:Stable:consumer"}));

  const Beaten again = h.beat({.member = "m", .epoch = 1});
  EXPECT_EQ(again.error, NONE);
  EXPECT_EQ(again.epoch, 1);
  EXPECT_EQ(again.assignment, std::nullopt);
  EXPECT_EQ(h.log.size(), 5U);

  const Beaten left = h.beat({.member = "m", .epoch = -1});
  EXPECT_EQ(left.error, NONE);
  EXPECT_EQ(left.epoch, -1);
  EXPECT_EQ(h.written(5), "8- 7- 5- 3");
  EXPECT_EQ(h.seen(), "Empty 2/1");
  EXPECT_EQ(h.delete_group(), NONE);
  EXPECT_EQ(h.written(9), "6- 4- 3-");
  EXPECT_EQ(h.seen(), "Group g not found.");
}

TEST_F(ConsumerGroups, APartitionGoesOnWhenItsOwnerHasGivenItUp) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  h.join("a", {"t"});
  const Beaten b = h.join("b", {"t"});
  EXPECT_EQ(b.epoch, 2);
  EXPECT_EQ(b.assignment, Named{});  // both are a's
  EXPECT_EQ(h.seen(), "Reconciling 2/2 a@1 t[0,1] | b@2");

  const Beaten told = h.beat({.member = "a", .epoch = 1});
  EXPECT_EQ(told.epoch, 1);  // until it has given up the other
  ASSERT_TRUE(told.assignment.has_value());
  ASSERT_EQ(told.assignment.value_or(Named{})["t"].size(), 1U);
  EXPECT_EQ(h.beat({.member = "b", .epoch = 2}).assignment, std::nullopt);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .owned = Named{{"t", {0, 1}}}}).epoch, 1);  // it still has both
  EXPECT_EQ(h.beat({.member = "b", .epoch = 2}).assignment, std::nullopt);

  const Beaten given_up = h.beat({.member = "a", .epoch = 1, .owned = *told.assignment});
  EXPECT_EQ(given_up.epoch, 2);
  const Beaten got = h.beat({.member = "b", .epoch = 2});
  ASSERT_TRUE(got.assignment.has_value());
  EXPECT_EQ(got.assignment.value_or(Named{})["t"].size(), 1U);
  EXPECT_NE(*got.assignment, *told.assignment);
  EXPECT_EQ(std::string(h.consumers().group_state), "Stable");
}

TEST_F(ConsumerGroups, AnOlderEpochIsTakenOnceIfNothingElseIsOwned) {
  topics.create("t", 1);
  topics.create("u", 1);
  ConsumerHarness h(topics);
  h.join("a", {"t"});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .topics = {{"t", "u"}}, .owned = Named{{"t", {0}}}}).epoch, 2);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).error, FENCED_MEMBER_EPOCH);  // says not what it owns
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .owned = Named{{"t", {0}}}}).epoch, 2);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .owned = Named{{"t", {0, 1}}}}).error, FENCED_MEMBER_EPOCH);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 3}).error, FENCED_MEMBER_EPOCH);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 0, .topics = {{"t"}}, .owned = Named{}}).error, FENCED_MEMBER_EPOCH);
  EXPECT_EQ(h.beat({.member = "b", .epoch = 1}).error, UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .group = "h"}).error, GROUP_ID_NOT_FOUND);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .group = "h"}).message, "Consumer group h not found.");
  EXPECT_EQ(h.go("b"), UNKNOWN_MEMBER_ID);
}

TEST_F(ConsumerGroups, AStaticMemberLeavesForAWhile) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  h.join("a", {"t"}, {.instance = "i"});
  EXPECT_EQ(h.join("b", {"t"}, {.instance = "i"}).error, UNRELEASED_INSTANCE_ID);
  EXPECT_EQ(h.beat({.member = "b", .epoch = 1, .instance = "i"}).error, FENCED_INSTANCE_ID);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .instance = "j"}).error, UNKNOWN_MEMBER_ID);
  const Beaten left = h.beat({.member = "a", .epoch = -2, .instance = "i"});
  EXPECT_EQ(left.error, NONE);
  EXPECT_EQ(left.epoch, -2);
  EXPECT_EQ(h.seen(), "Reconciling 1/1 a@-2 t[0,1]");
  const Beaten back = h.join("b", {"t"}, {.instance = "i"});
  EXPECT_EQ(back.error, NONE);
  EXPECT_EQ(back.epoch, 1);
  EXPECT_EQ(back.assignment, (Named{{"t", {0, 1}}}));
  EXPECT_EQ(h.seen(), "Stable 1/1 b@1 t[0,1]");
  EXPECT_EQ(h.go("b", -2, "i"), NONE);
  h.wait(45'000);
  EXPECT_EQ(h.seen(), "Empty 2/1");
}

TEST_F(ConsumerGroups, SilenceAndSlownessEndAMembership) {
  topics.create("t", 2);
  ConsumerHarness h(topics);
  h.join("a", {"t"}, {.rebalance_ms = 100'000});
  h.wait(44'999);
  h.join("b", {"t"});
  EXPECT_EQ(h.seen(), "Reconciling 2/2 a@1 t[0,1] | b@2");
  h.wait(1);
  EXPECT_EQ(h.seen(), "Assigning 3/2 b@2");
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).error, UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.beat({.member = "b", .epoch = 2}).assignment, (Named{{"t", {0, 1}}}));

  h.join("c", {"t"});
  for (int i = 0; i < 2; ++i) {  // b lives, and gives up nothing
    EXPECT_EQ(h.beat({.member = "b", .epoch = 3}).error, NONE);
    EXPECT_EQ(h.beat({.member = "c", .epoch = 4}).error, NONE);
    h.wait(30'000);
  }
  EXPECT_EQ(h.beat({.member = "b", .epoch = 3}).error, UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.beat({.member = "c", .epoch = 4}).assignment, (Named{{"t", {0, 1}}}));
}

TEST_F(ConsumerGroups, HaveALimit) {
  topics.create("t", 2);
  GroupCoordinator::Options options;
  options.consumer_max_size = 1;
  ConsumerHarness h(topics, options);
  EXPECT_EQ(h.join("a", {"t"}).error, NONE);
  EXPECT_EQ(h.join("b", {"t"}).error, GROUP_MAX_SIZE_REACHED);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).error, NONE);
}

TEST_F(ConsumerGroups, FollowTheirTopics) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  EXPECT_EQ(h.join("a", {"t", "u"}).assignment, (Named{{"t", {0}}}));
  topics.create("u", 2);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).epoch, 1);  // it was not told yet
  h.topics_changed({"u"}, true);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).assignment, (Named{{"t", {0}}, {"u", {0, 1}}}));
  topics.add("t", 1);
  h.topics_changed({"t"});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2}).assignment, (Named{{"t", {0, 1}}, {"u", {0, 1}}}));
  topics.remove("t");
  h.topics_changed({"t"});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 3}).assignment, (Named{{"u", {0, 1}}}));
  h.topics_changed({"other"});
  h.topics_changed({"u"});  // a new leader
  EXPECT_EQ(h.beat({.member = "a", .epoch = 3, .owned = Named{{"u", {0, 1}}}}).epoch, 4);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 4}).epoch, 4);
}

TEST_F(ConsumerGroups, ASubscriptionMayChange) {
  topics.create("t", 1);
  topics.create("u", 1);
  ConsumerHarness h(topics);
  h.join("a", {"t"});
  h.join("b", {"u"});
  h.beat({.member = "a", .epoch = 1});
  EXPECT_EQ(h.seen(), "Stable 2/2 a@2 t[0] | b@2 u[0]");
  EXPECT_EQ(h.beat({.member = "b", .epoch = 2, .topics = {{}}, .owned = Named{}}).assignment, Named{});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2, .topics = {{"u"}}, .owned = Named{}}).assignment, (Named{{"u", {0}}}));
  EXPECT_EQ(h.beat({.member = "b", .epoch = 3, .assignor = "range"}).epoch, 4);
  EXPECT_EQ(h.consumers().assignor_name, "range");
}

TEST_F(ConsumerGroups, ARegularExpressionIsResolvedBehindTheHeartbeat) {
  topics.create("ab", 1);
  topics.create("cab", 1);
  ConsumerHarness h(topics);
  const Beaten bad = h.join("a", {}, {.regex = "a(b"});
  EXPECT_EQ(bad.error, INVALID_REGULAR_EXPRESSION);
  EXPECT_EQ(h.log.size(), 0U);
  EXPECT_EQ(h.join("a", {}, {.regex = "a.*"}).assignment, Named{});
  EXPECT_EQ(h.written(0), "5 3 7 6 8 16 3");
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).assignment, (Named{{"ab", {0}}}));  // the whole name must match

  topics.create("ac", 1);
  h.topics_changed({"ac"}, true);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2}).epoch, 2);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2}).epoch, 2);  // not within ten seconds
  h.wait(10'001);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2}).epoch, 2);
  EXPECT_EQ(h.beat({.member = "a", .epoch = 2}).assignment, (Named{{"ab", {0}}, {"ac", {0}}}));
  topics.remove("ab");
  h.topics_changed({"ab"});
  EXPECT_EQ(h.beat({.member = "a", .epoch = 3}).assignment, (Named{{"ac", {0}}}));

  EXPECT_EQ(h.join("b", {}, {.regex = "a.*"}).epoch, 5);  // known: no waiting
  const std::size_t before = h.log.size();
  EXPECT_EQ(h.go("a"), NONE);
  EXPECT_EQ(h.written(before), "8- 7- 5- 3");
  EXPECT_EQ(h.go("b"), NONE);
  EXPECT_EQ(h.written(before + 4), "8- 7- 5- 16- 3");
}

TEST_F(ConsumerGroups, OffsetsGoWithTheMembersEpoch) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  EXPECT_EQ(h.commit("t", 0, 3), NONE);  // nobody is a member yet
  h.join("a", {"t"});
  EXPECT_EQ(h.fetch("t", 0).offset, 3);
  EXPECT_EQ(h.commit("t", 0, 4, {.member = "a", .generation = 1}), NONE);
  EXPECT_EQ(h.commit("t", 0, 4, {.member = "a", .generation = 0}), STALE_MEMBER_EPOCH);
  EXPECT_EQ(h.commit("t", 0, 4, {.member = "a", .generation = 2}), STALE_MEMBER_EPOCH);
  EXPECT_EQ(h.commit("t", 0, 4, {.member = "a", .generation = 1, .version = 8}), UNSUPPORTED_VERSION);
  EXPECT_EQ(h.commit("t", 0, 4, {.member = "b", .generation = 1}), UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.commit("t", 0, 4), UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 5, {.member = "a", .generation = 2}), ILLEGAL_GENERATION);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 5, {.member = "a", .generation = 1}), NONE);
  EXPECT_EQ(h.txn_commit(8, "t", 0, 5), NONE);
  EXPECT_EQ(h.delete_offset("t", 0).second, GROUP_SUBSCRIBED_TO_TOPIC);
  const auto fetch_as = [&](std::optional<std::string_view> member, std::int32_t epoch) {
    const wire::OffsetFetchRequest::OffsetFetchRequestGroup of{
        .group_id = "g", .member_id = member, .member_epoch = epoch, .topics = std::nullopt};
    h.step(events_in::OffsetFetch{.token = ++h.last, .require_stable = false, .group = of});
    return wire::error_from_code(h.answer<wire::OffsetFetchResponse>(h.last).groups[0].error_code);
  };
  EXPECT_EQ(fetch_as("a", 1), NONE);
  EXPECT_EQ(fetch_as("a", 0), STALE_MEMBER_EPOCH);
  EXPECT_EQ(fetch_as("b", 1), UNKNOWN_MEMBER_ID);
  EXPECT_EQ(fetch_as(std::nullopt, -1), NONE);
  EXPECT_EQ(h.delete_group(), NON_EMPTY_GROUP);
  h.go("a");
  EXPECT_EQ(h.delete_offset("t", 0).second, NONE);
}

TEST_F(ConsumerGroups, OffsetsOfGivenUpTopicsExpireFromTheirCommit) {
  topics.create("t", 1);
  GroupCoordinator::Options options;
  options.offsets_retention_ms = 100'000;
  options.offsets_retention_check_interval_ms = 10'000;
  ConsumerHarness h(topics, options);
  h.join("a", {"t"});
  h.commit("t", 0, 4, {.member = "a", .generation = 1});
  h.commit("u", 0, 4, {.member = "a", .generation = 1});
  for (int i = 0; i < 12; ++i) {
    h.wait(10'000);
    h.beat({.member = "a", .epoch = 1});
  }
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"t-0", 4}}));
  h.go("a");
  h.wait(10'000);
  EXPECT_EQ(h.seen(), "Group g not found.");
  EXPECT_EQ(h.list(), std::vector<std::string>{});
}

TEST_F(ConsumerGroups, OtherRequestsSayWhoseGroupItIs) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  h.join("a", {"t"});
  EXPECT_EQ(h.describe().error_code, code(GROUP_ID_NOT_FOUND));
  EXPECT_EQ(h.describe().error_message, "Group g is not a classic group.");
  EXPECT_EQ(h.describe("g", 5).group_state, "Dead");
  h.join_new({.member = "", .group = "h"});
  EXPECT_EQ(h.seen("h"), "Group h is not a consumer group.");
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .group = "h"}).message, "Group h is not a consumer group.");
  EXPECT_EQ(h.beat({.member = "a", .epoch = -1, .group = "h"}).message, "Group h is not a consumer group.");
  EXPECT_EQ(h.list({}, {"CONSUMER"}), (std::vector<std::string>{"g:consumer:Stable:consumer"}));
  EXPECT_EQ(h.list({"assigning"}), std::vector<std::string>{});
}

TEST_F(ConsumerGroups, AMemberThatBringsNoIdGetsOne) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  const Beaten joined = h.join("", {"t"}, {.version = 0});
  EXPECT_EQ(joined.error, NONE);
  EXPECT_TRUE(Uuid::parse(joined.member).has_value());
  EXPECT_EQ(h.beat({.member = joined.member, .epoch = 1, .version = 0}).error, NONE);
}

TEST_F(ConsumerGroups, WhatDoesNotFitIntoABatchChangesNothing) {
  topics.create("t", 1);
  GroupCoordinator::Options options;
  options.max_batch_bytes = 4'000;
  ConsumerHarness h(topics, options);
  h.join("a", {"t"});
  const std::string before = h.seen();
  EXPECT_EQ(h.beat({.member = "a", .epoch = 1, .topics = {{std::string(5'000, 'x')}}}).error, UNKNOWN_SERVER_ERROR);
  EXPECT_EQ(h.join("b", {std::string(5'000, 'x')}).error, UNKNOWN_SERVER_ERROR);
  EXPECT_EQ(h.seen(), before);
  EXPECT_EQ(h.written(0), "5 3 7 6 8");
}

// Of any shape: what a coordinator writes it can read again.
TEST_F(ConsumerGroups, IdsAreBytes) {
  topics.create("t", 1);
  ConsumerHarness h(topics);
  const std::vector<std::string> ids = {"a", std::string("\0\xff", 2), std::string(32'767, 'x'), "ä\n", "."};
  for (const std::string& id : ids) {
    Beating how{.group = id};
    EXPECT_EQ(h.join(id, {"t"}, how).error, NONE);
    how.member = id;
    how.epoch = 1;
    EXPECT_EQ(h.beat(how).error, NONE);
  }
  ConsumerHarness second(topics, {}, h.log);
  for (const std::string& id : ids) {
    EXPECT_EQ(second.seen(id), h.seen(id));
  }
}

TEST(ConsumerHeartbeat, IsCheckedBeforeACoordinatorIsAsked) {
  const std::vector<std::string> assignors = {"uniform", "range"};
  using Request = wire::ConsumerGroupHeartbeatRequest;
  std::vector<std::string_view> none;
  std::vector<Request::TopicPartitions> owned(1);
  Request good{.group_id = "g",
               .member_id = "m",
               .member_epoch = 0,
               .rebalance_timeout_ms = 1,
               .subscribed_topic_names = std::span(none),
               .topic_partitions = std::span<Request::TopicPartitions>{}};
  const auto refused = [&](auto change, int version = 1) {
    Request request = good;
    change(request);
    const auto refusal = check_heartbeat(request, version, assignors);
    return refusal ? refusal->message : std::string();
  };
  EXPECT_EQ(refused([](Request&) {}), "");
  EXPECT_EQ(refused([](Request& r) { r.member_id = " "; }), "MemberId can't be empty.");
  EXPECT_EQ(refused([](Request& r) { r.member_id = ""; }, 0), "");
  EXPECT_EQ(refused([](Request& r) { r.member_id = "", r.member_epoch = 1; }, 0), "MemberId can't be empty.");
  EXPECT_EQ(refused([](Request& r) { r.group_id = ""; }), "GroupId can't be empty.");
  EXPECT_EQ(refused([](Request& r) { r.instance_id = ""; }), "InstanceId can't be empty.");
  EXPECT_EQ(refused([](Request& r) { r.rack_id = ""; }), "RackId can't be empty.");
  EXPECT_EQ(refused([](Request& r) { r.rebalance_timeout_ms = -1; }),
            "RebalanceTimeoutMs must be provided in first request.");
  EXPECT_EQ(refused([](Request& r) { r.topic_partitions = std::nullopt; }),
            "TopicPartitions must be empty when (re-)joining.");
  EXPECT_EQ(refused([&](Request& r) { r.topic_partitions = owned; }),
            "TopicPartitions must be empty when (re-)joining.");
  EXPECT_EQ(refused([](Request& r) { r.subscribed_topic_names = std::nullopt; }),
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
  EXPECT_EQ(refused([](Request& r) { r.member_epoch = -2; }), "InstanceId can't be null.");
  EXPECT_EQ(refused([](Request& r) { r.member_epoch = -3; }), "MemberEpoch is invalid.");
  EXPECT_EQ(refused([](Request& r) { r.server_assignor = "sticky"; }),
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.");
}

}  // namespace
}  // namespace verdict::group
