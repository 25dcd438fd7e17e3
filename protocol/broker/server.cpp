#include "protocol/broker/server.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "runtime/io.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "SocketServer";
constexpr std::size_t kCopyChunkBytes = 64 << 10;

// What a frame whose header may be broken calls itself.
std::string called(std::span<const std::byte> frame) {
  const auto number = [frame](std::size_t at) {
    return static_cast<std::int16_t>(std::to_integer<unsigned>(frame[at]) << 8U |
                                     std::to_integer<unsigned>(frame[at + 1]));
  };
  return frame.size() < 4 ? fmt::format("a frame of {} bytes", frame.size())
                          : fmt::format("api {}, version {}", number(0), number(2));
}

}  // namespace

// ---- Exchange ----

Exchange::~Exchange() = default;

bool Exchange::connection_alive() const { return connection_->alive(); }

std::string_view Exchange::client_id() const { return header_.header.client_id.value_or(std::string_view()); }

void Exchange::settle() {
  VERDICT_ASSERT(!settled_, "an exchange ended twice");
  settled_ = true;
  connection_->writer_.notify();
}

void Exchange::finish(std::expected<std::vector<std::byte>, wire::CodecError> encoded,
                      std::vector<wire::Splice> splices, std::vector<FilePart> parts) {
  if (!encoded) {
    // A handler's mistake about a version costs its connection, not the broker.
    return close(fmt::format("the answer can't be encoded (api {}, version {}): {}", static_cast<int>(header_.api),
                             header_.version, encoded.error().to_string()));
  }
  answer_ = std::move(*encoded);
  splices_ = std::move(splices);
  parts_ = std::move(parts);
  settle();
}

void Exchange::finish_silently() { settle(); }

void Exchange::close(std::string_view why) {
  Runtime& runtime = connection_->server_->runtime();
  if (runtime.logs(LogLevel::warn)) {
    runtime.log(LogLevel::warn, kLogger, fmt::format("closing the connection from {}: {}", connection_->peer(), why));
  }
  close_connection_ = true;
  settle();
}

void Exchange::malformed(const wire::CodecError& error) {
  close(fmt::format("malformed request (api {}, version {}): {}", static_cast<int>(header_.api), header_.version,
                    error.to_string()));
}

// ---- Connection ----

Connection::Connection(Server& server, std::unique_ptr<Stream> stream, std::uint64_t id)
    : server_(&server),
      stream_(std::move(stream)),
      reader_(*stream_, server.limits_.max_request_bytes),
      id_(id),
      peer_(stream_->peer()),
      writer_(server.runtime()),
      room_(server.runtime()) {}

const std::string& Connection::listener() const { return server_->name_; }

void Connection::die() {
  if (dead_) return;
  dead_ = true;
  stream_->close();
  exchanges_.clear();
  writer_.notify();
  room_.notify();
}

// False: the frame can't be answered and the connection has to end.
bool Connection::admit(protocol::Frame frame, const std::shared_ptr<Connection>& self) {
  const auto header = wire::parse_request_header(frame);
  if (!header || (!header->version_known && header->api != wire::ApiKey::ApiVersions)) {
    server_->runtime().log(LogLevel::warn, kLogger,
                           fmt::format("closing the connection from {}: {}: {}", peer_, called(frame),
                                       header ? "there is no such version" : header.error().to_string()));
    return false;
  }
  auto exchange = std::make_shared<Exchange>(self, std::move(frame), *header);
  exchanges_.push_back(exchange);
  server_->dispatch_(std::move(exchange));
  return true;
}

Task<void> Connection::read_task(std::shared_ptr<Connection> self) {
  server_->scope_.spawn(write_task(self));
  while (!dead_) {
    std::expected<protocol::Frame, protocol::FrameError> frame = co_await reader_.next();
    if (dead_) break;
    if (!frame) {
      if (frame.error().fault == protocol::FrameFault::too_large ||
          frame.error().fault == protocol::FrameFault::truncated) {
        server_->runtime().log(
            LogLevel::warn, kLogger,
            frame.error().fault == protocol::FrameFault::too_large
                ? fmt::format("closing the connection from {}: a frame of {} bytes, allowed are 0 to {} "
                              "(socket.request.max.bytes)",
                              peer_, frame.error().size, server_->limits_.max_request_bytes)
                : fmt::format("the connection from {} ended within a frame", peer_));
      }
      break;
    }
    if (!admit(std::move(*frame), self)) break;
    while (!dead_ && exchanges_.size() >= server_->limits_.max_in_flight) co_await room_.wait();
  }
  reading_done_ = true;
  writer_.notify();
}

Task<void> Connection::write_task(std::shared_ptr<Connection> self) {
  while (!dead_) {
    if (exchanges_.empty() && reading_done_) break;
    if (exchanges_.empty() || !exchanges_.front()->settled_) {
      // The peer is gone or sends garbage: what is unanswered then stays so.
      if (reading_done_) break;
      co_await writer_.wait();
      continue;
    }
    const ExchangePtr exchange = std::move(exchanges_.front());
    exchanges_.pop_front();
    room_.notify();
    if (exchange->close_connection_) break;
    if (exchange->answer_.empty()) continue;
    const bool written = co_await write_answer(exchange);
    if (!written) break;
  }
  die();
  server_->connections_.erase(id_);
}

Task<bool> Connection::write_answer(ExchangePtr exchange) {
  std::size_t from = 0;
  const std::span<const std::byte> head = exchange->answer_;
  for (const wire::Splice& splice : exchange->splices_) {
    const FilePart part = exchange->parts_[static_cast<std::size_t>(splice.index)];
    if (splice.position > from) {
      const std::array<ConstBuffer, 1> buffer{ConstBuffer{&head[from], splice.position - from}};
      const IoResult written = co_await write_all(*stream_, buffer);
      if (!written.ok() || dead_) co_return false;
      from = splice.position;
    }
    if (stream_->can_send_file()) {
      const IoResult sent = co_await send_file(*stream_, *part.file, part.offset, part.size);
      if (!sent.ok() || dead_) co_return false;
      continue;
    }
    std::vector<std::byte> chunk(std::min(part.size, kCopyChunkBytes));
    for (std::size_t done = 0; done < part.size;) {
      const std::size_t size = std::min(chunk.size(), part.size - done);
      const IoResult read = co_await read_at(*part.file, std::span(chunk).first(size), part.offset + done);
      if (!read.ok() || read.bytes == 0 || dead_) co_return false;
      const std::array<ConstBuffer, 1> buffer{ConstBuffer{chunk.data(), read.bytes}};
      const IoResult written = co_await write_all(*stream_, buffer);
      if (!written.ok() || dead_) co_return false;
      done += read.bytes;
    }
  }
  if (from < head.size()) {
    const std::array<ConstBuffer, 1> buffer{ConstBuffer{&head[from], head.size() - from}};
    const IoResult written = co_await write_all(*stream_, buffer);
    if (!written.ok() || dead_) co_return false;
  }
  co_return true;
}

// ---- Server ----

Server::Server(Runtime& runtime, std::string name, ServerLimits limits, Dispatch dispatch)
    : runtime_(&runtime), name_(std::move(name)), limits_(limits), dispatch_(std::move(dispatch)), scope_(runtime) {}

// A connection and its unanswered exchanges own each other.
Server::~Server() {
  for (const auto& [id, connection] : connections_) std::exchange(connection->exchanges_, {}).clear();
}

Outcome<void> Server::listen(const Endpoint& at) {
  auto listener = runtime_->network().listen(at, limits_.backlog);
  if (!listener) return std::unexpected(listener.error());
  listener_ = std::move(*listener);
  return {};
}

Task<void> Server::accept_task() {
  while (!stopping_) {
    std::unique_ptr<Stream> stream;
    const IoResult accepted = co_await accept(*listener_, stream);
    if (stopping_) break;
    if (!accepted.ok()) {
      // Out of descriptors or memory: what is connected goes on, new ones wait in the backlog.
      runtime_->log(LogLevel::warn, kLogger,
                    fmt::format("listener {} can't accept: {}", name_, accepted.error.message()));
      co_await sleep_until(*runtime_, runtime_->now() + 100ms);
      continue;
    }
    if (connections_.size() >= limits_.max_connections) {
      runtime_->log(LogLevel::warn, kLogger,
                    fmt::format("listener {} refuses {}: {} connections are the limit (max.connections)", name_,
                                stream->peer(), limits_.max_connections));
      continue;
    }
    const std::uint64_t id = next_id_++;
    auto connection = std::make_shared<Connection>(*this, std::move(stream), id);
    connections_.emplace(id, connection);
    scope_.spawn(connection->read_task(connection));
  }
}

Task<void> Server::stop() {
  stopping_ = true;
  if (listener_ != nullptr) listener_->close();
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) connection->die();
  co_await scope_.join();
}

}  // namespace verdict::broker
