#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verdict::wire {

// RFC 4648, section 4, with padding: the form of bytes and records in Kafka's JSON.
void append_base64(std::string& out, std::span<const std::byte> bytes);
std::optional<std::vector<std::byte>> parse_base64(std::string_view text);

}  // namespace verdict::wire
