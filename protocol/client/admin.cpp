#include "protocol/client/admin.h"

#include <algorithm>

#include "protocol/wire/gen/create_topics.h"
#include "protocol/wire/gen/delete_topics.h"
#include "protocol/wire/gen/describe_cluster.h"
#include "protocol/wire/gen/describe_configs.h"
#include "protocol/wire/gen/list_offsets.h"
#include "protocol/wire/gen/update_features.h"

namespace verdict::client {
namespace {

constexpr int kFirstDeleteByState = 6;
constexpr std::int32_t kConsumer = -1;

AdminError failure(ErrorCode error, std::optional<std::string_view> message = std::nullopt) {
  return {.error = error, .message = std::string(message.value_or(std::string_view()))};
}

template <class T>
std::unexpected<AdminError> no_answer_about(const T& name) {
  return std::unexpected(failure(ErrorCode::UNKNOWN_SERVER_ERROR, "the answer does not speak of " + std::string(name)));
}

}  // namespace

Admin::Admin(Runtime& runtime, const ClientOptions& client)
    : runtime_(&runtime),
      client_(client),
      connections_(runtime, client_),
      metadata_(runtime, connections_, client_),
      closed_signal_(runtime) {}

Task<void> Admin::close() {
  closed_ = true;
  closed_signal_.notify();
  metadata_.close();
  co_await connections_.close();
}

// False: there is no time for another attempt.
Task<bool> Admin::pause(int failures, MonoTime deadline) {
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
  const MonoTime until = runtime_->now() + backoff(client_.retry_backoff, client_.retry_backoff_max, failures, draw);
  if (closed_ || until >= deadline) co_return false;
  co_await closed_signal_.wait_until(until);
  co_return !closed_;
}

std::shared_ptr<RpcChannel> Admin::channel_to(NodeId node, int failures) {
  return node == kNoNode ? connections_.any(failures) : connections_.node(node);
}

// `make(version, arena)` builds the request once the version is known.
template <class Response, class Request, class Make>
Task<AdminResult<wire::Message<Response>>> Admin::ask(NodeId node, Repeat repeat, MonoTime deadline, Make make) {
  for (int failures = 0;; ++failures) {
    const std::shared_ptr<RpcChannel> channel = channel_to(node, failures);
    const MonoTime limit = std::min(deadline, runtime_->now() + client_.request_timeout);
    const bool ready = channel != nullptr && co_await channel->ready(limit);
    RpcFault fault = RpcFault::not_connected;
    if (ready) {
      const std::optional<int> version = channel->version_of<Request>();
      if (!version) co_return std::unexpected(failure(ErrorCode::UNSUPPORTED_VERSION));
      wire::Arena arena;
      const Request request = make(*version, arena);
      RpcResult<Response> answer = co_await channel->call<Response>(*version, request, limit);
      if (answer) co_return std::move(*answer);
      fault = answer.error();
    }
    const bool may = repeat == Repeat::always || (repeat == Repeat::if_not_executed && !maybe_executed(fault));
    const bool again = may && fault != RpcFault::not_encodable && co_await pause(failures, deadline);
    if (!again) co_return std::unexpected(failure(to_error(fault)));
  }
}

Task<AdminResult<Uuid>> Admin::create_topic(NewTopic topic, MonoTime deadline) {
  using Request = wire::CreateTopicsRequest;
  const NewTopic* wanted = &topic;
  const auto timeout_ms =
      static_cast<std::int32_t>(to_ms(std::clamp<Duration>(deadline - runtime_->now(), 1ms, client_.request_timeout)));
  const auto make = [wanted, timeout_ms](int, wire::Arena& arena) {
    const auto topics = arena.make_span<Request::CreatableTopic>(1);
    topics[0].name = wanted->name;
    topics[0].num_partitions = wanted->assignment.empty() ? wanted->partitions : -1;
    topics[0].replication_factor =
        static_cast<std::int16_t>(wanted->assignment.empty() ? wanted->replication_factor : -1);
    topics[0].assignments = arena.make_span<Request::CreatableReplicaAssignment>(wanted->assignment.size());
    std::size_t at = 0;
    for (const auto& [partition, nodes] : wanted->assignment) {
      const auto ids = arena.make_span<std::int32_t>(nodes.size());
      for (std::size_t i = 0; i < nodes.size(); ++i) ids[i] = nodes[i].value();
      topics[0].assignments[at++] = {.partition_index = partition, .broker_ids = ids};
    }
    topics[0].configs = arena.make_span<Request::CreatableTopicConfig>(wanted->configs.size());
    at = 0;
    for (const auto& [name, value] : wanted->configs) topics[0].configs[at++] = {.name = name, .value = value};
    return Request{.topics = topics, .timeout_ms = timeout_ms};
  };
  const auto answer =
      co_await ask<wire::CreateTopicsResponse, Request>(kNoNode, Repeat::if_not_executed, deadline, make);
  if (!answer) co_return std::unexpected(answer.error());
  for (const auto& result : (*answer)->topics) {
    if (result.name != topic.name) continue;
    if (result.error_code != 0)
      co_return std::unexpected(failure(wire::error_from_code(result.error_code), result.error_message));
    metadata_.make_stale();
    co_return result.topic_id;
  }
  co_return no_answer_about(topic.name);
}

Task<AdminResult<void>> Admin::delete_topic(std::string name, MonoTime deadline) {
  using Request = wire::DeleteTopicsRequest;
  const std::string_view wanted = name;
  const auto timeout_ms =
      static_cast<std::int32_t>(to_ms(std::clamp<Duration>(deadline - runtime_->now(), 1ms, client_.request_timeout)));
  const auto make = [wanted, timeout_ms](int version, wire::Arena& arena) {
    Request request{.timeout_ms = timeout_ms};
    if (version >= kFirstDeleteByState) {
      request.topics = arena.make_span<Request::DeleteTopicState>(1);
      request.topics[0].name = wanted;
    } else {
      request.topic_names = arena.make_span<std::string_view>(1);
      request.topic_names[0] = wanted;
    }
    return request;
  };
  const auto answer =
      co_await ask<wire::DeleteTopicsResponse, Request>(kNoNode, Repeat::if_not_executed, deadline, make);
  if (!answer) co_return std::unexpected(answer.error());
  for (const auto& result : (*answer)->responses) {
    if (result.name != name) continue;
    if (result.error_code != 0)
      co_return std::unexpected(failure(wire::error_from_code(result.error_code), result.error_message));
    metadata_.make_stale();
    co_return AdminResult<void>();
  }
  co_return no_answer_about(name);
}

Task<AdminResult<void>> Admin::lower_feature(std::string name, std::int16_t level, MonoTime deadline) {
  using Request = wire::UpdateFeaturesRequest;
  constexpr std::int8_t kSafeDowngrade = 2;
  const std::string_view wanted = name;
  const auto make = [wanted, level](int, wire::Arena& arena) {
    const auto updates = arena.make_span<Request::FeatureUpdateKey>(1);
    updates[0] = {.feature = wanted, .max_version_level = level, .upgrade_type = kSafeDowngrade};
    return Request{.feature_updates = updates};
  };
  const auto answer = co_await ask<wire::UpdateFeaturesResponse, Request>(kNoNode, Repeat::always, deadline, make);
  if (!answer) co_return std::unexpected(answer.error());
  const wire::UpdateFeaturesResponse& response = answer->value;
  if (response.error_code != 0)
    co_return std::unexpected(failure(wire::error_from_code(response.error_code), response.error_message));
  co_return AdminResult<void>();
}

Task<AdminResult<ClusterDescription>> Admin::describe_cluster(MonoTime deadline) {
  using Request = wire::DescribeClusterRequest;
  const auto make = [](int, wire::Arena&) { return Request{}; };
  const auto answer = co_await ask<wire::DescribeClusterResponse, Request>(kNoNode, Repeat::always, deadline, make);
  if (!answer) co_return std::unexpected(answer.error());
  const wire::DescribeClusterResponse& cluster = answer->value;
  if (cluster.error_code != 0)
    co_return std::unexpected(failure(wire::error_from_code(cluster.error_code), cluster.error_message));
  ClusterDescription description{
      .cluster_id = std::string(cluster.cluster_id), .controller = NodeId(cluster.controller_id), .nodes = {}};
  for (const auto& broker : cluster.brokers) {
    ClusterNode node{.id = NodeId(broker.broker_id),
                     .endpoint = {std::string(broker.host), static_cast<std::uint16_t>(broker.port)},
                     .rack = std::nullopt};
    if (broker.rack) node.rack = std::string(*broker.rack);
    description.nodes.push_back(std::move(node));
  }
  std::ranges::sort(description.nodes, {}, &ClusterNode::id);
  co_return description;
}

Task<AdminResult<TopicInfo>> Admin::describe_topic(std::string name, MonoTime deadline) {
  metadata_.want(name);
  const ErrorCode refreshed = co_await metadata_.refresh(deadline);
  if (refreshed != ErrorCode::NONE) co_return std::unexpected(failure(refreshed));
  const TopicInfo* topic = metadata_.topic(name);
  if (topic == nullptr) co_return no_answer_about(name);
  if (topic->error != ErrorCode::NONE) co_return std::unexpected(failure(topic->error));
  co_return *topic;
}

Task<AdminResult<ListedOffset>> Admin::list_offset(TopicPartition partition, std::int64_t timestamp,
                                                   MonoTime deadline) {
  using Request = wire::ListOffsetsRequest;
  metadata_.want(partition.topic);
  AdminError last = failure(ErrorCode::REQUEST_TIMED_OUT);
  for (int failures = 0;; ++failures) {
    if (metadata_.stale()) {
      const ErrorCode refreshed = co_await metadata_.refresh(deadline);
      if (refreshed != ErrorCode::NONE) co_return std::unexpected(failures == 0 ? failure(refreshed) : last);
    }
    const std::optional<Leader> leader = metadata_.leader(partition.topic, partition.partition);
    last = failure(ErrorCode::LEADER_NOT_AVAILABLE);
    if (leader && connections_.node(leader->node) != nullptr) {
      const std::string_view name = partition.topic;
      const std::int32_t index = partition.partition;
      const LeaderEpoch epoch = leader->epoch;
      const auto make = [name, index, epoch, timestamp](int, wire::Arena& arena) {
        const auto topics = arena.make_span<Request::ListOffsetsTopic>(1);
        topics[0].name = name;
        topics[0].partitions = arena.make_span<Request::ListOffsetsPartition>(1);
        topics[0].partitions[0] = {
            .partition_index = index, .current_leader_epoch = epoch.value(), .timestamp = timestamp};
        return Request{.replica_id = kConsumer, .topics = topics};
      };
      // One attempt with this leader: after a fault another may lead.
      const MonoTime limit = std::min(deadline, runtime_->now() + client_.request_timeout);
      const auto answer = co_await ask<wire::ListOffsetsResponse, Request>(leader->node, Repeat::never, limit, make);
      if (!answer) {
        last = answer.error();
      } else if ((*answer)->topics.size() == 1 && (*answer)->topics[0].partitions.size() == 1) {
        const auto& part = (*answer)->topics[0].partitions[0];
        if (part.error_code == 0) {
          co_return ListedOffset{
              .offset = Offset(part.offset), .timestamp = part.timestamp, .epoch = LeaderEpoch(part.leader_epoch)};
        }
        last = failure(wire::error_from_code(part.error_code));
      } else {
        co_return no_answer_about(partition.topic);
      }
    }
    metadata_.make_stale();
    const bool again = wire::is_retriable(last.error) && co_await pause(failures, deadline);
    if (!again) co_return std::unexpected(last);
  }
}

Task<AdminResult<std::vector<ConfigEntry>>> Admin::describe_configs(ConfigResource kind, std::string name,
                                                                    MonoTime deadline) {
  using Request = wire::DescribeConfigsRequest;
  NodeId node = kNoNode;
  if (kind == ConfigResource::broker) {  // only a broker itself knows its own
    const ErrorCode refreshed = co_await metadata_.refresh(deadline);
    if (refreshed != ErrorCode::NONE) co_return std::unexpected(failure(refreshed));
    std::int32_t id = 0;
    for (const char digit : name) id = digit < '0' || digit > '9' || id > 99'999'999 ? -1 : id * 10 + (digit - '0');
    node = NodeId(id);
    if (name.empty() || id < 0 || connections_.node(node) == nullptr) {
      co_return std::unexpected(failure(ErrorCode::BROKER_NOT_AVAILABLE, "no broker " + name));
    }
  }
  const std::string_view wanted = name;
  const auto make = [kind, wanted](int, wire::Arena& arena) {
    const auto resources = arena.make_span<Request::DescribeConfigsResource>(1);
    resources[0] = {
        .resource_type = static_cast<std::int8_t>(kind), .resource_name = wanted, .configuration_keys = std::nullopt};
    return Request{.resources = resources};
  };
  const auto answer = co_await ask<wire::DescribeConfigsResponse, Request>(node, Repeat::always, deadline, make);
  if (!answer) co_return std::unexpected(answer.error());
  if ((*answer)->results.size() != 1) co_return no_answer_about(name);
  const auto& result = (*answer)->results[0];
  if (result.error_code != 0)
    co_return std::unexpected(failure(wire::error_from_code(result.error_code), result.error_message));
  std::vector<ConfigEntry> entries;
  for (const auto& config : result.configs) {
    ConfigEntry entry{.name = std::string(config.name),
                      .value = std::nullopt,
                      .read_only = config.read_only,
                      .sensitive = config.is_sensitive,
                      .source = config.config_source};
    if (config.value) entry.value = std::string(*config.value);
    entries.push_back(std::move(entry));
  }
  co_return entries;
}

}  // namespace verdict::client
