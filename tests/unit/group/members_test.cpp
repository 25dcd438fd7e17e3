#include "tests/unit/group/harness.h"

// SyncGroup, Heartbeat, LeaveGroup, sessions; what is said of groups, and their end.
namespace verdict::group {
namespace {

std::int16_t c(ErrorCode error) { return code(error); }
using Codes = std::vector<std::int16_t>;

// Two members of generation 1 whose assignment is awaited; the first leads.
std::vector<std::string> two_joined(Harness& h) {
  const Token a = h.join({.version = 3});
  const Token b = h.join({.version = 3});
  h.wait(6'000);
  return {std::string(h.joined(a).member_id), std::string(h.joined(b).member_id)};
}

TEST(GroupSync, FollowersWaitForTheLeadersAssignment) {
  Harness h;
  const auto ids = two_joined(h);
  const Token follower = h.sync({.member = ids[1]});
  EXPECT_FALSE(h.answered(follower));
  EXPECT_EQ(h.state(), "CompletingRebalance");
  const std::size_t before = h.log.size();
  const Token leader = h.sync({.member = ids[0], .assignments = {{ids[0], "A"}, {ids[1], "B"}, {"nobody", "C"}}});
  EXPECT_EQ(text_of(h.synced(leader).assignment), "A");
  EXPECT_EQ(text_of(h.synced(follower).assignment), "B");
  EXPECT_EQ(h.synced(follower).protocol_type, "consumer");
  EXPECT_EQ(h.synced(follower).protocol_name, "range");
  EXPECT_EQ(h.state(), "Stable");
  // It is in the log before anyone acts on it.
  EXPECT_EQ(h.log.size(), before + 1);
  EXPECT_EQ(h.logged_before[follower], before + 1);
  EXPECT_EQ(h.logged_before[leader], before + 1);
}

TEST(GroupSync, WhoTheLeaderLeftOutHasNothing) {
  Harness h;
  const auto ids = two_joined(h);
  h.sync({.member = ids[0], .assignments = {{ids[0], "A"}}});
  const Token late = h.sync({.member = ids[1]});
  EXPECT_EQ(h.synced(late).error_code, 0);
  EXPECT_EQ(h.synced(late).assignment.size(), 0U);
}

TEST(GroupSync, WhoTheLeaderLeavesOutLosesWhatItHad) {
  Harness h;
  const auto ids = h.stable(2);
  h.join({.member = ids[0]});
  h.join({.member = ids[1]});
  h.sync({.member = ids[0], .generation = 2, .assignments = {{ids[0], "A"}}});
  EXPECT_EQ(text_of(h.synced(h.sync({.member = ids[1], .generation = 2})).assignment), "");
}

TEST(GroupSync, ASessionThatEndedDuringTheWaitBeginsAnewWithTheAssignment) {
  Harness h;
  const Token a = h.join({.version = 3, .session_ms = 60'000});
  const Token b = h.join({.version = 3});
  h.wait(6'000);
  const Token waiting = h.sync({.member = std::string(h.joined(b).member_id)});
  h.wait(30'000);
  h.sync({.member = std::string(h.joined(a).member_id)});
  EXPECT_EQ(h.synced(waiting).error_code, 0);
  h.wait(9'999);
  EXPECT_EQ(h.state(), "Stable");
  h.wait(1);
  EXPECT_EQ(h.state(), "PreparingRebalance");
}

TEST(GroupSync, ChecksMemberGenerationAndProtocol) {
  Harness h;
  const auto ids = two_joined(h);
  const auto refused = [&](const Syncer& who) { return wire::error_from_code(h.synced(h.sync(who)).error_code); };
  EXPECT_EQ(refused({.member = ids[0], .group = ""}), ErrorCode::INVALID_GROUP_ID);
  EXPECT_EQ(refused({.member = ids[0], .group = "other"}), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(refused({.member = "nobody"}), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(refused({.member = ids[0], .instance = "i"}), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(refused({.member = ids[0], .generation = 2}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(refused({.member = ids[0], .type = "connect"}), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
  EXPECT_EQ(refused({.member = ids[0], .protocol = "other"}), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
  EXPECT_EQ(refused({.member = ids[0], .type = std::nullopt}), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
  EXPECT_EQ(refused({.member = ids[0], .protocol = std::nullopt}), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
  EXPECT_EQ(refused({.member = ids[0], .type = std::nullopt, .protocol = std::nullopt, .version = 4}), ErrorCode::NONE);
}

TEST(GroupSync, ARebalanceEndsTheWaitForAnAssignment) {
  Harness h;
  const auto ids = two_joined(h);
  const Token waiting = h.sync({.member = ids[1]});
  h.join({.member = ids[0], .protocols = {{"range", "new"}}});
  EXPECT_EQ(h.synced(waiting).error_code, c(ErrorCode::REBALANCE_IN_PROGRESS));
  EXPECT_EQ(h.synced(h.sync({.member = ids[1]})).error_code, c(ErrorCode::REBALANCE_IN_PROGRESS));
}

TEST(GroupSync, TheEarlierOfTwoSyncsOfAMemberIsAnswered) {
  Harness h;
  const auto ids = two_joined(h);
  const Token earlier = h.sync({.member = ids[1]});
  const Token later = h.sync({.member = ids[1]});
  EXPECT_EQ(h.synced(earlier).error_code, c(ErrorCode::REBALANCE_IN_PROGRESS));
  h.sync({.member = ids[0], .assignments = {{ids[1], "B"}}});
  EXPECT_EQ(text_of(h.synced(later).assignment), "B");
}

TEST(GroupSync, WhoDoesNotSyncInTimeIsRemoved) {
  Harness h;
  const Token a = h.join({.version = 3, .session_ms = 1'800'000});
  const Token b = h.join({.version = 3, .session_ms = 1'800'000});
  h.wait(6'000);
  h.sync({.member = std::string(h.joined(a).member_id)});
  EXPECT_EQ(h.state(), "Stable");
  h.wait(59'999);
  EXPECT_EQ(h.state(), "Stable");
  h.wait(1);
  EXPECT_EQ(h.state(), "PreparingRebalance");
  EXPECT_EQ(h.heartbeat(std::string(h.joined(b).member_id)), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.heartbeat(std::string(h.joined(a).member_id)), ErrorCode::REBALANCE_IN_PROGRESS);
}

TEST(GroupSync, OnceAllHaveSyncedNobodyIsRemovedForIt) {
  Harness h;
  const auto ids = h.stable(2, {.session_ms = 1'800'000});
  h.wait(600'000);
  EXPECT_EQ(h.state(), "Stable");
}

TEST(GroupSync, AGroupTooLargeForARecordIsRefused) {
  GroupCoordinator::Options options;
  options.max_batch_bytes = 2'000;
  Harness h(options);
  const auto ids = two_joined(h);
  const Token follower = h.sync({.member = ids[1]});
  const std::size_t before = h.log.size();
  const Token leader = h.sync({.member = ids[0], .assignments = {{ids[1], std::string(2'000, 'x')}}});
  EXPECT_EQ(h.synced(leader).error_code, c(ErrorCode::UNKNOWN_SERVER_ERROR));
  EXPECT_EQ(h.synced(follower).error_code, c(ErrorCode::UNKNOWN_SERVER_ERROR));
  EXPECT_EQ(h.log.size(), before);
  EXPECT_EQ(h.state(), "PreparingRebalance");
}

TEST(GroupHeartbeat, KeepsASessionOrSaysWhyNot) {
  Harness h;
  EXPECT_EQ(h.heartbeat("m", 1, std::nullopt, ""), ErrorCode::INVALID_GROUP_ID);
  EXPECT_EQ(h.heartbeat("m"), ErrorCode::UNKNOWN_MEMBER_ID);
  const auto ids = h.stable(2);
  for (int i = 0; i < 5; ++i) {
    h.wait(9'000);
    EXPECT_EQ(h.heartbeat(ids[0]), ErrorCode::NONE);
    h.heartbeat(ids[1]);
  }
  EXPECT_EQ(h.heartbeat(ids[0], 2), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.heartbeat("nobody"), ErrorCode::UNKNOWN_MEMBER_ID);
  h.wait(9'000);
  h.heartbeat(ids[0]);
  h.wait(999);
  EXPECT_EQ(h.state(), "Stable");
  h.wait(1);  // ids[1] has been silent for its session
  EXPECT_EQ(h.state(), "PreparingRebalance");
  EXPECT_EQ(h.heartbeat(ids[1]), ErrorCode::UNKNOWN_MEMBER_ID);
}

TEST(GroupHeartbeat, WhenAllSessionsEndTheGroupIsEmptyAndInTheLog) {
  Harness h;
  h.stable(2);
  h.wait(100'000);
  EXPECT_EQ(h.state(), "Empty");
  const auto read = read_record(h.log.back().record.key, *h.log.back().record.value).value();
  const ClassicGroup& group = *std::get<GroupRecord>(read).value;
  EXPECT_EQ(group.generation(), 2);
  EXPECT_EQ(group.protocol_type(), "consumer");
  EXPECT_EQ(group.protocol(), std::nullopt);
  EXPECT_EQ(group.leader(), std::nullopt);
}

TEST(GroupLeave, StartsARebalanceOfTheOthers) {
  Harness h;
  const auto ids = h.stable(3);
  EXPECT_EQ(h.leave({{ids[0]}, {"nobody"}}), (Codes{0, 0, c(ErrorCode::UNKNOWN_MEMBER_ID)}));
  EXPECT_EQ(h.state(), "PreparingRebalance");
  h.join({.member = ids[1]});
  const Token last = h.join({.member = ids[2]});
  EXPECT_EQ(h.joined(last).generation_id, 2);
}

TEST(GroupLeave, BeforeVersion3TheCodeIsThatOfTheOneMember) {
  Harness h;
  const auto ids = h.stable(1);
  EXPECT_EQ(h.leave({{"nobody"}}, 2), (Codes{c(ErrorCode::UNKNOWN_MEMBER_ID)}));
  EXPECT_EQ(h.leave({{ids[0]}}, 2), (Codes{0}));
  EXPECT_EQ(h.state(), "Empty");
}

TEST(GroupLeave, UnknownGroupsAndEmptyIds) {
  Harness h;
  EXPECT_EQ(h.leave({{"m"}}, 5, ""), (Codes{c(ErrorCode::INVALID_GROUP_ID)}));
  EXPECT_EQ(h.leave({{"m"}}), (Codes{0, c(ErrorCode::UNKNOWN_MEMBER_ID)}));
  EXPECT_EQ(h.leave({{"m"}}, 1), (Codes{c(ErrorCode::UNKNOWN_MEMBER_ID)}));
}

TEST(GroupLeave, APendingMemberCanLeave) {
  Harness h;
  const auto ids = h.stable(1);
  const std::string pending(h.joined(h.join({})).member_id);
  const Token token = h.join({.member = ids[0]});
  EXPECT_FALSE(h.answered(token));
  EXPECT_EQ(h.leave({{pending}}), (Codes{0, 0}));
  EXPECT_EQ(h.joined(token).generation_id, 2);
}

TEST(GroupLeave, WhoLeavesWhileItsRequestWaitsIsAnswered) {
  Harness h;
  const auto ids = h.stable(2);
  const Token join = h.join({.member = ids[0]});
  h.leave({{ids[0]}});
  EXPECT_EQ(h.joined(join).error_code, c(ErrorCode::UNKNOWN_MEMBER_ID));
  h.join({.member = ids[1]});
  const Token other = h.join({.version = 3});
  h.join({.member = ids[1]});
  ASSERT_TRUE(h.answered(other));
  const Token sync =
      h.sync({.member = std::string(h.joined(other).member_id), .generation = h.joined(other).generation_id});
  h.leave({{std::string(h.joined(other).member_id)}});
  EXPECT_EQ(h.synced(sync).error_code, c(ErrorCode::UNKNOWN_MEMBER_ID));
}

TEST(GroupStatic, AnInstanceThatStartsAnewKeepsItsAssignmentWithoutARebalance) {
  Harness h;
  const auto ids = h.stable(2, {.instance = ""});
  EXPECT_EQ(ids[1].substr(0, 3), "i1-");
  const std::size_t before = h.log.size();
  const Token token = h.join({.instance = "i1"});
  const auto& joined = h.joined(token);
  EXPECT_EQ(joined.error_code, 0);
  EXPECT_EQ(joined.generation_id, 1);
  EXPECT_EQ(joined.leader, ids[0]);
  EXPECT_FALSE(joined.skip_assignment);
  EXPECT_NE(joined.member_id, ids[1]);
  EXPECT_EQ(h.state(), "Stable");
  EXPECT_EQ(h.log.size(), before + 1);
  EXPECT_EQ(h.logged_before[token], before + 1);
  const std::string now(joined.member_id);
  EXPECT_EQ(text_of(h.synced(h.sync({.member = now, .instance = "i1"})).assignment), "a1");
  // Its older self is fenced, and known no more without its instance id.
  EXPECT_EQ(h.heartbeat(ids[1], 1, "i1"), ErrorCode::FENCED_INSTANCE_ID);
  EXPECT_EQ(h.heartbeat(ids[1]), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.heartbeat(now, 1, "i1"), ErrorCode::NONE);
  EXPECT_EQ(h.heartbeat(now, 1, "i7"), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.joined(h.join({.member = ids[1], .instance = "i1"})).error_code, c(ErrorCode::FENCED_INSTANCE_ID));
  EXPECT_EQ(h.synced(h.sync({.member = ids[1], .instance = "i1"})).error_code, c(ErrorCode::FENCED_INSTANCE_ID));
  EXPECT_EQ(h.commit("t", 0, 1, {.member = ids[1], .generation = 1, .instance = "i1"}), ErrorCode::FENCED_INSTANCE_ID);
}

TEST(GroupStatic, AReplacedLeaderSkipsTheAssignment) {
  Harness h;
  const auto ids = h.stable(2, {.instance = ""});
  const Token token = h.join({.instance = "i0"});
  EXPECT_EQ(h.joined(token).leader, h.joined(token).member_id);
  EXPECT_TRUE(h.joined(token).skip_assignment);
  EXPECT_EQ(h.joined(token).members.size(), 2U);
  const std::string now(h.joined(token).member_id);
  // Before version 9 it must not learn that it leads: it would assign anew.
  const Token older = h.join({.instance = "i0", .version = 8});
  EXPECT_EQ(h.joined(older).leader, now);
  EXPECT_FALSE(h.joined(older).skip_assignment);
  EXPECT_EQ(h.joined(older).members.size(), 0U);
  // It leads nevertheless.
  h.join({.member = std::string(h.joined(older).member_id), .instance = "i0"});
  EXPECT_EQ(h.state(), "PreparingRebalance");
}

TEST(GroupStatic, ANewProtocolChoiceStartsARebalance) {
  Harness h;
  h.stable(1, {.instance = "", .protocols = {{"x", ""}, {"y", ""}}});
  const Token token = h.join({.instance = "i0", .protocols = {{"y", ""}}});
  EXPECT_EQ(h.joined(token).generation_id, 2);
  EXPECT_EQ(h.joined(token).protocol_name, "y");
}

TEST(GroupStatic, TheOlderSelfsWaitingJoinIsFenced) {
  Harness h;
  const auto ids = h.stable(2, {.instance = ""});
  const Token older = h.join({.member = ids[0], .instance = "i0"});
  const Token newer = h.join({.instance = "i0"});
  EXPECT_EQ(h.joined(older).error_code, c(ErrorCode::FENCED_INSTANCE_ID));
  h.join({.member = ids[1], .instance = "i1"});
  EXPECT_EQ(h.joined(newer).generation_id, 2);
}

TEST(GroupStatic, WhileTheAssignmentIsAwaitedAReplacementStartsARebalance) {
  Harness h;
  const Token a = h.join({.instance = "i0"});
  const Token b = h.join({.instance = "i1"});
  h.wait(6'000);
  const Token sync = h.sync({.member = std::string(h.joined(b).member_id), .instance = "i1"});
  const Token anew = h.join({.instance = "i1"});
  EXPECT_EQ(h.synced(sync).error_code, c(ErrorCode::FENCED_INSTANCE_ID));
  EXPECT_EQ(h.state(), "PreparingRebalance");
  h.join({.member = std::string(h.joined(a).member_id), .instance = "i0"});
  EXPECT_EQ(h.joined(anew).generation_id, 2);
}

TEST(GroupStatic, MembersThatDoNotJoinAgainAreKeptUntilTheirSessionEnds) {
  Harness h;
  const auto ids = h.stable(2, {.instance = "", .session_ms = 100'000});
  const Token token = h.join({.member = ids[1], .instance = "i1", .session_ms = 100'000});
  EXPECT_TRUE(h.answered(token));  // a follower's same metadata
  const Token changed =
      h.join({.member = ids[1], .instance = "i1", .protocols = {{"range", "new"}}, .session_ms = 100'000});
  h.wait(60'000);
  EXPECT_EQ(h.joined(changed).generation_id, 2);
  EXPECT_EQ(h.joined(changed).members.size(), 2U);  // it leads now, and assigns to both
  EXPECT_EQ(h.joined(changed).leader, ids[1]);
}

TEST(GroupStatic, AReplacementOwesTheSyncOfItsOlderSelf) {
  for (const bool syncs : {true, false}) {
    Harness h;
    const Token a = h.join({.instance = "i0", .session_ms = 1'800'000});
    h.join({.instance = "i1", .session_ms = 1'800'000});
    h.wait(6'000);
    h.sync({.member = std::string(h.joined(a).member_id), .instance = "i0"});
    const std::string anew(h.joined(h.join({.instance = "i1", .session_ms = 1'800'000})).member_id);
    EXPECT_EQ(h.state(), "Stable");
    if (syncs) {
      EXPECT_EQ(h.synced(h.sync({.member = anew, .instance = "i1"})).error_code, 0);
    }
    h.wait(60'000);
    EXPECT_EQ(h.state(), syncs ? "Stable" : "PreparingRebalance");
    EXPECT_EQ(h.heartbeat(anew) == ErrorCode::UNKNOWN_MEMBER_ID, !syncs);
  }
}

TEST(GroupStatic, LeaveByInstanceId) {
  Harness h;
  const auto ids = h.stable(2, {.instance = ""});
  EXPECT_EQ(h.leave({{"", "nobody"}, {ids[0], "i1"}}),
            (Codes{0, c(ErrorCode::UNKNOWN_MEMBER_ID), c(ErrorCode::FENCED_INSTANCE_ID)}));
  EXPECT_EQ(h.state(), "Stable");
  EXPECT_EQ(h.leave({{"", "i1"}}), (Codes{0, 0}));
  EXPECT_EQ(h.heartbeat(ids[1], 1, "i1"), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.state(), "PreparingRebalance");
}

TEST(Groups, DescribeTellsMetadataOfStableGroupsOnly) {
  Harness h;
  const auto ids = h.stable(1);
  const auto& stable = h.describe();
  EXPECT_EQ(stable.protocol_type, "consumer");
  EXPECT_EQ(stable.protocol_data, "range");
  ASSERT_EQ(stable.members.size(), 1U);
  EXPECT_EQ(stable.members[0].member_id, ids[0]);
  EXPECT_EQ(stable.members[0].client_id, "c");
  EXPECT_EQ(stable.members[0].client_host, "/127.0.0.1");
  EXPECT_EQ(text_of(stable.members[0].member_metadata), "meta");
  EXPECT_EQ(text_of(stable.members[0].member_assignment), "a0");
  h.join({});
  h.join({.member = ids[0]});
  const auto& moving = h.describe();
  EXPECT_EQ(moving.group_state, "PreparingRebalance");
  EXPECT_EQ(moving.protocol_data, "");
  EXPECT_EQ(moving.members[0].member_metadata.size(), 0U);
}

TEST(Groups, AGroupThatIsNotThereIsDead) {
  Harness h;
  const auto& now = h.describe("x", 6);
  EXPECT_EQ(now.group_state, "Dead");
  EXPECT_EQ(now.error_code, c(ErrorCode::GROUP_ID_NOT_FOUND));
  EXPECT_EQ(now.error_message, "Group x not found.");
  const auto& before = h.describe("x", 5);
  EXPECT_EQ(before.group_state, "Dead");
  EXPECT_EQ(before.error_code, 0);
  EXPECT_EQ(before.error_message, std::nullopt);
}

TEST(Groups, ListFiltersByStateAndType) {
  Harness h;
  h.stable(1);
  h.commit("t", 0, 1, {.group = "simple"});
  const std::vector<std::string> both{"g:consumer:Stable:classic", "simple::Empty:classic"};
  EXPECT_EQ(h.list(), both);
  EXPECT_EQ(h.list({" STABLE "}), (std::vector<std::string>{both[0]}));
  EXPECT_EQ(h.list({"empty", "dead"}), (std::vector<std::string>{both[1]}));
  EXPECT_EQ(h.list({}, {"Classic"}), both);
  EXPECT_TRUE(h.list({}, {"consumer"}).empty());
}

TEST(Groups, OnlyEmptyGroupsCanBeDeleted) {
  Harness h;
  EXPECT_EQ(h.delete_group(), ErrorCode::GROUP_ID_NOT_FOUND);
  const auto ids = h.stable(1);
  h.commit("t", 0, 7, {.member = ids[0], .generation = 1});
  EXPECT_EQ(h.delete_group(), ErrorCode::NON_EMPTY_GROUP);
  h.leave({{ids[0]}});
  const std::size_t before = h.log.size();
  EXPECT_EQ(h.delete_group(), ErrorCode::NONE);
  EXPECT_EQ(h.log.size(), before + 2);
  EXPECT_EQ(h.logged_before[h.last], before + 2);
  EXPECT_EQ(h.log[before].record, offset_tombstone("g", "t", 0));
  EXPECT_EQ(h.log[before + 1].record, group_tombstone("g"));
  EXPECT_EQ(h.state(), "Dead");
  EXPECT_EQ(h.fetch("t", 0).offset, -1);
}

}  // namespace
}  // namespace verdict::group
