#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/group/consumer_group.h"
#include "protocol/wire/arena.h"

namespace verdict::protocol {
class MetadataImage;
}

// Assignments as messages and the feed have them.
namespace verdict::group {

// `Topic` has topic_id and partitions.
template <class Topic>
std::span<Topic> topics_of(wire::Arena& arena, const Assignment& assignment) {
  const auto out = arena.make_span<Topic>(assignment.size());
  std::size_t i = 0;
  for (const auto& [id, indexes] : assignment) {
    out[i].topic_id = id;
    out[i].partitions = arena.make_span<std::int32_t>(indexes.size());
    std::ranges::copy(indexes, out[i++].partitions.begin());
  }
  return out;
}

template <class Topics>
Assignment assignment_of(const Topics& topics) {
  Assignment out;
  for (const auto& topic : topics) {
    if (!topic.partitions.empty()) {
      out[topic.topic_id].insert(topic.partitions.begin(), topic.partitions.end());
    }
  }
  return out;
}

// The partitions of an assignment, "orders-0,orders-1", that members of a classic group tell each other; empty where
// the protocol is not the consumers', or the bytes are not an assignment.
std::string assignment_text(std::optional<std::string_view> protocol_type, std::span<const std::byte> assignment);
// The coordinator's. A topic that the image doesn't have (or there is none) goes by its id.
std::string assignment_text(const Assignment& assignment, const protocol::MetadataImage* image);

}  // namespace verdict::group
