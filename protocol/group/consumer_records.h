#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/group/consumer_group.h"
#include "protocol/group/coordinator.h"

// The records of consumer groups in __consumer_offsets, as Kafka 4.1 writes them: keys of the types 3 to 8 and 16.
namespace verdict::group {

bool is_consumer_record(std::int16_t type);

LogRecord consumer_record(std::string_view group, const ConsumerChange& change);

// Of all that a group has, in Kafka's order.
std::vector<LogRecord> tombstones(const ConsumerGroup& group);

struct ConsumerRecord {
  std::string group;
  ConsumerChange change;
  bool tombstone = false;
};
// `body`: the key behind its type.
std::expected<ConsumerRecord, std::string> read_consumer_record(std::int16_t type, std::span<const std::byte> body,
                                                                std::optional<std::span<const std::byte>> value);

}  // namespace verdict::group
