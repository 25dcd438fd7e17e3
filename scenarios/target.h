#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/cluster.h"

// Symbolic targets: "leader(orders-0)" means whoever leads when the fault fires.
namespace verdict::scenarios {

struct Target {
  enum class Kind : std::uint8_t {
    broker,
    controller,
    leader,
    follower,
    isr,
    coordinator,              // of a group
    transaction_coordinator,  // of a transactional id
    node,
    of,
    client,
    brokers,
    clients
  };
  Kind kind = Kind::broker;
  NodeId id = kNoNode;  // broker
  std::string topic;    // leader, follower, isr
  std::int32_t partition = 0;
  std::int32_t place = 0;   // follower, isr: from 0
  std::string fault;        // of
  std::int32_t number = 0;  // client
  std::string key;          // coordinator: the group; transaction_coordinator: the transactional id
  bool is_group() const { return kind == Kind::brokers || kind == Kind::clients; }
};

// The error says what is allowed.
std::expected<Target, std::string> parse_target(std::string_view text);

struct TargetContext {
  const sim::Cluster& cluster;
  NodeId announced_by = kNoNode;                                          // "node"
  std::function<std::vector<sim::NodeIndex>(const std::string&)> hit_by;  // "of(ID)"
  const std::vector<sim::NodeIndex>* clients = nullptr;
  const std::map<std::int32_t, sim::NodeIndex>* numbered_clients = nullptr;
};

// Of an internal topic, the partition whose leader the coordinator's target means; null: the topic is not there yet.
const sim::ClusterView::Partition* coordinated(const Target& target, const sim::ClusterView& view);
// The broker of a target that names one; kNoNode: nobody now.
NodeId resolve_node(const Target& target, const TargetContext& context);
// The machines; empty: nobody now.
std::vector<sim::NodeIndex> resolve_machines(const Target& target, const TargetContext& context);

}  // namespace verdict::scenarios
