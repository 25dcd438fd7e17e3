#include "runtime/signal.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "runtime/asio/asio_runtime.h"
#include "runtime/scope.h"

namespace verdict {
namespace {

class SignalTest : public ::testing::Test {
 protected:
  void run(Scope& scope) {
    const MonoTime limit = runtime_.now() + 20s;
    while (scope.size() != 0 && runtime_.now() < limit) runtime_.turn(10ms);
    VERDICT_ASSERT(scope.size() == 0, "the test's tasks hang");
  }
  AsioRuntime runtime_;
};

Task<void> count_when(Signal* signal, int* count) {
  co_await signal->wait();
  ++*count;
}

Task<void> wait_or_time(Signal* signal, MonoTime deadline, std::vector<bool>* outcomes) {
  const bool notified = co_await signal->wait_until(deadline);
  outcomes->push_back(notified);
}

TEST_F(SignalTest, WakesAllWaitersButNeverInsideNotify) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  int count = 0;
  for (int i = 0; i < 10; ++i) scope.spawn(count_when(&signal, &count));
  EXPECT_TRUE(signal.has_waiters());
  signal.notify();
  EXPECT_EQ(count, 0);
  EXPECT_FALSE(signal.has_waiters());
  run(scope);
  EXPECT_EQ(count, 10);
}

TEST_F(SignalTest, ANotificationWithoutWaitersIsNotKept) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  int count = 0;
  signal.notify();
  scope.spawn(count_when(&signal, &count));
  for (int i = 0; i < 5; ++i) runtime_.turn(1ms);
  EXPECT_EQ(count, 0);
  signal.notify();
  run(scope);
  EXPECT_EQ(count, 1);
}

TEST_F(SignalTest, TimesOutOrIsNotifiedWhicheverComesFirst) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  std::vector<bool> outcomes;
  scope.spawn(wait_or_time(&signal, runtime_.now() + 2ms, &outcomes));
  run(scope);
  EXPECT_FALSE(signal.has_waiters());
  scope.spawn(wait_or_time(&signal, runtime_.now() + 20s, &outcomes));
  signal.notify();
  run(scope);
  EXPECT_EQ(outcomes, (std::vector<bool>{false, true}));
}

TEST_F(SignalTest, ATimePastIsATimeOutWithoutSuspension) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  std::vector<bool> outcomes;
  scope.spawn(wait_or_time(&signal, runtime_.now() - 1s, &outcomes));
  EXPECT_EQ(outcomes, (std::vector<bool>{false}));
  EXPECT_FALSE(signal.has_waiters());
}

TEST_F(SignalTest, NotifiedAfterTheTimerFiredButBeforeItWasDelivered) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  std::vector<bool> outcomes;
  const MonoTime soon = runtime_.now() + 1ms;
  // Both timers fire in one turn: the first waiter's continuation notifies the second, whose timer is already due.
  const auto notifier = [](Runtime* runtime, Signal* s, MonoTime when) -> Task<void> {
    Signal own(*runtime);
    co_await own.wait_until(when);
    s->notify();
  };
  scope.spawn(notifier(&runtime_, &signal, soon));
  scope.spawn(wait_or_time(&signal, soon, &outcomes));
  while (runtime_.now() < soon) {
  }
  run(scope);
  EXPECT_EQ(outcomes, (std::vector<bool>{true}));
}

TEST_F(SignalTest, AWaiterMayDestroyTheSignal) {
  auto signal = std::make_unique<Signal>(runtime_);
  Scope scope(runtime_);
  const auto body = [](std::unique_ptr<Signal>* owned) -> Task<void> {
    co_await (*owned)->wait();
    owned->reset();
  };
  scope.spawn(body(&signal));
  signal->notify();
  run(scope);
  EXPECT_EQ(signal, nullptr);
}

TEST_F(SignalTest, WaitersOfARenewedWaitAreWokenByTheNextNotifyOnly) {
  Signal signal(runtime_);
  Scope scope(runtime_);
  int wakes = 0;
  const auto body = [](Signal* s, int* count) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      co_await s->wait();
      ++*count;
    }
  };
  scope.spawn(body(&signal, &wakes));
  for (int expected = 1; expected <= 3; ++expected) {
    signal.notify();
    for (int i = 0; i < 3; ++i) runtime_.turn(1ms);
    EXPECT_EQ(wakes, expected);
  }
  EXPECT_EQ(scope.size(), 0u);
}

}  // namespace
}  // namespace verdict
