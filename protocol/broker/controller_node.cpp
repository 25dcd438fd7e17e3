#include "protocol/broker/controller_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "protocol/broker/api_versions.h"
#include "protocol/broker/metadata_follower.h"
#include "protocol/metadata_records.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/fetch.h"
#include "storage/batch_builder.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "ControllerServer";
constexpr std::string_view kFolder = "__cluster_metadata-0";
constexpr std::string_view kStateFile = "quorum-state";
constexpr std::size_t kReplayBytes = 1 << 20;

constexpr std::array kApis{
    ApiRange{wire::ApiKey::Fetch, 4, 18},          ApiRange{wire::ApiKey::ApiVersions, 0, 4},
    ApiRange{wire::ApiKey::CreateTopics, 2, 7},    ApiRange{wire::ApiKey::DeleteTopics, 1, 6},
    ApiRange{wire::ApiKey::AlterPartition, 2, 3},  ApiRange{wire::ApiKey::BrokerRegistration, 0, 4},
    ApiRange{wire::ApiKey::BrokerHeartbeat, 0, 1}, ApiRange{wire::ApiKey::AllocateProducerIds, 0, 0},
    ApiRange{wire::ApiKey::UpdateFeatures, 0, 2},
};

}  // namespace

ControllerNode::ControllerNode(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
                               std::string cluster_id, protocol::Observer* observer)
    : runtime_(&runtime),
      config_(&config),
      directory_(&directory),
      cluster_id_(std::move(cluster_id)),
      files_(runtime.disk(), 64),
      quorum_({.self = config.node_id(), .cluster_id = cluster_id_}, observer),
      controller_({.self = config.node_id(), .cluster_id = cluster_id_, .config = config, .defects = runtime.defects()},
                  observer),
      sync_wanted_(runtime),
      quorum_wake_(runtime),
      controller_wake_(runtime),
      scope_(runtime) {}

// ---- start and stop ----

Task<std::expected<std::optional<quorum::QuorumState>, std::string>> ControllerNode::load_state() {
  const std::string path = fmt::format("{}/{}/{}", directory_->path(), kFolder, kStateFile);
  const auto text = storage::read_small_file(runtime_->disk(), path);
  if (!text && text.error() == std::errc::no_such_file_or_directory) co_return std::nullopt;
  if (!text) co_return std::unexpected(fmt::format("{}: {}", path, text.error().message()));
  auto state = quorum::parse_quorum_state(*text);
  if (!state) co_return std::unexpected(fmt::format("{}: {}", path, state.error()));
  co_return std::optional(std::move(*state));
}

Task<std::expected<void, std::string>> ControllerNode::start() {
  if (const auto checked = quorum::check_voters(*config_); !checked) co_return std::unexpected(checked.error());
  const storage::PartitionName name{.topic = "__cluster_metadata", .partition = 0};
  const auto& there = directory_->partitions();
  if (std::ranges::find(there, name, &storage::LogDirectory::Partition::name) == there.end()) {
    if (const auto made = directory_->create_partition(name, kMetadataTopicId); !made)
      co_return std::unexpected(made.error().message);
  }
  storage::LogConfig log_config;
  log_config.delete_old = false;
  // The recovery point of an earlier run is not trusted: this log is small, and all of it is checked.
  storage::Log::OpenInput input;
  auto log = co_await storage::Log::open(*runtime_, files_, directory_->partition_path(name), log_config, input);
  if (!log) co_return std::unexpected(log.error().to_string());
  log_ = std::move(*log);
  auto state = co_await load_state();
  if (!state) co_return std::unexpected(state.error());

  const std::vector<protocol::EndpointName> listeners = config_->controller_listeners();
  if (listeners.empty()) co_return std::unexpected("controller.listener.names names no entry of listeners");
  ServerLimits limits;
  limits.max_request_bytes = static_cast<std::size_t>(config_->integer("socket.request.max.bytes"));
  server_ = std::make_unique<Server>(*runtime_, listeners.front().name, limits,
                                     [this](ExchangePtr exchange) { dispatch(std::move(exchange)); });
  const Endpoint at{.host = listeners.front().host, .port = listeners.front().port};
  if (const auto listening = server_->listen(at); !listening) {
    co_return std::unexpected(fmt::format("can't listen on {}:{}: {}", at.host, at.port, listening.error().message()));
  }
  scope_.spawn(sync_task());
  scope_.spawn(quorum_timer());
  scope_.spawn(controller_timer());
  quorum::events_in::Start begin{
      .state = std::move(*state), .log_start = log_->log_start(), .log_end = log_->log_end(), .epochs = {}};
  for (const storage::EpochStart& entry : log_->epochs().entries())
    begin.epochs.push_back({.epoch = entry.epoch, .start = entry.start});
  step_quorum(std::move(begin));
  server_->serve();
  co_return std::expected<void, std::string>();
}

Task<bool> ControllerNode::stop() {
  stopping_ = true;
  sync_wanted_.notify();
  quorum_wake_.notify();
  controller_wake_.notify();
  waiting_.clear();
  co_await server_->stop();
  co_await scope_.join();
  const auto closed = co_await log_->close_cleanly();
  co_return closed.has_value();
}

// A step may have further effects, and its turn further steps, when one of its writes fails.
void ControllerNode::halt(std::string_view reason) {
  halted_ = true;
  runtime_->halt(reason);
}

// ---- the quorum's effects ----

void ControllerNode::step_quorum(quorum::Input input) {
  if (halted_) return;
  quorum::Effects effects;
  quorum_.step(std::move(input), runtime_->now(), effects);
  for (quorum::Effect& effect : effects) {
    if (halted_) return;
    std::visit([this](auto&& what) { run(std::move(what)); }, std::move(effect));
  }
}

void ControllerNode::run(quorum::effects::PersistState effect) {
  scope_.spawn(persist_state(effect.token, std::move(effect.json)));
}

Task<void> ControllerNode::persist_state(quorum::Token token, std::string json) {
  const std::string path = fmt::format("{}/{}/{}", directory_->path(), kFolder, kStateFile);
  const auto written = co_await storage::replace_file(*runtime_, path, std::move(json));
  if (!written) {
    halt(fmt::format("{}: {}", path, written.error().message()));
    co_return;
  }
  step_quorum(quorum::events_in::Durable{token});
}

void ControllerNode::run(quorum::effects::Persist effect) {
  VERDICT_ASSERT(effect.base == log_->log_end(), "the quorum and its log disagree about the end");
  storage::BatchBuilder builder({.leader_epoch = effect.epoch, .control = effect.control});
  const std::int64_t now_ms = to_ms(runtime_->wall_now());
  for (const quorum::LogRecord& record : effect.records) {
    const storage::NullableBytes key = record.key ? storage::NullableBytes(*record.key) : std::nullopt;
    builder.add(now_ms, key, storage::Bytes(record.value));
  }
  const auto appended = log_->append_as_leader(builder.finish(compressor_), effect.epoch, runtime_->wall_now());
  if (!appended) {
    halt(fmt::format("the metadata log can't be appended to: {}", appended.error().to_string()));
    return;
  }
  unsynced_.push_back(effect.token);
  sync_wanted_.notify();
}

// One sync covers all that was appended before it began.
Task<void> ControllerNode::sync_task() {
  while (!stopping_) {
    if (unsynced_.empty()) {
      co_await sync_wanted_.wait();
      continue;
    }
    const std::vector<quorum::Token> covered = std::exchange(unsynced_, {});
    const auto flushed = co_await log_->flush();
    if (!flushed) {
      halt(fmt::format("the metadata log can't be synced: {}", flushed.error().to_string()));
      co_return;
    }
    for (const quorum::Token token : covered) step_quorum(quorum::events_in::Durable{token});
  }
}

void ControllerNode::run(const quorum::effects::Committed& effect) {
  committed_ = effect.to;
  if (replayed_) step_controller(controller::events_in::Committed{effect.to});
}

void ControllerNode::run(const quorum::effects::BecameLeader& effect) {
  scope_.spawn(take_leadership(effect.next_offset, effect.epoch));
}

Task<void> ControllerNode::take_leadership(Offset next_offset, quorum::QuorumEpoch epoch) {
  const bool replayed = co_await replay(next_offset);
  if (!replayed) {
    halt("the metadata log can't be replayed");
    co_return;
  }
  replayed_ = true;
  runtime_->log(
      LogLevel::info, kLogger,
      fmt::format("active controller in epoch {}, metadata up to offset {}", epoch.value(), next_offset.value()));
  step_controller(controller::events_in::BecameLeader{.epoch = epoch.value(), .next_offset = next_offset});
  step_controller(controller::events_in::Committed{committed_});
}

Task<bool> ControllerNode::replay(Offset to) {
  Offset at = log_->log_start();
  while (at < to) {
    const auto bytes = co_await log_->read_bytes(at, kReplayBytes, to, true);
    if (!bytes || bytes->empty()) co_return false;
    storage::Bytes rest = *bytes;
    for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
      at = batch->header().next_offset();
      if (batch->header().control()) continue;
      auto reader = storage::open_records(*batch, decompressor_);
      if (!reader) co_return false;
      storage::RecordView record;
      for (auto more = reader->next(record); !more || *more; more = reader->next(record)) {
        if (!more) co_return false;
        const auto decoded = protocol::decode_record(record.value.value_or(storage::Bytes{}));
        const auto done = decoded ? controller_.replay(*decoded, record.offset) : std::unexpected(decoded.error());
        if (done) continue;
        runtime_->log(LogLevel::error, kLogger,
                      fmt::format("metadata record at offset {}: {}", record.offset.value(), done.error()));
        co_return false;
      }
    }
  }
  co_return true;
}

void ControllerNode::run(const quorum::effects::ArmTimer& effect) {
  quorum_alarm_ = effect.when;
  quorum_wake_.notify();
}

Task<void> ControllerNode::quorum_timer() {
  while (!stopping_) {
    co_await quorum_wake_.wait_until(quorum_alarm_.value_or(MonoTime::max()));
    if (stopping_ || !quorum_alarm_ || runtime_->now() < *quorum_alarm_) continue;
    quorum_alarm_.reset();
    step_quorum(quorum::events_in::Tick{});
  }
}

Task<void> ControllerNode::controller_timer() {
  while (!stopping_) {
    co_await controller_wake_.wait_until(controller_alarm_.value_or(MonoTime::max()));
    if (stopping_ || !controller_alarm_ || runtime_->now() < *controller_alarm_) continue;
    controller_alarm_.reset();
    step_controller(controller::events_in::Tick{});
  }
}

// ---- the controller's effects ----

template <class Event>
void ControllerNode::step_controller(const Event& event) {
  if (halted_) return;
  controller::Effects effects;
  controller_.step(event, runtime_->now(), effects);
  run_controller_effects(std::move(effects));
}

void ControllerNode::run_controller_effects(controller::Effects effects) {
  for (const Mark mark : effects.marks) runtime_->mark(mark);
  for (controller::Effect& effect : effects.list) {
    if (halted_) return;
    if (auto* append = std::get_if<controller::effects::Append>(&effect)) {
      quorum::events_in::Append batch{.base = append->base, .records = {}};
      for (const protocol::MetadataRecord& record : append->records) {
        batch.records.push_back({.key = std::nullopt, .value = protocol::encode_record(record)});
      }
      step_quorum(std::move(batch));
    } else if (auto* respond = std::get_if<controller::effects::Respond>(&effect)) {
      const auto waiting = waiting_.find(respond->token);
      if (waiting == waiting_.end()) continue;
      const ExchangePtr exchange = waiting->second;
      waiting_.erase(waiting);
      std::visit([&](const auto& message) { exchange->respond(message.value); }, respond->response);
    } else if (const auto* timer = std::get_if<controller::effects::ArmTimer>(&effect)) {
      controller_alarm_ = timer->when;
      controller_wake_.notify();
    } else if (const auto* line = std::get_if<controller::effects::Log>(&effect)) {
      runtime_->log(line->warning ? LogLevel::warn : LogLevel::info, kLogger, line->text);
    }
  }
}

// ---- requests ----

template <class Request>
void ControllerNode::ask_controller(const ExchangePtr& exchange) {
  Request request;
  if (!exchange->decode(request)) return;
  const std::uint64_t token = next_token_++;
  waiting_.emplace(token, exchange);
  if constexpr (std::is_same_v<Request, wire::CreateTopicsRequest>) {
    const std::uint64_t random = runtime_->random(Purpose::TopicId, 0);
    step_controller(controller::events_in::CreateTopics{
        .token = token, .version = exchange->version(), .request = request, .random = random});
  } else {
    step_controller(controller::Call<Request>{.token = token, .version = exchange->version(), .request = request});
  }
}

void ControllerNode::dispatch(ExchangePtr exchange) {
  switch (exchange->api()) {
    case wire::ApiKey::Fetch:
      return fetch(exchange);
    case wire::ApiKey::ApiVersions:
      return api_versions(exchange);
    case wire::ApiKey::BrokerRegistration:
      return ask_controller<wire::BrokerRegistrationRequest>(exchange);
    case wire::ApiKey::BrokerHeartbeat:
      return ask_controller<wire::BrokerHeartbeatRequest>(exchange);
    case wire::ApiKey::AlterPartition:
      return ask_controller<wire::AlterPartitionRequest>(exchange);
    case wire::ApiKey::CreateTopics:
      return ask_controller<wire::CreateTopicsRequest>(exchange);
    case wire::ApiKey::DeleteTopics:
      return ask_controller<wire::DeleteTopicsRequest>(exchange);
    case wire::ApiKey::AllocateProducerIds:
      return ask_controller<wire::AllocateProducerIdsRequest>(exchange);
    case wire::ApiKey::UpdateFeatures:
      return ask_controller<wire::UpdateFeaturesRequest>(exchange);
    default:
      return exchange->close(fmt::format("api {} is not served by controllers", static_cast<int>(exchange->api())));
  }
}

void ControllerNode::api_versions(const ExchangePtr& exchange) {
  wire::ApiVersionsResponse response;
  if (list_apis(*exchange, kApis, response)) exchange->respond(response);
}

void ControllerNode::fetch(const ExchangePtr& exchange) {
  wire::FetchRequest request;
  if (!exchange->decode(request)) return;
  if (request.topics.size() != 1 || request.topics[0].topic_id != kMetadataTopicId ||
      request.topics[0].partitions.size() != 1) {
    wire::FetchResponse refusal;
    refusal.error_code = static_cast<std::int16_t>(wire::ErrorCode::INVALID_REQUEST);
    return exchange->respond(refusal);
  }
  const wire::FetchRequest::FetchPartition& asked = request.topics[0].partitions[0];
  const std::uint64_t token = next_token_++;
  waiting_.emplace(token, exchange);
  const std::int32_t replica = exchange->version() >= 15 ? request.replica_state.replica_id : request.replica_id;
  step_quorum(quorum::events_in::Fetch{
      .request = token,
      .replica = NodeId(replica),
      .current_leader_epoch = LeaderEpoch(asked.current_leader_epoch),
      .fetch_offset = Offset(asked.fetch_offset),
      .last_fetched_epoch = LeaderEpoch(asked.last_fetched_epoch),
      // Only decided records are given away, so whoever fetched to here knows of them.
      .known_high_watermark = Offset(exchange->version() >= 18 ? asked.high_watermark : asked.fetch_offset),
      .max_wait = runtime_->maybe(Site::EarlyTimeout) ? Duration(0) : from_ms(std::max(request.max_wait_ms, 0))});
}

void ControllerNode::run(quorum::effects::AnswerFetch effect) {
  const auto waiting = waiting_.find(effect.request);
  if (waiting == waiting_.end()) return;
  const ExchangePtr exchange = waiting->second;
  waiting_.erase(waiting);
  scope_.spawn(answer_fetch(std::move(effect), exchange));
}

Task<void> ControllerNode::answer_fetch(quorum::effects::AnswerFetch effect, ExchangePtr exchange) {
  using Response = wire::FetchResponse;
  Response response;
  response.responses = exchange->arena().make_span<Response::FetchableTopicResponse>(1);
  response.responses[0].topic_id = kMetadataTopicId;
  response.responses[0].partitions = exchange->arena().make_span<Response::PartitionData>(1);
  Response::PartitionData& data = response.responses[0].partitions[0];
  data.error_code = effect.error;
  data.high_watermark = effect.high_watermark.value();
  data.log_start_offset = effect.log_start.value();
  data.current_leader = {.leader_id = effect.leader.value(), .leader_epoch = effect.epoch.value()};
  data.aborted_transactions = std::nullopt;
  if (effect.diverging)
    data.diverging_epoch = {.epoch = effect.diverging->epoch.value(), .end_offset = effect.diverging->start.value()};
  std::vector<std::byte> records;
  if (effect.read_from < effect.read_to) {
    const std::size_t most = runtime_->maybe(Site::TinyMetadata) ? 1 : kReplayBytes;
    auto bytes = co_await log_->read_bytes(effect.read_from, most, effect.read_to, true);
    if (bytes) {
      records = std::move(*bytes);
    } else {
      data.error_code = static_cast<std::int16_t>(wire::ErrorCode::KAFKA_STORAGE_ERROR);
    }
  }
  data.records = wire::Records::of(records);
  exchange->respond(response);
}

}  // namespace verdict::broker
