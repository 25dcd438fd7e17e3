#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/wire/arena.h"
#include "protocol/wire/descriptor.h"
#include "protocol/wire/fault.h"
#include "protocol/wire/message.h"

// Bodies of messages to bytes and back, the same for all of them. Frames (size, header, body): framing.h.
namespace verdict::wire {

// A hole in the encoded bytes: `size` bytes of source `index` (Records::splice) belong at `position`.
struct Splice {
  std::size_t position;
  std::int32_t index;
  std::uint32_t size;
};

struct EncodedSize {
  std::size_t bytes = 0;    // that encode() writes
  std::size_t spliced = 0;  // that come from elsewhere
};

// By description, for tools; `message` points to an object of info.structure. The templates below are the typed form.
std::expected<std::size_t, CodecError> decode(const MessageInfo& info, Arena&, Bytes body, int version, void* message);
std::expected<EncodedSize, CodecError> encoded_size(const MessageInfo& info, int version, const void* message);
// `out` has exactly the bytes that encoded_size gave; spliced records need `splices`.
void encode(const MessageInfo& info, int version, const void* message, std::span<std::byte> out,
            std::vector<Splice>* splices);
std::expected<void, CodecError> append(const MessageInfo& info, int version, const void* message,
                                       std::vector<std::byte>& out, std::vector<Splice>* splices);
bool equal(const MessageInfo& info, const void* a, const void* b);
void deep_copy(const MessageInfo& info, Arena&, void* message);
std::string to_json(const MessageInfo& info, int version, const void* message);
std::expected<void, std::string> from_json(const MessageInfo& info, Arena&, std::string_view json, int version,
                                           void* message);

// Decodes from the front of `body`: strings, bytes and records keep pointing into it, arrays go to the arena. Returns
// the bytes consumed; on an error `message` is unspecified. Arrays are allocated only after the bytes left were found
// to suffice for their elements. Unknown tagged fields are skipped, and lost to a later encode.
template <WireMessage T>
std::expected<std::size_t, CodecError> decode(Arena& arena, Bytes body, int version, T& message) {
  return decode(T::info(), arena, body, version, &message);
}

// The same, and nothing may follow.
template <WireMessage T>
std::expected<void, CodecError> decode_exact(Arena& arena, Bytes body, int version, T& message) {
  const auto used = decode(T::info(), arena, body, version, &message);
  if (!used) {
    return std::unexpected(used.error());
  }
  if (*used != body.size()) {
    return std::unexpected(CodecError{.fault = Fault::trailing_bytes, .position = *used});
  }
  return {};
}

// The message would point into bytes that are gone.
template <WireMessage T>
std::expected<std::size_t, CodecError> decode(Arena&, const std::vector<std::byte>&& body, int, T&) = delete;
template <WireMessage T>
std::expected<void, CodecError> decode_exact(Arena&, const std::vector<std::byte>&& body, int, T&) = delete;

// Kafka's rule for a field that the version lacks: an error if its value isn't the default, unless it is ignorable.
template <WireMessage T>
std::expected<EncodedSize, CodecError> encoded_size(const T& message, int version) {
  return encoded_size(T::info(), version, &message);
}

template <WireMessage T>
std::expected<void, CodecError> append(std::vector<std::byte>& out, const T& message, int version,
                                       std::vector<Splice>* splices = nullptr) {
  return append(T::info(), version, &message, out, splices);
}

template <WireMessage T>
std::expected<std::vector<std::byte>, CodecError> encode(const T& message, int version) {
  std::vector<std::byte> out;
  if (auto done = append(T::info(), version, &message, out, nullptr); !done) {
    return std::unexpected(done.error());
  }
  return out;
}

// Kafka's JSON form (the names that its tools print): lowerCamelCase, uuid as 22 characters, bytes and records as
// base64, tagged fields with their defaults filled in. Bytes of a string that are no UTF-8 become U+FFFD.
template <WireMessage T>
std::string to_json(const T& message, int version) {
  return to_json(T::info(), version, &message);
}

// Untagged fields of the version must be there, an absent tagged one has its default, unknown ones are errors. The
// error names the JSON path. Everything is copied into the arena.
template <WireMessage T>
std::expected<void, std::string> from_json(Arena& arena, std::string_view json, int version, T& message) {
  return from_json(T::info(), arena, json, version, &message);
}

template <WireMessage T>
bool operator==(const T& a, const T& b) {
  return equal(T::info(), &a, &b);
}

// A copy whose strings, bytes, records and arrays live in `arena`.
template <WireMessage T>
T deep_copy(Arena& arena, const T& message) {
  T copy = message;
  deep_copy(T::info(), arena, &copy);
  return copy;
}

// A message with all that it points to, moved as one.
template <WireMessage T>
struct Message {
  std::vector<std::byte> frame;
  Arena arena;
  T value;

  Message() = default;
  Message(Message&&) noexcept = default;
  Message& operator=(Message&&) noexcept = default;
  T* operator->() { return &value; }
  const T* operator->() const { return &value; }

  // From a whole frame; the body begins at `offset` and ends with it.
  static std::expected<Message, CodecError> decode(std::vector<std::byte> frame, std::size_t offset, int version) {
    Message out;
    out.frame = std::move(frame);
    if (auto done = decode_exact(out.arena, Bytes(out.frame).subspan(offset), version, out.value); !done) {
      return std::unexpected(done.error());
    }
    return out;
  }
  static Message copy(const T& value) {
    Message out;
    out.value = deep_copy(out.arena, value);
    return out;
  }
};

}  // namespace verdict::wire
