#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/frame_reader.h"
#include "protocol/wire/framing.h"
#include "runtime/runtime.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "runtime/task.h"

namespace verdict::client {

enum class RpcFault : std::uint8_t {
  not_connected,  // never left this node: definitely not executed
  disconnected,   // sent, unanswered: the outcome is unknown
  timed_out,      // the same; the connection is closed, since its answers come in order
  malformed,      // the answer can't be read; the connection is closed
  not_encodable,  // the version can't carry the request: a caller's mistake
};

template <class Response>
using RpcResult = std::expected<wire::Message<Response>, RpcFault>;

struct RpcOptions {
  std::string client_id;
  Duration connect_timeout = 10s;  // socket.connection.setup.timeout.ms
  std::size_t max_response_bytes = std::size_t{100} << 20;
};

// One connection to one node, with any number of requests in flight; answers arrive in the order of the requests (a
// property of Kafka's protocol). It connects at the first call, and again at a call after a failure.
//
// Destroying it needs no call in flight on the real machine: `co_await close()` first.
class RpcChannel {
 public:
  RpcChannel(Runtime& runtime, Endpoint to, RpcOptions options);
  RpcChannel(const RpcChannel&) = delete;
  RpcChannel& operator=(const RpcChannel&) = delete;

  template <wire::WireMessage Response, wire::WireMessage Request>
  Task<RpcResult<Response>> call(int version, const Request& request, MonoTime deadline) {
    const std::int32_t correlation = next_correlation_++;
    return decode<Response>(version, correlation,
                            exchange(wire::encode_request(version, correlation, options_.client_id, request), deadline));
  }

  // A request that isn't answered (Produce with acks=0).
  template <wire::WireMessage Request>
  Task<std::expected<void, RpcFault>> send(int version, const Request& request, MonoTime deadline) {
    return one_way(wire::encode_request(version, next_correlation_++, options_.client_id, request), deadline);
  }

  void disconnect();    // calls in flight fail
  Task<void> close();   // disconnects and waits until nothing is in flight; later calls fail
  const Endpoint& endpoint() const { return to_; }
  bool connected() const { return link_ != nullptr; }

 private:
  using Encoded = std::expected<std::vector<std::byte>, wire::CodecError>;
  using Exchanged = std::expected<protocol::Frame, RpcFault>;
  struct Call;
  struct Link;

  Task<Exchanged> exchange(Encoded request, MonoTime deadline);
  Task<std::expected<void, RpcFault>> one_way(Encoded request, MonoTime deadline);
  Task<bool> ensure_connected(MonoTime deadline);
  Task<void> connect_task();
  Task<void> write_task(std::shared_ptr<Link> link);
  Task<void> read_task(std::shared_ptr<Link> link);
  void drop(Link& link, RpcFault fault);

  template <wire::WireMessage Response>
  Task<RpcResult<Response>> decode(int version, std::int32_t correlation, Task<Exchanged> pending) {
    Exchanged answer = co_await pending;
    if (!answer) co_return std::unexpected(answer.error());
    std::int32_t echoed = 0;
    auto message = wire::decode_response<Response>(version, std::move(*answer), &echoed);
    if (!message || echoed != correlation) {
      disconnect();
      co_return std::unexpected(RpcFault::malformed);
    }
    co_return std::move(*message);
  }

  Runtime* runtime_;
  Endpoint to_;
  RpcOptions options_;
  std::int32_t next_correlation_ = 0;
  std::shared_ptr<Link> link_;
  bool connecting_ = false;
  bool closed_ = false;
  Op* connect_op_ = nullptr;
  std::size_t calls_ = 0;
  Signal connect_done_;
  Signal idle_;
  Scope scope_;
};

}  // namespace verdict::client
