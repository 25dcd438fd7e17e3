#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "protocol/types.h"

// Records of __cluster_metadata as values that own what they say: the one representation that controllers decide in,
// images are built from, and the log stores. Names and meanings are Kafka's (metadata/*.json); field by field see
// there.
namespace verdict::protocol {

struct BrokerListener {
  std::string name;  // "PLAINTEXT"
  std::string host;
  std::uint16_t port = 0;
  std::int16_t security_protocol = 0;  // Kafka's ids; 0 is PLAINTEXT
  friend bool operator==(const BrokerListener&, const BrokerListener&) = default;
};

struct FeatureRange {
  std::string name;
  std::int16_t min = 0;
  std::int16_t max = 0;
  friend bool operator==(const FeatureRange&, const FeatureRange&) = default;
};

// RECOVERING: elected uncleanly, and its leader has not yet said that it is done (KIP-704).
enum class LeaderRecovery : std::int8_t { recovered = 0, recovering = 1 };

enum class ConfigResourceType : std::int8_t { topic = 2, broker = 4 };

// A topic by its name, a broker by its id; broker "" is the cluster-wide default.
struct ConfigResource {
  ConfigResourceType type = ConfigResourceType::topic;
  std::string name;
  friend auto operator<=>(const ConfigResource&, const ConfigResource&) = default;
};

namespace records {

struct RegisterBroker {
  NodeId broker;
  Uuid incarnation;
  BrokerEpoch epoch;
  std::vector<BrokerListener> listeners;
  std::vector<FeatureRange> features;
  std::optional<std::string> rack;
  bool fenced = true;
  bool in_controlled_shutdown = false;
  std::vector<Uuid> log_dirs;
  friend bool operator==(const RegisterBroker&, const RegisterBroker&) = default;
};

struct UnregisterBroker {
  NodeId broker;
  BrokerEpoch epoch;
  friend bool operator==(const UnregisterBroker&, const UnregisterBroker&) = default;
};

struct Topic {
  std::string name;
  Uuid id;
  friend bool operator==(const Topic&, const Topic&) = default;
};

struct RemoveTopic {
  Uuid id;
  friend bool operator==(const RemoveTopic&, const RemoveTopic&) = default;
};

struct Partition {
  PartitionKey key;
  NodeIds replicas;
  NodeIds isr;
  NodeIds removing;
  NodeIds adding;
  NodeId leader = kNoNode;
  LeaderRecovery recovery = LeaderRecovery::recovered;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::vector<Uuid> directories;  // beside each replica
  std::optional<NodeIds> elr;
  std::optional<NodeIds> last_known_elr;
  friend bool operator==(const Partition&, const Partition&) = default;
};

// What is absent stays as it was. A leader, even the same one, bumps the leader epoch; any change the partition epoch.
struct PartitionChange {
  PartitionKey key;
  std::optional<NodeIds> isr;
  std::optional<NodeId> leader;  // kNoNode: offline from now on
  std::optional<NodeIds> replicas;
  std::optional<NodeIds> removing;
  std::optional<NodeIds> adding;
  std::optional<LeaderRecovery> recovery;
  std::optional<std::vector<Uuid>> directories;
  std::optional<NodeIds> elr;
  std::optional<NodeIds> last_known_elr;
  friend bool operator==(const PartitionChange&, const PartitionChange&) = default;
};

struct Config {
  ConfigResource resource;
  std::string name;
  std::optional<std::string> value;  // none: removed
  friend bool operator==(const Config&, const Config&) = default;
};

struct FeatureLevel {
  std::string name;
  std::int16_t level = 0;  // 0: removed
  friend bool operator==(const FeatureLevel&, const FeatureLevel&) = default;
};

struct BrokerRegistrationChange {
  NodeId broker;
  BrokerEpoch epoch;
  std::optional<bool> fenced;
  bool in_controlled_shutdown = false;  // true: enters it (it is left by a new registration only)
  std::vector<Uuid> log_dirs;           // empty: unchanged
  friend bool operator==(const BrokerRegistrationChange&, const BrokerRegistrationChange&) = default;
};

struct RegisterController {
  NodeId controller;
  Uuid incarnation;
  std::vector<BrokerListener> listeners;
  std::vector<FeatureRange> features;
  friend bool operator==(const RegisterController&, const RegisterController&) = default;
};

struct ProducerIds {  // the next block that a coordinator may take begins here
  NodeId broker;
  BrokerEpoch epoch;
  std::int64_t next = 0;
  friend bool operator==(const ProducerIds&, const ProducerIds&) = default;
};

struct ClearElr {  // of one topic, "": of all
  std::string topic;
  friend bool operator==(const ClearElr&, const ClearElr&) = default;
};

struct NoOp {
  friend bool operator==(const NoOp&, const NoOp&) = default;
};

// A record of Kafka's that nothing here acts on (ACLs, quotas, transactions of records, ...): kept, not understood.
struct Other {
  std::int16_t type = 0;
  std::int16_t version = 0;
  std::vector<std::byte> body;
  friend bool operator==(const Other&, const Other&) = default;
};

}  // namespace records

using MetadataRecord =
    std::variant<records::NoOp, records::RegisterBroker, records::UnregisterBroker, records::Topic,
                 records::RemoveTopic, records::Partition, records::PartitionChange, records::Config,
                 records::FeatureLevel, records::BrokerRegistrationChange, records::RegisterController,
                 records::ProducerIds, records::ClearElr, records::Other>;

// A log record's value: frame version 1, record type and version as uvarints, then the flexible body. The versions
// written are those that Kafka 4.1 writes.
std::vector<std::byte> encode_record(const MetadataRecord&);
// The error is a sentence. FenceBroker and UnfenceBroker of old logs become BrokerRegistrationChange. A known type in
// a version that this build doesn't know, or bytes that are no record, are errors: metadata can't be skipped safely.
std::expected<MetadataRecord, std::string> decode_record(std::span<const std::byte> value);
// As Kafka's DumpLogSegments prints it: {"type":"TOPIC_RECORD","version":0,"data":{...}}. For logs and tests.
std::string to_json(const MetadataRecord&);

// metadata.version of Kafka 4.1 (4.1-IV1).
constexpr std::string_view kMetadataFeature = "metadata.version";
constexpr std::int16_t kMetadataVersion = 27;
constexpr std::int16_t kMinMetadataVersion = 7;
// transaction.version (KIP-890) and group.version (KIP-848) of a new cluster of Kafka 4.1.
constexpr std::string_view kTransactionFeature = "transaction.version";
constexpr std::int16_t kTransactionVersion = 2;
constexpr std::string_view kGroupFeature = "group.version";
constexpr std::int16_t kGroupVersion = 1;
// Features that a node of this build supports, for its registration; by name. Eligible leader replicas are not among
// them yet.
std::vector<FeatureRange> supported_features();
// What the first controller of a new cluster writes first; also the content of bootstrap.checkpoint (`storage format`).
std::vector<MetadataRecord> bootstrap_records();

}  // namespace verdict::protocol
