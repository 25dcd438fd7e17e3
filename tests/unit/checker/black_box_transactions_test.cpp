#include "tests/unit/checker/history_lines.h"

// Histories with transactions, healthy and broken.
namespace verdict::checker {
namespace {

struct History : HistoryLines {
  HistoryEntry entry(HistoryType type, HistoryCall call) {
    HistoryEntry e;
    e.op = ++ops, e.process = 1, e.type = type, e.call = call, e.topic = "orders", e.time_ns = ops;
    return e;
  }
  // Acknowledged, in a transaction.
  void send(std::int64_t txn, std::int64_t value, std::int64_t offset, std::int64_t input = -1,
            const std::string& group = "g") {
    HistoryEntry e = entry(HistoryType::invoke, HistoryCall::send);
    e.value = value, e.txn = txn, e.idempotent = true, e.input = input;
    if (input >= 0) e.group = group;
    line(e);
    e.offset = offset;
    line_as(e, HistoryType::ok);
  }
  void end(std::int64_t txn, HistoryType how, HistoryCall call = HistoryCall::commit) {
    HistoryEntry e = entry(HistoryType::invoke, call);
    e.txn = txn, e.topic.clear();
    line(e);
    if (how != HistoryType::invoke) line_as(e, how);
  }
  void poll(std::vector<OffsetValue> records, bool committed = true, std::int64_t process = 9) {
    HistoryEntry e = entry(HistoryType::ok, HistoryCall::poll);
    e.process = process, e.read_committed = committed, e.records = std::move(records);
    line(e);
  }
  void assign(std::int64_t offset, std::int64_t process = 9) {
    HistoryEntry e = entry(HistoryType::ok, HistoryCall::assign);
    e.process = process, e.offset = offset;
    line(e);
  }
  std::string names() const {
    std::string out;
    for (const Anomaly& a : check().anomalies) {
      if (!a.allowed) out += (out.empty() ? "" : " ") + std::string(a.name);
    }
    return out;
  }
};

// Transaction 1 commits 100 and 101 at 0 and 1 (marker 2), transaction 2 aborts 200 at 3 (marker 4), 3 commits 300
// at 5.
History three() {
  History h;
  h.assign(0);
  h.send(1, 100, 0), h.send(1, 101, 1), h.end(1, HistoryType::ok);
  h.send(2, 200, 3), h.end(2, HistoryType::ok, HistoryCall::abort);
  h.send(3, 300, 5), h.end(3, HistoryType::ok);
  return h;
}

TEST(BlackBoxTransactions, Healthy) {
  History h = three();
  h.poll({{0, 100}, {1, 101}}), h.poll({{5, 300}});
  h.assign(0, 8);
  h.poll({{0, 100}, {1, 101}, {3, 200}, {5, 300}}, false, 8);
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxTransactions, G1aAnAbortedRecordIsRead) {
  History h = three();
  h.poll({{0, 100}, {1, 101}, {3, 200}});
  EXPECT_EQ(h.names(), "G1a");
}
TEST(BlackBoxTransactions, G1aWhatWasNeverToBeCommittedIsRead) {
  History h;
  h.send(1, 100, 0);  // its client dies
  h.poll({{0, 100}});
  EXPECT_EQ(h.names(), "G1a");
}
TEST(BlackBoxTransactions, G1aARefusedCommitIsRead) {
  History h;
  h.send(1, 100, 0), h.end(1, HistoryType::fail);
  h.poll({{0, 100}});
  EXPECT_EQ(h.names(), "G1a");
}
TEST(BlackBoxTransactions, AnUnknownCommitMayBeReadOrNot) {
  for (const bool read : {true, false}) {
    History h;
    h.assign(0);
    h.send(1, 100, 0), h.end(1, HistoryType::info), h.send(2, 200, 2), h.end(2, HistoryType::ok);
    if (read) h.poll({{0, 100}});
    h.poll({{2, 200}});
    EXPECT_EQ(h.names(), "") << read;
  }
}
TEST(BlackBoxTransactions, PrecommittedRead) {
  History h;
  h.send(1, 100, 0);
  h.poll({{0, 100}});
  h.end(1, HistoryType::ok);
  EXPECT_EQ(h.names(), "precommitted-read");
}
TEST(BlackBoxTransactions, ReadersOfAllRecordsMayReadEarly) {
  History h;
  h.send(1, 100, 0);
  h.poll({{0, 100}}, false);
  h.end(1, HistoryType::ok, HistoryCall::abort);
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxTransactions, ACommittedTransactionIsLost) {
  History h = three();
  h.send(4, 400, 7), h.end(4, HistoryType::ok), h.send(5, 500, 9), h.end(5, HistoryType::ok);
  h.poll({{0, 100}, {1, 101}, {5, 300}}), h.poll({{9, 500}});
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBoxTransactions, G1bATransactionIsPartlyVisible) {
  for (const HistoryType told : {HistoryType::ok, HistoryType::info}) {
    History h;
    h.assign(0);
    h.send(1, 100, 0), h.send(1, 101, 1), h.end(1, told), h.send(2, 200, 3), h.end(2, HistoryType::ok);
    h.poll({{0, 100}, {3, 200}});
    EXPECT_EQ(h.names(), "G1b");
  }
}
TEST(BlackBoxTransactions, OneReaderPassesWhatAnotherReads) {
  History h = three();
  h.poll({{0, 100}, {5, 300}});
  h.assign(0, 8);
  h.poll({{0, 100}, {1, 101}, {5, 300}}, true, 8);
  EXPECT_EQ(h.names(), "int-poll-skip");
}
TEST(BlackBoxTransactions, ADuplicateOfATransactionalSend) {
  History h = three();
  h.poll({{0, 100}, {1, 101}, {2, 101}, {5, 300}});
  EXPECT_EQ(h.names(), "duplicate");
}
TEST(BlackBoxTransactions, AProducerThatRenewedItselfMayRepeat) {
  History h;
  HistoryEntry e = h.entry(HistoryType::invoke, HistoryCall::send);
  e.value = 100, e.idempotent = true;
  h.line(e);
  e.type = HistoryType::ok, e.offset = 1, e.renewed = true;
  h.line(e);
  h.poll({{0, 100}, {1, 100}});
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBoxTransactions, AnInputOfTwoCommittedTransactions) {
  History h;
  h.send(1, 100, 0, 7), h.end(1, HistoryType::ok);
  h.send(2, 200, 2, 7), h.end(2, HistoryType::ok, HistoryCall::abort);
  EXPECT_EQ(h.names(), "");
  h.send(4, 400, 3, 7, "another"), h.end(4, HistoryType::ok);
  EXPECT_EQ(h.names(), "");
  h.send(3, 300, 4, 7), h.end(3, HistoryType::ok);
  EXPECT_EQ(h.names(), "input-twice");
}
// Its own producer, which is not idempotent, sent it twice: it is two inputs, at two offsets.
TEST(BlackBoxTransactions, AnInputThatIsInItsLogTwice) {
  for (const bool twice : {false, true}) {
    History h;
    h.poll({{20, 7}}, true, 8);
    if (twice) h.poll({{21, 7}}, true, 8);
    h.send(1, 100, 0, 7), h.end(1, HistoryType::ok);
    h.send(2, 200, 2, 7), h.end(2, HistoryType::ok);
    EXPECT_EQ(h.names(), twice ? "" : "input-twice");
    if (!twice) continue;
    h.send(3, 300, 4, 7), h.end(3, HistoryType::ok);
    EXPECT_EQ(h.names(), "input-twice");
  }
}
TEST(BlackBoxTransactions, CopiesOfEachInputAreCountedApart) {
  History h;
  for (const std::int64_t value : {7, 8}) {
    for (const std::int64_t copy : {0, 1}) {
      HistoryEntry e = h.entry(HistoryType::ok, HistoryCall::poll);
      e.process = 8, e.topic = "inputs", e.records = {{2 * value + copy, value}};
      h.line(e);
      const std::int64_t txn = 2 * value + copy;
      h.send(txn, 100 * txn, txn, value), h.end(txn, HistoryType::ok);
    }
  }
  EXPECT_EQ(h.names(), "");
}

}  // namespace
}  // namespace verdict::checker
