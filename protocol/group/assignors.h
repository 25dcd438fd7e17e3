#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/group/consumer_group.h"

// Who shall have which partitions of a consumer group: Kafka's server-side assignors, which give what Kafka's give, to
// the last partition.
namespace verdict::group {

struct AssignorMember {
  std::string_view id;
  const std::string* instance_id = nullptr;   // null: a dynamic member
  const std::vector<Uuid>* topics = nullptr;  // that exist, of those that it subscribes to; by id
  std::size_t subscribed_names = 0;           // existing or not
  const Assignment* current = nullptr;        // its target so far; null: none
};

struct AssignorInput {
  std::vector<AssignorMember> members;              // in any order
  bool homogeneous = true;                          // all members subscribe to the same
  std::map<Uuid, std::int32_t> partitions;          // of each topic that any member subscribes to
  std::vector<Uuid> topic_order;                    // homogeneous: as Kafka's set of the topics' names has them
  const ConsumerGroup::Targets* targets = nullptr;  // of the group, also of who is no member any more
};

using Assignments = std::map<std::string_view, Assignment>;  // by member; who is not in it has nothing

// Each topic in ranges, by the order of instance and member ids.
Assignments assign_range(const AssignorInput& input);
// As many for each, and what a member had it keeps.
Assignments assign_uniform(AssignorInput input);

bool is_assignor(std::string_view name);  // "uniform", "range"
Assignments assign(std::string_view assignor, const AssignorInput& input);

// The two halves of uniform. `members` in Java's order.
Assignments assign_uniform_homogeneous(const AssignorInput& input);
Assignments assign_uniform_heterogeneous(const AssignorInput& input);

}  // namespace verdict::group
