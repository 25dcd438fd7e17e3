#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/group/classic_group.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/reader.h"
#include "runtime/assert.h"

// How keys and values of __consumer_offsets are written and read: a type or version (i16), then the message.
namespace verdict::group {

template <class T>
Blob encoded(const T& value, int version, std::int16_t prefix) {
  Blob out{static_cast<std::byte>(prefix >> 8), static_cast<std::byte>(prefix & 0xff)};
  const auto done = wire::append(out, value, version);
  VERDICT_ASSERT(done.has_value(), T::message_name);
  return out;
}

template <class T>
Blob key_of(const T& key) {
  return encoded(key, 0, T::api_key);
}
template <class T>
Blob value_of(const T& value, int version) {
  return encoded(value, version, static_cast<std::int16_t>(version));
}

// `body`: behind the type.
template <class T>
std::expected<void, std::string> decode_key(wire::Arena& arena, std::span<const std::byte> body, T& out) {
  if (!wire::decode_exact(arena, body, 0, out)) {
    return std::unexpected(std::string(T::message_name) + ": a malformed key");
  }
  return {};
}

template <class T>
std::expected<void, std::string> decode_value(wire::Arena& arena, std::span<const std::byte> bytes, T& out) {
  const std::string name(T::message_name);
  if (bytes.size() < 2) {
    return std::unexpected(name + ": a value of " + std::to_string(bytes.size()) + " bytes has no version");
  }
  const auto version = wire::load_big_endian<std::int16_t>(bytes.data());
  if (version < T::lowest_version || version > T::highest_version) {
    return std::unexpected(name + ": version " + std::to_string(version) + " is unknown");
  }
  if (!wire::decode_exact(arena, bytes.subspan(2), version, out)) {
    return std::unexpected(name + ": a malformed value of version " + std::to_string(version));
  }
  return {};
}

// What consumers of the classic protocol say to each other: a version (i16), then the message. Later versions than
// `highest` only add to the end of what that has. The version that it was read in; nothing: it can't be read.
template <class T>
std::optional<std::int16_t> decode_said(wire::Arena& arena, wire::Bytes bytes, std::int16_t highest, T& out) {
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  const std::int16_t version = std::min(wire::load_big_endian<std::int16_t>(bytes.data()), highest);
  if (version < 0 || !wire::decode(arena, bytes.subspan(2), version, out)) {
    return std::nullopt;
  }
  return version;
}

inline std::optional<std::string> owned(std::optional<std::string_view> text) {
  return text ? std::optional<std::string>(*text) : std::nullopt;
}

}  // namespace verdict::group
