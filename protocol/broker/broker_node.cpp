#include "protocol/broker/broker_node.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/broker/describe.h"
#include "protocol/broker/describe_producers.h"
#include "protocol/broker/fetch.h"
#include "protocol/broker/find_coordinator.h"
#include "protocol/broker/forward.h"
#include "protocol/broker/init_producer_id.h"
#include "protocol/broker/offsets.h"
#include "protocol/broker/produce.h"
#include "protocol/broker/write_markers.h"
#include "protocol/wire/gen/update_features.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "BrokerServer";
constexpr Duration kShutdownLimit = 30s;  // how long to wait for the leave of a controller that answers

}  // namespace

std::expected<PartitionPtr, ErrorCode> locate(const BrokerContext& context, std::string_view topic_name,
                                              const Uuid& topic_id, std::int32_t index, bool by_id) {
  const protocol::TopicImage* topic = by_id ? context.image.topic(topic_id) : context.image.topic(topic_name);
  if (topic == nullptr)
    return std::unexpected(by_id ? ErrorCode::UNKNOWN_TOPIC_ID : ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
  if (!topic->partitions.contains(index)) return std::unexpected(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
  PartitionPtr partition = context.replicas.find({.topic = topic->id, .index = index});
  if (partition == nullptr || !partition->opened()) return std::unexpected(ErrorCode::NOT_LEADER_OR_FOLLOWER);
  return partition;
}

BrokerNode::BrokerNode(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
                       std::string cluster_id, Endpoint controller, protocol::Observer* observer)
    : runtime_(&runtime),
      config_(&config),
      directory_(&directory),
      cluster_id_(std::move(cluster_id)),
      controller_at_(std::move(controller)),
      observer_(observer),
      controller_(runtime, controller_at_,
                  {.client_id = fmt::format("broker-{}", config.node_id().value()), .connect_timeout = 2s}),
      sessions_(runtime, static_cast<std::size_t>(config.integer("max.incremental.fetch.session.cache.slots"))),
      handlers_(runtime),
      scope_(runtime) {}

std::expected<std::vector<ListenerAddress>, std::string> BrokerNode::bind() {
  ServerLimits limits;
  limits.max_request_bytes = static_cast<std::size_t>(config_->integer("socket.request.max.bytes"));
  limits.backlog = static_cast<int>(config_->integer("socket.listen.backlog.size"));
  const std::vector<std::string> controller_names = config_->list("controller.listener.names");
  for (const protocol::EndpointName& listener : config_->listeners()) {
    if (std::ranges::find(controller_names, listener.name) != controller_names.end()) continue;
    auto server = std::make_unique<Server>(*runtime_, listener.name, limits,
                                           [this](ExchangePtr exchange) { dispatch(std::move(exchange)); });
    if (const auto bound = server->listen({.host = listener.host, .port = listener.port}); !bound) {
      return std::unexpected(
          fmt::format("can't listen on {}:{} (listeners): {}", listener.host, listener.port, bound.error().message()));
    }
    servers_.push_back(std::move(server));
  }
  std::vector<ListenerAddress> advertised;
  const std::vector<protocol::EndpointName> named = config_->advertised_listeners();
  for (std::size_t i = 0; i < named.size(); ++i) {
    // Port 0 is whatever the system gave.
    const std::uint16_t port = named[i].port != 0 || i >= servers_.size() ? named[i].port : servers_[i]->local().port;
    advertised.push_back({.name = named[i].name, .at = {.host = named[i].host, .port = port}});
  }
  return advertised;
}

Task<std::expected<void, std::string>> BrokerNode::start() {
  auto advertised = bind();
  if (!advertised) co_return std::unexpected(advertised.error());
  advertised_ = *advertised;
  const auto epoch = [this] { return lifecycle_->epoch(); };
  LifecycleOptions options;
  options.id = config_->node_id();
  options.cluster_id = cluster_id_;
  options.incarnation.high = runtime_->random(Purpose::Incarnation, 0);
  options.incarnation.low = runtime_->random(Purpose::Incarnation, 0);
  options.advertised = advertised_;
  if (directory_->meta() && directory_->meta()->directory_id)
    options.directories.push_back(*directory_->meta()->directory_id);
  if (const auto rack = config_->find("broker.rack"); rack && !rack->empty()) options.rack = *rack;
  options.previous_epoch = BrokerEpoch(directory_->previous_broker_epoch());
  options.heartbeat_interval = config_->duration_ms("broker.heartbeat.interval.ms");
  options.session_timeout = config_->duration_ms("broker.session.timeout.ms");
  lifecycle_ = std::make_unique<Lifecycle>(*runtime_, controller_, std::move(options),
                                           [this] { return metadata_->published_end(); });
  metadata_ = std::make_unique<MetadataFollower>(
      *runtime_, controller_at_, config_->node_id(), epoch,
      [this](const protocol::MetadataDelta* delta) { return publish(delta); }, observer_);
  replicas_ = std::make_unique<ReplicaManager>(*runtime_, *config_, *directory_, controller_, epoch, observer_);
  producer_ids_ = std::make_unique<ProducerIds>(*runtime_, controller_, config_->node_id(), epoch,
                                                config_->duration_ms("request.timeout.ms"));
  verifier_ = std::make_unique<TransactionVerifier>(*runtime_, *config_, metadata_->image());
  context_ = std::make_unique<BrokerContext>(BrokerContext{.runtime = *runtime_,
                                                           .config = *config_,
                                                           .cluster_id = cluster_id_,
                                                           .image = metadata_->image(),
                                                           .replicas = *replicas_,
                                                           .sessions = sessions_,
                                                           .controller = controller_,
                                                           .producer_ids = *producer_ids_,
                                                           .verifier = *verifier_,
                                                           .observer = observer_});
  topics_ = std::make_unique<TopicRequests>(*context_);
  groups_ = std::make_unique<GroupRequests>(*context_);
  transactions_ = std::make_unique<TransactionRequests>(*context_);
  replicas_->on_role([this](const PartitionPtr& partition) {
    groups_->role_changed(partition);
    transactions_->role_changed(partition);
  });
  lifecycle_->start();
  scope_.spawn(serve_when_unfenced());
  co_return std::expected<void, std::string>();
}

// Metadata counts from the registration on: what is applied before it might miss this incarnation.
Task<void> BrokerNode::serve_when_unfenced() {
  while (!stopping_ && !lifecycle_->registered()) co_await lifecycle_->changed().wait();
  if (stopping_) co_return;
  metadata_->start();
  while (!stopping_ && lifecycle_->fenced()) co_await lifecycle_->changed().wait();
  if (stopping_) co_return;
  serving_ = true;
  replicas_->start_upkeep();
  for (const std::unique_ptr<Server>& server : servers_) server->serve();
  runtime_->log(LogLevel::info, kLogger, fmt::format("broker {} serves", config_->node_id().value()));
}

Task<void> BrokerNode::publish(const protocol::MetadataDelta* delta) {
  const bool first = first_publish_;
  co_await replicas_->apply(&metadata_->image(), delta, first);
  const protocol::BrokerRegistration* self = metadata_->image().broker(config_->node_id());
  if (self != nullptr && self->epoch == lifecycle_->epoch()) first_publish_ = false;
  if (!delta->features.empty()) transactions_->features_changed();
  groups_->topics_changed(*delta);
  lifecycle_->beat_now();
}

void BrokerNode::dispatch(ExchangePtr exchange) {
  switch (exchange->api()) {
    case wire::ApiKey::Produce:
      return handlers_.spawn(handle_produce(context_.get(), std::move(exchange)));
    case wire::ApiKey::Fetch:
      return handlers_.spawn(handle_fetch(context_.get(), std::move(exchange)));
    case wire::ApiKey::ListOffsets:
      return handlers_.spawn(handle_list_offsets(context_.get(), std::move(exchange)));
    case wire::ApiKey::OffsetForLeaderEpoch:
      return handle_offset_for_leader_epoch(*context_, exchange);
    case wire::ApiKey::Metadata:
      return handle_metadata(*context_, *topics_, exchange);
    case wire::ApiKey::ApiVersions:
      return handle_api_versions(*context_, exchange);
    case wire::ApiKey::DescribeCluster:
      return handle_describe_cluster(*context_, exchange);
    case wire::ApiKey::DescribeConfigs:
      return handle_describe_configs(*context_, exchange);
    case wire::ApiKey::DescribeProducers:
      return handle_describe_producers(*context_, exchange);
    case wire::ApiKey::CreateTopics:
      return topics_->create(exchange);
    case wire::ApiKey::DeleteTopics:
      return topics_->remove(exchange);
    case wire::ApiKey::UpdateFeatures:
      return handlers_.spawn(
          forward_to_controller<wire::UpdateFeaturesResponse, wire::UpdateFeaturesRequest>(context_.get(), exchange));
    case wire::ApiKey::FindCoordinator:
      return handle_find_coordinator(*context_, *topics_, exchange);
    case wire::ApiKey::InitProducerId:
      return handle_init_producer_id(*context_, *transactions_, exchange);
    case wire::ApiKey::AddPartitionsToTxn:
      return transactions_->add_partitions(exchange);
    case wire::ApiKey::AddOffsetsToTxn:
      return transactions_->add_offsets(exchange);
    case wire::ApiKey::EndTxn:
      return transactions_->end(exchange);
    case wire::ApiKey::DescribeTransactions:
      return transactions_->describe(exchange);
    case wire::ApiKey::ListTransactions:
      return transactions_->list(exchange);
    case wire::ApiKey::WriteTxnMarkers:
      return handlers_.spawn(handle_write_txn_markers(context_.get(), &groups_->coordinators(), exchange));
    default:
      if (!groups_->handle(exchange))
        exchange->close(fmt::format("api {} is not served", static_cast<int>(exchange->api())));
  }
}

Task<BrokerNode::Stopped> BrokerNode::stop() {
  Stopped stopped{.clean = false, .epoch = lifecycle_->epoch()};
  if (serving_) {
    const bool let_go = co_await lifecycle_->controlled_shutdown(runtime_->now() + kShutdownLimit);
    if (!let_go) runtime_->log(LogLevel::warn, kLogger, "stopping without the controller's leave");
  }
  stopping_ = true;
  lifecycle_->changed().notify();
  co_await controller_.close();
  co_await lifecycle_->stop();
  co_await metadata_->stop();
  for (const std::unique_ptr<Server>& server : servers_) co_await server->stop();
  groups_->drop_all();
  transactions_->drop_all();
  co_await verifier_->stop();
  replicas_->answer_all();
  co_await handlers_.join();
  co_await groups_->stop();
  co_await transactions_->stop();
  co_await topics_->stop();
  co_await producer_ids_->stop();
  co_await scope_.join();
  co_await replicas_->stop();
  const bool loaded = !first_publish_;
  const bool closed = co_await replicas_->close_logs(loaded);
  // Logs that nobody opened are as the life before left them (KAFKA-10471).
  const bool untouched = replicas_->partitions().empty() && (directory_->clean() || directory_->partitions().empty());
  stopped.clean = closed && (loaded || untouched) && stopped.epoch != kNoBrokerEpoch;
  co_return stopped;
}

}  // namespace verdict::broker
