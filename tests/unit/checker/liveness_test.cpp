#include "checker/liveness.h"

#include <gtest/gtest.h>

#include "checker/invariants.h"
#include "tests/unit/checker/cluster.h"

namespace verdict::checker {
namespace {

LivenessBounds bounds() { return {10ms, 20ms, 30ms, 40ms, 50ms, 50ms}; }

LivenessProbe healthy() {
  LivenessProbe p;
  p.now = MonoTime{} + 100ms;
  p.metadata_committed = Offset(7);
  LivenessProbe::Partition part;
  part.name = "orders-0", part.leader = NodeId(1), part.leader_epoch = LeaderEpoch(3),
  part.isr = {NodeId(1), NodeId(2)};
  for (const int id : {1, 2}) {
    p.brokers.push_back({NodeId(id), true, true, false, Offset(7)});
    part.replicas.push_back({NodeId(id), true, Offset(5), Offset(5), LeaderEpoch(3), id == 1});
  }
  p.partitions.push_back(part);
  return p;
}
std::string judge(const LivenessProbe& p, Duration healed = 0ms) {
  const auto v = check_liveness(p, MonoTime{} + healed, bounds());
  return v ? std::string(v->invariant) : "none";
}

TEST(Liveness, EachRule) {
  EXPECT_EQ(judge(healthy()), "none");
  auto p = healthy();
  p.partitions[0].leader = kNoNode;
  EXPECT_EQ(judge(p), "V1");
  EXPECT_EQ(judge(p, 91ms), "none");  // the bound has not passed
  EXPECT_EQ(judge(p, 90ms), "V1");
  p = healthy(), p.partitions[0].replicas[0].leader_epoch = LeaderEpoch(2);
  EXPECT_EQ(judge(p), "V1");
  p = healthy(), p.partitions[0].replicas[0].leads = false;
  EXPECT_EQ(judge(p), "V1");
  p = healthy(), p.brokers[1].fenced = true;
  EXPECT_EQ(judge(p), "V2");
  EXPECT_EQ(judge(p, 81ms), "none");
  p = healthy(), p.brokers[1].stopping = true;
  EXPECT_EQ(judge(p), "V2");
  EXPECT_EQ(judge(p, 81ms), "none");
  p = healthy(), p.brokers[1].metadata_applied = Offset(6);
  EXPECT_EQ(judge(p), "V3");
  EXPECT_EQ(judge(p, 71ms), "none");
  p = healthy(), p.partitions[0].replicas[1].high_watermark = Offset(4);
  EXPECT_EQ(judge(p), "V3");
  p = healthy(), p.partitions[0].replicas[1].log_end = Offset(4);
  EXPECT_EQ(judge(p), "V3");
  p = healthy(), p.waiters.push_back({NodeId(1), "produce", 40ms});
  EXPECT_EQ(judge(p), "V4");
  EXPECT_EQ(judge(p, 61ms), "none");
  p.waiters[0].age = 39ms;
  EXPECT_EQ(judge(p), "none");
  p.transactions.push_back({.invariant = "T10", .partition_name = "orders-0"});
  EXPECT_EQ(judge(p), "T10");
  EXPECT_EQ(judge(p, 51ms), "none");
}
TEST(Liveness, ALogThatGrowsIsHeldAgainstWhatItWas) {
  auto p = healthy();
  p.partitions[0].replicas[0].log_end = p.partitions[0].replicas[0].high_watermark = Offset(7);
  EXPECT_EQ(judge(p), "V3");
  p.partitions[0].end_before = Offset(5);
  EXPECT_EQ(judge(p), "none");
  p.partitions[0].end_before = Offset(6);
  EXPECT_EQ(judge(p), "V3");
  p.partitions[0].end_before = Offset(7);  // it stands still
  EXPECT_EQ(judge(p), "V3");
}
TEST(Liveness, GroupsBecomeStable) {
  auto p = healthy();
  p.groups.push_back({.name = "g", .coordinator = NodeId(1), .state = "Stable", .outside = {}});
  for (const char* state : {"Stable", "Empty", ""}) {
    p.groups[0].state = state;
    EXPECT_EQ(judge(p), "none") << state;
  }
  for (const char* state : {"PreparingRebalance", "CompletingRebalance"}) {
    p.groups[0].state = state;
    EXPECT_EQ(judge(p), "V6") << state;
    EXPECT_EQ(judge(p, 51ms), "none");  // the bound has not passed
  }
  p.groups[0].served = false;
  EXPECT_EQ(judge(p), "none");
  p.groups[0].served = true, p.groups[0].state = "Stable", p.groups[0].outside = {"client 3"};
  EXPECT_EQ(judge(p), "V6");
}
TEST(Liveness, Excuses) {
  auto p = healthy();
  p.brokers[1] = {NodeId(2), false, false, true, Offset(0)};  // stays broken
  p.partitions[0].replicas[1].open = false;
  EXPECT_EQ(judge(p), "none");
  p.partitions[0].isr = {NodeId(2)}, p.partitions[0].leader = kNoNode;  // no-candidate
  EXPECT_EQ(judge(p), "none");
  p = healthy(), p.partitions[0].min_isr = 2, p.partitions[0].isr = {NodeId(1)};  // below-min-isr
  p.partitions[0].replicas[1].high_watermark = Offset(4);
  EXPECT_EQ(judge(p), "none");
  p.partitions[0].isr.push_back(NodeId(2));
  EXPECT_EQ(judge(p), "V3");
  p = healthy(), p.transactions.push_back({.invariant = "V5"});
  EXPECT_EQ(judge(p), "V5");
  p.partitions[0].min_isr = 2, p.partitions[0].isr = {NodeId(1)};  // unwritable
  EXPECT_EQ(judge(p), "none");
}
TEST(Liveness, BoundsGrowFromTheirTimeouts) {
  LivenessTimeouts t;
  t.broker_session_timeout = 9000ms;
  t.client_delivery_timeout = 120000ms;
  const LivenessBounds b = liveness_bounds(t);
  EXPECT_EQ(b.brokers_unfenced, 9000ms);
  EXPECT_EQ(b.leader_elected, 18000ms);
  EXPECT_EQ(b.waiters_answered, 120000ms);
  EXPECT_EQ(b.longest(), b.waiters_answered);
  t.replica_socket_timeout = 20000ms;  // a fetch of before the heal, never answered
  EXPECT_EQ(liveness_bounds(t).converged, b.converged + 20000ms);
  t.disk_backlog = 7000ms;  // of an orderly stop from before the heal
  EXPECT_EQ(liveness_bounds(t).brokers_unfenced, b.brokers_unfenced + 7000ms);
  EXPECT_EQ(liveness_bounds(t).leader_elected, b.leader_elected + 7000ms);
  EXPECT_EQ(liveness_bounds(t).converged, b.converged + 27000ms);
  EXPECT_EQ(b.transactions_closed, b.waiters_answered);  // there are none
  t.disk_backlog = t.replica_socket_timeout = 0ms;
  t.transaction_timeout = 10000ms, t.transaction_abort_interval = 500ms, t.clock_difference = 40ms;
  t.marker_timeout = 30000ms;
  EXPECT_EQ(liveness_bounds(t).transactions_closed, b.waiters_answered + 41040ms);
}
TEST(Liveness, AViolationIsTheRuns) {
  Cluster c;
  c.commit(1);
  auto p = healthy();
  p.partitions[0].key = c.key, p.partitions[0].leader = kNoNode;
  c.box.judge_liveness(p, bounds());
  EXPECT_EQ(c.found(), "none");  // not healed
  c.box.faults_healed(MonoTime{});
  c.box.judge_liveness(p, bounds());
  EXPECT_EQ(c.found(), "V1");
  EXPECT_EQ(c.box.violation()->partition_name, "orders-0");
}
TEST(Invariants, AreListedAndFound) {
  EXPECT_EQ(invariants().size(), 38u);
  EXPECT_TRUE(find_invariant("C2")->total_order);
  EXPECT_FALSE(find_invariant("C1")->total_order);
  EXPECT_NE(find_invariant("lost-write"), nullptr);
  EXPECT_EQ(find_invariant("C10"), nullptr);
}

TEST(Memory, ACommittedBatchCostsAtMost64Bytes) {
  Cluster c;
  c.commit(1000);
  const std::size_t before = c.box.memory_bytes();
  c.more(1'000'000, {1, 2, 3});
  ASSERT_EQ(c.found(), "none") << c.sentence();
  EXPECT_EQ(c.hw(), 1'001'000);
  EXPECT_LE(c.box.memory_bytes() - before, 64u * 1'000'000);
}

}  // namespace
}  // namespace verdict::checker
