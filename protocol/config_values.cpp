#include "protocol/config_values.h"

#include <algorithm>

#include "protocol/config_text.h"
#include "runtime/assert.h"

namespace verdict::protocol {
namespace {

std::string multiplied(std::string_view value, std::int64_t factor) {
  const auto number = factor == 1 ? std::nullopt : parse_integer(value);
  if (!number) {
    return std::string(value);
  }
  return std::to_string(*number < 0 ? -1 : *number * factor);  // a negative time is "no limit" in any unit
}

void settle(ConfigEntry& entry) {
  if (entry.synonyms.empty()) {
    entry.source = ConfigSource::default_value;
    return;
  }
  entry.source = entry.synonyms.front().source;
}

}  // namespace

std::optional<ConfigEntry::Synonym> ConfigView::lookup(const ConfigResource& resource, std::string_view key,
                                                       ConfigSource source) const {
  const ConfigValues& values = image_.configs(resource);
  const auto found = values.find(key);
  if (found == values.end()) {
    return std::nullopt;
  }
  return ConfigEntry::Synonym{.name = std::string(key), .value = found->second, .source = source};
}

void ConfigView::add_broker_synonyms(std::string_view broker_key, std::int64_t factor, ConfigEntry& entry) const {
  const auto add = [&](ConfigEntry::Synonym synonym) {
    if (entry.synonyms.empty()) {
      entry.value = multiplied(*synonym.value, factor);
    }
    entry.synonyms.push_back(std::move(synonym));
  };
  if (broker_ != kNoNode) {
    if (auto own = lookup({ConfigResourceType::broker, std::to_string(broker_.value())}, broker_key,
                          ConfigSource::dynamic_broker)) {
      add(std::move(*own));
    }
  }
  if (auto all = lookup({ConfigResourceType::broker, ""}, broker_key, ConfigSource::dynamic_default_broker)) {
    add(std::move(*all));
  }
  if (const auto fixed = fixed_.given(broker_key)) {
    add({.name = std::string(broker_key), .value = std::string(*fixed), .source = ConfigSource::static_broker});
  }
  const ConfigKey* key = find_broker_key(broker_key);
  VERDICT_ASSERT(key != nullptr, broker_key);
  if (key->fallback) {
    add({.name = std::string(broker_key), .value = std::string(*key->fallback), .source = ConfigSource::default_value});
  }
}

ConfigEntry ConfigView::topic_entry(const ConfigValues& values, const ConfigKey& key) const {
  ConfigEntry entry{.name = std::string(key.name), .type = key.type};
  if (const auto own = values.find(key.name); own != values.end()) {
    entry.value = own->second;
    entry.synonyms.push_back({.name = entry.name, .value = own->second, .source = ConfigSource::dynamic_topic});
  }
  for (const ConfigSynonym& synonym : synonyms_of_topic_key(key.name)) {
    add_broker_synonyms(synonym.name, synonym.factor, entry);
  }
  if (entry.synonyms.empty() && key.fallback) {
    entry.value = std::string(*key.fallback);
  }
  settle(entry);
  return entry;
}

ConfigEntry ConfigView::topic_entry(std::string_view topic, const ConfigKey& key) const {
  return topic_entry(image_.configs({ConfigResourceType::topic, std::string(topic)}), key);
}

ConfigEntry ConfigView::broker_entry(const ConfigKey& key) const {
  ConfigEntry entry{
      .name = std::string(key.name), .type = key.type, .read_only = key.update == ConfigUpdate::read_only};
  add_broker_synonyms(key.name, 1, entry);
  settle(entry);
  return entry;
}

std::vector<ConfigEntry> ConfigView::topic_entries(std::string_view topic) const {
  std::vector<ConfigEntry> out;
  for (const ConfigKey& key : topic_keys()) {
    if (!key.name.starts_with("internal.")) {
      out.push_back(topic_entry(topic, key));
    }
  }
  return out;
}

std::vector<ConfigEntry> ConfigView::broker_entries() const {
  std::vector<ConfigEntry> out;
  for (const ConfigKey& key : broker_keys()) {
    out.push_back(broker_entry(key));
  }
  return out;
}

std::string ConfigView::topic_text(std::string_view topic, std::string_view name) const {
  const ConfigKey* key = find_topic_key(name);
  VERDICT_ASSERT(key != nullptr, name);
  return topic_entry(topic, *key).value.value_or("");
}

std::int64_t ConfigView::topic_integer(std::string_view topic, std::string_view key) const {
  const auto value = parse_integer(topic_text(topic, key));
  VERDICT_ASSERT(value.has_value(), key);
  return *value;
}

bool ConfigView::topic_boolean(std::string_view topic, std::string_view key) const {
  const auto value = parse_boolean(topic_text(topic, key));
  VERDICT_ASSERT(value.has_value(), key);
  return *value;
}

double ConfigView::topic_real(std::string_view topic, std::string_view key) const {
  const auto value = parse_real(topic_text(topic, key));
  VERDICT_ASSERT(value.has_value(), key);
  return *value;
}

std::string ConfigView::broker_text(std::string_view name) const {
  const ConfigKey* key = find_broker_key(name);
  VERDICT_ASSERT(key != nullptr, name);
  return broker_entry(*key).value.value_or("");
}

double ConfigView::broker_real(std::string_view key) const {
  const auto value = parse_real(broker_text(key));
  VERDICT_ASSERT(value.has_value(), key);
  return *value;
}

std::int64_t ConfigView::broker_integer(std::string_view key) const {
  const auto value = parse_integer(broker_text(key));
  VERDICT_ASSERT(value.has_value(), key);
  return *value;
}

TopicConfig topic_config(const ConfigView& view, std::string_view topic) {
  const auto integer = [&](std::string_view key) { return view.topic_integer(topic, key); };
  const auto policies = split_trimmed(view.topic_text(topic, "cleanup.policy"), ',');
  const auto small_segment = parse_integer(view.topic_text(topic, "internal.segment.bytes"));
  return {.segment_bytes = small_segment.value_or(integer("segment.bytes")),
          .segment_ms = integer("segment.ms"),
          .segment_jitter_ms = integer("segment.jitter.ms"),
          .segment_index_bytes = integer("segment.index.bytes"),
          .index_interval_bytes = integer("index.interval.bytes"),
          .retention_ms = integer("retention.ms"),
          .retention_bytes = integer("retention.bytes"),
          .file_delete_delay_ms = integer("file.delete.delay.ms"),
          .flush_messages = integer("flush.messages"),
          .flush_ms = integer("flush.ms"),
          .max_message_bytes = static_cast<std::int32_t>(integer("max.message.bytes")),
          .min_insync_replicas = static_cast<std::int32_t>(integer("min.insync.replicas")),
          .cleanup_delete = has_element(policies, "delete"),
          .cleanup_compact = has_element(policies, "compact"),
          .log_append_time = view.topic_text(topic, "message.timestamp.type") == "LogAppendTime",
          .preallocate = view.topic_boolean(topic, "preallocate"),
          .unclean_leader_election = view.topic_boolean(topic, "unclean.leader.election.enable"),
          .timestamp_before_max_ms = integer("message.timestamp.before.max.ms"),
          .timestamp_after_max_ms = integer("message.timestamp.after.max.ms"),
          .producer_id_expiration_ms = view.broker_integer("producer.id.expiration.ms"),
          .delete_retention_ms = integer("delete.retention.ms"),
          .min_compaction_lag_ms = integer("min.compaction.lag.ms"),
          .max_compaction_lag_ms = integer("max.compaction.lag.ms"),
          .min_cleanable_dirty_ratio = view.topic_real(topic, "min.cleanable.dirty.ratio"),
          .compression_type = view.topic_text(topic, "compression.type")};
}

}  // namespace verdict::protocol
