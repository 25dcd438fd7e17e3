#include "protocol/group/consumer_protocol.h"

#include <algorithm>
#include <utility>

#include "protocol/group/record_codec.h"
#include "protocol/wire/gen/data_records.h"

namespace verdict::group {
namespace {

constexpr std::int16_t kHighest = 3;

template <class Topics>
Assignment by_id(const Topics& topics, const protocol::MetadataImage* image) {
  Assignment out;
  for (const auto& one : topics) {
    const protocol::TopicImage* topic = image == nullptr ? nullptr : image->topic(one.topic);
    if (topic != nullptr && !one.partitions.empty()) {
      out[topic->id].insert(one.partitions.begin(), one.partitions.end());
    }
  }
  return out;
}

}  // namespace

std::optional<Subscription> read_subscription(wire::Bytes bytes, const protocol::MetadataImage* image) {
  wire::Arena arena;
  wire::ConsumerProtocolSubscription read_as;
  const auto version = decode_said(arena, bytes, kHighest, read_as);
  if (!version) {
    return std::nullopt;
  }
  Subscription out{.topics = {read_as.topics.begin(), read_as.topics.end()},
                   .rack_id = read_as.rack_id && !read_as.rack_id->empty() ? owned(read_as.rack_id) : std::nullopt,
                   .owned = by_id(read_as.owned_partitions, image),
                   .version = *version};
  return out;
}

std::optional<GivenAssignment> read_assignment(wire::Bytes bytes, const protocol::MetadataImage* image) {
  if (bytes.empty()) {  // has not synced yet
    return GivenAssignment{};
  }
  wire::Arena arena;
  wire::ConsumerProtocolAssignment read_as;
  if (!decode_said(arena, bytes, kHighest, read_as)) {
    return std::nullopt;
  }
  return GivenAssignment{.partitions = by_id(read_as.assigned_partitions, image),
                         .has_user_data = read_as.user_data && !read_as.user_data->empty()};
}

Blob write_assignment(const Assignment& partitions, std::int16_t version, const protocol::MetadataImage* image) {
  using Wire = wire::ConsumerProtocolAssignment;
  wire::Arena arena;
  std::vector<Wire::TopicPartition> topics;
  for (const auto& [id, indexes] : partitions) {
    const protocol::TopicImage* topic = image == nullptr ? nullptr : image->topic(id);
    if (topic != nullptr) {
      const auto list = arena.make_span<std::int32_t>(indexes.size());
      std::ranges::copy(indexes, list.begin());
      topics.push_back({.topic = topic->name, .partitions = list});
    }
  }
  return encoded(Wire{.assigned_partitions = topics, .user_data = std::nullopt}, version, version);
}

}  // namespace verdict::group
