#include <algorithm>

#include "protocol/controller/state.h"

// Leaders and in-sync replicas.
namespace verdict::controller {
namespace {

using PartitionData = wire::AlterPartitionRequest::PartitionData;
using Result = wire::AlterPartitionResponse::PartitionData;
using protocol::LeaderRecovery;

constexpr int kIsrWithEpochsVersion = 3;  // KIP-903

std::vector<wire::AlterPartitionRequest::BrokerState> new_isr_of(const PartitionData& data, int version) {
  if (version >= kIsrWithEpochsVersion) {
    return {data.new_isr_with_epochs.begin(), data.new_isr_with_epochs.end()};
  }
  std::vector<wire::AlterPartitionRequest::BrokerState> out;
  for (const std::int32_t id : data.new_isr) {
    out.push_back({.broker_id = id, .broker_epoch = kNoBrokerEpoch.value()});
  }
  return out;
}

bool has_duplicate(const NodeIds& ids) {
  NodeIds sorted = ids;
  std::ranges::sort(sorted);
  return std::ranges::adjacent_find(sorted) != sorted.end();
}

}  // namespace

Election Controller::State::election_for(std::string_view topic) const {
  return view().topic_boolean(topic, "unclean.leader.election.enable") ? Election::unclean : Election::online;
}

void Controller::State::remove_from_isrs(NodeId broker, std::vector<MetadataRecord>& records, Effects& out) {
  for (const auto& [topic_id, topic] : image.topics()) {
    std::optional<Election> election;
    for (const auto& [index, partition] : topic.partitions) {
      if (!partition.in_isr(broker)) {
        continue;
      }
      election = election.value_or(election_for(topic.name));
      const Wanted wanted{.election = *election, .isr = without(partition.isr, broker), .leaving = broker};
      if (auto change = decide(image, {topic_id, index}, partition, wanted, options.defects, out.marks)) {
        records.emplace_back(std::move(*change));
      }
    }
  }
}

void Controller::State::elect_leaderless(NodeId returning, std::vector<MetadataRecord>& records, Effects& out) {
  for (const PartitionKey& key : image.leaderless()) {
    const Wanted wanted{.election = election_for(image.topic(key.topic)->name), .returning = returning};
    if (auto change = decide(image, key, *image.partition(key), wanted, options.defects, out.marks)) {
      records.emplace_back(std::move(*change));
    }
  }
}

void Controller::State::balance_leaders(Effects& out) {
  constexpr std::size_t kMostAtOnce = 1000;  // the next round takes the rest
  std::vector<MetadataRecord> records;
  for (const auto& [topic_id, topic] : image.topics()) {
    for (const auto& [index, partition] : topic.partitions) {
      const bool preferred = partition.replicas.empty() || partition.leader == partition.replicas.front();
      if (preferred || records.size() >= kMostAtOnce) {
        continue;
      }
      if (auto change = decide(image, {topic_id, index}, partition, {.election = Election::preferred}, {}, out.marks)) {
        records.emplace_back(std::move(*change));
      }
    }
  }
  append(std::move(records), out);
}

// Kafka's checks in Kafka's order. A leader that knows a newer epoch than this controller talks to the wrong one.
ErrorCode Controller::State::check_alter(const PartitionData& data, NodeId sender, int version,
                                         const protocol::PartitionRegistration* partition, Effects& out) const {
  using enum ErrorCode;
  if (partition == nullptr) {
    return UNKNOWN_TOPIC_OR_PARTITION;
  }
  if (data.leader_epoch > partition->leader_epoch.value() ||
      data.partition_epoch > partition->partition_epoch.value()) {
    return NOT_CONTROLLER;
  }
  if (data.leader_epoch < partition->leader_epoch.value()) {
    return FENCED_LEADER_EPOCH;
  }
  if (sender != partition->leader) {
    return INVALID_REQUEST;
  }
  if (data.partition_epoch < partition->partition_epoch.value()) {
    return INVALID_UPDATE_VERSION;
  }
  const auto states = new_isr_of(data, version);
  NodeIds isr;
  for (const auto& state : states) {
    isr.push_back(NodeId(state.broker_id));
  }
  const bool replicas_only = std::ranges::all_of(isr, [&](NodeId id) { return partition->has_replica(id); });
  const bool has_leader = std::ranges::find(isr, partition->leader) != isr.end();
  if (isr.empty() || has_duplicate(isr) || !replicas_only || !has_leader) {
    return INVALID_REQUEST;
  }
  if (data.leader_recovery_state != 0 && data.leader_recovery_state != 1) {
    return INVALID_REQUEST;
  }
  const bool recovering = data.leader_recovery_state == static_cast<std::int8_t>(LeaderRecovery::recovering);
  if (recovering && (isr.size() > 1 || partition->recovery == LeaderRecovery::recovered)) {
    return INVALID_REQUEST;
  }
  for (const auto& state : states) {
    const auto* broker = image.broker(NodeId(state.broker_id));
    const bool current = state.broker_epoch == kNoBrokerEpoch.value() ||
                         (broker != nullptr && broker->epoch.value() == state.broker_epoch);
    // Before KIP-903 a proposal named its members without their epochs.
    if (!current && broker != nullptr && broker->active() && options.defects.has(Defect::Kip903)) [[unlikely]] {
      out.marks.push_back(Mark::DefectKip903);
      continue;
    }
    if (broker == nullptr || !broker->active() || !current) {
      out.marks.push_back(Mark::FencedJoinRefused);
      return INELIGIBLE_REPLICA;
    }
  }
  return NONE;
}

wire::AlterPartitionResponse Controller::State::alter_partition(const events_in::AlterPartition& event,
                                                                wire::Arena& arena, Effects& out) {
  const wire::AlterPartitionRequest& request = event.request;
  if (const ErrorCode error = check_broker_epoch(request.broker_id, request.broker_epoch, out);
      error != ErrorCode::NONE) {
    return {.error_code = code(error)};
  }
  std::vector<MetadataRecord> records;
  const auto alter_one = [&](const protocol::TopicImage& topic, const PartitionData& data) -> Result {
    Result result{.partition_index = data.partition_index};
    const PartitionKey key{topic.id, data.partition_index};
    const auto* current = image.partition(key);
    const ErrorCode error = check_alter(data, NodeId(request.broker_id), event.version, current, out);
    if (error != ErrorCode::NONE) {
      out.marks.push_back(Mark::AlterPartitionRefused);
      result.error_code = code(error);
      return result;
    }
    Wanted wanted{.election = election_for(topic.name),
                  .isr = NodeIds{},
                  .recovery = static_cast<LeaderRecovery>(data.leader_recovery_state)};
    for (const auto& state : new_isr_of(data, event.version)) {
      wanted.isr->push_back(NodeId(state.broker_id));
    }
    protocol::PartitionRegistration decided = *current;
    auto change = decide(image, key, *current, wanted, options.defects, out.marks);
    // The leader asks to keep its ISR, so that older proposals of it are refused (Kafka writes no record here).
    if (!change) change = protocol::records::PartitionChange{.key = key, .isr = *wanted.isr};
    decided.merge(*change);
    append({std::move(*change)}, out);
    if (decided.leader != NodeId(request.broker_id)) {
      result.error_code = code(ErrorCode::NEW_LEADER_ELECTED);
      return result;
    }
    const auto isr = arena.make_span<std::int32_t>(decided.isr.size());
    std::ranges::transform(decided.isr, isr.begin(), [](NodeId id) { return id.value(); });
    result.leader_id = decided.leader.value();
    result.leader_epoch = decided.leader_epoch.value();
    result.isr = isr;
    result.leader_recovery_state = static_cast<std::int8_t>(decided.recovery);
    result.partition_epoch = decided.partition_epoch.value();
    return result;
  };
  const auto topics = arena.make_span<wire::AlterPartitionResponse::TopicData>(request.topics.size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    const auto& asked = request.topics[t];
    const auto* topic = image.topic(asked.topic_id);
    const auto partitions = arena.make_span<Result>(asked.partitions.size());
    for (std::size_t p = 0; p < partitions.size(); ++p) {
      partitions[p] = topic == nullptr ? Result{.partition_index = asked.partitions[p].partition_index,
                                                .error_code = code(ErrorCode::UNKNOWN_TOPIC_ID)}
                                       : alter_one(*topic, asked.partitions[p]);
    }
    topics[t] = {.topic_id = asked.topic_id, .partitions = partitions};
  }
  return {.topics = topics};
}

}  // namespace verdict::controller
