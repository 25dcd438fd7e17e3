#include "protocol/broker/replica_manager.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/config_values.h"
#include "protocol/wire/gen/list_offsets.h"
#include "runtime/io.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "ReplicaManager";
constexpr Duration kProposalRetry = 100ms;
constexpr Duration kProducerCheck = 600s;  // producer.id.expiration.check.interval.ms
constexpr int kListOffsetsVersion = 8;
constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;

FetcherOptions fetcher_options(const protocol::BrokerConfig& config) {
  FetcherOptions options;
  options.self = config.node_id();
  options.client_id = fmt::format("broker-{}-fetcher", config.node_id().value());
  options.wait_max = config.duration_ms("replica.fetch.wait.max.ms");
  options.min_bytes = static_cast<std::int32_t>(config.integer("replica.fetch.min.bytes"));
  options.max_bytes = static_cast<std::int32_t>(config.integer("replica.fetch.response.max.bytes"));
  options.partition_bytes = static_cast<std::int32_t>(config.integer("replica.fetch.max.bytes"));
  options.backoff = config.duration_ms("replica.fetch.backoff.ms");
  options.socket_timeout = config.duration_ms("replica.socket.timeout.ms");
  return options;
}

}  // namespace

std::optional<Endpoint> listener_of(const protocol::MetadataImage& image, NodeId node, std::string_view listener) {
  const protocol::BrokerRegistration* broker = image.broker(node);
  const protocol::BrokerListener* at = broker == nullptr ? nullptr : broker->listener(listener);
  if (at == nullptr) return std::nullopt;
  return Endpoint{.host = at->host, .port = at->port};
}

ReplicaManager::ReplicaManager(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
                               client::RpcChannel& controller, std::function<BrokerEpoch()> broker_epoch,
                               protocol::Observer* observer)
    : runtime_(&runtime),
      config_(&config),
      directory_(&directory),
      observer_(observer),
      self_(config.node_id()),
      broker_epoch_(std::move(broker_epoch)),
      files_(runtime.disk()),
      opened_(runtime),
      stop_(runtime),
      isr_sender_(runtime, controller, self_, broker_epoch_,
                  [this](PartitionKey key, replication::ProposalId id, const IsrResult& result) {
                    isr_answered(key, id, result);
                  }),
      cleaner_(
          runtime, directory, partitions_, [this] { return settings_of_cleaner(); },
          [this](Partition& partition, const storage::LogError& error) { log_failed(partition, error); },
          observer != nullptr),
      scope_(runtime) {
  isr_sender_.start();
}

ReplicaManager::~ReplicaManager() = default;

PartitionPtr ReplicaManager::find(const PartitionKey& key) const {
  const auto found = partitions_.find(key);
  return found == partitions_.end() ? nullptr : found->second;
}

// ---- metadata ----

Task<void> ReplicaManager::apply(const protocol::MetadataImage* image, const protocol::MetadataDelta* delta,
                                 bool wait_for_logs) {
  image_ = image;
  apply_topics(*delta);
  apply_configs(*delta);
  for (const PartitionKey& key : delta->partitions) apply_partition(key);
  apply_brokers(*delta);
  while (wait_for_logs && opening_ != 0) co_await opened_.wait();
}

void ReplicaManager::apply_topics(const protocol::MetadataDelta& delta) {
  for (const auto& [topic, removed] : delta.topics_removed) {
    for (const std::int32_t index : removed.partitions) {
      if (const PartitionPtr partition = find({.topic = topic, .index = index})) {
        drop(partition, replication::RemovedReason::topic_deleted);
      }
    }
  }
}

void ReplicaManager::drop(const PartitionPtr& partition, replication::RemovedReason reason) {
  partitions_.erase(partition->key());
  proposals_.erase(partition->key());
  dropped_.insert(partition->key());
  const bool opened = partition->opened();
  partition->remove(reason);
  if (on_role_) on_role_(partition);
  if (opened) scope_.spawn(delete_log(partition));
}

Task<void> ReplicaManager::delete_log(PartitionPtr partition) {
  partition->log().release_files();
  const Uuid unique{.high = runtime_->random(Purpose::DirectoryId, 1), .low = partition->key().topic.low};
  const auto folder =
      directory_->mark_deleted({.topic = partition->topic(), .partition = partition->key().index}, unique);
  if (!folder) {
    runtime_->log(LogLevel::error, kLogger, folder.error().message);
    co_return;
  }
  // Readers that are under way keep their files open; log.segment.delete.delay.ms isn't needed for them.
  if (const auto removed = directory_->remove_folder(*folder); !removed) {
    runtime_->log(LogLevel::warn, kLogger, removed.error().message);
  }
}

std::vector<replication::ReplicaBroker> ReplicaManager::brokers_of(const NodeIds& replicas) const {
  std::vector<replication::ReplicaBroker> brokers;
  for (const NodeId id : replicas) {
    const protocol::BrokerRegistration* known = image_->broker(id);
    replication::ReplicaBroker& broker = brokers.emplace_back();
    broker.id = id;
    if (known == nullptr) continue;
    broker.epoch = known->epoch;
    broker.fenced = known->fenced;
    broker.shutting_down = known->in_controlled_shutdown;
  }
  return brokers;
}

void ReplicaManager::tell_metadata(Partition& partition) {
  const protocol::PartitionRegistration* registration = image_->partition(partition.key());
  if (registration == nullptr || partition.removed()) return;
  const std::vector<replication::ReplicaBroker> brokers = brokers_of(registration->replicas);
  partition.metadata_changed({.leader = registration->leader,
                              .leader_epoch = registration->leader_epoch,
                              .partition_epoch = registration->partition_epoch,
                              .replicas = registration->replicas,
                              .isr = registration->isr,
                              .brokers = brokers,
                              .local_broker_epoch = broker_epoch_(),
                              .min_insync_replicas = partition.config().min_insync_replicas});
  if (!on_role_) return;
  if (const PartitionPtr hosted = find(partition.key())) on_role_(hosted);
}

void ReplicaManager::apply_partition(const PartitionKey& key) {
  const protocol::TopicImage* topic = image_->topic(key.topic);
  const protocol::PartitionRegistration* registration = image_->partition(key);
  if (topic == nullptr || registration == nullptr) return;
  PartitionPtr partition = find(key);
  if (!registration->has_replica(self_)) {
    if (partition != nullptr) drop(partition, replication::RemovedReason::reassigned);
    return;
  }
  if (partition == nullptr) {
    const Partition::Context context{.runtime = *runtime_,
                                     .host = *this,
                                     .observer = observer_,
                                     .decompressor = decompressor_,
                                     .effects = effects_,
                                     .self = self_,
                                     .replica_lag_time_max = config_->duration_ms("replica.lag.time.max.ms")};
    partition = std::make_shared<Partition>(context, key, topic->name);
    partition->configure(protocol::topic_config(protocol::ConfigView(*config_, *image_, self_), topic->name));
    partitions_.emplace(key, partition);
    ++opening_;
    scope_.spawn(open_log(partition));
    return;
  }
  if (partition->opened()) tell_metadata(*partition);
}

Task<void> ReplicaManager::open_log(PartitionPtr partition) {
  const storage::PartitionName name{.topic = partition->topic(), .partition = partition->key().index};
  const auto fail = [this](std::string_view what) {
    runtime_->halt(fmt::format("log directory {}: {}", directory_->path(), what));
  };
  const auto& there = directory_->partitions();
  const auto found = std::ranges::find(there, name, &storage::LogDirectory::Partition::name);
  const bool own =
      found != there.end() && found->topic_id == partition->key().topic && !dropped_.contains(partition->key());
  if (found != there.end() && !own) {
    // An older topic of this name, deleted while this node was away.
    const auto folder = directory_->mark_deleted(
        name, {.high = runtime_->random(Purpose::DirectoryId, 2), .low = partition->key().topic.low});
    if (folder) static_cast<void>(directory_->remove_folder(*folder));
  }
  if (!own) {
    if (const auto created = directory_->create_partition(name, partition->key().topic); !created) {
      fail(created.error().message);
      co_return;
    }
  }
  storage::Log::OpenInput input = own ? directory_->open_input(name) : storage::Log::OpenInput{};
  auto log = co_await storage::Log::open(*runtime_, files_, directory_->partition_path(name),
                                         log_config(partition->config()), input);
  --opening_;
  opened_.notify();
  if (!log) {
    fail(log.error().to_string());
    co_return;
  }
  partition->open(std::move(*log), own ? directory_->high_watermark(name) : Offset(0));
  if (partition->removed()) {
    partition->announce(protocol::events::LogClosed{.partition = partition->key()});
    scope_.spawn(delete_log(partition));
    co_return;
  }
  tell_metadata(*partition);
}

void ReplicaManager::apply_brokers(const protocol::MetadataDelta& delta) {
  if (delta.brokers.empty()) return;
  for (const auto& [key, partition] : std::map(partitions_)) {
    const protocol::PartitionRegistration* registration = image_->partition(key);
    if (registration == nullptr || !partition->opened()) continue;
    NodeIds changed;
    for (const NodeId id : registration->replicas) {
      if (delta.brokers.contains(id)) changed.push_back(id);
    }
    if (changed.empty()) continue;
    const std::vector<replication::ReplicaBroker> brokers = brokers_of(changed);
    partition->brokers_changed(brokers);
    // A leader that came back may listen elsewhere.
    const auto from = fetched_from_.find(key);
    if (from != fetched_from_.end() && delta.brokers.contains(from->second)) start_fetching(*partition, from->second);
  }
}

void ReplicaManager::apply_configs(const protocol::MetadataDelta& delta) {
  if (delta.configs.empty()) return;
  const bool broker_wide = std::ranges::any_of(delta.configs, [](const protocol::ConfigResource& resource) {
    return resource.type == protocol::ConfigResourceType::broker;
  });
  const protocol::ConfigView view(*config_, *image_, self_);
  for (const auto& [key, partition] : std::map(partitions_)) {
    const bool named =
        delta.configs.contains({.type = protocol::ConfigResourceType::topic, .name = partition->topic()});
    if (named || broker_wide) partition->configure(protocol::topic_config(view, partition->topic()));
  }
}

// ---- produce ----

ProduceWait::Part& ReplicaManager::begin_wait(ProduceWait& wait, PartitionPtr partition) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  WaitSlot& slot = slots_[index];
  slot.wait = &wait;
  slot.part = wait.parts.size();
  ++wait.unfinished;
  return wait.parts.emplace_back(ProduceWait::Part{.partition = std::move(partition),
                                                   .waiter = WaiterId(std::uint64_t{slot.generation} << 32 | index)});
}

ReplicaManager::WaitSlot* ReplicaManager::slot_of(WaiterId waiter) {
  WaitSlot& slot = slots_[waiter.value() & 0xffffffff];
  return slot.generation == waiter.value() >> 32 && slot.wait != nullptr ? &slot : nullptr;
}

void ReplicaManager::end_wait(WaiterId waiter) {
  WaitSlot* slot = slot_of(waiter);
  VERDICT_ASSERT(slot != nullptr);
  slot->wait = nullptr;
  ++slot->generation;
  free_slots_.push_back(static_cast<std::uint32_t>(waiter.value()));
}

void ReplicaManager::complete_produce(const replication::CompleteProduce& done) {
  WaitSlot* slot = slot_of(done.waiter);
  VERDICT_ASSERT(slot != nullptr, "an answer to nobody");
  ProduceWait::Part& part = slot->wait->parts[slot->part];
  VERDICT_ASSERT(!part.finished, "a produce answered twice");
  part.finished = true;
  part.error = done.error;
  part.base = done.base;
  part.log_start = done.log_start;
  if (--slot->wait->unfinished == 0) slot->wait->done.notify();
}

// ---- proposals ----

void ReplicaManager::propose_isr(Partition& partition, const replication::SendAlterPartition& effect,
                                 std::span<const replication::IsrMember> members) {
  IsrProposal proposal{
      .id = effect.proposal, .leader_epoch = effect.leader_epoch, .partition_epoch = effect.partition_epoch, .isr = {}};
  for (const replication::IsrMember& member : members) proposal.isr.emplace_back(member.id, member.epoch);
  proposals_[partition.key()] = effect.proposal;
  if (effect.retry) {
    scope_.spawn(propose_later(partition.key(), effect.proposal, std::move(proposal)));
  } else {
    isr_sender_.propose(partition.key(), std::move(proposal));
  }
}

Task<void> ReplicaManager::propose_later(PartitionKey key, replication::ProposalId id, IsrProposal proposal) {
  co_await stop_.wait_until(runtime_->now() + kProposalRetry);
  const auto current = proposals_.find(key);
  if (!stopping_ && current != proposals_.end() && current->second == id) isr_sender_.propose(key, std::move(proposal));
}

void ReplicaManager::isr_answered(const PartitionKey& key, replication::ProposalId id, const IsrResult& result) {
  const PartitionPtr partition = find(key);
  if (partition == nullptr) return;
  replication::AlterPartitionAnswered answer;
  answer.proposal = id;
  if (result) {
    answer.leader_epoch = result->leader_epoch;
    answer.partition_epoch = result->partition_epoch;
    answer.isr = result->isr;
  } else {
    answer.error = result.error();
  }
  partition->isr_answered(answer);
}

// ---- fetching ----

ReplicaFetcher* ReplicaManager::fetcher_for(NodeId leader) {
  const auto at = listener_of(*image_, leader, config_->inter_broker_listener_name());
  if (!at) return nullptr;
  std::unique_ptr<ReplicaFetcher>& fetcher = fetchers_[leader];
  if (fetcher != nullptr && fetcher->leader() != *at) {
    scope_.spawn(reap_fetcher(std::move(fetcher)));
    fetcher = nullptr;
  }
  if (fetcher == nullptr) {
    fetcher = std::make_unique<ReplicaFetcher>(*runtime_, fetcher_options(*config_), *at, broker_epoch_);
    // Those that followed the leader at its old address.
    for (const auto& [key, from] : fetched_from_) {
      if (from == leader) fetcher->add(partitions_.at(key));
    }
  }
  return fetcher.get();
}

Task<void> ReplicaManager::reap_fetcher(std::unique_ptr<ReplicaFetcher> fetcher) { co_await fetcher->stop(); }

void ReplicaManager::start_fetching(Partition& partition, NodeId leader) {
  const auto from = fetched_from_.find(partition.key());
  if (from != fetched_from_.end() && from->second != leader) stop_fetching(partition);
  if (stopping_) return;
  ReplicaFetcher* fetcher = fetcher_for(leader);
  if (fetcher == nullptr) {
    runtime_->log(LogLevel::warn, kLogger,
                  fmt::format("{}: leader {} has no address yet", partition.name(), leader.value()));
    fetched_from_[partition.key()] = leader;
    return;
  }
  fetched_from_[partition.key()] = leader;
  fetcher->add(partitions_.at(partition.key()));
}

void ReplicaManager::stop_fetching(Partition& partition) {
  const auto from = fetched_from_.find(partition.key());
  if (from == fetched_from_.end()) return;
  const auto fetcher = fetchers_.find(from->second);
  if (fetcher != fetchers_.end()) fetcher->second->remove(partition.key());
  fetched_from_.erase(from);
}

void ReplicaManager::delay_fetch(Partition& partition) {
  const auto from = fetched_from_.find(partition.key());
  const auto fetcher = from == fetched_from_.end() ? fetchers_.end() : fetchers_.find(from->second);
  if (fetcher != fetchers_.end()) fetcher->second->delay(partition.key());
}

void ReplicaManager::ask_leader_offsets(Partition& partition, const replication::AskLeaderOffsets& ask) {
  scope_.spawn(ask_offsets(partitions_.at(partition.key()), ask.leader, ask.leader_epoch));
}

Task<std::expected<Offset, ErrorCode>> ReplicaManager::ask_offset(NodeId leader, PartitionPtr partition,
                                                                  LeaderEpoch epoch, std::int64_t timestamp) {
  using Request = wire::ListOffsetsRequest;
  ReplicaFetcher* fetcher = fetcher_for(leader);
  if (fetcher == nullptr) co_return std::unexpected(ErrorCode::NETWORK_EXCEPTION);
  wire::Arena arena;
  Request request;
  request.replica_id = self_.value();
  request.topics = arena.make_span<Request::ListOffsetsTopic>(1);
  request.topics[0].name = partition->topic();
  request.topics[0].partitions = arena.make_span<Request::ListOffsetsPartition>(1);
  request.topics[0].partitions[0].partition_index = partition->key().index;
  request.topics[0].partitions[0].current_leader_epoch = epoch.value();
  request.topics[0].partitions[0].timestamp = timestamp;
  const MonoTime deadline = runtime_->now() + config_->duration_ms("replica.socket.timeout.ms");
  auto answer = co_await fetcher->channel().call<wire::ListOffsetsResponse>(kListOffsetsVersion, request, deadline);
  if (!answer || (*answer)->topics.empty() || (*answer)->topics[0].partitions.empty()) {
    co_return std::unexpected(ErrorCode::NETWORK_EXCEPTION);
  }
  const auto& data = (*answer)->topics[0].partitions[0];
  if (data.error_code != 0) co_return std::unexpected(static_cast<ErrorCode>(data.error_code));
  co_return Offset(data.offset);
}

Task<void> ReplicaManager::ask_offsets(PartitionPtr partition, NodeId leader, LeaderEpoch epoch) {
  replication::LeaderOffsetsAnswered told{
      .leader_epoch = epoch, .error = ErrorCode::NONE, .log_start = kNoOffset, .log_end = kNoOffset};
  const auto earliest = co_await ask_offset(leader, partition, epoch, kEarliest);
  const auto latest = co_await ask_offset(leader, partition, epoch, kLatest);
  if (!earliest || !latest) {
    told.error = earliest ? latest.error() : earliest.error();
    co_await stop_.wait_until(runtime_->now() + config_->duration_ms("replica.fetch.backoff.ms"));
  } else {
    told.log_start = *earliest;
    told.log_end = *latest;
  }
  if (!stopping_ && !partition->removed()) {
    partition->leader_offsets(told);
    // The position is new, or may be asked again.
    const auto from = fetched_from_.find(partition->key());
    if (from != fetched_from_.end()) start_fetching(*partition, from->second);
  }
}

// ---- logs ----

void ReplicaManager::segment_rolled(Partition& partition) {
  if (partition.begin_flush()) scope_.spawn(flush_log(partitions_.at(partition.key())));
}

Task<void> ReplicaManager::flush_log(PartitionPtr partition) {
  do {
    const auto flushed = co_await partition->log().flush();
    if (!flushed) {
      if (!partition->removed()) log_failed(*partition, flushed.error());
      co_return;
    }
    if (!partition->removed())
      partition->announce(protocol::events::LogFlushed{.partition = partition->key(), .to = *flushed});
  } while (!partition->end_flush());
}

// A high watermark that is written down must not outlive the records below it: after the next stop it would vouch for
// others that took their place.
void ReplicaManager::log_shortened(Partition& partition) {
  const storage::PartitionName name{.topic = partition.topic(), .partition = partition.key().index};
  const auto lowered = directory_->lower_high_watermark_now(name, partition.replica().high_watermark());
  if (!lowered) return runtime_->halt(lowered.error().message);
  if (*lowered) runtime_->mark(Mark::HwCheckpointLowered);
  const auto cleaned = directory_->lower_cleaned_now(name, partition.log().cleaned_to());
  if (!cleaned) return runtime_->halt(cleaned.error().message);
  if (*cleaned) runtime_->mark(Mark::CleanerCheckpointLowered);
}

void ReplicaManager::log_failed(Partition& partition, const storage::LogError& error) {
  runtime_->mark(Mark::LogDirectoryOffline);
  // With one log directory nothing is left to serve from (Kafka halts as well).
  runtime_->halt(
      fmt::format("log directory {} failed at {}: {}", directory_->path(), partition.name(), error.to_string()));
}

// ---- upkeep ----

void ReplicaManager::start_upkeep() {
  scope_.spawn(every(config_->duration_ms("replica.lag.time.max.ms") / 2, &ReplicaManager::check_isrs));
  scope_.spawn(every(config_->duration_ms("replica.high.watermark.checkpoint.interval.ms"),
                     &ReplicaManager::checkpoint_high_watermarks));
  scope_.spawn(every(config_->duration_ms("log.flush.offset.checkpoint.interval.ms"),
                     &ReplicaManager::checkpoint_recovery_points));
  scope_.spawn(every(config_->duration_ms("log.retention.check.interval.ms"), &ReplicaManager::check_retention));
  if (config_->boolean("log.cleaner.enable")) cleaner_.start(scope_);
}

std::optional<CleanerSettings> ReplicaManager::settings_of_cleaner() const {
  if (image_ == nullptr) return std::nullopt;
  return cleaner_settings(protocol::ConfigView(*config_, *image_, self_));
}

Task<void> ReplicaManager::every(Duration period, Task<void> (ReplicaManager::*work)()) {
  while (!stopping_) {
    const Duration pause = runtime_->maybe(Site::EarlyTick) ? period / 8 : period;
    co_await stop_.wait_until(runtime_->now() + pause);
    if (!stopping_) co_await (this->*work)();
  }
}

Task<void> ReplicaManager::check_isrs() {
  for (const auto& [key, partition] : std::map(partitions_)) {
    if (partition->replica().is_leader()) partition->isr_tick();
  }
  co_return;
}

Task<void> ReplicaManager::checkpoint_high_watermarks() {
  storage::OffsetCheckpoint offsets;
  for (const auto& [key, partition] : partitions_) {
    if (partition->opened())
      offsets[{.topic = partition->topic(), .partition = key.index}] = partition->replica().high_watermark();
  }
  const auto written = co_await directory_->write_high_watermarks(std::move(offsets));
  if (!written && !stopping_) runtime_->halt(written.error().message);
}

Task<void> ReplicaManager::checkpoint_recovery_points() {
  storage::OffsetCheckpoint points;
  storage::OffsetCheckpoint starts;
  for (const auto& [key, partition] : partitions_) {
    if (!partition->opened()) continue;
    const storage::PartitionName name{.topic = partition->topic(), .partition = key.index};
    points[name] = partition->log().recovery_point();
    if (partition->log().log_start() > Offset(0)) starts[name] = partition->log().log_start();
  }
  const auto written = co_await directory_->write_recovery_points(std::move(points));
  if (!written && !stopping_) runtime_->halt(written.error().message);
  const auto starts_written = co_await directory_->write_log_starts(std::move(starts));
  if (!starts_written && !stopping_) runtime_->halt(starts_written.error().message);
}

Task<void> ReplicaManager::check_retention() {
  for (const auto& [key, partition] : std::map(partitions_)) partition->enforce_retention();
  if (runtime_->now() - producers_checked_ >= kProducerCheck) {
    producers_checked_ = runtime_->now();
    for (const auto& [key, partition] : partitions_) partition->expire_producers();
  }
  co_return;
}

void ReplicaManager::answer_all() {
  for (const auto& [key, partition] : std::map(partitions_))
    partition->remove(replication::RemovedReason::shutting_down);
}

Task<void> ReplicaManager::stop() {
  stopping_ = true;
  stop_.notify();
  cleaner_.stop();
  fetched_from_.clear();
  for (auto& [leader, fetcher] : std::exchange(fetchers_, {})) {
    if (fetcher != nullptr) co_await fetcher->stop();
  }
  co_await isr_sender_.stop();
  co_await scope_.join();
}

Task<bool> ReplicaManager::close_logs(bool loaded) {
  bool good = true;
  const std::map<PartitionKey, PartitionPtr> partitions = partitions_;
  for (const auto& [key, partition] : partitions) {
    if (!partition->opened()) continue;
    const auto closed = co_await partition->log().close_cleanly();
    if (closed) continue;
    good = false;
    runtime_->log(LogLevel::error, kLogger, fmt::format("{}: {}", partition->name(), closed.error().to_string()));
  }
  if (good && loaded) {
    co_await checkpoint_recovery_points();
    co_await checkpoint_high_watermarks();
  }
  co_return good;
}

}  // namespace verdict::broker
