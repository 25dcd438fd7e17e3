#include <algorithm>

#include "protocol/replication/replica.h"

// Planted defects: what leaders did before KIP-279 and KIP-320. Each lacks one rule of the fenced protocol.
namespace verdict::replication {

namespace events = protocol::events;

// kip-279. KIP-101's look-up told where the asked epoch ends, but not which epoch it had found: where the leader lacks
// the asked one, the follower keeps of it whatever lies below the next one's start.
void Replica::look_up_without_epoch(const FollowerFetch& fetch, FetchDecision& decision, Effects& effects) const {
  const EpochEnd found = decision.diverging;
  if (!found.known() || found.epoch == fetch.last_fetched_epoch) return;
  effects.mark(Mark::DefectKip279);
  decision.diverging = {};
  if (found.end < fetch.fetch_offset) decision.diverging = {.epoch = fetch.last_fetched_epoch, .end = found.end};
}

// A fetch whose epoch is not this leader's; the healthy answer is `refusal`.
FetchDecision Replica::fetch_unfenced(const FollowerFetch& fetch, ErrorCode refusal, MonoTime now, Effects& effects) {
  RemoteReplica* remote = is_leader() ? leading_.find(fetch.replica) : nullptr;
  if (remote == nullptr) return {.error = refusal};
  if (fetch.progress == Progress::record && !of_earlier_incarnation(*remote, fetch))
    count_unfenced(*remote, fetch, now, effects);
  if (defects_.has(Defect::Kip320Fetch)) {
    // Such a fetch knew nothing of divergence either: that was asked once, at the beginning of an epoch.
    FetchDecision decision = decide_fetch(fetch.fetch_offset, kNoEpoch);
    if (decision.error == ErrorCode::NONE) {
      effects.mark(Mark::DefectKip320Fetch);
      decision.read_limit = log_.log_end();
      return decision;
    }
  }
  if (defects_.has(Defect::Kip320Truncate) && fetch.last_fetched_epoch != kNoEpoch) {
    // OffsetForLeaderEpoch: always an epoch and its end, which may be the follower's own; data is fenced as ever.
    const EpochEnd own = log_.end_offset_for(fetch.last_fetched_epoch);
    if (own.known()) {
      effects.mark(Mark::DefectKip320Truncate);
      if (observer_ != nullptr) {
        observer_->observe(events::DivergenceAnswered{.partition = config_.partition,
                                                      .leader_epoch = leader_epoch_,
                                                      .follower = fetch.replica,
                                                      .diverging_epoch = own.epoch,
                                                      .end = own.end});
      }
      return {.diverging = own, .high_watermark = high_watermark_, .log_start = log_.log_start()};
    }
  }
  return {.error = refusal};
}

void Replica::count_unfenced(RemoteReplica& remote, const FollowerFetch& fetch, MonoTime now, Effects& effects) {
  if (defects_.has(Defect::Kip320Hw)) {
    remote.other_epoch_end = fetch.fetch_offset;
    if (observer_ != nullptr) announce_fetch(fetch);
    maybe_advance_high_watermark(now, effects);
    complete_waiters(effects);
  }
  if (defects_.has(Defect::Kip320Expand)) {
    // KIP-841, KIP-903 and KAFKA-7128 hold; the offset alone is believed.
    remote.fetch_broker_epoch = fetch.broker_epoch;
    if (!may_join_isr(remote, fetch.fetch_offset, effects)) return;
    effects.mark(Mark::DefectKip320Expand);
    if (observer_ != nullptr) announce_fetch(fetch);
    maybe_expand_isr(remote, fetch.fetch_offset, effects);
  }
}

// kip-320-hw: a leader that leads again goes on with what it counted, although its followers may have followed another
// leader in between.
void Replica::keep_counted_ends() {
  for (RemoteReplica& remote : leading_.remotes()) {
    if (remote.other_epoch_end == kNoOffset) remote.other_epoch_end = remote.log_end;
  }
}

// countable_end() with those numbers.
Offset Replica::end_of_any_epoch(MonoTime now) const {
  const Offset leader_end = log_.log_end();
  Offset end = leader_end;
  for (const RemoteReplica& remote : leading_.remotes()) {
    const bool waited_for =
        leading_.in_maximal_isr(remote) ||
        (remote.is_caught_up(leader_end, now, config_.replica_lag_time_max) && eligible_for_isr(remote));
    if (waited_for) end = std::min(end, remote.counted_end());
  }
  return end;
}

}  // namespace verdict::replication
