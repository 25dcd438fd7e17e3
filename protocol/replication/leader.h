#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/replication/types.h"
#include "protocol/replication/waiters.h"

namespace verdict::replication {

// Before any time: never caught up.
constexpr MonoTime kNever = MonoTime::min();

// A follower as its leader sees it. Numbers are of the current leader epoch: a fetch of an older epoch may have counted
// records that were truncated since (KIP-320), so a new epoch forgets them.
struct RemoteReplica {
  NodeId id;
  BrokerEpoch registered_epoch = kNoBrokerEpoch;
  bool fenced = true;
  bool shutting_down = false;
  bool in_isr = false;       // committed
  bool in_proposal = false;  // in the ISR proposed; meaningful while one is in flight

  BrokerEpoch fetch_broker_epoch = kNoBrokerEpoch;  // of the last fetch; kNoBrokerEpoch: none yet
  Offset log_end = kNoOffset;                       // its last fetch offset; kNoOffset: none yet
  MonoTime caught_up = kNever;
  MonoTime last_fetch = kNever;
  Offset leader_end_at_last_fetch = kNoOffset;
  // Planted defect kip-320-hw: its last fetch offset, when that was in another epoch; kNoOffset: it was in this one.
  Offset other_epoch_end = kNoOffset;

  void start_epoch(bool is_in_isr, MonoTime now);
  void count_fetch(const FollowerFetch& fetch, Offset leader_end, MonoTime now);
  Offset counted_end() const { return other_epoch_end == kNoOffset ? log_end : other_epoch_end; }
  // replica.lag.time.max.ms: at the leader's end, or was not longer ago than that.
  bool is_caught_up(Offset leader_end, MonoTime now, Duration lag_max) const {
    return log_end == leader_end || (caught_up != kNever && now - caught_up <= lag_max);
  }
};

// The leader's side: followers, the committed ISR, at most one proposal in flight, and the waiters.
class LeaderState {
 public:
  // Keeps what is known of those that stay.
  void assign(NodeId self, std::span<const NodeId> replicas);
  void set_committed_isr(std::span<const NodeId> isr);
  void start_epoch(Offset epoch_start, MonoTime now);
  void clear();  // not a leader any more; waiters and the last maximal ISR stay

  RemoteReplica* find(NodeId id) {
    for (RemoteReplica& remote : remotes_) {
      if (remote.id == id) return &remote;
    }
    return nullptr;
  }
  std::span<RemoteReplica> remotes() { return remotes_; }
  std::span<const RemoteReplica> remotes() const { return remotes_; }
  std::size_t replica_count() const { return remotes_.size() + 1; }

  std::span<const NodeId> isr() const { return isr_; }
  // Committed and proposed members: what the high watermark waits for. Valid until the next change.
  std::span<const NodeId> maximal_isr() const { return maximal_isr_; }
  bool in_maximal_isr(const RemoteReplica& remote) const { return remote.in_isr || (in_flight_ && remote.in_proposal); }
  // The proposal in flight, with the broker epochs as they were when it was made: a later fetch of another incarnation
  // must not vouch for it (KIP-903).
  std::span<const NodeId> proposed() const { return proposed_; }
  std::span<const IsrMember> proposed_members() const { return proposed_members_; }

  bool in_flight() const { return in_flight_; }
  ProposalId proposal() const { return proposal_; }
  void begin_proposal(BrokerEpoch local_epoch);  // of the members marked in_proposal, and this leader
  // The proposal becomes one to keep the committed ISR (but for those not marked); the maximal ISR stays. Taken, it
  // refuses all copies of the one before that are under way, by its partition epoch.
  void propose_committed(BrokerEpoch local_epoch);
  bool proposes_more() const { return maximal_isr_.size() > isr_.size(); }
  // The proposal was sent, and nobody knows what became of it.
  void went_unanswered() { unanswered_ = true; }
  bool unanswered() const { return unanswered_; }
  ProposalId next_proposal_id() { return proposal_ = ProposalId(proposal_.value() + 1); }
  void end_proposal();  // committed, refused or overtaken: the maximal ISR is the committed one

  Offset epoch_start() const { return epoch_start_; }
  Waiters& waiters() { return waiters_; }
  const Waiters& waiters() const { return waiters_; }
  std::vector<Offset>& counted() { return counted_; }

 private:
  void rebuild_maximal_isr();
  void add_proposed(NodeId id, BrokerEpoch epoch);

  NodeId self_ = kNoNode;
  std::vector<RemoteReplica> remotes_;  // in the order of the assignment
  NodeIds isr_;
  NodeIds proposed_;
  std::vector<IsrMember> proposed_members_;
  NodeIds maximal_isr_;
  std::vector<Offset> counted_;
  bool in_flight_ = false;
  bool unanswered_ = false;  // a copy of the proposal in flight was
  ProposalId proposal_{0};
  Offset epoch_start_ = kNoOffset;
  Waiters waiters_;
};

}  // namespace verdict::replication
