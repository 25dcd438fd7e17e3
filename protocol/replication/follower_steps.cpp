#include <algorithm>
#include <utility>

#include "protocol/replication/replica.h"
#include "runtime/assert.h"

// The follower: what it fetches, and what it makes of the answers.
namespace verdict::replication {

std::optional<FetchPosition> Replica::next_fetch() const {
  if (following_.phase != FollowerPhase::fetching) return std::nullopt;
  // From the beginning: below its own start, so that nothing is counted, and the answer tells where the leader's log
  // begins.
  if (unplaced_)
    return FetchPosition{.leader = leader_,
                         .current_leader_epoch = leader_epoch_,
                         .fetch_offset = Offset(0),
                         .last_fetched_epoch = kNoEpoch,
                         .log_start = log_.log_start()};
  return FetchPosition{.leader = leader_,
                       .current_leader_epoch = leader_epoch_,
                       .fetch_offset = log_.log_end(),
                       .last_fetched_epoch = following_.unchecked ? kNoEpoch : log_.last_epoch(),
                       .log_start = log_.log_start()};
}

void Replica::step(const FetchAnswered& event, MonoTime, Effects& effects) {
  // KAFKA-18991: an answer to an older question may diverge where the present log does not. Before it, the offset alone
  // told the answers apart.
  const bool old_epoch = event.leader_epoch != leader_epoch_;
  if (following_.phase != FollowerPhase::fetching || event.fetch_offset != (unplaced_ ? Offset(0) : log_.log_end()) ||
      (old_epoch && !defects_.has(Defect::Kafka18991))) {
    effects.mark(Mark::StaleFetchAnswerDropped);
    return;
  }
  if (old_epoch) [[unlikely]]
    effects.mark(Mark::DefectKafka18991);
  if (event.error == ErrorCode::OFFSET_OUT_OF_RANGE) {
    following_.phase = FollowerPhase::asking_offsets;
    effects.emit(AskLeaderOffsets{leader_, leader_epoch_});
  } else if (event.error != ErrorCode::NONE) {
    effects.emit(DelayFetch{event.error});
  } else if (unplaced_) {
    restart_empty(event.log_start, effects);
  } else if (event.diverging.known()) {
    truncate_for(event, effects);
  } else if (restarts_at(event.log_start, log_.log_end(), effects)) {
    following_.phase = FollowerPhase::truncating;
    effects.emit(TruncateFullyAndStartAt{event.log_start, log_.last_epoch()});
  } else {
    // Before KIP-595 a follower truncated once an epoch and then fetched without asking. That is safe while both are
    // fenced.
    if (defects_.has(Defect::Kip320Truncate)) [[unlikely]]
      following_.unchecked = true;
    accept_batches(event, effects);
  }
}

void Replica::truncate_for(const FetchAnswered& answer, Effects& effects) {
  const EpochEnd& diverging = answer.diverging;
  if (defects_.has(Defect::NoTruncation)) [[unlikely]] {
    effects.mark(Mark::DefectNoTruncation);
    following_.unchecked = true;
    return;
  }
  const EpochEnd own = log_.end_offset_for(diverging.epoch);
  Offset to = log_.log_end();
  if (own.known() && own.epoch != diverging.epoch) {
    // That epoch is not known here: cut to the next lower one, which the next fetch then asks about (KIP-279).
    effects.mark(Mark::TruncatedAgain);
    to = std::min(to, own.end);
  } else {
    effects.mark(Mark::TruncatedByEpoch);
    to = std::min(to, diverging.end);
    if (own.known()) to = std::min(to, own.end);
    if (defects_.has(Defect::Kip320Truncate)) [[unlikely]]
      following_.unchecked = true;
  }
  // Nothing of that epoch is here: it only ends where this log begins, whatever was below.
  const bool shared = own.known() && own.end > log_.log_start();
  cut_to(to, answer.log_start, shared, effects);
}

// Of an epoch that ended below its log start a leader knows no end any more and names its log start. What would be kept
// below that can be compared with nothing, so it goes as well (Kafka keeps it, and may hand it out if it leads next).
bool Replica::restarts_at(Offset leader_log_start, Offset kept_to, Effects& effects) const {
  if (kept_to > leader_log_start || log_.log_start() >= leader_log_start) return false;
  if (defects_.has(Defect::KeptBelowLogStart)) [[unlikely]] {
    effects.mark(Mark::DefectKeptBelowLogStart);
    return false;
  }
  effects.mark(Mark::RestartedAtLeaderStart);
  return true;
}

// A log that holds nothing: its records were removed, perhaps in a history that was lost since, so what the leader has
// below its place may be missing here.
void Replica::restart_empty(Offset leader_log_start, Effects& effects) {
  unplaced_ = false;
  if (leader_log_start >= log_.log_start()) return;
  following_.phase = FollowerPhase::truncating;
  effects.mark(Mark::RestartedAtLeaderStart);
  effects.emit(TruncateFullyAndStartAt{leader_log_start});
}

void Replica::cut_to(Offset to, Offset leader_log_start, bool shared, Effects& effects) {
  following_.phase = FollowerPhase::truncating;
  if (to < log_.log_start()) {
    // What was removed here was of another history: all that the leader has is missing (Kafka starts at `to`, and lacks
    // what lies between).
    effects.emit(TruncateFullyAndStartAt{leader_log_start});
  } else if (restarts_at(leader_log_start, to, effects)) {
    effects.emit(TruncateFullyAndStartAt{leader_log_start, log_.last_epoch()});
  } else {
    effects.emit(TruncateTo{to});
    if (to == log_.log_start() && to > Offset(0) && !shared && !in_isr_) unplaced_ = true;
  }
}

void Replica::accept_batches(const FetchAnswered& event, Effects& effects) {
  if (!event.batches.empty() && event.batches.front().base < event.fetch_offset) {
    effects.emit(DelayFetch{ErrorCode::CORRUPT_MESSAGE});
    return;
  }
  std::uint32_t count = 0;
  // KAFKA-18723: the leader may have been deposed, truncated and appended to while it built the answer.
  while (count < event.batches.size() && event.batches[count].epoch <= event.leader_epoch) ++count;
  if (count < event.batches.size()) {
    // Followers whose fetches had no epoch couldn't compare it with the batches' either.
    const bool compares = !defects_.has(Defect::Kafka18723) && !defects_.has(Defect::Kip320Fetch);
    if (defects_.has(Defect::Kafka18723)) effects.mark(Mark::DefectKafka18723);
    if (defects_.has(Defect::Kip320Fetch)) effects.mark(Mark::DefectKip320Fetch);
    if (compares) [[likely]] {
      effects.mark(Mark::NewerEpochBatchSkipped);
    } else {
      count = static_cast<std::uint32_t>(event.batches.size());
    }
  }
  following_.leader_high_watermark = event.high_watermark;
  following_.leader_log_start = event.log_start;
  if (count == 0) {
    follow_high_watermark(effects);
    return;
  }
  following_.phase = FollowerPhase::appending;
  effects.emit(AppendAsFollower{count});
}

void Replica::follow_high_watermark(Effects& effects) {
  // Never lowered: a new leader may not know yet what its predecessor committed.
  const Offset end = std::min(following_.leader_high_watermark, log_.log_end());
  if (end > high_watermark_) {
    const Offset from = high_watermark_;
    high_watermark_ = end;
    if (observer_ != nullptr) [[unlikely]]
      announce_high_watermark(from);
    effects.emit(WakeFetchers{WakeReason::high_watermark});
    if (defects_.has(Defect::AckByOffset)) [[unlikely]]
      complete_waiters(effects);
  }
  const Offset start = std::min(following_.leader_log_start, high_watermark_);
  if (start > log_.log_start()) effects.emit(AdvanceLogStart{start});
}

void Replica::step(const FollowerAppended&, MonoTime, Effects& effects) {
  VERDICT_ASSERT(following_.phase == FollowerPhase::appending);
  following_.phase = FollowerPhase::fetching;
  follow_high_watermark(effects);
}

void Replica::step(const AppendFailed&, MonoTime, Effects& effects) {
  if (following_.phase != FollowerPhase::appending) return;  // a leader's: its log is as before
  following_.phase = FollowerPhase::fetching;
  effects.emit(DelayFetch{ErrorCode::KAFKA_STORAGE_ERROR});
}

void Replica::step(const Truncated&, MonoTime, Effects& effects) {
  VERDICT_ASSERT(following_.phase == FollowerPhase::truncating);
  following_.phase = FollowerPhase::fetching;
  high_watermark_ = std::clamp(high_watermark_, log_.log_start(), log_.log_end());
  effects.emit(WakeFetchers{WakeReason::truncated});
}

void Replica::step(const LeaderOffsetsAnswered& event, MonoTime, Effects& effects) {
  if (following_.phase != FollowerPhase::asking_offsets || event.leader_epoch != leader_epoch_) {
    effects.mark(Mark::StaleFetchAnswerDropped);
    return;
  }
  following_.phase = FollowerPhase::fetching;
  const Offset own_end = log_.log_end();
  if (event.error != ErrorCode::NONE) {
    effects.emit(DelayFetch{event.error});
    return;
  }
  if (std::exchange(unplaced_, false) && event.log_end >= own_end && event.log_start <= own_end) {
    restart_empty(event.log_start, effects);
  } else if (event.log_end < own_end) {
    if (defects_.has(Defect::NoTruncation)) [[unlikely]] {
      effects.mark(Mark::DefectNoTruncation);
      effects.emit(DelayFetch{ErrorCode::OFFSET_OUT_OF_RANGE});
      return;
    }
    cut_to(event.log_end, event.log_start, false, effects);
  } else if (event.log_start > own_end) {
    following_.phase = FollowerPhase::truncating;
    effects.emit(TruncateFullyAndStartAt{event.log_start});
  }
}

}  // namespace verdict::replication
