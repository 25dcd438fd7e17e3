#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/asio/op_list.h"
#include "runtime/time.h"

namespace verdict::real {

// Sleeping operations, in the order of time, then of their start. A heap of (time, operation); Op::slot[0] is the
// operation's place in it. Insertion, cancelation and expiry cost O(log n) and no allocation but the vector's growth.
class Timers {
 public:
  bool empty() const { return heap_.empty(); }
  MonoTime earliest() const { return heap_.front().when; }
  void add(Op& op, MonoTime when) {
    heap_.push_back({when, next_order_++, &op});
    op.slot[0] = heap_.size() - 1;
    rise(heap_.size() - 1);
  }
  void remove(Op& op) {
    const std::size_t at = op.slot[0];
    VERDICT_ASSERT(at < heap_.size() && heap_[at].op == &op);
    const Entry last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    put(at, last);
    rise(at);
    sink(heap_[at].op == last.op ? at : last.op->slot[0]);
  }
  Op& pop() {
    Op& op = *heap_.front().op;
    remove(op);
    return op;
  }

 private:
  struct Entry {
    MonoTime when;
    std::uint64_t order;
    Op* op;
    bool before(const Entry& other) const { return when != other.when ? when < other.when : order < other.order; }
  };
  void put(std::size_t at, const Entry& entry) {
    heap_[at] = entry;
    entry.op->slot[0] = at;
  }
  void rise(std::size_t at) {
    const Entry entry = heap_[at];
    while (at > 0 && entry.before(heap_[(at - 1) / 4])) {
      put(at, heap_[(at - 1) / 4]);
      at = (at - 1) / 4;
    }
    put(at, entry);
  }
  void sink(std::size_t at) {
    const Entry entry = heap_[at];
    for (;;) {
      const std::size_t first = at * 4 + 1;
      if (first >= heap_.size()) break;
      std::size_t least = first;
      for (std::size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child) {
        if (heap_[child].before(heap_[least])) least = child;
      }
      if (!heap_[least].before(entry)) break;
      put(at, heap_[least]);
      at = least;
    }
    put(at, entry);
  }

  std::vector<Entry> heap_;
  std::uint64_t next_order_ = 0;
};

}  // namespace verdict::real
