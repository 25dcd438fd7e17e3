#include "search/kinds.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "sim/faults.h"

namespace verdict::search {
namespace {

using Json = nlohmann::json;

bool is_operation(std::string_view action) { return action == "create_topic" || action == "delete_topic"; }

void count(const scenarios::FaultSpec& fault, Kinds& kinds) {
  (is_operation(fault.action) ? kinds.operations : kinds.actions).insert(fault.action);
  if (fault.action == "message" && !fault.api.empty()) kinds.apis.insert(fault.api);
  if (!fault.when) return;
  std::string event = fault.when->event;
  for (const scenarios::Condition& condition : fault.when->match) {
    if (condition.field == "state" || (condition.field == "marker" && !condition.text.empty()))
      event += " " + condition.text;
  }
  kinds.triggers.insert(std::move(event));
}

void flatten(const Json& json, const std::string& path, std::set<std::string>& into) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) flatten(value, path.empty() ? key : path + "." + key, into);
  } else if (json.is_array()) {
    for (const Json& value : json) flatten(value, path, into);
  } else {
    into.insert(path);
  }
}

// The counters of changed outcomes that an action moves, sooner or later.
struct Effect {
  std::string_view action;
  std::string_view counters;  // separated by spaces
};
constexpr std::array kEffects{
    Effect{"kill", "kill restart"},
    Effect{"power_loss", "power-loss power-loss-bytes"},
    Effect{"doom", "doomed"},
    Effect{"doom_power", "doomed power-loss"},
    Effect{"doom_sync", "doomed-in-sync"},
    Effect{"doom_sync_power", "doomed-in-sync power-loss"},
    Effect{"older_disk", "older-disk"},
    Effect{"misdirected_write", "misdirected-write"},
    Effect{"random_partition", "partition-random"},
    Effect{"swizzle", "swizzle"},
    Effect{"refuse_connects", "refused-connect"},
    Effect{"hang_connects", "hanging-connect"},
    Effect{"pause", "pause"},
    Effect{"stop", "restart"},
    Effect{"wipe", "wipe"},
    Effect{"partition", "partition-pair partition-split stream-timeout"},
    Effect{"isolate", "partition-isolate"},
    Effect{"block", "partition-one-way"},
    Effect{"bridge", "partition-bridge"},
    Effect{"clog", "clog"},
    Effect{"slow_link", "slow-link"},
    Effect{"reset", "reset"},
    Effect{"message", "message-hold message-delay message-reset"},
    Effect{"disk_errors", "write-error sync-error"},
    Effect{"disk_slow", "disk-latency"},
    Effect{"full_disk", "full-disk"},
    Effect{"bit_rot", "bit-rot"},
    Effect{"clock_offset", "clock-offset"},
    Effect{"clock_drift", "clock-drift"},
    Effect{"clock_jump", "clock-jump"},
};

// Rare branches that every profile reaches: without them a search does not try what it is for.
constexpr std::array<std::string_view, 9> kMarks{
    "divergence-answered", "truncated-by-epoch",  "fetch-fenced-old-epoch",
    "isr-shrink-proposed", "isr-expand-proposed", "leader-changed-isr-pending",
    "broker-fenced",       "broker-unfenced",     "waiter-lost-leadership",
};

// What a search for what hurts transactions and groups holds, delays or loses, and what it waits for.
constexpr std::array<std::string_view, 10> kApis{
    "AddPartitionsToTxn", "ConsumerGroupHeartbeat", "EndTxn",  "Heartbeat",
    "JoinGroup",          "OffsetCommit",           "Produce", "SyncGroup",
    "TxnOffsetCommit",    "WriteTxnMarkers",
};
constexpr std::array<std::string_view, 8> kTriggers{
    "transaction_moved Ongoing",        "transaction_moved PrepareCommit", "transaction_moved PrepareAbort",
    "transaction_moved CompleteCommit", "transaction_moved CompleteAbort", "transactional_appended",
    "transactional_appended commit",    "transactional_appended abort",
};

}  // namespace

Kinds kinds_of(const scenarios::Scenario& scenario) {
  Kinds kinds;
  for (const scenarios::FaultSpec& fault : scenario.faults) count(fault, kinds);
  const Json json = Json::parse(scenarios::to_json(scenario, -1));
  for (const char* part : {"cluster", "topics", "network", "disk", "scheduling", "workload"}) {
    if (json.contains(part)) flatten(json[part], part, kinds.settings);
  }
  return kinds;
}

Kinds fired_kinds(const scenarios::Scenario& scenario, const scenarios::RunResult& result) {
  Kinds kinds;
  for (const scenarios::FaultSpec& fault : scenario.faults) {
    if (std::ranges::find(result.fired, fault.id) != result.fired.end()) count(fault, kinds);
  }
  return kinds;
}

std::vector<std::string> required_kinds(const Profile& profile) {
  std::set<std::string> names;
  for (const Weight& action : profile.actions) {
    if (action.weight == 0) continue;
    names.insert((is_operation(action.name) ? "operation " : "action ") + std::string(action.name));
    const auto effect = std::ranges::find(kEffects, action.name, &Effect::action);
    if (effect == kEffects.end()) continue;
    for (std::size_t at = 0; at < effect->counters.size();) {
      const std::size_t end = std::min(effect->counters.find(' ', at), effect->counters.size());
      names.insert("fault " + std::string(effect->counters.substr(at, end - at)));
      at = end + 1;
    }
  }
  for (const Setting& setting : profile.cluster) names.insert("setting cluster.config." + std::string(setting.key));
  for (const Setting& setting : profile.topic) names.insert("setting topics.config." + std::string(setting.key));
  for (const std::string_view field : profile.fields) names.insert("setting " + std::string(field));
  for (const Setting& setting : profile.coordinators)
    names.insert("setting cluster.config." + std::string(setting.key));
  const bool coordinated = !profile.loads.empty() && !profile.transaction_patterns.empty();
  if (coordinated) {
    for (const std::string_view api : kApis) names.insert("api " + std::string(api));
    for (const std::string_view event : kTriggers) names.insert("trigger " + std::string(event));
  }
  for (const std::string_view mark : kMarks) names.insert("mark " + std::string(mark));
  return {names.begin(), names.end()};
}

}  // namespace verdict::search
