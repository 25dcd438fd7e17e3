#include "protocol/broker/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "storage/record_hash.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "Partition";
namespace ev = protocol::events;

}  // namespace

storage::LogConfig log_config(const protocol::TopicConfig& config) {
  storage::LogConfig log;
  log.segment_bytes = static_cast<std::uint32_t>(config.segment_bytes);
  // A record must leave the active segment before it can be compacted.
  log.segment_ms =
      config.cleanup_compact ? std::min(config.segment_ms, config.max_compaction_lag_ms) : config.segment_ms;
  log.index_interval_bytes = static_cast<std::uint32_t>(config.index_interval_bytes);
  log.index_bytes = static_cast<std::uint32_t>(config.segment_index_bytes);
  log.retention_bytes = config.retention_bytes;
  log.retention_ms = config.retention_ms;
  log.delete_old = config.cleanup_delete;
  log.compacted = config.cleanup_compact;
  log.delete_retention_ms = config.delete_retention_ms;
  log.min_compaction_lag_ms = config.min_compaction_lag_ms;
  log.max_compaction_lag_ms = config.max_compaction_lag_ms;
  log.producer_id_expiration_ms = config.producer_id_expiration_ms;
  return log;
}

ErrorCode error_of(storage::BatchError error) {
  using enum storage::BatchError;
  switch (error) {
    case truncated:
    case bad_length:
    case bad_crc:
    case bad_compression:
    case decompressed_too_large:
      return ErrorCode::CORRUPT_MESSAGE;
    case too_large:
      return ErrorCode::MESSAGE_TOO_LARGE;
    case bad_timestamp:
      return ErrorCode::INVALID_TIMESTAMP;
    case unsupported_magic:
    case unknown_codec:
    case bad_record:
    case bad_count:
    case bad_offset_delta:
    case base_offset_not_zero:
    case control_batch:
    case bad_sequence:
    case keyless:
    case empty:
    case several_batches:
      return ErrorCode::INVALID_RECORD;
  }
  return ErrorCode::UNKNOWN_SERVER_ERROR;
}

ErrorCode error_of(storage::LogErrorKind kind) {
  switch (kind) {
    case storage::LogErrorKind::too_large:
      return ErrorCode::RECORD_LIST_TOO_LARGE;
    case storage::LogErrorKind::out_of_order_sequence:
      return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    case storage::LogErrorKind::invalid_producer_epoch:
      return ErrorCode::INVALID_PRODUCER_EPOCH;
    case storage::LogErrorKind::invalid_txn_state:
      return ErrorCode::INVALID_TXN_STATE;
    case storage::LogErrorKind::coordinator_fenced:
      return ErrorCode::TRANSACTION_COORDINATOR_FENCED;
    default:
      return ErrorCode::KAFKA_STORAGE_ERROR;
  }
}

Partition::Partition(const Context& context, PartitionKey key, std::string topic)
    : runtime_(&context.runtime),
      host_(&context.host),
      observer_(context.observer),
      decompressor_(&context.decompressor),
      effects_(&context.effects),
      key_(key),
      topic_(std::move(topic)),
      replica_({.partition = key, .self = context.self, .replica_lag_time_max = context.replica_lag_time_max}, *this,
               context.runtime.defects(), context.observer) {}

std::string Partition::name() const { return fmt::format("{}-{}", topic_, key_.index); }

// ---- replication::LogView; before the log is open nothing but the replica's construction asks ----

Offset Partition::log_start() const { return log_ ? log_->log_start() : Offset(0); }
Offset Partition::log_end() const { return log_ ? log_->log_end() : Offset(0); }
LeaderEpoch Partition::last_epoch() const { return log_ ? log_->last_epoch() : kNoEpoch; }

replication::EpochEnd Partition::end_offset_for(LeaderEpoch epoch) const {
  if (log_ == nullptr || epoch == kNoEpoch) return {};
  const auto end = log_->end_offset_for(epoch);
  return end ? replication::EpochEnd{.epoch = end->epoch, .end = end->end} : replication::EpochEnd{};
}

LeaderEpoch Partition::epoch_at(Offset offset) const {
  if (log_ == nullptr || offset < log_->log_start() || offset >= log_->log_end()) return kNoEpoch;
  return log_->epochs().epoch_of(offset).value_or(kNoEpoch);
}

// ---- turns ----

void Partition::run_effects() {
  VERDICT_ASSERT(!in_turn_, "a turn within a turn");
  in_turn_ = true;
  for (std::size_t i = 0; i < effects_->size(); ++i) {
    const replication::Effect effect = (*effects_)[i];
    std::visit([this](const auto& what) { run(what); }, effect);
  }
  if (effects_->marked()) effects_->for_each_mark([this](Mark mark) { runtime_->mark(mark); });
  effects_->clear();
  in_turn_ = false;
}

bool Partition::failed(const storage::LogError& error) {
  const bool offline = error.kind == storage::LogErrorKind::offline;
  runtime_->log(offline ? LogLevel::error : LogLevel::warn, kLogger, fmt::format("{}: {}", name(), error.to_string()));
  if (offline) host_->log_failed(*this, error);
  return offline;
}

void Partition::run(const replication::AssignEpochStart& effect) {
  log_->assign_epoch_start(effect.epoch, effect.start);
}

void Partition::cut(std::expected<storage::Truncated, storage::LogError> result, ev::TruncateReason reason) {
  if (!result) {
    // A log that can't be cut holds records that its leader doesn't: it must not go on.
    if (!failed(result.error())) host_->log_failed(*this, result.error());
    return;
  }
  if (result->changed() || reason == ev::TruncateReason::full) {  // a full one may end where the log ended
    runtime_->log(LogLevel::info, kLogger,
                  fmt::format("{}: truncated from {} to {}", name(), result->old_end.value(), result->new_end.value()));
    announce(ev::LogTruncated{.partition = key_, .from = result->old_end, .to = result->new_end, .reason = reason});
    announce_forgotten();
  }
  replica_.step(replication::Truncated{}, runtime_->now(), *effects_);
  host_->log_shortened(*this);
}

void Partition::run(const replication::TruncateTo& effect) {
  cut(log_->truncate_to(effect.to), ev::TruncateReason::divergence);
}

void Partition::run(const replication::TruncateFullyAndStartAt& effect) {
  auto result = log_->truncate_fully_and_start_at(effect.offset);
  if (result && effect.epoch != kNoEpoch) log_->assign_epoch_start(effect.epoch, effect.offset);
  cut(std::move(result), ev::TruncateReason::full);
}

void Partition::run(const replication::AppendAsFollower& effect) {
  storage::Bytes rest = answer_;
  for (std::uint32_t i = 0; i < effect.batches; ++i) {
    const auto batch = storage::take_batch(rest);
    VERDICT_ASSERT(batch.has_value());
  }
  const storage::Bytes batches = answer_.first(answer_.size() - rest.size());
  appended_.clear();
  Offset end = log_->log_end();
  const auto done = log_->append_as_follower(batches, storage::Log::Holes::allowed, runtime_->wall_now(), appended_);
  storage::Bytes left = batches;
  for (const storage::Appended& batch : appended_) {
    if (batch.base > end) runtime_->mark(Mark::FollowerCopiedHole);
    end = batch.last + 1;
    appended(batch, left.first(batch.size), ev::Role::follower);
    left = left.subspan(batch.size);
  }
  if (done) {
    replica_.step(replication::FollowerAppended{}, runtime_->now(), *effects_);
  } else if (!failed(done.error())) {
    if (done.error().kind == storage::LogErrorKind::append_failed) runtime_->mark(Mark::AppendFailedCutBack);
    replica_.step(replication::AppendFailed{}, runtime_->now(), *effects_);
  }
}

void Partition::run(const replication::AdvanceLogStart& effect) {
  const Offset from = log_->log_start();
  if (log_->advance_log_start(effect.to)) {
    announce(
        ev::LogStartMoved{.partition = key_, .from = from, .to = log_->log_start(), .reason = ev::StartReason::leader});
  }
}

void Partition::run(const replication::SendAlterPartition& effect) {
  host_->propose_isr(*this, effect, effects_->members(effect));
}

void Partition::run(const replication::WakeFetchers& effect) {
  if (effect.reason == replication::WakeReason::high_watermark) log_->note_high_watermark(replica_.high_watermark());
  for (FetchWatcher* watcher : watchers_) {
    watcher->woken = true;
    watcher->wake.notify();
  }
}

void Partition::appended(const storage::Appended& batch, storage::Bytes bytes, ev::Role role) {
  if (batch.rolled) {
    runtime_->mark(Mark::SegmentRolled);
    host_->segment_rolled(*this);
  }
  if (observer_ == nullptr) return;
  const auto header = storage::parse_header(bytes);
  VERDICT_ASSERT(header.has_value());
  if ((role == ev::Role::leader && config_.cleanup_compact) || is_rewritten(*header)) {
    if (const auto view = storage::BatchView::parse(bytes)) announce_records(*view);
  }
  const auto marker = storage::marker_of(*header, bytes);
  const bool transactional = header->control() ? marker.has_value() : header->transactional();
  const std::string_view outcome = !marker ? "" : marker->commit ? "commit" : "abort";
  observer_->observe(ev::BatchAppended{.partition = key_,
                                       .base = batch.base,
                                       .last = batch.last,
                                       .epoch = batch.epoch,
                                       .role = role,
                                       .crc = batch.crc,
                                       .records = header->count,
                                       .producer_id = header->producer_id,
                                       .producer_epoch = header->producer_epoch,
                                       .base_sequence = header->base_sequence,
                                       .max_timestamp_ms = batch.max_timestamp,
                                       .segment = batch.segment_base,
                                       .position = batch.position,
                                       .length = batch.size,
                                       .transaction = transactional && !marker ? "open" : outcome});
  if (!transactional) return;
  observer_->observe(ev::TransactionalAppended{.partition = key_,
                                               .base = batch.base,
                                               .last = batch.last,
                                               .producer_id = header->producer_id,
                                               .producer_epoch = header->producer_epoch,
                                               .marker = outcome});
}

void Partition::announce_records(const storage::BatchView& batch) {
  if (observer_ == nullptr) return;
  std::vector<Offset> offsets;
  std::vector<RecordHash> keys;
  std::vector<RecordHash> contents;
  auto records = storage::open_records(batch, *decompressor_);
  storage::RecordView record;
  for (bool more = records.has_value(); more;) {
    more = records->next(record).value_or(false);
    if (!more) break;
    offsets.push_back(record.offset);
    keys.push_back(RecordHash(storage::key_hash(record.key)));
    contents.push_back(RecordHash(storage::content_hash(record)));
  }
  observer_->observe(ev::BatchRecords{.partition = key_,
                                      .base = batch.header().base_offset,
                                      .last = batch.header().last_offset(),
                                      .offsets = offsets,
                                      .keys = keys,
                                      .contents = contents});
}

// ---- life ----

void Partition::open(std::unique_ptr<storage::Log> log, Offset high_watermark_checkpoint) {
  log_ = std::move(log);
  const storage::RecoveryReport& recovery = log_->recovery();
  announce(ev::LogOpened{.partition = key_,
                         .directory = log_->directory(),
                         .log_start = log_->log_start(),
                         .log_end = log_->log_end(),
                         .last_epoch = log_->last_epoch(),
                         .clean = !recovery.checked,
                         .cut_bytes = static_cast<std::int64_t>(recovery.bytes_cut)});
  announce_forgotten();
  if (recovery.bytes_cut != 0) {
    runtime_->log(LogLevel::warn, kLogger,
                  fmt::format("{}: recovery cut {} bytes at offset {}: {}", name(), recovery.bytes_cut,
                              log_->log_end().value(), recovery.why_cut));
  }
  turn(replication::LogOpened{.high_watermark_checkpoint = high_watermark_checkpoint});
  host_->log_shortened(*this);
}

void Partition::configure(const protocol::TopicConfig& config) {
  const bool min_isr_changed = config.min_insync_replicas != config_.min_insync_replicas;
  config_ = config;
  if (log_ != nullptr) log_->set_config(log_config(config));
  if (min_isr_changed && log_ != nullptr) turn(replication::MinIsrChanged{config.min_insync_replicas});
}

void Partition::remove(replication::RemovedReason reason) {
  if (removed_) return;
  removed_ = true;
  turn(replication::Removed{reason});
  const bool gives_up_log =
      reason == replication::RemovedReason::topic_deleted || reason == replication::RemovedReason::reassigned;
  if (log_ != nullptr && gives_up_log) announce(ev::LogClosed{.partition = key_});
}

storage::ValidationRules Partition::rules() const {
  storage::ValidationRules rules;
  rules.max_message_bytes = static_cast<std::size_t>(config_.max_message_bytes);
  rules.compacted = config_.cleanup_compact;
  rules.timestamp_type =
      config_.log_append_time ? storage::TimestampType::log_append_time : storage::TimestampType::create_time;
  rules.now_ms = to_ms(runtime_->wall_now());
  rules.before_max_ms = config_.timestamp_before_max_ms;
  rules.after_max_ms = config_.timestamp_after_max_ms;
  return rules;
}

ProduceOutcome Partition::produce(std::span<std::byte> batch, std::int16_t acks, WaiterId waiter,
                                  storage::AppendOrigin origin) {
  ProduceOutcome outcome;
  outcome.error = turn(replication::ProduceRequested{.acks = acks});
  if (outcome.error != ErrorCode::NONE) return outcome;
  storage::ValidationRules asked = rules();
  asked.allow_control = origin == storage::AppendOrigin::coordinator;
  const auto valid = storage::validate_batch_verbose(batch, asked, *decompressor_);
  if (!valid) {
    outcome.error = error_of(valid.error().error);
    outcome.invalid = valid.error().error;
    outcome.bad_record = valid.error().record_index;
    return outcome;
  }
  storage::stamp_timestamps(batch, *valid, asked);
  outcome = append(batch, valid->header, acks, waiter, origin);
  // Kafka names the time of a batch that it recognises whatever the topic's message.timestamp.type is.
  if (outcome.waits && !outcome.duplicate && config_.log_append_time) outcome.append_time_ms = asked.now_ms;
  return outcome;
}

ProduceOutcome Partition::write_marker(const storage::TxnMarker& marker, WaiterId waiter) {
  constexpr std::int16_t kAll = -1;
  ProduceOutcome outcome;
  outcome.error = turn(replication::ProduceRequested{.acks = kAll});
  if (outcome.error != ErrorCode::NONE) return outcome;
  std::vector<std::byte> batch = storage::build_marker(marker, to_ms(runtime_->wall_now()));
  const auto header = storage::parse_header(batch);
  VERDICT_ASSERT(header.has_value());
  return append(batch, *header, kAll, waiter, storage::AppendOrigin::coordinator);
}

ProduceOutcome Partition::refused(const storage::LogError& error) {
  ProduceOutcome outcome;
  outcome.error = error_of(error.kind);
  if (outcome.error == ErrorCode::KAFKA_STORAGE_ERROR || outcome.error == ErrorCode::RECORD_LIST_TOO_LARGE) {
    if (failed(error)) return outcome;
    if (error.kind == storage::LogErrorKind::append_failed) runtime_->mark(Mark::AppendFailedCutBack);
    turn(replication::AppendFailed{});
  } else {
    outcome.log_start = log_->log_start();
    if (error.kind == storage::LogErrorKind::out_of_order_sequence) runtime_->mark(Mark::SequenceRefused);
    if (error.kind == storage::LogErrorKind::invalid_producer_epoch) runtime_->mark(Mark::ProducerFenced);
    runtime_->log(LogLevel::info, kLogger, fmt::format("{}: {}", name(), error.to_string()));
  }
  return outcome;
}

ProduceOutcome Partition::append(std::span<std::byte> batch, const storage::BatchHeader& header, std::int16_t acks,
                                 WaiterId waiter, storage::AppendOrigin origin) {
  if (origin == storage::AppendOrigin::client && out_of_order(header)) {
    ProduceOutcome outcome;
    outcome.error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    outcome.log_start = log_->log_start();
    runtime_->mark(Mark::SequenceRefused);
    return outcome;
  }
  const auto done = log_->append_as_leader(batch, replica_.leader_epoch(), runtime_->wall_now(), origin);
  if (!done) return refused(done.error());
  ProduceOutcome outcome;
  outcome.base = done->base;
  outcome.log_start = log_->log_start();
  outcome.waits = true;
  outcome.duplicate = done->duplicate;
  if (done->duplicate) {
    outcome.append_time_ms = done->max_timestamp;
    runtime_->mark(Mark::ResendRecognised);
  } else {
    const auto guard = guards_.find(header.producer_id);
    const bool of_the_next = header.control() && guard != guards_.end() && guard->second.adds &&
                             guard->second.epoch == header.producer_epoch;
    if (guard != guards_.end() && !of_the_next) guards_.erase(guard);
    appended(*done, batch, ev::Role::leader);
  }
  // What retention took was below the high watermark: there is nothing to wait for.
  const bool gone = done->duplicate && done->base < log_->log_start();
  constexpr std::int16_t kLeaderOnly = 1;
  turn(replication::ProduceAppended{.batch = {.base = done->base,
                                              .last = done->last,
                                              .epoch = done->epoch,
                                              .crc = done->crc,
                                              .producer_id = header.producer_id,
                                              .producer_epoch = header.producer_epoch,
                                              .base_sequence = header.base_sequence},
                                    .acks = gone && acks != 0 ? kLeaderOnly : acks,
                                    .waiter = waiter});
  return outcome;
}

bool Partition::in_transaction(ProducerId id, ProducerEpoch epoch) const {
  const storage::ProducerEntry* entry = log_->producers().find(id);
  return entry != nullptr && entry->txn_first != kNoOffset && entry->epoch == epoch;
}

std::uint32_t Partition::markers_of(ProducerId id) const {
  const storage::ProducerEntry* entry = log_->producers().find(id);
  return entry == nullptr ? 0 : entry->markers;
}

void Partition::verifying(const storage::BatchHeader& header, bool adds) {
  const auto [at, fresh] = guards_.try_emplace(
      header.producer_id, Guard{header.producer_epoch, header.base_sequence, adds, to_ms(runtime_->wall_now())});
  Guard& guard = at->second;
  if (fresh) return;
  if (adds && header.producer_epoch > guard.epoch) {
    guard.epoch = header.producer_epoch;
    guard.lowest = header.base_sequence;
  }
  guard.lowest = std::min(guard.lowest, header.base_sequence);
}

bool Partition::out_of_order(const storage::BatchHeader& header) const {
  const auto at = guards_.find(header.producer_id);
  // A transaction that is open here has its state; a stray of another epoch doesn't hold it up (in Kafka 4.1 it does).
  if (at == guards_.end() || in_transaction(header.producer_id, header.producer_epoch)) return false;
  const bool unknown = log_->producers().find(header.producer_id) == nullptr;
  return header.base_sequence > at->second.lowest || (at->second.adds && unknown && header.base_sequence != 0);
}

Offset Partition::last_stable_offset() const {
  return log_ == nullptr ? replica_.high_watermark() : log_->last_stable_offset(replica_.high_watermark());
}

void Partition::expire_producers() {
  if (log_ == nullptr || removed_) return;
  log_->expire_producers(runtime_->wall_now());
  const std::int64_t oldest = to_ms(runtime_->wall_now()) - config_.producer_id_expiration_ms;
  std::erase_if(guards_, [&](const auto& guard) { return guard.second.since_ms <= oldest; });
  announce_forgotten();
}

void Partition::announce_forgotten() {
  const std::vector<ProducerId> forgotten = log_->take_forgotten();
  if (!forgotten.empty()) announce(ev::ProducersForgotten{.partition = key_, .producers = forgotten});
}

void Partition::fetch_answered(replication::FetchAnswered answer, storage::Bytes records) {
  summaries_.clear();
  storage::Bytes rest = records;
  for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
    const storage::BatchHeader& header = batch->header();
    summaries_.push_back({.base = header.base_offset, .last = header.last_offset(), .epoch = header.leader_epoch});
  }
  answer_ = records;
  answer.batches = summaries_;
  turn(answer);
  answer_ = {};
}

bool Partition::begin_flush() {
  rolled_since_ = flushing_;
  return !std::exchange(flushing_, true);
}

bool Partition::end_flush() {
  flushing_ = std::exchange(rolled_since_, false);
  return !flushing_;
}

Task<std::expected<storage::CleaningReport, storage::LogError>> Partition::clean(storage::Cleaner* tools,
                                                                                 storage::CleaningRange range) {
  return log_->clean(tools, range,
                     [this, range](const storage::CleanedSegment& segment) { cleaned(segment, range.last_stable); });
}

void Partition::cleaned(const storage::CleanedSegment& segment, Offset last_stable) {
  if (observer_ == nullptr || removed_) return;
  std::vector<Offset> bases;
  std::vector<Offset> lasts;
  std::vector<FilePosition> positions;
  for (const storage::CleanedSegment::Batch& batch : segment.batches) {
    bases.push_back(batch.base);
    lasts.push_back(batch.last);
    positions.push_back(FilePosition(batch.position));
  }
  observer_->observe(ev::LogCleaned{.partition = key_,
                                    .from = segment.from,
                                    .to = segment.to,
                                    .clean_to = segment.clean_to,
                                    .last_stable = last_stable,
                                    .bases = bases,
                                    .lasts = lasts,
                                    .positions = positions,
                                    .size = FilePosition(segment.size),
                                    .records = segment.records});
}

void Partition::enforce_retention() {
  if (log_ == nullptr || removed_) return;
  const Offset before = log_->log_start();
  // Told first: who dies as he removes files can't tell any more.
  const auto starts_at = [&](Offset to) {
    announce(ev::LogStartMoved{.partition = key_, .from = before, .to = to, .reason = ev::StartReason::retention});
  };
  const auto removed = log_->enforce_retention(runtime_->wall_now(), replica_.high_watermark(), starts_at);
  if (!removed) {
    failed(removed.error());
    return;
  }
  if (!removed->empty()) runtime_->mark(Mark::RetentionRemovedSegment);
}

}  // namespace verdict::broker
