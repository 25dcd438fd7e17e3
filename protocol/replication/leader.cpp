#include "protocol/replication/leader.h"

#include <algorithm>

#include "runtime/assert.h"

namespace verdict::replication {

void RemoteReplica::start_epoch(bool is_in_isr, MonoTime now) {
  // An ISR member gets replica.lag.time.max.ms to show up; others must not hold the high watermark back.
  caught_up = is_in_isr ? now : kNever;
  last_fetch = kNever;
  fetch_broker_epoch = kNoBrokerEpoch;
  log_end = kNoOffset;
  leader_end_at_last_fetch = kNoOffset;
}

void RemoteReplica::count_fetch(const FollowerFetch& fetch, Offset leader_end, MonoTime now) {
  if (fetch.fetch_offset >= leader_end) {
    caught_up = std::max(caught_up, now);
  } else if (leader_end_at_last_fetch != kNoOffset && fetch.fetch_offset >= leader_end_at_last_fetch) {
    caught_up = std::max(caught_up, last_fetch);
  }
  leader_end_at_last_fetch = std::max(leader_end_at_last_fetch, leader_end);
  last_fetch = now;
  fetch_broker_epoch = fetch.broker_epoch;
  log_end = fetch.fetch_offset;
  other_epoch_end = kNoOffset;
}

void LeaderState::assign(NodeId self, std::span<const NodeId> replicas) {
  self_ = self;
  bool same = remotes_.size() + 1 == replicas.size();
  for (std::size_t i = 0, j = 0; same && i < replicas.size(); ++i) {
    if (replicas[i] == self) continue;
    same = j < remotes_.size() && remotes_[j].id == replicas[i];
    ++j;
  }
  if (same) return;
  std::vector<RemoteReplica> next;
  for (NodeId id : replicas) {
    if (id == self) continue;
    const RemoteReplica* known = find(id);
    next.push_back(known != nullptr ? *known : RemoteReplica{.id = id});
  }
  remotes_ = std::move(next);
}

void LeaderState::set_committed_isr(std::span<const NodeId> isr) {
  isr_.assign(isr.begin(), isr.end());
  for (RemoteReplica& remote : remotes_) remote.in_isr = std::ranges::find(isr_, remote.id) != isr_.end();
  rebuild_maximal_isr();
}

void LeaderState::start_epoch(Offset epoch_start, MonoTime now) {
  epoch_start_ = epoch_start;
  for (RemoteReplica& remote : remotes_) remote.start_epoch(remote.in_isr, now);
}

void LeaderState::clear() {
  // The last maximal ISR stays: ack-by-offset reports answers with it.
  remotes_.clear();
  isr_.clear();
  proposed_.clear();
  proposed_members_.clear();
  in_flight_ = unanswered_ = false;
  epoch_start_ = kNoOffset;
}

void LeaderState::begin_proposal(BrokerEpoch local_epoch) {
  VERDICT_ASSERT(!in_flight_, "one AlterPartition in flight");
  propose_committed(local_epoch);
  for (const RemoteReplica& remote : remotes_) {
    if (remote.in_proposal && !remote.in_isr) add_proposed(remote.id, remote.fetch_broker_epoch);
  }
  in_flight_ = true;
  rebuild_maximal_isr();
}

void LeaderState::propose_committed(BrokerEpoch local_epoch) {
  proposed_.clear();
  proposed_members_.clear();
  for (NodeId id : isr_) {
    if (id == self_) {
      add_proposed(id, local_epoch);
    } else if (const RemoteReplica* remote = find(id); remote != nullptr && remote->in_proposal) {
      add_proposed(id, remote->fetch_broker_epoch);
    }
  }
}

void LeaderState::add_proposed(NodeId id, BrokerEpoch epoch) {
  proposed_.push_back(id);
  proposed_members_.push_back({.id = id, .epoch = epoch});
}

void LeaderState::end_proposal() {
  in_flight_ = unanswered_ = false;
  proposed_.clear();
  proposed_members_.clear();
  rebuild_maximal_isr();
}

void LeaderState::rebuild_maximal_isr() {
  maximal_isr_.assign(isr_.begin(), isr_.end());
  if (!in_flight_) return;
  for (const RemoteReplica& remote : remotes_) {
    if (remote.in_proposal && !remote.in_isr) maximal_isr_.push_back(remote.id);
  }
}

}  // namespace verdict::replication
