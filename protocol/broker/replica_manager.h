#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/broker/isr_sender.h"
#include "protocol/broker/log_cleaner.h"
#include "protocol/broker/partition.h"
#include "protocol/broker/replica_fetcher.h"
#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"
#include "runtime/scope.h"
#include "storage/log_directory.h"

namespace verdict::broker {

// The part of a produce request that is one partition's, while it waits for acks=all.
struct ProduceWait {
  explicit ProduceWait(Runtime& runtime) : done(runtime) {}
  struct Part {
    PartitionPtr partition;
    WaiterId waiter;
    bool finished = false;
    ErrorCode error = ErrorCode::NONE;
    Offset base = kNoOffset;
    Offset log_start = kNoOffset;
  };
  // At once: nothing else is told of this part.
  void refuse(Part& part, ErrorCode error) {
    part.finished = true;
    part.error = error;
    --unfinished;
  }
  std::vector<Part> parts;
  std::size_t unfinished = 0;
  Signal done;
};

// All replicas of one node: their logs, their fetchers, the proposals to the controller, the waiters, and the upkeep
// (checkpoints, retention, ISR checks). Metadata is its only source of who leads what.
class ReplicaManager final : public PartitionHost {
 public:
  ReplicaManager(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
                 client::RpcChannel& controller, std::function<BrokerEpoch()> broker_epoch,
                 protocol::Observer* observer);
  ~ReplicaManager() override;
  ReplicaManager(const ReplicaManager&) = delete;
  ReplicaManager& operator=(const ReplicaManager&) = delete;

  // Applies what `delta` touched of `image`, which stays at its place and is the newest state whenever this runs. With
  // wait_for_logs it returns once every log of this node is open (start-up); else logs open in the background.
  Task<void> apply(const protocol::MetadataImage* image, const protocol::MetadataDelta* delta, bool wait_for_logs);

  // Told after each change of a partition's role, and when it is dropped: who coordinates from its log must know.
  void on_role(std::function<void(const PartitionPtr&)> told) { on_role_ = std::move(told); }

  PartitionPtr find(const PartitionKey& key) const;  // null: not hosted here
  const std::map<PartitionKey, PartitionPtr>& partitions() const { return partitions_; }

  // Adds a part to `wait`, with a waiter to be named in Partition::produce. end_wait() frees that one.
  ProduceWait::Part& begin_wait(ProduceWait& wait, PartitionPtr partition);
  void end_wait(WaiterId waiter);

  void start_upkeep();
  void answer_all();  // before a stop: nobody waits for this node any more
  Task<void> stop();  // fetchers, proposals and upkeep end
  // The orderly end: flush, and checkpoints, which hold nothing of a log that is not open: none before all are
  // `loaded`. False if anything failed.
  Task<bool> close_logs(bool loaded);
  storage::Decompressor& decompressor() { return decompressor_; }

  // PartitionHost
  void complete_produce(const replication::CompleteProduce& done) override;
  void propose_isr(Partition& partition, const replication::SendAlterPartition& proposal,
                   std::span<const replication::IsrMember> members) override;
  void start_fetching(Partition& partition, NodeId leader) override;
  void stop_fetching(Partition& partition) override;
  void delay_fetch(Partition& partition) override;
  void ask_leader_offsets(Partition& partition, const replication::AskLeaderOffsets& ask) override;
  void segment_rolled(Partition& partition) override;
  void log_shortened(Partition& partition) override;
  void log_failed(Partition& partition, const storage::LogError& error) override;

 private:
  struct WaitSlot {
    ProduceWait* wait = nullptr;
    std::size_t part = 0;
    std::uint32_t generation = 0;
  };

  WaitSlot* slot_of(WaiterId waiter);
  void apply_topics(const protocol::MetadataDelta& delta);
  void apply_partition(const PartitionKey& key);
  void apply_brokers(const protocol::MetadataDelta& delta);
  void apply_configs(const protocol::MetadataDelta& delta);
  void tell_metadata(Partition& partition);
  std::vector<replication::ReplicaBroker> brokers_of(const NodeIds& replicas) const;
  Task<void> open_log(PartitionPtr partition);
  Task<void> delete_log(PartitionPtr partition);
  void drop(const PartitionPtr& partition, replication::RemovedReason reason);
  void isr_answered(const PartitionKey& key, replication::ProposalId id, const IsrResult& result);
  Task<void> propose_later(PartitionKey key, replication::ProposalId id, IsrProposal proposal);
  Task<void> ask_offsets(PartitionPtr partition, NodeId leader, LeaderEpoch epoch);
  Task<std::expected<Offset, ErrorCode>> ask_offset(NodeId leader, PartitionPtr partition, LeaderEpoch epoch,
                                                    std::int64_t timestamp);
  Task<void> flush_log(PartitionPtr partition);
  Task<void> reap_fetcher(std::unique_ptr<ReplicaFetcher> fetcher);
  Task<void> every(Duration period, Task<void> (ReplicaManager::*work)());
  Task<void> check_isrs();
  Task<void> checkpoint_high_watermarks();
  Task<void> checkpoint_recovery_points();
  Task<void> check_retention();
  ReplicaFetcher* fetcher_for(NodeId leader);
  std::optional<CleanerSettings> settings_of_cleaner() const;

  Runtime* runtime_;
  const protocol::BrokerConfig* config_;
  storage::LogDirectory* directory_;
  protocol::Observer* observer_;
  NodeId self_;
  std::function<BrokerEpoch()> broker_epoch_;
  std::function<void(const PartitionPtr&)> on_role_;
  storage::FileCache files_;
  storage::Decompressor decompressor_;
  replication::Effects effects_;
  const protocol::MetadataImage* image_ = nullptr;
  std::map<PartitionKey, PartitionPtr> partitions_;
  std::map<PartitionKey, replication::ProposalId> proposals_;
  std::set<PartitionKey> dropped_;  // their folders, found at start, are gone
  std::map<NodeId, std::unique_ptr<ReplicaFetcher>> fetchers_;
  std::map<PartitionKey, NodeId> fetched_from_;
  std::vector<WaitSlot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::size_t opening_ = 0;
  MonoTime producers_checked_{};
  bool stopping_ = false;
  Signal opened_;
  Signal stop_;
  IsrSender isr_sender_;
  LogCleaner cleaner_;
  Scope scope_;
};

// The address of a node's listener, as registered; none: unknown or without that listener.
std::optional<Endpoint> listener_of(const protocol::MetadataImage& image, NodeId node, std::string_view listener);

}  // namespace verdict::broker
