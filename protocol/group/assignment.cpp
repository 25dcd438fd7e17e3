#include "protocol/group/assignment.h"

#include <cstdint>

#include "protocol/group/classic_group.h"
#include "protocol/group/record_codec.h"
#include "protocol/metadata_image.h"
#include "protocol/wire/gen/data_records.h"

namespace verdict::group {
namespace {

void add(std::string& text, std::string_view topic, std::int32_t index) {
  if (!text.empty()) text += ',';
  text.append(topic).append("-").append(std::to_string(index));
}

}  // namespace

std::string assignment_text(std::optional<std::string_view> protocol_type, std::span<const std::byte> assignment) {
  wire::Arena arena;
  wire::ConsumerProtocolAssignment read;
  if (protocol_type != kConsumerProtocolType || !decode_said(arena, assignment, 0, read)) {
    return {};
  }
  std::string text;
  for (const auto& topic : read.assigned_partitions) {
    for (const std::int32_t index : topic.partitions) add(text, topic.topic, index);
  }
  return text;
}

std::string assignment_text(const Assignment& assignment, const protocol::MetadataImage* image) {
  std::string text;
  for (const auto& [id, indexes] : assignment) {
    const protocol::TopicImage* topic = image == nullptr ? nullptr : image->topic(id);
    const std::string name = topic == nullptr ? id.to_string() : topic->name;
    for (const std::int32_t index : indexes) add(text, name, index);
  }
  return text;
}

}  // namespace verdict::group
