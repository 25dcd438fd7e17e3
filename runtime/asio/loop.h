#pragma once

#include <atomic>
#include <cerrno>

#include "runtime/asio/poller.h"
#include "runtime/asio/timers.h"
#include "runtime/asio/workers.h"

namespace verdict::real {

inline std::error_code errno_code(int number) { return {number, std::generic_category()}; }
inline std::error_code last_error() { return errno_code(errno); }

MonoTime monotonic_now();

// What streams, files and timers share: the queue of completed operations and the turn.
class Loop {
 public:
  explicit Loop(unsigned disk_workers);
  ~Loop();

  Poller poller;
  Workers workers;

  // Ends a start: returned to the caller at once, unless too many in a row were; then through the queue.
  bool finish(Op& op, std::size_t bytes, std::error_code error) {
    if (inline_left_ == 0) {
      defer(op, bytes, error);
      return false;
    }
    --inline_left_;
    op.bytes = bytes;
    op.error = error;
    return true;
  }
  // Completes it from the loop, after the turn's other callbacks.
  void defer(Op& op, std::size_t bytes, std::error_code error) {
    op.bytes = bytes;
    op.error = error;
    op.owner = static_cast<Driver*>(&queued_);
    ready_.push(op);
  }
  // Completes it now: only from a callback of the poller.
  void complete(Op& op, std::size_t bytes, std::error_code error) {
    op.bytes = bytes;
    op.error = error;
    dispatch(op);
  }
  bool sleep_until(Op& op, MonoTime when);

  bool turn(Duration max_wait);
  void stop();
  void run();

  // Streams, listeners, files and locks that name this loop.
  std::size_t users = 0;
  // Canceled work that a worker still has in hand: the loop's end waits for it.
  std::size_t orphans = 0;

 private:
  static constexpr unsigned kInlineInARow = 32;
  static constexpr unsigned kCallbacksATurn = 64;

  struct Queued final : Driver {
    void cancel(Op&) override {}
  };
  struct Sleeping final : Driver {
    explicit Sleeping(Loop& l) : loop(l) {}
    void cancel(Op& op) override {
      loop.timers_.remove(op);
      loop.defer(op, 0, canceled_error());
    }
    Loop& loop;
  };

  void dispatch(Op& op) {
    op.owner = nullptr;
    inline_left_ = kInlineInARow;
    op.complete(&op);
  }
  Duration time_to_wait(Duration max_wait) const;

  Queued queued_;
  Sleeping sleeping_{*this};
  OpList ready_;
  Timers timers_;
  unsigned inline_left_ = kInlineInARow;
  std::atomic<bool> stopped_ = false;
};

}  // namespace verdict::real
