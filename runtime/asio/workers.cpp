#include "runtime/asio/workers.h"

#include <csignal>

namespace verdict::real {

Workers::~Workers() {
  VERDICT_ASSERT(in_flight_ == 0, "a runtime died with disk work in flight");
  for (std::jthread& thread : threads_) thread.request_stop();
}

void Workers::submit(Op& op, WorkDriver& driver) {
  op.owner = static_cast<Driver*>(&driver);
  ++in_flight_;
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push(op);
    if (idle_ > 0) {
      --idle_;
    } else if (threads_.size() < limit_ || threads_.empty()) {
      threads_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
      return;
    }
  }
  changed_.notify_one();
}

void Workers::work(std::stop_token stop) {
  // Signals belong to the loop's thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (waiting_.empty()) {
      ++idle_;
      // A submitter that found this thread idle has already taken it off the count.
      const bool found = changed_.wait(lock, stop, [this] { return !waiting_.empty(); });
      if (!found) return;
    }
    Op& op = waiting_.pop();
    lock.unlock();
    static_cast<WorkDriver*>(static_cast<Driver*>(op.owner))->run(op);
    lock.lock();
    done_.push(op);
    if (!any_done_.exchange(true)) wake_();
  }
}

bool Workers::collect(OpList& into, Driver& next_owner) {
  if (!any_done_.load(std::memory_order_acquire)) return false;
  OpList done;
  {
    const std::scoped_lock lock(mutex_);
    any_done_.store(false, std::memory_order_release);
    done = done_.take();
  }
  while (!done.empty()) {
    Op& op = done.pop();
    --in_flight_;
    static_cast<WorkDriver*>(static_cast<Driver*>(op.owner))->returned(op);
    op.owner = &next_owner;
    into.push(op);
  }
  return true;
}

}  // namespace verdict::real
