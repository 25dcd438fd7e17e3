#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/group/consumer_group.h"

namespace verdict::protocol {
class MetadataImage;
}

// Assignments as the feed has them.
namespace verdict::group {

// The partitions of an assignment, "orders-0,orders-1", that members of a classic group tell each other; empty where
// the protocol is not the consumers', or the bytes are not an assignment.
std::string assignment_text(std::optional<std::string_view> protocol_type, std::span<const std::byte> assignment);
// The coordinator's. A topic that the image doesn't have (or there is none) goes by its id.
std::string assignment_text(const Assignment& assignment, const protocol::MetadataImage* image);

}  // namespace verdict::group
