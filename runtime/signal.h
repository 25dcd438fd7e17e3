#pragma once

#include <coroutine>

#include "runtime/op.h"
#include "runtime/runtime.h"

namespace verdict {

// A condition on one event loop. notify() wakes all that wait; they resume through Runtime::post, never inside
// notify(), so it may be called in the middle of a state change. A waiter re-checks what it waited for.
class Signal {
 public:
  explicit Signal(Runtime& runtime) : runtime_(&runtime) {}
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  ~Signal();

  class Wait;
  Wait wait();                     // co_await: void
  Wait wait_until(MonoTime when);  // co_await: bool, false if the time came first

  void notify();
  bool has_waiters() const { return first_ != nullptr; }

 private:
  Runtime* runtime_;
  Wait* first_ = nullptr;
};

class [[nodiscard]] Signal::Wait {
 public:
  Wait(Signal& signal, MonoTime deadline) : signal_(&signal), deadline_(deadline) {}
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  ~Wait();

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter);
  bool await_resume() const noexcept { return notified_; }

 private:
  friend class Signal;
  void unlink();
  static void on_complete(Op* op);

  struct Timer : Op {
    Wait* wait = nullptr;
  } op_;
  Signal* signal_;
  MonoTime deadline_;
  Wait* previous_ = nullptr;
  Wait* next_ = nullptr;
  std::coroutine_handle<> waiter_;
  bool linked_ = false;
  bool notified_ = false;
};

inline Signal::Wait Signal::wait() { return Wait(*this, MonoTime::max()); }
inline Signal::Wait Signal::wait_until(MonoTime when) { return Wait(*this, when); }

}  // namespace verdict
