#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// What members of consumer groups tell each other, and the coordinator only passes on.
namespace verdict::group {

// The partitions of an assignment, "orders-0,orders-1"; empty where the protocol is not the consumers', or the bytes
// are not an assignment.
std::string assignment_text(std::optional<std::string_view> protocol_type, std::span<const std::byte> assignment);

}  // namespace verdict::group
