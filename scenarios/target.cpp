#include "scenarios/target.h"

#include <algorithm>
#include <optional>

#include "protocol/broker/coordinators.h"

namespace verdict::scenarios {
namespace {

constexpr std::string_view kAllowed =
    "broker(ID), controller, leader(TOPIC-N), follower(TOPIC-N[,PLACE]), isr(TOPIC-N[,PLACE]), coordinator(GROUP), "
    "transaction_coordinator(TRANSACTIONAL-ID), node, of(FAULT), client(N), brokers or clients";

std::optional<std::int32_t> number(std::string_view text) {
  if (text.empty() || text.size() > 6) return std::nullopt;
  std::int32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

bool set_partition(std::string_view text, Target& into) {
  const std::size_t dash = text.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return false;
  const auto index = number(text.substr(dash + 1));
  if (!index) return false;
  into.topic = text.substr(0, dash);
  into.partition = *index;
  return true;
}

}  // namespace

std::expected<Target, std::string> parse_target(std::string_view text) {
  const auto wrong = [] { return std::unexpected(std::string(kAllowed)); };
  Target target;
  if (text == "controller" || text == "node" || text == "brokers" || text == "clients") {
    target.kind = text == "controller" ? Target::Kind::controller
                  : text == "node"     ? Target::Kind::node
                  : text == "brokers"  ? Target::Kind::brokers
                                       : Target::Kind::clients;
    return target;
  }
  const std::size_t open = text.find('(');
  if (open == std::string_view::npos || text.back() != ')') return wrong();
  const std::string_view head = text.substr(0, open);
  std::string_view inside = text.substr(open + 1, text.size() - open - 2);
  if (head == "coordinator" || head == "transaction_coordinator") {
    if (inside.empty()) return wrong();
    target.kind = head == "coordinator" ? Target::Kind::coordinator : Target::Kind::transaction_coordinator;
    target.key = inside;
    return target;
  }
  if (head == "of") {
    if (inside.empty()) return wrong();
    target.kind = Target::Kind::of;
    target.fault = inside;
    return target;
  }
  if (head == "client") {
    const auto asked = number(inside);
    if (!asked) return wrong();
    target.kind = Target::Kind::client;
    target.number = *asked;
    return target;
  }
  if (head == "broker") {
    const auto id = number(inside);
    if (!id) return wrong();
    target.id = NodeId(*id);
    return target;
  }
  if (head != "leader" && head != "follower" && head != "isr") return wrong();
  target.kind = head == "leader"     ? Target::Kind::leader
                : head == "follower" ? Target::Kind::follower
                                     : Target::Kind::isr;
  if (const std::size_t comma = inside.find(',');
      comma != std::string_view::npos && target.kind != Target::Kind::leader) {
    std::string_view place = inside.substr(comma + 1);
    while (!place.empty() && place.front() == ' ') place.remove_prefix(1);
    const auto parsed = number(place);
    if (!parsed) return wrong();
    target.place = *parsed;
    inside = inside.substr(0, comma);
  }
  if (!set_partition(inside, target)) return wrong();
  return target;
}

const sim::ClusterView::Partition* coordinated(const Target& target, const sim::ClusterView& view) {
  const auto type =
      target.kind == Target::Kind::coordinator ? broker::CoordinatorType::group : broker::CoordinatorType::transaction;
  const std::string_view topic = broker::coordinator_topic(type);
  const sim::ClusterView::Topic* known = view.topic(topic);
  if (known == nullptr) return nullptr;
  std::int32_t partitions = 0;
  for (auto at = view.partitions.lower_bound({.topic = known->id, .index = 0});
       at != view.partitions.end() && at->first.topic == known->id; ++at)
    ++partitions;
  if (partitions == 0) return nullptr;
  return view.partition(topic, broker::coordinator_partition(target.key, partitions));
}

NodeId resolve_node(const Target& target, const TargetContext& context) {
  using enum Target::Kind;
  switch (target.kind) {
    case broker:
      return target.id;
    case controller:
      return context.cluster.controller().id;
    case node:
      return context.announced_by;
    case of: {
      const std::vector<sim::NodeIndex> hit =
          context.hit_by ? context.hit_by(target.fault) : std::vector<sim::NodeIndex>{};
      if (hit.empty() || !context.cluster.owns(hit.front())) return kNoNode;
      return context.cluster.machines()[hit.front().value()].id;
    }
    case client:
    case brokers:
    case clients:
      return kNoNode;
    case leader:
    case follower:
    case isr:
    case coordinator:
    case transaction_coordinator:
      break;
  }
  const sim::ClusterView& view = context.cluster.view();
  const bool coordinates = target.kind == coordinator || target.kind == transaction_coordinator;
  const sim::ClusterView::Partition* partition =
      coordinates ? coordinated(target, view) : view.partition(target.topic, target.partition);
  if (partition == nullptr) return kNoNode;
  const NodeId lead = partition->leader != kNoNode ? partition->leader : partition->last_leader;
  if (target.kind == leader || coordinates) return lead;
  std::int32_t place = target.place;
  for (const NodeId id : target.kind == isr ? partition->isr : partition->replicas) {
    if (id != lead && place-- == 0) return id;
  }
  return kNoNode;
}

std::vector<sim::NodeIndex> resolve_machines(const Target& target, const TargetContext& context) {
  if (target.kind == Target::Kind::clients)
    return context.clients == nullptr ? std::vector<sim::NodeIndex>{} : *context.clients;
  std::vector<sim::NodeIndex> machines;
  if (target.kind == Target::Kind::client) {
    if (context.numbered_clients == nullptr) return machines;
    const auto found = context.numbered_clients->find(target.number);
    if (found != context.numbered_clients->end()) machines.push_back(found->second);
    return machines;
  }
  if (target.kind == Target::Kind::brokers) {
    for (const sim::Machine& machine : context.cluster.machines()) {
      if (machine.broker) machines.push_back(machine.index);
    }
    return machines;
  }
  if (target.kind == Target::Kind::of && context.hit_by) return context.hit_by(target.fault);
  const NodeId id = resolve_node(target, context);
  if (const sim::Machine* machine = context.cluster.machine(id)) machines.push_back(machine->index);
  return machines;
}

}  // namespace verdict::scenarios
