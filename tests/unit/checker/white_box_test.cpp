#include "tests/unit/checker/cluster.h"

namespace verdict::checker {
namespace {

TEST(Healthy, CommitAcknowledgeDeliver) {
  Cluster c({1, 2, 3}, 2);
  c.commit(3);
  c.acknowledge(1, 1, 2, 102, {1, 2, 3});
  c.deliver(1, 1, 1, 101, 1, 3);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 3);
  EXPECT_EQ(c.box.metrics().acknowledged, 1u);
  EXPECT_EQ(c.box.metrics().committed_batches, 3u);
}

// ---- C1 ----
TEST(C1, UncleanElectionLosesAnAcknowledgedOffset) {
  Cluster c;
  c.commit(2);
  c.decide(1, 1, {1, 2});
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.more(1, {1, 2});
  c.acknowledge(1, 1, 2, 102, {1, 2});
  c.decide(3, 2, {3}, true);
  EXPECT_EQ(c.found(), "C1");
  EXPECT_EQ(c.sentence(), "acknowledged offset 2 of orders-0 lost when epoch 1 became 2");
  EXPECT_EQ(c.box.violation()->offset, Offset(2));
  EXPECT_GE(c.box.violation()->witnesses.size(), 2u);
}

void last_member_restarts(Cluster& c, bool power_loss, int recovered) {
  c.commit(3);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.append(1, 1, 103);
  c.advance(1, 1, 3, 4, {1}, {4});
  c.stop(1, power_loss ? StopKind::power_loss : StopKind::kill);
  if (power_loss) c.lose(1, 2, 4);
  c.fence(1, true);
  c.decide(-1, 2, {1});
  c.start(1);
  c.open(1, recovered, 1);
  c.register_broker(1, false);
  c.fence(1, false);
  c.decide(1, 3, {1});
  c.lead(1, 3, {1}, std::min(recovered, 4));
}
TEST(C1C2, ExcuseTheLastMemberThatLostItsTailToPowerLoss) {
  Cluster c;
  last_member_restarts(c, true, 2);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 2);
  EXPECT_EQ(c.box.metrics().excused_losses, 1u);
  c.append(1, 3, 900);
  c.advance(1, 3, 2, 3, {1}, {3});
  c.truncate(2, 2);  // the others follow
  c.copy(2, 3, 900);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.acknowledge(1, 3, 2, 901, {1});  // the excuse ends with the epoch that lost
  EXPECT_EQ(c.found(), "C7");
}
TEST(C1C2, NoLossAfterAKill) {
  Cluster c;
  last_member_restarts(c, false, 4);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 4);
}

// ---- C2 ----
TEST(C2, AMemberThatLostItsTailStaysInTheIsr) {
  Cluster c;
  c.commit(3);
  c.stop(2, StopKind::power_loss);
  c.lose(2, 1, 3);
  c.start(2);
  c.open(2, 1, 1);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.register_broker(2, false);
  EXPECT_EQ(c.found(), "none");  // fenced: not electable yet
  c.fence(2, false);
  EXPECT_EQ(c.found(), "C2");
}
TEST(C2, AdmittedBelowWhatWasAnnounced) {
  Cluster c;
  c.commit(2);
  c.decide(1, 1, {1, 2});
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.more(2, {1, 2});
  c.fetch(1, 1, 3, 2);
  c.decide(1, 1, {1, 2, 3});
  EXPECT_EQ(c.found(), "C2");
}
TEST(C2, AdmittedBelowWhatNobodyWasToldOf) {
  Cluster c;
  c.commit(2);
  c.decide(1, 1, {1, 2});
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.append(1, 1, 102);
  c.copy(2, 1, 102);  // on all of the ISR, but the leader does not know
  EXPECT_EQ(c.hw(), 3);
  c.fetch(1, 1, 3, 2);
  c.propose(1, 1, {1, 2}, {1, 2, 3}, {1, 2, 3});
  c.decide(1, 1, {1, 2, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 2);
  c.decide(3, 2, {3});  // it may even lead
  c.lead(3, 2, {3}, 2);
  c.append(3, 2, 777);
  c.advance(3, 2, 2, 3, {3}, {3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// ---- C3 ----
void diverge(Cluster& c) {  // broker 1 has 2 (epoch 1) alone, broker 2 leads epoch 2 with another 2 and 3
  c.commit(2);
  c.append(1, 1, 555);
  c.decide(2, 2, {2, 3});
  c.lead(2, 2, {2, 3}, 2);
  c.follow(3, 2, 2), c.follow(1, 2, 2);
  c.append(2, 2, 202);
  c.append(2, 2, 203);
}
TEST(C3, AppendsOnADivergedLog) {
  Cluster c;
  diverge(c);
  c.copy(1, 2, 203);
  EXPECT_EQ(c.found(), "C3");
}
TEST(C3, HealthyTruncation) {
  Cluster c;
  diverge(c);
  c.truncate(1, 2);
  c.copy(1, 2, 202), c.copy(1, 2, 203);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C3, SameOffsetAndEpochAnotherBatch) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102);
  c.copy(2, 1, 999);
  EXPECT_EQ(c.found(), "C3");
}
TEST(C3, DisagreementBelowBothHighWatermarks) {
  Cluster c;
  diverge(c);
  c.copy(3, 2, 202);
  c.fetch(2, 2, 3, 3);
  c.advance(2, 2, 2, 3, {2, 3}, {3, 3});
  c.advance_follower(1, 2, 2, 3);
  EXPECT_EQ(c.found(), "C3");
}
TEST(C3, DeletedPrefixMayDiffer) {
  Cluster c;
  diverge(c);
  c.event(2, LogStartMoved{c.key, Offset(0), Offset(3), StartReason::delete_records});
  c.copy(1, 2, 203);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// ---- C4 ----
TEST(C4, GoesBack) {
  Cluster c;
  c.commit(2);
  c.advance(1, 1, 2, 1, {1, 2, 3}, {2, 2, 2});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, MajorityIsNotEnough) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102), c.fetch(1, 1, 2, 3);
  c.advance(1, 1, 2, 3, {1, 2, 3}, {3, 3, 2});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, PassesTheTrueHighWatermarkWithAMaximalIsrTooSmall) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102), c.fetch(1, 1, 2, 3);
  c.advance(1, 1, 2, 3, {1, 2}, {3, 3});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, CountsAFetchThatNeverWas) {
  Cluster c({1, 2});
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102);
  c.advance(1, 1, 2, 3, {1, 2}, {3, 3});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, PassesWhatItCountedThoughAllHoldIt) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102), c.copy(2, 1, 102), c.copy(3, 1, 102), c.fetch(1, 1, 2, 3), c.fetch(1, 1, 3, 2);
  c.advance(1, 1, 2, 3, {1, 2, 3}, {3, 3, 2});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, CountsALogOfAnotherEpoch) {
  Cluster c;
  diverge(c);
  c.copy(3, 2, 202), c.fetch(2, 2, 3, 3), c.fetch(2, 2, 1, 3);
  c.advance(2, 2, 2, 3, {1, 2, 3}, {3, 3, 3});
  EXPECT_EQ(c.found(), "C4");
}
TEST(C4, ADeposedLeaderMayGoOnWithAnIsrThatStillCopiesIt) {
  Cluster c({1, 2}, 2);
  c.commit(2);
  c.decide(2, 2, {2});  // 1 is fenced; nobody has heard of it
  c.append(1, 1, 102), c.copy(2, 1, 102), c.fetch(1, 1, 2, 3);
  c.advance(1, 1, 2, 3, {1, 2}, {3, 3});
  c.acknowledge(1, 1, 2, 102, {1, 2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// ---- C6, L3 ----
TEST(C6, ADeliveredOffsetChanges) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 555);
  c.deliver(1, 1, 2, 555, 1, 3);  // too early
  EXPECT_EQ(c.found(), "none");
  c.decide(2, 2, {2, 3});
  c.lead(2, 2, {2, 3}, 2);
  c.append(2, 2, 202), c.copy(3, 2, 202);
  EXPECT_EQ(c.found(), "C6");
}
TEST(C6, CommittedContentIsDelivered) {
  Cluster c;
  diverge(c);
  c.copy(3, 2, 202);
  c.deliver(1, 1, 2, 555, 1, 3);
  EXPECT_EQ(c.found(), "C6");
}
TEST(L3, OtherContentThanAppended) {
  Cluster c;
  c.commit(2);
  c.deliver(1, 1, 1, 999, 1, 2);
  EXPECT_EQ(c.found(), "L3");
}
TEST(L3, RotExcusesItsOwnBatchOnly) {
  Cluster c;
  c.commit(2);
  c.lose(1, 0, 1);
  c.deliver(1, 1, 1, 999, 1, 2);
  EXPECT_EQ(c.found(), "L3");
}
TEST(L3, InjectedRotIsExcused) {
  Cluster c;
  c.commit(2);
  c.lose(1, 1, 2);
  c.deliver(1, 1, 1, 999, 1, 2);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.deliver(1, 1, 0, 999, 1, 2);
  EXPECT_EQ(c.found(), "L3");
}

// ---- C7 ----
TEST(C7, NotCommitted) {
  Cluster c;
  c.commit(2);
  c.append(1, 1, 102);
  c.acknowledge(1, 1, 2, 102, {1, 2, 3});
  EXPECT_EQ(c.found(), "C7");
  EXPECT_EQ(c.sentence(),
            "offset 2 of orders-0 is acknowledged with acks=all but it is not committed (high watermark 2)");
}
TEST(C7, AnotherBatchAtThatOffset) {
  Cluster c;
  c.commit(2);
  c.acknowledge(1, 1, 1, 999, {1, 2, 3});
  EXPECT_EQ(c.found(), "C7");
}
TEST(C7, SameBytesOfALaterEpoch) {
  Cluster c;
  c.commit(2);
  c.decide(2, 2, {1, 2, 3});
  c.lead(2, 2, {1, 2, 3}, 2);
  c.append(2, 2, 555), c.copy(1, 2, 555), c.copy(3, 2, 555);
  c.acknowledge(1, 1, 2, 555, {1, 2, 3});
  EXPECT_EQ(c.found(), "C7");
}
TEST(C7, BelowTheFloorOfItsFirstSend) {
  Cluster c;
  c.commit(2);
  c.box.produce_sent(c.time, 1, 1, c.key, 101);
  c.acknowledge(1, 1, 1, 101, {1, 2, 3});
  EXPECT_EQ(c.found(), "C7");
}
TEST(C7, MayLieAtTheFloor) {
  Cluster c;
  c.commit(2);
  c.box.produce_sent(c.time, 1, 1, c.key, 102);
  c.more(1, {1, 2, 3});
  c.acknowledge(1, 1, 2, 102, {1, 2, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C7, AResendAnswersWithTheOldOffset) {
  Cluster c;
  c.box.produce_sent(c.time, 1, 1, c.key, 101);
  c.commit(3);
  c.acknowledge(1, 1, 1, 101, {1, 2, 3});
  c.acknowledge(1, 1, 1, 101, {1, 2, 3});
  c.box.produce_finished(1, 1);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// ---- C8, C9 ----
TEST(C8, TwoLeadersOfAnEpoch) {
  Cluster c;
  c.commit(1);
  c.lead(2, 1, {1, 2, 3}, 1);
  EXPECT_EQ(c.found(), "C8");
}
TEST(C8, LeaderOutsideTheIsrAndIsrOutsideTheReplicas) {
  Cluster a;
  a.commit(1);
  a.decide(3, 2, {1, 2});
  EXPECT_EQ(a.found(), "C8");
  Cluster b;
  b.commit(1);
  b.decide(1, 1, {1, 2, 4});
  EXPECT_EQ(b.found(), "C8");
  Cluster offline;
  offline.commit(1);
  offline.decide(-1, 2, {1});
  EXPECT_EQ(offline.found(), "none");
}
TEST(C9, LocalShrink) {
  Cluster c;
  c.commit(1);
  c.adopt(1, 1, {1, 2}, {1, 2});
  EXPECT_EQ(c.found(), "C9");
}
TEST(C9, ProposedShrinkLeavesOutAMember) {
  Cluster c;
  c.commit(1);
  c.propose(1, 1, {1, 2, 3}, {1, 2}, {1, 2});
  EXPECT_EQ(c.found(), "C9");
}
void propose_third(Cluster& c) {
  c.commit(1);
  c.propose(1, 1, {1, 2, 3}, {1, 2}, {1, 2, 3});
  c.decide(1, 1, {1, 2});
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.propose(1, 1, {1, 2}, {1, 2, 3}, {1, 2, 3});
}
TEST(C9, ProposalDroppedBeforeTheControllerDecides) {
  Cluster c;
  propose_third(c);
  c.adopt(1, 1, {1, 2}, {1, 2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.decide(1, 1, {1, 2, 3});
  EXPECT_EQ(c.found(), "C9");
}
TEST(C9, ProposalDroppedAfterTheControllerDecided) {
  Cluster c;
  propose_third(c);
  const int known = c.partition_epoch;
  c.decide(1, 1, {1, 2, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.partition_epoch = known;
  c.adopt(1, 1, {1, 2}, {1, 2});
  EXPECT_EQ(c.found(), "C9");
}
TEST(C9, ProposalRefusedOrOvertaken) {
  Cluster c;
  propose_third(c);
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(C9, HealthyShrinkAndOldViews) {
  Cluster c;
  c.commit(1);
  c.propose(1, 1, {1, 2, 3}, {1, 2}, {1, 2, 3});
  c.decide(1, 1, {1, 2});
  c.adopt(1, 1, {1, 2}, {1, 2});
  c.decide(2, 2, {2});
  c.adopt(1, 1, {1}, {1});  // deposed
  EXPECT_EQ(c.found(), "none") << c.sentence();
}

// ---- M1, M2 ----
TEST(M1, AdvanceBelowTheMinimum) {
  Cluster c({1, 2}, 2);
  c.commit(1);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.append(1, 1, 101);
  EXPECT_EQ(c.hw(), 1);  // frozen
  c.advance(1, 1, 1, 2, {1}, {2});
  EXPECT_EQ(c.found(), "M1");
}
TEST(M1, AcknowledgedBelowTheMinimum) {
  Cluster c({1, 2}, 2);
  c.commit(1);
  c.acknowledge(1, 1, 0, 100, {1});
  EXPECT_EQ(c.found(), "M1");
}
TEST(M1, TheMinimumIsBoundedByTheReplicasAndOldOnesHoldUntilApplied) {
  Cluster one({1}, 2);
  one.commit(2);
  one.acknowledge(1, 1, 1, 101, {1});
  EXPECT_EQ(one.found(), "none") << one.sentence();
  Cluster c({1, 2}, 1);
  c.commit(1);
  c.decide(1, 1, {1});
  c.adopt(1, 1, {1}, {1});
  c.event(0, MinIsrConfigured{c.key.topic, 2});
  c.event(0, QuorumCommitted{Offset(20), 1});
  c.append(1, 1, 101);
  c.advance(1, 1, 1, 2, {1}, {2});  // has not heard of it
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.event(1, MetadataApplied{Offset(20)});
  c.append(1, 1, 102);
  c.advance(1, 1, 2, 3, {1}, {3});
  EXPECT_EQ(c.found(), "M1");
}
TEST(M2, FencedStoppingOrRestartedBrokersAreNotAdmitted) {
  for (const int way : {0, 1, 2, 3}) {
    Cluster c;
    c.commit(1);
    c.decide(1, 1, {1, 2});
    c.adopt(1, 1, {1, 2}, {1, 2});
    c.fetch(1, 1, 3, 1);
    if (way == 0) c.fence(3, true);
    if (way == 1) c.fence(3, false, true);
    if (way == 2) c.up(3);  // a new broker epoch, no fetch since
    c.decide(1, 1, {1, 2, 3});
    EXPECT_EQ(c.found(), way == 3 ? "none" : "M2") << way;
  }
}

TEST(M2, AFetchAfterTheProposalDoesNotVouchForIt) {
  for (const bool again : {false, true}) {
    Cluster c;
    c.commit(1);
    c.decide(1, 1, {1, 2});
    c.adopt(1, 1, {1, 2}, {1, 2});
    c.fetch(1, 1, 3, 1);
    c.propose(1, 1, {1, 2}, {1, 2, 3}, {1, 2, 3});
    c.up(3);
    c.fetch(1, 1, 3, 1);
    if (again) c.propose(1, 1, {1, 2}, {1, 2, 3}, {1, 2, 3});
    c.decide(1, 1, {1, 2, 3});
    EXPECT_EQ(c.found(), again ? "none" : "M2");
  }
}

// ---- L1, L4 ----
TEST(L1, HolesAndOverlaps) {
  for (const int at : {0, 2}) {
    Cluster c;
    c.commit(1);
    c.append(1, 1, 101, true, at);
    EXPECT_EQ(c.found(), "L1");
  }
}
std::string restart(StopKind kind, int recovered, int lost_from = -1, int lost_to = -1, int flushed = 0,
                    int epoch = 1) {
  Cluster c;
  c.commit(4);
  c.decide(1, 1, {1, 2});
  c.event(3, LogFlushed{c.key, Offset(flushed)});
  c.stop(3, kind);
  if (lost_from >= 0) c.lose(3, lost_from, lost_to);
  c.start(3);
  c.open(3, recovered, epoch);
  return c.found();
}
TEST(L4, LongestValidPrefix) {
  EXPECT_EQ(restart(StopKind::kill, 4), "none");
  EXPECT_EQ(restart(StopKind::kill, 3), "L4");
  EXPECT_EQ(restart(StopKind::orderly, 5), "L4");
  EXPECT_EQ(restart(StopKind::kill, 5), "none");  // an append whose announcement died with the node
  EXPECT_EQ(restart(StopKind::power_loss, 4), "none");
  EXPECT_EQ(restart(StopKind::power_loss, 3), "L4");
  EXPECT_EQ(restart(StopKind::power_loss, 2, 2, 3), "none");  // a hole
  EXPECT_EQ(restart(StopKind::power_loss, 4, 2, 3), "L4");    // kept what was destroyed
  EXPECT_EQ(restart(StopKind::power_loss, 1, 2, 3), "L4");    // cut more
  EXPECT_EQ(restart(StopKind::power_loss, 3, 2, 3), "L4");
  EXPECT_EQ(restart(StopKind::power_loss, 4, 1, 2, 2), "none");  // rot below what was synced may pass unseen
  EXPECT_EQ(restart(StopKind::power_loss, 1, 1, 2, 2), "none");
  EXPECT_EQ(restart(StopKind::power_loss, 0, 1, 2, 2), "L4");
  EXPECT_EQ(restart(StopKind::power_loss, 0, 0, 4), "none");  // wiped
}
TEST(L4, TheEpochOfTheLastBatchComesBack) {
  EXPECT_EQ(restart(StopKind::kill, 4, -1, -1, 0, 0), "L4");
  EXPECT_EQ(restart(StopKind::orderly, 4, -1, -1, 0, -1), "L4");
  EXPECT_EQ(restart(StopKind::kill, 4, -1, -1, 0, 2), "none");       // one that began without a record
  EXPECT_EQ(restart(StopKind::power_loss, 0, 0, 4, 0, -1), "none");  // no batch is left
}
// No CRC covers a batch's base offset and epoch: recovery may be misled to any end behind the rotten batch.
TEST(L4, RotInAHeaderMayMisleadRecovery) {
  EXPECT_EQ(restart(StopKind::kill, 9, 1, 2, 4), "none");
  EXPECT_EQ(restart(StopKind::orderly, 9, 1, 2, 4), "none");
  EXPECT_EQ(restart(StopKind::kill, 0, 1, 2, 4), "L4");
  EXPECT_EQ(restart(StopKind::orderly, 9, -1, -1, 4), "L4");   // nothing rotted
  EXPECT_EQ(restart(StopKind::power_loss, 9, 2, 3, 2), "L4");  // unsynced: torn, not rotten
  EXPECT_EQ(restart(StopKind::power_loss, 4, 2, 3, 2), "L4");
}
TEST(L4, RotIsGoneWithTheHealAndNothingElseIs) {
  for (const LossCause cause : {LossCause::rotten, LossCause::destroyed}) {
    for (const bool healed : {true, false}) {
      for (const int recovered : {4, 2}) {
        Cluster c;
        c.commit(4);
        c.decide(1, 1, {1, 2});
        c.stop(3, StopKind::power_loss);
        c.lose(3, 2, 3, cause);
        if (healed) c.box.faults_healed(c.time);
        c.start(3);
        c.open(3, recovered, 1);
        const bool there = healed && cause == LossCause::rotten;
        EXPECT_EQ(c.found(), there == (recovered == 4) ? "none" : "L4") << healed << recovered << c.sentence();
      }
    }
  }
}
TEST(L4, AfterAnOrderlyStopRotMayPassUnseenAndNothingElse) {
  for (const LossCause cause : {LossCause::rotten, LossCause::destroyed}) {
    for (const bool orderly : {true, false}) {
      for (const bool unchecked : {true, false}) {
        Cluster c;
        c.commit(4);
        c.decide(1, 1, {1, 2});
        c.stop(3, orderly ? StopKind::orderly : StopKind::kill);
        c.lose(3, 2, 3, cause);
        c.start(3);
        c.event(3, LogOpened{c.key, "data/orders-0", Offset(0), Offset(4), LeaderEpoch(1), unchecked, 0});
        const bool excused = orderly && unchecked && cause == LossCause::rotten;
        EXPECT_EQ(c.found(), excused ? "none" : "L4") << orderly << unchecked << c.sentence();
      }
    }
  }
}
TEST(Rot, IsRememberedOfItsPartitionAndOfARecoveryThatMetIt) {
  for (const LossCause cause : {LossCause::rotten, LossCause::destroyed}) {
    for (const int recovered : {4, 9}) {
      Cluster c;
      c.commit(4);
      c.decide(1, 1, {1, 2});
      c.event(3, LogFlushed{c.key, Offset(4)});
      c.stop(3);
      c.lose(3, 1, 2, cause);
      c.start(3);
      c.open(3, recovered, 1);
      c.box.faults_healed(c.time);
      EXPECT_EQ(c.box.rotted("orders", 0), cause == LossCause::rotten);
      EXPECT_FALSE(c.box.rotted("orders", 1));
      EXPECT_FALSE(c.box.rotted("payments", 0));
      EXPECT_EQ(c.box.misled(c.key), recovered == 9);
    }
  }
}
TEST(Rot, OfALastEpochMisleads) {
  for (const int epoch : {1, 2049}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1, 2});
    c.event(3, LogFlushed{c.key, Offset(4)});
    c.stop(3);
    c.lose(3, 1, 2, LossCause::rotten);
    c.start(3);
    c.open(3, 2, epoch);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    EXPECT_EQ(c.box.misled(c.key), epoch != 1);
  }
}
TEST(Rot, OfAnEpochPassesEveryCheck) {
  for (const int epoch : {1, 2049}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1, 2});
    c.stop(3);
    c.lose(3, 1, 2, LossCause::rotten);
    c.start(3);
    c.open(3, 2, epoch);
    ASSERT_EQ(c.found(), epoch == 1 ? "L4" : "none") << c.sentence();
    if (epoch == 1) continue;
    c.stop(3, StopKind::orderly);
    c.start(3);
    c.open(3, 2, epoch);
    EXPECT_EQ(c.found(), "none") << c.sentence();
  }
}
TEST(C3, RotExcusesItsRangeOfItsReplicaOnly) {
  for (const bool rots : {true, false}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1, 2});
    c.event(3, LogFlushed{c.key, Offset(4)});
    c.stop(3);
    c.lose(3, rots ? 1 : 3, rots ? 2 : 4);
    c.start(3);
    c.open(3, 9, 1);
    ASSERT_EQ(c.found(), "none") << c.sentence();
    c.advance_follower(3, 1, 0, 4);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    c.deliver(1, 1, 1, 999, 1, 4);  // what others hold is judged as ever
    EXPECT_EQ(c.found(), "L3");
  }
}
TEST(L3, ARottenBatchIsExcusedWhereverItsHeaderSays) {
  for (const unsigned crc : {101u, 102u}) {
    Cluster c;
    c.commit(4);
    c.lose(1, 1, 2);
    c.deliver(1, 1, 1, 777, 1, 4);
    EXPECT_EQ(c.found(), "none") << c.sentence();
    c.deliver(1, 1, 900, crc, 1, 4);
    EXPECT_EQ(c.found(), crc == 101u ? "none" : "L3") << c.sentence();
  }
}
// An orderly stop says nothing of a log that was not opened since the crash before it.
TEST(L4, ACrashCountsUntilTheLogIsOpened) {
  for (const bool opened : {false, true}) {
    Cluster c;
    c.commit(4);
    c.decide(1, 1, {1, 2});
    c.stop(3, StopKind::kill);
    c.start(3);
    if (opened) c.open(3, 4, 1);
    c.stop(3, StopKind::orderly);
    c.start(3);
    c.open(3, 5, 1);  // an append whose announcement died with the node
    EXPECT_EQ(c.found(), opened ? "L4" : "none") << c.sentence();
  }
}
TEST(L4, AnUndoneTruncationMayComeBackAfterAPowerLossOnly) {
  for (const StopKind kind : {StopKind::power_loss, StopKind::orderly}) {
    Cluster c;
    diverge(c);
    c.append(1, 1, 556);
    c.truncate(1, 2);
    c.stop(1, kind);
    c.start(1);
    c.open(1, 4, 1);
    EXPECT_EQ(c.found(), kind == StopKind::power_loss ? "none" : "L4") << c.sentence();
  }
}
// Broker 1 cut offset 2 of epoch 1 and died in the turn in which it copied offset 2 of epoch 2: either may be back, and
// the last epoch tells which.
TEST(L4, AnUndoneTruncationIsNotTakenForACopyThatEndsAlike) {
  for (const int epoch : {1, 2}) {
    Cluster c;
    diverge(c);
    c.truncate(1, 2);
    c.stop(1, StopKind::power_loss);
    c.start(1);
    c.open(1, 3, epoch);
    c.copy(1, 2, 203);
    EXPECT_EQ(c.found(), epoch == 2 ? "none" : "C3") << c.sentence();
  }
}
// Broker 2 had two of four offsets when the image was taken, of which `lost` were in its page cache only.
std::string with_older_disk(int recovered_to, int lost = 0, bool truncated_since = false) {
  Cluster c;
  c.commit(2);
  if (truncated_since) c.append(2, 1, 555, false);
  c.box.disk_imaged(c.time, NodeId(2), 7);
  if (truncated_since) c.truncate(2, 2);
  c.more(2, {1, 2, 3});
  c.event(2, LogFlushed{c.key, Offset(4)});
  c.stop(2, StopKind::power_loss);
  c.box.disk_restored(c.time, NodeId(2), 7);
  if (lost > 0) c.lose(2, 2 - lost, 2);
  c.start(2);
  c.open(2, recovered_to, recovered_to == 0 ? -1 : 1);
  return c.found();
}

TEST(L4, AnOlderDiskHoldsWhatItHeldThen) {
  EXPECT_EQ(with_older_disk(2), "none");
  EXPECT_EQ(with_older_disk(1), "L4");  // cut more
  EXPECT_EQ(with_older_disk(0), "L4");
  EXPECT_EQ(with_older_disk(1, 1), "none");
  EXPECT_EQ(with_older_disk(2, 1), "L4");          // kept what was never on the disk
  EXPECT_EQ(with_older_disk(3, 0, true), "none");  // a tail that was cut since
  EXPECT_EQ(with_older_disk(2, 0, true), "L4");
}

TEST(L4, AnImageOfAnOlderDiskIsTheOlderDisk) {
  for (const int recovered : {2, 1}) {
    Cluster c;
    c.commit(2);
    c.box.disk_imaged(c.time, NodeId(2), 7);
    c.more(2, {1, 2, 3});
    c.event(2, LogFlushed{c.key, Offset(4)});
    c.stop(2, StopKind::power_loss);
    c.box.disk_restored(c.time, NodeId(2), 7);
    c.start(2);
    c.box.disk_imaged(c.time, NodeId(2), 8);  // no log is open yet
    c.stop(2, StopKind::power_loss);
    c.box.disk_restored(c.time, NodeId(2), 8);
    c.start(2);
    c.open(2, recovered, 1);
    EXPECT_EQ(c.found(), recovered == 2 ? "none" : "L4") << c.sentence();
  }
}
// Nobody looks for rot in what was left in order.
TEST(L4, AnImageOfAStoppedBrokersDiskIsInOrder) {
  for (const StopKind stop : {StopKind::orderly, StopKind::kill}) {
    Cluster c;
    c.commit(2);
    c.stop(2, stop);
    c.lose(2, 1, 2, LossCause::rotten);
    c.box.disk_imaged(c.time, NodeId(2), 7);
    c.box.disk_restored(c.time, NodeId(2), 7);
    c.start(2);
    c.event(2, LogOpened{c.key, "data/orders-0", Offset(0), Offset(2), LeaderEpoch(1), true, 0});
    EXPECT_EQ(c.found(), stop == StopKind::orderly ? "none" : "L4") << c.sentence();
  }
}
TEST(C1, AnOlderDiskExcusesALossOnlyOfTheLastMember) {
  for (const bool alone : {false, true}) {
    Cluster c;
    c.box.disk_imaged(c.time, NodeId(2), 0);  // its log did not exist then
    c.commit(3);
    if (alone) {
      c.fence(1, true), c.fence(3, true);
      c.decide(2, 2, {2});
      c.lead(2, 2, {2}, 3);
    }
    c.stop(2, StopKind::power_loss);
    c.box.disk_restored(c.time, NodeId(2), 0);
    c.start(2);
    c.open(2, 0);
    c.up(2, false);
    c.decide(2, 3, alone ? std::vector{2} : std::vector{1, 2, 3});
    c.lead(2, 3, alone ? std::vector{2} : std::vector{1, 2, 3});
    EXPECT_EQ(c.found() == "none", alone) << c.found() << " " << c.sentence();
    EXPECT_EQ(c.box.metrics().excused_losses, alone ? 1U : 0U);
  }
}

TEST(L4, AKillMayLandBetweenATruncationAndItsAnnouncement) {
  Cluster c;
  diverge(c);
  c.event(2, DivergenceAnswered{c.key, LeaderEpoch(2), NodeId(1), LeaderEpoch(1), Offset(2)});
  c.stop(1, StopKind::kill);
  c.start(1);
  c.open(1, 2, 1);
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(L4, AnUnannouncedAppendIsLearntFromItsCopies) {
  Cluster c({1, 2});
  c.commit(2);
  c.stop(1);
  c.fence(1, true);
  c.decide(1, 2, {1, 2});
  c.start(1);
  c.open(1, 4, 1);  // two batches that nobody has heard of
  c.up(1);
  c.lead(1, 2, {1, 2}, 2);
  c.append(1, 2, 204);
  c.copy(2, 1, 102), c.copy(2, 1, 103), c.copy(2, 2, 204);
  EXPECT_EQ(c.hw(), 5);
  c.fetch(1, 2, 2, 5);
  c.advance(1, 2, 2, 5, {1, 2}, {5, 5});
  c.deliver(1, 2, 3, 103, 1, 5);
  EXPECT_EQ(c.found(), "none") << c.sentence();
  c.deliver(1, 2, 3, 999, 1, 5);
  EXPECT_EQ(c.found(), "L3");
}

}  // namespace
}  // namespace verdict::checker
