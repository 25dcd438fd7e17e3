#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/replication/types.h"

namespace verdict::replication {

// A produce request with acks=all whose batch is in the leader's log but not below the high watermark yet.
struct Waiter {
  WaiterId id;
  ProducedBatch batch;
};

// By their batches' places, equal ones in their order, in a ring that allocates only while it grows. Batches come in
// order, but for those that were in the log before (see ProduceAppended). One waits per produce request in flight, so
// the broker's limit on requests in flight bounds it.
class Waiters {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  const Waiter& front() const { return ring_[head_]; }
  void push(const Waiter& waiter);
  void pop();
  // The oldest are looked at first: they expire first. False: not there.
  bool take(WaiterId id, Waiter& into);

 private:
  std::size_t at(std::size_t index) const { return (head_ + index) & (ring_.size() - 1); }

  std::vector<Waiter> ring_;  // its size is a power of two
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace verdict::replication
