#include <algorithm>

#include "protocol/replication/replica.h"
#include "runtime/assert.h"

// The leader: progress of followers, high watermark, acknowledgement.
namespace verdict::replication {

namespace events = protocol::events;

namespace {
constexpr std::int16_t kAcksAll = -1;

// Planted defects: before KIP-903 a fetch carried no broker epoch, before KAFKA-15221 an older one was not refused.
bool counts_stale_fetch(const DefectSet& defects, Effects& effects) {
  const bool unknown = defects.has(Defect::Kip903);
  const bool unchecked = defects.has(Defect::Kafka15221);
  if (unknown) effects.mark(Mark::DefectKip903);
  if (unchecked) effects.mark(Mark::DefectKafka15221);
  return unknown || unchecked;
}
}  // namespace

std::size_t Replica::effective_min_isr() const {
  const auto configured = static_cast<std::size_t>(std::max(min_insync_replicas_, 1));
  return std::min(configured, leading_.replica_count());
}

bool Replica::under_min_isr() const { return leading_.isr().size() < effective_min_isr(); }

ErrorCode Replica::step(const ProduceRequested& event, MonoTime, Effects& effects) {
  if (role_ == ReplicaRole::none) return refusal_;
  if (!is_leader()) return ErrorCode::NOT_LEADER_OR_FOLLOWER;
  if (event.acks == kAcksAll && under_min_isr()) {
    if (!defects_.has(Defect::MinIsrOff)) [[likely]] {
      effects.mark(Mark::NotEnoughReplicas);
      return ErrorCode::NOT_ENOUGH_REPLICAS;
    }
    effects.mark(Mark::DefectMinIsrOff);
  }
  return ErrorCode::NONE;
}

void Replica::step(const ProduceAppended& event, MonoTime now, Effects& effects) {
  VERDICT_ASSERT(is_leader() && event.batch.epoch <= leader_epoch_ && event.batch.last < log_.log_end());
  const Waiter waiter{.id = event.waiter, .batch = event.batch};
  if (event.acks == kAcksAll) {
    leading_.waiters().push(waiter);
  } else {
    answer(waiter, event.acks, ErrorCode::NONE, effects);
  }
  effects.emit(WakeFetchers{WakeReason::appended});
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::step(const WaiterExpired& event, MonoTime, Effects& effects) {
  Waiter waiter;
  if (!leading_.waiters().take(event.waiter, waiter)) return;
  effects.mark(Mark::WaiterTimedOut);
  answer(waiter, kAcksAll, ErrorCode::REQUEST_TIMED_OUT, effects);
}

FetchDecision Replica::step(const FollowerFetch& event, MonoTime now, Effects& effects) {
  ErrorCode error = admit_reader(event.current_leader_epoch, true, effects);
  if (error != ErrorCode::NONE) {
    if (!defects_.empty()) [[unlikely]]
      return fetch_unfenced(event, error, now, effects);
    return {.error = error};
  }
  RemoteReplica* remote = leading_.find(event.replica);
  // Its metadata may be ahead of this leader's.
  if (remote == nullptr) return {.error = ErrorCode::UNKNOWN_LEADER_EPOCH};
  FetchDecision decision = decide_fetch(event.fetch_offset, event.last_fetched_epoch);
  if (decision.error != ErrorCode::NONE) return decision;
  if (defects_.has(Defect::Kip279)) [[unlikely]]
    look_up_without_epoch(event, decision, effects);
  if (decision.diverging.known()) {
    effects.mark(Mark::DivergenceAnswered);
    if (observer_ != nullptr) [[unlikely]] {
      observer_->observe(events::DivergenceAnswered{.partition = config_.partition,
                                                    .leader_epoch = leader_epoch_,
                                                    .follower = event.replica,
                                                    .diverging_epoch = decision.diverging.epoch,
                                                    .end = decision.diverging.end});
    }
    return decision;
  }
  if (event.progress == Progress::record) {
    error = record_progress(*remote, event, now, effects);
    if (error != ErrorCode::NONE) return {.error = error};
  }
  decision.high_watermark = high_watermark_;
  decision.read_limit = log_.log_end();
  return decision;
}

bool Replica::of_earlier_incarnation(const RemoteReplica& remote, const FollowerFetch& fetch) const {
  // Its fetch says nothing about the log of the present one (KIP-903, KAFKA-15221).
  return fetch.broker_epoch != kNoBrokerEpoch &&
         fetch.broker_epoch < std::max(remote.registered_epoch, remote.fetch_broker_epoch);
}

void Replica::announce_fetch(const FollowerFetch& fetch) const {
  observer_->observe(events::FollowerFetched{.partition = config_.partition,
                                             .leader_epoch = leader_epoch_,
                                             .follower = fetch.replica,
                                             .broker_epoch = fetch.broker_epoch,
                                             .fetch_offset = fetch.fetch_offset,
                                             .last_fetched_epoch = fetch.last_fetched_epoch});
}

ErrorCode Replica::record_progress(RemoteReplica& remote, const FollowerFetch& fetch, MonoTime now, Effects& effects) {
  if (of_earlier_incarnation(remote, fetch) && !counts_stale_fetch(defects_, effects)) {
    effects.mark(Mark::StaleBrokerEpochRefused);
    return ErrorCode::NOT_LEADER_OR_FOLLOWER;
  }
  // It holds nothing, and asks what it lacks (Replica::unplaced_).
  if (fetch.log_start != kNoOffset && fetch.fetch_offset < fetch.log_start) return ErrorCode::NONE;
  // Nothing of what it holds can be compared; it counts once it starts here too (Replica::restarts_at).
  if (fetch.log_start != kNoOffset && fetch.log_start < log_.log_start() && fetch.fetch_offset <= log_.log_start()) {
    if (!defects_.has(Defect::KeptBelowLogStart)) [[likely]]
      return ErrorCode::NONE;
    effects.mark(Mark::DefectKeptBelowLogStart);
  }
  const Offset before = remote.log_end;
  const BrokerEpoch newest = remote.fetch_broker_epoch;
  remote.count_fetch(fetch, log_.log_end(), now);
  // The two fetches were stored in part each: the older one's log end under the newer one's broker epoch.
  if (newest > fetch.broker_epoch && defects_.has(Defect::Kafka15221)) [[unlikely]]
    remote.fetch_broker_epoch = newest;
  if (observer_ != nullptr) [[unlikely]]
    announce_fetch(fetch);
  maybe_expand_isr(remote, remote.log_end, effects);
  if (before != remote.log_end) {
    maybe_advance_high_watermark(now, effects);
    complete_waiters(effects);
  }
  return ErrorCode::NONE;
}

Offset Replica::countable_end(MonoTime now, Effects& effects) {
  const Offset leader_end = log_.log_end();
  Offset end = leader_end;
  for (const RemoteReplica& remote : leading_.remotes()) {
    if (remote.log_end >= end) continue;
    if (leading_.in_maximal_isr(remote)) {
      end = remote.log_end;
    } else if (remote.is_caught_up(leader_end, now, config_.replica_lag_time_max) && eligible_for_isr(remote)) {
      // It would chase a moving high watermark and never join.
      effects.mark(Mark::HwWaitsForCaughtUp);
      end = remote.log_end;
    }
  }
  return end;
}

Offset Replica::majority_end() {
  std::vector<Offset>& ends = leading_.counted();
  ends.assign(1, log_.log_end());
  for (const RemoteReplica& remote : leading_.remotes()) ends.push_back(remote.log_end);
  std::ranges::sort(ends, std::greater{});
  return ends[ends.size() / 2];
}

void Replica::maybe_advance_high_watermark(MonoTime now, Effects& effects) {
  if (!is_leader() || log_.log_end() == high_watermark_) return;
  const bool frozen = under_min_isr();
  if (frozen && !defects_.has(Defect::MinIsrOff)) [[unlikely]] {
    effects.mark(Mark::HwFrozenUnderMinIsr);
    return;
  }
  Offset end = countable_end(now, effects);
  if (defects_.has(Defect::MajorityHw)) [[unlikely]] {
    const Offset healthy = end;
    end = majority_end();
    if (end > healthy) effects.mark(Mark::DefectMajorityHw);
  }
  if (defects_.has(Defect::Kip320Hw)) [[unlikely]] {
    const Offset healthy = end;
    end = end_of_any_epoch(now);
    if (end > std::max(healthy, high_watermark_)) effects.mark(Mark::DefectKip320Hw);
  }
  if (end <= high_watermark_) return;
  if (frozen) [[unlikely]]
    effects.mark(Mark::DefectMinIsrOff);
  VERDICT_ASSERT(end <= log_.log_end());
  const Offset from = high_watermark_;
  high_watermark_ = end;
  if (observer_ != nullptr) [[unlikely]]
    announce_high_watermark(from);
  effects.emit(WakeFetchers{WakeReason::high_watermark});
}

void Replica::announce_high_watermark(Offset from) {
  events::HighWatermarkAdvanced event{.partition = config_.partition,
                                      .role = is_leader() ? events::Role::leader : events::Role::follower,
                                      .leader_epoch = leader_epoch_,
                                      .partition_epoch = partition_epoch_,
                                      .from = from,
                                      .to = high_watermark_};
  if (is_leader()) {
    std::vector<Offset>& counted = leading_.counted();
    counted.clear();
    for (NodeId id : leading_.maximal_isr()) {
      const RemoteReplica* remote = leading_.find(id);
      counted.push_back(remote != nullptr ? remote->counted_end() : log_.log_end());
    }
    event.maximal_isr = leading_.maximal_isr();
    event.counted = counted;
  }
  observer_->observe(event);
}

// ---- acknowledgement ----

bool Replica::still_in_log(const Waiter& waiter) const {
  // A leader's own epoch is never cut.
  if (is_leader() && waiter.batch.epoch == leader_epoch_) return true;
  return log_.epoch_at(waiter.batch.base) == waiter.batch.epoch &&
         log_.epoch_at(waiter.batch.last) == waiter.batch.epoch;
}

void Replica::complete_waiters(Effects& effects) {
  Waiters& waiters = leading_.waiters();
  while (!waiters.empty() && waiters.front().batch.last < high_watermark_) {
    const Waiter waiter = waiters.front();
    waiters.pop();
    ErrorCode error = ErrorCode::NONE;
    if (!defects_.has(Defect::AckByOffset) && !still_in_log(waiter)) {
      error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    } else if (is_leader() && leading_.maximal_isr().size() < effective_min_isr()) {
      if (!defects_.has(Defect::MinIsrOff)) [[likely]] {
        effects.mark(Mark::NotEnoughAfterAppend);
        error = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
      } else {
        effects.mark(Mark::DefectMinIsrOff);
      }
    }
    answer(waiter, kAcksAll, error, effects);
  }
}

void Replica::answer(const Waiter& waiter, std::int16_t acks, ErrorCode error, Effects& effects) {
  const ProducedBatch& batch = waiter.batch;
  if (observer_ != nullptr && acks != 0) [[unlikely]] {
    observer_->observe(events::ProduceAcknowledged{.partition = config_.partition,
                                                   .leader_epoch = batch.epoch,
                                                   .acks = acks,
                                                   .error_code = static_cast<std::int16_t>(error),
                                                   .base = batch.base,
                                                   .last = batch.last,
                                                   .crc = batch.crc,
                                                   .producer_id = batch.producer_id,
                                                   .producer_epoch = batch.producer_epoch,
                                                   .base_sequence = batch.base_sequence,
                                                   .maximal_isr = leading_.maximal_isr()});
  }
  const bool ok = error == ErrorCode::NONE;
  effects.emit(CompleteProduce{.waiter = waiter.id,
                               .error = error,
                               .base = ok ? batch.base : kNoOffset,
                               .epoch = batch.epoch,
                               .log_start = ok ? log_.log_start() : kNoOffset});
}

void Replica::answer_all(ErrorCode error, Effects& effects) {
  Waiters& waiters = leading_.waiters();
  while (!waiters.empty()) {
    const Waiter waiter = waiters.front();
    waiters.pop();
    answer(waiter, kAcksAll, error, effects);
  }
}

}  // namespace verdict::replication
