#include "protocol/wire/registry.h"

#include <algorithm>

#include "protocol/wire/codec.h"

namespace verdict::wire {
namespace {

// Room for any message: objects are trivially copyable, so bytes of the heap will do.
std::vector<std::max_align_t> object_of(const MessageInfo& info) {
  return std::vector<std::max_align_t>(info.structure->size / sizeof(std::max_align_t) + 1);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

const MessageInfo* find_message(std::string_view name) {
  const auto all = all_messages();
  const auto found = std::ranges::lower_bound(all, name, {}, [](const MessageInfo* info) { return info->name; });
  return found == all.end() || (*found)->name != name ? nullptr : *found;
}

std::expected<std::string, std::string> bytes_to_json(const MessageInfo& info, int version,
                                                      std::span<const std::byte> body) {
  Arena arena;
  auto object = object_of(info);
  const auto used = decode(info, arena, body, version, object.data());
  if (!used) {
    return std::unexpected(std::string(info.name) + " v" + std::to_string(version) + ": " + used.error().to_string());
  }
  if (*used != body.size()) {
    return std::unexpected(std::string(info.name) + " v" + std::to_string(version) + ": " +
                           std::to_string(body.size() - *used) + " bytes follow the message");
  }
  return to_json(info, version, object.data());
}

std::expected<std::vector<std::byte>, std::string> json_to_bytes(const MessageInfo& info, int version,
                                                                 std::string_view json) {
  Arena arena;
  auto object = object_of(info);
  if (auto read = from_json(info, arena, json, version, object.data()); !read) {
    return std::unexpected(read.error());
  }
  std::vector<std::byte> out;
  if (auto done = append(info, version, object.data(), out, nullptr); !done) {
    return std::unexpected(std::string(info.name) + " v" + std::to_string(version) + ": " + done.error().to_string());
  }
  return out;
}

std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text.push_back(kDigits[std::to_integer<std::size_t>(byte) >> 4]);
    text.push_back(kDigits[std::to_integer<std::size_t>(byte) & 15]);
  }
  return text;
}

std::expected<std::vector<std::byte>, std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return std::unexpected("an odd number of hexadecimal digits");
  }
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) {
      return std::unexpected("no hexadecimal digit at character " + std::to_string(high < 0 ? i : i + 1));
    }
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

}  // namespace verdict::wire
