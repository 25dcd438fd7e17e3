#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/group/classic_group.h"
#include "protocol/group/consumer_records.h"
#include "protocol/group/coordinator.h"
#include "protocol/group/offsets.h"

// The records of __consumer_offsets: a version or type (i16), then the body; keys 0 and 1 are committed offsets, 2 is a
// classic group. Values as Kafka 4.1 writes them: offsets version 4 (1 with an expiry timestamp), groups version 3.
namespace verdict::group {

LogRecord offset_record(std::string_view group, std::string_view topic, std::int32_t partition,
                        const CommittedOffset& offset);
LogRecord offset_tombstone(std::string_view group, std::string_view topic, std::int32_t partition);
LogRecord group_record(const ClassicGroup& group);
LogRecord group_tombstone(std::string_view group);

struct OffsetRecord {
  std::string group;
  std::string topic;
  std::int32_t partition = 0;
  std::optional<CommittedOffset> value;  // none: removed
};
struct GroupRecord {
  std::string group;
  std::optional<ClassicGroup> value;
};
struct OtherRecord {  // of a type that is not ours
  std::int16_t type = 0;
};
using ReadRecord = std::variant<OffsetRecord, GroupRecord, ConsumerRecord, OtherRecord>;
std::expected<ReadRecord, std::string> read_record(std::span<const std::byte> key,
                                                   std::optional<std::span<const std::byte>> value);

// Bytes that it takes in a batch, at most.
std::size_t batch_bytes(std::span<const LogRecord> records);

}  // namespace verdict::group
