#include "tests/unit/checker/cluster.h"

// What rot leads to when it is met by somebody who says nothing of it.
namespace verdict::checker {
namespace {

// A life that dies before it has opened its log may have cut it at the rot, which is gone with the heal.
TEST(Rot, ALifeThatNeverOpenedItsLogMayHaveCutItThere) {
  for (const bool met : {true, false}) {
    for (const bool under_way : {true, false})  // a recovery, as the rot is lifted
      for (const LossCause cause : {LossCause::rotten, LossCause::destroyed}) {
        for (const int recovered : {4, 2, 1}) {
          Cluster c;
          c.commit(4);
          c.decide(1, 1, {1, 2});
          c.stop(3);
          c.lose(3, 2, 3, cause);
          if (met) c.start(3);
          if (met && !under_way) c.stop(3);
          c.box.faults_healed(c.time);
          if (!met || !under_way) c.start(3);
          c.open(3, recovered, 1);
          const bool cut = recovered == 2 && (met || cause == LossCause::destroyed);
          const bool whole = recovered == 4 && cause == LossCause::rotten;
          EXPECT_EQ(c.found(), cut || whole ? "none" : "L4") << met << recovered << c.sentence();
        }
      }
  }
}

// The last member was misled to an end at 9 by the rotten base offset of its last batch; broker 2 copies it from there.
Cluster misled_leader(bool rots, int min_isr = 1) {
  Cluster c({1, 2, 3}, min_isr);
  c.commit(4);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.event(1, LogFlushed{c.key, Offset(4)});
  c.stop(1);
  if (rots) c.lose(1, 3, 4, LossCause::rotten);
  c.start(1);
  c.open(1, rots ? 9 : 4, 1);
  c.up(1, false);
  c.decide(1, 2, {1}), c.lead(1, 2, {1}, 4);
  return c;
}
TEST(L1, AMisledLeadersRottenBatchIsCopiedWithTheHoleBeforeIt) {
  for (const bool rots : {true, false}) {
    Cluster c = misled_leader(rots);
    c.follow(2, 2, 1);
    c.append(2, 1, 103, false, 8);
    EXPECT_EQ(c.found(), rots ? "none" : "L1") << c.sentence();
    if (!rots) continue;
    EXPECT_TRUE(c.box.misled(c.key));
    c.append(1, 2, 209), c.copy(2, 2, 209);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    c.append(2, 2, 211, false, 11);  // nothing rotted there
    EXPECT_EQ(c.found(), "L1");
  }
}
// Below the minimum nothing is committed again of what rot took, whatever the leader remembers.
TEST(C4, OnAMisledLogAHighWatermarkSaysNothing) {
  for (const bool copied : {true, false}) {
    Cluster c = misled_leader(true, 2);
    EXPECT_EQ(c.hw(), 3);
    c.follow(2, 2, 1);
    if (copied) c.append(2, 1, 103, false, 8);
    c.advance_follower(2, 2, 0, 4);
    EXPECT_EQ(c.found(), copied ? "none" : "C4") << c.sentence();
  }
}
// A leader hands on a batch whose base offset rotted under it.
TEST(L1, ARottenBatchOfARunningLeaderIsCopiedWithTheHoleBeforeIt) {
  for (const bool rots : {true, false}) {
    for (const unsigned crc : {103U, 104U}) {
      Cluster c;
      c.commit(3);
      c.append(1, 1, 103);
      if (rots) c.lose(1, 3, 4, LossCause::rotten);
      c.append(2, 1, crc, false, 900);
      EXPECT_EQ(c.found(), rots && crc == 103U ? "none" : "L1") << c.sentence();
    }
  }
}
TEST(L1, OnlyTheMisledLeadersFollowersCopyIt) {
  Cluster c = misled_leader(true);
  c.stop(2), c.start(2), c.open(2, 4, 1);
  c.append(2, 1, 103, false, 8);  // follows nobody
  EXPECT_EQ(c.found(), "L1");
  Cluster leads = misled_leader(true);
  leads.append(1, 2, 209, true, 11);
  EXPECT_EQ(leads.found(), "L1");
}

}  // namespace
}  // namespace verdict::checker
