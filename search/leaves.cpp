// Scenarios as JSON trees, and how large they are.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ranges>

#include "search/edits.h"
#include "search/shrink.h"

namespace verdict::search {
namespace {

using Json = nlohmann::ordered_json;
using Pointer = Json::json_pointer;
using scenarios::Scenario;

constexpr std::int64_t kMostWeight = std::int64_t{1} << 56;  // sums of a scenario's numbers stay below overflow

constexpr std::int64_t kAfterHealMs = 300;  // so long the load goes on in the healed cluster (trial_phases.cpp)

bool names_or_describes(const std::string& parent, const std::string& key) {
  constexpr std::array<std::string_view, 7> kTop = {"version", "name",    "title", "description",
                                                    "tags",    "defects", "seeds"};
  if (parent.empty()) return std::ranges::find(kTop, key) != kTop.end();
  if (parent.starts_with("/faults/") && parent.find('/', 8) == std::string::npos) return key == "id" || key == "action";
  if (parent.starts_with("/topics/") || parent.ends_with("/topic")) return key == "name";
  return parent.starts_with("/workload/") && (key == "client" || key == "topic" || key == "source");
}

std::string escaped(std::string key) {  // as a part of a JSON pointer
  for (std::size_t at = 0; (at = key.find_first_of("~/", at)) != std::string::npos; at += 2)
    key.replace(at, 1, key[at] == '~' ? "~0" : "~1");
  return key;
}

void walk(const Json& json, const std::string& path, bool listed, std::vector<Leaf>& into) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (!names_or_describes(path, key)) walk(value, path + "/" + escaped(key), false, into);
    }
    return;
  }
  if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); ++i) walk(json[i], path + "/" + std::to_string(i), true, into);
    return;
  }
  Leaf leaf{.path = path, .number = std::nullopt, .listed = listed};
  if (json.is_number_integer()) leaf.number = json.get<std::int64_t>();
  into.push_back(std::move(leaf));
}

Edited parsed(const Json& json) {
  auto scenario = scenarios::parse_scenario(json.dump());
  return scenario ? Edited(std::move(*scenario)) : std::nullopt;
}

bool is_time(const std::string& path) {
  const bool counted = path.starts_with("/faults/") || path.starts_with("/workload/") || path.starts_with("/phases/");
  return counted && path.ends_with("_ms") && !path.ends_with("_timeout_ms");
}

}  // namespace

std::vector<Leaf> leaves_of(const Scenario& scenario) {
  std::vector<Leaf> leaves;
  walk(Json::parse(scenarios::to_json(scenario, -1)), "", false, leaves);
  return leaves;
}

Edited without_leaves(const Scenario& scenario, const std::vector<std::string>& paths) {
  Json json = Json::parse(scenarios::to_json(scenario, -1));
  std::vector<Pointer> pointers;
  for (const std::string& path : paths) pointers.emplace_back(path);
  // From the end, so that those of a list keep their places until their turn.
  for (const Pointer& at : pointers | std::views::reverse) {
    Json& parent = json.at(at.parent_pointer());
    if (parent.is_array()) {
      parent.erase(static_cast<std::size_t>(std::stoul(at.back())));
    } else {
      parent.erase(at.back());
    }
  }
  return parsed(json);
}

Edited with_number(const Scenario& scenario, const std::string& path, std::int64_t value) {
  Json json = Json::parse(scenarios::to_json(scenario, -1));
  json.at(Pointer(path)) = value;
  return parsed(json);
}

std::int64_t records_of(const scenarios::ProducerSpec& p, const scenarios::PhaseSpec& phases) {
  const std::int64_t end_ms = phases.run_ms + kAfterHealMs;
  const std::int64_t stop_ms = p.stop_ms > 0 ? std::min(p.stop_ms, end_ms) : end_ms;
  const std::int64_t time_us = std::max<std::int64_t>(stop_ms - p.start_ms, 0) * 1000;
  const std::int64_t bursts = time_us / std::max<std::int64_t>(p.interval_us, 1) + 1;
  const std::int64_t unlimited = bursts * std::max(p.burst, 1);
  return p.records > 0 ? std::min(p.records, unlimited) : unlimited;
}

Size size_of(const Scenario& scenario) {
  Size size;
  size.faults = static_cast<std::int64_t>(scenario.faults.size());
  for (const auto& producer : scenario.workload.producers) size.operations += records_of(producer, scenario.phases);
  size.operations += static_cast<std::int64_t>(scenario.workload.consumers.size());
  size.clients = static_cast<std::int64_t>(scenario.workload.producers.size() + scenario.workload.consumers.size());
  size.nodes = scenario.cluster.brokers + (scenario.cluster.combined ? 0 : 1);
  for (const auto& topic : scenario.topics) size.partitions += partitions_of(topic);
  size.time_ms = scenario.phases.run_ms;
  for (const Leaf& leaf : leaves_of(scenario)) {
    ++size.settings;
    if (!leaf.number) continue;
    const std::int64_t amount = std::min(*leaf.number < 0 ? -*leaf.number : *leaf.number, kMostWeight);
    if (is_time(leaf.path) && !leaf.path.ends_with("/run_ms")) {
      size.time_ms += amount;
    } else {
      size.weight = std::min(size.weight + amount, kMostWeight);
    }
  }
  return size;
}

}  // namespace verdict::search
