#include "runtime/signal.h"

namespace verdict {

Signal::~Signal() {
  while (first_ != nullptr) first_->unlink();
}

void Signal::notify() {
  while (first_ != nullptr) {
    Wait& wait = *first_;
    wait.unlink();
    wait.notified_ = true;
    // A pending timer completes as canceled, which resumes the waiter; without one, post does.
    if (wait.op_.owner != nullptr) {
      runtime_->cancel(wait.op_);
    } else {
      runtime_->post(wait.op_);
    }
  }
}

Signal::Wait::~Wait() {
  if (linked_) unlink();
}

bool Signal::Wait::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  op_.wait = this;
  op_.complete = &on_complete;
  if (deadline_ != MonoTime::max() && signal_->runtime_->sleep_until(op_, deadline_)) return false;
  next_ = signal_->first_;
  if (next_ != nullptr) next_->previous_ = this;
  signal_->first_ = this;
  linked_ = true;
  return true;
}

void Signal::Wait::unlink() {
  VERDICT_ASSERT(linked_);
  (previous_ != nullptr ? previous_->next_ : signal_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  linked_ = false;
}

void Signal::Wait::on_complete(Op* op) {
  Wait& wait = *static_cast<Timer*>(op)->wait;
  if (wait.linked_) wait.unlink();
  wait.waiter_.resume();
}

}  // namespace verdict
