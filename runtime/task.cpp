#include "runtime/task.h"

#include <array>
#include <new>

namespace verdict {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VERDICT_PLAIN_FRAMES 1
#endif
#endif

#ifndef VERDICT_PLAIN_FRAMES
constexpr std::size_t kGranule = 64;
constexpr std::size_t kClasses = 64;  // frames up to 4 KiB are pooled

struct FreeFrame {
  FreeFrame* next;
};

// Memory, not state: which block a frame gets never shows in what a task does.
struct FramePool {
  std::array<FreeFrame*, kClasses> free{};
  ~FramePool() {
    for (FreeFrame* head : free) {
      while (head != nullptr) ::operator delete(std::exchange(head, head->next));
    }
  }
};
thread_local FramePool pool;
#endif

}  // namespace

void* allocate_frame(std::size_t size) {
#ifndef VERDICT_PLAIN_FRAMES
  const std::size_t index = (size - 1) / kGranule;
  if (index < kClasses) {
    if (FreeFrame* frame = pool.free[index]) {
      pool.free[index] = frame->next;
      return frame;
    }
    return ::operator new((index + 1) * kGranule);
  }
#endif
  return ::operator new(size);
}

void release_frame(void* frame, std::size_t size) noexcept {
#ifndef VERDICT_PLAIN_FRAMES
  const std::size_t index = (size - 1) / kGranule;
  if (index < kClasses) {
    pool.free[index] = new (frame) FreeFrame{pool.free[index]};
    return;
  }
#else
  static_cast<void>(size);
#endif
  ::operator delete(frame);
}

}  // namespace verdict
