#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/group/consumer_group.h"
#include "protocol/metadata_image.h"

namespace verdict::group {

// What a consumer group remembers of its topics, to see whether they changed: ids, names, partitions and the racks of
// their replicas. Kafka 4.1's numbers. 0: no such topic.
std::int64_t topic_hash(std::string_view topic, const protocol::MetadataImage& image);
std::int64_t metadata_hash(const SubscribedTopics& topics, const protocol::MetadataImage& image);

}  // namespace verdict::group
