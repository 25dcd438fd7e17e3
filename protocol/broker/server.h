#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/broker/exchange.h"
#include "runtime/scope.h"
#include "runtime/task.h"

namespace verdict::broker {

struct ServerLimits {
  std::size_t max_request_bytes = std::size_t{100} << 20;  // socket.request.max.bytes
  std::size_t max_in_flight = 64;        // requests of one connection without an answer, then it waits
  std::size_t max_connections = 10'000;  // max.connections; more are closed at once
  int backlog = 50;                      // socket.listen.backlog.size
};

// What a listener serves: begins the handling of one request, which ends through the exchange. Called inside the
// connection's turn; must not block.
using Dispatch = std::function<void(ExchangePtr)>;

class Server;

class Connection {
 public:
  Connection(Server& server, std::unique_ptr<Stream> stream, std::uint64_t id);

  std::uint64_t id() const { return id_; }
  const std::string& peer() const { return peer_; }
  const std::string& listener() const;  // the name of the listener that it came through
  bool alive() const { return !dead_; }

 private:
  friend class Exchange;
  friend class Server;

  Task<void> read_task(std::shared_ptr<Connection> self);
  Task<void> write_task(std::shared_ptr<Connection> self);
  Task<bool> write_answer(ExchangePtr exchange);
  bool admit(protocol::Frame frame, const std::shared_ptr<Connection>& self);
  void die();

  Server* server_;
  std::unique_ptr<Stream> stream_;
  protocol::FrameReader reader_;
  std::uint64_t id_;
  std::string peer_;
  std::deque<ExchangePtr> exchanges_;  // unanswered, in the order of arrival
  bool dead_ = false;
  bool reading_done_ = false;
  Signal writer_;
  Signal room_;
};

// One listener: accepts, cuts frames, keeps answers in order. Hostile frames end their own connection and nothing else.
class Server {
 public:
  Server(Runtime& runtime, std::string name, ServerLimits limits, Dispatch dispatch);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // without stop() as after a crash: what is unanswered is dropped

  Outcome<void> listen(const Endpoint& at);  // clients may connect; they are served from serve() on
  void serve() { scope_.spawn(accept_task()); }
  Endpoint local() const { return listener_->local(); }
  Task<void> stop();  // closes listener and connections, waits until nothing of them is in flight
  std::size_t connections() const { return connections_.size(); }
  Runtime& runtime() { return *runtime_; }

 private:
  friend class Connection;
  friend class Exchange;
  Task<void> accept_task();

  Runtime* runtime_;
  std::string name_;
  ServerLimits limits_;
  Dispatch dispatch_;
  std::unique_ptr<Listener> listener_;
  bool stopping_ = false;
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  Scope scope_;
};

}  // namespace verdict::broker
