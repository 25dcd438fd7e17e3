#include "search/loads.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "search/shrink.h"

namespace verdict::search {
namespace {

using scenarios::ProducerSpec;
using scenarios::RunResult;
using scenarios::Scenario;

// When the run failed, since the workload began; its end if that was later or is unknown.
std::int64_t failed_ms(const Scenario& scenario, const RunResult& result) {
  const std::int64_t end = scenario.phases.run_ms;
  if (result.violation_ns < 0 || result.workload_ns < 0) return end;
  const std::int64_t at = (result.violation_ns - result.workload_ns) / 1'000'000 + 1;
  return std::clamp<std::int64_t>(at, 1, end);
}

// The partition of `topic` in which the run failed.
std::optional<std::int32_t> failed_partition(const std::string& topic, const RunResult& result) {
  const std::size_t dash = result.partition.rfind('-');
  if (dash == std::string::npos || result.partition.substr(0, dash) != topic) return std::nullopt;
  const std::string index = result.partition.substr(dash + 1);
  if (index.empty() || index.size() > 6 || index.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoi(index);
}

// How a producer sends fewer records.
enum class Way : std::uint8_t {
  first,   // the first ones of what it would send
  last,    // the last ones before the failure
  spread,  // one at a time over the same while
  bursts   // bursts as before, farther apart
};
constexpr std::array kWays = {Way::first, Way::last, Way::spread, Way::bursts};

void limit(ProducerSpec& producer, std::int64_t records, Way way, std::int64_t failed_at_ms) {
  const std::int64_t while_us = std::max<std::int64_t>(failed_at_ms - producer.start_ms, 1) * 1000;
  producer.records = records;
  producer.burst = static_cast<std::int32_t>(std::min<std::int64_t>(producer.burst, records));
  if (way == Way::spread) producer.burst = 1;
  const std::int64_t bursts = (records + producer.burst - 1) / producer.burst;
  if (way == Way::last) {
    const std::int64_t needed_ms = bursts * producer.interval_us / 1000;
    producer.start_ms = std::max(producer.start_ms, failed_at_ms - needed_ms);
  } else if (way != Way::first) {
    producer.interval_us = std::max(producer.interval_us, while_us / bursts);
  }
}

// 1, 2, 3, 4, 6, 8, 12, 16, ... below `end`
std::vector<std::int64_t> counts_below(std::int64_t end) {
  std::vector<std::int64_t> counts;
  for (std::int64_t power = 1; power < end; power *= 2) {
    counts.push_back(power);
    if (const std::int64_t between = power + power / 2; power > 1 && between < end) counts.push_back(between);
  }
  return counts;
}

// All producers with about `records` in all.
Edited limited(const Scenario& scenario, std::int64_t records, Way way, bool one_partition, const RunResult& result) {
  Scenario out = scenario;
  const auto producers = static_cast<std::int64_t>(out.workload.producers.size());
  if (records < producers) return std::nullopt;
  for (std::int64_t i = 0; ProducerSpec & producer : out.workload.producers) {
    const std::int64_t share = records / producers + (i++ < records % producers ? 1 : 0);
    limit(producer, std::min(share, records_of(producer, scenario.phases)), way, failed_ms(scenario, result));
    const auto partition = failed_partition(producer.topic, result);
    if (one_partition && partition) producer.partitions = {*partition};
  }
  return out;
}

Edited limited_one(const Scenario& scenario, std::size_t place, std::int64_t records, Way way,
                   const RunResult& result) {
  Scenario out = scenario;
  limit(out.workload.producers[place], records, way, failed_ms(scenario, result));
  return out;
}

// What is left of two significant digits.
std::int64_t rounded(std::int64_t value) {
  std::int64_t unit = 1;
  while (value / unit >= 100) unit *= 10;
  return value / unit * unit;
}

}  // namespace

std::vector<Edited> smaller_loads(const Scenario& scenario, const RunResult& result) {
  std::vector<Edited> out;
  std::int64_t all = 0;
  for (const ProducerSpec& producer : scenario.workload.producers) all += records_of(producer, scenario.phases);
  for (const std::int64_t records : counts_below(all)) {
    for (const bool one_partition : {true, false}) {
      for (const Way way : kWays) out.push_back(limited(scenario, records, way, one_partition, result));
    }
  }
  for (std::size_t i = 0; i < scenario.workload.producers.size(); ++i) {
    const std::int64_t own = records_of(scenario.workload.producers[i], scenario.phases);
    std::vector<std::int64_t> counts = counts_below(own);
    if (own > 1) counts.push_back(own - 1);
    for (const std::int64_t records : counts) {
      for (const Way way : kWays) out.push_back(limited_one(scenario, i, records, way, result));
    }
  }
  return out;
}

std::vector<Edited> fewer_partitions(const Scenario& scenario, std::size_t topic, const RunResult& result) {
  std::vector<Edited> out;
  const scenarios::TopicSpec& spec = scenario.topics[topic];
  const std::int32_t count = partitions_of(spec);
  const auto failed = failed_partition(spec.name, result);
  // All but the one in which the run failed; where the brokers are not named, with each as its leader too.
  Edited alone = scenario;
  for (std::int32_t index = count - 1; alone && index >= 0; --index) {
    if (index != failed.value_or(0)) alone = without_partition(*alone, topic, index);
  }
  out.push_back(alone);
  for (std::int32_t leader = 1; alone && spec.assignment.empty() && leader <= scenario.cluster.brokers; ++leader) {
    Scenario placed = *alone;
    std::vector<std::int32_t> replicas;
    for (std::int32_t i = 0; i < spec.replication_factor; ++i)
      replicas.push_back((leader - 1 + i) % scenario.cluster.brokers + 1);
    placed.topics[topic].assignment = {replicas};
    placed.topics[topic].partitions = scenarios::TopicSpec{}.partitions;
    placed.topics[topic].replication_factor = scenarios::TopicSpec{}.replication_factor;
    out.push_back(std::move(placed));
  }
  for (std::int32_t index = count - 1; index >= 0; --index) out.push_back(without_partition(scenario, topic, index));
  return out;
}

std::vector<Edited> shorter_times(const Scenario& scenario, const RunResult& result) {
  std::vector<Edited> out;
  const std::int64_t run_ms = scenario.phases.run_ms;
  for (const std::int64_t until : {run_ms / 4, run_ms / 2, failed_ms(scenario, result), run_ms * 3 / 4}) {
    Scenario shorter = scenario;
    shorter.phases.run_ms = std::max<std::int64_t>(until, 1);
    out.push_back(std::move(shorter));
  }
  // Waits between what happens: all of each, or part of it.
  std::set<std::int64_t> times{0};
  for (const scenarios::FaultSpec& fault : scenario.faults) {
    if (fault.at_ms) times.insert(*fault.at_ms);
    if (fault.when) times.insert(fault.when->not_before_ms);
  }
  for (const ProducerSpec& producer : scenario.workload.producers) times.insert(producer.start_ms);
  for (const scenarios::ConsumerSpec& consumer : scenario.workload.consumers) times.insert(consumer.start_ms);
  for (auto at = std::next(times.begin()); at != times.end(); ++at) {
    const std::int64_t wait = *at - *std::prev(at);
    for (const std::int64_t by : {wait, wait * 3 / 4, wait / 2, wait / 4}) out.push_back(earlier(scenario, *at, by));
  }
  return out;
}

std::vector<std::int64_t> smaller_numbers(std::int64_t value) {
  std::set<std::int64_t> sizes;
  const std::int64_t amount = value < 0 ? -value : value;
  for (const std::int64_t one : {std::int64_t{0}, std::int64_t{1}, amount / 10, amount / 2, rounded(amount)}) {
    if (one < amount) sizes.insert(one);
  }
  std::vector<std::int64_t> out(sizes.begin(), sizes.end());
  if (value < 0) std::ranges::for_each(out, [](std::int64_t& one) { one = -one; });
  return out;
}

}  // namespace verdict::search
