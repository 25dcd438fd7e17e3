#include "protocol/replication/replica.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "tests/unit/replication/memory_log.h"

// Counts what the steps allocate.
namespace {
std::size_t& allocations() {
  static std::size_t count = 0;
  return count;
}
}  // namespace

void* operator new(std::size_t size) {
  ++allocations();
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace verdict::replication {
namespace {

// A log of numbers only: what a leader's log looks like to its replica.
class NumberLog final : public LogView {
 public:
  Offset log_start() const override { return Offset{0}; }
  Offset log_end() const override { return end; }
  LeaderEpoch last_epoch() const override { return LeaderEpoch{1}; }
  EpochEnd end_offset_for(LeaderEpoch epoch) const override {
    return epoch == LeaderEpoch{1} ? EpochEnd{epoch, end} : EpochEnd{};
  }
  LeaderEpoch epoch_at(Offset) const override { return LeaderEpoch{1}; }

  Offset end{0};
};

const NodeId kReplicas[] = {NodeId{1}, NodeId{2}, NodeId{3}};
const ReplicaBroker kBrokers[] = {{NodeId{2}, BrokerEpoch{20}, false, false},
                                  {NodeId{3}, BrokerEpoch{30}, false, false}};

MetadataChanged registration(std::int32_t leader, std::int32_t epoch, std::span<const NodeId> isr,
                             std::int32_t min_isr) {
  return {.leader = NodeId{leader},
          .leader_epoch = LeaderEpoch{epoch},
          .partition_epoch = PartitionEpoch{epoch},
          .replicas = kReplicas,
          .isr = isr,
          .brokers = kBrokers,
          .local_broker_epoch = BrokerEpoch{10},
          .min_insync_replicas = min_isr};
}

FollowerFetch fetch_of(std::int32_t id, Offset at) {
  return {.replica = NodeId{id},
          .broker_epoch = BrokerEpoch{id * 10},
          .current_leader_epoch = LeaderEpoch{1},
          .fetch_offset = at,
          .last_fetched_epoch = LeaderEpoch{1}};
}

std::vector<CompleteProduce> completed(const Effects& effects) {
  std::vector<CompleteProduce> list;
  for (std::size_t i = 0; i < effects.size(); ++i) {
    if (const auto* complete = std::get_if<CompleteProduce>(&effects[i])) list.push_back(*complete);
  }
  return list;
}

bool reached(const Effects& effects, Mark wanted) {
  bool found = false;
  effects.for_each_mark([&](Mark mark) { found = found || mark == wanted; });
  return found;
}

class ReplicaTest : public testing::Test {
 protected:
  void lead(std::span<const NodeId> isr, std::int32_t min_isr) {
    replica_.step(LogOpened{}, now_, effects_);
    replica_.step(registration(1, 1, isr, min_isr), now_, effects_);
    effects_.clear();
  }
  void produce(std::uint64_t waiter) {
    ASSERT_EQ(replica_.step(ProduceRequested{-1}, now_, effects_), ErrorCode::NONE);
    const Offset base = log_.end;
    ++log_.end;
    replica_.step(ProduceAppended{{.base = base, .last = base, .epoch = LeaderEpoch{1}}, -1, WaiterId{waiter}}, now_,
                  effects_);
  }

  NumberLog log_;
  DefectSet defects_;
  MonoTime now_{};
  Replica replica_{ReplicaConfig{.self = NodeId{1}}, log_, defects_, nullptr};
  Effects effects_;
};

TEST_F(ReplicaTest, allocates_nothing_per_produce_and_fetch_in_steady_state) {
  lead(kReplicas, 2);
  const auto round = [&](std::uint64_t i) {
    now_ += 1ms;
    for (std::uint64_t n = 0; n < 5; ++n) produce(i * 5 + n);
    replica_.step(fetch_of(2, log_.end), now_, effects_);
    replica_.step(fetch_of(3, log_.end), now_, effects_);
    replica_.step(ConsumerFetch{.fetch_offset = log_.end}, now_, effects_);
    replica_.step(IsrTick{}, now_, effects_);
    effects_.clear();
  };
  for (std::uint64_t i = 0; i < 10; ++i) round(i);
  const std::size_t before = allocations();
  for (std::uint64_t i = 10; i < 1000; ++i) round(i);
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(replica_.high_watermark(), Offset{5000});
  EXPECT_EQ(replica_.waiters(), 0U);
}

// Only a duplicate of a committed batch, met while the ISR is too small, still waits after the high watermark passed.
TEST_F(ReplicaTest, not_enough_replicas_after_append) {
  lead(std::span(kReplicas).first(2), 2);
  produce(1);
  replica_.step(fetch_of(2, Offset{1}), now_, effects_);
  ASSERT_EQ(completed(effects_).size(), 1U);
  effects_.clear();
  ASSERT_EQ(replica_.step(ProduceRequested{-1}, now_, effects_), ErrorCode::NONE);
  replica_.step(MinIsrChanged{3}, now_, effects_);
  replica_.step(ProduceAppended{{.base = Offset{0}, .last = Offset{0}, .epoch = LeaderEpoch{1}}, -1, WaiterId{2}}, now_,
                effects_);
  const auto answers = completed(effects_);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
  EXPECT_EQ(answers[0].base, kNoOffset);
  EXPECT_TRUE(reached(effects_, Mark::NotEnoughAfterAppend));
}

// A waiter that outlived its epoch is judged by (epoch, offset): here its record was replaced behind the replica's
// back.
TEST_F(ReplicaTest, acknowledges_only_the_batch_that_was_appended) {
  MemoryLog log;
  Replica replica{ReplicaConfig{.self = NodeId{1}}, log, defects_, nullptr};
  replica.step(LogOpened{}, now_, effects_);
  const NodeId isr[] = {NodeId{1}, NodeId{2}};
  replica.step(registration(1, 1, isr, 1), now_, effects_);
  log.assign(LeaderEpoch{1}, Offset{0});
  for (int i = 0; i < 2; ++i) {
    const Offset at = log.log_end();
    log.append({.epoch = LeaderEpoch{1}});
    replica.step(
        ProduceAppended{{.base = at, .last = at, .epoch = LeaderEpoch{1}}, -1, WaiterId{static_cast<std::uint64_t>(i)}},
        now_, effects_);
  }
  log.truncate(Offset{1});
  log.append({.epoch = LeaderEpoch{2}});
  replica.step(registration(1, 3, isr, 1), now_, effects_);
  log.assign(LeaderEpoch{3}, log.log_end());
  effects_.clear();
  FollowerFetch fetch = fetch_of(2, Offset{2});
  fetch.current_leader_epoch = LeaderEpoch{3};
  fetch.last_fetched_epoch = LeaderEpoch{2};
  replica.step(fetch, now_, effects_);
  const auto answers = completed(effects_);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].error, ErrorCode::NONE);
  EXPECT_EQ(answers[1].error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

TEST_F(ReplicaTest, an_expired_waiter_in_the_middle_leaves_the_others_in_order) {
  lead(std::span(kReplicas).first(2), 1);
  for (std::uint64_t i = 1; i <= 20; ++i) produce(i);
  replica_.step(WaiterExpired{WaiterId{7}}, now_, effects_);
  effects_.clear();
  replica_.step(fetch_of(2, Offset{20}), now_, effects_);
  const auto answers = completed(effects_);
  ASSERT_EQ(answers.size(), 19U);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].waiter, WaiterId{i < 6 ? i + 1 : i + 2});
    EXPECT_EQ(answers[i].base, Offset{static_cast<std::int64_t>(answers[i].waiter.value()) - 1});
  }
}

TEST(WaitersTest, keeps_order_while_it_grows_and_wraps) {
  Waiters waiters;
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 7; ++i) waiters.push({.id = WaiterId{in++}});
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(waiters.front().id, WaiterId{out++});
      waiters.pop();
    }
  }
  EXPECT_EQ(waiters.size(), in - out);
  Waiter taken;
  EXPECT_FALSE(waiters.take(WaiterId{out - 1}, taken));
  EXPECT_TRUE(waiters.take(WaiterId{in - 1}, taken));
  EXPECT_EQ(taken.id, WaiterId{in - 1});
  EXPECT_EQ(waiters.front().id, WaiterId{out});
}

TEST(RemoteReplicaTest, caught_up_time) {
  RemoteReplica remote;
  const auto at = [](int ms) { return MonoTime(from_ms(ms)); };
  remote.start_epoch(false, at(0));
  EXPECT_FALSE(remote.is_caught_up(Offset{10}, at(0), 100ms));
  remote.start_epoch(true, at(0));
  EXPECT_TRUE(remote.is_caught_up(Offset{10}, at(100), 100ms));
  EXPECT_FALSE(remote.is_caught_up(Offset{10}, at(101), 100ms));
  // Behind, and below the end of the previous fetch: the time stays.
  remote.count_fetch(fetch_of(2, Offset{4}), Offset{10}, at(50));
  remote.count_fetch(fetch_of(2, Offset{9}), Offset{20}, at(90));
  EXPECT_EQ(remote.caught_up, at(0));
  // Reaches 20, the end at 90.
  remote.count_fetch(fetch_of(2, Offset{20}), Offset{30}, at(120));
  EXPECT_EQ(remote.caught_up, at(90));
  remote.count_fetch(fetch_of(2, Offset{30}), Offset{30}, at(130));
  EXPECT_EQ(remote.caught_up, at(130));
  EXPECT_TRUE(remote.is_caught_up(Offset{30}, at(9999), 100ms));
}

}  // namespace
}  // namespace verdict::replication
