#include <gtest/gtest.h>

#include <sstream>

#include "checker/black_box.h"

// Holes of compacted topics, in clients' histories.
namespace verdict::checker {
namespace {

struct History {
  std::string lines;
  std::int64_t ops = 0;
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
      write_history_line(e, lines);
    }
  }
  void poll(std::int64_t process, std::vector<OffsetValue> records) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::ok, HistoryCall::poll);
    e.records = std::move(records);
    write_history_line(e, lines);
  }
  void end(std::int64_t txn, HistoryCall call) {
    ++ops;
    for (const HistoryType type : {HistoryType::invoke, HistoryType::ok}) {
      HistoryEntry e = entry(1, type, call);
      e.txn = txn;
      write_history_line(e, lines);
    }
  }
  std::string names() const {
    std::istringstream in(lines);
    const auto result = check_history(in);
    EXPECT_TRUE(result) << (result ? "" : result.error());
    std::string out;
    for (const Anomaly& a : result->anomalies) out += (out.empty() ? "" : " ") + std::string(a.name);
    return out;
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

}  // namespace
}  // namespace verdict::checker
