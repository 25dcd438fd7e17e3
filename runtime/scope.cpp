#include "runtime/scope.h"

namespace verdict {

struct DetachedTask {
  struct promise_type : Scope::Node {
    promise_type(Scope& owner, Task<void>&) { scope = &owner; }
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { release_frame(frame, size); }

    DetachedTask get_return_object() {
      handle = std::coroutine_handle<promise_type>::from_promise(*this);
      scope->link(*this);
      return {handle};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    struct Finish {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
        promise_type& promise = self.promise();
        Scope& scope = *promise.scope;
        scope.unlink(promise);
        self.destroy();
      }
      void await_resume() const noexcept {}
    };
    Finish final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept {
      assertion_failed(__FILE__, __LINE__, "exception in a task");
    }
  };
  std::coroutine_handle<> handle;

  static DetachedTask run(Scope& /*scope*/, Task<void> task) { co_await task; }
};

Scope::~Scope() {
  while (first_ != nullptr) {
    Node& node = *first_;
    unlink(node);
    node.handle.destroy();
  }
}

void Scope::link(Node& node) {
  node.next = first_;
  if (first_ != nullptr) first_->previous = &node;
  first_ = &node;
  ++size_;
}

void Scope::unlink(Node& node) {
  (node.previous != nullptr ? node.previous->next : first_) = node.next;
  if (node.next != nullptr) node.next->previous = node.previous;
  node.previous = node.next = nullptr;
  if (--size_ == 0) empty_.notify();
}

void Scope::spawn(Task<void> task) { DetachedTask::run(*this, std::move(task)).handle.resume(); }

Task<void> Scope::join() {
  while (size_ != 0) co_await empty_.wait();
}

}  // namespace verdict
