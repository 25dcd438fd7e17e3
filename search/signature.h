#pragma once

#include <string>
#include <string_view>

#include "scenarios/result.h"

namespace verdict::search {

// What kind of failure a run came to: the same for every seed and scenario that fails of the same cause, as far as the
// judges' words tell. The invariant (or "crash", "overrun", ...), the sentence, and what the nodes that it concerns had
// gone through, with brokers, partitions, offsets, epochs, times and client numbers replaced by placeholders:
//   "C1: committed offset # of P lost when epoch # became #; broker # is elected with log end #; after truncate, lead"
// Empty for a run that did not fail.
std::string signature(const scenarios::RunResult& result);

// `text` without what differs from run to run: the partition becomes P, its topic T, every number #; a list of numbers
// is one #.
std::string canonical_text(std::string_view text, std::string_view partition);

}  // namespace verdict::search
