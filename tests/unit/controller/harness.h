#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "protocol/controller/controller.h"
#include "protocol/wire/errors.h"

namespace verdict::controller {

// A controller whose log commits when the test says so.
class Harness {
 public:
  explicit Harness(std::vector<std::pair<std::string, std::string>> config = {}, DefectSet defects = {},
                   protocol::Observer* observer = nullptr)
      : controller(options(std::move(config), defects), observer) {
    Effects out;
    controller.step(events_in::BecameLeader{.epoch = 1, .next_offset = Offset(1)}, now, out);
    take(out);
    commit();
  }

  static Controller::Options options(std::vector<std::pair<std::string, std::string>> config, DefectSet defects) {
    Controller::Options out{.self = NodeId(0), .cluster_id = "cluster", .defects = defects};
    EXPECT_TRUE(out.config.set("metadata.max.idle.interval.ms", "0"));
    for (const auto& [name, value] : config) {
      EXPECT_TRUE(out.config.set(name, value)) << name;
    }
    return out;
  }

  void take(Effects& out) {
    for (Effect& effect : out.list) {
      if (auto* append = std::get_if<effects::Append>(&effect)) {
        EXPECT_EQ(append->base, end);
        end = end + std::ssize(append->records);
        for (auto& record : append->records) {
          log.push_back(std::move(record));
        }
      } else if (auto* respond = std::get_if<effects::Respond>(&effect)) {
        EXPECT_TRUE(answers.emplace(respond->token, std::move(respond->response)).second) << "answered twice";
      } else if (auto* timer = std::get_if<effects::ArmTimer>(&effect)) {
        timer_at = timer->when;
      } else if (const auto* line = std::get_if<effects::Log>(&effect)) {
        (line->warning ? warnings : notes).push_back(line->text);
      }
    }
    for (const Mark mark : out.marks) {
      ++marks[mark];
    }
  }
  template <class Event>
  void step(const Event& event) {
    Effects out;
    controller.step(event, now, out);
    take(out);
  }
  void commit() { step(events_in::Committed{.to = end}); }
  void tick_after(Duration d) {
    now += d;
    step(events_in::Tick{});
    commit();
  }

  template <class Response>
  const Response& answer(Token request) {
    const auto found = answers.find(request);
    EXPECT_NE(found, answers.end()) << "no answer yet";
    return std::get<wire::Message<Response>>(found->second).value;
  }

  static Uuid directory(int broker) { return {0x1000, static_cast<std::uint64_t>(broker)}; }

  wire::BrokerRegistrationResponse register_broker(int id, int incarnation, std::int64_t previous_epoch = -1,
                                                   std::string_view cluster = "cluster") {
    std::vector<Uuid> dirs{directory(id)};
    return register_broker(id, incarnation, previous_epoch, cluster, dirs);
  }
  wire::BrokerRegistrationResponse register_broker(int id, int incarnation, std::int64_t previous_epoch,
                                                   std::string_view cluster, std::vector<Uuid> dirs,
                                                   std::int16_t metadata_version = 27) {
    std::vector<wire::BrokerRegistrationRequest::Feature> features{
        {.name = "group.version", .min_supported_version = 0, .max_supported_version = 1},
        {.name = "metadata.version", .min_supported_version = 7, .max_supported_version = metadata_version},
        {.name = "transaction.version", .min_supported_version = 0, .max_supported_version = 2}};
    std::vector<wire::BrokerRegistrationRequest::Listener> listeners{{.name = "PLAINTEXT", .host = "h", .port = 9092}};
    const wire::BrokerRegistrationRequest request{.broker_id = id,
                                                  .cluster_id = cluster,
                                                  .incarnation_id = {7, static_cast<std::uint64_t>(incarnation)},
                                                  .listeners = listeners,
                                                  .features = features,
                                                  .rack = std::nullopt,
                                                  .log_dirs = dirs,
                                                  .previous_broker_epoch = previous_epoch};
    step(events_in::RegisterBroker{.token = ++token, .version = 4, .request = request});
    commit();
    const auto out = answer<wire::BrokerRegistrationResponse>(token);
    if (out.error_code == 0) {
      epochs[id] = out.broker_epoch;
    }
    return out;
  }
  wire::BrokerHeartbeatResponse beat(int id, bool want_shut_down = false, bool want_fence = false,
                                     std::int64_t reached = -1) {
    const wire::BrokerHeartbeatRequest request{.broker_id = id,
                                               .broker_epoch = epochs[id],
                                               .current_metadata_offset = reached < 0 ? end.value() - 1 : reached,
                                               .want_fence = want_fence,
                                               .want_shut_down = want_shut_down};
    step(events_in::Heartbeat{.token = ++token, .version = 1, .request = request});
    commit();
    return answer<wire::BrokerHeartbeatResponse>(token);
  }
  void start_brokers(int count) {
    for (int id = 1; id <= count; ++id) {
      EXPECT_EQ(register_broker(id, id).error_code, 0);
      EXPECT_FALSE(beat(id).is_fenced);
    }
  }
  // One topic with the replicas given a partition.
  PartitionKey create(std::string_view name, std::vector<std::vector<std::int32_t>> replicas,
                      std::vector<std::pair<std::string, std::string>> configs = {}) {
    std::vector<wire::CreateTopicsRequest::CreatableReplicaAssignment> assignments;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      assignments.push_back({.partition_index = static_cast<std::int32_t>(i), .broker_ids = replicas[i]});
    }
    std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> values;
    for (const auto& [key, value] : configs) {
      values.push_back({.name = key, .value = value});
    }
    std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{
        {.name = name, .num_partitions = -1, .replication_factor = -1, .assignments = assignments, .configs = values}};
    const auto& result = create_topics({.topics = topics}).topics[0];
    EXPECT_EQ(result.error_code, 0) << result.error_message.value_or("");
    return {result.topic_id, 0};
  }
  const wire::CreateTopicsResponse& create_topics(const wire::CreateTopicsRequest& request, int version = 7) {
    step(events_in::CreateTopics{.token = ++token, .version = version, .request = request, .random = 1000 + token});
    commit();
    return answer<wire::CreateTopicsResponse>(token);
  }
  const wire::AlterPartitionResponse& alter(int sender, const PartitionKey& key, LeaderEpoch leader_epoch,
                                            PartitionEpoch partition_epoch,
                                            std::vector<std::pair<int, std::int64_t>> isr,
                                            std::int64_t sender_epoch = -2, std::int8_t recovery = 0) {
    std::vector<wire::AlterPartitionRequest::BrokerState> states;
    for (const auto& [id, broker_epoch] : isr) {
      states.push_back({.broker_id = id, .broker_epoch = broker_epoch});
    }
    std::vector<wire::AlterPartitionRequest::PartitionData> partitions{{.partition_index = key.index,
                                                                        .leader_epoch = leader_epoch.value(),
                                                                        .new_isr_with_epochs = states,
                                                                        .leader_recovery_state = recovery,
                                                                        .partition_epoch = partition_epoch.value()}};
    std::vector<wire::AlterPartitionRequest::TopicData> topics{{.topic_id = key.topic, .partitions = partitions}};
    const wire::AlterPartitionRequest request{
        .broker_id = sender, .broker_epoch = sender_epoch == -2 ? epochs[sender] : sender_epoch, .topics = topics};
    step(events_in::AlterPartition{.token = ++token, .version = 3, .request = request});
    commit();
    return answer<wire::AlterPartitionResponse>(token);
  }
  // Beats for all but `silent` until its session has ended.
  void let_session_end(int silent) {
    for (int i = 0; i < 5; ++i) {
      now += 2s;
      for (const auto& [id, broker_epoch] : epochs) {
        if (id != silent) {
          beat(id);
        }
      }
    }
    step(events_in::Tick{});
    commit();
  }
  const protocol::PartitionRegistration& at(const PartitionKey& key) { return *controller.image().partition(key); }
  bool fenced(int id) { return controller.image().broker(NodeId(id))->fenced; }

  Controller controller;
  MonoTime now{1000s};
  MonoTime timer_at{};
  Offset end{1};
  Token token = 0;
  std::vector<protocol::MetadataRecord> log;
  std::map<Token, Response> answers;
  std::map<Mark, int> marks;
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
  std::map<int, std::int64_t> epochs;
};

inline NodeIds ids(std::initializer_list<int> values) {
  NodeIds out;
  for (const int v : values) {
    out.push_back(NodeId(v));
  }
  return out;
}

constexpr std::int16_t error(wire::ErrorCode e) { return static_cast<std::int16_t>(e); }

}  // namespace verdict::controller
