#include "tests/unit/checker/history_lines.h"

// Holes of compacted topics, in clients' histories.
namespace verdict::checker {
namespace {

struct History : HistoryLines {
  bool compacted = true;

  struct Send {
    std::int64_t value;
    std::string key;
    std::int64_t offset = -1;
    HistoryType result = HistoryType::ok;
    bool tombstone = false;
    std::int64_t txn = -1;
  };
  HistoryEntry entry(std::int64_t process, HistoryType type, HistoryCall call) {
    HistoryEntry e;
    e.op = ops, e.process = process, e.type = type, e.call = call, e.topic = "orders", e.time_ns = ops;
    return e;
  }
  void send(const Send& s) {
    ++ops;
    for (const HistoryType type : {HistoryType::invoke, s.result}) {
      HistoryEntry e = entry(1, type, HistoryCall::send);
      e.value = s.value, e.key = s.key, e.compacted = compacted, e.tombstone = s.tombstone, e.txn = s.txn;
      if (type == HistoryType::ok) e.offset = s.offset;
      line(e);
    }
  }
  void poll(std::int64_t process, std::vector<OffsetValue> records) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::ok, HistoryCall::poll);
    e.records = std::move(records);
    line(e);
  }
  void from_start(std::int64_t process) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::ok, HistoryCall::assign);
    e.offset = 0;
    line(e);
  }
  void end(std::int64_t txn, HistoryCall call) {
    ++ops;
    for (const HistoryType type : {HistoryType::invoke, HistoryType::ok}) {
      HistoryEntry e = entry(1, type, call);
      e.txn = txn;
      line(e);
    }
  }
  // Of the partition.
  void ends_at(std::int64_t offset) {
    ++ops;
    HistoryEntry e = entry(8, HistoryType::invoke, HistoryCall::end);
    line(e);
    e.offset = offset;
    line_as(e, HistoryType::ok);
  }
};

TEST(BlackBoxCompaction, AHoleWithALaterValueOfTheKey) {
  History h;
  h.send({100, "a", 0}), h.send({101, "b", 1}), h.send({102, "a", 2});
  h.poll(8, {{0, 100}, {1, 101}, {2, 102}});
  h.poll(9, {{1, 101}, {2, 102}});
  h.poll(7, {{0, 100}, {2, 102}});
  EXPECT_EQ(h.names(), "int-poll-skip");  // of b there is no later value
  History good;
  good.send({100, "a", 0}), good.send({101, "b", 1}), good.send({102, "a", 2});
  good.poll(8, {{0, 100}, {1, 101}, {2, 102}});
  good.poll(9, {{1, 101}, {2, 102}});
  EXPECT_EQ(good.names(), "");
}
TEST(BlackBoxCompaction, AWriteWithALaterValueIsNotLost) {
  History h;
  h.send({100, "a", 1}), h.send({101, "a", 2}), h.send({102, "c", 0});
  h.poll(9, {{0, 102}, {2, 101}});
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxCompaction, AWriteWithoutOneIs) {
  History h;
  h.send({100, "a", 1}), h.send({101, "b", 2}), h.send({102, "c", 0});
  h.poll(9, {{0, 102}, {2, 101}});
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBoxCompaction, ALaterValueOfAnAbortedTransactionIsNone) {
  History h;
  h.send({100, "a", 1}), h.send({101, "a", 2, HistoryType::ok, false, 5}), h.end(5, HistoryCall::abort);
  h.send({102, "c", 0}), h.send({103, "c", 4});
  h.poll(9, {{0, 102}, {4, 103}});
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBoxCompaction, AnAbortedValueGoesFromAllReaders) {
  for (const HistoryCall end : {HistoryCall::abort, HistoryCall::commit}) {
    History h;
    h.send({101, "a", 2, HistoryType::ok, false, 5}), h.end(5, end);
    h.send({102, "c", 0}), h.send({103, "c", 4});
    h.poll(9, {{0, 102}, {4, 103}});
    EXPECT_EQ(h.names(), end == HistoryCall::abort ? "" : "lost-write");
  }
}
TEST(BlackBoxCompaction, TombstonesGoByThemselves) {
  History h;
  h.send({100, "a", 1, HistoryType::ok, true}), h.send({102, "c", 0}), h.send({103, "c", 4});
  h.poll(9, {{0, 102}, {4, 103}});
  EXPECT_EQ(h.names(), "");
}
// A value may stand where nobody has read yet.
TEST(BlackBoxCompaction, WhatHasAnUnknownOutcomeMayHaveTakenItAway) {
  for (const HistoryType how : {HistoryType::info, HistoryType::fail}) {
    for (const bool tombstone : {true, false}) {
      History h;
      h.send({100, "a", 1}), h.send({101, "a", -1, how, tombstone});
      h.send({102, "c", 0}), h.send({103, "c", 4});
      h.poll(9, {{0, 102}, {4, 103}});
      EXPECT_EQ(h.names(), how == HistoryType::info ? "" : "lost-write");
    }
  }
}
// Two copies of the last value of a key: the earlier one goes.
TEST(BlackBoxCompaction, AnEarlierCopyOfTheSameValueMayBeGone) {
  History h;
  h.send({100, "a", 1}), h.send({102, "c", 0}), h.send({103, "c", 4});
  h.poll(8, {{0, 102}, {1, 100}, {3, 100}, {4, 103}});
  h.poll(9, {{0, 102}, {3, 100}, {4, 103}});
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxCompaction, AKeyIsNoExcuseInATopicThatIsNotCompacted) {
  History h;
  h.compacted = false;
  h.send({100, "a", 1}), h.send({101, "a", 2}), h.send({102, "c", 0});
  h.poll(9, {{0, 102}, {2, 101}});
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBoxCompaction, WhatALaterRecordOfItsKeyReplacesMayBeGone) {
  History h;
  h.send({100, "a", 0}), h.send({101, "a", 1}), h.send({102, "b", 2});
  h.poll(9, {{0, 100}, {1, 101}, {2, 102}});
  History cleaned = h;
  cleaned.poll(8, {{1, 101}, {2, 102}});
  cleaned.from_start(7), cleaned.poll(7, {{1, 101}, {2, 102}});
  EXPECT_EQ(cleaned.names(), "");
  History lost = h;
  lost.from_start(6), lost.poll(6, {{0, 100}, {2, 102}});
  EXPECT_EQ(lost.names(), "int-poll-skip");
}
TEST(BlackBoxCompaction, TheLastOfAKeyStays) {
  for (const bool tombstone : {true, false}) {
    History h;
    h.send({100, "a", 0, HistoryType::ok, tombstone}), h.send({101, "b", 1}), h.ends_at(2);
    h.from_start(7), h.poll(7, {{1, 101}});
    EXPECT_EQ(h.names(), tombstone ? "" : "lost-write");
  }
}
TEST(BlackBoxCompaction, OnlyWhatMayBeThereReplaces) {
  for (const HistoryType how : {HistoryType::ok, HistoryType::info, HistoryType::fail}) {
    History h;
    h.send({100, "a", 0}), h.send({101, "b", 1}), h.send({103, "a", how == HistoryType::ok ? 2 : -1, how});
    h.from_start(7), h.poll(7, {{1, 101}});
    EXPECT_EQ(h.names(), how == HistoryType::fail ? "lost-write" : "");
  }
}

}  // namespace
}  // namespace verdict::checker
