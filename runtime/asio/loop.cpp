#include "runtime/asio/loop.h"

#include <ctime>

namespace verdict::real {

MonoTime monotonic_now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return MonoTime(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

Loop::Loop(unsigned disk_workers) : workers(disk_workers, [this] { poller.wake(); }) {}

Loop::~Loop() {
  while (orphans > 0) turn(Duration::max());
  VERDICT_ASSERT(ready_.empty() && timers_.empty(), "a runtime died with operations in flight");
  VERDICT_ASSERT(users == 0, "a stream, listener or file outlives its runtime");
}

bool Loop::sleep_until(Op& op, MonoTime when) {
  if (when <= monotonic_now()) return finish(op, 0, {});
  op.owner = static_cast<Driver*>(&sleeping_);
  timers_.add(op, when);
  return false;
}

Duration Loop::time_to_wait(Duration max_wait) const {
  if (!ready_.empty()) return Duration::zero();
  if (timers_.empty()) return max_wait;
  return std::min(max_wait, std::max(timers_.earliest() - monotonic_now(), Duration::zero()));
}

bool Loop::turn(Duration max_wait) {
  inline_left_ = kInlineInARow;
  bool ran = poller.run_one(time_to_wait(max_wait));
  // What callbacks post waits for the callbacks that are ready too: a signal's waiter then sees all that they changed.
  for (unsigned callbacks = 1; callbacks < kCallbacksATurn && !ready_.empty() && poller.run_one(Duration::zero());) {
    ++callbacks;
    ran = true;
  }
  workers.collect(ready_, queued_);
  if (!timers_.empty()) {
    const MonoTime now = monotonic_now();
    while (!timers_.empty() && timers_.earliest() <= now) defer(timers_.pop(), 0, {});
  }
  OpList batch = ready_.take();
  ran = ran || !batch.empty();
  while (!batch.empty()) dispatch(batch.pop());
  return ran;
}

void Loop::stop() {
  stopped_.store(true);
  poller.wake();
}

void Loop::run() {
  while (!stopped_.load()) turn(Duration::max());
  stopped_.store(false);
}

}  // namespace verdict::real
