#include "tests/unit/checker/cluster.h"

// L4 of logs whose beginning was removed.
namespace verdict::checker {
namespace {

// Of four offsets broker 3 has what lies at `start` and above.
Cluster removed_below(int start) {
  Cluster c;
  c.commit(4);
  c.decide(1, 1, {1, 2});
  c.event(3, LogStartMoved{c.key, Offset(0), Offset(start), StartReason::retention});
  return c;
}
// It has [2, 4) when it stops.
Cluster removed_two(StopKind kind) {
  Cluster c = removed_below(2);
  c.stop(3, kind);
  return c;
}
void lose_file(Cluster& c, int id, const std::string& name, std::uint64_t bytes) {
  c.box.bytes_lost(c.time, NodeId(id), "data/orders-0/" + name, 0, bytes, LossCause::destroyed);
}

TEST(Retention, WhatIsLeftOfALogMayGoAsAWhole) {
  for (const bool lost : {true, false}) {
    for (const int start : {0, 2, 3}) {
      Cluster c = removed_two(StopKind::power_loss);
      if (lost) c.lose(3, 1, 4);
      c.start(3);
      c.open(3, start, -1, start);
      const bool legal = start == 0 || (lost && start == 2);  // at 0: the removed file is back without a byte
      EXPECT_EQ(c.found(), legal ? "none" : "L4") << lost << start << c.sentence();
    }
  }
}
TEST(Retention, ALossBehindTheFirstKeptBatchLeavesIt) {
  for (const int end : {3, 2, 0}) {
    Cluster c = removed_two(StopKind::kill);
    c.lose(3, 3, 4);
    c.start(3);
    c.open(3, end, end == 3 ? 1 : -1, end == 0 ? 0 : 2);
    EXPECT_EQ(c.found(), end == 3 ? "none" : "L4") << end << c.sentence();
  }
}
// A log that holds nothing is but a name: it begins anew where that is lost, and only there.
TEST(Retention, AnEmptyLogsPlaceIsLostWithItsFile) {
  for (const bool lost : {true, false}) {
    Cluster c = removed_below(4);
    c.stop(3, StopKind::kill);
    if (lost) lose_file(c, 3, "00000000000000000004.log", 0);
    c.start(3);
    c.open(3, 0);
    EXPECT_EQ(c.found(), lost ? "none" : "L4") << c.sentence();
  }
}
// Removed, but not for good: a power loss brings the old segment back, and perhaps not all of it.
TEST(Retention, RemovedSegmentsMayComeBackInPartAfterAPowerLossOnly) {
  for (const bool power : {true, false}) {
    for (const bool killed : {true, false}) {
      for (const bool flushed : {false, true}) {
        Cluster c = removed_below(2);
        if (flushed) c.event(3, LogFlushed{c.key, Offset(4)});
        if (killed || !power) c.stop(3, StopKind::kill);
        if (power) c.stop(3, StopKind::power_loss);  // perhaps of a machine that is down
        c.start(3);
        c.open(3, 1, 1);
        EXPECT_EQ(c.found(), power && !flushed ? "none" : "L4") << killed << flushed << c.sentence();
      }
    }
  }
}
// A life that dies as it removes segments leaves some, with their rot.
TEST(Retention, WhatIsLeftOfARemovalMayBeRotten) {
  for (const bool rots : {true, false}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1, 2});
    c.event(3, LogFlushed{c.key, Offset(4)});
    if (rots) c.lose(3, 1, 2, LossCause::rotten);
    c.event(3, LogStartMoved{c.key, Offset(0), Offset(3), StartReason::retention});
    c.stop(3);
    c.start(3);
    c.open(3, 1, 1);
    EXPECT_EQ(c.found(), rots ? "none" : "L4") << c.sentence();
  }
}
// A kill brings the start back that nobody had written down; what lies below is then judged as ever.
TEST(Retention, WhatIsBackBelowTheLogStartIsLostLikeTheRest) {
  for (const bool lost : {true, false}) {
    Cluster c = removed_two(StopKind::kill);
    c.start(3);
    c.open(3, 4, 1);
    c.stop(3, StopKind::power_loss);
    if (lost) c.lose(3, 0, 4);
    c.start(3);
    c.open(3, 0);
    EXPECT_EQ(c.found(), lost ? "none" : "L4") << c.sentence();
  }
}

// A follower whose log ends before its leader's begins dies as it begins anew there, and nobody hears of it.
TEST(Retention, ALogThatBeginsAnewUnheardLacksNothing) {
  for (const StopKind kind : {StopKind::power_loss, StopKind::kill}) {
    for (const int start : {4, 5}) {
      Cluster c;
      c.commit(4);
      c.decide(1, 1, {1, 2});
      c.adopt(1, 1, {1, 2}, {1, 2});
      c.stop(3, kind);
      c.more(1, {1, 2});
      c.event(1, LogStartMoved{c.key, Offset(0), Offset(start), StartReason::retention});
      c.start(3);
      c.event(3, MetadataApplied{Offset(10)});
      c.open(3, 5, -1, 5);
      c.follow(3, 1, 1);
      c.up(3, false);
      c.fetch(1, 1, 3, 5);
      c.decide(1, 1, {1, 2, 3});
      EXPECT_EQ(c.found(), start == 5 ? "none" : "C2") << start << c.sentence();
    }
  }
}

// After two configured unclean elections broker 3, which copied `records` of broker 2 behind offset 0 and removed what
// lies below `start`, follows broker 1 again, which wrote two others there.
Cluster of_another_history(int records, int start) {
  Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = true});
  c.commit(1);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.append(1, 1, 701), c.append(1, 1, 702);
  c.fence(1, true);
  c.decide(2, 2, {2}, true);
  c.lead(2, 2, {2}, 1);
  for (int i = 1; i <= records; ++i) c.append(2, 2, 800U + static_cast<unsigned>(i));
  c.follow(3, 2, 2);
  for (int i = 1; i <= records; ++i) c.copy(3, 2, 800U + static_cast<unsigned>(i));
  c.event(3, LogStartMoved{c.key, Offset(0), Offset(start), StartReason::retention});
  c.fence(2, true), c.fence(1, false);
  c.decide(1, 3, {1}, true);
  c.lead(1, 3, {1}, 3);
  c.follow(3, 3, 1);
  return c;
}

// An unclean election makes a log the truth that lacks all, and the next one the first again: it begins where it does.
TEST(Retention, AnElectedLogsBeginningIsTheTruths) {
  for (const bool unclean : {true, false}) {
    Cluster c({1, 2, 3}, 1, {.unclean_election_allowed = unclean});
    c.commit(0);
    c.decide(1, 1, {1});
    c.adopt(1, 1, {1}, {1});
    c.append(1, 1, 701);
    c.event(1, LogStartMoved{c.key, Offset(0), Offset(1), StartReason::retention});
    c.fence(1, true);
    c.decide(2, 2, {2}, true);
    c.fence(2, true), c.fence(1, false);
    c.decide(1, 3, {1}, true);
    EXPECT_EQ(c.found(), unclean ? "none" : "C1") << c.sentence();
  }
}

// From its own log start on both are the same, whatever was below.
TEST(Retention, WhatIsCopiedBehindTheLogStartIsTheSameWhateverWasBelow) {
  Cluster c = of_another_history(1, 2);
  c.copy(3, 1, 702);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.advance_follower(3, 3, 2, 3);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// What another leader had written is gone: in part it was removed, and the rest was cut. But what this leader has there
// is missing, unless it was removed too.
TEST(Retention, ALogThatIsCutToItsStartDivergesFromNothing) {
  for (const int start : {1, 3}) {
    for (const bool removed : {true, false}) {
      Cluster c = of_another_history(3, start);
      c.event(3, LogTruncated{c.key, Offset(4), Offset(3), TruncateReason::divergence});
      if (removed) c.event(1, LogStartMoved{c.key, Offset(0), Offset(3), StartReason::retention});
      c.fetch(1, 3, 3, 3);
      c.decide(1, 3, {1, 3});
      EXPECT_EQ(c.found(), start == 3 && removed ? "none" : "C2") << start << removed << c.sentence();
    }
  }
}
// Where a log begins that was started anew in a history that is lost since, the next one has records.
TEST(Retention, C2ALogThatBeginsWhereNothingWasRemoved) {
  for (const bool lost : {false, true}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1});
    c.event(1, LogStartMoved{c.key, Offset(0), Offset(4), StartReason::retention});
    c.truncate(3, 4, TruncateReason::full);
    if (lost) {
      c.stop(1, StopKind::power_loss);
      c.lose(1, 0, 4);
      c.start(1);
      c.open(1, 0);
      c.up(1, false);
      c.decide(1, 2, {1});
      c.lead(1, 2, {1});
      for (int i = 0; i < 4; ++i) c.append(1, 2, 900U + static_cast<unsigned>(i));
    } else {
      c.decide(1, 2, {1});
    }
    c.append(1, 2, 904);
    c.follow(3, 2, 1);
    c.copy(3, 2, 904);
    c.fetch(1, 2, 3, 5);
    c.decide(1, 2, {1, 3});
    EXPECT_EQ(c.found(), lost ? "C2" : "none") << c.sentence();
    EXPECT_EQ(c.sentence().contains("begins at 4"), lost) << c.sentence();
  }
}

}  // namespace
}  // namespace verdict::checker
