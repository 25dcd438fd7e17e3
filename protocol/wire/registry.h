#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/wire/descriptor.h"

// All of Kafka 4.1's messages by name and by api key, for tools that learn at run time which one they hold.
namespace verdict::wire {

std::span<const MessageInfo* const> all_messages();      // by name
const MessageInfo* find_message(std::string_view name);  // null if there is none

// By api key or record type: null if there is none. Removed APIs are found, without versions.
const MessageInfo* find_request(int key);
const MessageInfo* find_response(int key);
const MessageInfo* find_metadata_record(int key);

// One body between its two written forms; the error is a sentence.
std::expected<std::string, std::string> bytes_to_json(const MessageInfo& info, int version,
                                                      std::span<const std::byte> body);
std::expected<std::vector<std::byte>, std::string> json_to_bytes(const MessageInfo& info, int version,
                                                                 std::string_view json);

std::string to_hex(std::span<const std::byte> bytes);
std::expected<std::vector<std::byte>, std::string> from_hex(std::string_view text);

}  // namespace verdict::wire
