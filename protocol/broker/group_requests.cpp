#include "protocol/broker/group_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "protocol/broker/coordinators.h"
#include "protocol/broker/server.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "GroupCoordinator";
constexpr int kNullableProtocol = 7;  // JoinGroup
constexpr int kAbortableFrom = 4;     // TxnOffsetCommit
constexpr int kAddsFrom = 5;          // TxnOffsetCommit: transactions of version two
constexpr Duration kVerifyTimeout = 5s;

group::GroupCoordinator::Options options_of(const BrokerContext& context) {
  const protocol::BrokerConfig& config = context.config;
  const auto number = [&](std::string_view key) { return static_cast<std::int32_t>(config.integer(key)); };
  const auto ms = [&](std::string_view key) { return to_ms(config.duration_ms(key)); };
  group::GroupCoordinator::Options options;
  options.group_min_session_timeout_ms = number("group.min.session.timeout.ms");
  options.group_max_session_timeout_ms = number("group.max.session.timeout.ms");
  options.group_initial_rebalance_delay_ms = number("group.initial.rebalance.delay.ms");
  options.group_max_size = number("group.max.size");
  options.offset_metadata_max_bytes = number("offset.metadata.max.bytes");
  options.offsets_retention_ms = config.integer("offsets.retention.minutes") * 60'000;
  options.offsets_retention_check_interval_ms = ms("offsets.retention.check.interval.ms");
  options.consumer_session_timeout_ms = number("group.consumer.session.timeout.ms");
  options.consumer_heartbeat_interval_ms = number("group.consumer.heartbeat.interval.ms");
  options.consumer_max_size = number("group.consumer.max.size");
  options.consumer_assignors = config.list("group.consumer.assignors");
  const std::string policy = config.text("group.consumer.migration.policy");
  options.consumer_upgrade = policy == "bidirectional" || policy == "upgrade";
  options.consumer_downgrade = policy == "bidirectional" || policy == "downgrade";
  options.image = &context.image;
  options.defects = context.runtime.defects();
  return options;
}

group::Producer to_machine(const CoordinatorProducer& producer) { return {.id = producer.id, .epoch = producer.epoch}; }

}  // namespace

// ---- one partition ----

std::expected<void, std::string> GroupPartition::replay(const storage::RecordView& record,
                                                        const std::optional<CoordinatorProducer>& transactional) {
  if (!record.key) return std::unexpected(std::string("a record without a key"));
  return machine().replay(*record.key, record.value, record.timestamp,
                          transactional ? std::optional(to_machine(*transactional)) : std::nullopt);
}

void GroupPartition::replay_marker(const CoordinatorProducer& producer, bool committed) {
  machine().replay_marker(to_machine(producer), committed);
}

void GroupPartition::marker(const CoordinatorProducer& producer, bool committed) {
  step(group::events_in::Marker{.producer = to_machine(producer), .committed = committed});
  partition()->announce(protocol::events::OffsetsEnded{.partition = partition()->key(),
                                                       .producer_id = ProducerId(producer.id),
                                                       .producer_epoch = ProducerEpoch(producer.epoch),
                                                       .marker = committed ? "commit" : "abort"});
}

void GroupPartition::topics_deleted(std::span<const std::string> names) {
  if (state() == State::active) step(group::events_in::TopicsDeleted{names});
}

void GroupPartition::topics_changed(std::span<const std::string> names, bool any_created) {
  if (state() == State::active) step(group::events_in::TopicsChanged{.names = names, .any_created = any_created});
}

void GroupPartition::run(const group::effects::Append& effect) {
  std::optional<CoordinatorProducer> transactional;
  if (effect.transactional) transactional = {.id = effect.transactional->id, .epoch = effect.transactional->epoch};
  Offset at = partition()->log_end();
  append(effect.records, transactional);
  if (observer_ == nullptr || partition()->log_end() == at) return;
  const ProducerId producer(transactional ? transactional->id : -1);
  for (const group::LogRecord& record : effect.records) {
    announce(record, at, producer);
    ++at;
  }
}

void GroupPartition::run(group::effects::Respond effect) {
  if (observer_ != nullptr) {
    const auto* fetched = std::get_if<wire::Message<wire::OffsetFetchResponse>>(&effect.response);
    if (fetched != nullptr) announce(fetched->value);
  }
  respond(effect.token, std::move(effect.response));
}

void GroupPartition::run(const group::effects::Log& effect) {
  runtime().log(effect.warning ? LogLevel::warn : LogLevel::info, kLogger, effect.text);
}

// ---- requests of one group ----

GroupRequests::GroupRequests(BrokerContext& context)
    : context_(&context),
      names_consumer_protocol_(
          std::ranges::count(context.config.list("group.coordinator.rebalance.protocols"), "consumer") > 0),
      assignors_(context.config.list("group.consumer.assignors")),
      scope_(context.runtime),
      set_(context, CoordinatorType::group,
           [this](CoordinatorPartition::Context shell, PartitionPtr partition, LeaderEpoch epoch) {
             group::GroupCoordinator::Options options = options_of(*context_);
             options.partition = partition->key();
             options.leader_epoch = epoch;
             return std::make_shared<GroupPartition>(std::move(shell), std::move(partition), epoch, std::move(options),
                                                     context_->observer);
           }) {}

Task<void> GroupRequests::stop() {
  set_.drop_all();
  co_await scope_.join();
  co_await set_.stop();
}

void GroupRequests::topics_changed(const protocol::MetadataDelta& delta) {
  std::vector<std::string> removed;
  for (const auto& [id, topic] : delta.topics_removed) removed.push_back(topic.name);
  std::set<std::string> changed(removed.begin(), removed.end());
  for (const PartitionKey& key : delta.partitions) {
    if (const protocol::TopicImage* topic = context_->image.topic(key.topic)) changed.insert(topic->name);
  }
  if (changed.empty()) return;
  const std::vector<std::string> names(changed.begin(), changed.end());
  set_.each([&](GroupPartition& partition) {
    if (!removed.empty()) partition.topics_deleted(removed);
    partition.topics_changed(names, !delta.topics_created.empty());
  });
}

bool GroupRequests::handle(const ExchangePtr& exchange) {
  switch (exchange->api()) {
    case wire::ApiKey::JoinGroup:
      join(exchange);
      break;
    case wire::ApiKey::SyncGroup:
      one_group<group::events_in::SyncGroup, wire::SyncGroupRequest, wire::SyncGroupResponse>(exchange);
      break;
    case wire::ApiKey::Heartbeat:
      one_group<group::events_in::Heartbeat, wire::HeartbeatRequest, wire::HeartbeatResponse>(exchange);
      break;
    case wire::ApiKey::LeaveGroup:
      one_group<group::events_in::LeaveGroup, wire::LeaveGroupRequest, wire::LeaveGroupResponse>(exchange);
      break;
    case wire::ApiKey::OffsetDelete:
      delete_offsets(exchange);
      break;
    case wire::ApiKey::OffsetCommit:
      commit(exchange);
      break;
    case wire::ApiKey::TxnOffsetCommit:
      scope_.spawn(commit_in_transaction(exchange));
      break;
    case wire::ApiKey::OffsetFetch:
      fetch_offsets(exchange);
      break;
    case wire::ApiKey::DescribeGroups:
      describe(exchange);
      break;
    case wire::ApiKey::DeleteGroups:
      remove(exchange);
      break;
    case wire::ApiKey::ListGroups:
      list(exchange);
      break;
    case wire::ApiKey::ConsumerGroupHeartbeat:
      consumer_heartbeat(exchange);
      break;
    case wire::ApiKey::ConsumerGroupDescribe:
      describe_consumers(exchange);
      break;
    default:
      return false;
  }
  return true;
}

std::string host_of(Exchange& exchange) {
  const std::string& peer = exchange.connection().peer();
  return "/" + peer.substr(0, peer.rfind(':'));
}

Uuid GroupRequests::draw_member_id() const {
  Uuid id;
  id.high = context_->runtime.random(Purpose::MemberId, 0);
  id.low = context_->runtime.random(Purpose::MemberId, 0);
  return id;
}

template <class Event, class Request, class Response>
void GroupRequests::one_group(const ExchangePtr& exchange) {
  Request request;
  if (!exchange->decode(request)) return;
  const GroupPartition::Answer answer = passing_on<Response>(exchange, request, [](ErrorCode error) {
    Response response;
    response.error_code = code(error);
    return response;
  });
  const std::string host = host_of(*exchange);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        return Event{.token = token,
                     .version = exchange->version(),
                     .client_id = exchange->client_id(),
                     .client_host = host,
                     .request = request};
      },
      answer);
}

void GroupRequests::join(const ExchangePtr& exchange) {
  wire::JoinGroupRequest request;
  if (!exchange->decode(request)) return;
  const auto refuse = [version = exchange->version()](ErrorCode error) {
    wire::JoinGroupResponse response;
    response.error_code = code(error);
    if (version >= kNullableProtocol) response.protocol_name = std::nullopt;
    return response;
  };
  const GroupPartition::Answer answer = passing_on<wire::JoinGroupResponse>(exchange, request, refuse);
  const std::string host = host_of(*exchange);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        return group::events_in::JoinGroup{.token = token,
                                           .version = exchange->version(),
                                           .client_id = exchange->client_id(),
                                           .client_host = host,
                                           .request = request,
                                           .random = draw_member_id()};
      },
      answer);
}

// ---- committed offsets ----
namespace {

// Topics and partitions that don't exist are refused here; the machine sees the others.
template <class Request, class Response>
struct Split {
  using RequestTopic = typename std::remove_cvref_t<decltype(Request{}.topics)>::value_type;
  using ResponseTopic = typename std::remove_cvref_t<decltype(Response{}.topics)>::value_type;
  using RequestPartition = typename std::remove_cvref_t<decltype(RequestTopic{}.partitions)>::value_type;
  using ResponsePartition = typename std::remove_cvref_t<decltype(ResponseTopic{}.partitions)>::value_type;

  std::vector<RequestTopic> known;
  std::vector<ResponseTopic> refused;

  Split(const Request& request, const protocol::MetadataImage& image, wire::Arena& arena) {
    for (const RequestTopic& topic : request.topics) {
      const protocol::TopicImage* there = image.topic(topic.name);
      std::vector<RequestPartition> good;
      std::vector<ResponsePartition> bad;
      for (const RequestPartition& at : topic.partitions) {
        if (there != nullptr && there->partitions.contains(at.partition_index)) {
          good.push_back(at);
        } else {
          bad.push_back(
              {.partition_index = at.partition_index, .error_code = code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)});
        }
      }
      if (!good.empty() || topic.partitions.empty()) {
        RequestTopic& kept = known.emplace_back(topic);
        kept.partitions = arena.copy_span<RequestPartition>(good);
      }
      if (!bad.empty()) {
        ResponseTopic& told = refused.emplace_back();
        told.name = topic.name;
        told.partitions = arena.copy_span<ResponsePartition>(bad);
      }
    }
  }
};

// Adds partitions to those of the topic that are told already: a topic is named once.
template <class Topic, class Partition>
void tell(std::vector<Topic>& topics, std::string_view name, std::span<Partition> partitions, wire::Arena& arena) {
  const auto at = std::ranges::find(topics, name, &Topic::name);
  if (at == topics.end()) {
    Topic& told = topics.emplace_back();
    told.name = name;
    told.partitions = partitions;
    return;
  }
  std::vector<Partition> both(at->partitions.begin(), at->partitions.end());
  both.insert(both.end(), partitions.begin(), partitions.end());
  at->partitions = arena.copy_span<Partition>(both);
}

// The machine's answer with what was refused before, or one error for all.
template <class Request, class Response>
GroupPartition::Answer merge_refused(const ExchangePtr& exchange, std::shared_ptr<Split<Request, Response>> split) {
  return [exchange, split](std::expected<group::Response, ErrorCode> said) {
    using Parts = Split<Request, Response>;
    std::vector<typename Parts::ResponseTopic> topics = split->refused;
    Response response;
    if (said) {
      response = std::get<wire::Message<Response>>(*said).value;
      for (const auto& topic : response.topics) tell(topics, topic.name, topic.partitions, exchange->arena());
    } else {
      for (const auto& topic : split->known) {
        const auto told =
            exchange->arena().template make_span<typename Parts::ResponsePartition>(topic.partitions.size());
        for (std::size_t i = 0; i < topic.partitions.size(); ++i)
          told[i] = {.partition_index = topic.partitions[i].partition_index, .error_code = code(said.error())};
        tell(topics, topic.name, told, exchange->arena());
      }
    }
    response.topics = exchange->arena().template copy_span<typename Parts::ResponseTopic>(topics);
    exchange->respond(response);
  };
}

}  // namespace

void GroupRequests::commit(const ExchangePtr& exchange) {
  using Parts = Split<wire::OffsetCommitRequest, wire::OffsetCommitResponse>;
  wire::OffsetCommitRequest request;
  if (!exchange->decode(request)) return;
  const auto split = std::make_shared<Parts>(request, context_->image, exchange->arena());
  request.topics = exchange->arena().copy_span<Parts::RequestTopic>(split->known);
  const GroupPartition::Answer answer = telling_commits(exchange, request, merge_refused(exchange, split));
  const std::string host = host_of(*exchange);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        return group::events_in::OffsetCommit{.token = token,
                                              .version = exchange->version(),
                                              .client_id = exchange->client_id(),
                                              .client_host = host,
                                              .request = request};
      },
      answer);
}

void GroupRequests::delete_offsets(const ExchangePtr& exchange) {
  using Parts = Split<wire::OffsetDeleteRequest, wire::OffsetDeleteResponse>;
  wire::OffsetDeleteRequest request;
  if (!exchange->decode(request)) return;
  const auto split = std::make_shared<Parts>(request, context_->image, exchange->arena());
  const GroupPartition::Answer merged = merge_refused(exchange, split);
  const GroupPartition::Answer answer = [exchange, merged](std::expected<group::Response, ErrorCode> said) {
    wire::OffsetDeleteResponse refusal;  // the group's error stands alone
    refusal.error_code =
        said ? std::get<wire::Message<wire::OffsetDeleteResponse>>(*said).value.error_code : code(said.error());
    if (refusal.error_code != 0) return exchange->respond(refusal);
    merged(std::move(said));
  };
  request.topics = exchange->arena().copy_span<Parts::RequestTopic>(split->known);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        return group::events_in::OffsetDelete{.token = token,
                                              .version = exchange->version(),
                                              .client_id = exchange->client_id(),
                                              .client_host = {},
                                              .request = request};
      },
      answer);
}

// The partition of the group has to be part of the transaction, as every other that is written to.
Task<void> GroupRequests::commit_in_transaction(ExchangePtr exchange) {
  using Parts = Split<wire::TxnOffsetCommitRequest, wire::TxnOffsetCommitResponse>;
  wire::TxnOffsetCommitRequest request;
  if (!exchange->decode(request)) co_return;
  const auto split = std::make_shared<Parts>(request, context_->image, exchange->arena());
  const GroupPartition::Answer answer = merge_refused(exchange, split);
  auto found = set_.of(request.group_id);
  if (!found) co_return answer(std::unexpected(found.error()));
  request.topics = exchange->arena().copy_span<Parts::RequestTopic>(split->known);
  const ErrorCode verified = co_await verify(*found, &request, exchange->version());
  if (verified != ErrorCode::NONE) co_return answer(std::unexpected(verified));
  found = set_.of(request.group_id);  // it may be another one by now
  if (!found) co_return answer(std::unexpected(found.error()));
  const std::string host = host_of(*exchange);
  (*found)->ask(
      [&](group::Token token) {
        return group::events_in::TxnOffsetCommit{.token = token,
                                                 .version = exchange->version(),
                                                 .client_id = exchange->client_id(),
                                                 .client_host = host,
                                                 .request = request};
      },
      answer);
}

Task<ErrorCode> GroupRequests::verify(std::shared_ptr<GroupPartition> group,
                                      const wire::TxnOffsetCommitRequest* request, int version) {
  const TransactionClaim claim{.transactional_id = std::string(request->transactional_id),
                               .producer_id = request->producer_id,
                               .producer_epoch = request->producer_epoch,
                               .adds = version >= kAddsFrom,
                               .knows_abortable = version >= kAbortableFrom};
  const PartitionPtr partition = group->partition();
  const ProducerId producer(request->producer_id);
  const bool open = partition->in_transaction(producer, ProducerEpoch(request->producer_epoch));
  if (open || !context_->verifier.wanted(claim)) co_return ErrorCode::NONE;
  std::uint32_t markers = 0;
  const auto asks = [&] { markers = partition->markers_of(producer); };
  const TopicPartition at{.topic = partition->topic(), .partition = partition->key().index};
  const MonoTime deadline = context_->runtime.now() + kVerifyTimeout;
  const auto results = co_await context_->verifier.verify(claim, {at}, deadline, asks);
  const ErrorCode error = results.at(at);
  // As TxnOffsetCommit knows it.
  if (error == ErrorCode::NOT_ENOUGH_REPLICAS) co_return ErrorCode::COORDINATOR_NOT_AVAILABLE;
  if (error == ErrorCode::NONE && partition->markers_of(producer) != markers) co_return ErrorCode::INVALID_TXN_STATE;
  co_return error;
}

}  // namespace verdict::broker
