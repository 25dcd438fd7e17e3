// What a scenario leaves out.
#include <algorithm>
#include <string>

#include "scenarios/scenario.h"

namespace verdict::scenarios {

// At least three partitions, two pipelined producers of acks=all, one of acks=1 and one of acks=0, several batches in
// flight at every election, and a reader of everything beside one that goes back now and then.
WorkloadSpec default_workload(const std::string& topic) {
  WorkloadSpec load;
  for (const char* acks : {"all", "all", "1", "0"}) {
    ProducerSpec producer;
    producer.topic = topic;
    producer.acks = acks;
    producer.burst = producer.acks == "all" ? 4 : 1;
    // The second one never tries again, so that what it isn't told of stays unknown.
    if (load.producers.size() == 1) producer.retries = 0;
    load.producers.push_back(producer);
  }
  ConsumerSpec reader;
  reader.topic = topic;
  load.consumers.push_back(reader);
  reader.seek_one_in = 20;
  reader.poll_interval_ms = 20;
  load.consumers.push_back(reader);
  return load;
}

Scenario resolve(Scenario scenario) {
  if (scenario.topics.empty()) {
    TopicSpec topic;
    topic.replication_factor = std::min(topic.replication_factor, scenario.cluster.brokers);
    scenario.topics.push_back(topic);
  }
  WorkloadSpec& load = scenario.workload;
  if (load.producers.empty() && load.consumers.empty()) {
    const WorkloadSpec usual = default_workload(scenario.topics.front().name);
    load.producers = usual.producers;
    load.consumers = usual.consumers;
  }
  std::int32_t number = 0;
  for (FaultSpec& fault : scenario.faults) {
    ++number;
    if (fault.id.empty()) fault.id = fault.action + "-" + std::to_string(number);
  }
  return scenario;
}

std::vector<std::int32_t> client_numbers(const WorkloadSpec& workload) {
  std::vector<std::int32_t> numbers;
  const auto add = [&numbers](std::int32_t said) {
    numbers.push_back(said > 0 ? said : static_cast<std::int32_t>(numbers.size()) + 1);
  };
  for (const ProducerSpec& producer : workload.producers) add(producer.client);
  for (const ConsumerSpec& consumer : workload.consumers) add(consumer.client);
  return numbers;
}

std::int32_t partitions_of(const TopicSpec& topic) {
  return topic.assignment.empty() ? topic.partitions : static_cast<std::int32_t>(topic.assignment.size());
}

std::string transactional_id_of(const ProducerSpec& producer, std::int64_t number) {
  return producer.transactional_id.empty() ? "txn-" + std::to_string(number) : producer.transactional_id;
}

}  // namespace verdict::scenarios
