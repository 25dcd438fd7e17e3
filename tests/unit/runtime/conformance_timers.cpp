// What every Runtime does with time and with its queue.
#include <vector>

#include "runtime/io.h"
#include "tests/unit/runtime/world.h"

namespace verdict::conformance {
namespace {

struct Probe : Op {
  int fired = 0;
  bool inside = false;
  const bool* starting = nullptr;
  std::size_t* total = nullptr;
  Probe() {
    complete = [](Op* op) {
      auto& self = *static_cast<Probe*>(op);
      ++self.fired;
      if (self.total != nullptr) ++*self.total;
      self.inside = self.starting != nullptr && *self.starting;
    };
  }
};

Task<void> sleep_and_note(Runtime* runtime, MonoTime when, int name, std::vector<int>* order) {
  co_await sleep_until(*runtime, when);
  VERDICT_ASSERT(runtime->now() >= when, "woken too early");
  order->push_back(name);
}

TEST_P(TimerConformance, WakeInTheOrderOfTheirTimes) {
  Scope scope(node());
  std::vector<int> order;
  const MonoTime start = node().now();
  for (const int ms : {30, 10, 20, 5, 25, 15}) scope.spawn(sleep_and_note(&node(), start + from_ms(ms), ms, &order));
  run(scope);
  EXPECT_EQ(order, (std::vector<int>{5, 10, 15, 20, 25, 30}));
  EXPECT_GE(node().now() - start, 30ms);
}

TEST_P(TimerConformance, APastTimeEndsSoon) {
  Scope scope(node());
  std::vector<int> order;
  scope.spawn(sleep_and_note(&node(), node().now() - 1s, 1, &order));
  scope.spawn(sleep_and_note(&node(), node().now(), 2, &order));
  scope.spawn(sleep_and_note(&node(), MonoTime::min(), 3, &order));
  run(scope, 1s);
  EXPECT_EQ(order.size(), 3u);
}

TEST_P(TimerConformance, ACanceledSleepCompletesOnceFromTheLoop) {
  Probe op;
  bool starting = true;
  op.starting = &starting;
  const MonoTime start = node().now();
  ASSERT_FALSE(node().sleep_until(op, start + 3600s));
  EXPECT_NE(op.owner, nullptr);
  node().cancel(op);
  EXPECT_EQ(op.fired, 0);
  node().cancel(op);  // already on its way
  starting = false;
  ASSERT_TRUE(world_->run_until([&] { return op.fired > 0; }, 20s));
  pass(5ms);
  EXPECT_EQ(op.fired, 1);
  EXPECT_FALSE(op.inside);
  EXPECT_EQ(op.error, canceled_error());
  EXPECT_EQ(op.owner, nullptr);
  node().cancel(op);  // detached: nothing
  pass(5ms);
  EXPECT_EQ(op.fired, 1);
  EXPECT_LT(node().now() - start, 3600s);
}

TEST_P(TimerConformance, ManySleepersAreCanceledAndFiredExactly) {
  constexpr std::size_t kCount = 100'000;
  std::vector<Probe> ops(kCount);
  const MonoTime start = node().now();
  std::size_t fired = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    ops[i].total = &fired;
    const MonoTime when = start + 300ms + Duration(static_cast<std::int64_t>(i * 7919 % kCount) * 100);
    // On a slow machine some are past already: these end at once.
    if (node().sleep_until(ops[i], i % 10 == 0 ? when : when + 3600s)) ops[i].complete(&ops[i]);
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    if (i % 10 != 0) node().cancel(ops[i]);
  }
  EXPECT_TRUE(world_->run_until([&] { return fired >= kCount; }, 60s));
  pass(5ms);
  EXPECT_EQ(fired, kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(ops[i].fired, 1);
    ASSERT_EQ(ops[i].error, i % 10 == 0 ? std::error_code{} : canceled_error()) << i;
  }
}

TEST_P(TimerConformance, PostsCompleteInTheirOrderAndNeverInside) {
  struct Noted : Op {
    std::vector<int>* order = nullptr;
    int name = 0;
  };
  std::vector<int> order;
  std::vector<Noted> ops(100);
  for (int i = 0; i < 100; ++i) {
    Noted& op = ops[static_cast<std::size_t>(i)];
    op.order = &order;
    op.name = i;
    op.complete = [](Op* done) {
      auto& self = *static_cast<Noted*>(done);
      self.order->push_back(self.name);
    };
    node().post(op);
  }
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(world_->run_until([&] { return order.size() == 100; }, 20s));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_P(TimerConformance, APostThatPostsAgainDoesNotStarveTimers) {
  struct Spinner : Op {
    Runtime* runtime = nullptr;
    bool stop = false;
    bool stopped = false;
    std::uint64_t turns = 0;
  } spinner;
  spinner.runtime = &node();
  spinner.complete = [](Op* op) {
    auto& self = *static_cast<Spinner*>(op);
    ++self.turns;
    // In a simulation posts take no time: a loop that does nothing else would stand still.
    if (self.stop || self.turns == 20'000) {
      self.stopped = true;
    } else {
      self.runtime->post(self);
    }
  };
  Probe past;
  node().post(spinner);
  const bool inline_done = node().sleep_until(past, node().now() + 1us);
  ASSERT_TRUE(world_->run_until([&] { return inline_done || past.fired > 0; }, 20s));
  spinner.stop = true;
  ASSERT_TRUE(world_->run_until([&] { return spinner.stopped; }, 20s));
  EXPECT_GE(spinner.turns, 1u);
}

TEST_P(TimerConformance, ALoopOfStartsThatEndAtOnceYields) {
  Scope scope(node());
  bool stop = false;
  std::uint64_t rounds = 0;
  const auto spin = [](Runtime* runtime, bool* flag, std::uint64_t* count) -> Task<void> {
    while (!*flag && *count < 1'000'000) {
      co_await sleep_until(*runtime, MonoTime::min());
      ++*count;
    }
  };
  const auto other = [](Runtime* runtime, bool* flag) -> Task<void> {
    co_await sleep_until(*runtime, runtime->now());
    co_await sleep_until(*runtime, runtime->now());
    *flag = true;
  };
  scope.spawn(spin(&node(), &stop, &rounds));
  scope.spawn(other(&node(), &stop));
  run(scope);
  EXPECT_TRUE(stop);
  EXPECT_LT(rounds, 1'000'000u) << "the loop never yielded";
}

TEST_P(TimerConformance, ClocksGoOnAndRandomNumbersDiffer) {
  const MonoTime mono = node().now();
  const WallTime wall = node().wall_now();
  pass(20ms);
  EXPECT_GE(node().now() - mono, 20ms);
  EXPECT_GE(node().wall_now() - wall, std::chrono::milliseconds(15));
  EXPECT_GT(to_ms(wall), 0);
  std::vector<std::uint64_t> draws;
  for (int i = 0; i < 100; ++i) draws.push_back(node().random(Purpose::TopicId, 7));
  for (int i = 0; i < 100; ++i) draws.push_back(node().random(Purpose::Backoff, 7));
  std::sort(draws.begin(), draws.end());
  EXPECT_EQ(std::adjacent_find(draws.begin(), draws.end()), draws.end());
}

}  // namespace
}  // namespace verdict::conformance
