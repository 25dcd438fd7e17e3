#include "protocol/replication/replica.h"
#include "runtime/assert.h"

// The leader's ISR: what it proposes to the controller and what it makes of the answer.
namespace verdict::replication {

namespace events = protocol::events;

namespace {

// Planted defect kip-497: the high watermark waits for nobody whom the controller has not confirmed.
void count_committed_only(LeaderState& leading, Effects& effects) {
  for (RemoteReplica& remote : leading.remotes()) {
    if (!remote.in_proposal || remote.in_isr) continue;
    remote.in_proposal = false;
    effects.mark(Mark::DefectKip497);
  }
  const NodeIds committed(leading.isr().begin(), leading.isr().end());
  leading.set_committed_isr(committed);
}

}  // namespace

bool Replica::eligible_for_isr(const RemoteReplica& remote) const {
  // KIP-841, KIP-903. A fetch without broker epoch proves nothing about the incarnation.
  const bool current =
      remote.fetch_broker_epoch == remote.registered_epoch || defects_.has(Defect::Kip903);  // planted: never asked
  return remote.registered_epoch != kNoBrokerEpoch && !remote.fenced && !remote.shutting_down && current;
}

bool Replica::may_join_isr(const RemoteReplica& remote, Offset log_end, Effects& effects) const {
  if (remote.in_isr || leading_.in_flight() || log_end < high_watermark_ || !eligible_for_isr(remote)) return false;
  // The high watermark of a new leader may lag what its predecessor committed; its epoch's start does not.
  if (log_end >= leading_.epoch_start()) return true;
  if (!defects_.has(Defect::Kafka7128)) [[likely]]
    return false;
  effects.mark(Mark::DefectKafka7128);
  return true;
}

void Replica::maybe_expand_isr(RemoteReplica& remote, Offset log_end, Effects& effects) {
  if (!may_join_isr(remote, log_end, effects)) return;
  for (RemoteReplica& other : leading_.remotes()) other.in_proposal = other.in_isr;
  remote.in_proposal = true;
  if (remote.fetch_broker_epoch != remote.registered_epoch) [[unlikely]]
    effects.mark(Mark::DefectKip903);
  effects.mark(Mark::IsrExpandProposed);
  propose_isr(effects);
}

void Replica::step(const IsrTick&, MonoTime now, Effects& effects) {
  if (!is_leader()) return;
  maybe_shrink_isr(now, effects);
  // Whoever stopped chasing holds the high watermark back no longer.
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::maybe_shrink_isr(MonoTime now, Effects& effects) {
  if (leading_.in_flight()) return;
  const Offset leader_end = log_.log_end();
  bool shrink = false;
  for (RemoteReplica& remote : leading_.remotes()) {
    remote.in_proposal = remote.in_isr && remote.is_caught_up(leader_end, now, config_.replica_lag_time_max);
    shrink = shrink || remote.in_isr != remote.in_proposal;
  }
  if (!shrink) return;
  if (defects_.has(Defect::LocalShrink)) [[unlikely]] {
    effects.mark(Mark::DefectLocalShrink);
    NodeIds left;
    for (NodeId id : leading_.isr()) {
      const RemoteReplica* remote = leading_.find(id);
      if (remote == nullptr || remote->in_proposal) left.push_back(id);
    }
    adopt_isr(left);
    return;
  }
  effects.mark(Mark::IsrShrinkProposed);
  propose_isr(effects);
}

void Replica::propose_isr(Effects& effects) {
  leading_.begin_proposal(local_broker_epoch_);
  if (defects_.has(Defect::Kip497)) [[unlikely]]
    count_committed_only(leading_, effects);
  if (observer_ != nullptr) [[unlikely]] {
    observer_->observe(events::IsrProposed{.partition = config_.partition,
                                           .leader_epoch = leader_epoch_,
                                           .partition_epoch = partition_epoch_,
                                           .isr = leading_.isr(),
                                           .proposed = leading_.proposed(),
                                           .maximal_isr = leading_.maximal_isr()});
  }
  send_proposal(false, effects);
}

void Replica::send_proposal(bool retry, Effects& effects) {
  SendAlterPartition effect{.proposal = leading_.next_proposal_id(),
                            .leader_epoch = leader_epoch_,
                            .partition_epoch = partition_epoch_,
                            .first_member = 0,
                            .member_count = 0,
                            .retry = retry};
  for (const IsrMember& member : leading_.proposed_members()) {
    const std::uint32_t index = effects.add_member(member);
    if (effect.member_count == 0) effect.first_member = index;
    ++effect.member_count;
  }
  effects.emit(effect);
}

void Replica::step(const AlterPartitionAnswered& event, MonoTime now, Effects& effects) {
  if (!is_leader() || !leading_.in_flight() || event.proposal != leading_.proposal()) {
    effects.mark(Mark::AlterPartitionStale);
    return;
  }
  switch (event.error) {
    case ErrorCode::NONE:
      if (event.leader_epoch != leader_epoch_ || event.partition_epoch < partition_epoch_) {
        // The controller is ahead: its metadata will say, and the maximal ISR holds until then.
        effects.mark(Mark::AlterPartitionStale);
        return;
      }
      partition_epoch_ = event.partition_epoch;
      adopt_isr(event.isr);
      break;
    case ErrorCode::INELIGIBLE_REPLICA:
    case ErrorCode::OPERATION_NOT_ATTEMPTED:
      effects.mark(Mark::AlterPartitionRefused);
      // A copy of it may be under way still, and be taken. (Kafka goes back to the committed ISR all the same.)
      if (leading_.unanswered() && leading_.proposes_more()) {
        leading_.propose_committed(local_broker_epoch_);
        send_proposal(true, effects);
        return;
      }
      // Nothing changed at the controller: back to the committed ISR, free to propose again.
      adopt_isr({});
      break;
    case ErrorCode::FENCED_LEADER_EPOCH:
    case ErrorCode::INVALID_UPDATE_VERSION:
    case ErrorCode::INVALID_REQUEST:
    case ErrorCode::NEW_LEADER_ELECTED:
    case ErrorCode::UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode::UNKNOWN_TOPIC_ID:
      // The controller's state is another one than this leader's: newer metadata decides what becomes of the proposal.
      effects.mark(Mark::AlterPartitionRefused);
      return;
    default:
      // Time-outs, lost connections: it may have been applied, so the same proposal again. NOT_CONTROLLER did nothing.
      if (event.error != ErrorCode::NOT_CONTROLLER) leading_.went_unanswered();
      send_proposal(true, effects);
      return;
  }
  maybe_advance_high_watermark(now, effects);
  complete_waiters(effects);
}

void Replica::adopt_isr(std::span<const NodeId> isr) {
  leading_.end_proposal();
  if (!isr.empty()) leading_.set_committed_isr(isr);
  if (observer_ == nullptr) return;
  observer_->observe(events::IsrAdopted{.partition = config_.partition,
                                        .leader_epoch = leader_epoch_,
                                        .partition_epoch = partition_epoch_,
                                        .isr = leading_.isr(),
                                        .maximal_isr = leading_.maximal_isr(),
                                        .in_flight = leading_.in_flight()});
}

}  // namespace verdict::replication
