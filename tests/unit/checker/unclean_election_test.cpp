#include "tests/unit/checker/cluster.h"

// What unclean.leader.election.enable excuses, and what it doesn't.
namespace verdict::checker {
namespace {

// All commit two records, `isr` alone `more`. Then some are fenced, and `elected` leads without what it never had.
void elect_without(Cluster& c, int elected, int more, const std::vector<int>& isr, const std::vector<int>& fenced) {
  c.commit(2);
  c.decide(1, 1, isr);
  c.adopt(1, 1, isr, isr);
  c.more(more, isr);
  for (const int id : fenced) c.fence(id, true);
  c.decide(elected, 2, {elected}, true);
}
TEST(C1, ExcusesAnUncleanElectionThatIsConfiguredAndHasNoActiveMember) {
  Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
  elect_without(c, 3, 1, {1, 2}, {1, 2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 2);
  // The deposed leader has not heard of it, and goes on as it may.
  EXPECT_EQ(c.box.metrics().excused_losses, 1u);
  c.acknowledge(1, 1, 2, 102, {1, 2});
  EXPECT_EQ(c.box.metrics().excused_losses, 2u) << "clients can't know why it is gone";
  c.deliver(1, 1, 2, 102, 1, 3);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C1, ConfiguredUncleanElectionWithAnActiveMemberIsNoExcuse) {
  Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
  elect_without(c, 3, 1, {1, 2}, {1});
  c.event(0, QuorumCommitted{Offset(20), 1});
  EXPECT_EQ(c.found(), "C1");
}
// A batch of records tells of elections first, then of the fencing that caused them.
TEST(C1, AConfiguredUncleanElectionIsJudgedWithItsWholeBatch) {
  for (const bool fenced : {true, false}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
    elect_without(c, 3, 1, {1}, {});
    EXPECT_EQ(c.found(), "none") << c.sentence();
    c.fence(fenced ? 1 : 2, true);
    c.lead(3, 2, {3}, 2);
    EXPECT_EQ(c.found(), fenced ? "none" : "C1") << c.sentence();
    if (!fenced) continue;
    EXPECT_EQ(c.hw(), 2);
    EXPECT_EQ(c.box.metrics().excused_losses, 1u);
    c.append(3, 2, 900);
    c.advance(3, 2, 2, 3, {3}, {3});
    EXPECT_EQ(c.hw(), 3);
    EXPECT_EQ(c.found(), "none") << c.sentence();
  }
}
TEST(C4, ADeposedLeaderGoesOnAfterAConfiguredUncleanElection) {
  for (const bool allowed : {true, false}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = allowed});
    elect_without(c, 3, 0, {1}, {1});
    c.append(1, 1, 102);
    c.advance(1, 1, 2, 3, {1}, {3});
    EXPECT_EQ(c.found(), allowed ? "none" : "C4") << c.sentence();
  }
}
// A heartbeat of its earlier life was late: the broker is elected before its next life has opened a log.
void elect_a_broker_that_is_down(Cluster& c, bool its_members_are_fenced) {
  c.commit(2);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.more(1, {1});
  c.stop(3);
  c.start(3);
  if (its_members_are_fenced) c.fence(1, true);
  c.decide(3, 2, {3}, true);
}
TEST(C4, ADeposedLeaderGoesOnAfterAConfiguredUncleanElectionOfABrokerThatIsDown) {
  for (const bool allowed : {true, false}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = allowed});
    elect_a_broker_that_is_down(c, true);
    c.append(1, 1, 103);
    c.advance(1, 1, 3, 4, {1}, {4});
    EXPECT_EQ(c.found(), allowed ? "none" : "C4") << c.sentence();
  }
}
TEST(C1C2, AnUncleanElectionOfABrokerThatIsDownIsJudgedByTheMembersThatThereWere) {
  for (const bool allowed : {true, false}) {
    for (const bool fenced : {true, false}) {
      Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = allowed});
      elect_a_broker_that_is_down(c, fenced);
      c.event(0, QuorumCommitted{Offset(20), 1});
      c.open(3, 2, 1);
      c.up(3, false);
      c.lead(3, 2, {3}, 2);
      if (!allowed || !fenced) {
        EXPECT_TRUE(c.found() == "C1" || c.found() == "C2") << allowed << fenced << c.found() << c.sentence();
        continue;
      }
      EXPECT_EQ(c.found(), "none") << c.sentence();
      EXPECT_EQ(c.hw(), 2);
      EXPECT_EQ(c.box.metrics().excused_losses, 1u);
      c.append(3, 2, 900);
      c.advance(3, 2, 2, 3, {3}, {3});
      EXPECT_EQ(c.found(), "none") << c.sentence();
    }
  }
}
// It was deposed before it had heard that it leads, and says what was committed once.
TEST(C3, ADeposedLeaderBeginsAfterAConfiguredUncleanElection) {
  for (const bool late : {true, false}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
    c.commit(2);
    c.decide(1, 1, {1, 2});
    c.adopt(1, 1, {1, 2}, {1, 2});
    c.more(1, {1, 2});
    c.fence(1, true);
    c.decide(2, 2, {2});
    if (!late) c.lead(2, 2, {2}, 3);
    c.fence(2, true);
    c.decide(3, 3, {3}, true);
    if (late) c.lead(2, 2, {2}, 3);
    c.lead(3, 3, {3}, 2);
    c.append(3, 3, 900);
    c.advance(3, 3, 2, 3, {3}, {3});
    EXPECT_EQ(c.found(), "none") << late << c.sentence();
  }
}
// What an election took may still be read: from the deposed leader, and from a follower of the new one that has yet to
// cut it. Not from the new leader.
TEST(C6, WhatAConfiguredUncleanElectionTookIsReadWhereItStillIs) {
  for (const int reader : {1, 2, 3}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
    elect_without(c, 3, 1, {1, 2}, {1, 2});
    c.lead(3, 2, {3}, 2);
    c.append(3, 2, 902);
    c.advance(3, 2, 2, 3, {3}, {3});
    if (reader == 2) c.follow(2, 2, 3);
    const std::uint64_t before = c.box.metrics().excused_losses;
    c.deliver(reader, reader == 1 ? 1 : 2, 2, reader == 3 ? 902 : 102, reader == 3 ? 2 : 1, 3);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    EXPECT_EQ(c.box.metrics().excused_losses - before, reader == 3 ? 0U : 1U);
  }
}
// Broker 2 was elected without offsets 2 and 3, then broker 1, which has them, and had committed them in its time.
TEST(C4, AConfiguredUncleanElectionMayBringBackWhatAnotherCut) {
  for (const int high_watermark : {4, 2}) {
    Cluster c({1, 2, 3}, 2, {.unclean_election_allowed = true});
    elect_without(c, 2, 2, {1, 3}, {1, 3});
    c.lead(2, 2, {2}, 2);
    EXPECT_EQ(c.hw(), 2);
    c.fence(2, true);
    c.decide(-1, 3, {2});
    c.stop(1, StopKind::orderly);
    c.start(1);
    c.open(1, 4, 1);
    c.up(1);
    c.decide(1, 4, {1}, true);
    c.lead(1, 4, {1}, high_watermark);
    c.follow(2, 4, 1);
    c.copy(2, 1, 102), c.copy(2, 1, 103);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    c.advance_follower(2, 4, 2, 4);
    EXPECT_EQ(c.found(), high_watermark == 4 ? "none" : "C4") << c.sentence();
  }
}

}  // namespace
}  // namespace verdict::checker
