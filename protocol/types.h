#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "runtime/strong.h"
#include "runtime/uuid.h"
#include "storage/types.h"

// Numbers of the cluster, by Kafka's names.
namespace verdict {

using NodeId = Strong<struct NodeIdTag, std::int32_t>;  // broker and controller ids; -1 is "none"
// Given by the controller at each registration of a broker (the offset of its record); -1 is "none".
using BrokerEpoch = Strong<struct BrokerEpochTag, std::int64_t>;
// Counts the controller's changes of one partition's registration; -1 is "none".
using PartitionEpoch = Strong<struct PartitionEpochTag, std::int32_t>;

// Of a record's key, or of all that a record holds; 0: no key. Negative: of a record without a value, a tombstone.
using RecordHash = Strong<struct RecordHashTag, std::int64_t>;
using FilePosition = Strong<struct FilePositionTag, std::uint64_t>;  // bytes from the beginning

constexpr NodeId kNoNode{-1};
constexpr BrokerEpoch kNoBrokerEpoch{-1};
constexpr PartitionEpoch kNoPartitionEpoch{-1};

// Everything about a partition is keyed by topic id: a topic created again under an old name is another one.
struct PartitionKey {
  Uuid topic;
  std::int32_t index = 0;
  friend constexpr auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

using NodeIds = std::vector<NodeId>;

}  // namespace verdict
