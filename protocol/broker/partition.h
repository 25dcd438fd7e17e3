#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/config_values.h"
#include "protocol/events.h"
#include "protocol/replication/replica.h"
#include "protocol/types.h"
#include "runtime/runtime.h"
#include "runtime/signal.h"
#include "storage/cleaner.h"
#include "storage/log.h"

namespace verdict::broker {

using replication::ErrorCode;
using replication::WaiterId;

class Partition;

// A fetch that waits for any of its partitions to change.
struct FetchWatcher {
  explicit FetchWatcher(Runtime& runtime) : wake(runtime) {}
  Signal wake;
  bool woken = false;
};

// What a partition asks of its node.
class PartitionHost {
 public:
  virtual ~PartitionHost() = default;
  virtual void complete_produce(const replication::CompleteProduce& done) = 0;
  virtual void propose_isr(Partition& partition, const replication::SendAlterPartition& proposal,
                           std::span<const replication::IsrMember> members) = 0;
  virtual void start_fetching(Partition& partition, NodeId leader) = 0;
  virtual void stop_fetching(Partition& partition) = 0;
  virtual void delay_fetch(Partition& partition) = 0;
  virtual void ask_leader_offsets(Partition& partition, const replication::AskLeaderOffsets& ask) = 0;
  virtual void segment_rolled(Partition& partition) = 0;
  virtual void log_shortened(Partition& partition) = 0;  // or found shorter than it was
  virtual void log_failed(Partition& partition, const storage::LogError& error) = 0;
};

struct ProduceOutcome {
  ErrorCode error = ErrorCode::NONE;
  std::optional<storage::BatchError> invalid;  // what was wrong with the batch
  std::optional<std::int32_t> bad_record;      // which record, where one is at fault
  Offset base = kNoOffset;
  Offset log_start = kNoOffset;
  std::int64_t append_time_ms = -1;  // message.timestamp.type=LogAppendTime, or a duplicate
  bool waits = false;      // the host is told the end through complete_produce (with acks=all it may be later)
  bool duplicate = false;  // of a batch that is in the log; append_time_ms is that one's timestamp
};

// One replica on this node: the decisions of replication::Replica joined to its log. Every call is one turn: the
// replica's step, the storage calls that it asks for, their outcomes, and the announcements, all before it returns.
class Partition final : public replication::LogView {
  // One step of the replica and all that follows from it.
  template <class Event>
  auto turn(const Event& event) {
    const MonoTime now = runtime_->now();
    if constexpr (std::is_void_v<decltype(replica_.step(event, now, *effects_))>) {
      replica_.step(event, now, *effects_);
      run_effects();
    } else {
      const auto answer = replica_.step(event, now, *effects_);
      run_effects();
      return answer;
    }
  }

 public:
  struct Context {
    Runtime& runtime;
    PartitionHost& host;
    protocol::Observer* observer;
    storage::Decompressor& decompressor;
    replication::Effects& effects;  // shared scratch of the node's turns
    NodeId self;
    Duration replica_lag_time_max;
  };
  Partition(const Context& context, PartitionKey key, std::string topic);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  const PartitionKey& key() const { return key_; }
  const std::string& topic() const { return topic_; }
  std::string name() const;  // "orders-0"
  bool opened() const { return log_ != nullptr; }
  bool removed() const { return removed_; }
  const replication::Replica& replica() const { return replica_; }
  storage::Log& log() { return *log_; }
  const protocol::TopicConfig& config() const { return config_; }

  void open(std::unique_ptr<storage::Log> log, Offset high_watermark_checkpoint);
  void configure(const protocol::TopicConfig& config);
  void metadata_changed(const replication::MetadataChanged& changed) { turn(changed); }
  void brokers_changed(std::span<const replication::ReplicaBroker> brokers) {
    turn(replication::BrokersChanged{brokers});
  }
  void remove(replication::RemovedReason reason);

  // `batch` is what a Produce request holds for this partition; it is stamped in place. A retry of a batch that is in
  // the log already is answered as that one would be: with acks=all once it is below the high watermark.
  ProduceOutcome produce(std::span<std::byte> batch, std::int16_t acks, WaiterId waiter,
                         storage::AppendOrigin origin = storage::AppendOrigin::client);
  // Ends a transaction here, with acks=all.
  ProduceOutcome write_marker(const storage::TxnMarker& marker, WaiterId waiter);
  // KIP-890: whether a transaction of this producer is open here, and how many markers of it were met: one more tells
  // that what was true of its transaction may not be so any longer.
  bool in_transaction(ProducerId id, ProducerEpoch epoch) const;
  std::uint32_t markers_of(ProducerId id) const;
  // What read_committed sees is below it: the first record of an undecided transaction, or the high watermark.
  Offset last_stable_offset() const;
  void expire_producers();
  storage::ValidationRules rules() const;  // what produce() asks of a batch now
  void expire(WaiterId waiter) { turn(replication::WaiterExpired{waiter}); }

  replication::FetchDecision fetch(const replication::FollowerFetch& fetch) { return turn(fetch); }
  replication::FetchDecision fetch(const replication::ConsumerFetch& fetch) { return turn(fetch); }
  replication::OffsetForLeaderEpochDecision offset_for_epoch(const replication::OffsetForLeaderEpoch& ask) {
    return turn(ask);
  }
  replication::ListOffsetsDecision list_offsets(const replication::ListOffsets& ask) { return turn(ask); }
  void isr_tick() { turn(replication::IsrTick{}); }
  void isr_answered(const replication::AlterPartitionAnswered& answer) { turn(answer); }
  void leader_offsets(const replication::LeaderOffsetsAnswered& answer) { turn(answer); }

  // A leader's answer: `records` may end in part of a batch.
  void fetch_answered(replication::FetchAnswered answer, storage::Bytes records);

  void enforce_retention();
  // One pass of compaction; each swap is announced in its turn. One at a time.
  Task<std::expected<storage::CleaningReport, storage::LogError>> clean(storage::Cleaner* tools,
                                                                        storage::CleaningRange range);
  // Before the announcement of a batch that compaction has written anew, or that a leader appends to a compacted topic.
  void announce_records(const storage::BatchView& batch);
  // One flush at a time, and one more for all that rolled meanwhile. begin_flush: true if none is under way.
  bool begin_flush();
  bool end_flush();  // true if that was the last; else another one begins
  void announce(const protocol::Event& event) {
    if (observer_ != nullptr) observer_->observe(event);
  }
  bool observed() const { return observer_ != nullptr; }

  void watch(FetchWatcher& watcher) { watchers_.push_back(&watcher); }
  void unwatch(FetchWatcher& watcher) { std::erase(watchers_, &watcher); }

  // replication::LogView
  Offset log_start() const override;
  Offset log_end() const override;
  LeaderEpoch last_epoch() const override;
  replication::EpochEnd end_offset_for(LeaderEpoch epoch) const override;
  LeaderEpoch epoch_at(Offset offset) const override;

 private:
  // `header`: what `batch` had before it is stamped.
  ProduceOutcome append(std::span<std::byte> batch, const storage::BatchHeader& header, std::int16_t acks,
                        WaiterId waiter, storage::AppendOrigin origin);
  ProduceOutcome refused(const storage::LogError& error);
  void run_effects();
  void run(const replication::AssignEpochStart& effect);
  void run(const replication::TruncateTo& effect);
  void run(const replication::TruncateFullyAndStartAt& effect);
  void run(const replication::AppendAsFollower& effect);
  void run(const replication::AdvanceLogStart& effect);
  void run(const replication::SendAlterPartition& effect);
  void run(const replication::CompleteProduce& effect) { host_->complete_produce(effect); }
  void run(const replication::WakeFetchers& effect);
  void run(const replication::StartFetching& effect) { host_->start_fetching(*this, effect.leader); }
  void run(const replication::StopFetching&) { host_->stop_fetching(*this); }
  void run(const replication::DelayFetch&) { host_->delay_fetch(*this); }
  void run(const replication::AskLeaderOffsets& effect) { host_->ask_leader_offsets(*this, effect); }
  void cut(std::expected<storage::Truncated, storage::LogError> result, protocol::events::TruncateReason reason);
  void appended(const storage::Appended& batch, storage::Bytes bytes, protocol::events::Role role);
  bool failed(const storage::LogError& error);
  void cleaned(const storage::CleanedSegment& segment, Offset last_stable);

  Runtime* runtime_;
  PartitionHost* host_;
  protocol::Observer* observer_;
  storage::Decompressor* decompressor_;
  replication::Effects* effects_;
  PartitionKey key_;
  std::string topic_;
  protocol::TopicConfig config_{};
  std::unique_ptr<storage::Log> log_;
  replication::Replica replica_;
  bool removed_ = false;
  bool in_turn_ = false;
  bool flushing_ = false;
  bool rolled_since_ = false;  // since that flush began
  storage::Bytes answer_;      // the records of the fetch answer being stepped
  std::vector<storage::Appended> appended_;
  std::vector<replication::BatchSummary> summaries_;
  std::vector<FetchWatcher*> watchers_;
};

using PartitionPtr = std::shared_ptr<Partition>;

// Whether compaction has written the batch anew: a client's holds a record for each of its offsets.
inline bool is_rewritten(const storage::BatchHeader& header) {
  return header.delete_horizon() || header.count != header.last_offset_delta + 1;
}

storage::LogConfig log_config(const protocol::TopicConfig& config);
ErrorCode error_of(storage::BatchError error);
ErrorCode error_of(storage::LogErrorKind kind);  // of an append that was refused

}  // namespace verdict::broker
