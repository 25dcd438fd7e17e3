#include <algorithm>

#include "tests/unit/checker/cluster.h"

// L2, and what other rules make of a compacted log: each in a run that breaks it, beside the same run as it should be.
namespace verdict::checker {
namespace {

constexpr ProducerId kAlice{1};
constexpr int kTombstone = -1;

// One record a batch, with a key and a value; offset, key and value in one line.
struct Record {
  int key;
  int value;  // kTombstone: none
};

struct Compacted : Cluster {
  explicit Compacted(std::vector<int> ids = {1, 2}) : Cluster(ids) {
    for (const NodeId id : replicas) open(id.value());
    decide(1, 1, ids);
    lead(1, 1, ids);
    for (const int id : ids)
      if (id != 1) follow(id, 1, 1);
    members = ids;
  }
  void tell(int node, int base, int last, const std::vector<int>& offsets, const std::vector<Record>& records) {
    std::vector<Offset> at;
    std::vector<RecordHash> keys, contents;
    for (std::size_t i = 0; i < records.size(); ++i) {
      at.emplace_back(offsets[i]);
      keys.emplace_back(records[i].key);
      const int content = 1000 + 100 * records[i].key + records[i].value;
      contents.emplace_back(records[i].value == kTombstone ? -content : content);
    }
    event(node, BatchRecords{key, Offset(base), Offset(last), at, keys, contents});
  }
  // A leader's append, copied by `followers` and committed where that is all.
  void put(Record record, std::string_view marker = "none", std::vector<int> followers = {2}) {
    const int base = ends[1];
    tell(1, base, base, {base}, {record});
    append_one(1, base, crc(base), Role::leader, marker);
    for (const int id : followers) copy_one(id, base, crc(base), marker);
    if (followers.size() + 1 == members.size()) {
      advance(1, 1, base, base + 1, members, std::vector<int>(members.size(), base + 1));
    }
  }
  void append_one(int node, int base, unsigned sum, Role role, std::string_view marker) {
    const bool in_transaction = marker != "none";
    const ProducerId id = in_transaction ? kAlice : kNoProducerId;
    const ProducerEpoch epoch = in_transaction ? ProducerEpoch(0) : kNoProducerEpoch;
    const int sequence = !in_transaction || !marker.empty()             ? -1
                         : sent.try_emplace(base, next_sequence).second ? next_sequence++
                                                                        : sent.at(base);
    const BatchAppended made = one_record(key, base, 1, role, sum, id, epoch, sequence);
    if (in_transaction) {
      transactional(node, made, marker);
    } else {
      event(node, made);
    }
    ends[node] = base + 1;
  }
  void copy_one(int id, int base, unsigned sum, std::string_view marker = "none") {
    append_one(id, base, sum, Role::follower, marker);
    fetch(1, 1, id, base + 1);
  }
  // Compacts [0, to) of `node` to the batches and records at `kept`; `empty`: batches without their record.
  void clean(int node, int to, const std::vector<int>& kept, const std::vector<int>& empty = {}) {
    std::vector<Offset> bases, left;
    std::vector<FilePosition> positions;
    for (int at = 0; at < to; ++at) {
      const bool record = std::ranges::find(kept, at) != kept.end();
      if (!record && std::ranges::find(empty, at) == empty.end()) continue;
      positions.emplace_back(bases.size() * 100);
      bases.emplace_back(at);
      if (record) left.emplace_back(at);
    }
    event(node, LogCleaned{key, Offset(0), Offset(to), Offset(to), Offset(to), bases, bases, positions,
                           FilePosition(bases.size() * 100), left});
  }
  void read(int node, int offset, unsigned sum) { deliver(node, 1, offset, sum, 1, ends[1]); }
  static unsigned crc(int base) { return 100U + static_cast<unsigned>(base); }

  std::vector<int> members;
  std::map<int, int> sent;
  int next_sequence = 0;
};

TEST(Compaction, AReaderGetsToTheLastBatchThatIsLeft) {
  Compacted c;
  for (int value = 0; value < 6; ++value) c.put({1, value});
  const auto end = [&](int bound, int node = 1) {
    return c.box.readable_end(c.key, NodeId(node), Offset(bound)).value();
  };
  EXPECT_EQ(end(4), 4);
  c.clean(1, 5, {4}, {1});
  EXPECT_EQ(end(6), 6);
  EXPECT_EQ(end(5), 5);
  EXPECT_EQ(end(4), 2) << "2 and 3 are a hole";
  EXPECT_EQ(end(3), 2);
  EXPECT_EQ(end(2), 2) << "an empty batch takes a reader on";
  EXPECT_EQ(end(1), 0);
  EXPECT_EQ(end(4, 2), 4) << "the other has compacted nothing";
}

TEST(Compaction, LastValuesStay) {
  Compacted c;
  c.put({1, 1}), c.put({2, 1}), c.put({1, 2}), c.put({1, 3});
  c.clean(1, 4, {1, 3});
  c.read(1, 1, Compacted::crc(1));
  c.clean(2, 3, {1, 2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L2ALastValueGoes) {
  Compacted c;
  c.put({1, 1}), c.put({2, 1}), c.put({1, 2});
  c.clean(1, 3, {2});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
  EXPECT_NE(c.sentence().find("no later value of its key"), std::string::npos) << c.sentence();
}
TEST(Compaction, L2ABatchThatNeverWas) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2});
  c.event(1, LogCleaned{.partition = c.key,
                        .from = Offset(0),
                        .to = Offset(2),
                        .clean_to = Offset(2),
                        .last_stable = Offset(2),
                        .bases = std::vector{Offset(0)},
                        .lasts = std::vector{Offset(1)},
                        .positions = std::vector{FilePosition(0)},
                        .size = FilePosition(100),
                        .records = std::vector{Offset(1)}});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
}
TEST(Compaction, AbortedRecordsGo) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, ""), c.put({9, 9}, "abort"), c.put({3, 1});
  c.clean(1, 4, {0, 2, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L2AnAbortedValueIsNoLaterOne) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, ""), c.put({9, 9}, "abort"), c.put({3, 1});
  c.clean(1, 4, {2, 3});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
  EXPECT_NE(c.sentence().find("is aborted"), std::string::npos) << c.sentence();
}
TEST(Compaction, L2AnUndecidedValueIsNoLaterOne) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, ""), c.put({3, 1});
  c.clean(1, 1, {}, {0});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
  EXPECT_NE(c.sentence().find("is undecided"), std::string::npos) << c.sentence();
}
TEST(Compaction, L2AnUndecidedRecordGoes) {
  Compacted c;
  c.put({1, 1}, ""), c.put({1, 2});
  c.clean(1, 2, {1});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
}
TEST(Compaction, ACommittedValueIsALaterOne) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, ""), c.put({9, 9}, "commit"), c.put({3, 1});
  c.clean(1, 4, {1, 2, 3});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
// kafka-14055
TEST(Compaction, L2AMarkerGoesBeforeItsTransaction) {
  Compacted c;
  c.put({1, 1}, ""), c.put({9, 9}, "commit"), c.put({9, 1});
  c.clean(1, 3, {0, 2});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
  EXPECT_NE(c.sentence().find("the marker at offset 1"), std::string::npos) << c.sentence();
}
TEST(Compaction, AMarkerGoesAfterItsTransaction) {
  Compacted c;
  c.put({1, 1}, ""), c.put({9, 9}, "commit"), c.put({1, 2});
  c.clean(1, 3, {1, 2});
  c.clean(1, 3, {2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, ATombstoneGoesAfterWhatItDeletes) {
  Compacted c;
  c.put({1, 1}), c.put({1, kTombstone}), c.put({2, 1});
  c.clean(1, 3, {1, 2});
  c.clean(1, 3, {2});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L2ATombstoneGoesBeforeWhatItDeletes) {
  Compacted c;
  c.put({1, 1}), c.put({1, kTombstone}), c.put({2, 1});
  c.clean(1, 3, {0, 2});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
  EXPECT_NE(c.sentence().find("that it deletes stays"), std::string::npos) << c.sentence();
}
TEST(Compaction, AFollowerCopiesAHole) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, "none", {}), c.put({1, 3}, "none", {}), c.put({2, 1}, "none", {});
  c.clean(1, 4, {2, 3});
  c.copy_one(2, 2, Compacted::crc(2));
  c.copy_one(2, 3, Compacted::crc(3));
  c.advance(1, 1, 1, 4, {1, 2}, {4, 4});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L1AFollowerSkipsWhatItsLeaderHolds) {
  Compacted c;
  c.put({1, 1}), c.put({1, 2}, "none", {}), c.put({3, 1}, "none", {}), c.put({1, 3}, "none", {});
  c.clean(1, 4, {2, 3});
  c.copy_one(2, 3, Compacted::crc(3));
  EXPECT_EQ(c.found(), "L1") << c.sentence();
}
TEST(Compaction, L1HolesOfALogThatIsNotCompacted) {
  Cluster c;
  c.commit(1);
  c.append(1, 1, 5), c.append(1, 1, 6);
  c.append(2, 1, 6, false, 2);
  EXPECT_EQ(c.found(), "L1") << c.sentence();
}
// Two records in a batch, of which compaction leaves one: another CRC, the same record.
struct Rewritten : Compacted {
  Rewritten() {
    tell(1, 0, 1, {0, 1}, {{1, 1}, {2, 1}});
    for (const int id : {1, 2}) {
      event(id, BatchAppended{key, Offset(0), Offset(1), LeaderEpoch(1), id == 1 ? Role::leader : Role::follower, 77, 2,
                              kNoProducerId, kNoProducerEpoch, -1, 0, Offset(0), 0, 200});
      ends[id] = 2;
    }
    fetch(1, 1, 2, 2);
    advance(1, 1, 0, 2, {1, 2}, {2, 2});
    put({1, 2});
    const std::vector<Offset> bases{Offset(0), Offset(2)}, lasts{Offset(1), Offset(2)};
    const std::vector<FilePosition> at{FilePosition(0), FilePosition(120)};
    const std::vector<Offset> left{Offset(1), Offset(2)};
    event(1, LogCleaned{key, Offset(0), Offset(3), Offset(3), Offset(3), bases, lasts, at, FilePosition(220), left});
  }
  void answer(const std::vector<int>& offsets, const std::vector<Record>& what) {
    tell(1, 0, 1, offsets, what);
    event(1, BatchDelivered{key, LeaderEpoch(1), Offset(0), Offset(1), LeaderEpoch(1), 78, Offset(3), false});
  }
};
TEST(Compaction, WhatIsLeftOfABatchIsDelivered) {
  Rewritten c;
  c.answer({1}, {{2, 1}});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L3WhatIsLeftIsAnotherRecord) {
  Rewritten c;
  c.answer({1}, {{2, 5}});
  EXPECT_EQ(c.found(), "L3") << c.sentence();
}
TEST(Compaction, L3WhatIsLeftStandsElsewhere) {
  Rewritten c;
  c.answer({0}, {{2, 1}});
  EXPECT_EQ(c.found(), "L3") << c.sentence();
}
TEST(Compaction, L3AnotherCrcWithoutRecords) {
  Rewritten c;
  c.event(1, BatchDelivered{c.key, LeaderEpoch(1), Offset(0), Offset(1), LeaderEpoch(1), 78, Offset(3), false});
  EXPECT_EQ(c.found(), "L3") << c.sentence();
}
// Bytes of a compacted segment are those of the batches that are in it now.
TEST(Compaction, L4TheLedgerKnowsWhereBatchesAreNow) {
  for (const bool told : {false, true}) {
    Compacted c;
    c.put({1, 1}), c.put({1, 2}), c.put({1, 3}), c.put({2, 1});
    c.clean(2, 4, {2, 3});
    c.decide(1, 1, {1});
    c.stop(2, StopKind::power_loss);
    if (told) c.box.bytes_lost(c.time, NodeId(2), "data/orders-0/00000000000000000000.log", 100, 200);
    c.start(2);
    c.up(2, false);
    c.open(2, 3, 1);
    EXPECT_EQ(c.found(), told ? "none" : "L4") << c.sentence();
  }
}
// What a compacted log kept may begin behind a hole at its start: with that gone it is empty.
TEST(Compaction, L4WhatIsLeftOfALogMayGoAsAWhole) {
  for (const int from : {0, 1, 2}) {
    Compacted c;
    c.put({1, 1}), c.put({1, 2}), c.put({1, 3}), c.put({2, 1});
    c.clean(2, 4, {2, 3});
    c.event(2, LogStartMoved{c.key, Offset(0), Offset(1), StartReason::retention});
    c.decide(1, 1, {1});
    c.stop(2);
    c.lose(2, from, 2);
    c.start(2);
    c.open(2, 0);
    EXPECT_EQ(c.found(), from == 0 ? "none" : "L4") << from << c.sentence();
  }
}

// A swap that a power loss undoes in part leaves all under older names, from which the next start completes it; what
// was destroyed doesn't come back. So the log doesn't depend on the names any more when the broker dies again.
TEST(Compaction, L4WhatLostItsNameOnlyMayBeFound) {
  for (const LossCause cause : {LossCause::undone, LossCause::destroyed}) {
    Compacted c;
    c.put({1, 1}), c.put({1, 2}), c.put({2, 1});
    c.decide(1, 1, {1});
    c.stop(2, StopKind::power_loss);
    c.lose(2, 0, 2, cause);
    for (const int end : {2, 2, 1}) {
      EXPECT_EQ(c.found(), "none") << c.sentence();
      c.start(2);
      c.up(2, false);
      c.open(2, end, 1);
      if (end == 1 || cause == LossCause::destroyed) break;
      c.stop(2, StopKind::power_loss);
    }
    EXPECT_EQ(c.found(), "L4") << c.sentence();
    EXPECT_EQ(c.ends[2], cause == LossCause::destroyed ? 2 : 1);
  }
}
// The bytes of a segment are destroyed of which a swap's copy is durable already: the next start puts that in its
// place. Of the last segment there is none.
TEST(Compaction, L4ASwapsCopyOutlivesWhatItIsOf) {
  for (const int from : {0, 2}) {
    Compacted c;
    c.put({1, 1}), c.put({1, 2});
    for (const int id : {1, 2})
      c.event(id, BatchAppended{c.key, Offset(2), Offset(2), LeaderEpoch(1), id == 1 ? Role::leader : Role::follower,
                                77, 1, kNoProducerId, kNoProducerEpoch, -1, 0, Offset(2), 0, 100});
    c.decide(1, 1, {1});
    c.stop(2, StopKind::power_loss);
    const std::string file = from == 0 ? "00000000000000000000.log" : "00000000000000000002.log";
    c.box.bytes_lost(c.time, NodeId(2), "data/orders-0/" + file, 0, 50);
    for (const StopKind again : {StopKind::kill, StopKind::power_loss}) {
      c.start(2);
      c.up(2, false);
      c.open(2, 3, 1);
      c.stop(2, again);
    }
    EXPECT_EQ(c.found(), from == 0 ? "none" : "L4") << c.sentence();
  }
}
// Broker 2 dies in a swap, and with it goes the later value of key 1, for which the swap took the first one; the next
// start completes it. The next pass is the first to say what is left.
struct SwappedUnheard : Compacted {
  SwappedUnheard() {
    put({1, 1}), put({2, 1}), put({1, 2});
    decide(1, 1, {1});
    stop(2, StopKind::power_loss);
    box.bytes_lost(time, NodeId(2), "data/orders-0/00000000000000000000.log", 200, 300);
    start(2);
    up(2, false);
    open(2, 2, 1);
  }
};
TEST(Compaction, ALostTailJustifiesASwapThatNobodyHeardOf) {
  SwappedUnheard c;
  c.clean(2, 2, {1});
  EXPECT_EQ(c.found(), "none") << c.sentence();
}
TEST(Compaction, L2ALostTailJustifiesNothingElse) {
  SwappedUnheard c;
  c.clean(2, 2, {0});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
}
TEST(Compaction, L2ALostTailJustifiesNoLaterPass) {
  SwappedUnheard c;
  c.clean(2, 2, {0, 1});
  c.clean(2, 2, {1});
  EXPECT_EQ(c.found(), "L2") << c.sentence();
}

}  // namespace
}  // namespace verdict::checker
