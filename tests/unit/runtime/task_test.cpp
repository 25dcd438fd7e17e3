#include "runtime/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/asio/asio_runtime.h"
#include "runtime/io.h"
#include "runtime/scope.h"

namespace verdict {
namespace {

class TaskTest : public ::testing::Test {
 protected:
  void run(Scope& scope) {
    const MonoTime limit = runtime_.now() + 20s;
    while (scope.size() != 0 && runtime_.now() < limit) runtime_.turn(10ms);
    VERDICT_ASSERT(scope.size() == 0, "the test's tasks hang");
  }
  AsioRuntime runtime_;
};

Task<void> sleep_for(Runtime& runtime, Duration time) { co_await sleep_until(runtime, runtime.now() + time); }

Task<int> ready(int value) { co_return value; }

Task<int> later(Runtime& runtime, int value) {
  co_await sleep_for(runtime, 1ms);
  co_return value;
}

Task<std::unique_ptr<int>> boxed(Runtime& runtime, int value) {
  const int got = co_await later(runtime, value);
  co_return std::make_unique<int>(got);
}

Task<int> sum(Runtime& runtime, int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await sum(runtime, depth - 1);
  if (depth % 2 == 0) {
    const int here = co_await ready(depth);
    co_return below + here;
  }
  const int here = co_await later(runtime, depth);
  co_return below + here;
}

TEST_F(TaskTest, IsLazyAndDropsUnstarted) {
  bool started = false;
  const auto body = [](bool* flag) -> Task<void> {
    *flag = true;
    co_return;
  };
  {
    const Task<void> task = body(&started);
  }
  EXPECT_FALSE(started);
  Scope scope(runtime_);
  scope.spawn(body(&started));
  EXPECT_TRUE(started);
  EXPECT_EQ(scope.size(), 0u);
}

TEST_F(TaskTest, ReturnsValuesFromReadyAndSuspendedChildren) {
  int total = 0;
  int unboxed = 0;
  Scope scope(runtime_);
  const auto body = [](Runtime* runtime, int* t, int* u) -> Task<void> {
    *t = co_await sum(*runtime, 20);
    const std::unique_ptr<int> box = co_await boxed(*runtime, 42);
    *u = *box;
  };
  scope.spawn(body(&runtime_, &total, &unboxed));
  run(scope);
  EXPECT_EQ(total, 210);
  EXPECT_EQ(unboxed, 42);
}

TEST_F(TaskTest, ReadyChildrenInALoopDoNotDeepenTheStack) {
  std::int64_t total = 0;
  Scope scope(runtime_);
  const auto body = [](std::int64_t* t) -> Task<void> {
    for (int i = 0; i < 1'000'000; ++i) *t += co_await ready(1);
  };
  scope.spawn(body(&total));
  EXPECT_EQ(total, 1'000'000);
}

TEST_F(TaskTest, LocalsDieInOrderAtTheEndOfATask) {
  struct Trace {
    std::vector<std::string>* into;
    std::string name;
    ~Trace() { into->push_back(name); }
  };
  std::vector<std::string> order;
  Scope scope(runtime_);
  const auto child = [](Runtime* runtime, std::vector<std::string>* into) -> Task<void> {
    const Trace inner{into, "inner"};
    co_await sleep_for(*runtime, 1ms);
  };
  const auto parent = [](auto make, Runtime* runtime, std::vector<std::string>* into) -> Task<void> {
    const Trace outer{into, "outer"};
    co_await make(runtime, into);
    into->push_back("between");
  };
  scope.spawn(parent(child, &runtime_, &order));
  EXPECT_TRUE(order.empty());
  run(scope);
  EXPECT_EQ(order, (std::vector<std::string>{"inner", "between", "outer"}));
}

TEST_F(TaskTest, JoinWaitsForAllTasks) {
  Scope workers(runtime_);
  Scope waiter(runtime_);
  int done = 0;
  bool joined = false;
  const auto work = [](Runtime* runtime, int ms, int* count) -> Task<void> {
    co_await sleep_for(*runtime, from_ms(ms));
    ++*count;
  };
  const auto wait = [](Scope* scope, bool* flag) -> Task<void> {
    co_await scope->join();
    *flag = true;
  };
  for (int ms = 1; ms <= 5; ++ms) workers.spawn(work(&runtime_, ms, &done));
  waiter.spawn(wait(&workers, &joined));
  EXPECT_EQ(workers.size(), 5u);
  EXPECT_FALSE(joined);
  run(waiter);
  EXPECT_EQ(done, 5);
  EXPECT_TRUE(joined);
  // An empty scope is joined at once.
  joined = false;
  waiter.spawn(wait(&workers, &joined));
  EXPECT_TRUE(joined);
}

TEST_F(TaskTest, ATaskMayOpenAnotherInItsOwnScope) {
  Scope scope(runtime_);
  int count = 0;
  struct Chain {
    static Task<void> step(Scope* scope, Runtime* runtime, int left, int* count) {
      co_await sleep_for(*runtime, 100us);
      ++*count;
      if (left > 0) scope->spawn(step(scope, runtime, left - 1, count));
    }
  };
  scope.spawn(Chain::step(&scope, &runtime_, 9, &count));
  run(scope);
  EXPECT_EQ(count, 10);
}

TEST_F(TaskTest, AScopeDestroysFramesWhoseOperationsAreDetached) {
  struct Held {
    int* alive;
    explicit Held(int* a) : alive(a) { ++*alive; }
    ~Held() { --*alive; }
  };
  int alive = 0;
  Signal never(runtime_);
  {
    Scope scope(runtime_);
    const auto inner = [](Signal* signal, int* count) -> Task<void> {
      const Held held(count);
      co_await signal->wait();
    };
    const auto outer = [](auto make, Signal* signal, int* count) -> Task<void> {
      const Held held(count);
      co_await make(signal, count);
    };
    scope.spawn(outer(inner, &never, &alive));
    EXPECT_EQ(alive, 2);
    EXPECT_TRUE(never.has_waiters());
  }
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(never.has_waiters());
}

using TaskDeathTest = TaskTest;

TEST_F(TaskDeathTest, AFrameWithAnOperationInFlightMustNotDie) {
  EXPECT_DEATH(
      {
        Scope scope(runtime_);
        scope.spawn(sleep_for(runtime_, 1s));
      },
      "an operation died in flight");
}

TEST_F(TaskDeathTest, AnExceptionStopsTheProcess) {
  const auto body = []() -> Task<void> {
    throw 1;
    co_return;
  };
  EXPECT_DEATH(
      {
        Scope scope(runtime_);
        scope.spawn(body());
      },
      "exception in a task");
}

TEST(FramePool, ReusesBlocksOfEachSize) {
  // Sizes on both sides of the pooled range, in an order that mixes them.
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t size : {1u, 63u, 64u, 65u, 1000u, 4095u, 4096u, 4097u, 100'000u}) {
      auto* bytes = static_cast<char*>(allocate_frame(size));
      for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(round);
      blocks.emplace_back(bytes, size);
    }
    for (const auto& [block, size] : blocks) release_frame(block, size);
    blocks.clear();
  }
}

}  // namespace
}  // namespace verdict
