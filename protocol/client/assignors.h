#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/topic_partition.h"

// How the leader of a classic group shares out partitions (partition.assignment.strategy).
namespace verdict::client {

enum class Assignor : std::uint8_t {
  range,              // of each topic, runs of partitions
  round_robin,        // all partitions in turn
  cooperative_sticky  // KIP-429: as balanced as can be with as few moves as can be; what moves is given up first
};
std::string_view name_of(Assignor);  // as members announce it: "range", "roundrobin", "cooperative-sticky"

struct Subscription {  // of one member
  std::string member;
  std::string instance;  // empty: a dynamic member
  std::vector<std::string> topics;
  // What it says to have, and since which generation; cooperative ones alone say so.
  std::vector<TopicPartition> owned;
  std::int32_t generation = -1;
};
using PartitionCounts = std::map<std::string, std::int32_t>;            // by topic; topics that aren't there: none
using Assignment = std::map<std::string, std::vector<TopicPartition>>;  // by member; each has one, perhaps empty

Assignment assign(Assignor assignor, std::vector<Subscription> members, const PartitionCounts& topics);

}  // namespace verdict::client
