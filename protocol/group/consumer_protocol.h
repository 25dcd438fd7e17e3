#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/group/classic_group.h"
#include "protocol/group/consumer_group.h"
#include "protocol/metadata_image.h"

// What consumers of the classic protocol say to each other through a coordinator that need not know what it means:
// subscriptions and assignments, behind a version (i16).
namespace verdict::group {

struct Subscription {
  std::set<std::string, std::less<>> topics;
  std::optional<std::string> rack_id;
  Assignment owned;  // of topics that there are
  std::int16_t version = 0;
};
// Nothing: it can't be read. The image may be null: there are no topics.
std::optional<Subscription> read_subscription(wire::Bytes bytes, const protocol::MetadataImage* image);

struct GivenAssignment {
  Assignment partitions;       // of topics that there are
  bool has_user_data = false;  // which only the leader's assignor understands
};
std::optional<GivenAssignment> read_assignment(wire::Bytes bytes, const protocol::MetadataImage* image);
Blob write_assignment(const Assignment& partitions, std::int16_t version, const protocol::MetadataImage* image);

}  // namespace verdict::group
