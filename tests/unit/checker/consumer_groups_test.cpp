#include "tests/unit/checker/group.h"

// G1 and G3 in groups of the consumer protocol, each in a run that breaks it, beside the same run as it should be.
namespace verdict::checker {
namespace {

struct Group : GroupCluster {
  Group() { move("Empty", 0); }
  void move(std::string_view state, int epoch, int members = 1) {
    event(coordinator, GroupMoved{key, "g", state, epoch, members, "consumer"});
  }
  // A heartbeat that says what its member has, and that is taken.
  void beats(std::string_view id, int asked, int epoch, std::string_view owned = "") {
    event(coordinator, ConsumerHeartbeatDecided{key, "g", id, asked, epoch, true, owned});
  }
  void beats_silently(std::string_view id, int epoch) {
    event(coordinator, ConsumerHeartbeatDecided{key, "g", id, epoch, epoch, false, ""});
  }
  void told(std::string_view id, int epoch, std::string_view assignment, std::string_view client = "client-4") {
    event(coordinator, ConsumerHeartbeatAnswered{key, "g", id, "", client, epoch, true, assignment});
  }
  void join(std::string_view id, int epoch, std::string_view gets, std::string_view instance = "") {
    member("joined", id, epoch, gets, instance);
    beats(id, 0, epoch);
    told(id, epoch, gets);
  }
  void fail_over() {
    GroupCluster::fail_over();
    move("Stable", 2);
  }
  // Broker 2 has taken over from broker 1, which has not heard of that.
  void depose() {
    fail_over();
    member("loaded", "a", 1, "orders-0");
    start(1);
    coordinator = 1;
  }
};

// ---- G1 ----

TEST(ConsumerGroups, APartitionMovesOnceItsOwnerHasGivenItUp) {
  Group g;
  g.join("a", 1, "orders-0,orders-1"), g.join("b", 2, "");
  g.beats_silently("a", 1), g.told("a", 1, "orders-0");  // it is to give up the other
  g.member("moved", "a", 2, "orders-0"), g.beats("a", 1, 2, "orders-0");
  g.member("moved", "b", 2, "orders-1"), g.beats_silently("b", 2), g.told("b", 2, "orders-1");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(ConsumerGroups, G1APartitionMovesBeforeItsOwnerHasGivenItUp) {
  Group g;
  g.join("a", 1, "orders-0,orders-1"), g.join("b", 2, "");
  g.beats_silently("a", 1), g.told("a", 1, "orders-0");
  g.beats("a", 1, 1, "orders-0,orders-1");
  g.member("moved", "b", 2, "orders-1"), g.beats_silently("b", 2), g.told("b", 2, "orders-1");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(ConsumerGroups, WhatARemovedMemberHadIsFree) {
  for (const bool removed : {true, false}) {
    Group g;
    g.join("a", 1, "orders-0");
    if (removed) g.member("removed", "a", 1);
    g.join("b", 2, "orders-0");
    EXPECT_EQ(g.found(), removed ? "none" : "G1") << g.sentence();
  }
}
TEST(ConsumerGroups, WhoJoinsAnewHasNothing) {
  Group g;
  g.join("a", 1, "orders-0"), g.join("b", 2, "");
  g.beats("a", 0, 3), g.told("a", 3, "");
  g.beats_silently("b", 3), g.told("b", 3, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(ConsumerGroups, AnAnswerToAnEarlierHeartbeatIsNothingToItsMember) {
  Group g;
  g.member("joined", "a", 1, "orders-0"), g.beats("a", 0, 1);
  g.beats("a", 0, 1);      // again, since no answer came
  g.beats("a", 1, 2, "");  // and has been told otherwise by the time that the first answers leave
  g.told("a", 1, "orders-0"), g.told("a", 1, "orders-0");
  g.join("b", 2, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.told("a", 2, "orders-0");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(ConsumerGroups, AnAnswerToWhoWasRemovedIsNothingToIt) {
  Group g;
  g.member("joined", "a", 1, "orders-0"), g.beats("a", 0, 1);
  g.member("removed", "a", 1);
  g.member("joined", "b", 2, "orders-0"), g.beats("b", 0, 2);
  g.told("b", 2, "orders-0"), g.told("a", 1, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(ConsumerGroups, G1TwoClientsAreOneMember) {
  Group g;
  g.join("a", 1, "orders-0");
  g.beats_silently("a", 1), g.told("a", 1, "orders-0", "client-5");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(ConsumerGroups, AStaticMemberTakesItsOlderSelfsPlace) {
  for (const bool replaced : {true, false}) {
    Group g;
    g.join("one-a", 1, "orders-0", "one");
    g.member("moved", "one-a", -2, "orders-0", "one");
    g.member(replaced ? "replaced" : "joined", "one-b", 1, "orders-0", "one", replaced ? "one-a" : "");
    g.beats("one-b", 0, 1), g.told("one-b", 1, "orders-0");
    EXPECT_EQ(g.found(), replaced ? "none" : "G1") << g.sentence();
  }
}
TEST(ConsumerGroups, AStaticMemberThatLeavesForAWhileUsesNothing) {
  for (const bool leaves : {true, false}) {
    Group g;
    g.join("a", 1, "orders-0,orders-1", "one"), g.told("a", 1, "orders-0,orders-1");
    g.member("joined", "b", 2, ""), g.beats("b", 0, 2), g.told("b", 2, "");
    g.beats_silently("a", 1), g.told("a", 1, "orders-0");  // it is to give up the other
    if (leaves) g.member("moved", "a", -2, "orders-0", "one");
    g.member("moved", "b", 2, "orders-1"), g.beats_silently("b", 2), g.told("b", 2, "orders-1");
    if (leaves) {
      EXPECT_EQ(g.found(), "none") << g.sentence();
      g.member("moved", "b", 3, "orders-0,orders-1"), g.beats_silently("b", 3), g.told("b", 3, "orders-0,orders-1");
    }
    EXPECT_EQ(g.found(), "G1") << g.sentence();  // its place is kept
  }
}

TEST(ConsumerGroups, ALaterCoordinatorGoesOnWithWhatMembersWereTold) {
  for (const bool known : {true, false}) {
    Group g;
    g.join("a", 1, "orders-0"), g.join("b", 2, "orders-1");
    g.fail_over();
    g.member("loaded", "a", 1, known ? "orders-0" : ""), g.member("loaded", "b", 2, known ? "orders-1" : "orders-0");
    EXPECT_EQ(g.found(), known ? "none" : "G1") << g.sentence();
  }
}
TEST(ConsumerGroups, G1AnOlderEpochIsInForceAgain) {
  for (const int epoch : {2, 1}) {
    Group g;
    g.join("a", 1, "orders-0"), g.beats_silently("a", 2), g.told("a", 2, "orders-0");
    g.fail_over();
    g.member("loaded", "a", epoch, "orders-0");
    EXPECT_EQ(g.found(), epoch == 2 ? "none" : "G1") << g.sentence();
  }
}
TEST(ConsumerGroups, WhatNobodyWasToldMayBeForgotten) {
  Group g;
  g.join("one-a", 1, "orders-0", "one");
  g.member("moved", "one-a", -2, "orders-0", "one");
  g.member("replaced", "one-b", 1, "orders-0", "one", "one-a"), g.beats("one-b", 0, 1);
  g.fail_over();
  g.member("loaded", "one-a", 1, "orders-0", "one");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(ConsumerGroups, WhatALoadedMemberHasIsNotFree) {
  Group g;
  g.join("a", 1, "orders-0");
  g.member("removed", "a", 1);  // and that is lost
  g.fail_over();
  g.member("loaded", "a", 1, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.join("b", 2, "orders-0");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(ConsumerGroups, AnAnswerOfADeposedCoordinatorIsOfThePast) {
  Group g;
  g.join("a", 1, "orders-0");
  g.depose();
  g.join("b", 2, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
// Its records are those of whoever had a copy of them and leads later, before they were ever committed.
TEST(ConsumerGroups, WhatADeposedCoordinatorDecidedMayComeIntoForce) {
  for (const std::string_view how : {"removed", "said", "not at all"}) {
    Group g;
    g.join("a", 1, "orders-0");
    g.depose();
    if (how == "removed") g.member("removed", "a", 1);
    if (how == "said") g.beats("a", 0, 2);
    g.load(1, 3), g.move("Stable", 2);
    g.member("loaded", "a", 2), g.member("loaded", "b", 2, "orders-0");
    EXPECT_EQ(g.found(), how == "not at all" ? "G1" : "none") << g.sentence();
  }
}
// Whom a deposed coordinator has removed the next one may not know at all; what it had is free, but not if it is known.
TEST(ConsumerGroups, WhomADeposedCoordinatorRemovedIsGivenUp) {
  for (const std::string_view how : {"removed", "removed in vain", "not at all"}) {
    Group g;
    g.join("a", 1, "orders-0");
    g.depose();
    if (how != "not at all") g.member("removed", "a", 1);
    g.load(1, 3), g.move("Stable", 2);
    if (how == "removed in vain") g.member("loaded", "a", 1, "orders-0");
    g.join("b", 2, "orders-0");
    EXPECT_EQ(g.found(), how == "removed" ? "none" : "G1") << how << g.sentence();
  }
}
TEST(ConsumerGroups, ARemovedGroupBeginsAnew) {
  Group g;
  g.join("a", 3, "orders-0");
  g.move("Dead", 4, 0);
  g.move("Stable", 1);
  g.join("b", 1, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}

// ---- G3 ----

TEST(ConsumerGroups, G3ACommitOfAnOlderEpochIsTaken) {
  Group g;
  g.join("a", 1, "orders-0"), g.join("b", 2, "");
  g.move("Stable", 2, 2);
  g.decide_commit("a", 1), g.decide_commit("b", 2);  // each in its own
  g.member("moved", "a", 2, "orders-0");
  g.decide_commit("a", 1, 113), g.decide_commit("a", 2);  // STALE_MEMBER_EPOCH
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.decide_commit("a", 1);
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}
TEST(ConsumerGroups, G3ACommitOfWhoIsNoMemberAnyMoreIsTaken) {
  Group g;
  g.join("a", 1, "orders-0");
  g.member("removed", "a", 1);
  g.decide_commit("a", 1, 25);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.decide_commit("a", 1);
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}
TEST(ConsumerGroups, G3WhoHasLeftForAWhileCommits) {
  Group g;
  g.join("one-a", 1, "orders-0", "one");
  g.member("moved", "one-a", -2, "orders-0", "one");
  g.decide_commit("one-a", 1);
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}

}  // namespace
}  // namespace verdict::checker
