#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "protocol/metadata_image.h"

namespace verdict::controller {

// Kafka's StripedReplicaPlacer: partitions go round the racks and, within a rack, round its unfenced brokers and then
// its fenced ones; the first replica (the leader) is always on an unfenced broker, no two replicas share a broker, and
// racks repeat only when all were used. Brokers in controlled shutdown are left out. Start points come from `random`.
// The error is the tail of Kafka's message ("All brokers are currently fenced.").
std::expected<std::vector<NodeIds>, std::string> place_replicas(const protocol::MetadataImage& image,
                                                                std::int32_t partitions,
                                                                std::int16_t replication_factor, std::uint64_t random);

}  // namespace verdict::controller
