#pragma once

#include <optional>
#include <span>

#include "protocol/events.h"
#include "protocol/replication/effects.h"
#include "protocol/replication/follower.h"
#include "protocol/replication/leader.h"
#include "protocol/replication/types.h"

namespace verdict::replication {

struct ReplicaConfig {
  PartitionKey partition;
  NodeId self;
  Duration replica_lag_time_max = std::chrono::seconds(30);  // replica.lag.time.max.ms
};

enum class ReplicaRole : std::uint8_t { none, leader, follower };  // none: no metadata yet, or removed

// One partition's replica on one node: every decision of leader and follower about the high watermark, the ISR, leader
// epochs, acknowledgement and truncation (PROTOCOL.md section 3), without I/O, clock or allocation in steady state.
//
// step(event, now, effects) changes the state, announces it to the observer, and appends effects; the requests of
// others return their answer too. The shell serialises steps, runs the effects of one before the next, and does storage
// calls in the same turn. `now` never goes back. The log, the defects and the observer outlive the replica.
//
// The log changes only by its owner's effects, by produce requests that were admitted, by retention (never above the
// high watermark) and by truncation; each is fed as an event except retention, which the LogView alone shows.
class Replica {
 public:
  Replica(const ReplicaConfig& config, const LogView& log, const DefectSet& defects, protocol::Observer* observer);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  void step(const LogOpened&, MonoTime now, Effects&);
  void step(const MetadataChanged&, MonoTime now, Effects&);
  void step(const BrokersChanged&, MonoTime now, Effects&);
  void step(const MinIsrChanged&, MonoTime now, Effects&);
  void step(const Removed&, MonoTime now, Effects&);
  ErrorCode step(const ProduceRequested&, MonoTime now, Effects&);
  void step(const ProduceAppended&, MonoTime now, Effects&);
  void step(const WaiterExpired&, MonoTime now, Effects&);
  FetchDecision step(const FollowerFetch&, MonoTime now, Effects&);
  FetchDecision step(const ConsumerFetch&, MonoTime now, Effects&);
  OffsetForLeaderEpochDecision step(const OffsetForLeaderEpoch&, MonoTime now, Effects&);
  ListOffsetsDecision step(const ListOffsets&, MonoTime now, Effects&);
  void step(const AlterPartitionAnswered&, MonoTime now, Effects&);
  void step(const IsrTick&, MonoTime now, Effects&);
  void step(const FetchAnswered&, MonoTime now, Effects&);
  void step(const LeaderOffsetsAnswered&, MonoTime now, Effects&);
  void step(const Truncated&, MonoTime now, Effects&);
  void step(const FollowerAppended&, MonoTime now, Effects&);
  void step(const AppendFailed&, MonoTime now, Effects&);

  // What to ask the leader now; nothing if there is no leader to ask or an answer to AskLeaderOffsets is awaited.
  // Asking changes nothing: an answer is matched by its leader epoch and fetch offset.
  std::optional<FetchPosition> next_fetch() const;

  ReplicaRole role() const { return role_; }
  bool is_leader() const { return role_ == ReplicaRole::leader; }
  NodeId leader() const { return leader_; }
  LeaderEpoch leader_epoch() const { return leader_epoch_; }
  PartitionEpoch partition_epoch() const { return partition_epoch_; }
  Offset high_watermark() const { return high_watermark_; }
  std::int32_t min_insync_replicas() const { return min_insync_replicas_; }
  // Leader only (else empty): the ISR that the controller committed, as far as this leader knows.
  std::span<const NodeId> isr() const { return leading_.isr(); }
  bool isr_proposal_in_flight() const { return leading_.in_flight(); }
  const LeaderState& leading() const { return leading_; }
  // Produce requests that wait for acks=all.
  std::size_t waiters() const { return leading_.waiters().size(); }

 private:
  void apply_brokers(std::span<const ReplicaBroker> brokers);
  void become_leader(const MetadataChanged&, MonoTime now, Effects&);
  void update_leader(const MetadataChanged&);
  bool holds_nothing() const;
  void become_follower(const MetadataChanged&, Effects&);

  ErrorCode check_epoch(LeaderEpoch current, Effects&) const;
  ErrorCode admit_reader(LeaderEpoch current, bool leader_only, Effects&) const;
  FetchDecision decide_fetch(Offset fetch_offset, LeaderEpoch last_fetched) const;
  ErrorCode record_progress(RemoteReplica& remote, const FollowerFetch& fetch, MonoTime now, Effects&);
  bool of_earlier_incarnation(const RemoteReplica& remote, const FollowerFetch& fetch) const;
  void announce_fetch(const FollowerFetch& fetch) const;

  // Planted defects: planted_kips.cpp.
  void look_up_without_epoch(const FollowerFetch& fetch, FetchDecision& decision, Effects&) const;
  FetchDecision fetch_unfenced(const FollowerFetch& fetch, ErrorCode refusal, MonoTime now, Effects&);
  void count_unfenced(RemoteReplica& remote, const FollowerFetch& fetch, MonoTime now, Effects&);
  void keep_counted_ends();
  Offset end_of_any_epoch(MonoTime now) const;

  bool eligible_for_isr(const RemoteReplica& remote) const;
  bool may_join_isr(const RemoteReplica& remote, Offset log_end, Effects&) const;
  void maybe_expand_isr(RemoteReplica& remote, Offset log_end, Effects&);
  void maybe_shrink_isr(MonoTime now, Effects&);
  void propose_isr(Effects&);
  void send_proposal(bool retry, Effects&);
  void adopt_isr(std::span<const NodeId> isr);  // and ends the proposal in flight; empty: the committed one stays

  bool under_min_isr() const;
  std::size_t effective_min_isr() const;
  Offset countable_end(MonoTime now, Effects&);
  Offset majority_end();
  void maybe_advance_high_watermark(MonoTime now, Effects&);
  void announce_high_watermark(Offset from);

  void complete_waiters(Effects&);
  void answer(const Waiter& waiter, std::int16_t acks, ErrorCode error, Effects&);
  void answer_all(ErrorCode error, Effects&);
  bool still_in_log(const Waiter& waiter) const;

  void truncate_for(const FetchAnswered&, Effects&);
  void restart_empty(Offset leader_log_start, Effects&);
  bool restarts_at(Offset leader_log_start, Offset kept_to, Effects&) const;
  // `shared`: below `to` both logs are known to be of one history, also where records were removed.
  void cut_to(Offset to, Offset leader_log_start, bool shared, Effects&);
  void accept_batches(const FetchAnswered&, Effects&);
  void follow_high_watermark(Effects&);

  const ReplicaConfig config_;
  const LogView& log_;
  const DefectSet& defects_;
  protocol::Observer* const observer_;

  ReplicaRole role_ = ReplicaRole::none;
  ErrorCode refusal_ = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;  // what requests get while there is no role
  bool removed_ = false;
  bool opened_ = false;
  bool in_isr_ = false;    // by the latest metadata
  bool unplaced_ = false;  // empty above offset 0, and nothing says that its place is in the leader's history
  NodeId leader_ = kNoNode;
  LeaderEpoch leader_epoch_ = kNoEpoch;
  PartitionEpoch partition_epoch_ = kNoPartitionEpoch;
  Offset high_watermark_{0};
  std::int32_t min_insync_replicas_ = 1;
  BrokerEpoch local_broker_epoch_ = kNoBrokerEpoch;
  LeaderState leading_;
  FollowerState following_;
};

}  // namespace verdict::replication
