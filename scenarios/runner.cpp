#include "scenarios/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "protocol/config_keys.h"
#include "protocol/metadata_records.h"
#include "protocol/wire/api_keys.h"
#include "scenarios/event_match.h"
#include "scenarios/trial.h"

namespace verdict::scenarios {
namespace {

using Checked = std::expected<void, ScenarioError>;

std::unexpected<ScenarioError> wrong(std::string path, std::string value, std::string allowed) {
  return std::unexpected(ScenarioError{std::move(path), std::move(value), std::move(allowed)});
}

Checked check_topic(const TopicSpec& topic, std::int32_t brokers, const std::string& path) {
  const bool good = !topic.name.empty() && topic.name.size() <= 249 && std::ranges::all_of(topic.name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (!good) return wrong(path + ".name", topic.name, "letters, digits, dots, dashes and underscores");
  if (topic.assignment.empty() && topic.replication_factor > brokers) {
    return wrong(path + ".replication_factor", std::to_string(topic.replication_factor),
                 fmt::format("at most cluster.brokers, {}", brokers));
  }
  for (std::size_t i = 0; i < topic.assignment.size(); ++i) {
    std::set<std::int32_t> seen;
    const std::string at = fmt::format("{}.assignment[{}]", path, i);
    if (topic.assignment[i].empty()) return wrong(at, "[]", "at least one broker");
    for (const std::int32_t id : topic.assignment[i]) {
      if (id > brokers || !seen.insert(id).second)
        return wrong(at, std::to_string(id), fmt::format("each broker id once, 1 to {}", brokers));
    }
  }
  for (const auto& [key, value] : topic.config) {
    const protocol::ConfigKey* known = protocol::find_topic_key(key);
    if (known == nullptr)
      return wrong(fmt::format("{}.config[{}]", path, key), value,
                   "a topic configuration key of Kafka's that is served");
    if (const auto fits = protocol::check_value(*known, value); !fits) {
      return wrong(fmt::format("{}.config[{}]", path, key), value, fits.error());
    }
  }
  return {};
}

// Whose coordinators a target can name.
std::set<std::string> coordinated_keys(const Target& target, const WorkloadSpec& load) {
  std::set<std::string> keys;
  const std::vector<std::int32_t> numbers = client_numbers(load);
  if (target.kind == Target::Kind::coordinator) {
    for (const ProducerSpec& producer : load.producers) keys.insert(producer.group);
    for (const ConsumerSpec& consumer : load.consumers) keys.insert(consumer.group);
  } else {
    for (std::size_t i = 0; i < load.producers.size(); ++i) {
      if (load.producers[i].transactional) keys.insert(transactional_id_of(load.producers[i], numbers[i]));
    }
  }
  keys.erase("");
  return keys;
}

Checked check_target(const std::string& text, const std::string& path, const Scenario& scenario, bool group) {
  const auto target = parse_target(text);
  if (!target) return wrong(path, text, target.error());
  if (target->is_group() && !group) return wrong(path, text, "one node");
  if (target->kind == Target::Kind::broker &&
      (target->id < NodeId(1) || target->id > NodeId(scenario.cluster.brokers))) {
    return wrong(path, text, fmt::format("broker(1) to broker({})", scenario.cluster.brokers));
  }
  if (target->kind == Target::Kind::client) {
    const std::vector<std::int32_t> numbers = client_numbers(scenario.workload);
    if (std::ranges::find(numbers, target->number) == numbers.end())
      return wrong(path, text, "the number of a client of the workload");
  }
  if (target->kind == Target::Kind::of &&
      std::ranges::find(scenario.faults, target->fault, &FaultSpec::id) == scenario.faults.end()) {
    return wrong(path, text, "the id of a fault");
  }
  if (!target->key.empty() && !coordinated_keys(*target, scenario.workload).contains(target->key))
    return wrong(
        path, text,
        target->kind == Target::Kind::coordinator ? "a group of the workload" : "a transactional id of the workload");
  if (!target->topic.empty()) {
    const auto named = [&](const TopicSpec& topic) { return topic.name == target->topic; };
    const bool known =
        target->topic == "__consumer_offsets" || target->topic == "__transaction_state" ||
        std::ranges::any_of(scenario.topics, named) ||
        std::ranges::any_of(scenario.faults, [&](const FaultSpec& f) { return f.topic && named(*f.topic); });
    if (!known) return wrong(path, text, "a partition of the scenario's topics");
  }
  return {};
}

Checked check_matcher(std::string_view event, const std::vector<Condition>& match, const std::string& path) {
  const auto made = EventMatcher::make(event, match);
  if (made) return {};
  return wrong(path + made.error().path, made.error().value, made.error().allowed);
}

Checked check_fault(const Scenario& scenario, const FaultSpec& fault, const std::string& path) {
  if (!fault.target.empty()) {
    if (auto checked = check_target(fault.target, path + ".target", scenario, false); !checked) return checked;
    const bool process_alone = fault.action == "kill" || fault.action == "pause" || fault.action == "resume";
    if (fault.target.starts_with("client(") && (fault.restart_ms >= 0 || (!process_alone && fault.action != "isolate")))
      return wrong(path + ".target", fault.target,
                   "a broker: clients are killed, paused or isolated, and don't return");
  }
  for (const auto& [name, list] : {std::pair(".a", &fault.a), std::pair(".b", &fault.b)}) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (auto checked = check_target((*list)[i], fmt::format("{}{}[{}]", path, name, i), scenario, true); !checked)
        return checked;
    }
  }
  for (const auto& [name, text] : {std::pair(".from", &fault.from), std::pair(".to", &fault.to)}) {
    if (text->empty()) continue;
    if (auto checked = check_target(*text, path + name, scenario, true); !checked) return checked;
  }
  if (fault.when) {
    if (auto checked = check_matcher(fault.when->event, fault.when->match, path + ".when"); !checked) return checked;
  }
  if (!fault.api.empty() && !wire::find_api_key(fault.api))
    return wrong(path + ".api", fault.api, "the name of one of Kafka's requests");
  if (!fault.of.empty()) {
    const auto rule = std::ranges::find(scenario.faults, fault.of, &FaultSpec::id);
    if (rule == scenario.faults.end() || rule->action != "message")
      return wrong(path + ".of", fault.of, "the id of a message rule");
  }
  if (fault.action == "older_disk" &&
      (fault.target == "controller" || (scenario.cluster.combined && fault.target == "broker(1)"))) {
    return wrong(path + ".target", fault.target, "a broker that is no controller: what the only voter decided stays");
  }
  for (const auto& [name, list] :
       {std::pair(".order", &fault.order), std::pair(".release_order", &fault.release_order)}) {
    const std::set<std::int32_t> distinct(list->begin(), list->end());
    if (distinct.size() != list->size()) return wrong(path + name, "a place twice", "each place once");
  }
  if (fault.action == "create_topic") return check_topic(*fault.topic, scenario.cluster.brokers, path + ".topic");
  return {};
}

// A group has one protocol, and a classic one one assignor.
Checked check_members(const WorkloadSpec& load) {
  const ConsumerSpec plain;
  std::map<std::string, ConsumerSpec> first;  // by group
  for (std::size_t i = 0; i < load.producers.size(); ++i) {
    const ProducerSpec& spec = load.producers[i];
    const std::string path = fmt::format("$.workload.producers[{}].protocol", i);
    if (spec.group.empty() && spec.protocol != plain.protocol) return wrong(path, spec.protocol, "a member of a group");
    if (spec.group.empty()) continue;
    const ConsumerSpec& known = first.try_emplace(spec.group, ConsumerSpec{.protocol = spec.protocol}).first->second;
    if (known.protocol != spec.protocol) return wrong(path, spec.protocol, known.protocol + ", as others of its group");
  }
  for (std::size_t i = 0; i < load.consumers.size(); ++i) {
    const ConsumerSpec& spec = load.consumers[i];
    const std::string path = fmt::format("$.workload.consumers[{}]", i);
    if (spec.group.empty()) {
      if (!spec.instance.empty()) return wrong(path + ".instance", spec.instance, "a member of a group");
      if (spec.protocol != plain.protocol) return wrong(path + ".protocol", spec.protocol, "a member of a group");
      continue;
    }
    const ConsumerSpec& known = first.try_emplace(spec.group, spec).first->second;
    if (known.protocol != spec.protocol)
      return wrong(path + ".protocol", spec.protocol, known.protocol + ", as others of its group");
    if (known.assignor != spec.assignor)
      return wrong(path + ".assignor", spec.assignor, known.assignor + ", as others of its group");
    if (spec.protocol == plain.protocol && spec.remote_assignor != plain.remote_assignor)
      return wrong(path + ".remote_assignor", spec.remote_assignor, "a member of protocol consumer");
    if (spec.protocol == plain.protocol) continue;
    if (spec.assignor != plain.assignor)
      return wrong(path + ".assignor", spec.assignor, "none beside protocol consumer: the coordinator assigns");
    if (spec.session_timeout_ms != plain.session_timeout_ms)
      return wrong(path + ".session_timeout_ms", std::to_string(spec.session_timeout_ms),
                   "none beside protocol consumer: cluster.config[group.consumer.session.timeout.ms]");
  }
  return {};
}

Checked check_load(const Scenario& scenario) {
  const auto check = [&](const std::string& topic, const std::vector<std::int32_t>& partitions,
                         const std::string& path) -> Checked {
    const TopicSpec* found = nullptr;
    for (const TopicSpec& spec : scenario.topics) {
      if (spec.name == topic) found = &spec;
    }
    for (const FaultSpec& fault : scenario.faults) {
      if (fault.action == "create_topic" && fault.topic->name == topic) found = &*fault.topic;
    }
    if (found == nullptr) return wrong(path + ".topic", topic, "one of the scenario's topics");
    const std::int32_t count = partitions_of(*found);
    for (const std::int32_t index : partitions) {
      if (index >= count) return wrong(path + ".partitions", std::to_string(index), fmt::format("below {}", count));
    }
    return {};
  };
  for (std::size_t i = 0; i < scenario.workload.producers.size(); ++i) {
    const ProducerSpec& spec = scenario.workload.producers[i];
    if (auto checked = check(spec.topic, spec.partitions, fmt::format("$.workload.producers[{}]", i)); !checked)
      return checked;
    if (spec.source.empty()) continue;
    if (auto checked = check(spec.source, {}, fmt::format("$.workload.producers[{}].source", i)); !checked)
      return checked;
  }
  std::set<std::int32_t> numbers;
  for (const std::int32_t number : client_numbers(scenario.workload)) {
    if (!numbers.insert(number).second)
      return wrong("$.workload", fmt::format("two clients of number {}", number), "a number for each client");
  }
  for (std::size_t i = 0; i < scenario.workload.consumers.size(); ++i) {
    const ConsumerSpec& spec = scenario.workload.consumers[i];
    const std::string path = fmt::format("$.workload.consumers[{}]", i);
    if (auto checked = check(spec.topic, spec.partitions, path); !checked) return checked;
  }
  return check_members(scenario.workload);
}

Checked check_expectations(const Expectations& expect) {
  for (std::size_t i = 0; i < expect.events.size(); ++i) {
    if (auto checked =
            check_matcher(expect.events[i].event, expect.events[i].match, fmt::format("$.expect.events[{}]", i));
        !checked) {
      return checked;
    }
  }
  for (std::size_t i = 0; i < expect.marks.size(); ++i) {
    if (!find_mark(expect.marks[i]))
      return wrong(fmt::format("$.expect.marks[{}]", i), expect.marks[i], "a mark (verdict list marks)");
  }
  for (std::size_t i = 0; i < expect.faults.size(); ++i) {
    if (!sim::find_fault(expect.faults[i]))
      return wrong(fmt::format("$.expect.faults[{}]", i), expect.faults[i], "a fault (verdict list faults)");
  }
  return {};
}

Checked check_features(const Properties& features) {
  const auto known = protocol::supported_features();
  for (const auto& [name, level] : features) {
    const std::string path = "$.cluster.features[" + name + "]";
    const auto range = std::ranges::find(known, name, &protocol::FeatureRange::name);
    if (range == known.end()) return wrong(path, level, "the level of a feature that brokers know");
    bool served = false;
    for (std::int16_t l = range->min; l <= range->max; ++l) served = served || level == std::to_string(l);
    if (!served) return wrong(path, level, fmt::format("{} to {}", range->min, range->max));
  }
  return {};
}

}  // namespace

Checked validate(const Scenario& given) {
  const Scenario scenario = resolve(given);
  sim::ClusterConfig cluster;
  cluster.brokers = scenario.cluster.brokers;
  cluster.combined = scenario.cluster.combined;
  for (const auto& [name, value] : scenario.cluster.config) {
    if (protocol::find_broker_key(name) == nullptr)
      return wrong("$.cluster.config[" + name + "]", value, "a broker configuration key of Kafka's that is served");
    cluster.properties.emplace_back(name, value);
  }
  if (auto checked = check_features(scenario.cluster.features); !checked) return checked;
  if (const auto fits = sim::Cluster::check(cluster); !fits)
    return wrong("$.cluster.config", fits.error(), "what server.properties allows");
  std::set<std::string> names;
  for (std::size_t i = 0; i < scenario.topics.size(); ++i) {
    const std::string path = fmt::format("$.topics[{}]", i);
    if (auto checked = check_topic(scenario.topics[i], scenario.cluster.brokers, path); !checked) return checked;
    if (!names.insert(scenario.topics[i].name).second)
      return wrong(path + ".name", scenario.topics[i].name, "a name that no other topic has");
  }
  if (auto checked = check_load(scenario); !checked) return checked;
  for (std::size_t i = 0; i < scenario.faults.size(); ++i) {
    if (auto checked = check_fault(scenario, scenario.faults[i], fmt::format("$.faults[{}]", i)); !checked)
      return checked;
  }
  for (std::size_t i = 0; i < scenario.defects.size(); ++i) {
    if (!find_defect(scenario.defects[i]))
      return wrong(fmt::format("$.defects[{}]", i), scenario.defects[i], "a defect (verdict list defects)");
  }
  return check_expectations(scenario.expect);
}

RunResult run(const Scenario& given, std::uint64_t seed, const RunOptions& options) {
  const Scenario scenario = resolve(given);
  if (const auto valid = validate(scenario); !valid) {
    RunResult result;
    result.scenario = scenario.name;
    result.seed = seed;
    result.outcome = RunOutcome::overrun;
    result.invariant = "scenario";
    result.sentence = valid.error().text();
    return result;
  }
  if (!options.check_determinism) return Trial(scenario, seed, options, nullptr).run();
  sim::TraceLog first, second;
  RunResult result = Trial(scenario, seed, options, &first).run();
  RunOptions again = options;
  again.observer = nullptr;
  const RunResult repeated = Trial(scenario, seed, again, &second).run();
  const auto difference = sim::first_difference(first, second);
  if (difference || repeated.hash != result.hash) {
    result.outcome = RunOutcome::nondeterministic;
    result.difference =
        difference ? fmt::format("event {}: {}", difference->index, difference->description)
                   : fmt::format("the hashes {:016x} and {:016x} differ, no event does", result.hash, repeated.hash);
    result.sentence = "two runs of one seed differ: " + result.difference;
  }
  return result;
}

}  // namespace verdict::scenarios
