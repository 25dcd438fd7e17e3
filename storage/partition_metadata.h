#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "runtime/uuid.h"

// `partition.metadata` in a partition's directory ties it to one life of a topic (KIP-516).
namespace verdict::storage {

constexpr std::string_view kPartitionMetadataFile = "partition.metadata";

std::string format_partition_metadata(const Uuid& topic_id);
std::expected<Uuid, std::string> parse_partition_metadata(std::string_view text);

}  // namespace verdict::storage
