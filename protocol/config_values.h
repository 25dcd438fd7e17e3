#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"

// What a key's value is, and where from: topic, broker, cluster-wide default, server.properties, Kafka's default.
namespace verdict::protocol {

struct ConfigEntry {
  struct Synonym {
    std::string name;
    std::optional<std::string> value;
    ConfigSource source = ConfigSource::unknown;
  };
  std::string name;
  std::optional<std::string> value;
  ConfigSource source = ConfigSource::default_value;
  ConfigType type = ConfigType::string;
  bool read_only = false;
  bool sensitive = false;         // then value is none
  std::vector<Synonym> synonyms;  // in order of precedence, the one in force first
};

// One node's view: its static configuration under the dynamic values of the image.
class ConfigView {
 public:
  // `broker`: whose dynamic values count; kNoNode (a controller's decisions): cluster-wide defaults only.
  ConfigView(const BrokerConfig& fixed, const MetadataImage& image, NodeId broker)
      : fixed_(fixed), image_(image), broker_(broker) {}

  ConfigEntry topic_entry(std::string_view topic, const ConfigKey& key) const;
  ConfigEntry topic_entry(const ConfigValues& values, const ConfigKey& key) const;  // of a topic that isn't there yet
  ConfigEntry broker_entry(const ConfigKey& key) const;
  std::vector<ConfigEntry> topic_entries(std::string_view topic) const;  // all keys, by name
  std::vector<ConfigEntry> broker_entries() const;

  std::int64_t topic_integer(std::string_view topic, std::string_view key) const;
  bool topic_boolean(std::string_view topic, std::string_view key) const;
  std::string topic_text(std::string_view topic, std::string_view key) const;
  double topic_real(std::string_view topic, std::string_view key) const;
  std::int64_t broker_integer(std::string_view key) const;
  double broker_real(std::string_view key) const;

 private:
  std::string broker_text(std::string_view key) const;
  std::optional<ConfigEntry::Synonym> lookup(const ConfigResource&, std::string_view key, ConfigSource) const;
  void add_broker_synonyms(std::string_view broker_key, std::int64_t factor, ConfigEntry&) const;

  const BrokerConfig& fixed_;
  const MetadataImage& image_;
  NodeId broker_;
};

// What a replica needs of its topic's configuration, in force now.
struct TopicConfig {
  std::int64_t segment_bytes;
  std::int64_t segment_ms;
  std::int64_t segment_jitter_ms;
  std::int64_t segment_index_bytes;
  std::int64_t index_interval_bytes;
  std::int64_t retention_ms;     // -1: no limit
  std::int64_t retention_bytes;  // -1: no limit
  std::int64_t file_delete_delay_ms;
  std::int64_t flush_messages;
  std::int64_t flush_ms;
  std::int32_t max_message_bytes;
  std::int32_t min_insync_replicas;
  bool cleanup_delete;
  bool cleanup_compact;
  bool log_append_time;
  bool preallocate;
  bool unclean_leader_election;
  std::int64_t timestamp_before_max_ms;
  std::int64_t timestamp_after_max_ms;
  std::int64_t producer_id_expiration_ms;  // of the broker
  std::int64_t delete_retention_ms;
  std::int64_t min_compaction_lag_ms;
  std::int64_t max_compaction_lag_ms;
  double min_cleanable_dirty_ratio;
  std::string compression_type;  // "producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"
  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};
TopicConfig topic_config(const ConfigView&, std::string_view topic);

}  // namespace verdict::protocol
