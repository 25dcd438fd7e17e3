#include "tests/unit/checker/history_lines.h"

// Histories of groups' committed offsets, of ends of partitions, and of transactions that depend on each other: healthy
// and broken ones.
namespace verdict::checker {
namespace {

using enum HistoryType;

struct History : HistoryLines {
  HistoryEntry entry(std::int64_t process, HistoryType type, HistoryCall call) {
    HistoryEntry e;
    e.op = ++ops, e.process = process, e.type = type, e.call = call, e.topic = "orders", e.time_ns = ops * 1'000'000;
    return e;
  }
  // A member asks its group where to go on.
  HistoryEntry ask(std::int64_t process, const std::string& group = "g") {
    HistoryEntry e = entry(process, invoke, HistoryCall::assign);
    e.group = group;
    line(e);
    return e;
  }
  void told(HistoryEntry e, std::int64_t offset) {
    e.offset = offset;
    line_as(e, ok);
  }
  void take(std::int64_t process, std::int64_t offset, const std::string& group = "g") {
    told(ask(process, group), offset);
  }
  HistoryEntry begin_commit(std::int64_t process, std::int64_t offset, std::int64_t txn = -1) {
    HistoryEntry e = entry(process, invoke, HistoryCall::commit_offsets);
    e.group = "g", e.offset = offset, e.txn = txn;
    line(e);
    return e;
  }
  void commit(std::int64_t process, std::int64_t offset, HistoryType how = ok, std::int64_t txn = -1) {
    line_as(begin_commit(process, offset, txn), how);
  }
  HistoryEntry send(std::int64_t value, std::int64_t offset, std::int64_t txn = -1, std::int64_t input = -1,
                    int acks = -1) {
    HistoryEntry e = entry(1, invoke, HistoryCall::send);
    e.value = value, e.txn = txn, e.idempotent = true, e.input = input, e.acks = static_cast<std::int16_t>(acks);
    if (input >= 0) e.group = "g";
    line(e);
    e.offset = offset;
    if (offset >= 0) line_as(e, ok);
    return e;
  }
  void end_txn(std::int64_t txn, HistoryType how, HistoryCall call = HistoryCall::commit) {
    HistoryEntry e = entry(1, invoke, call);
    e.txn = txn, e.topic.clear();
    line(e);
    if (how != invoke) line_as(e, how);
  }
  void poll(std::vector<OffsetValue> records, bool committed = false, std::int64_t process = 9) {
    HistoryEntry e = entry(process, ok, HistoryCall::poll);
    e.read_committed = committed, e.records = std::move(records);
    line(e);
  }
  void end(std::int64_t offset) {
    HistoryEntry e = entry(8, invoke, HistoryCall::end);
    line(e);
    e.offset = offset;
    line_as(e, ok);
  }
};

// ---- committed offsets ----

TEST(BlackBoxGroups, AGroupGoesOnWhereItHasCommitted) {
  History h;
  h.take(1, -1), h.commit(1, 5), h.commit(1, 10), h.take(2, 10), h.commit(2, 12), h.take(1, 12);
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxGroups, LostUpdateOfACommittedOffset) {
  for (const std::int64_t read : {-1, 5, 7}) {
    History h;
    h.take(1, -1), h.commit(1, 5), h.commit(1, 10), h.take(2, read);
    EXPECT_EQ(h.names(), "lost-update") << read;
  }
}
TEST(BlackBoxGroups, WhoAsksDuringACommitMayBeToldEither) {
  for (const std::int64_t read : {5, 10}) {
    History h;
    h.take(1, -1), h.commit(1, 5);
    const HistoryEntry commit = h.begin_commit(1, 10);
    const HistoryEntry asked = h.ask(2);
    h.line_as(commit, ok);
    h.told(asked, read);
    EXPECT_EQ(h.names(), "") << read;
    h.take(2, 5);
    EXPECT_EQ(h.names(), "lost-update") << read;
  }
}
TEST(BlackBoxGroups, AnUnknownCommitMayBeTakenLater) {
  for (const std::int64_t read : {5, 10}) {
    History h;
    h.take(1, -1), h.commit(1, 5, info), h.commit(1, 10), h.take(2, read), h.take(2, read);
    EXPECT_EQ(h.names(), "") << read;
  }
}
TEST(BlackBoxGroups, CommittedTooFar) {
  History h;
  h.take(1, -1), h.commit(1, 5), h.take(2, 6);
  EXPECT_EQ(h.names(), "committed-too-far");
  History refused;
  refused.take(1, 0), refused.commit(1, 5), refused.commit(1, 10, fail), refused.take(2, 10);
  EXPECT_EQ(refused.names(), "committed-too-far");
}
TEST(BlackBoxGroups, OffsetsOfATransaction) {
  struct Case {
    HistoryCall call;
    HistoryType how;
    std::int64_t read;
    std::string_view names;
  };
  for (const Case& c : {Case{HistoryCall::commit, ok, 10, ""}, Case{HistoryCall::commit, ok, -1, "lost-update"},
                        Case{HistoryCall::commit, info, 10, ""}, Case{HistoryCall::commit, info, -1, ""},
                        Case{HistoryCall::commit, fail, 10, "committed-too-far"},
                        Case{HistoryCall::abort, ok, 10, "committed-too-far"}, Case{HistoryCall::abort, ok, -1, ""}}) {
    History h;
    h.take(1, -1), h.commit(1, 10, ok, 77), h.end_txn(77, c.how, c.call), h.take(2, c.read);
    EXPECT_EQ(h.names(), c.names) << static_cast<int>(c.call) << static_cast<int>(c.how) << c.read;
  }
}
TEST(BlackBoxGroups, OffsetsOfATransactionThatIsUnderWay) {
  for (const std::int64_t read : {-1, 10}) {
    History h;
    h.take(1, -1), h.commit(1, 10, ok, 77);
    const HistoryEntry asked = h.ask(2);
    h.end_txn(77, ok), h.told(asked, read);
    EXPECT_EQ(h.names(), "") << read;
  }
}
TEST(BlackBoxGroups, WhatWasThereBefore) {
  History h;
  h.take(1, 40), h.take(2, 40), h.commit(2, 50), h.take(1, 50);
  EXPECT_EQ(h.names(), "");
  History changed;
  changed.take(1, 40), changed.take(2, 30);
  EXPECT_EQ(changed.names(), "lost-update");
  History unknown;  // nobody knows what was there when the commit began
  const HistoryEntry commit = unknown.begin_commit(1, 50);
  unknown.take(2, 40), unknown.line_as(commit, ok);
  EXPECT_EQ(unknown.names(), "");
  unknown.take(2, 40);
  EXPECT_EQ(unknown.names(), "lost-update");
}
TEST(BlackBoxGroups, GroupsAreApart) {
  History h;
  h.take(1, -1), h.commit(1, 10), h.take(2, 3, "another"), h.take(2, 3, "another");
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxGroups, PositionsGoWithATopicThatIsDeleted) {
  for (const std::string_view name : {"orders", "orders-of-others"}) {
    BlackBox box;
    History h;
    HistoryEntry e = h.entry(1, ok, HistoryCall::commit_offsets);
    e.group = "g", e.offset = 10;
    box.add(e);
    box.forget_positions(name);
    e = h.entry(2, ok, HistoryCall::assign);
    e.group = "g";
    box.add(e);
    EXPECT_EQ(box.finish().valid(), name == "orders") << name;
  }
}
TEST(BlackBoxGroups, LostUpdateByAMemberThatLostThePartition) {
  History h;
  h.take(1, 0), h.take(2, 0), h.commit(2, 10), h.commit(1, 5);
  EXPECT_EQ(h.names(), "lost-update");
  History refused;
  refused.take(1, 0), refused.take(2, 0), refused.commit(2, 10), refused.commit(1, 5, fail);
  EXPECT_EQ(refused.names(), "");
  History again;
  again.take(1, 0), again.take(2, 0), again.commit(2, 10), again.take(1, 10), again.commit(1, 11);
  EXPECT_EQ(again.names(), "");
  History under_way;
  under_way.take(1, 0), under_way.take(2, 0);
  const HistoryEntry early = under_way.begin_commit(1, 5);
  under_way.commit(2, 10), under_way.line_as(early, ok);
  EXPECT_EQ(under_way.names(), "");
  History cut;  // its log, since it took the partition again
  cut.take(1, 0), cut.take(2, 0), cut.commit(2, 10), cut.take(1, 10), cut.commit(1, 5);
  EXPECT_EQ(cut.names(), "");
  History among;  // of those that were committed at the same time
  among.take(1, 0), among.take(2, 0), among.take(3, 0);
  const HistoryEntry lower = among.begin_commit(2, 5);
  among.commit(3, 10), among.line_as(lower, ok), among.commit(1, 7);
  EXPECT_EQ(among.names(), "lost-update");
  History back;  // one member alone may go back: its log was cut
  back.take(1, 0), back.commit(1, 10), back.commit(1, 5), back.take(2, 5);
  EXPECT_EQ(back.names(), "");
}

// ---- ends of partitions ----

TEST(BlackBoxEnds, UnseenBeyondTheEnd) {
  History h;
  h.send(100, 0), h.send(101, 1), h.poll({{0, 100}}), h.end(1);
  EXPECT_EQ(h.names(), "unseen");
  History whole;
  whole.send(100, 0), whole.send(101, 1), whole.poll({{0, 100}}), whole.end(2);
  EXPECT_EQ(whole.names(), "");
  EXPECT_EQ(whole.check().unseen, 1u);
  History later;
  later.end(0), later.send(100, 0);
  EXPECT_EQ(later.names(), "");
}
TEST(BlackBoxEnds, WhatWasReadAndIsBeyondTheEndIsLost) {
  History h;
  h.send(100, 0), h.poll({{0, 100}}), h.end(0);
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBoxEnds, OnlyWhatAllHaveAcknowledged) {
  History h;
  h.send(100, 0, -1, -1, 1);
  const HistoryEntry e = h.send(101, -1);
  h.line_as(e, info), h.end(0);
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxEnds, TheLowestOfThoseThatWereToldLater) {
  History h;
  h.send(100, 0), h.end(1), h.end(0), h.end(1);
  EXPECT_EQ(h.names(), "unseen");
}

// ---- transactions that depend on each other ----

TEST(BlackBoxCycles, WritesInEachOthersMidstAreAllowed) {
  History h;
  h.send(100, 0, 1), h.send(200, 1, 2), h.send(101, 2, 1), h.end_txn(1, ok), h.end_txn(2, ok);
  EXPECT_EQ(h.names(), "G0(allowed)");
  History aborted;
  aborted.send(100, 0, 1), aborted.send(200, 1, 2), aborted.send(101, 2, 1), aborted.end_txn(1, ok);
  aborted.end_txn(2, ok, HistoryCall::abort);
  EXPECT_EQ(aborted.names(), "");
}
TEST(BlackBoxCycles, G1c) {
  History h;  // each was made of the other's
  h.send(100, 0, 1, 200), h.send(200, 2, 2, 100), h.end_txn(1, ok), h.end_txn(2, ok);
  EXPECT_EQ(h.names(), "G1c");
  History chain;
  chain.send(100, 0, 1, 7), chain.send(200, 2, 2, 100), chain.send(300, 4, 3, 200);
  chain.end_txn(1, ok), chain.end_txn(2, ok), chain.end_txn(3, ok);
  EXPECT_EQ(chain.names(), "");
  History three;
  three.send(100, 0, 1, 300), three.send(200, 2, 2, 100), three.send(300, 4, 3, 200);
  three.end_txn(1, ok), three.end_txn(2, ok), three.end_txn(3, ok);
  EXPECT_EQ(three.names(), "G1c");
  ASSERT_EQ(three.check().anomalies.size(), 1u);
  EXPECT_EQ(three.check().anomalies[0].operations.size(), 3u);
}
TEST(BlackBoxCycles, G1cWithTheOrderOfWritesIsAllowed) {
  History h;  // 2 was made of a record of 1, and wrote before it elsewhere
  h.send(200, 0, 2, 100), h.send(100, 2, 1), h.end_txn(1, ok), h.end_txn(2, ok);
  EXPECT_EQ(h.names(), "G1c(allowed)");
}
TEST(BlackBoxCycles, DirtyUpdate) {
  for (const bool aborted : {true, false}) {
    History h;
    h.send(100, 0, 1), h.end_txn(1, ok, aborted ? HistoryCall::abort : HistoryCall::commit);
    h.send(200, 2, 2, 100), h.end_txn(2, ok);
    EXPECT_EQ(h.names(), aborted ? "dirty-update" : "");
  }
  History all;  // its client asks for all records, not for committed ones
  all.send(100, 0, 1), all.end_txn(1, ok, HistoryCall::abort), all.poll({{0, 100}}, false, 1);
  all.send(200, 2, 2, 100), all.end_txn(2, ok);
  EXPECT_EQ(all.names(), "");
  History undone;
  undone.send(100, 0, 1), undone.end_txn(1, ok, HistoryCall::abort);
  undone.send(200, 2, 2, 100), undone.end_txn(2, ok, HistoryCall::abort);
  EXPECT_EQ(undone.names(), "");
}

// ---- lag ----

TEST(BlackBoxLag, TheWorstOfAllReaders) {
  History h;
  HistoryEntry assign = h.entry(9, ok, HistoryCall::assign);  // at 1 ms
  assign.offset = 0;
  h.line(assign);
  h.send(100, 0);      // 2 ms
  h.send(101, 1);      // 3 ms
  h.poll({{0, 100}});  // 4 ms: 101 was there for 1 ms
  h.ops = 19;
  h.poll({{1, 101}});  // 20 ms: it is at the end
  EXPECT_EQ(h.check().worst_lag_ns, 1'000'000);
  EXPECT_EQ(h.check().worst_lag_of, "process 9 on orders-0");
  h.ops = 29;
  h.poll({{0, 100}}, false, 10);  // begins now
  EXPECT_EQ(h.check().worst_lag_ns, 1'000'000);
  h.ops = 34;
  h.send(102, 2);
  h.ops = 39;
  h.poll({{1, 101}}, false, 10);  // at 40 ms, of 35 ms
  EXPECT_EQ(h.check().worst_lag_ns, 5'000'000);
}
TEST(BlackBoxLag, TheFirstThatWasThereCounts) {
  History h;
  h.poll({{0, 100}});  // 1 ms
  const HistoryEntry late = h.entry(1, invoke, HistoryCall::send);
  h.ops = 4;
  h.send(102, 2);  // 5 ms
  h.ops = 9;
  HistoryEntry done = late;
  done.value = 101, done.offset = 1, done.time_ns = 10'000'000;
  h.line_as(done, ok);
  h.ops = 11;
  h.poll({{0, 100}}, false, 10), h.poll({{0, 100}});  // 12 and 13 ms
  EXPECT_EQ(h.check().worst_lag_ns, 8'000'000);
}
TEST(BlackBoxLag, ATransactionsRecordsCountFromItsEnd) {
  History h;
  h.poll({{0, 5}}, true);
  h.send(100, 1, 1), h.send(101, 2, 1);
  h.ops = 9;
  h.end_txn(1, ok);  // 10 ms
  h.ops = 14;
  h.poll({{1, 100}}, true);  // 15 ms
  EXPECT_EQ(h.check().worst_lag_ns, 5'000'000);
}

}  // namespace
}  // namespace verdict::checker
