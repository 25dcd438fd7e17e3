#include "protocol/replication/waiters.h"

#include "runtime/assert.h"

namespace verdict::replication {

void Waiters::push(const Waiter& waiter) {
  if (size_ == ring_.size()) {
    std::vector<Waiter> larger(ring_.empty() ? 8 : ring_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = ring_[at(i)];
    ring_ = std::move(larger);
    head_ = 0;
  }
  std::size_t place = size_;
  for (; place > 0 && waiter.batch.last < ring_[at(place - 1)].batch.last; --place)
    ring_[at(place)] = ring_[at(place - 1)];
  ring_[at(place)] = waiter;
  ++size_;
}

void Waiters::pop() {
  VERDICT_ASSERT(size_ > 0);
  head_ = at(1);
  --size_;
}

bool Waiters::take(WaiterId id, Waiter& into) {
  for (std::size_t i = 0; i < size_; ++i) {
    if (ring_[at(i)].id != id) continue;
    into = ring_[at(i)];
    for (std::size_t j = i; j > 0; --j) ring_[at(j)] = ring_[at(j - 1)];
    pop();
    return true;
  }
  return false;
}

}  // namespace verdict::replication
