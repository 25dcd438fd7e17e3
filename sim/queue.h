#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/assert.h"
#include "runtime/op.h"
#include "sim/types.h"

namespace verdict::sim {

enum class EventKind : std::uint8_t {
  completion,  // of an operation of a node
  arrival,     // of a segment
  window,      // a writer learns that its peer has read
  rst,
  give_up,  // retransmissions went unanswered
  handshake,
  call,  // World::at
};

// Something that will happen: embedded in what it happens to, so that scheduling allocates nothing.
struct Event {
  static constexpr std::uintptr_t kUnqueued = std::numeric_limits<std::uintptr_t>::max();

  void (*fire)(Event&) = nullptr;
  void* context = nullptr;
  std::uintptr_t position = kUnqueued;
  std::uint32_t entity = 0;  // for the hash: which node, link, ...
  EventKind kind = EventKind::call;

  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { VERDICT_ASSERT(!queued(), "an event died in the queue"); }
  bool queued() const { return position != kUnqueued; }
};

// A heap of events and of operations that complete at a time, ordered by (virtual time, order). An operation keeps its
// place in slot[0]. No allocation but the heap's own growth.
class EventQueue {
 public:
  static constexpr std::uintptr_t kUnqueuedOp = Event::kUnqueued;

  class Target {
   public:
    explicit Target(Event& event) : bits_(reinterpret_cast<std::uintptr_t>(&event)) {}
    explicit Target(Op& op) : bits_(reinterpret_cast<std::uintptr_t>(&op) | 1) {}
    bool is_op() const { return (bits_ & 1) != 0; }
    Op& op() const { return *reinterpret_cast<Op*>(bits_ & ~std::uintptr_t{1}); }
    Event& event() const { return *reinterpret_cast<Event*>(bits_); }
    std::uintptr_t& position() const { return is_op() ? op().slot[0] : event().position; }

   private:
    std::uintptr_t bits_;
  };
  struct Entry {
    std::int64_t at_ns;
    std::uint64_t order;
    Target target;
  };

  static bool queued(const Op& op) { return op.slot[0] != kUnqueuedOp; }
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Entry& first() const { return heap_.front(); }

  void push(const Entry& entry) {
    heap_.push_back(entry);
    sift_up(heap_.size() - 1, entry);
  }
  // Pushes it, or gives it another time.
  void put(const Entry& entry) {
    const std::uintptr_t position = entry.target.position();
    if (position == kUnqueuedOp) return push(entry);
    settle(position, entry);
  }
  Entry pop() {
    Entry entry = heap_.front();
    remove_at(0);
    return entry;
  }
  void remove(Event& event) {
    if (event.queued()) remove_at(event.position);
  }
  void remove(Op& op) {
    if (queued(op)) remove_at(op.slot[0]);
  }

 private:
  // Which of two comes first can't be foretold, so this is made without a branch.
  static bool before(const Entry& a, const Entry& b) {
    using Key = unsigned __int128;
    const Key key_a = Key{static_cast<std::uint64_t>(a.at_ns)} << 64 | a.order;
    const Key key_b = Key{static_cast<std::uint64_t>(b.at_ns)} << 64 | b.order;
    return key_a < key_b;
  }
  void place(std::size_t position, const Entry& entry) {
    heap_[position] = entry;
    entry.target.position() = position;
  }
  // Up from `position`, not above `top`.
  void sift_up(std::size_t position, Entry entry, std::size_t top = 0) {
    while (position != top) {
      const std::size_t parent = (position - 1) / 4;
      if (!before(entry, heap_[parent])) break;
      place(position, heap_[parent]);
      position = parent;
    }
    place(position, entry);
  }
  // The hole at `position` moves down to a leaf, and `entry`, which came from one, up from there: it rarely moves far.
  void sift_down(std::size_t position, Entry entry) {
    const std::size_t top = position;
    const std::size_t size = heap_.size();
    for (std::size_t child = position * 4 + 1; child < size; child = position * 4 + 1) {
      std::size_t best = child;
      const std::size_t end = child + 4 < size ? child + 4 : size;
      for (std::size_t i = child + 1; i < end; ++i) best = before(heap_[i], heap_[best]) ? i : best;
      place(position, heap_[best]);
      position = best;
    }
    sift_up(position, entry, top);
  }
  // Puts `entry` into the hole at `position`, or where it belongs from there.
  void settle(std::size_t position, const Entry& entry) {
    if (position != 0 && before(entry, heap_[(position - 1) / 4])) {
      sift_up(position, entry);
    } else {
      sift_down(position, entry);
    }
  }
  void remove_at(std::size_t position) {
    const Entry gone = heap_[position];
    const Entry last = heap_.back();
    heap_.pop_back();
    if (position < heap_.size()) settle(position, last);
    gone.target.position() = Event::kUnqueued;
  }

  std::vector<Entry> heap_;
};

}  // namespace verdict::sim
