#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/client/rpc.h"
#include "protocol/types.h"
#include "runtime/runtime.h"

namespace verdict::client {

// What producer, consumer and admin have in common, by Kafka's names of its clients' settings.
struct ClientOptions {
  std::vector<Endpoint> bootstrap;      // bootstrap.servers; at least one
  std::string client_id = "verdict";    // client.id
  Duration request_timeout = 30s;       // request.timeout.ms: of one attempt
  Duration connect_timeout = 10s;       // socket.connection.setup.timeout.ms
  Duration reconnect_backoff = 50ms;    // reconnect.backoff.ms, doubled at each failure up to the maximum
  Duration reconnect_backoff_max = 1s;  // reconnect.backoff.max.ms
  Duration retry_backoff = 100ms;       // retry.backoff.ms, likewise
  Duration retry_backoff_max = 1s;      // retry.backoff.max.ms
  Duration metadata_max_age = 300s;     // metadata.max.age.ms
  std::size_t max_response_bytes = std::size_t{128} << 20;
  // Keys this client's draws (jitter, which bootstrap server first).
  std::uint64_t entity = 0;
};

// One channel for each node, made when it is first asked for. A node that moves to another address gets a new channel;
// the old one lives until its calls have ended.
class Connections {
 public:
  // on_lost: called when a connection that stood has ended, not by close().
  Connections(Runtime& runtime, const ClientOptions& options, std::function<void()> on_lost = {});
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  ~Connections();

  void set_nodes(std::span<const std::pair<NodeId, Endpoint>> nodes);  // sorted by id; those that are missing go
  // Null if no such node is known. Shared, so that a call in flight survives set_nodes.
  std::shared_ptr<RpcChannel> node(NodeId id);
  // Some node, for requests that any can answer: connected ones first, each call another, the bootstrap servers last
  // and after every failed round (`attempt` counts the caller's failures, from 0).
  std::shared_ptr<RpcChannel> any(int attempt);
  std::size_t known_nodes() const { return nodes_.size(); }

  Task<void> close();

 private:
  struct Node {
    Endpoint endpoint;
    std::shared_ptr<RpcChannel> channel;
  };
  std::shared_ptr<RpcChannel> make(const Endpoint& to, std::uint64_t entity);
  void retire(std::shared_ptr<RpcChannel> channel);
  static Task<void> retire_task(std::shared_ptr<RpcChannel> channel);

  Runtime* runtime_;
  RpcOptions rpc_;
  std::uint64_t entity_;
  std::map<NodeId, Node> nodes_;
  std::vector<Node> bootstrap_;
  std::vector<std::weak_ptr<RpcChannel>> retired_;
  std::size_t turn_ = 0;
  bool closed_ = false;
  Scope scope_;
};

}  // namespace verdict::client
