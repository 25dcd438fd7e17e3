#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
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
  Duration connect_timeout = 10s;  // socket.connection.setup.timeout.ms, the negotiation included
  std::size_t max_response_bytes = std::size_t{100} << 20;
  // Ask for the node's versions (ApiVersions) on each new connection before anything else goes out (KIP-511).
  bool negotiate = false;
  // reconnect.backoff.ms and its maximum: a connection isn't tried sooner after a failure. Zero: at once.
  Duration reconnect_backoff = 0ms;
  Duration reconnect_backoff_max = 1s;
  std::uint64_t entity = 0;       // keys the draws of the back-off's jitter
  std::function<void()> on_lost;  // a connection that stood has ended, not by close(); must not call back
};

// base doubled `failures` times, at most `max`, then made up to 20% longer or shorter by `draw` (KIP-580).
Duration backoff(Duration base, Duration max, int failures, std::uint64_t draw);

// One connection to one node, with any number of requests in flight; answers arrive in the order of the requests (a
// property of Kafka's protocol). It connects at the first call, and again at a call after a failure: such a call tries
// once, waiting out the back-off first. How many calls are in flight is the callers' to limit.
//
// Destroying it needs no call in flight on the real machine: `co_await close()` first.
class RpcChannel {
 public:
  RpcChannel(Runtime& runtime, Endpoint to, RpcOptions options);
  RpcChannel(const RpcChannel&) = delete;
  RpcChannel& operator=(const RpcChannel&) = delete;

  template <wire::WireMessage Response, wire::WireMessage Request>
  Task<RpcResult<Response>> call(int version, const Request& request, MonoTime deadline) {
    const std::int32_t correlation = next_correlation();
    return decode<Response>(
        version, correlation,
        exchange(wire::encode_request(version, correlation, options_.client_id, request), deadline));
  }

  // A request that isn't answered (Produce with acks=0).
  template <wire::WireMessage Request>
  Task<std::expected<void, RpcFault>> send(int version, const Request& request, MonoTime deadline) {
    return one_way(wire::encode_request(version, next_correlation(), options_.client_id, request), deadline);
  }

  // True: connected (and negotiated), so that version() tells what this connection speaks and a call in the same turn
  // goes out on it. False: the deadline came, or an attempt failed.
  Task<bool> ready(MonoTime deadline);
  // The highest version of `api` that the node serves within [lowest, highest]; none if there is no such one. Needs a
  // negotiating channel that is connected.
  std::optional<int> version(wire::ApiKey api, int lowest, int highest) const;
  template <wire::WireMessage Request>
  std::optional<int> version_of(int lowest = Request::lowest_version, int highest = Request::highest_version) const {
    return version(static_cast<wire::ApiKey>(Request::api_key), lowest, highest);
  }

  // The level of a feature that the cluster has finalized, as the node said when the connection was made; 0: none.
  std::int16_t feature(std::string_view name) const;

  void disconnect();    // calls in flight fail
  Task<void> close();   // disconnects and waits until nothing is in flight; later calls fail
  Task<void> retire();  // the same once the calls in flight have ended
  const Endpoint& endpoint() const { return to_; }
  bool connected() const { return link_ != nullptr; }

 private:
  using Encoded = std::expected<std::vector<std::byte>, wire::CodecError>;
  using Exchanged = std::expected<protocol::Frame, RpcFault>;
  struct Call;
  struct Link;

  Task<Exchanged> exchange(Encoded request, MonoTime deadline);
  Task<std::expected<void, RpcFault>> one_way(Encoded request, MonoTime deadline);
  struct ServedVersions {
    std::int16_t api, lowest, highest;
  };

  std::int32_t next_correlation() {
    next_correlation_ = (next_correlation_ + 1) & 0x7fffffff;
    return next_correlation_;
  }
  Task<bool> ensure_connected(MonoTime deadline);
  Task<void> connect_task();
  Task<bool> negotiate(std::shared_ptr<Link> link);
  std::optional<int> take_versions(int version, std::int32_t correlation, protocol::Frame frame);
  void give_up_connecting();
  void hold_back(int failures);
  void end_call();
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
  Link* negotiating_ = nullptr;
  MonoTime connect_deadline_{};
  MonoTime not_before_ = MonoTime::min();                       // the end of the back-off
  int failures_ = 0;                                            // in a row
  std::vector<ServedVersions> versions_;                        // of the connection, by api
  std::vector<std::pair<std::string, std::int16_t>> features_;  // likewise, finalized
  std::size_t calls_ = 0;
  Signal connect_done_;
  Signal idle_;
  Scope scope_;
};

}  // namespace verdict::client
