#include "tests/unit/group/harness.h"

// Who becomes a member, and when a generation begins.
namespace verdict::group {
namespace {

std::int16_t c(ErrorCode error) { return code(error); }

TEST(GroupJoin, ANewMemberIsAskedToComeBackWithItsId) {
  Harness h;
  const Token first = h.join({});
  EXPECT_EQ(h.joined(first).error_code, c(ErrorCode::MEMBER_ID_REQUIRED));
  EXPECT_EQ(h.joined(first).member_id, "c-00000000-0000-1234-0000-000000000001");
  EXPECT_EQ(h.state(), "Empty");
  // The group is in the log before anyone hears of it.
  ASSERT_EQ(h.log.size(), 1U);
  EXPECT_EQ(h.logged_before[first], 1U);

  const Token second = h.join({.member = std::string(h.joined(first).member_id)});
  EXPECT_FALSE(h.answered(second));
  h.wait(2'999);
  EXPECT_FALSE(h.answered(second));
  h.wait(1);
  const auto& joined = h.joined(second);
  EXPECT_EQ(joined.error_code, 0);
  EXPECT_EQ(joined.generation_id, 1);
  EXPECT_EQ(joined.protocol_type, "consumer");
  EXPECT_EQ(joined.protocol_name, "range");
  EXPECT_EQ(joined.leader, joined.member_id);
  EXPECT_FALSE(joined.skip_assignment);
  ASSERT_EQ(joined.members.size(), 1U);
  EXPECT_EQ(text_of(joined.members[0].metadata), "meta");
}

TEST(GroupJoin, BeforeVersion4AnIdIsGivenWithTheJoin) {
  Harness h;
  const Token token = h.join({.version = 3});
  EXPECT_FALSE(h.answered(token));
  h.wait(3'000);
  EXPECT_EQ(h.joined(token).error_code, 0);
  EXPECT_EQ(h.joined(token).member_id, "c-00000000-0000-1234-0000-000000000001");
}

TEST(GroupJoin, RefusalsHaveTheCodesAndIdsOfKafka) {
  Harness h;
  const auto refused = [&](const Joiner& who) {
    const Token token = h.join(who);
    return std::pair(wire::error_from_code(h.joined(token).error_code), std::string(h.joined(token).member_id));
  };
  EXPECT_EQ(refused({.member = "m", .group = ""}), std::pair(ErrorCode::INVALID_GROUP_ID, std::string("m")));
  EXPECT_EQ(refused({.member = "m", .session_ms = 5'999}),
            std::pair(ErrorCode::INVALID_SESSION_TIMEOUT, std::string("m")));
  EXPECT_EQ(refused({.member = "m", .session_ms = 1'800'001}),
            std::pair(ErrorCode::INVALID_SESSION_TIMEOUT, std::string("m")));
  EXPECT_EQ(refused({.member = "m"}), std::pair(ErrorCode::UNKNOWN_MEMBER_ID, std::string("m")));
  EXPECT_TRUE(h.log.empty());
  EXPECT_EQ(refused({.protocols = {}}), std::pair(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, std::string()));
  EXPECT_EQ(refused({.type = ""}), std::pair(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, std::string()));
  h.stable(1);
  EXPECT_EQ(refused({.member = "nobody"}), std::pair(ErrorCode::UNKNOWN_MEMBER_ID, std::string("nobody")));
  EXPECT_EQ(refused({.type = "connect"}), std::pair(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, std::string()));
  EXPECT_EQ(refused({.protocols = {{"other", "x"}}}), std::pair(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, std::string()));
}

TEST(GroupJoin, ErrorsNameNoProtocolInTheWayOfTheirVersion) {
  Harness h;
  h.stable(1);
  EXPECT_EQ(h.joined(h.join({.member = "nobody", .version = 7})).protocol_name, std::nullopt);
  EXPECT_EQ(h.joined(h.join({.member = "nobody", .version = 6})).protocol_name, "");
  EXPECT_EQ(h.joined(h.join({.version = 7, .type = "connect"})).protocol_name, std::nullopt);
  EXPECT_EQ(h.joined(h.join({.version = 7})).protocol_name, std::nullopt);  // MEMBER_ID_REQUIRED
}

TEST(GroupJoin, TheInitialDelayGrowsWithEachMemberUpToTheRebalanceTimeout) {
  Harness h;
  const Token first = h.join({.version = 3, .rebalance_ms = 7'000});
  h.wait(2'000);
  const Token second = h.join({.version = 3, .rebalance_ms = 7'000});
  h.wait(1'000);  // 3 s: one more came, so on to 6 s
  EXPECT_FALSE(h.answered(first));
  const Token third = h.join({.version = 3, .rebalance_ms = 7'000});
  h.wait(3'000);  // 6 s: on to 7 s
  EXPECT_FALSE(h.answered(first));
  h.join({.version = 3, .rebalance_ms = 7'000});
  h.wait(999);
  EXPECT_FALSE(h.answered(first));
  h.wait(1);
  for (const Token token : {first, second, third}) {
    EXPECT_EQ(h.joined(token).generation_id, 1);
  }
  EXPECT_EQ(h.joined(first).members.size(), 4U);
  EXPECT_EQ(h.joined(second).members.size(), 0U);  // only the leader learns of the others
  EXPECT_EQ(h.joined(second).leader, h.joined(first).member_id);
}

TEST(GroupJoin, WithoutMoreMembersTheInitialDelayIsNotExtended) {
  Harness h;
  h.join({.version = 3});
  h.wait(100);
  const Token token = h.join({.version = 3});
  h.wait(2'900);
  EXPECT_FALSE(h.answered(token));
  h.wait(3'000);
  EXPECT_TRUE(h.answered(token));
}

TEST(GroupJoin, MembersVoteForAProtocolThatAllHave) {
  Harness h;
  const Token a = h.join({.protocols = {{"x", "ax"}, {"z", "az"}, {"y", "ay"}}, .version = 3});
  const Token b = h.join({.protocols = {{"y", "by"}, {"z", "bz"}}, .version = 3});
  const Token d = h.join({.protocols = {{"y", "dy"}, {"x", "dx"}, {"z", "dz"}}, .version = 3});
  h.wait(30'000);
  EXPECT_EQ(h.joined(b).protocol_name, "y");  // z has one vote of those that all have, y two
  EXPECT_EQ(h.joined(d).protocol_name, "y");
  ASSERT_EQ(h.joined(a).members.size(), 3U);
  for (const auto& member : h.joined(a).members) {
    EXPECT_EQ(text_of(member.metadata).substr(1), "y");
  }
}

TEST(GroupJoin, NobodyVotesForAProtocolThatNotAllHave) {
  Harness h;
  h.join({.protocols = {{"w", ""}, {"x", ""}}, .version = 3});
  h.join({.protocols = {{"w", ""}, {"x", ""}}, .version = 3});
  const Token last = h.join({.protocols = {{"x", ""}}, .version = 3});
  h.wait(30'000);
  EXPECT_EQ(h.joined(last).protocol_name, "x");
}

TEST(GroupJoin, TheLongestRebalanceTimeoutCounts) {
  Harness h;
  const Token a = h.join({.version = 3, .session_ms = 1'800'000, .rebalance_ms = 60'000});
  const Token b = h.join({.version = 3, .session_ms = 1'800'000, .rebalance_ms = 5'000});
  h.wait(6'000);
  ASSERT_LT(h.joined(a).member_id, h.joined(b).member_id);
  const Token again = h.join({.member = std::string(h.joined(b).member_id),
                              .protocols = {{"range", "new"}},
                              .session_ms = 1'800'000,
                              .rebalance_ms = 5'000});
  h.wait(59'999);
  EXPECT_FALSE(h.answered(again));
  h.wait(1);
  EXPECT_EQ(h.joined(again).generation_id, 2);
}

TEST(GroupJoin, AProtocolThatNotAllHaveIsNotSharedByANewMember) {
  Harness h;
  h.stable(1, {.protocols = {{"x", ""}, {"y", ""}}});
  EXPECT_FALSE(h.answered(h.join({.protocols = {{"x", ""}}, .version = 3})));
  EXPECT_EQ(h.state(), "PreparingRebalance");
  // Now only x is shared.
  EXPECT_EQ(h.joined(h.join({.protocols = {{"y", ""}}, .version = 3})).error_code,
            c(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
}

TEST(GroupJoin, AFollowersSameMetadataStartsNoRebalance) {
  Harness h;
  const auto ids = h.stable(2);
  const Token same = h.join({.member = ids[1]});
  EXPECT_EQ(h.joined(same).generation_id, 1);
  EXPECT_EQ(h.joined(same).members.size(), 0U);
  EXPECT_EQ(h.state(), "Stable");
  const Token changed = h.join({.member = ids[1], .protocols = {{"range", "new"}}});
  EXPECT_FALSE(h.answered(changed));
  EXPECT_EQ(h.state(), "PreparingRebalance");
  EXPECT_EQ(h.heartbeat(ids[0]), ErrorCode::REBALANCE_IN_PROGRESS);
  h.join({.member = ids[0]});
  EXPECT_EQ(h.joined(changed).generation_id, 2);
  EXPECT_EQ(h.state(), "CompletingRebalance");
}

TEST(GroupJoin, TheLeadersJoinStartsARebalance) {
  Harness h;
  const auto ids = h.stable(2);
  const Token token = h.join({.member = ids[0]});
  EXPECT_FALSE(h.answered(token));
  EXPECT_EQ(h.state(), "PreparingRebalance");
}

TEST(GroupJoin, WhileTheAssignmentIsAwaitedTheSameJoinIsAnsweredAgain) {
  Harness h;
  const Token first = h.join({.version = 3});
  h.wait(3'000);
  const std::string id(h.joined(first).member_id);
  const Token again = h.join({.member = id, .version = 3});
  EXPECT_EQ(h.joined(again).generation_id, 1);
  EXPECT_EQ(h.joined(again).members.size(), 1U);
  const Token changed = h.join({.member = id, .protocols = {{"range", "new"}}, .version = 3});
  EXPECT_EQ(h.joined(changed).generation_id, 2);  // alone, it need not wait
}

TEST(GroupJoin, WhoDoesNotJoinAgainInTimeIsLeftOut) {
  Harness h;
  const auto ids = h.stable(2, {.session_ms = 1'800'000});
  const Token token = h.join({.member = ids[1], .protocols = {{"range", "new"}}, .session_ms = 1'800'000});
  h.wait(59'999);
  EXPECT_FALSE(h.answered(token));
  h.wait(1);
  EXPECT_EQ(h.joined(token).generation_id, 2);
  EXPECT_EQ(h.joined(token).leader, ids[1]);  // the leader is gone
  EXPECT_EQ(h.joined(token).members.size(), 1U);
  EXPECT_EQ(h.heartbeat(ids[0]), ErrorCode::UNKNOWN_MEMBER_ID);
}

TEST(GroupJoin, VersionZeroWaitsForTheSessionTimeout) {
  Harness h;
  h.stable(1, {.version = 4, .session_ms = 1'800'000, .rebalance_ms = 5'000});
  const Token token = h.join({.version = 0, .session_ms = 30'000, .rebalance_ms = 1});
  h.wait(29'999);
  EXPECT_FALSE(h.answered(token));
  h.wait(1);
  EXPECT_EQ(h.joined(token).generation_id, 2);
}

TEST(GroupJoin, APendingMemberHoldsTheRebalanceUpUntilItsSessionEnds) {
  Harness h;
  const auto ids = h.stable(1);
  h.join({});  // a member id is given away
  const Token token = h.join({.member = ids[0]});
  h.wait(9'999);
  EXPECT_FALSE(h.answered(token));
  h.wait(1);
  EXPECT_EQ(h.joined(token).generation_id, 2);
}

TEST(GroupJoin, APendingMemberIdIsForgottenAfterItsSession) {
  Harness h;
  const Token first = h.join({});
  h.wait(10'000);
  const Token late = h.join({.member = std::string(h.joined(first).member_id)});
  EXPECT_EQ(h.joined(late).error_code, c(ErrorCode::UNKNOWN_MEMBER_ID));
}

TEST(GroupJoin, APendingMemberThatComesBackWithAnInstanceIdIsAnError) {
  Harness h;
  const std::string id(h.joined(h.join({})).member_id);
  EXPECT_EQ(h.joined(h.join({.member = id, .instance = "i"})).error_code, c(ErrorCode::UNKNOWN_SERVER_ERROR));
}

TEST(GroupJoin, ANewMemberIsGivenUpAfterFiveMinutes) {
  Harness h;
  const auto ids = h.stable(1, {.session_ms = 1'800'000, .rebalance_ms = 1'800'000});
  const Token token = h.join_new({.rebalance_ms = 1'800'000});
  h.wait(299'999);
  EXPECT_FALSE(h.answered(token));
  h.wait(1);
  EXPECT_EQ(h.joined(token).error_code, c(ErrorCode::UNKNOWN_MEMBER_ID));
  EXPECT_EQ(h.joined(token).member_id, "");
}

TEST(GroupJoin, MembersThatWaitNeedNoHeartbeat) {
  Harness h;
  const auto ids = h.stable(2, {.session_ms = 20'000, .rebalance_ms = 300'000});
  const Token token = h.join({.member = ids[0], .session_ms = 20'000, .rebalance_ms = 300'000});
  for (int i = 0; i < 10; ++i) {
    h.wait(15'000);
    EXPECT_EQ(h.heartbeat(ids[1]), ErrorCode::REBALANCE_IN_PROGRESS);
  }
  EXPECT_FALSE(h.answered(token));
  h.join({.member = ids[1], .session_ms = 20'000, .rebalance_ms = 300'000});
  EXPECT_EQ(h.joined(token).generation_id, 2);
  h.wait(19'999);
  EXPECT_EQ(h.heartbeat(ids[0], 2), ErrorCode::NONE);
}

TEST(GroupJoin, AFullGroupTakesNobody) {
  GroupCoordinator::Options options;
  options.group_max_size = 2;
  Harness h(options);
  const auto ids = h.stable(2);
  const Token refused = h.join({.version = 3});
  EXPECT_EQ(h.joined(refused).error_code, c(ErrorCode::GROUP_MAX_SIZE_REACHED));
  EXPECT_EQ(h.joined(refused).member_id, "");
  EXPECT_EQ(h.state(), "Stable");
  // In a rebalance members keep their place as they come.
  h.join({.member = ids[0]});
  h.join_new({});
  EXPECT_EQ(h.joined(h.join({.member = ids[1]})).error_code, c(ErrorCode::GROUP_MAX_SIZE_REACHED));
  EXPECT_EQ(h.state(), "CompletingRebalance");
  EXPECT_EQ(h.describe().members.size(), 2U);
}

TEST(GroupJoin, TheEarlierOfTwoJoinsOfAMemberIsAnswered) {
  Harness h;
  const auto ids = h.stable(2);
  const Token earlier = h.join({.member = ids[0]});
  const Token later = h.join({.member = ids[0]});
  EXPECT_EQ(h.joined(earlier).error_code, c(ErrorCode::REBALANCE_IN_PROGRESS));
  h.join({.member = ids[1]});
  EXPECT_EQ(h.joined(later).generation_id, 2);
}

TEST(GroupJoin, AnIdThatNoRecordCouldHoldIsRefused) {
  Harness h;
  EXPECT_EQ(h.joined(h.join({.client = std::string(32'700, 'x')})).error_code, c(ErrorCode::UNKNOWN_SERVER_ERROR));
}

TEST(GroupJoin, NoClientWritesALineOfTheLogFile) {
  Harness h;
  h.join({.version = 3, .client = "x\nERROR all is lost"});
  ASSERT_FALSE(h.lines.empty());
  EXPECT_NE(h.lines.back().find("x?ERROR"), std::string::npos) << h.lines.back();
}

TEST(GroupJoin, AProtocolNamedTwiceCountsOnce) {
  Harness h;
  const Token a = h.join({.protocols = {{"x", "1"}, {"x", "2"}}, .version = 3});
  h.wait(3'000);
  EXPECT_EQ(text_of(h.joined(a).members[0].metadata), "1");
  EXPECT_EQ(h.leave({{std::string(h.joined(a).member_id)}}), (std::vector<std::int16_t>{0, 0}));
}

}  // namespace
}  // namespace verdict::group
