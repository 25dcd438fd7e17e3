#include "tests/unit/checker/cluster.h"

// C5: what a replica in the ISR may truncate.
namespace verdict::checker {
namespace {

TEST(C5, TruncatesCommitted) {
  Cluster c;
  c.commit(2);
  c.truncate(2, 1);
  EXPECT_EQ(c.found(), "C5");
}
TEST(C5, UncommittedTailAndNonMembersMayTruncate) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102);
  c.truncate(2, 2);
  c.decide(1, 1, {1, 2});
  c.truncate(3, 1);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// Brokers 1 and 3 hold offset 2 of epoch 1, which nobody was told of. Broker 2, which lacks it, leads epoch 2 until
// broker 1 is elected again. Neither 1 nor 3 has heard of epoch 2 when epoch 3 is decided: all of the ISR holds offset
// 2 by chance.
Cluster elected_unaware(int leader = 1, const std::vector<int>& isr = {1, 3}) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(3, 1, 102);
  c.decide(2, 2, {1, 2, 3}), c.lead(2, 2, {1, 2, 3}, 2);
  c.append(2, 2, 202);
  c.decide(1, 3, isr);
  if (leader != 1) c.decide(leader, 4, isr);
  EXPECT_EQ(c.hw(), 3);
  return c;
}
TEST(C5, AnElectedLeaderMayFollowAnOlderEpochFirst) {
  Cluster c = elected_unaware();
  c.follow(1, 2, 2), c.diverge(2, 2, 1, 1, 2), c.truncate(1, 2), c.copy(1, 2, 202);
  EXPECT_EQ(c.hw(), 2);
  c.lead(1, 3, {1, 3}, 2);
  c.follow(3, 3, 1), c.diverge(1, 3, 3, 1, 2), c.truncate(3, 2), c.copy(3, 2, 202);
  EXPECT_EQ(c.hw(), 3);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C5, SoMayAMemberOfAnIsrWithoutALeader) {
  Cluster c = elected_unaware(-1, {1});
  c.follow(1, 2, 2), c.diverge(2, 2, 1, 1, 2), c.truncate(1, 2);
  EXPECT_EQ(c.hw(), 2);
  c.decide(1, 5, {1}), c.lead(1, 5, {1}, 2);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C5, SoMayTheOtherMembersOfTheElectedLeadersIsr) {
  Cluster c = elected_unaware();
  c.follow(3, 2, 2), c.diverge(2, 2, 3, 1, 2), c.truncate(3, 2);
  EXPECT_EQ(c.hw(), 2);
  c.lead(1, 3, {1, 3}, 2);
  c.follow(3, 3, 1), c.copy(3, 1, 102);
  EXPECT_EQ(c.hw(), 3);
  c.fetch(1, 3, 3, 3), c.advance(1, 3, 2, 3, {1, 3}, {3, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C5, AnElectedLeaderTruncatesWhatSomebodyWasTold) {
  Cluster c = elected_unaware();
  c.follow(1, 2, 2), c.diverge(2, 2, 1, 1, 2), c.truncate(1, 1);
  EXPECT_EQ(c.found(), "C5");
}
TEST(C5, AMemberTruncatesWhatSomebodyWasToldInTheMeantime) {
  Cluster c = elected_unaware();
  c.lead(1, 3, {1, 3}, 2);
  c.follow(3, 2, 2), c.diverge(2, 2, 3, 1, 2);
  c.fetch(1, 3, 3, 3), c.advance(1, 3, 2, 3, {1, 3}, {3, 3});
  c.truncate(3, 2);
  EXPECT_EQ(c.found(), "C5");
}
TEST(C5, ALeaderInOfficeTruncates) {
  Cluster c = elected_unaware();
  c.follow(1, 2, 2), c.diverge(2, 2, 1, 1, 2);
  c.lead(1, 3, {1, 3}, 2);
  c.truncate(1, 2);
  EXPECT_EQ(c.found(), "C5");
}
TEST(C5, TruncatesOnNobodysWord) {
  for (const int member : {1, 3}) {
    Cluster c = elected_unaware();
    c.follow(member, 2, 2), c.truncate(member, 2);
    EXPECT_EQ(c.found(), "C5");
  }
}
TEST(C5, TruncatesOnADeposedLeadersWordThatIsNoLongerIts) {
  Cluster c = elected_unaware();
  c.lead(1, 3, {1, 3}, 2);
  c.follow(3, 2, 2), c.diverge(2, 2, 3, 1, 2);
  c.follow(3, 3, 1);
  c.truncate(3, 2);
  EXPECT_EQ(c.found(), "C5");
}
TEST(C5, TruncatesOnALeadersWordThatHoldsIt) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102), c.copy(3, 1, 102);
  c.decide(2, 2, {1, 2, 3}), c.lead(2, 2, {1, 2, 3}, 2);
  c.follow(3, 2, 2), c.diverge(2, 2, 3, 1, 2);
  c.decide(1, 3, {1, 2, 3});
  c.truncate(3, 2);
  EXPECT_EQ(c.found(), "C5");
}

// A member dies in the truncation that its leader asked for, and is the last one when it returns: what it cut was on
// all of the ISR while nobody knew that it was gone.
TEST(C2, ATruncationThatNobodyHeardOfTakesWhatNobodyWasToldOf) {
  for (const bool asked : {true, false}) {
    Cluster c;
    c.commit(2);
    c.append(1, 1, 102), c.copy(3, 1, 102);
    c.fence(1, true);
    c.decide(2, 2, {2, 3});
    c.lead(2, 2, {2, 3}, 2);
    c.follow(3, 2, 2);
    if (asked) c.diverge(2, 2, 3, 1, 2);
    c.stop(3);
    c.fence(2, true);
    c.decide(3, 3, {3});
    c.decide(-1, 4, {3});
    c.start(3);
    c.open(3, 2, 1);
    c.up(3, false);
    EXPECT_EQ(c.found(), asked ? "none" : "L4") << c.sentence();
  }
}

}  // namespace
}  // namespace verdict::checker
