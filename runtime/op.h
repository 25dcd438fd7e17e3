#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "runtime/assert.h"

namespace verdict {

struct ConstBuffer {
  const std::byte* data = nullptr;
  std::size_t size = 0;
};

// One operation in flight. It lives inside the coroutine frame that awaits it, so a start allocates nothing.
//
// A start (`bool start(Op&, ...)`) returns true if it finished at once: bytes and error are set, complete is not
// called. Otherwise owner is set, and later, from the event loop and never from inside another call, the driver clears
// owner, sets bytes and error and calls complete. Buffers named in a start stay valid until then. Every driver finishes
// only a bounded number of starts in a row at once, so that a loop of inline completions yields.
//
// A simulated crash detaches all operations of the dead incarnation without completing them.
struct Op {
  void (*complete)(Op*) = nullptr;
  std::size_t bytes = 0;
  std::error_code error;
  void* owner = nullptr;  // the driver that holds this operation; null when detached

  // For the driver that owns the operation.
  Op* previous = nullptr;
  Op* next = nullptr;
  std::array<std::uintptr_t, 4> slot{};

  Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  ~Op() { VERDICT_ASSERT(owner == nullptr, "an operation died in flight"); }
};

struct IoResult {
  std::size_t bytes = 0;
  std::error_code error;
  bool ok() const { return !error; }
};

// Canceled operations complete with this.
inline std::error_code canceled_error() { return std::make_error_code(std::errc::operation_canceled); }

}  // namespace verdict
