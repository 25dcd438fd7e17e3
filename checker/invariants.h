#pragma once

#include <span>
#include <string_view>

// The rules that the checkers judge, by CHECKS.md's ids. `verdict list invariants` prints this table.
namespace verdict::checker {

struct Invariant {
  std::string_view id;       // "C1"; an anomaly of the black box has its Jepsen name
  std::string_view name;     // "NoCommittedRecordLost"
  std::string_view meaning;  // one sentence
  bool total_order;          // can only be judged with the total order of a simulation
};

std::span<const Invariant> invariants();               // of the white box, in CHECKS.md's order
std::span<const Invariant> anomalies();                // of the black box
const Invariant* find_invariant(std::string_view id);  // in either; nullptr: unknown

}  // namespace verdict::checker
