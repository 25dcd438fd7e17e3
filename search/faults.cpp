// One drawn fault: what it does to whom, for how long, at a time or by a trigger. The fault atlas is here too: a
// scenario destroys data on one machine's disk at most (wipes, rot, syncs that lie), never on the one that holds the
// only metadata log; power losses may hit anybody, since what they can cost is the checker's to judge.
#include <algorithm>
#include <array>
#include <limits>

#include "runtime/assert.h"
#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

using scenarios::Condition;

constexpr std::int64_t kFirstMs = 50;  // of the workload: something has been written

constexpr std::array kUnseating{
    Weight{"kill", 8},  Weight{"stop", 10},      Weight{"pause", 5},     Weight{"isolate", 4},  Weight{"doom", 3},
    Weight{"block", 3}, Weight{"power_loss", 3}, Weight{"partition", 4}, Weight{"message", 10},
};
constexpr std::array kWholeNode{
    // what a node is a target of
    Weight{"node", 5}, Weight{"leader", 8}, Weight{"isr", 4}, Weight{"follower", 4}, Weight{"broker", 4},
};
constexpr std::array kTriggers{
    Weight{"became_leader", 8},    Weight{"became_follower", 4},      Weight{"batch_appended", 12},
    Weight{"isr_proposed", 6},     Weight{"isr_adopted", 5},          Weight{"high_watermark_advanced", 6},
    Weight{"log_truncated", 4},    Weight{"divergence_answered", 3},  Weight{"follower_fetched", 4},
    Weight{"log_flushed", 2},      Weight{"produce_acknowledged", 4}, Weight{"partition_decided", 5},
    Weight{"broker_fencing", 3},   Weight{"broker_registered", 3},    Weight{"log_opened", 2},
    Weight{"metadata_applied", 3},
};
constexpr std::array kApis{
    Weight{"Fetch", 12},
    Weight{"Produce", 4},
    Weight{"AlterPartition", 8},
    Weight{"BrokerHeartbeat", 3},
    Weight{"Metadata", 1},
    Weight{"BrokerRegistration", 2},
    Weight{"", 1},
};

bool is_one_of(std::string_view action, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, action) != names.end();
}

Condition equals(std::string field, std::string text) {
  return {.field = std::move(field), .kind = Condition::Kind::text, .text = std::move(text)};
}

}  // namespace

bool Maker::enabled(std::string_view action) const {
  return std::ranges::find(actions_, action, &Weight::name) != actions_.end();
}

std::int64_t Maker::moment(std::int64_t margin_ms) const {
  return within(kFirstMs, std::max(scenario_.phases.run_ms - margin_ms, kFirstMs + 100));
}

void Maker::make_time(std::int64_t until_ms) {
  std::int64_t& run_ms = scenario_.phases.run_ms;
  run_ms = std::max(run_ms, std::min(until_ms, profile_.run_ms.max));
}

std::int64_t Maker::restart() const {
  if (share(50)) return within(0, 100);
  if (share(80)) return within(100, 800);
  return -1;
}

std::string Maker::some_partition() {
  if (share(70)) return focus_;
  return partitions_[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(partitions_.size()) - 1))];
}

std::string Maker::some_broker() const {
  return "broker(" + std::to_string(within(1, scenario_.cluster.brokers)) + ")";
}

std::string Maker::damaged() const { return "broker(" + std::to_string(damaged_) + ")"; }

std::string Maker::some_node() {
  const std::string_view kind = weighted(kWholeNode);
  if (kind == "broker") return some_broker();
  if (kind == "node" && share(30)) return "controller";
  const std::string partition = some_partition();
  if (kind == "leader" || kind == "node") return leader_of(partition);
  const std::int64_t place = within(0, 1);
  return std::string(kind) + "(" + partition + "," + std::to_string(place) + ")";
}

Maker::FaultSpec& Maker::add(std::string_view action) {
  FaultSpec& fault = scenario_.faults.emplace_back();
  fault.action = action;
  fault.id = fault.action + "-" + std::to_string(++number_);
  fault.optional = true;  // an unfired fault of a drawn scenario is only counted
  return fault;
}

// An event of the feed that is likely within the workload, as it concerns a partition that the faults are about.
Maker::Trigger Maker::trigger() {
  if (coordinated() && share(40)) return coordinated_trigger();
  Trigger trigger;
  trigger.event = weighted(kTriggers);
  const std::string& event = trigger.event;
  trigger.nth = static_cast<std::int32_t>(within(1, 3));
  if (is_one_of(event, {"batch_appended", "high_watermark_advanced", "follower_fetched", "produce_acknowledged"}))
    trigger.nth = static_cast<std::int32_t>(within(1, 60));
  const bool of_cluster = is_one_of(event, {"broker_fencing", "broker_registered", "metadata_applied"});
  if (!of_cluster) trigger.match.push_back(equals("partition", some_partition()));
  if (is_one_of(event, {"batch_appended", "high_watermark_advanced"}))
    trigger.match.push_back(equals("role", share(60) ? "leader" : "follower"));
  if (is_one_of(event, {"became_leader", "became_follower", "batch_appended"}) && share(50)) {
    Condition epoch{.field = event == "batch_appended" ? "epoch" : "leader_epoch", .kind = Condition::Kind::range};
    epoch.min = within(1, 3);
    epoch.max = std::numeric_limits<std::int64_t>::max();
    trigger.match.push_back(epoch);
  }
  trigger.not_before_ms = moment(300);
  if (share(40)) trigger.after_us = within(1, 50'000);
  return trigger;
}

void Maker::when(FaultSpec& fault) {
  if (share(profile_.triggered)) {
    fault.when = trigger();
  } else {
    fault.at_ms = moment(100);
  }
}

Maker::FaultSpec& Maker::single(std::string_view action, const std::string& target) {
  FaultSpec& fault = add(action);
  when(fault);
  fault.target = target;
  // Inside its own turn the announcing node is the most telling victim.
  if (fault.when && share(40)) fault.target = "node";
  parameters(fault);
  return fault;
}

void Maker::message(FaultSpec& fault) {
  if (coordinated() && share(50)) return coordinated_message(fault);
  fault.api = weighted(kApis);
  fault.side = one_of({0, 1}) == 0 ? "request" : "response";
  const std::string partition = some_partition();
  const std::string controller = "controller";
  const std::string leader = leader_of(partition);
  const bool to_controller = is_one_of(fault.api, {"AlterPartition", "BrokerHeartbeat", "BrokerRegistration"}) ||
                             (fault.api == "Fetch" && share(40));
  const std::string other = share(50) ? some_broker() : std::string();
  const std::string server = to_controller ? controller : leader;
  const std::string client = to_controller && share(50) ? leader : other;
  fault.from = fault.side == "request" ? client : server;
  fault.to = fault.side == "request" ? server : client;
  const std::int64_t effect = within(0, 9);
  fault.effect = effect < 5 ? "hold" : effect < 8 ? "delay" : "reset";
  if (fault.effect == "delay") fault.delay_ms = within(5, 600);
  fault.nth = static_cast<std::int32_t>(within(1, 4));
  fault.count = static_cast<std::int32_t>(share(30) ? kAllFrames : within(1, 4));
  fault.for_ms = within(50, 1'500);
}

// Who is cut off from whom.
void Maker::groups(FaultSpec& fault) {
  fault.target.clear();
  const std::string partition = some_partition();
  const std::string leader = leader_of(partition);
  const std::string follower = "follower(" + partition + ",0)";
  const std::string other = "follower(" + partition + ",1)";
  if (fault.action == "bridge") {
    fault.target = other;
    fault.a = {leader, other};
    fault.b = {follower, other};
    return;
  }
  switch (within(0, 7)) {
    case 0:
      fault.a = {leader};
      fault.b = {"controller"};
      break;
    case 1:
      fault.a = {leader};
      fault.b = {follower, other, "controller"};
      break;
    case 2:
      fault.a = {leader};
      fault.b = {follower};
      break;
    case 3:
      fault.a = {"clients"};
      fault.b = {leader};
      break;
    case 4:
      fault.a = {some_broker()};
      fault.b = {"controller"};
      break;
    case 5:
      fault.a = {leader, follower};
      fault.b = {other, "controller"};
      break;
    default:
      fault.a = {some_broker()};
      fault.b = {"brokers"};
      break;
  }
  if (share(50)) std::swap(fault.a, fault.b);
}

void Maker::change_topic(FaultSpec& fault) {
  fault.target.clear();
  const bool creates = fault.action == "create_topic";
  if (creates) {
    fault.topic = topic("extra-" + std::to_string(++topics_made_), within(1, 2));
    add_producer(producer(fault.topic->name, 1));
    return;
  }
  // Another topic than the first, which a run that acknowledges anything needs.
  fault.topic.emplace();
  fault.topic->name = scenario_.topics.back().name;
  if (fault.topic->name == "orders") fault.topic->name = "extra-" + std::to_string(std::max(topics_made_, 1));
}

// Everything that the action takes but when and, mostly, whom.
void Maker::parameters(FaultSpec& fault) {
  const std::string_view action = fault.action;
  if (is_one_of(action, {"kill", "power_loss", "doom", "doom_power", "doom_sync", "doom_sync_power", "stop", "wipe",
                         "older_disk"}))
    fault.restart_ms = restart();
  if (is_one_of(action, {"doom", "doom_power"})) fault.nth_call = within(1, 40);
  if (is_one_of(action, {"doom_sync", "doom_sync_power"})) fault.nth_call = within(1, 4);
  if (is_one_of(action, {"power_loss", "doom_power", "doom_sync_power"}) && share(40))
    fault.policy = one_of({0, 1}) == 0 ? "data_only" : "all_unsynced_lost";
  if (is_one_of(action, {"pause", "isolate"})) fault.for_ms = within(20, 2'500);
  if (is_one_of(action,
                {"partition", "block", "bridge", "clog", "slow_link", "reset", "refuse_connects", "hang_connects"})) {
    groups(fault);
    if (action != "reset") fault.for_ms = within(50, 2'000);
    if (action == "slow_link") fault.delay_ms = within(1, 300);
    if (action == "slow_link" && share(30)) fault.bytes = within(5, 500);
  } else if (action == "message") {
    fault.target.clear();
    message(fault);
  } else if (action == "release") {
    fault.target.clear();
    std::vector<std::string> rules;
    for (const FaultSpec& other : scenario_.faults) {
      if (other.action == "message") rules.push_back(other.id);
    }
    fault.of = rules[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(rules.size()) - 1))];
  } else if (action == "rolling_restart") {
    fault.target.clear();
    fault.delay_ms = within(0, 300);
  } else if (is_one_of(action, {"create_topic", "delete_topic"})) {
    change_topic(fault);
  } else if (is_one_of(action, {"random_partition", "swizzle"})) {
    fault.target.clear();
    fault.a = {"brokers"};
    if (share(50)) fault.a.push_back("controller");
    if (share(30)) fault.a.push_back("clients");
    (action == "swizzle" ? fault.delay_ms : fault.for_ms) = action == "swizzle" ? within(5, 150) : within(50, 2'000);
  } else if (is_one_of(action, {"wipe", "older_disk", "bit_rot", "misdirected_write"})) {
    fault.target = damaged();
    if (is_one_of(action, {"bit_rot", "misdirected_write"})) fault.path_part = ".log";
    if (action == "older_disk") fault.image_ms = within(0, fault.at_ms ? *fault.at_ms - 1 : kFirstMs);
  } else if (action == "disk_errors") {
    fault.target = damaged();
    fault.path_part = focus_;
    (share(50) ? fault.fail_writes : share(70) ? fault.fail_syncs : fault.fail_reads) = 1;
  } else if (action == "full_disk") {
    fault.target = damaged();
    fault.bytes = within(0, 20'000);
    fault.for_ms = within(50, 1'000);
  } else if (action == "disk_slow") {
    fault.latency_us = within(100, 50'000);
    fault.stall_us = share(50) ? 0 : within(100, 20'000);
    fault.for_ms = within(50, 1'500);
  } else if (action == "clock_offset" || action == "clock_jump") {
    fault.by_ms = within(-5'000, 60'000);
    if (action == "clock_offset") fault.for_ms = within(100, 2'000);
  } else if (action == "clock_drift") {
    fault.ppm = within(-400'000, 400'000);
    fault.for_ms = within(100, 2'000);
  }
}

std::string_view Maker::choose(std::string_view otherwise) {
  const std::string_view action = weighted(actions_);
  if (action == "release" &&
      std::ranges::find(scenario_.faults, "message", &FaultSpec::action) == scenario_.faults.end())
    return "message";  // nothing to release yet
  // An image of a disk is of a disk that was never wiped.
  const auto has = [this](std::string_view other) {
    return std::ranges::find(scenario_.faults, other, &FaultSpec::action) != scenario_.faults.end();
  };
  if ((action == "older_disk" || action == "wipe") && (has("older_disk") || (action == "older_disk" && has("wipe"))))
    return "power_loss";
  return action.empty() ? otherwise : action;
}

// Fenced although it lives and hears everything: it follows the next leader at once.
void Maker::unheard(FaultSpec& fault, const std::string& broker) {
  fault.api = "BrokerHeartbeat";
  fault.side = "request";
  fault.effect = "hold";
  fault.from = broker;
  fault.to = "controller";
  fault.count = kAllFrames;
}

Maker::FaultSpec& Maker::unseat(const std::string& partition, std::int64_t at_ms) {
  std::vector<Weight> known;
  for (const Weight& weight : kUnseating) {
    if (enabled(weight.name)) known.push_back(weight);
  }
  const std::string_view action = weighted(known);
  FaultSpec& fault = add(action.empty() ? "stop" : action);
  fault.at_ms = at_ms;
  const std::int64_t session = effective("broker.session.timeout.ms", 2'000);
  if (fault.action == "message") {
    unheard(fault, leader_of(partition));
    fault.for_ms = session + within(20, 200);
    return fault;
  }
  fault.target = leader_of(partition);
  parameters(fault);
  if (is_one_of(fault.action, {"pause", "isolate", "partition", "block"})) fault.for_ms = session + within(50, 800);
  if (is_one_of(fault.action, {"partition", "block"})) {
    fault.target.clear();
    fault.a = {leader_of(partition)};
    fault.b = {"controller"};
  }
  if (fault.action == "doom") fault.nth_call = within(1, 6);
  // Soon up again, or long enough away to be fenced.
  if (is_one_of(fault.action, {"kill", "power_loss", "doom", "stop"}))
    fault.restart_ms = share(60) ? within(0, 150) : session + within(0, 400);
  return fault;
}

}  // namespace verdict::search
