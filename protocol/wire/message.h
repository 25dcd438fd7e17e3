#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "runtime/uuid.h"

// What the generated structs (protocol/wire/gen/*.h) are made of. A message owns nothing: strings, bytes and records
// point into the frame that it was decoded from, arrays into an Arena; Message<T> (codec.h) keeps the three together.
namespace verdict::wire {

using Bytes = std::span<const std::byte>;

enum class MessageKind : std::uint8_t {
  request,
  response,
  header,
  metadata_record,  // of __cluster_metadata
  coordinator_key,  // of __consumer_offsets, __transaction_state, __share_group_state
  coordinator_value,
  data,  // control records, the consumer protocol, quorum-state
};

// A record set: record batches that the codec doesn't look into. With splice >= 0 the encoder writes only the length
// and notes a Splice (writer.h): the sender puts `size` bytes from elsewhere (a file range) at that place.
struct Records {
  const std::byte* data = nullptr;
  std::uint32_t size = 0;
  bool null = false;
  std::int32_t splice = -1;

  Bytes bytes() const { return {data, splice < 0 ? size : 0}; }
  static Records of(Bytes batches) {
    return {.data = batches.data(), .size = static_cast<std::uint32_t>(batches.size())};
  }
  static Records spliced(std::int32_t index, std::uint32_t size) { return {.size = size, .splice = index}; }
  static Records none() { return {.null = true}; }
};

struct MessageInfo;

template <class T>
concept WireMessage = requires {
  { T::info() } -> std::same_as<const MessageInfo&>;
};

}  // namespace verdict::wire
