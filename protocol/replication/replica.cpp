#include "protocol/replication/replica.h"

#include <algorithm>

#include "runtime/assert.h"

// Roles, leader epochs, and what holds for leader and follower alike.
namespace verdict::replication {

namespace events = protocol::events;

Replica::Replica(const ReplicaConfig& config, const LogView& log, const DefectSet& defects,
                 protocol::Observer* observer)
    : config_(config), log_(log), defects_(defects), observer_(observer) {}

void Replica::step(const LogOpened& event, MonoTime, Effects&) {
  VERDICT_ASSERT(!opened_ && !removed_);
  opened_ = true;
  high_watermark_ = std::clamp(event.high_watermark_checkpoint, log_.log_start(), log_.log_end());
  unplaced_ = holds_nothing();
}

// Above offset 0, and no epoch is known that a leader could compare.
bool Replica::holds_nothing() const {
  return log_.log_start() == log_.log_end() && log_.log_start() > Offset(0) && log_.last_epoch() == kNoEpoch;
}

void Replica::step(const MetadataChanged& event, MonoTime now, Effects& effects) {
  VERDICT_ASSERT(opened_ && !removed_);
  min_insync_replicas_ = event.min_insync_replicas;
  local_broker_epoch_ = event.local_broker_epoch;
  const bool lead = event.leader == config_.self;
  const bool newer = event.partition_epoch >= partition_epoch_ && event.leader_epoch >= leader_epoch_;
  if (newer) in_isr_ = std::ranges::find(event.isr, config_.self) != event.isr.end();
  // Planted defect: metadata of the partition epoch that the leader has already ends its proposal.
  const bool known_is_news = defects_.has(Defect::StaleMetadataDropsProposal) && leading_.in_flight();
  if (newer && (role_ == ReplicaRole::none || event.leader_epoch > leader_epoch_)) {
    if (lead) {
      become_leader(event, now, effects);
    } else {
      become_follower(event, effects);
    }
  } else if (newer && is_leader() && !lead) {
    become_follower(event, effects);
  } else if (newer && is_leader() && (event.partition_epoch > partition_epoch_ || known_is_news)) {
    if (event.partition_epoch == partition_epoch_) effects.mark(Mark::DefectStaleMetadataDropsProposal);
    update_leader(event);
  } else if (newer && role_ == ReplicaRole::follower && !lead) {
    // Without a new leader epoch it can only be the loss of the leader.
    if (event.leader != leader_) become_follower(event, effects);
    partition_epoch_ = event.partition_epoch;
  }
  apply_brokers(event.brokers);
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::step(const BrokersChanged& event, MonoTime now, Effects& effects) {
  apply_brokers(event.brokers);
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::step(const MinIsrChanged& event, MonoTime now, Effects& effects) {
  min_insync_replicas_ = event.min_insync_replicas;
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::step(const Removed& event, MonoTime, Effects& effects) {
  switch (event.reason) {
    case RemovedReason::topic_deleted:
      refusal_ = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
      break;
    case RemovedReason::reassigned:
    case RemovedReason::shutting_down:
      refusal_ = ErrorCode::NOT_LEADER_OR_FOLLOWER;
      break;
    case RemovedReason::log_directory_failed:
      refusal_ = ErrorCode::KAFKA_STORAGE_ERROR;
      break;
  }
  removed_ = true;
  if (role_ == ReplicaRole::follower) effects.emit(StopFetching{});
  role_ = ReplicaRole::none;
  leader_ = kNoNode;
  following_ = {};
  answer_all(refusal_, effects);
  leading_.clear();
  effects.emit(WakeFetchers{WakeReason::role});
}

void Replica::apply_brokers(std::span<const ReplicaBroker> brokers) {
  for (const ReplicaBroker& broker : brokers) {
    RemoteReplica* remote = leading_.find(broker.id);
    if (remote == nullptr) continue;
    remote->registered_epoch = broker.epoch;
    remote->fenced = broker.fenced;
    remote->shutting_down = broker.shutting_down;
  }
}

void Replica::become_leader(const MetadataChanged& event, MonoTime now, Effects& effects) {
  const bool led_before = is_leader();
  if (leading_.in_flight()) {
    effects.mark(Mark::LeaderChangedWithIsrPending);
    leading_.end_proposal();
  }
  role_ = ReplicaRole::leader;
  unplaced_ = false;
  leader_ = config_.self;
  leader_epoch_ = event.leader_epoch;
  partition_epoch_ = event.partition_epoch;
  if (following_.phase != FollowerPhase::idle) {
    following_ = {};
    effects.emit(StopFetching{});
  }
  const Offset start = log_.log_end();
  leading_.assign(config_.self, event.replicas);
  leading_.set_committed_isr(event.isr);
  if (defects_.has(Defect::Kip320Hw)) [[unlikely]]
    keep_counted_ends();
  leading_.start_epoch(start, now);
  if (led_before && !leading_.waiters().empty()) effects.mark(Mark::WaiterSurvivedEpochBump);
  if (observer_ != nullptr) [[unlikely]] {
    observer_->observe(events::BecameLeader{.partition = config_.partition,
                                            .leader_epoch = leader_epoch_,
                                            .partition_epoch = partition_epoch_,
                                            .epoch_start = start,
                                            .high_watermark = high_watermark_,
                                            .isr = leading_.isr()});
  }
  if (!defects_.has(Defect::Kafka7415)) [[likely]] {
    effects.emit(AssignEpochStart{leader_epoch_, start});
  } else {
    // The first append of the epoch records it.
    effects.mark(Mark::DefectKafka7415);
  }
  effects.emit(WakeFetchers{WakeReason::role});
}

void Replica::update_leader(const MetadataChanged& event) {
  partition_epoch_ = event.partition_epoch;
  leading_.assign(config_.self, event.replicas);
  adopt_isr(event.isr);
}

void Replica::become_follower(const MetadataChanged& event, Effects& effects) {
  const bool led_before = is_leader();
  const bool fetched_before = following_.phase != FollowerPhase::idle;
  if (leading_.in_flight()) effects.mark(Mark::LeaderChangedWithIsrPending);
  role_ = ReplicaRole::follower;
  leader_ = event.leader;
  leader_epoch_ = event.leader_epoch;
  partition_epoch_ = event.partition_epoch;
  following_ = {};
  leading_.clear();
  // What was removed here may have been of another history than this leader's. Members of the ISR share its.
  if (!in_isr_) unplaced_ = unplaced_ || holds_nothing();
  if (observer_ != nullptr) [[unlikely]] {
    observer_->observe(events::BecameFollower{.partition = config_.partition,
                                              .leader_epoch = leader_epoch_,
                                              .partition_epoch = partition_epoch_,
                                              .leader = leader_});
  }
  if (led_before && !leading_.waiters().empty()) {
    if (defects_.has(Defect::AckByOffset)) [[unlikely]] {
      effects.mark(Mark::DefectAckByOffset);
    } else {
      effects.mark(Mark::WaiterLostLeadership);
      answer_all(ErrorCode::NOT_LEADER_OR_FOLLOWER, effects);
    }
  }
  effects.emit(WakeFetchers{WakeReason::role});
  if (leader_ == kNoNode) {
    if (fetched_before) effects.emit(StopFetching{});
    return;
  }
  following_.phase = FollowerPhase::fetching;
  effects.emit(StartFetching{leader_, leader_epoch_});
  if (defects_.has(Defect::Kip101)) [[unlikely]] {
    following_.unchecked = true;
    if (high_watermark_ < log_.log_end()) {
      effects.mark(Mark::DefectKip101);
      following_.phase = FollowerPhase::truncating;
      effects.emit(TruncateTo{high_watermark_});
    }
  }
}

ErrorCode Replica::check_epoch(LeaderEpoch current, Effects& effects) const {
  if (current == kNoEpoch || current == leader_epoch_) return ErrorCode::NONE;
  if (current < leader_epoch_) {
    effects.mark(Mark::FetchFencedOldEpoch);
    return ErrorCode::FENCED_LEADER_EPOCH;
  }
  effects.mark(Mark::FetchFencedNewEpoch);
  return ErrorCode::UNKNOWN_LEADER_EPOCH;
}

ErrorCode Replica::admit_reader(LeaderEpoch current, bool leader_only, Effects& effects) const {
  if (role_ == ReplicaRole::none) return refusal_;
  const ErrorCode error = check_epoch(current, effects);
  if (error != ErrorCode::NONE) return error;
  return leader_only && !is_leader() ? ErrorCode::NOT_LEADER_OR_FOLLOWER : ErrorCode::NONE;
}

FetchDecision Replica::decide_fetch(Offset fetch_offset, LeaderEpoch last_fetched) const {
  FetchDecision decision{.high_watermark = high_watermark_, .log_start = log_.log_start()};
  if (last_fetched != kNoEpoch) {
    const EpochEnd own = log_.end_offset_for(last_fetched);
    if (!own.known() || fetch_offset < decision.log_start) return {.error = ErrorCode::OFFSET_OUT_OF_RANGE};
    if (own.epoch < last_fetched || own.end < fetch_offset) {
      decision.diverging = own;
      return decision;
    }
  }
  if (fetch_offset < decision.log_start || fetch_offset > log_.log_end()) {
    return {.error = ErrorCode::OFFSET_OUT_OF_RANGE};
  }
  return decision;
}

FetchDecision Replica::step(const ConsumerFetch& event, MonoTime, Effects& effects) {
  const ErrorCode error = admit_reader(event.current_leader_epoch, event.leader_only, effects);
  if (error != ErrorCode::NONE) return {.error = error};
  FetchDecision decision = decide_fetch(event.fetch_offset, event.last_fetched_epoch);
  if (decision.error == ErrorCode::NONE) decision.read_limit = high_watermark_;
  return decision;
}

OffsetForLeaderEpochDecision Replica::step(const OffsetForLeaderEpoch& event, MonoTime, Effects& effects) {
  const ErrorCode error = admit_reader(event.current_leader_epoch, true, effects);
  if (error != ErrorCode::NONE) return {.error = error};
  return {.end = log_.end_offset_for(event.epoch)};
}

ListOffsetsDecision Replica::step(const ListOffsets& event, MonoTime, Effects& effects) {
  const ErrorCode error = admit_reader(event.current_leader_epoch, true, effects);
  if (error != ErrorCode::NONE) return {.error = error};
  ListOffsetsDecision decision{.leader_epoch = leader_epoch_, .log_start = log_.log_start()};
  decision.latest = event.from_replica ? log_.log_end() : high_watermark_;
  // A high watermark of before the election may lie below what was told by the older leader.
  decision.latest_lags = !event.from_replica && leading_.epoch_start() > high_watermark_;
  if (event.latest && decision.latest_lags) {
    effects.mark(Mark::OffsetNotAvailable);
    return {.error = ErrorCode::OFFSET_NOT_AVAILABLE};
  }
  return decision;
}

}  // namespace verdict::replication
