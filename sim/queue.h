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

// Events and operations that complete at a time, ordered by (virtual time, order). An operation keeps its place in
// slot[0]. No allocation but the heaps' own growth.
//
// Most of what waits is time-outs, which are nearly always canceled long before their time; most of what happens was
// put in a moment ago. So the far future has a heap of its own, and the other one stays so small that it costs little.
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
  bool empty() const { return near_.empty() && far_.empty(); }
  std::size_t size() const { return near_.size() + far_.size(); }
  const Entry& first() const { return far_first() ? far_.first() : near_.first(); }

  void push(const Entry& entry) { (entry.at_ns >= far_from_ns_ ? far_ : near_).push(entry); }
  // Pushes it, or gives it another time.
  void put(const Entry& entry) {
    remove_target(entry.target);
    push(entry);
  }
  Entry pop() {
    Heap& heap = far_first() ? far_ : near_;
    const Entry entry = heap.first();
    heap.remove_at(0);
    far_from_ns_ = entry.at_ns + kFarNs;
    return entry;
  }
  void remove(Event& event) { remove_target(Target(event)); }
  void remove(Op& op) { remove_target(Target(op)); }

 private:
  static constexpr std::int64_t kFarNs = 10'000'000;
  static constexpr std::uintptr_t kFar = std::uintptr_t{1} << 63;  // in a position: which heap

  // Which of two comes first can't be foretold, so this is made without a branch.
  static bool before(const Entry& a, const Entry& b) {
    using Key = unsigned __int128;
    const Key key_a = Key{static_cast<std::uint64_t>(a.at_ns)} << 64 | a.order;
    const Key key_b = Key{static_cast<std::uint64_t>(b.at_ns)} << 64 | b.order;
    return key_a < key_b;
  }

  class Heap {
   public:
    explicit Heap(std::uintptr_t tag) : tag_(tag) {}
    bool empty() const { return heap_.empty(); }
    std::size_t size() const { return heap_.size(); }
    const Entry& first() const { return heap_.front(); }
    void push(const Entry& entry) {
      heap_.push_back(entry);
      sift_up(heap_.size() - 1, entry);
    }
    void remove_at(std::size_t position) {
      const Entry gone = heap_[position];
      const Entry last = heap_.back();
      heap_.pop_back();
      if (position < heap_.size()) settle(position, last);
      gone.target.position() = Event::kUnqueued;
    }

   private:
    void place(std::size_t position, const Entry& entry) {
      heap_[position] = entry;
      entry.target.position() = position | tag_;
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
    // The hole at `position` moves down to a leaf, and `entry`, which came from one, up from there: it rarely moves
    // far.
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

    std::uintptr_t tag_;
    std::vector<Entry> heap_;
  };

  bool far_first() const {
    if (far_.empty()) return false;
    return near_.empty() || before(far_.first(), near_.first());
  }
  void remove_target(const Target& target) {
    const std::uintptr_t position = target.position();
    if (position == Event::kUnqueued) return;
    (position >= kFar ? far_ : near_).remove_at(position & ~kFar);
  }

  Heap near_{0};
  Heap far_{kFar};
  std::int64_t far_from_ns_ = kFarNs;
};

}  // namespace verdict::sim
