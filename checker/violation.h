#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/types.h"
#include "runtime/time.h"

namespace verdict::checker {

// A node as sentences name it.
inline std::string broker(NodeId id) { return "broker " + std::to_string(id.value()); }

// One event that explains a violation, in words.
struct Witness {
  MonoTime time;  // virtual
  NodeId node = kNoNode;
  std::uint32_t incarnation = 0;
  std::string text;
};

struct Violation {
  std::string_view invariant;  // an id of invariants.h
  std::string sentence;        // "acknowledged offset 41 of orders-0 lost when epoch 5 became 6"
  MonoTime time;               // of the event that broke the rule
  NodeId node = kNoNode;
  std::optional<PartitionKey> partition;
  std::string partition_name;      // "orders-0"; empty without a partition
  std::optional<Offset> offset;    // the first offset concerned
  std::vector<Witness> witnesses;  // in order of time; the last one is the event that broke the rule
};

}  // namespace verdict::checker
