#pragma once

#include <utility>

#include "runtime/op.h"

namespace verdict::real {

// What Op::owner points to on the real machine.
class Driver {
 public:
  virtual void cancel(Op&) = 0;  // completes it soon, unless it is beyond that

 protected:
  ~Driver() = default;
};

// A kind of blocking work. Its operations can't be canceled.
class WorkDriver : public Driver {
 public:
  void cancel(Op&) override {}
  virtual void run(Op&) noexcept = 0;     // on a worker: sets bytes and error
  virtual void returned(Op&) noexcept {}  // on the loop, before complete

 protected:
  ~WorkDriver() = default;
};

// First in, first out, through Op::next.
class OpList {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(Op& op) {
    op.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &op;
    last_ = &op;
  }
  Op& pop() {
    Op& op = *first_;
    first_ = op.next;
    if (first_ == nullptr) last_ = nullptr;
    op.next = nullptr;
    return op;
  }
  OpList take() { return std::exchange(*this, OpList{}); }

 private:
  Op* first_ = nullptr;
  Op* last_ = nullptr;
};

}  // namespace verdict::real
