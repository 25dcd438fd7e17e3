#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/wire/api_keys.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/gen/headers.h"

// Frames: a size of 4 bytes (big-endian, of what follows), a header, a body.
namespace verdict::wire {

constexpr std::size_t kSizePrefixBytes = 4;

// Header versions. Responses to ApiVersions always have v0, so that a client that asked in a version unknown to the
// broker can read the answer (KIP-511). An api version above the highest known has the header of the highest.
int request_header_version(ApiKey api, int api_version);
int response_header_version(ApiKey api, int api_version);

std::int32_t read_size_prefix(std::span<const std::byte, kSizePrefixBytes> bytes);  // may be negative: hostile
void write_size_prefix(std::span<std::byte, kSizePrefixBytes> bytes, std::int32_t size);

struct ParsedHeader {
  RequestHeader header;  // client_id points into the frame
  ApiKey api;
  int version;
  std::size_t body_offset;
  bool version_known;  // false: this api has no such version (ApiVersions answers it, others are errors)
};

// `frame` without its size. Errors: unknown_api, or those of decode.
std::expected<ParsedHeader, CodecError> parse_request_header(Bytes frame);
std::expected<ParsedHeader, CodecError> parse_request_header(const std::vector<std::byte>&& frame) = delete;

struct ParsedResponseHeader {
  std::int32_t correlation_id;
  std::size_t body_offset;
};
std::expected<ParsedResponseHeader, CodecError> parse_response_header(ApiKey api, int version, Bytes frame);

// Whole frames, size included. The untyped forms take the body's description.
std::expected<std::vector<std::byte>, CodecError> encode_request(const MessageInfo& info, int version,
                                                                 std::int32_t correlation_id,
                                                                 std::optional<std::string_view> client_id,
                                                                 const void* body);
std::expected<std::vector<std::byte>, CodecError> encode_response(const MessageInfo& info, int version,
                                                                  std::int32_t correlation_id, const void* body,
                                                                  std::vector<Splice>* splices);

template <WireMessage T>
std::expected<std::vector<std::byte>, CodecError> encode_request(int version, std::int32_t correlation_id,
                                                                 std::optional<std::string_view> client_id,
                                                                 const T& body) {
  static_assert(T::message_kind == MessageKind::request);
  return encode_request(T::info(), version, correlation_id, client_id, &body);
}

// With spliced records the frame lacks their bytes, its size counts them, and `splices` says where they belong
// (positions in the returned bytes, rising).
template <WireMessage T>
std::expected<std::vector<std::byte>, CodecError> encode_response(int version, std::int32_t correlation_id,
                                                                  const T& body,
                                                                  std::vector<Splice>* splices = nullptr) {
  static_assert(T::message_kind == MessageKind::response);
  return encode_response(T::info(), version, correlation_id, &body, splices);
}

// `frame` without its size, as it came from the connection; the message keeps it.
template <WireMessage T>
std::expected<Message<T>, CodecError> decode_response(int version, std::vector<std::byte> frame,
                                                      std::int32_t* correlation_id = nullptr) {
  static_assert(T::message_kind == MessageKind::response);
  const auto header = parse_response_header(static_cast<ApiKey>(T::api_key), version, frame);
  if (!header) {
    return std::unexpected(header.error());
  }
  if (correlation_id != nullptr) {
    *correlation_id = header->correlation_id;
  }
  return Message<T>::decode(std::move(frame), header->body_offset, version);
}

template <WireMessage T>
std::expected<Message<T>, CodecError> decode_request(std::vector<std::byte> frame, const ParsedHeader& header) {
  static_assert(T::message_kind == MessageKind::request);
  return Message<T>::decode(std::move(frame), header.body_offset, header.version);
}

}  // namespace verdict::wire
