#include "protocol/broker/coordinators.h"

#include <limits>

#include "protocol/java_order.h"
#include "runtime/assert.h"

namespace verdict::broker {

std::int32_t coordinator_partition(std::string_view key, std::int32_t partitions) {
  VERDICT_ASSERT(partitions > 0);
  const std::int32_t hash = protocol::java_hash(key);
  const bool no_opposite = hash == std::numeric_limits<std::int32_t>::min();  // Kafka takes 0 for it
  return (no_opposite ? 0 : hash < 0 ? -hash : hash) % partitions;
}

std::int32_t coordinator_partitions(CoordinatorType type, const protocol::MetadataImage& image,
                                    const protocol::BrokerConfig& config) {
  const protocol::TopicImage* topic = image.topic(coordinator_topic(type));
  if (topic != nullptr && !topic->partitions.empty()) return static_cast<std::int32_t>(topic->partitions.size());
  return static_cast<std::int32_t>(config.integer(
      type == CoordinatorType::group ? "offsets.topic.num.partitions" : "transaction.state.log.num.partitions"));
}

std::optional<PartitionKey> coordinator_of(CoordinatorType type, std::string_view key,
                                           const protocol::MetadataImage& image) {
  const protocol::TopicImage* topic = image.topic(coordinator_topic(type));
  if (topic == nullptr || topic->partitions.empty()) return std::nullopt;
  const auto partitions = static_cast<std::int32_t>(topic->partitions.size());
  return PartitionKey{.topic = topic->id, .index = coordinator_partition(key, partitions)};
}

std::optional<InternalTopicSettings> internal_topic_settings(std::string_view topic,
                                                             const protocol::BrokerConfig& config) {
  const auto settings = [&config](std::string_view partitions, std::string_view factor) {
    return InternalTopicSettings{.partitions = static_cast<std::int32_t>(config.integer(partitions)),
                                 .replication_factor = static_cast<std::int16_t>(config.integer(factor))};
  };
  if (topic == kOffsetsTopic) {
    auto out = settings("offsets.topic.num.partitions", "offsets.topic.replication.factor");
    out.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "producer"},
                   {"segment.bytes", config.text("offsets.topic.segment.bytes")}};
    return out;
  }
  if (topic == kTransactionsTopic) {
    auto out = settings("transaction.state.log.num.partitions", "transaction.state.log.replication.factor");
    out.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "uncompressed"},
                   {"min.insync.replicas", config.text("transaction.state.log.min.isr")},
                   {"segment.bytes", config.text("transaction.state.log.segment.bytes")},
                   {"unclean.leader.election.enable", "false"}};
    return out;
  }
  return std::nullopt;
}

}  // namespace verdict::broker
