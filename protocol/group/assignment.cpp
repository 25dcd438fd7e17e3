#include "protocol/group/assignment.h"

#include <cstdint>

#include "protocol/group/classic_group.h"
#include "protocol/metadata_image.h"
#include "protocol/wire/gen/data_records.h"
#include "protocol/wire/reader.h"

namespace verdict::group {

std::string assignment_text(std::optional<std::string_view> protocol_type, std::span<const std::byte> assignment) {
  wire::Arena arena;
  wire::ConsumerProtocolAssignment read;
  // Later versions only add to the end of what version 0 has.
  if (protocol_type != kConsumerProtocolType || assignment.size() < 2 ||
      wire::load_big_endian<std::int16_t>(assignment.data()) < 0 ||
      !wire::decode(arena, assignment.subspan(2), 0, read)) {
    return {};
  }
  std::string text;
  for (const auto& topic : read.assigned_partitions) {
    for (const std::int32_t index : topic.partitions) {
      if (!text.empty()) text += ',';
      text.append(topic.topic).append("-").append(std::to_string(index));
    }
  }
  return text;
}

std::string assignment_text(const Assignment& assignment, const protocol::MetadataImage* image) {
  std::string text;
  for (const auto& [id, indexes] : assignment) {
    const protocol::TopicImage* topic = image == nullptr ? nullptr : image->topic(id);
    const std::string name = topic == nullptr ? id.to_string() : topic->name;
    for (const std::int32_t index : indexes) {
      if (!text.empty()) text += ',';
      text.append(name).append("-").append(std::to_string(index));
    }
  }
  return text;
}

}  // namespace verdict::group
