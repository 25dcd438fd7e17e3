#include "protocol/client/metadata.h"

#include <algorithm>

#include "protocol/wire/gen/metadata.h"

namespace verdict::client {
namespace {

constexpr int kLowestVersion = 1;  // 0 has no way to ask for no topic

TopicInfo read_topic(const wire::MetadataResponse::MetadataResponseTopic& from) {
  TopicInfo topic{.error = wire::error_from_code(from.error_code), .id = from.topic_id, .partitions = {}};
  // Indexes are dense in every answer of a sane broker; what lies beyond the count is not believed.
  topic.partitions.resize(from.partitions.size());
  for (PartitionInfo& partition : topic.partitions) partition.error = ErrorCode::LEADER_NOT_AVAILABLE;
  for (const auto& part : from.partitions) {
    if (part.partition_index < 0 || static_cast<std::size_t>(part.partition_index) >= topic.partitions.size()) continue;
    PartitionInfo& partition = topic.partitions[static_cast<std::size_t>(part.partition_index)];
    partition.error = wire::error_from_code(part.error_code);
    partition.leader = NodeId(part.leader_id);
    partition.epoch = LeaderEpoch(part.leader_epoch);
    partition.replicas.reserve(part.replica_nodes.size());
    for (const std::int32_t id : part.replica_nodes) partition.replicas.push_back(NodeId(id));
    partition.isr.reserve(part.isr_nodes.size());
    for (const std::int32_t id : part.isr_nodes) partition.isr.push_back(NodeId(id));
  }
  return topic;
}

}  // namespace

Metadata::Metadata(Runtime& runtime, Connections& connections, const ClientOptions& options)
    : runtime_(&runtime), connections_(&connections), options_(&options), refreshed_signal_(runtime) {}

void Metadata::want(std::string_view topic) {
  const auto at = std::ranges::lower_bound(wanted_, topic, std::less<std::string_view>());
  if (at != wanted_.end() && *at == topic) return;
  wanted_.insert(at, std::string(topic));
  stale_ = true;
}

const TopicInfo* Metadata::topic(std::string_view name) const {
  const auto known = topics_.find(name);
  return known == topics_.end() ? nullptr : &known->second;
}

std::optional<Leader> Metadata::leader(std::string_view topic_name, std::int32_t partition) const {
  const TopicInfo* known = topic(topic_name);
  if (known == nullptr || partition < 0 || static_cast<std::size_t>(partition) >= known->partitions.size())
    return std::nullopt;
  const PartitionInfo& info = known->partitions[static_cast<std::size_t>(partition)];
  if (info.leader.value() < 0) return std::nullopt;
  return Leader{info.leader, info.epoch};
}

void Metadata::hint(std::string_view topic_name, std::int32_t partition, Leader leader) {
  const auto known = topics_.find(topic_name);
  if (known == topics_.end() || partition < 0 || static_cast<std::size_t>(partition) >= known->second.partitions.size())
    return;
  PartitionInfo& info = known->second.partitions[static_cast<std::size_t>(partition)];
  if (leader.epoch <= info.epoch || connections_->node(leader.node) == nullptr) return;
  info.leader = leader.node;
  info.epoch = leader.epoch;
  ++generation_;
}

bool Metadata::stale() const { return stale_ || runtime_->now() - refreshed_ >= options_->metadata_max_age; }

void Metadata::close() {
  closed_ = true;
  refreshed_signal_.notify();
}

Task<ErrorCode> Metadata::refresh(MonoTime deadline) {
  while (refreshing_) {
    const std::uint64_t before = generation_;
    const bool notified = co_await refreshed_signal_.wait_until(deadline);
    if (closed_) co_return ErrorCode::NETWORK_EXCEPTION;
    if (generation_ != before) co_return ErrorCode::NONE;
    if (!notified) co_return ErrorCode::REQUEST_TIMED_OUT;
  }
  refreshing_ = true;
  const ErrorCode result = co_await ask(deadline);
  refreshing_ = false;
  refreshed_signal_.notify();
  co_return result;
}

Task<ErrorCode> Metadata::ask(MonoTime deadline) {
  for (;;) {
    if (closed_) co_return ErrorCode::NETWORK_EXCEPTION;
    const MonoTime now = runtime_->now();
    if (now >= deadline) co_return ErrorCode::REQUEST_TIMED_OUT;
    if (now < not_before_) {
      co_await refreshed_signal_.wait_until(std::min(deadline, not_before_));
      continue;
    }
    const ErrorCode result =
        co_await ask_one(connections_->any(failures_), std::min(deadline, now + options_->request_timeout));
    failures_ = result == ErrorCode::NONE ? 0 : failures_ + 1;
    const std::uint64_t draw = runtime_->random(Purpose::Backoff, options_->entity);
    not_before_ = runtime_->now() +
                  backoff(options_->retry_backoff, options_->retry_backoff_max, std::max(failures_ - 1, 0), draw);
    if (result == ErrorCode::NONE || result == ErrorCode::UNSUPPORTED_VERSION) co_return result;
  }
}

Task<ErrorCode> Metadata::ask_one(std::shared_ptr<RpcChannel> channel, MonoTime deadline) {
  if (channel == nullptr) co_return ErrorCode::NETWORK_EXCEPTION;
  const bool ready = co_await channel->ready(deadline);
  if (!ready) co_return ErrorCode::NETWORK_EXCEPTION;
  const std::optional<int> version = channel->version_of<wire::MetadataRequest>(kLowestVersion);
  if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
  wire::Arena arena;
  const auto topics = arena.make_span<wire::MetadataRequest::MetadataRequestTopic>(wanted_.size());
  for (std::size_t i = 0; i < wanted_.size(); ++i) topics[i].name = wanted_[i];
  const std::size_t asked = wanted_.size();
  const wire::MetadataRequest request{.topics = topics, .allow_auto_topic_creation = *version < 4};
  const RpcResult<wire::MetadataResponse> answer =
      co_await channel->call<wire::MetadataResponse>(*version, request, deadline);
  if (!answer) co_return to_error(answer.error());
  if ((*answer)->error_code != 0) co_return wire::error_from_code((*answer)->error_code);
  stale_ = wanted_.size() != asked;
  take(answer->value);
  co_return ErrorCode::NONE;
}

void Metadata::take(const wire::MetadataResponse& response) {
  std::vector<std::pair<NodeId, Endpoint>> nodes;
  for (const auto& broker : response.brokers) {
    if (broker.port < 0 || broker.port > 65535) continue;
    nodes.emplace_back(NodeId(broker.node_id),
                       Endpoint{std::string(broker.host), static_cast<std::uint16_t>(broker.port)});
  }
  std::ranges::sort(nodes, {}, [](const auto& node) { return node.first; });
  if (!nodes.empty()) connections_->set_nodes(nodes);
  if (response.cluster_id) cluster_id_ = *response.cluster_id;
  for (const auto& from : response.topics) {
    if (!from.name) continue;
    TopicInfo topic = read_topic(from);
    const auto known = topics_.find(*from.name);
    if (known != topics_.end() && known->second.id == topic.id) {
      const std::size_t both = std::min(topic.partitions.size(), known->second.partitions.size());
      for (std::size_t i = 0; i < both; ++i) {
        if (topic.partitions[i].epoch < known->second.partitions[i].epoch && topic.partitions[i].epoch != kNoEpoch) {
          topic.partitions[i] = std::move(known->second.partitions[i]);
        }
      }
    }
    topics_.insert_or_assign(std::string(*from.name), std::move(topic));
  }
  refreshed_ = runtime_->now();
  ++generation_;
}

}  // namespace verdict::client
