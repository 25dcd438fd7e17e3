#include "protocol/broker/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>
#include <set>

#include "protocol/broker/api_versions.h"
#include "protocol/broker/coordinators.h"
#include "protocol/config_values.h"
#include "protocol/controller/topic_rules.h"
#include "protocol/wire/gen/describe_cluster.h"
#include "protocol/wire/gen/describe_configs.h"
#include "protocol/wire/gen/metadata.h"

namespace verdict::broker {
namespace {

// In the order of their keys. Only what works: clients and tools switch features on advertised keys. Produce 0-2 are
// named, and refused when they come, as Kafka 4 does it: librdkafka drops compression without a word where Produce 0 is
// missing.
constexpr std::array kApis{
    ApiRange{wire::ApiKey::Produce, 0, 13},
    ApiRange{wire::ApiKey::Fetch, 4, 18},
    ApiRange{wire::ApiKey::ListOffsets, 1, 10},
    ApiRange{wire::ApiKey::Metadata, 0, 13},
    ApiRange{wire::ApiKey::OffsetCommit, 2, 9},
    ApiRange{wire::ApiKey::OffsetFetch, 1, 9},
    ApiRange{wire::ApiKey::FindCoordinator, 0, 6},
    ApiRange{wire::ApiKey::JoinGroup, 0, 9},
    ApiRange{wire::ApiKey::Heartbeat, 0, 4},
    ApiRange{wire::ApiKey::LeaveGroup, 0, 5},
    ApiRange{wire::ApiKey::SyncGroup, 0, 5},
    ApiRange{wire::ApiKey::DescribeGroups, 0, 6},
    ApiRange{wire::ApiKey::ListGroups, 0, 5},
    ApiRange{wire::ApiKey::ApiVersions, 0, 4},
    ApiRange{wire::ApiKey::CreateTopics, 2, 7},
    ApiRange{wire::ApiKey::DeleteTopics, 1, 6},
    ApiRange{wire::ApiKey::InitProducerId, 0, 5},
    ApiRange{wire::ApiKey::OffsetForLeaderEpoch, 2, 4},
    ApiRange{wire::ApiKey::AddPartitionsToTxn, 0, 5},
    ApiRange{wire::ApiKey::AddOffsetsToTxn, 0, 4},
    ApiRange{wire::ApiKey::EndTxn, 0, 5},
    ApiRange{wire::ApiKey::WriteTxnMarkers, 1, 1},
    ApiRange{wire::ApiKey::TxnOffsetCommit, 0, 5},
    ApiRange{wire::ApiKey::DescribeConfigs, 1, 4},
    ApiRange{wire::ApiKey::DeleteGroups, 0, 2},
    ApiRange{wire::ApiKey::OffsetDelete, 0, 0},
    ApiRange{wire::ApiKey::UpdateFeatures, 0, 2},
    ApiRange{wire::ApiKey::DescribeCluster, 0, 2},
    ApiRange{wire::ApiKey::DescribeProducers, 0, 0},
    ApiRange{wire::ApiKey::DescribeTransactions, 0, 0},
    ApiRange{wire::ApiKey::ListTransactions, 0, 2},
    ApiRange{wire::ApiKey::ConsumerGroupHeartbeat, 0, 1},
    ApiRange{wire::ApiKey::ConsumerGroupDescribe, 0, 1},
};

// Bits of AclOperation, without an authorizer: everything that the resource knows.
constexpr std::int32_t kTopicOperations = 0x0df8;
constexpr std::int32_t kClusterOperations = 0x1fa0;

using MetaResponse = wire::MetadataResponse;

struct MetadataWriter {
  BrokerContext& context;
  TopicRequests& topics;
  Exchange& exchange;
  const wire::MetadataRequest& request;

  const protocol::BrokerListener* alive_listener(NodeId id) const;
  std::span<std::int32_t> ids(const NodeIds& nodes) const;
  MetaResponse::MetadataResponsePartition partition(std::int32_t index,
                                                    const protocol::PartitionRegistration& registration) const;
  MetaResponse::MetadataResponseTopic topic(const protocol::TopicImage& image) const;
  MetaResponse::MetadataResponseTopic wanted(const wire::MetadataRequest::MetadataRequestTopic& asked) const;
  std::vector<MetaResponse::MetadataResponseTopic> wanted_all() const;
  void list_brokers(MetaResponse& response) const;
};

const protocol::BrokerListener* MetadataWriter::alive_listener(NodeId id) const {
  const protocol::BrokerRegistration* broker = context.image.broker(id);
  return broker == nullptr || broker->fenced ? nullptr : broker->listener(exchange.connection().listener());
}

std::span<std::int32_t> MetadataWriter::ids(const NodeIds& nodes) const {
  const std::span<std::int32_t> out = exchange.arena().make_span<std::int32_t>(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) out[i] = nodes[i].value();
  return out;
}

MetaResponse::MetadataResponsePartition MetadataWriter::partition(
    std::int32_t index, const protocol::PartitionRegistration& registration) const {
  MetaResponse::MetadataResponsePartition out;
  out.partition_index = index;
  out.leader_epoch = registration.leader_epoch.value();
  NodeIds alive;
  NodeIds offline;
  for (const NodeId replica : registration.replicas)
    (alive_listener(replica) != nullptr ? alive : offline).push_back(replica);
  NodeIds isr = registration.isr;
  const bool old = exchange.version() == 0;
  if (old) std::erase_if(isr, [&](NodeId id) { return alive_listener(id) == nullptr; });
  out.replica_nodes = ids(old ? alive : registration.replicas);
  out.isr_nodes = ids(isr);
  out.offline_replicas = ids(offline);
  out.leader_id = registration.leader.value();
  if (registration.leader == kNoNode || context.image.broker(registration.leader) == nullptr ||
      context.image.broker(registration.leader)->fenced) {
    out.error_code = static_cast<std::int16_t>(ErrorCode::LEADER_NOT_AVAILABLE);
    out.leader_id = -1;
  } else if (alive_listener(registration.leader) == nullptr) {
    out.error_code = static_cast<std::int16_t>(exchange.version() >= 6 ? ErrorCode::LISTENER_NOT_FOUND
                                                                       : ErrorCode::LEADER_NOT_AVAILABLE);
    out.leader_id = -1;
  } else if (old && alive.size() < registration.replicas.size()) {
    out.error_code = static_cast<std::int16_t>(ErrorCode::REPLICA_NOT_AVAILABLE);
  }
  return out;
}

MetaResponse::MetadataResponseTopic MetadataWriter::topic(const protocol::TopicImage& image) const {
  MetaResponse::MetadataResponseTopic out;
  out.name = image.name;
  out.topic_id = image.id;
  out.is_internal = is_internal_topic(image.name);
  if (request.include_topic_authorized_operations) out.topic_authorized_operations = kTopicOperations;
  out.partitions = exchange.arena().make_span<MetaResponse::MetadataResponsePartition>(image.partitions.size());
  std::size_t i = 0;
  for (const auto& [index, registration] : image.partitions) out.partitions[i++] = partition(index, registration);
  return out;
}

MetaResponse::MetadataResponseTopic MetadataWriter::wanted(
    const wire::MetadataRequest::MetadataRequestTopic& asked) const {
  MetaResponse::MetadataResponseTopic out;
  if (!asked.topic_id.is_zero()) {
    if (const protocol::TopicImage* known = context.image.topic(asked.topic_id)) return topic(*known);
    out.topic_id = asked.topic_id;
    out.name = exchange.version() >= 12 ? std::nullopt : std::optional<std::string_view>("");
    out.error_code = static_cast<std::int16_t>(ErrorCode::UNKNOWN_TOPIC_ID);
    return out;
  }
  const std::string_view name = asked.name.value_or("");
  if (const protocol::TopicImage* known = context.image.topic(name)) return topic(*known);
  out.name = name;
  out.is_internal = is_internal_topic(name);
  if (controller::bad_topic_name(name)) {
    out.error_code = static_cast<std::int16_t>(ErrorCode::INVALID_TOPIC_EXCEPTION);
  } else if (request.allow_auto_topic_creation && context.config.boolean("auto.create.topics.enable")) {
    out.error_code = static_cast<std::int16_t>(topics.auto_create(name));
  } else {
    out.error_code = static_cast<std::int16_t>(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
  }
  return out;
}

// Each topic once; Kafka begins with the ids that nobody has, and ends with the names that nobody has.
std::vector<MetaResponse::MetadataResponseTopic> MetadataWriter::wanted_all() const {
  std::vector<MetaResponse::MetadataResponseTopic> unknown_ids;
  std::vector<MetaResponse::MetadataResponseTopic> known;
  std::vector<MetaResponse::MetadataResponseTopic> unknown_names;
  std::set<std::pair<std::string_view, Uuid>> seen;
  for (const auto& asked : *request.topics) {
    const bool by_id = !asked.topic_id.is_zero();
    if (!seen.emplace(by_id ? "" : asked.name.value_or(""), asked.topic_id).second) continue;
    MetaResponse::MetadataResponseTopic answer = wanted(asked);
    (answer.error_code == 0 ? known : by_id ? unknown_ids : unknown_names).push_back(answer);
  }
  std::ranges::copy(known, std::back_inserter(unknown_ids));
  std::ranges::copy(unknown_names, std::back_inserter(unknown_ids));
  return unknown_ids;
}

void MetadataWriter::list_brokers(MetaResponse& response) const {
  std::vector<MetaResponse::MetadataResponseBroker> brokers;
  for (const auto& [id, broker] : context.image.brokers()) {
    const protocol::BrokerListener* at = alive_listener(id);
    if (at == nullptr) continue;
    brokers.push_back({.node_id = id.value(),
                       .host = at->host,
                       .port = at->port,
                       .rack = broker.rack ? std::optional<std::string_view>(*broker.rack) : std::nullopt});
  }
  response.brokers = exchange.arena().copy_span<MetaResponse::MetadataResponseBroker>(brokers);
  // KRaft names some broker that is alive: clients send controller requests to any.
  response.controller_id = brokers.empty() ? -1 : brokers.front().node_id;
}

}  // namespace

void handle_api_versions(BrokerContext& context, const ExchangePtr& exchange) {
  using Response = wire::ApiVersionsResponse;
  Response response;
  if (!list_apis(*exchange, kApis, response)) return;
  std::vector<protocol::FeatureRange> supported = protocol::supported_features();
  // Clients of before version 4 choke on a range that begins at 0 (KAFKA-17492).
  constexpr int kRangesFromZero = 4;
  if (exchange->version() < kRangesFromZero)
    std::erase_if(supported, [](const protocol::FeatureRange& one) { return one.min == 0; });
  const auto& finalized = context.image.features();
  if (exchange->version() >= 3) {
    response.supported_features = exchange->arena().make_span<Response::SupportedFeatureKey>(supported.size());
    for (std::size_t i = 0; i < supported.size(); ++i) {
      response.supported_features[i] = {
          .name = supported[i].name, .min_version = supported[i].min, .max_version = supported[i].max};
    }
    response.finalized_features = exchange->arena().make_span<Response::FinalizedFeatureKey>(finalized.size());
    std::size_t i = 0;
    for (const auto& [name, level] : finalized) {
      response.finalized_features[i++] = {.name = name, .max_version_level = level, .min_version_level = level};
    }
    response.finalized_features_epoch = context.image.applied_to().value() - 1;
  }
  exchange->respond(response);
}

namespace {

// Kafka refuses the whole request for one such topic; neither name nor id is a case that it forgot.
ErrorCode unusable(const wire::MetadataRequest& request, int version) {
  constexpr int kIdsWorkFrom = 12;
  if (!request.topics) return ErrorCode::NONE;
  for (const auto& topic : *request.topics) {
    if (version < kIdsWorkFrom && (!topic.topic_id.is_zero() || !topic.name)) return ErrorCode::INVALID_REQUEST;
    if (topic.topic_id.is_zero() && !topic.name) return ErrorCode::UNKNOWN_SERVER_ERROR;
  }
  return ErrorCode::NONE;
}

}  // namespace

void handle_metadata(BrokerContext& context, TopicRequests& topics, const ExchangePtr& exchange) {
  wire::MetadataRequest request;
  if (!exchange->decode(request)) return;
  const MetadataWriter writer{.context = context, .topics = topics, .exchange = *exchange, .request = request};
  MetaResponse response;
  if (const ErrorCode refused = unusable(request, exchange->version()); refused != ErrorCode::NONE) {
    response.topics = exchange->arena().make_span<MetaResponse::MetadataResponseTopic>(request.topics->size());
    for (std::size_t i = 0; i < response.topics.size(); ++i) {
      const auto& asked = (*request.topics)[i];
      response.topics[i].name = asked.name.value_or("");
      response.topics[i].topic_id = asked.topic_id;
      response.topics[i].error_code = static_cast<std::int16_t>(refused);
    }
    response.error_code = static_cast<std::int16_t>(refused);
    return exchange->respond(response);
  }
  response.cluster_id = context.cluster_id;
  writer.list_brokers(response);
  const bool all = !request.topics || (exchange->version() == 0 && request.topics->empty());
  std::vector<MetaResponse::MetadataResponseTopic> answers;
  if (all) {
    for (const auto& [name, id] : context.image.topics_by_name())
      answers.push_back(writer.topic(*context.image.topic(id)));
  } else {
    answers = writer.wanted_all();
  }
  response.topics = answers;
  if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;
  exchange->respond(response);
}

void handle_describe_cluster(BrokerContext& context, const ExchangePtr& exchange) {
  using Response = wire::DescribeClusterResponse;
  wire::DescribeClusterRequest request;
  if (!exchange->decode(request)) return;
  Response response;
  constexpr std::int8_t kBrokers = 1;
  constexpr std::int8_t kControllers = 2;
  if (request.endpoint_type != kBrokers) {
    const bool known = request.endpoint_type == kControllers;
    const auto error = known ? ErrorCode::MISMATCHED_ENDPOINT_TYPE : ErrorCode::UNSUPPORTED_ENDPOINT_TYPE;
    const std::string why =
        known ? "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
              : fmt::format("Unsupported endpoint type {}", static_cast<int>(request.endpoint_type));
    response.error_code = static_cast<std::int16_t>(error);
    response.error_message = why;
    response.endpoint_type = kBrokers;
    return exchange->respond(response);
  }
  response.cluster_id = context.cluster_id;
  if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;
  std::vector<Response::DescribeClusterBroker> brokers;
  for (const auto& [id, broker] : context.image.brokers()) {
    const protocol::BrokerListener* at = broker.listener(exchange->connection().listener());
    if (at == nullptr || (broker.fenced && !request.include_fenced_brokers)) continue;
    brokers.push_back({.broker_id = id.value(),
                       .host = at->host,
                       .port = at->port,
                       .rack = broker.rack ? std::optional<std::string_view>(*broker.rack) : std::nullopt,
                       .is_fenced = broker.fenced});
    if (response.controller_id < 0 && !broker.fenced) response.controller_id = id.value();
  }
  response.brokers = brokers;
  exchange->respond(response);
}

namespace {

using ConfigsResponse = wire::DescribeConfigsResponse;
using ConfigsRequest = wire::DescribeConfigsRequest;

constexpr std::int8_t kTopicResource = 2;
constexpr std::int8_t kBrokerResource = 4;

// Kafka's too, and internal: DescribeConfigs doesn't show them.
constexpr std::array<std::string_view, 2> kInternalBrokerKeys{"producer.id.expiration.check.interval.ms",
                                                              "unclean.leader.election.interval.ms"};

// Of a topic's key Kafka shows the broker's values from the one of the first synonym on: segment.ms without log.roll.ms
// shows no log.roll.hours, and counts as the default.
void drop_hidden_synonyms(protocol::ConfigEntry& entry) {
  const auto names = protocol::synonyms_of_topic_key(entry.name);
  if (names.empty()) return;
  const auto own = [](const protocol::ConfigEntry::Synonym& one) {
    return one.source == protocol::ConfigSource::dynamic_topic;
  };
  const auto begin = std::ranges::find_if_not(entry.synonyms, own);
  const auto shown =
      std::find_if(begin, entry.synonyms.end(), [&](const auto& one) { return one.name == names.front().name; });
  entry.synonyms.erase(begin, shown);
  entry.source = entry.synonyms.empty() ? protocol::ConfigSource::default_value : entry.synonyms.front().source;
}

// Broker keys that say the same in other units: a key that has a value shows those of the keys behind it too.
void add_other_units(std::vector<protocol::ConfigEntry>& entries) {
  using Family = std::array<std::string_view, 3>;
  constexpr std::array<Family, 4> kFamilies{{{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
                                             {"log.roll.ms", "log.roll.hours", ""},
                                             {"log.roll.jitter.ms", "log.roll.jitter.hours", ""},
                                             {"log.flush.interval.ms", "log.flush.scheduler.interval.ms", ""}}};
  for (const Family& family : kFamilies) {
    for (std::size_t i = 0; i < family.size(); ++i) {
      const auto entry = std::ranges::find(entries, family[i], &protocol::ConfigEntry::name);
      if (entry == entries.end() || entry->synonyms.empty()) continue;
      for (std::size_t k = i + 1; k < family.size(); ++k) {
        const auto other = std::ranges::find(entries, family[k], &protocol::ConfigEntry::name);
        if (other != entries.end()) std::ranges::copy(other->synonyms, std::back_inserter(entry->synonyms));
      }
    }
  }
}

void write_entries(Exchange& exchange, const ConfigsRequest& request,
                   const ConfigsRequest::DescribeConfigsResource& asked,
                   const std::vector<protocol::ConfigEntry>& entries, ConfigsResponse::DescribeConfigsResult& out) {
  wire::Arena& arena = exchange.arena();
  std::vector<ConfigsResponse::DescribeConfigsResourceResult> configs;
  for (const protocol::ConfigEntry& entry : entries) {
    if (std::ranges::find(kInternalBrokerKeys, entry.name) != kInternalBrokerKeys.end()) continue;
    const bool chosen = asked.configuration_keys && !asked.configuration_keys->empty();
    if (chosen && std::ranges::find(*asked.configuration_keys, entry.name) == asked.configuration_keys->end()) continue;
    ConfigsResponse::DescribeConfigsResourceResult& config = configs.emplace_back();
    config.name = arena.copy(entry.name);
    config.value = entry.value ? std::optional(arena.copy(*entry.value)) : std::nullopt;
    config.read_only = entry.read_only;
    config.config_source = static_cast<std::int8_t>(entry.source);
    config.is_sensitive = entry.sensitive;
    config.config_type = static_cast<std::int8_t>(entry.type);
    config.documentation = std::nullopt;
    if (!request.include_synonyms) continue;
    config.synonyms = arena.make_span<ConfigsResponse::DescribeConfigsSynonym>(entry.synonyms.size());
    for (std::size_t i = 0; i < entry.synonyms.size(); ++i) {
      const protocol::ConfigEntry::Synonym& synonym = entry.synonyms[i];
      config.synonyms[i] = {.name = arena.copy(synonym.name),
                            .value = synonym.value ? std::optional(arena.copy(*synonym.value)) : std::nullopt,
                            .source = static_cast<std::int8_t>(synonym.source)};
    }
  }
  out.configs = arena.copy_span<ConfigsResponse::DescribeConfigsResourceResult>(configs);
}

void refuse(Exchange& exchange, ConfigsResponse::DescribeConfigsResult& out, ErrorCode error, std::string_view why) {
  out.error_code = static_cast<std::int16_t>(error);
  out.error_message = exchange.arena().copy(why);
}

void describe_one(BrokerContext& context, Exchange& exchange, const ConfigsRequest& request,
                  const ConfigsRequest::DescribeConfigsResource& asked, ConfigsResponse::DescribeConfigsResult& out) {
  out.resource_type = asked.resource_type;
  out.resource_name = asked.resource_name;
  const protocol::ConfigView view(context.config, context.image, context.self());
  if (asked.resource_type == kTopicResource) {
    if (const auto problem = controller::bad_topic_name(asked.resource_name)) {
      return refuse(exchange, out, ErrorCode::INVALID_TOPIC_EXCEPTION, *problem);
    }
    if (context.image.topic(asked.resource_name) == nullptr)
      return refuse(exchange, out, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "");
    std::vector<protocol::ConfigEntry> entries = view.topic_entries(asked.resource_name);
    std::ranges::for_each(entries, drop_hidden_synonyms);
    return write_entries(exchange, request, asked, entries, out);
  }
  if (asked.resource_type == kBrokerResource) {
    const std::string_view name = asked.resource_name;
    std::int32_t id = -1;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), id);
    if (!name.empty() && (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size())) {
      return refuse(exchange, out, ErrorCode::INVALID_REQUEST,
                    fmt::format("Broker id must be an integer, but it is: {}", name));
    }
    if (!name.empty() && NodeId(id) != context.self()) {
      return refuse(exchange, out, ErrorCode::INVALID_REQUEST,
                    fmt::format("Unexpected broker id, expected {} or empty string, but received {}",
                                context.self().value(), name));
    }
    std::vector<protocol::ConfigEntry> entries = view.broker_entries();
    add_other_units(entries);
    if (name.empty()) {
      std::erase_if(entries, [](const protocol::ConfigEntry& entry) {
        return entry.source != protocol::ConfigSource::dynamic_default_broker;
      });
    }
    return write_entries(exchange, request, asked, entries, out);
  }
  refuse(exchange, out, ErrorCode::INVALID_REQUEST,
         "This most likely occurs because of a request being malformed by the client library or the message was sent "
         "to an "
         "incompatible broker. See the broker logs for more details.");
}

}  // namespace

void handle_describe_configs(BrokerContext& context, const ExchangePtr& exchange) {
  ConfigsRequest request;
  if (!exchange->decode(request)) return;
  ConfigsResponse response;
  response.results = exchange->arena().make_span<ConfigsResponse::DescribeConfigsResult>(request.resources.size());
  for (std::size_t i = 0; i < request.resources.size(); ++i) {
    describe_one(context, *exchange, request, request.resources[i], response.results[i]);
  }
  exchange->respond(response);
}

}  // namespace verdict::broker
