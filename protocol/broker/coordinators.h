#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"

// Who coordinates a group or a transactional id: the leader of one partition of an internal topic, which the key's hash
// chooses.
namespace verdict::broker {

constexpr std::string_view kOffsetsTopic = "__consumer_offsets";
constexpr std::string_view kTransactionsTopic = "__transaction_state";
constexpr std::string_view kShareStateTopic = "__share_group_state";

enum class CoordinatorType : std::int8_t { group = 0, transaction = 1 };  // key types of FindCoordinator

constexpr std::string_view coordinator_topic(CoordinatorType type) {
  return type == CoordinatorType::group ? kOffsetsTopic : kTransactionsTopic;
}

// Topics that the brokers keep for themselves: clients see them marked as such, and don't write to them.
constexpr bool is_internal_topic(std::string_view topic) {
  return topic == kOffsetsTopic || topic == kTransactionsTopic || topic == kShareStateTopic;
}

// 0 <= .. < partitions, which is > 0.
std::int32_t coordinator_partition(std::string_view key, std::int32_t partitions);

// How many partitions the coordinators of this type are spread over: those of the topic, or what it will be made with.
std::int32_t coordinator_partitions(CoordinatorType type, const protocol::MetadataImage& image,
                                    const protocol::BrokerConfig& config);

// The partition of the coordinator of `key`; none while its topic doesn't exist.
std::optional<PartitionKey> coordinator_of(CoordinatorType type, std::string_view key,
                                           const protocol::MetadataImage& image);

// What an internal topic is made with, on first need.
struct InternalTopicSettings {
  std::int32_t partitions = 0;
  std::int16_t replication_factor = 0;
  std::vector<std::pair<std::string, std::string>> configs;
};
// None: not a topic that this broker makes for itself.
std::optional<InternalTopicSettings> internal_topic_settings(std::string_view topic,
                                                             const protocol::BrokerConfig& config);

}  // namespace verdict::broker
