#include "search/edits.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <set>
#include <utility>

namespace verdict::search {
namespace {

using scenarios::Condition;
using scenarios::FaultSpec;
using scenarios::Scenario;
using scenarios::TopicSpec;

// The id inside "of(ID)".
std::string_view named_by(std::string_view target) {
  if (!target.starts_with("of(") || !target.ends_with(")")) return {};
  return target.substr(3, target.size() - 4);
}

// All targets of a fault, in whatever field.
void each_target(FaultSpec& fault, const std::function<void(std::string&)>& visit) {
  for (std::string* one : {&fault.target, &fault.from, &fault.to}) {
    if (!one->empty()) visit(*one);
  }
  for (auto* group : {&fault.a, &fault.b}) std::ranges::for_each(*group, visit);
  if (!fault.when) return;
  for (Condition& condition : fault.when->match) {
    if (condition.kind == Condition::Kind::text) visit(condition.text);
  }
}

bool depends_on(FaultSpec fault, const std::set<std::string, std::less<>>& gone) {
  bool found = gone.contains(fault.of);
  each_target(fault, [&](std::string& target) { found = found || gone.contains(named_by(target)); });
  return found;
}

std::optional<std::int32_t> number_of(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// The N of "KIND(N)".
std::optional<std::int32_t> numbered(std::string_view kind, std::string_view target) {
  if (!target.starts_with(kind) || !target.substr(kind.size()).starts_with("(") || !target.ends_with(")"))
    return std::nullopt;
  return number_of(target.substr(kind.size() + 1, target.size() - kind.size() - 2));
}

// False: one of the fault's groups is empty now.
template <class Goes>
bool erase_from_groups(FaultSpec& fault, Goes goes) {
  const bool had_a = !fault.a.empty(), had_b = !fault.b.empty();
  for (auto* group : {&fault.a, &fault.b}) std::erase_if(*group, goes);
  return had_a == !fault.a.empty() && had_b == !fault.b.empty();
}

// False: the fault was about clients that are gone, and could hit nobody any more.
bool without_clients(FaultSpec& fault, const std::set<std::int32_t>& gone) {
  const auto goes = [&](const std::string& target) {
    const auto number = numbered("client", target);
    return number && gone.contains(*number);
  };
  bool lost = !erase_from_groups(fault, goes);
  each_target(fault, [&](std::string& target) { lost = lost || goes(target); });
  return !lost;
}

// One broker less: what becomes of an id. nullopt: it is the one that goes.
struct Renumber {
  std::int32_t gone;
  std::optional<std::int32_t> operator()(std::int32_t id) const {
    if (id == gone) return std::nullopt;
    return id > gone ? id - 1 : id;
  }
};

void renumber_topic(TopicSpec& topic, std::int32_t brokers, const Renumber& renumber) {
  topic.replication_factor = std::min(topic.replication_factor, brokers);
  for (std::vector<std::int32_t>& replicas : topic.assignment) {
    std::erase(replicas, renumber.gone);
    for (std::int32_t& id : replicas) id = *renumber(id);
    if (replicas.empty()) replicas.push_back(1);
  }
}

bool holds_broker_ids(const Condition& condition) {
  constexpr std::array<std::string_view, 6> kFields = {"node", "leader", "isr", "replicas", "broker", "follower"};
  return std::ranges::find(kFields, condition.field) != kFields.end();
}

// False: the fault could hit nobody any more.
bool renumber_fault(FaultSpec& fault, std::int32_t brokers, const Renumber& renumber) {
  bool lost =
      !erase_from_groups(fault, [&](const std::string& target) { return numbered("broker", target) == renumber.gone; });
  each_target(fault, [&](std::string& target) {
    const auto id = numbered("broker", target);
    if (!id) return;
    const auto now = renumber(*id);
    lost = lost || !now;
    if (now) target = "broker(" + std::to_string(*now) + ")";
  });
  if (fault.when) {
    for (Condition& condition : fault.when->match) {
      if (!holds_broker_ids(condition) ||
          (condition.kind != Condition::Kind::number && condition.kind != Condition::Kind::contains)) {
        continue;
      }
      const auto now = renumber(static_cast<std::int32_t>(condition.min));
      lost = lost || !now;
      if (now) condition.min = *now;
    }
  }
  if (fault.topic) renumber_topic(*fault.topic, brokers, renumber);
  return !lost;
}

// Copies that brokers are to hold, or to have written.
void limit_copies(scenarios::Properties& config, std::int32_t brokers) {
  for (const char* key : {"min.insync.replicas", "offsets.topic.replication.factor",
                          "transaction.state.log.replication.factor", "transaction.state.log.min.isr"}) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    if (const auto wanted = number_of(found->second); wanted && *wanted > brokers)
      found->second = std::to_string(brokers);
  }
}

// "leader(orders-2)", "orders-2", "follower(orders-2,1)": the partition's index as another one. False: it names the one
// that goes.
bool renumber_partition(std::string& text, const std::string& topic, std::int32_t gone) {
  const std::string head = topic + "-";
  std::size_t at = text.find(head);
  if (at == std::string::npos || (at > 0 && text[at - 1] != '(')) return true;
  at += head.size();
  std::size_t end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  const auto index = number_of(std::string_view(text).substr(at, end - at));
  if (!index || *index < gone) return true;
  if (*index == gone) return false;
  text.replace(at, end - at, std::to_string(*index - 1));
  return true;
}

// False: nothing would be left of the list.
bool renumber_list(std::vector<std::int32_t>& partitions, std::int32_t gone) {
  if (partitions.empty()) return true;
  std::erase(partitions, gone);
  for (std::int32_t& index : partitions) {
    if (index > gone) --index;
  }
  return !partitions.empty();
}

void bring_forward(std::int64_t& time_ms, std::int64_t from_ms, std::int64_t by_ms) {
  if (time_ms > 0 && time_ms >= from_ms) time_ms = std::max<std::int64_t>(time_ms - by_ms, 0);
}

}  // namespace

Edited with_faults(const Scenario& scenario, const Kept& kept) {
  std::set<std::string, std::less<>> gone;
  for (std::size_t i = 0; i < scenario.faults.size(); ++i) {
    if (!kept[i]) gone.insert(scenario.faults[i].id);
  }
  for (bool more = true; more;) {
    more = false;
    for (const FaultSpec& fault : scenario.faults) {
      if (!gone.contains(fault.id) && depends_on(fault, gone)) more = gone.insert(fault.id).second;
    }
  }
  Scenario out = scenario;
  std::erase_if(out.faults, [&](const FaultSpec& fault) { return gone.contains(fault.id); });
  return out;
}

Edited with_clients(const Scenario& scenario, const Kept& kept) {
  if (std::ranges::find(kept, true) == kept.end()) return std::nullopt;
  Scenario out = scenario;
  const std::vector<std::int32_t> numbers = scenarios::client_numbers(scenario.workload);
  out.workload.producers.clear();
  out.workload.consumers.clear();
  const std::size_t producers = scenario.workload.producers.size();
  std::set<std::int32_t> gone;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) {
      gone.insert(numbers[i]);
      continue;
    }
    if (i < producers) {
      out.workload.producers.push_back(scenario.workload.producers[i]);
      out.workload.producers.back().client = numbers[i];
    } else {
      out.workload.consumers.push_back(scenario.workload.consumers[i - producers]);
      out.workload.consumers.back().client = numbers[i];
    }
  }
  Kept faults;
  for (FaultSpec& fault : out.faults) faults.push_back(without_clients(fault, gone));
  return with_faults(out, faults);
}

void consume_nothing(scenarios::ProducerSpec& p) {
  p.source = p.group = "";
  p.protocol = scenarios::ProducerSpec{}.protocol;
}

std::vector<Edited> with_plainer_clients(const Scenario& scenario) {
  std::vector<Edited> out;
  const auto changed = [&](auto change) { change(out.emplace_back(scenario)->workload); };
  std::set<std::string> groups;  // of the consumer protocol: none is half of it
  const auto find_group = [&](const auto& member) {
    if (member.protocol != scenarios::ConsumerSpec{}.protocol) groups.insert(member.group);
  };
  std::ranges::for_each(scenario.workload.producers, find_group);
  std::ranges::for_each(scenario.workload.consumers, find_group);
  for (const std::string& group : groups) {
    changed([&](scenarios::WorkloadSpec& load) {
      for (scenarios::ProducerSpec& one : load.producers) {
        if (one.group == group) one.protocol = scenarios::ProducerSpec{}.protocol;
      }
      for (scenarios::ConsumerSpec& one : load.consumers) {
        if (one.group != group) continue;
        one.protocol = scenarios::ConsumerSpec{}.protocol;
        one.remote_assignor = scenarios::ConsumerSpec{}.remote_assignor;
      }
    });
  }
  for (std::size_t i = 0; i < scenario.workload.producers.size(); ++i) {
    const scenarios::ProducerSpec& producer = scenario.workload.producers[i];
    const scenarios::ProducerSpec plain;
    if (producer.transactional) {
      changed([&](scenarios::WorkloadSpec& load) {
        scenarios::ProducerSpec& p = load.producers[i];
        consume_nothing(p);
        p.transactional = false;
        p.transactional_id = "";
        p.abort_one_in = plain.abort_one_in;
        p.transaction_timeout_ms = plain.transaction_timeout_ms;
        p.lives = plain.lives;
      });
    }
    if (!producer.source.empty()) {
      changed([&](scenarios::WorkloadSpec& load) { consume_nothing(load.producers[i]); });
    }
  }
  return out;
}

Edited without_broker(const Scenario& scenario, std::int32_t id) {
  if (scenario.cluster.brokers <= 1) return std::nullopt;
  const Renumber renumber{id};
  Scenario out = scenario;
  const std::int32_t brokers = --out.cluster.brokers;
  limit_copies(out.cluster.config, brokers);
  for (TopicSpec& topic : out.topics) {
    renumber_topic(topic, brokers, renumber);
    limit_copies(topic.config, brokers);
  }
  Kept kept;
  for (FaultSpec& fault : out.faults) kept.push_back(renumber_fault(fault, brokers, renumber));
  return with_faults(out, kept);
}

Edited without_topic(const Scenario& scenario, std::size_t place) {
  if (scenario.topics.size() < 2) return std::nullopt;
  const std::string& name = scenario.topics[place].name;
  Kept kept;
  for (const auto& producer : scenario.workload.producers)
    kept.push_back(producer.topic != name && producer.source != name);
  for (const auto& consumer : scenario.workload.consumers) kept.push_back(consumer.topic != name);
  Edited out = with_clients(scenario, kept);
  if (out) out->topics.erase(out->topics.begin() + static_cast<std::ptrdiff_t>(place));
  return out;
}

Edited without_partition(const Scenario& scenario, std::size_t topic, std::int32_t index) {
  Scenario out = scenario;
  TopicSpec& spec = out.topics[topic];
  if (partitions_of(spec) < 2) return std::nullopt;
  if (spec.assignment.empty()) {
    --spec.partitions;
  } else {
    spec.assignment.erase(spec.assignment.begin() + index);
  }
  bool fits = true;
  const auto renumber_clients = [&](auto& clients) {
    for (auto& client : clients) {
      if (client.topic == spec.name) fits = fits && renumber_list(client.partitions, index);
    }
  };
  renumber_clients(out.workload.producers);
  renumber_clients(out.workload.consumers);
  for (FaultSpec& fault : out.faults) {
    each_target(fault, [&](std::string& text) { fits = fits && renumber_partition(text, spec.name, index); });
  }
  return fits ? Edited(std::move(out)) : std::nullopt;
}

Edited earlier(const Scenario& scenario, std::int64_t from_ms, std::int64_t by_ms) {
  Scenario out = scenario;
  if (by_ms <= 0 || out.phases.run_ms <= by_ms) return std::nullopt;
  out.phases.run_ms -= by_ms;
  for (FaultSpec& fault : out.faults) {
    if (fault.at_ms) bring_forward(*fault.at_ms, from_ms, by_ms);
    if (!fault.when) continue;
    bring_forward(fault.when->not_before_ms, from_ms, by_ms);
    bring_forward(fault.when->deadline_ms, from_ms, by_ms);
  }
  for (auto& producer : out.workload.producers) {
    bring_forward(producer.start_ms, from_ms, by_ms);
    if (producer.stop_ms > 0) {
      bring_forward(producer.stop_ms, from_ms, by_ms);
      producer.stop_ms = std::max<std::int64_t>(producer.stop_ms, 1);
    }
  }
  for (auto& consumer : out.workload.consumers) bring_forward(consumer.start_ms, from_ms, by_ms);
  return out;
}

}  // namespace verdict::search
