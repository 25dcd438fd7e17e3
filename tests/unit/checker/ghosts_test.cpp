#include "checker/invariants.h"
#include "tests/unit/checker/cluster.h"

// T3, T6, T9, T10, T11 and V5, each in a history that breaks it, beside one as near as possible that doesn't.
namespace verdict::checker {
namespace {

constexpr std::int64_t kAlice = 1;
constexpr std::int64_t kClient = 7;

// Broker 1 leads everything; broker 2 is in the ISR of the coordinators' log, so that what is decided there is durable
// only once it has copied it.
struct Transactions : Cluster {
  Transactions() : Cluster({1, 2}) {
    add(state, "__transaction_state", {1, 2});
    add(offsets, "__consumer_offsets", {1});
    add(orders, "bills", {1});
    add(other, "", {1});
    event(1, CoordinatorChanged{state, LeaderEpoch(1), true, Offset(0)});
    event(1, CoordinatorChanged{offsets, LeaderEpoch(1), true, Offset(0)});
    asks(ClientAsk::Call::init);
  }
  void add(const PartitionKey& k, const char* topic, const std::vector<int>& ids) {
    if (*topic != 0) event(0, TopicCreated{k.topic, topic, 1});
    const NodeIds isr = nodes(ids);
    for (const int id : ids) event(id, LogOpened{k, folder(k), Offset(0), Offset(0), kNoEpoch, false, 0});
    event(0, PartitionDecided{k, isr, isr, NodeId(1), LeaderEpoch(1), PartitionEpoch(1), false});
    event(1, BecameLeader{k, LeaderEpoch(1), PartitionEpoch(1), Offset(0), Offset(0), isr});
    if (ids.size() > 1) event(2, BecameFollower{k, LeaderEpoch(1), PartitionEpoch(1), NodeId(1)});
  }
  std::string folder(const PartitionKey& k) const {
    return k == orders ? "data/bills-0" : "data/" + std::to_string(k.topic.high) + "-" + std::to_string(k.index);
  }
  // Broker 2 leads on, and broker 1 has not heard so.
  void depose(const PartitionKey& k) {
    const NodeIds both = nodes({1, 2}), isr = nodes({2});
    event(0, PartitionDecided{k, both, isr, NodeId(2), LeaderEpoch(2), PartitionEpoch(2), false});
  }
  void write(const PartitionKey& k, int epoch, int sequence) { of_alice(k, epoch, sequence, ""); }
  void mark(const PartitionKey& k, int epoch, std::string_view outcome) { of_alice(k, epoch, -1, outcome); }
  void of_alice(const PartitionKey& k, int epoch, int sequence, std::string_view marker) {
    const int base = ends_of[{1, k}]++;
    transactional(1,
                  one_record(k, base, 1, Role::leader, 100U + static_cast<unsigned>(base), ProducerId(kAlice),
                             ProducerEpoch(static_cast<std::int16_t>(epoch)), sequence),
                  marker);
  }
  // One record of the coordinator's log.
  void record_state(int node) {
    const int base = ends_of[{node, state}]++;
    event(node, one_record(state, base, epoch_of_state, node == coordinator ? Role::leader : Role::follower,
                           100U + static_cast<unsigned>(base)));
  }
  void move(std::string_view to, int epoch, bool durable = true) {
    event(coordinator, TransactionMoved{"id", kAlice, static_cast<std::int16_t>(epoch), to, epoch_of_state, 1, state});
    record_state(coordinator);
    if (durable) record_state(3 - coordinator);
  }
  void decide_to(bool commit, int marker_epoch, int ended_epoch, std::string_view cause = "end", bool durable = true,
                 std::int64_t open_ms = 100) {
    move(commit ? "PrepareCommit" : "PrepareAbort", marker_epoch, false);
    event(coordinator,
          TransactionDecided{state, Offset(ends_of[{coordinator, state}] - 1), "id", kAlice,
                             static_cast<std::int16_t>(marker_epoch), static_cast<std::int16_t>(ended_epoch), commit,
                             cause, open_ms, 50, static_cast<std::int16_t>(marker_epoch == ended_epoch ? 0 : 2)});
    if (durable) record_state(3 - coordinator);
  }
  void loads(int node, int epoch, std::string_view finds) {
    event(node, CoordinatorChanged{state, LeaderEpoch(epoch), true, Offset(ends_of[{node, state}])});
    event(node, TransactionFound{state, "id", kAlice, 0, finds});
  }
  // Broker 2 leads the coordinators' log from then on, alone in the ISR.
  void broker_2_coordinates(int epoch, std::string_view finds) {
    const NodeIds both = nodes({1, 2}), isr = nodes({2});
    const Offset end(ends_of[{2, state}]);
    coordinator = 2, epoch_of_state = epoch;
    event(0, PartitionDecided{state, both, isr, NodeId(2), LeaderEpoch(epoch), PartitionEpoch(2), false});
    event(2, BecameLeader{state, LeaderEpoch(epoch), PartitionEpoch(2), end, end, isr});
    event(1, BecameFollower{state, LeaderEpoch(epoch), PartitionEpoch(2), NodeId(2)});
    loads(2, epoch, finds);
  }
  void begin(int epoch, bool two = true) {
    box.transaction_begun(time += 1ms, {kClient, ++txn, "id", kAlice, static_cast<std::int16_t>(epoch), two});
  }
  void sends(const PartitionKey& k, int epoch, int sequence) {
    box.transactional_sent(kClient, k, kAlice, static_cast<std::int16_t>(epoch), sequence);
  }
  void asks(ClientAsk::Call call, bool settled = false) {
    box.transaction_asked(time += 1ms, {kClient, "id", call, settled});
  }
  // An older client's, which keeps its epoch; all but its end.
  void old_transaction(bool commit, int sequence) {
    begin(0, false), move("Ongoing", 0), write(orders, 0, sequence), commit ? asks_to_commit() : asks_to_abort();
    decide_to(commit, 0, 0), mark(orders, 0, commit ? "commit" : "abort");
    move(commit ? "CompleteCommit" : "CompleteAbort", 0);
  }
  void asks_to_commit() { asks(ClientAsk::Call::commit), asks(ClientAsk::Call::commit, true); }
  void asks_to_abort() { asks(ClientAsk::Call::abort), asks(ClientAsk::Call::abort, true); }
  // A whole one in version two: epoch, then epoch + 1.
  void transaction(int epoch, int sequence = 0) {
    begin(epoch), sends(orders, epoch, sequence), move("Ongoing", epoch), write(orders, epoch, sequence);
    asks_to_commit(), decide_to(true, epoch + 1, epoch), mark(orders, epoch + 1, "commit");
    move("CompleteCommit", epoch + 1);
  }
  void offsets_ended(int epoch, std::string_view marker) {
    event(1, OffsetsEnded{offsets, ProducerId(kAlice), ProducerEpoch(static_cast<std::int16_t>(epoch)), marker});
  }
  void answered(const PartitionKey& k, int offset, std::string_view marker) {
    event(1, MarkerAnswered{k, Offset(offset), ProducerId(kAlice), ProducerEpoch(1), 1, marker, 0});
  }
  std::string left() const {
    std::string all;
    for (const OpenTransaction& open : box.open_transactions()) all += std::string(open.invariant) + " ";
    return all;
  }

  PartitionKey state{Uuid{8, 8}, 0}, offsets{Uuid{9, 9}, 0}, orders{Uuid{10, 10}, 0}, other{Uuid{10, 10}, 1};
  int coordinator = 1, epoch_of_state = 1;
  std::map<std::pair<int, PartitionKey>, int> ends_of;
  std::int64_t txn = 0;
};

TEST(Ghosts, OneAfterTheOther) {
  Transactions t;
  t.transaction(0), t.transaction(1), t.transaction(2);
  EXPECT_EQ(t.found(), "none") << t.sentence();
  EXPECT_EQ(t.left(), "");
}

// ---- T6 ----

TEST(Ghosts, T6NobodyDecided) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0);
  t.mark(t.orders, 1, "commit");
  EXPECT_EQ(t.found(), "T6") << t.sentence();
}
TEST(Ghosts, T6TheDecisionIsNotDurable) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.asks_to_commit();
  t.decide_to(true, 1, 0, "end", false);
  t.mark(t.orders, 1, "commit");
  EXPECT_EQ(t.found(), "T6") << t.sentence();
}
TEST(Ghosts, T6AnotherOutcome) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.asks_to_commit();
  t.decide_to(true, 1, 0);
  t.mark(t.orders, 1, "abort");
  EXPECT_EQ(t.found(), "T6") << t.sentence();
}
// A coordinator that is gone may have decided what nobody else ever saw.
TEST(Ghosts, ALostDecisionBindsNobody) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.asks_to_commit();
  t.decide_to(true, 1, 0, "end", false);
  t.event(1, LogTruncated{t.state, Offset(2), Offset(1), TruncateReason::divergence});
  --t.ends_of[{1, t.state}];
  t.event(1, CoordinatorChanged{t.state, LeaderEpoch(1), true, Offset(1)});
  t.event(1, TransactionFound{t.state, "id", kAlice, 0, "Ongoing"});
  t.decide_to(false, 1, 0, "timeout");
  t.mark(t.orders, 1, "abort");
  EXPECT_EQ(t.found(), "none") << t.sentence();
}
// One that is deposed and doesn't know goes on, for nobody.
TEST(Ghosts, WhatADeposedCoordinatorMovesStandsNowhere) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0);
  t.event(2, CoordinatorChanged{t.state, LeaderEpoch(2), true, Offset(1)});
  t.event(2, TransactionFound{t.state, "id", kAlice, 0, "CompleteCommit"});
  EXPECT_EQ(t.left(), "");
  t.move("PrepareAbort", 1, false);
  EXPECT_EQ(t.left(), "");
}
// Nor what it finds: one loads what it took over before it hears that it does so too late.
TEST(Ghosts, WhatADeposedCoordinatorFindsStandsNowhere) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.asks_to_abort();
  t.broker_2_coordinates(3, "Ongoing");
  t.decide_to(false, 0, 0), t.mark(t.orders, 0, "abort"), t.move("CompleteAbort", 0);
  EXPECT_EQ(t.left(), "");
  t.loads(1, 2, "Ongoing");
  EXPECT_EQ(t.left(), "");
  EXPECT_EQ(t.found(), "none") << t.sentence();
}
// But a later leader may have copied what a deposed one appended. Below version two both transactions have one epoch.
TEST(Ghosts, WhatADeposedCoordinatorMovesMayBeCommitted) {
  for (const bool decided : {false, true}) {
    for (const bool commit : {false, true}) {
      Transactions t;
      t.old_transaction(false, 0);
      t.loads(3, 2, "CompleteAbort");
      t.begin(0, false), t.sends(t.orders, 0, 1), t.asks_to_commit(), t.move("Ongoing", 0);
      if (decided) t.decide_to(true, 0, 0);
      t.broker_2_coordinates(3, decided ? "PrepareCommit" : "Ongoing");
      t.write(t.orders, 0, 1);
      if (!decided) t.decide_to(true, 0, 0);
      EXPECT_EQ(t.left(), "V5 ");
      t.mark(t.orders, 0, commit ? "commit" : "abort");
      EXPECT_EQ(t.found(), commit ? "none" : "T6") << t.sentence();
    }
  }
}
// Its decider died before he could tell.
TEST(Ghosts, ADecisionFoundInTheLogIsOne) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.asks_to_commit();
  t.event(1, CoordinatorChanged{t.state, LeaderEpoch(1), true, Offset(1)});
  t.event(1, TransactionFound{t.state, "id", kAlice, 1, "PrepareCommit"});
  t.mark(t.orders, 1, "commit");
  EXPECT_EQ(t.found(), "none") << t.sentence();
  t.mark(t.other, 1, "abort");
  EXPECT_EQ(t.found(), "T3") << t.sentence();
}

// ---- T3 ----

TEST(Ghosts, T3TwoOutcomes) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.orders, 0, 0), t.write(t.other, 0, 0), t.asks_to_commit();
  t.decide_to(true, 1, 0), t.mark(t.orders, 1, "commit");
  t.mark(t.other, 1, "abort");
  EXPECT_EQ(t.found(), "T3") << t.sentence();
}
TEST(Ghosts, T3ALateRecordJoinsTheNext) {
  for (const bool two : {true, false}) {
    Transactions t;
    t.begin(0, two), t.sends(t.orders, 0, 0), t.move("Ongoing", 0), t.asks_to_abort();
    t.decide_to(false, 1, 0), t.mark(t.orders, 1, "abort"), t.move("CompleteAbort", 1);
    // The epoch is that of the record all the same: a producer that goes on in it shows what the ghost is for.
    t.begin(1, two), t.sends(t.orders, 1, 0), t.move("Ongoing", 1);
    t.begin(1, two), t.sends(t.orders, 1, 1);
    t.write(t.orders, 1, 0), t.write(t.orders, 1, 1), t.asks_to_commit();
    t.decide_to(true, 2, 1);
    t.mark(t.orders, 2, "commit");
    EXPECT_EQ(t.found(), two ? "T3" : "none") << t.sentence();
  }
}
TEST(Ghosts, T3ALateRecordComesBehindItsMarker) {
  enum class Meanwhile { nothing, begun, ongoing, another_end };
  for (const auto meanwhile : {Meanwhile::nothing, Meanwhile::begun, Meanwhile::ongoing, Meanwhile::another_end}) {
    for (const bool two : {true, false}) {
      Transactions t;
      if (meanwhile == Meanwhile::another_end) t.begin(0, false), t.asks(ClientAsk::Call::abort);
      t.begin(0, two), t.sends(t.orders, 0, 0), t.move("Ongoing", 0);
      if (meanwhile != Meanwhile::another_end) t.asks_to_abort();
      t.decide_to(false, 0, 0), t.mark(t.orders, 0, "abort"), t.move("CompleteAbort", 0);
      if (meanwhile == Meanwhile::begun) t.begin(0, two);
      if (meanwhile == Meanwhile::ongoing) t.move("Ongoing", 0);
      t.write(t.orders, 0, 0);
      // Which transaction an earlier one's late end has ended is not known.
      const bool breaks = meanwhile != Meanwhile::another_end && (two || meanwhile == Meanwhile::nothing);
      EXPECT_EQ(t.found(), breaks ? "T3" : "none") << t.sentence();
    }
  }
}
// A deposed leader that hasn't heard may meet a marker that was under way while the next transaction began (KIP-1228).
TEST(Ghosts, T3ARecordOfAnotherEpoch) {
  for (const bool deposed : {false, true}) {
    Transactions t;
    const PartitionKey late{Uuid{10, 10}, 2};
    t.add(late, "", {1, 2});
    t.begin(1), t.move("Ongoing", 1), t.write(late, 0, 0), t.asks_to_commit();
    t.decide_to(true, 2, 1);
    if (deposed) t.depose(late);
    t.mark(late, 2, "commit");
    EXPECT_EQ(t.found(), deposed ? "none" : "T3") << t.sentence();
  }
}
TEST(Ghosts, T3APartitionIsForgotten) {
  Transactions t;
  t.begin(0), t.sends(t.orders, 0, 0), t.sends(t.other, 0, 0), t.move("Ongoing", 0);
  t.write(t.orders, 0, 0), t.write(t.other, 0, 0), t.asks_to_commit();
  EXPECT_EQ(t.left(), "V5 ");
  t.decide_to(true, 1, 0), t.mark(t.orders, 1, "commit");
  EXPECT_EQ(t.left(), "V5 ") << "its coordinator is about to";
  t.move("CompleteCommit", 1);
  EXPECT_EQ(t.left(), "T3 ");
  t.mark(t.other, 1, "commit");
  EXPECT_EQ(t.left(), "");
  EXPECT_EQ(t.found(), "none") << t.sentence();
}

// A leader that is deposed and hasn't heard may meet a coordinator that hasn't either.
TEST(Ghosts, AnEarlierEndComesToADeposedLeader) {
  for (const bool deposed : {false, true}) {
    for (const bool first : {false, true}) {
      Transactions t;
      const PartitionKey late{Uuid{10, 10}, 2};
      t.add(late, "", {1, 2});
      t.old_transaction(first, 0), t.old_transaction(true, 1);
      if (deposed) t.depose(late);
      t.mark(late, 0, "abort");
      EXPECT_EQ(t.found(), deposed && !first ? "none" : "T3") << t.sentence();
    }
  }
}

// ---- T10, V5 ----

TEST(Ghosts, T10ALateRecordHangs) {
  Transactions t;
  t.begin(0, false), t.sends(t.orders, 0, 0), t.move("Ongoing", 0), t.asks_to_abort();
  t.decide_to(false, 0, 0), t.mark(t.orders, 0, "abort"), t.move("CompleteAbort", 0);
  EXPECT_EQ(t.left(), "");
  t.begin(0, false), t.write(t.orders, 0, 0);
  EXPECT_EQ(t.left(), "T10 ");
  t.mark(t.orders, 0, "abort");
  EXPECT_EQ(t.left(), "");
}
TEST(Ghosts, T10ATransactionNobodyKnows) {
  Transactions t;
  t.transaction(0), t.write(t.other, 1, 0);
  EXPECT_EQ(t.left(), "T10 ");
  t.move("Ongoing", 1);
  EXPECT_EQ(t.left(), "V5 ");
  t.event(1, CoordinatorChanged{t.state, LeaderEpoch(1), true, Offset(9)});
  EXPECT_EQ(t.left(), "T10 ") << "its log has lost it";
}

// ---- T9 ----

struct Committed : Transactions {
  Committed() {
    begin(0), move("Ongoing", 0), write(offsets, 0, -1), asks_to_commit();
    decide_to(true, 1, 0);
  }
};
TEST(Ghosts, OffsetsComeWithTheirMarker) {
  Committed t;
  t.mark(t.offsets, 1, "commit"), t.offsets_ended(1, "commit"), t.answered(t.offsets, 1, "commit");
  EXPECT_EQ(t.found(), "none") << t.sentence();
}
TEST(Ghosts, T9OffsetsBeforeTheirMarker) {
  Committed t;
  t.offsets_ended(1, "commit");
  EXPECT_EQ(t.found(), "T9") << t.sentence();
}
TEST(Ghosts, T9OffsetsAfterAnAbort) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.write(t.offsets, 0, -1), t.asks_to_abort();
  t.decide_to(false, 1, 0), t.mark(t.offsets, 1, "abort");
  t.offsets_ended(1, "commit");
  EXPECT_EQ(t.found(), "T9") << t.sentence();
}
TEST(Ghosts, T9AMarkerIsAcknowledgedBeforeItsOffsetsAreVisible) {
  Committed t;
  t.mark(t.offsets, 1, "commit");
  t.answered(t.offsets, 1, "commit");
  EXPECT_EQ(t.found(), "T9") << t.sentence();
}
TEST(Ghosts, OffsetsOfACoordinatorThatLoads) {
  Committed t;
  t.event(1, CoordinatorChanged{t.offsets, LeaderEpoch(1), false, Offset(1)});
  t.mark(t.offsets, 1, "commit");
  t.answered(t.offsets, 1, "commit");
  t.event(1, CoordinatorChanged{t.offsets, LeaderEpoch(1), true, Offset(2)});
  t.answered(t.offsets, 1, "commit");
  EXPECT_EQ(t.found(), "none") << t.sentence();
}

// ---- T11 ----

TEST(Ghosts, T11NobodyAskedForTheCommit) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.asks_to_abort();
  t.decide_to(true, 1, 0);
  EXPECT_EQ(t.found(), "T11") << t.sentence();
}
TEST(Ghosts, T11TheCommitWasAskedForAnotherTransaction) {
  Transactions t;
  t.transaction(0), t.begin(1), t.move("Ongoing", 1);
  t.decide_to(true, 2, 1);
  EXPECT_EQ(t.found(), "T11") << t.sentence();
}
TEST(Ghosts, T11ALateEndIsExcusedBelowVersionTwo) {
  for (const bool answered : {false, true}) {
    for (const bool two : {false, true}) {
      Transactions t;
      t.begin(0, two), t.move("Ongoing", 0), t.asks(ClientAsk::Call::commit), t.asks_to_commit();
      if (answered) t.asks(ClientAsk::Call::commit, true);
      t.decide_to(true, 0, 0), t.move("CompleteCommit", 0);
      t.begin(0, two), t.move("Ongoing", 0);
      t.decide_to(true, 0, 0);
      EXPECT_EQ(t.found(), two || answered ? "T11" : "none") << t.sentence();
    }
  }
}
TEST(Ghosts, T11AnAbortThatNobodyAskedFor) {
  Transactions t;
  t.begin(0), t.move("Ongoing", 0), t.asks_to_commit();
  t.decide_to(false, 1, 0);
  EXPECT_EQ(t.found(), "T11") << t.sentence();
}
TEST(Ghosts, T11TimeIsNotOver) {
  for (const int open_ms : {50, 51}) {
    Transactions t;
    t.begin(0), t.move("Ongoing", 0);
    t.decide_to(false, 1, 0, "timeout", true, open_ms);
    EXPECT_EQ(t.found(), open_ms == 50 ? "T11" : "none") << t.sentence();
  }
}
TEST(Ghosts, T11NobodyCameToFence) {
  for (const bool somebody : {false, true}) {
    Transactions t;
    t.asks(ClientAsk::Call::init, true);
    t.begin(0), t.move("Ongoing", 0);
    if (somebody) t.asks(ClientAsk::Call::init);
    t.decide_to(false, 1, 0, "fence");
    EXPECT_EQ(t.found(), somebody ? "none" : "T11") << t.sentence();
  }
}

// With C1's excuse a log has lost a marker: what it ended is open again, and the next one ends it too.
TEST(Ghosts, WhatFaultsDestroyedIsExcused) {
  Transactions t;
  t.transaction(0);
  t.stop(1, StopKind::power_loss);
  t.box.bytes_lost(t.time, NodeId(1), "data/bills-0/00000000000000000000.log", 100, 200);
  t.start(1), t.event(1, MetadataApplied{Offset(10)}), t.up(1);
  t.event(1, LogOpened{t.orders, "data/bills-0", Offset(0), Offset(1), LeaderEpoch(1), false, 0});
  const NodeIds isr = Cluster::nodes({1});
  t.event(0, PartitionDecided{t.orders, isr, isr, NodeId(1), LeaderEpoch(2), PartitionEpoch(2), false});
  EXPECT_EQ(t.found(), "none") << t.sentence();
  EXPECT_EQ(t.left(), "");
}

// Nobody knows any more what was decided.
TEST(Ghosts, WhatACoordinatorsLogHasLostIsExcused) {
  for (const bool lost : {false, true}) {
    Transactions t;
    t.transaction(0);
    const NodeIds both = Cluster::nodes({1, 2}), isr = Cluster::nodes({1});
    t.event(0, PartitionDecided{t.state, both, isr, NodeId(1), LeaderEpoch(1), PartitionEpoch(2), false});
    if (lost) {
      t.stop(1, StopKind::power_loss);
      t.box.bytes_lost(t.time, NodeId(1), t.folder(t.state) + "/00000000000000000000.log", 100, 300);
      t.start(1), t.event(1, MetadataApplied{Offset(10)}), t.up(1);
      t.event(1, LogOpened{t.state, t.folder(t.state), Offset(0), Offset(1), LeaderEpoch(1), false, 0});
      t.event(0, PartitionDecided{t.state, both, isr, NodeId(1), LeaderEpoch(2), PartitionEpoch(3), false});
      t.event(1, LogOpened{t.orders, "data/bills-0", Offset(0), Offset(2), LeaderEpoch(1), false, 0});
      t.event(1, BecameLeader{t.orders, LeaderEpoch(1), PartitionEpoch(1), Offset(2), Offset(2), isr});
    }
    t.mark(t.orders, 2, "abort");
    EXPECT_EQ(t.found(), lost ? "none" : "T6") << t.sentence();
  }
}

}  // namespace
}  // namespace verdict::checker
