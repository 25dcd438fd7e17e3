#pragma once

#include <cstdint>
#include <vector>

#include "checker/id_map.h"

// What a partition is like, without its offsets, epochs and names: how new a run is, is told by the abstract states
// that no run before it was in. Of each replica: does it run, lead or follow; is the epoch of its role the
// controller's, the one before, an older one or none; does its log end below, at or above the true high watermark, and
// the end of the elected leader's log; is it in the ISR, in the maximal ISR of a leader alone, or in neither; does its
// log part from the leader's; is it the elected leader, with a proposal under way, or behind the controller's latest
// word. Which replica is which does not matter.
namespace verdict::checker {

// A set that remembers the order in which it came to be.
class AbstractStates {
 public:
  void add(std::uint64_t state) {
    bool& known = known_[state >> 1];  // the key ~0 is not the map's to hold
    if (known) return;
    known = true;
    all_.push_back(state >> 1);
  }
  const std::vector<std::uint64_t>& all() const { return all_; }

 private:
  IdMap<bool> known_;
  std::vector<std::uint64_t> all_;
};

}  // namespace verdict::checker
