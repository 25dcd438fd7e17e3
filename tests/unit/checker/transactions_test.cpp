#include "tests/unit/checker/cluster.h"

// T1, T2, T4, T5, T7 and T8, each in a run that breaks it, beside the same run as it should be.
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
  void batch(ProducerId id, int epoch, int sequence, std::string_view marker, bool transactional = true) {
    const int base = ends[1];
    const ProducerEpoch of(static_cast<std::int16_t>(epoch));
    event(1, BatchAppended{key, Offset(base), Offset(base), LeaderEpoch(1), Role::leader, crc(base), 1, id, of,
                           sequence, 0, Offset(0), static_cast<std::uint64_t>(base) * 100, 100});
    if (transactional) event(1, TransactionalAppended{key, Offset(base), Offset(base), id, of, marker});
    ends[1] = base + 1;
    advance(1, 1, base, base + 1, {1}, {base + 1});
  }
  void write(ProducerId id, int sequence, int epoch = 0) { batch(id, epoch, sequence, ""); }
  void mark(ProducerId id, std::string_view outcome, int epoch = 0) { batch(id, epoch, -1, outcome); }
  void idempotent(int sequence, int epoch = 0) { batch(kAlice, epoch, sequence, "", false); }
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
  static unsigned crc(int offset) { return 100U + static_cast<unsigned>(offset); }
};

TEST(Transactions, WhatIsCommittedIsDelivered) {
  Partition p;
  p.write(kAlice, 0), p.write(kBob, 0), p.mark(kAlice, "commit"), p.mark(kBob, "abort");
  p.answer(0, 4, {{kBob, 1}});
  p.answer(1, 4, {{kBob, 1}});
  p.answer(2, 4), p.answer(3, 4);
  EXPECT_EQ(p.found(), "none") << p.sentence();
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

}  // namespace
}  // namespace verdict::checker
