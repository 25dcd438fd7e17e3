#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/metadata_records.h"
#include "protocol/types.h"

// The cluster's metadata as the records of __cluster_metadata make it. Controllers keep one ahead of the commit, every
// broker one behind it; both build it by apply() alone.
namespace verdict::protocol {

struct BrokerRegistration {
  NodeId id;
  BrokerEpoch epoch;
  Uuid incarnation;
  std::vector<BrokerListener> listeners;
  std::vector<FeatureRange> features;
  std::optional<std::string> rack;
  bool fenced = true;
  bool in_controlled_shutdown = false;
  std::vector<Uuid> log_dirs;
  Offset record_offset = kNoOffset;  // of its RegisterBroker record: what its own metadata must reach to be unfenced

  bool active() const { return !fenced && !in_controlled_shutdown; }
  const BrokerListener* listener(std::string_view name) const;  // null: it has none of that name
};

struct PartitionRegistration {
  NodeIds replicas;  // in order of preference
  NodeIds isr;
  NodeIds removing;
  NodeIds adding;
  NodeIds elr;
  NodeIds last_known_elr;
  NodeId leader = kNoNode;
  LeaderRecovery recovery = LeaderRecovery::recovered;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::vector<Uuid> directories;

  bool has_replica(NodeId) const;
  bool in_isr(NodeId) const;
  void merge(const records::PartitionChange&);
};

struct TopicImage {
  std::string name;
  Uuid id;
  std::map<std::int32_t, PartitionRegistration> partitions;  // Kafka's are dense from 0
};

using ConfigValues = std::map<std::string, std::string, std::less<>>;

// What a batch of records touched, for those who act on changes. Look up the new state in the image; what the image no
// longer has is gone. clear() for the next batch.
struct MetadataDelta {
  struct RemovedTopic {
    std::string name;
    std::vector<std::int32_t> partitions;
  };
  std::set<PartitionKey> partitions;            // created or changed, and still there
  std::set<Uuid> topics_created;                // and still there
  std::map<Uuid, RemovedTopic> topics_removed;  // including those created in the same batch
  std::set<NodeId> brokers;                     // registered, changed or gone
  std::set<ConfigResource> configs;
  std::set<std::string> features;

  bool empty() const;
  void clear();
};

class MetadataImage {
 public:
  // Applies the record at `offset`; offsets rise. An error (a sentence) is a record that doesn't fit what came before:
  // the log is damaged or written by something else, and nobody may act on this image any more.
  std::expected<void, std::string> apply(const MetadataRecord&, Offset offset, MetadataDelta* delta = nullptr);

  Offset applied_to() const { return applied_to_; }  // one past the last record applied; 0 at first
  const std::map<NodeId, BrokerRegistration>& brokers() const { return brokers_; }
  const std::map<Uuid, TopicImage>& topics() const { return topics_; }
  const std::map<std::string, Uuid, std::less<>>& topics_by_name() const { return by_name_; }
  const std::map<std::string, std::int16_t, std::less<>>& features() const { return features_; }
  const std::map<NodeId, records::RegisterController>& controllers() const { return controllers_; }
  std::int64_t next_producer_id() const { return next_producer_id_; }

  const BrokerRegistration* broker(NodeId) const;        // null: not registered
  const TopicImage* topic(Uuid) const;                   // null: unknown
  const TopicImage* topic(std::string_view name) const;  // null: unknown
  const PartitionRegistration* partition(const PartitionKey&) const;
  const ConfigValues& configs(const ConfigResource&) const;  // empty if none is set
  bool active(NodeId id) const;                              // registered, unfenced, not shutting down
  std::int32_t leaderships(NodeId) const;                    // partitions that it leads
  const std::set<PartitionKey>& leaderless() const { return leaderless_; }
  std::int64_t partition_count() const { return partition_count_; }

 private:
  using Result = std::expected<void, std::string>;
  Result put(const records::NoOp&, Offset, MetadataDelta*) { return {}; }
  Result put(const records::Other&, Offset, MetadataDelta*) { return {}; }
  Result put(const records::RegisterBroker&, Offset, MetadataDelta*);
  Result put(const records::UnregisterBroker&, Offset, MetadataDelta*);
  Result put(const records::Topic&, Offset, MetadataDelta*);
  Result put(const records::RemoveTopic&, Offset, MetadataDelta*);
  Result put(const records::Partition&, Offset, MetadataDelta*);
  Result put(const records::PartitionChange&, Offset, MetadataDelta*);
  Result put(const records::Config&, Offset, MetadataDelta*);
  Result put(const records::FeatureLevel&, Offset, MetadataDelta*);
  Result put(const records::BrokerRegistrationChange&, Offset, MetadataDelta*);
  Result put(const records::RegisterController&, Offset, MetadataDelta*);
  Result put(const records::ProducerIds&, Offset, MetadataDelta*);
  Result put(const records::ClearElr&, Offset, MetadataDelta*);
  void clear_elr(TopicImage&, MetadataDelta*);
  void count_leader(const PartitionKey&, NodeId leader, std::int32_t by);

  Offset applied_to_{0};
  std::map<NodeId, BrokerRegistration> brokers_;
  std::map<Uuid, TopicImage> topics_;
  std::map<std::string, Uuid, std::less<>> by_name_;
  std::map<ConfigResource, ConfigValues> configs_;
  std::map<std::string, std::int16_t, std::less<>> features_;
  std::map<NodeId, records::RegisterController> controllers_;
  std::map<NodeId, std::int32_t> leaderships_;
  std::set<PartitionKey> leaderless_;
  std::int64_t partition_count_ = 0;
  std::int64_t next_producer_id_ = 0;
};

// The finalized level of a feature; 0: it is off, or nobody has heard of it.
std::int16_t feature_level(const MetadataImage&, std::string_view feature);

}  // namespace verdict::protocol
