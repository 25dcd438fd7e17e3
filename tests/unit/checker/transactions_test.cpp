#include "tests/unit/checker/cluster.h"

// T1, T2, T4, T5, T7, T8 and T12, each in a run that breaks it, beside the same run as it should be.
namespace verdict::checker {
namespace {

constexpr ProducerId kAlice{1}, kBob{2};

// One broker that leads orders-0 alone.
struct Partition : Cluster {
  Partition() : Cluster({1}) {
    open(1);
    decide(1, 1, {1});
    lead(1, 1, {1});
  }
  void batch(ProducerId id, int epoch, int sequence, std::string_view marker, bool in_transaction = true) {
    const int base = ends[leader];
    const ProducerEpoch of(static_cast<std::int16_t>(epoch));
    const BatchAppended made = one_record(key, base, term, Role::leader, crc(base), id, of, sequence);
    if (in_transaction) {
      transactional(leader, made, marker);
    } else {
      event(leader, made);
    }
    ends[leader] = base + 1;
    if (commits) advance(leader, term, base, base + 1, {leader}, {base + 1});
  }
  void write(ProducerId id, int sequence, int epoch = 0) { batch(id, epoch, sequence, ""); }
  void mark(ProducerId id, std::string_view outcome, int epoch = 0) { batch(id, epoch, -1, outcome); }
  void idempotent(int sequence, int epoch = 0) { batch(kAlice, epoch, sequence, "", false); }
  void forget(ProducerId id) {
    const std::vector<ProducerId> ids{id};
    event(1, ProducersForgotten{key, ids});
  }
  // The coordinator's word, appended and (with this one broker) committed in the same turn.
  void moved(ProducerId id, int epoch, std::string_view state, bool appended = true) {
    const MonoTime now = time;
    event(1, TransactionMoved{"alice", id.value(), static_cast<std::int16_t>(epoch), state, 0, 0, log});
    if (!appended) return;
    time = now;  // within one turn
    const int base = log_end++;
    event(1, one_record(log, base, 1, Role::leader, crc(base)));
  }
  void decided(ProducerId id, int epoch, bool commit) {
    moved(id, epoch, commit ? "PrepareCommit" : "PrepareAbort");
    const auto e = static_cast<std::int16_t>(epoch);
    event(1, TransactionDecided{log, Offset(log_end - 1), "alice", id.value(), e, e, commit, "end", 0, 0, 0});
  }
  void commit_moves() {
    const NodeIds one = nodes({1});
    const std::vector<Offset> counted{Offset(log_end)};
    event(1, HighWatermarkAdvanced{log, Role::leader, LeaderEpoch(1), PartitionEpoch(1), Offset(log_committed),
                                   Offset(log_end), one, counted});
    log_committed = log_end;
  }
  void lead_transactions(const std::vector<int>& isr = {1}) {
    event(0, TopicCreated{log.topic, "__transaction_state", 1});
    event(0, MinIsrConfigured{log.topic, 1});
    const NodeIds set = nodes(isr);
    event(1, LogOpened{log, "data/__transaction_state-0", Offset(0), Offset(0), LeaderEpoch(-1), false, 0});
    event(0, PartitionDecided{log, set, set, NodeId(1), LeaderEpoch(1), PartitionEpoch(1), false});
    event(1, BecameLeader{log, LeaderEpoch(1), PartitionEpoch(1), Offset(0), Offset(0), set});
  }
  // A client's batch, as it is sent: its number, and the place that it will have.
  void sent(int number, int offset) { box.produce_sent(time, 5, static_cast<std::uint64_t>(number), key, crc(offset)); }
  void renumbered(int number, int offset) {
    box.produce_renumbered(5, static_cast<std::uint64_t>(number), key, crc(offset));
  }
  void stable(int offset, int epoch = 1) { event(1, LastStableServed{key, LeaderEpoch(epoch), Offset(offset)}); }
  // A read_committed answer with one batch.
  void answer(int offset, int last_stable, std::vector<std::pair<ProducerId, int>> aborted = {}, int hw = -1) {
    std::vector<ProducerId> ids;
    std::vector<Offset> from;
    for (const auto& [id, first] : aborted) ids.push_back(id), from.emplace_back(first);
    event(1, CommittedRead{key, LeaderEpoch(1), Offset(last_stable), ids, from});
    event(1, BatchDelivered{key, LeaderEpoch(1), Offset(offset), Offset(offset), LeaderEpoch(1), crc(offset),
                            Offset(hw < 0 ? ends[1] : hw), true});
  }
  // Broker 2 joins the ISR with all that broker 1 has, which is one batch of Alice's.
  void second_member() {
    start(2), up(2), open(2);
    replicas = nodes({1, 2});
    follow(2, 1, 1);
    event(2, one_record(key, 0, term, Role::follower, crc(0), kAlice, ProducerEpoch(0), 0));
    ends[2] = 1;
    fetch(1, 1, 2, 1);
    decide(1, 1, {1, 2});
    adopt(1, 1, {1, 2}, {1, 2});
    commits = false;
  }
  // Broker 2 leads on without it.
  void fail_over() {
    stop(1), fence(1, true);
    decide(2, 2, {2}), leader = 2, term = 2, commits = true;
    lead(2, 2, {2});
  }
  unsigned crc(int offset) const { return static_cast<unsigned>(1000 * term - 900 + offset); }

  PartitionKey log{Uuid{8, 8}, 0};  // __transaction_state-0
  int log_end = 0;
  int log_committed = 0;
  int leader = 1, term = 1;
  bool commits = true;
};

TEST(Transactions, WhatIsCommittedIsDelivered) {
  Partition p;
  p.write(kAlice, 0), p.write(kBob, 0), p.mark(kAlice, "commit"), p.mark(kBob, "abort");
  p.answer(0, 4, {{kBob, 1}});
  p.answer(1, 4, {{kBob, 1}});
  p.answer(2, 4), p.answer(3, 4);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
// A node may die between the two words that it has for one append.
TEST(Transactions, AMarkerIsKnownByItsAppend) {
  for (const std::string_view told : {"abort", ""}) {
    Partition p;
    p.write(kAlice, 0);
    BatchAppended marker = one_record(p.key, 1, 1, Role::leader, p.crc(1), kAlice, ProducerEpoch(0));
    marker.transaction = told;
    p.event(1, marker);
    p.stop(1), p.start(1), p.open(1, 2, 1), p.up(1);
    p.decide(1, 2, {1}), p.lead(1, 2, {1}, 2);
    p.answer(0, 2, {{kAlice, 0}});
    EXPECT_EQ(p.found(), told.empty() ? "T2" : "none") << p.sentence();
  }
}
TEST(Transactions, T1AnAbortedRecordIsNotListed) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "abort");
  p.answer(0, 2);
  EXPECT_EQ(p.found(), "T1") << p.sentence();
}
TEST(Transactions, T1AnEntryEndsWithItsMarker) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "abort"), p.write(kAlice, 1), p.mark(kAlice, "abort");
  p.answer(2, 4, {{kAlice, 0}, {kAlice, 2}});
  EXPECT_EQ(p.found(), "none") << p.sentence();
  p.answer(2, 4, {{kAlice, 0}});
  EXPECT_EQ(p.found(), "T1") << p.sentence();
}
TEST(Transactions, T1AnothersEntryIsNoExcuse) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "abort");
  p.answer(0, 2, {{kBob, 0}});
  EXPECT_EQ(p.found(), "T1") << p.sentence();
}
TEST(Transactions, T2AnUndecidedRecordIsDelivered) {
  Partition p;
  p.write(kAlice, 0);
  p.answer(0, 1);
  EXPECT_EQ(p.found(), "T2") << p.sentence();
}
TEST(Transactions, T2AMarkerAboveTheHighWatermarkDecidesNothing) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "commit");
  p.answer(0, 2, {}, 1);
  EXPECT_EQ(p.found(), "T2") << p.sentence();
}
TEST(Transactions, T2ARecordAboveTheLastStableOffset) {
  Partition p;
  p.write(kAlice, 0), p.write(kBob, 0), p.mark(kAlice, "commit"), p.write(kBob, 1), p.mark(kBob, "commit");
  p.answer(0, 1), p.answer(1, 3);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  p.answer(3, 3);
  EXPECT_EQ(p.found(), "T2") << p.sentence();
}
TEST(Transactions, T4ACommittedRecordIsListed) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "commit");
  p.answer(0, 2, {{kAlice, 0}});
  EXPECT_EQ(p.found(), "T4") << p.sentence();
}
TEST(Transactions, T5TheLastStableOffsetGoesBack) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "commit");
  p.stable(2), p.stable(2), p.stable(1, 2);
  EXPECT_EQ(p.found(), "none") << "another epoch: " << p.sentence();
  p.stable(0, 2);
  EXPECT_EQ(p.found(), "T5") << p.sentence();
}
TEST(Transactions, T5AnotherLifeBeginsAnew) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "commit");
  p.stable(2);
  p.stop(1), p.start(1), p.open(1, 2, 1), p.lead(1, 1, {1});
  p.stable(0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, T7AZombieAppends) {
  Partition p;
  p.write(kAlice, 0), p.mark(kAlice, "abort", 1);
  p.write(kAlice, 1, 0);
  EXPECT_EQ(p.found(), "T7") << p.sentence();
}
TEST(Transactions, SequencesGoOn) {
  Partition p;
  p.idempotent(5), p.idempotent(6), p.write(kBob, 0), p.idempotent(7), p.mark(kBob, "commit"), p.write(kBob, 1);
  p.idempotent(0, 1), p.idempotent(1, 1);
  p.mark(kBob, "abort", 1), p.write(kBob, 0, 2);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, T8ASequenceIsAppendedTwice) {
  Partition p;
  p.idempotent(0), p.idempotent(1), p.idempotent(1);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, T8ASequenceIsMissing) {
  Partition p;
  p.idempotent(0), p.idempotent(2);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, T8AnEpochBeginsWithZero) {
  Partition p;
  p.idempotent(0), p.idempotent(1, 1);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, T7ATransactionBeginsAfterTheFence) {
  for (const std::string_view state : {"Empty", "CompleteAbort", "CompleteCommit"}) {
    SCOPED_TRACE(state);
    Partition p;
    p.lead_transactions();
    p.write(kAlice, 0), p.mark(kAlice, "commit");
    p.moved(kAlice, 1, state), p.commit_moves();
    EXPECT_EQ(p.found(), "none") << p.sentence();
    p.write(kAlice, 1);
    EXPECT_EQ(p.found(), "T7") << p.sentence();
  }
}
// Nothing that it appends will be committed, nor will it be told a marker.
TEST(Transactions, ADeposedLeaderIsNoWayPastTheFence) {
  Partition p;
  p.lead_transactions();
  p.write(kAlice, 0), p.mark(kAlice, "commit");
  p.moved(kAlice, 1, "Empty"), p.commit_moves();
  p.decide(1, 2, {1}), p.commits = false;
  p.write(kAlice, 1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, AfterTheFenceTheNewEpochBegins) {
  Partition p;
  p.lead_transactions();
  p.moved(kAlice, 0, "Empty"), p.write(kAlice, 0);
  p.decided(kAlice, 0, true), p.commit_moves(), p.mark(kAlice, "commit");
  p.moved(kAlice, 1, "Empty"), p.commit_moves();
  p.write(kAlice, 0, 1), p.write(kBob, 0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, WhatIsOpenDoesNotBegin) {
  Partition p;
  p.lead_transactions();
  p.write(kAlice, 0);
  p.moved(kAlice, 1, "CompleteAbort"), p.commit_moves();
  p.write(kBob, 0), p.write(kAlice, 1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, APreparedFenceStillHasItsMarkersToWrite) {
  Partition p;
  p.lead_transactions();
  p.moved(kAlice, 1, "PrepareAbort"), p.commit_moves();
  p.write(kAlice, 0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, AFenceThatIsNotCommittedFencesNobody) {
  Partition p;
  p.start(2), p.up(2);
  p.lead_transactions({1, 2});
  p.moved(kAlice, 1, "Empty");
  p.write(kAlice, 0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, AFenceThatWasNeverAppendedFencesNobody) {
  Partition p;
  p.lead_transactions();
  p.moved(kAlice, 1, "Empty", false), p.moved(kBob, 1, "Empty"), p.commit_moves();
  p.write(kAlice, 0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, WhoIsForgottenBeginsWithAnySequence) {
  Partition p;
  p.idempotent(0), p.idempotent(1);
  p.forget(kAlice);
  p.idempotent(7);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().forgotten_sends, 1U);
  p.idempotent(9);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, WhoIsForgottenMayGoOn) {
  Partition p;
  p.idempotent(0), p.forget(kAlice), p.idempotent(1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().forgotten_sends, 0U);
}
TEST(Transactions, WhoIsForgottenIsFencedNoMore) {
  Partition p;
  p.idempotent(0, 1), p.forget(kAlice), p.idempotent(0, 0);
  EXPECT_EQ(p.found(), "none") << p.sentence();
}
TEST(Transactions, T8AnotherIsForgotten) {
  Partition p;
  p.idempotent(0), p.forget(kBob), p.idempotent(7);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, T8AnotherReplicaForgets) {
  Partition p;
  p.idempotent(0);
  p.start(2), p.up(2), p.open(2);
  const std::vector<ProducerId> ids{kAlice};
  p.event(2, ProducersForgotten{p.key, ids});
  p.idempotent(7);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, BelowTheLogStartNothingIsKnown) {
  Partition p;
  p.idempotent(0), p.idempotent(1);
  p.event(1, LogStartMoved{p.key, Offset(0), Offset(2), StartReason::delete_records});
  p.idempotent(7);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  p.idempotent(9);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
// A cut may have taken the batch for whose sake it could go.
TEST(Transactions, WhatCompactionTookTellsNothing) {
  for (const bool left : {false, true}) {
    Partition p;
    p.idempotent(0), p.idempotent(1);
    std::vector<Offset> bases, none;
    std::vector<FilePosition> positions;
    if (left) bases.emplace_back(1), positions.emplace_back(0);
    p.event(1, LogCleaned{p.key, Offset(0), Offset(2), Offset(2), Offset(2), bases, bases, positions, FilePosition(100),
                          none});
    p.idempotent(7);
    EXPECT_EQ(p.found(), left ? "T8" : "none") << p.sentence();
  }
}
TEST(Transactions, SequencesWrapToZero) {
  Partition p;
  p.idempotent(INT32_MAX - 1), p.idempotent(INT32_MAX), p.idempotent(0), p.idempotent(1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  p.idempotent(INT32_MAX);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
TEST(Transactions, SequencesWrapWithinABatch) {
  Partition p;
  const auto three = [&](int sequence) {
    const int base = p.ends[1];
    p.event(1,
            BatchAppended{p.key, Offset(base), Offset(base + 2), LeaderEpoch(1), Role::leader, p.crc(base), 3, kAlice,
                          ProducerEpoch(0), sequence, 0, Offset(0), static_cast<std::uint64_t>(base) * 100, 100});
    p.ends[1] = base + 3;
  };
  three(INT32_MAX - 1), three(1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  three(5);
  EXPECT_EQ(p.found(), "T8") << p.sentence();
}
// Each with sequences that are all right.
TEST(Transactions, T12OneSendIsAppendedTwice) {
  Partition p;
  p.sent(1, 0), p.idempotent(0);
  p.renumbered(1, 1), p.idempotent(1);
  EXPECT_EQ(p.found(), "T12") << p.sentence();
}
TEST(Transactions, T12AlsoAfterItIsFinished) {
  Partition p;
  p.sent(1, 0), p.idempotent(0);
  p.renumbered(1, 1);
  p.box.produce_finished(5, 1);
  p.idempotent(1);
  EXPECT_EQ(p.found(), "T12") << p.sentence();
}
TEST(Transactions, TwoSendsAreTwoRecords) {
  Partition p;
  p.sent(1, 0), p.idempotent(0), p.sent(2, 1), p.idempotent(1);
  p.box.produce_finished(5, 1), p.box.produce_finished(5, 2);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().own_duplicates, 0U);
}
TEST(Transactions, WhoTakesAnotherEpochByItselfRepeatsItself) {
  Partition p;
  p.sent(1, 0), p.idempotent(0);
  p.renumbered(1, 1), p.idempotent(0, 1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().own_duplicates, 1U);
}
TEST(Transactions, WhatTheNextLeaderLacksIsSentAgain) {
  Partition p;
  p.idempotent(0);
  p.second_member();
  p.sent(1, 1), p.idempotent(1);
  p.fail_over();
  p.write(kBob, 0);
  p.renumbered(1, 2), p.idempotent(1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().own_duplicates, 0U);
  p.renumbered(1, 3), p.idempotent(2);
  EXPECT_EQ(p.found(), "T12") << p.sentence();
}
// A follower may have copied what its leader appended before it died, and announced to nobody.
TEST(Transactions, T12WhatTheNextLeaderHasIsAppendedAgain) {
  Partition p;
  p.sent(1, 0), p.idempotent(0);
  p.second_member();
  p.fail_over();
  p.renumbered(1, 1), p.idempotent(1);
  EXPECT_EQ(p.found(), "T12") << p.sentence();
}
// A follower that lacked what its leader had removed begins behind that, and knows no producer.
TEST(Transactions, WhoBeganAnewMayRepeatWhatWasRemoved) {
  for (const int start : {0, 1}) {
    Partition p;
    p.sent(1, 0), p.idempotent(0);
    p.second_member();
    p.event(1, LogStartMoved{p.key, Offset(0), Offset(1), StartReason::retention});
    if (start == 1) p.event(2, LogTruncated{p.key, Offset(1), Offset(1), TruncateReason::full});
    p.fail_over();
    p.sent(1, 1), p.idempotent(0);
    EXPECT_EQ(p.found(), start == 1 ? "none" : "T8") << p.sentence();
    EXPECT_EQ(p.box.metrics().forgotten_sends, start == 1 ? 1U : 0U);
  }
}

TEST(Transactions, WhoBeganAnewTakesAnySequence) {
  for (const int first : {0, 1}) {
    Partition p;
    p.idempotent(0);
    p.second_member();
    p.event(1, LogStartMoved{p.key, Offset(0), Offset(1), StartReason::retention});
    p.event(2, LogTruncated{p.key, Offset(1), Offset(1), TruncateReason::full});
    p.fail_over();
    p.idempotent(first);
    EXPECT_EQ(p.found(), "none") << p.sentence();
    EXPECT_EQ(p.box.metrics().forgotten_sends, first == 1 ? 1U : 0U);
  }
}

TEST(Transactions, WhoIsForgottenMayRepeatItself) {
  Partition p;
  p.sent(1, 0), p.idempotent(0);
  p.forget(kAlice);
  p.renumbered(1, 1), p.idempotent(1);
  EXPECT_EQ(p.found(), "none") << p.sentence();
  EXPECT_EQ(p.box.metrics().forgotten_sends, 1U);
}

}  // namespace
}  // namespace verdict::checker
