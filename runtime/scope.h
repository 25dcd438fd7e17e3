#pragma once

#include <coroutine>
#include <cstddef>

#include "runtime/signal.h"
#include "runtime/task.h"

namespace verdict {

// The owner of detached tasks. spawn runs a task until its first suspension, inside the call.
//
// On real sockets: cancel what the tasks wait for, then `co_await join()`; a scope that still has tasks when it dies
// destroys their frames, which asserts that none has an operation in flight. After a simulated crash (operations
// detached) destroying the scope is how frames go away.
class Scope {
 public:
  explicit Scope(Runtime& runtime) : empty_(runtime) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  void spawn(Task<void> task);
  std::size_t size() const { return size_; }
  Task<void> join();  // returns once no task is left

  struct Node {
    Scope* scope = nullptr;
    Node* previous = nullptr;
    Node* next = nullptr;
    std::coroutine_handle<> handle;
  };

 private:
  friend struct DetachedTask;
  void link(Node& node);
  void unlink(Node& node);

  Node* first_ = nullptr;
  std::size_t size_ = 0;
  Signal empty_;
};

}  // namespace verdict
