#include "protocol/wire/framing.h"

#include <limits>

#include "protocol/wire/reader.h"
#include "protocol/wire/registry.h"
#include "runtime/assert.h"

namespace verdict::wire {
namespace {

using Frame = std::vector<std::byte>;

// Fills in the size of the frame that starts at the buffer's front; the bytes of splices count.
std::expected<Frame, CodecError> finish(Frame frame, std::size_t spliced) {
  const std::size_t size = frame.size() - kSizePrefixBytes + spliced;
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return std::unexpected(CodecError{.fault = Fault::frame_too_large});
  }
  write_size_prefix(std::span(frame).first<kSizePrefixBytes>(), static_cast<std::int32_t>(size));
  return frame;
}

template <WireMessage Header>
std::expected<Frame, CodecError> encode_frame(const Header& header, int header_version, const MessageInfo& info,
                                              int version, const void* body, std::vector<Splice>* splices) {
  const auto header_size = encoded_size(header, header_version);
  if (!header_size) {
    return std::unexpected(header_size.error());
  }
  const auto body_size = encoded_size(info, version, body);
  if (!body_size) {
    return std::unexpected(body_size.error());
  }
  const std::size_t body_start = kSizePrefixBytes + header_size->bytes;
  const std::size_t first_splice = splices == nullptr ? 0 : splices->size();
  Frame frame(body_start + body_size->bytes);
  encode(Header::info(), header_version, &header, std::span(frame).subspan(kSizePrefixBytes, header_size->bytes),
         nullptr);
  encode(info, version, body, std::span(frame).subspan(body_start), splices);
  for (std::size_t i = first_splice; splices != nullptr && i < splices->size(); ++i) {
    (*splices)[i].position += body_start;
  }
  return finish(std::move(frame), body_size->spliced);
}

}  // namespace

int request_header_version(ApiKey api, int api_version) {
  const MessageInfo* request = find_request(static_cast<int>(api));
  return request != nullptr && request->flexible(api_version) ? 2 : 1;
}

int response_header_version(ApiKey api, int api_version) {
  if (api == ApiKey::ApiVersions) {
    return 0;
  }
  const MessageInfo* response = find_response(static_cast<int>(api));
  return response != nullptr && response->flexible(api_version) ? 1 : 0;
}

std::int32_t read_size_prefix(std::span<const std::byte, kSizePrefixBytes> bytes) {
  return load_big_endian<std::int32_t>(bytes.data());
}

void write_size_prefix(std::span<std::byte, kSizePrefixBytes> bytes, std::int32_t size) {
  const auto bits = static_cast<std::uint32_t>(size);
  for (std::size_t i = 0; i < kSizePrefixBytes; ++i) {
    bytes[i] = static_cast<std::byte>(bits >> (24 - 8 * i));
  }
}

std::expected<ParsedHeader, CodecError> parse_request_header(Bytes frame) {
  if (frame.size() < 2 * sizeof(std::int16_t)) {
    return std::unexpected(CodecError{.fault = Fault::truncated});
  }
  const int key = load_big_endian<std::int16_t>(frame.data());
  const int version = load_big_endian<std::int16_t>(frame.data() + sizeof(std::int16_t));
  const MessageInfo* request = find_request(key);
  if (request == nullptr) {
    return std::unexpected(CodecError{.fault = Fault::unknown_api});
  }
  const auto api = static_cast<ApiKey>(key);
  ParsedHeader parsed{
      .header = {}, .api = api, .version = version, .body_offset = 0, .version_known = request->supports(version)};
  Arena arena(0);  // a header has no arrays
  const auto used = decode(arena, frame, request_header_version(api, version), parsed.header);
  if (!used) {
    return std::unexpected(used.error());
  }
  parsed.body_offset = *used;
  return parsed;
}

std::expected<ParsedResponseHeader, CodecError> parse_response_header(ApiKey api, int version, Bytes frame) {
  Arena arena(0);
  ResponseHeader header;
  const auto used = decode(arena, frame, response_header_version(api, version), header);
  if (!used) {
    return std::unexpected(used.error());
  }
  return ParsedResponseHeader{.correlation_id = header.correlation_id, .body_offset = *used};
}

std::expected<Frame, CodecError> encode_request(const MessageInfo& info, int version, std::int32_t correlation_id,
                                                std::optional<std::string_view> client_id, const void* body) {
  VERDICT_ASSERT(info.kind == MessageKind::request, info.name);
  const RequestHeader header{.request_api_key = info.api_key,
                             .request_api_version = static_cast<std::int16_t>(version),
                             .correlation_id = correlation_id,
                             .client_id = client_id};
  const int header_version = request_header_version(static_cast<ApiKey>(info.api_key), version);
  return encode_frame(header, header_version, info, version, body, nullptr);
}

std::expected<Frame, CodecError> encode_response(const MessageInfo& info, int version, std::int32_t correlation_id,
                                                 const void* body, std::vector<Splice>* splices) {
  VERDICT_ASSERT(info.kind == MessageKind::response, info.name);
  const ResponseHeader header{.correlation_id = correlation_id};
  const int header_version = response_header_version(static_cast<ApiKey>(info.api_key), version);
  return encode_frame(header, header_version, info, version, body, splices);
}

}  // namespace verdict::wire
