#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "protocol/frame_reader.h"
#include "protocol/wire/framing.h"
#include "runtime/runtime.h"
#include "runtime/signal.h"

namespace verdict::broker {

// A range of a log file that goes into an answer by send_file, or as bytes where the stream can't.
struct FilePart {
  std::shared_ptr<File> file;
  std::uint64_t offset = 0;
  std::size_t size = 0;
};

class Connection;

// One request on its way to its answer. Answers leave a connection in the order of its requests; handlers may finish in
// any order. It outlives its connection if it must: an answer to a closed connection goes nowhere.
class Exchange {
 public:
  Exchange(std::shared_ptr<Connection> connection, protocol::Frame frame, wire::ParsedHeader header)
      : connection_(std::move(connection)), frame_(std::move(frame)), header_(header) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  wire::ApiKey api() const { return header_.api; }
  int version() const { return header_.version; }
  std::int32_t correlation_id() const { return header_.header.correlation_id; }
  std::string_view client_id() const;  // empty if null
  bool connection_alive() const;
  Connection& connection() { return *connection_; }

  // The request; what it points to lives as long as the exchange. False: malformed, and the connection is closed. Bytes
  // behind the message are ignored, as Kafka does: librdkafka 2.16 sends one behind Metadata v13.
  template <wire::WireMessage Request>
  bool decode(Request& into) {
    const auto done = wire::decode(arena_, body(), header_.version, into);
    if (!done) malformed(done.error());
    return done.has_value();
  }
  std::span<std::byte> frame() { return frame_; }
  wire::Arena& arena() { return arena_; }

  // Exactly one of these ends the exchange.
  template <wire::WireMessage Response>
  void respond(const Response& response) {
    respond_with(response, {});
  }
  // parts[i] takes the place of Records::spliced(i).
  template <wire::WireMessage Response>
  void respond_with(const Response& response, std::vector<FilePart> parts) {
    std::vector<wire::Splice> splices;
    finish(wire::encode_response(header_.version, correlation_id(), response, &splices), std::move(splices),
           std::move(parts));
  }
  // In a version other than the request's (ApiVersions in v0 to an unknown version).
  template <wire::WireMessage Response>
  void respond_in(int version, const Response& response) {
    finish(wire::encode_response(version, correlation_id(), response), {}, {});
  }
  void finish_silently();            // acks=0
  void close(std::string_view why);  // no answer; the connection ends after the answers before it

 private:
  friend class Connection;
  wire::Bytes body() const { return wire::Bytes(frame_).subspan(header_.body_offset); }
  void malformed(const wire::CodecError& error);
  void finish(std::expected<std::vector<std::byte>, wire::CodecError> encoded, std::vector<wire::Splice> splices,
              std::vector<FilePart> parts);
  void settle();

  std::shared_ptr<Connection> connection_;
  protocol::Frame frame_;
  wire::ParsedHeader header_;
  wire::Arena arena_;
  bool settled_ = false;
  bool close_connection_ = false;
  std::vector<std::byte> answer_;  // empty: none
  std::vector<wire::Splice> splices_;
  std::vector<FilePart> parts_;
};

using ExchangePtr = std::shared_ptr<Exchange>;

}  // namespace verdict::broker
