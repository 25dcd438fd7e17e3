#include "tests/unit/checker/group.h"

// G1-G5, each in a run that breaks it, beside the same run as it should be.
namespace verdict::checker {
namespace {

constexpr ProducerId kAlice{1};
constexpr std::uint64_t kClient = 4;

struct Group : GroupCluster {
  // ---- the log ----
  int write(std::string_view kind, int committed = -1, ProducerId producer = kNoProducerId, bool replicate = true,
            bool announce = true) {
    const int at = ends[coordinator], epoch = term;
    const unsigned crc = 100U + static_cast<unsigned>(at);
    append(coordinator, epoch, crc);
    if (announce) {
      event(coordinator, GroupRecordAppended{key, Offset(at), kind, "g", "orders", 0, committed, producer, -1});
    }
    if (replicate) commit_tail();
    return at;
  }
  void commit_tail() {
    const int other = 3 - coordinator, end = ends[coordinator];
    while (ends[other] < end) {
      copy(other, term, 100U + static_cast<unsigned>(ends[other]));
      fetch(coordinator, term, other, ends[other]);
    }
    advance(coordinator, term, end - 1, end, {1, 2}, {end, end});
  }
  int offset(int committed) { return write("offset", committed); }
  void mark(std::string_view outcome) {
    const int at = ends[coordinator];
    const unsigned crc = 100U + static_cast<unsigned>(at);
    transactional(coordinator, one_record(key, at, term, Role::leader, crc, kAlice, ProducerEpoch(0)), outcome);
    ends[coordinator] = at + 1;
  }
  // ---- decisions ----
  void move(std::string_view state, int generation, int members = 1) {
    event(coordinator, GroupMoved{key, "g", state, generation, members});
  }
  // ---- what is told ----
  void synced(std::string_view id, int generation, std::string_view assignment, std::string_view client = "client-4",
              std::string_view instance = "") {
    event(coordinator, GroupSynced{key, "g", generation, id, instance, client, assignment});
  }
  void joined(std::string_view id, int generation, std::string_view instance, std::string_view asked_as = "") {
    event(coordinator, GroupJoined{key, "g", generation, id, instance, "client-5", asked_as});
  }
  void acknowledged(int committed, int error = 0) {
    event(coordinator, OffsetCommitted{key, "g", "orders", 0, committed, static_cast<std::int16_t>(error)});
  }
  void fetched(int committed) { event(coordinator, OffsetFetched{key, "g", "orders", 0, committed}); }
  void asked() { box.offsets_asked(time, kClient); }
  void resumed(int position) { box.consumption_resumed(time, kClient, "g", "orders", 0, position); }
};

// A static member stays, though it missed the rebalance: it goes on in the generation of a coordinator that nobody
// follows any more, which has the same number.
TEST(Groups, ACommitInAnotherCoordinatorsGeneration) {
  enum class Told { loaded, both, one };
  for (const Told told : {Told::loaded, Told::both, Told::one}) {
    Group g;
    g.move("Stable", 2), g.member("loaded", "a", 2), g.member("loaded", "b", 2);
    if (told != Told::loaded) {
      g.move("CompletingRebalance", 3, 2);
      if (told == Told::both) g.joined("a", 3, "seat", "a");
      g.joined("b", 3, "", "b");
      g.move("Stable", 3, 2);
    }
    g.decide_commit("a", told == Told::loaded ? 2 : 3);
    EXPECT_EQ(g.found(), "none") << g.sentence();
    EXPECT_EQ(g.box.metrics().misplaced_commits, told == Told::one ? 1U : 0U);
  }
}

// ---- G1 ----

TEST(Groups, AMoveBetweenGenerationsIsNoConflict) {
  Group g;
  g.synced("a", 1, "orders-0,orders-1"), g.synced("b", 1, "orders-2");
  g.synced("a", 1, "orders-0,orders-1");  // asked again
  g.synced("a", 2, "orders-0"), g.synced("b", 2, "orders-1,orders-2");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(Groups, G1TwoMembersHaveOnePartition) {
  Group g;
  g.synced("a", 1, "orders-0,orders-1"), g.synced("b", 1, "orders-1");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(Groups, G1TwoClientsAreOneMember) {
  Group g;
  g.synced("a", 1, "orders-0", "client-4"), g.synced("a", 2, "orders-0", "client-5");
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.synced("a", 2, "orders-0", "client-4");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(Groups, AStaticMemberTakesItsOlderSelfsPlace) {
  Group g;
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  g.joined("one-b", 1, "one");
  g.synced("one-b", 1, "orders-0", "client-5", "one");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(Groups, G1TheOlderSelfIsToldAgain) {
  Group g;
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  g.joined("one-b", 1, "one");
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(Groups, AnAnswerOfADeposedCoordinatorIsOfThePast) {
  Group g;
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  g.fail_over();
  g.member("loaded", "one-a", 1, "orders-0", "one");
  g.joined("one-b", 1, "one");
  g.start(1);
  g.coordinator = 1;
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(Groups, G1AReplacementIsForgotten) {
  for (const bool persisted : {true, false}) {
    Group g;
    g.synced("one-a", 1, "orders-0", "client-4", "one");
    g.joined("one-b", 1, "one");
    g.fail_over();
    g.move("Stable", 1);
    g.member("loaded", persisted ? "one-b" : "one-a", 1, "orders-0", "one");
    EXPECT_EQ(g.found(), persisted ? "none" : "G1") << g.sentence();
  }
}
TEST(Groups, WhoTookAPlaceAndHasNotHeardSoIsLoaded) {
  Group g;
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  g.member("replaced", "one-b", 1, "", "one", "one-a");
  g.member("replaced", "one-c", 1, "", "one", "one-b");
  g.fail_over();
  g.member("loaded", "one-c", 1, "orders-0", "one");
  g.synced("one-c", 1, "orders-0", "client-5", "one");
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.synced("one-a", 1, "orders-0", "client-4", "one");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(Groups, G1AnOlderGenerationIsInForceAgain) {
  Group g;
  g.synced("a", 2, "orders-0");
  g.fail_over();
  g.member("loaded", "a", 1, "orders-0");
  EXPECT_EQ(g.found(), "G1") << g.sentence();
}
TEST(Groups, WhatNobodyWasToldMayBeForgotten) {
  Group g;
  g.synced("a", 1, "orders-0");
  g.move("CompletingRebalance", 2);
  g.fail_over();
  g.member("loaded", "a", 1, "orders-0");
  g.synced("b", 2, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(Groups, ARemovedGroupBeginsAnew) {
  Group g;
  g.synced("a", 3, "orders-0");
  g.move("Dead", 4, 0);
  g.synced("b", 1, "orders-0");
  EXPECT_EQ(g.found(), "none") << g.sentence();
}

// ---- G3 ----

TEST(Groups, G3ACommitOfAnOlderGenerationIsTaken) {
  Group g;
  g.member("joined", "a", 0), g.move("Stable", 1);
  g.decide_commit("a", 1);
  g.move("CompletingRebalance", 2);
  g.decide_commit("a", 1, 22);  // ILLEGAL_GENERATION
  g.decide_commit("", -1);      // an administrator's
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.decide_commit("a", 1);
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}
TEST(Groups, G3ACommitOfWhoIsNoMemberAnyMoreIsTaken) {
  Group g;
  g.member("joined", "a", 0), g.member("joined", "b", 0), g.move("Stable", 1);
  g.member("removed", "a", 1);
  g.decide_commit("b", 1), g.decide_commit("a", 1, 25);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.decide_commit("a", 1);
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}
TEST(Groups, G3AnOlderSelfCommits) {
  Group g;
  g.member("joined", "one-a", 0, "", "one"), g.move("Stable", 1);
  g.member("replaced", "one-b", 1, "", "one", "one-a");
  g.decide_commit("one-b", 1, 0, "one"), g.decide_commit("one-a", 1, 82, "one");
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.decide_commit("one-a", 1, 0, "one");
  EXPECT_EQ(g.found(), "G3") << g.sentence();
}
TEST(Groups, ACoordinatorJudgesByItsOwnGeneration) {
  Group g;
  g.member("joined", "a", 0), g.move("Stable", 1), g.move("CompletingRebalance", 2);
  g.fail_over();
  g.move("Stable", 1), g.member("loaded", "a", 1);
  g.decide_commit("a", 1);
  EXPECT_EQ(g.found(), "none") << g.sentence();
}

// ---- G2, G4 ----

TEST(Groups, TheLatestCommitIsAnswered) {
  Group g;
  g.fetched(-1);
  g.offset(5), g.acknowledged(5), g.fetched(5);
  g.offset(9), g.acknowledged(9), g.fetched(9);
  g.offset(7), g.acknowledged(7), g.fetched(7);  // a group may go back
  g.write("offset_removed"), g.fetched(-1);
  EXPECT_EQ(g.found(), "none") << g.sentence();
}
TEST(Groups, G2AnEarlierCommitIsAnswered) {
  Group g;
  g.offset(5), g.offset(9);
  g.fetched(5);
  EXPECT_EQ(g.found(), "G2") << g.sentence();
}
TEST(Groups, G2ARemovedOffsetIsAnswered) {
  Group g;
  g.offset(5), g.write("offset_removed"), g.fetched(5);
  EXPECT_EQ(g.found(), "G2") << g.sentence();
}
TEST(Groups, G2ANewCoordinatorReadsItsLog) {
  for (const int answer : {9, 5}) {
    Group g;
    g.offset(5), g.offset(9);
    g.fail_over();
    g.fetched(answer);
    EXPECT_EQ(g.found(), answer == 9 ? "none" : "G2") << g.sentence();
  }
}
TEST(Groups, WhatWasCutFromALogIsNoCommit) {
  Group g;
  g.offset(5);
  g.write("offset", 9, kNoProducerId, /*replicate=*/false);
  g.fail_over();
  g.fetched(5);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.fetched(9);
  EXPECT_EQ(g.found(), "G2") << g.sentence();
}
TEST(Groups, OfRecordsThatNobodyAnnouncedNothingIsKnown) {
  Group g;
  g.offset(5);
  g.write("offset", 9, kNoProducerId, true, /*announce=*/false);
  g.fetched(9);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.offset(11), g.fetched(11);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.fetched(9);
  EXPECT_EQ(g.found(), "G2") << g.sentence();
}
TEST(Groups, WhenTransactionsOffsetsAreVisibleIsNotJudged) {
  Group g;
  g.offset(5);
  g.write("offset", 9, kAlice), g.fetched(5), g.fetched(9);
  g.mark("commit"), g.fetched(9), g.fetched(5);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.fetched(6);
  EXPECT_EQ(g.found(), "G2") << g.sentence();
}
TEST(Groups, G4AnAcknowledgedCommitIsLost) {
  Group g;
  g.offset(5), g.acknowledged(5), g.offset(9), g.acknowledged(9);
  g.fail_over();
  g.fetched(5);
  EXPECT_EQ(g.found(), "G4") << g.sentence();
}
TEST(Groups, G4ACommitIsAcknowledgedBeforeItIsCommitted) {
  Group g;
  g.write("offset", 5, kNoProducerId, /*replicate=*/false);
  g.acknowledged(5, 16);  // NOT_COORDINATOR
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.acknowledged(5);
  EXPECT_EQ(g.found(), "G4") << g.sentence();
}
TEST(Groups, G4ACommitIsAcknowledgedAndInNoLog) {
  Group g;
  g.offset(5), g.acknowledged(5);
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.acknowledged(6);
  EXPECT_EQ(g.found(), "G4") << g.sentence();
}

// ---- G5 ----

TEST(Groups, G5AMemberGoesOnElsewhere) {
  Group g;
  g.asked(), g.fetched(-1), g.resumed(-1);
  g.offset(5), g.asked(), g.fetched(5), g.resumed(5);
  g.asked(), g.fetched(5), g.offset(9), g.resumed(5);  // the answer was on its way
  EXPECT_EQ(g.found(), "none") << g.sentence();
  g.asked(), g.fetched(9), g.resumed(5);
  EXPECT_EQ(g.found(), "G5") << g.sentence();
}
TEST(Groups, G5NobodyTold) {
  Group g;
  g.asked(), g.resumed(-1);
  EXPECT_EQ(g.found(), "G5") << g.sentence();
}

}  // namespace
}  // namespace verdict::checker
