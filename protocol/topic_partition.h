#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace verdict {

// A partition as clients name it, and coordinators: see PartitionKey for what it is kept under elsewhere.
struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

// As requests list them: the partitions of each topic in the order given. The names point into `partitions`.
template <class Partitions>
std::map<std::string_view, std::vector<std::int32_t>> by_topic(const Partitions& partitions) {
  std::map<std::string_view, std::vector<std::int32_t>> topics;
  for (const TopicPartition& at : partitions) topics[at.topic].push_back(at.partition);
  return topics;
}

}  // namespace verdict
