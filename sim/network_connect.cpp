// How connections begin and end: handshakes, listeners, close, the death of a process or of a machine.
#include <algorithm>

#include "sim/network.h"
#include "sim/sim_runtime.h"
#include "sim/tap_state.h"
#include "sim/world.h"

namespace verdict::sim {

// ---- beginning ----

Connection& SimNetwork::take_connection() {
  if (free_.empty()) {
    free_.push_back(connections_.size());
    auto made = std::make_unique<Connection>();
    made->slot = connections_.size();
    for (std::uint8_t side = 0; side < 2; ++side) {
      Pipe& pipe = made->pipes[side];
      pipe.connection = made.get();
      pipe.side = side;
      for (Event* event : {&pipe.arrival, &pipe.window, &pipe.rst, &pipe.give_up}) event->context = &pipe;
      pipe.arrival.kind = EventKind::arrival;
      pipe.window.kind = EventKind::window;
      pipe.rst.kind = EventKind::rst;
      pipe.give_up.kind = EventKind::give_up;
      pipe.arrival.fire = [](Event& e) {
        auto& p = *static_cast<Pipe*>(e.context);
        p.connection->network->on_arrival(p);
      };
      pipe.window.fire = [](Event& e) {
        auto& p = *static_cast<Pipe*>(e.context);
        p.connection->network->on_window(p);
      };
      pipe.rst.fire = [](Event& e) {
        auto& p = *static_cast<Pipe*>(e.context);
        p.connection->network->on_rst(p);
      };
      pipe.give_up.fire = [](Event& e) {
        auto& p = *static_cast<Pipe*>(e.context);
        p.connection->network->on_give_up(p);
      };
    }
    made->network = this;
    made->handshake.context = made.get();
    made->handshake.kind = EventKind::handshake;
    made->handshake.fire = [](Event& e) {
      auto& c = *static_cast<Connection*>(e.context);
      c.network->on_handshake(c);
    };
    connections_.push_back(std::move(made));
  }
  Connection& connection = *connections_[free_.back()];
  free_.pop_back();
  ++in_use_;
  return connection;
}

void SimNetwork::set_up(Connection& connection, NodeIndex from, NodeIndex to) {
  connection.attempts = 0;
  connection.ends = {};
  connection.ends[0].node = from;
  connection.ends[1].node = to;
  for (Pipe& pipe : connection.pipes) {
    pipe.fin_written = pipe.fin_arrived = pipe.stalled = pipe.ack_stalled = pipe.reader_ready = false;
    pipe.written = pipe.arrived = pipe.read = 0;
    pipe.flight.clear();
    pipe.counter = {};
    pipe.tap.reset();
    const std::uint32_t way = pipe.side == 0 ? std::uint32_t{from.value()} << 16 | to.value()
                                             : std::uint32_t{to.value()} << 16 | from.value();
    for (Event* event : {&pipe.arrival, &pipe.window, &pipe.rst, &pipe.give_up}) event->entity = way;
  }
  connection.handshake.entity = std::uint32_t{from.value()} << 16 | to.value();
}

void SimNetwork::free_if_done(Connection& connection) {
  if (connection.phase == Connection::Phase::free || connection.handshake.queued()) return;
  for (const End& end : connection.ends) {
    if (end.runtime != nullptr || end.backlog_of != nullptr || end.state == End::State::open) return;
  }
  for (Pipe& pipe : connection.pipes) {
    forget(pipe);
    pipe.bytes.shrink();
    std::vector<std::byte>().swap(pipe.owned);
  }
  connection.phase = Connection::Phase::free;
  connection.id = 0;
  --in_use_;
  free_.push_back(connection.slot);
}

bool SimNetwork::connect(SimRuntime& runtime, Op& op, const Endpoint& to, std::unique_ptr<Stream>& into) {
  SimNode* target = world_.find_node(to.host);
  if (target == nullptr) {
    runtime.own(op, SimRuntime::OpKind::result);
    runtime.finish_later(op, 0, std::make_error_code(std::errc::host_unreachable));
    return false;
  }
  SimNode& node = runtime.node();
  Connection& connection = take_connection();
  set_up(connection, node.index(), target->index());
  connection.id = (std::uint64_t{node.index().value()} + 1) << 40 | ++node.connects_;
  connection.port = to.port;
  connection.phase = Connection::Phase::syn;
  connection.give_up_at = world_.now() + world_.config().network.connect_timeout;
  connection.connector = &op;
  connection.connect_into = &into;
  connection.ends[0].runtime = &runtime;
  connection.ends[0].state = End::State::open;
  runtime.own(op, SimRuntime::OpKind::connect, &connection);
  world_.schedule(connection.handshake, virtual_ns(latency(node.index(), target->index(), 0)), order_);
  return false;
}

void SimNetwork::on_handshake(Connection& connection) {
  const NodeIndex from = connection.ends[0].node;
  const NodeIndex to = connection.ends[1].node;
  if (connection.phase == Connection::Phase::syn) return handshake_syn(connection);
  const Link& back = link(to, from);
  if (!back.open()) {
    world_.count(back.held_by());
    if (connection.phase == Connection::Phase::refused) connection.phase = Connection::Phase::syn;
    return retry_syn(connection);
  }
  if (connection.phase == Connection::Phase::refused) return fail_connect(connection, std::errc::connection_refused);
  connection.phase = Connection::Phase::established;
  End& end = connection.ends[0];
  if (end.state == End::State::gone) {  // canceled, or its process died
    send_rst(connection, 0);
    return free_if_done(connection);
  }
  arm(connection.pipes[1]);
  auto stream = std::make_unique<SimStream>(*end.runtime, connection, 0);
  end.stream = stream.get();
  *connection.connect_into = std::move(stream);
  end.runtime->finish_later(*std::exchange(connection.connector, nullptr), 0, {});
}

void SimNetwork::handshake_syn(Connection& connection) {
  const NodeIndex from = connection.ends[0].node;
  const NodeIndex to = connection.ends[1].node;
  if (connection.ends[0].state == End::State::gone) return free_if_done(connection);
  const Link& over = link(from, to);
  if (!over.open()) {
    world_.count(over.held_by());
    return retry_syn(connection);
  }
  if (over.hangs != 0) {
    world_.count(FaultKind::hanging_connect);
    return retry_syn(connection);
  }
  if (!world_.node(to).powered()) {
    // Nobody answers for the address: after three tries the router may say so, or nobody does.
    KeyedRandom source = world_.keyed(Draw::unreachable, connection.id);
    if (connection.attempts >= 2 && (world_.draw(source) & 1) != 0)
      return fail_connect(connection, std::errc::host_unreachable);
    return retry_syn(connection);
  }
  SimListener* listener = listener_at(to, connection.port);
  if (over.refuses != 0) {
    world_.count(FaultKind::refused_connect);
    connection.phase = Connection::Phase::refused;
  } else if (listener == nullptr) {
    connection.phase = Connection::Phase::refused;
  } else if (listener->waiting_.size() >= listener->limit_) {
    return retry_syn(connection);
  } else {
    connection.phase = Connection::Phase::syn_ack;
    End& end = connection.ends[1];
    end.state = End::State::open;
    end.runtime = &listener->runtime_;
    end.backlog_of = listener;
    listener->waiting_.push_back(&connection);
    listener->wake();
  }
  world_.schedule(connection.handshake, virtual_ns(latency(to, from, 0)), order_);
}

void SimNetwork::retry_syn(Connection& connection) {
  if (connection.ends[0].state == End::State::gone) return free_if_done(connection);
  const Duration wait = std::chrono::seconds(1) * (1 << std::min(connection.attempts, 5U));
  ++connection.attempts;
  if (world_.now() + wait >= connection.give_up_at) return fail_connect(connection, std::errc::timed_out);
  world_.schedule(connection.handshake, world_.now() + wait, order_);
}

void SimNetwork::fail_connect(Connection& connection, std::errc error) {
  End& end = connection.ends[0];
  if (connection.connector != nullptr) {
    end.runtime->finish_later(*std::exchange(connection.connector, nullptr), 0, std::make_error_code(error));
  }
  end.state = End::State::gone;
  end.runtime = nullptr;
  connection.phase = Connection::Phase::failed;
  free_if_done(connection);
}

void SimNetwork::cancel_connect(Connection& connection) {
  End& end = connection.ends[0];
  end.runtime->finish_later(*std::exchange(connection.connector, nullptr), 0, canceled_error());
  end.state = End::State::gone;
  end.runtime = nullptr;
}

// ---- listeners ----

SimListener* SimNetwork::listener_at(NodeIndex node, std::uint16_t port) {
  const auto it = listeners_.find({node, port});
  return it == listeners_.end() ? nullptr : it->second;
}

Outcome<std::unique_ptr<Listener>> SimNetwork::listen(SimRuntime& runtime, const Endpoint& at, int backlog) {
  const NodeIndex node = runtime.node().index();
  Endpoint local{at.host.empty() ? runtime.node().host() : at.host, at.port};
  if (local.port == 0) {
    do {
      local.port = runtime.node().next_port_++;
      if (runtime.node().next_port_ == 0) runtime.node().next_port_ = 32768;
    } while (listener_at(node, local.port) != nullptr);
  }
  if (listener_at(node, local.port) != nullptr) return std::unexpected(std::make_error_code(std::errc::address_in_use));
  auto made = std::make_unique<SimListener>(runtime, local, static_cast<std::size_t>(std::max(1, backlog)));
  listeners_[{node, local.port}] = made.get();
  return made;
}

void SimNetwork::close_listener(SimListener& listener) {
  listeners_.erase({listener.runtime_.node().index(), listener.local_.port});
  for (Connection* connection : std::exchange(listener.waiting_, {})) {
    End& end = connection->ends[1];
    end.backlog_of = nullptr;
    end.runtime = nullptr;
    if (end.state == End::State::open) {
      end.state = End::State::gone;
      drop_flight(connection->pipes[1]);
      send_rst(*connection, 1);
    }
    free_if_done(*connection);
  }
}

std::unique_ptr<Stream> SimNetwork::accepted(Connection& connection) {
  End& end = connection.ends[1];
  end.backlog_of = nullptr;
  auto stream = std::make_unique<SimStream>(*end.runtime, connection, 1);
  end.stream = stream.get();
  return stream;
}

// ---- ending ----

void SimNetwork::close(Connection& connection, std::size_t side) {
  End& end = connection.ends[side];
  Pipe& out = connection.pipes[side];
  Pipe& in = connection.pipes[1 - side];
  if (in.reader != nullptr) {
    in.reader_ready = false;
    end.runtime->finish_later(*std::exchange(in.reader, nullptr), 0, canceled_error());
  }
  finish_writer(out, canceled_error());
  end.stream = nullptr;
  end.runtime = nullptr;
  if (end.state == End::State::open) {
    if (in.arrived > in.read) {  // as a kernel does: unread data means a reset
      end.state = End::State::gone;
      drop_flight(out);
      send_rst(connection, side);
    } else {
      end.state = End::State::closed;
      shutdown(out);
    }
  }
  free_if_done(connection);
}

void SimNetwork::process_died(NodeIndex node) {
  std::vector<SimListener*> closing;
  for (const auto& [at, listener] : listeners_) {
    if (at.first == node) closing.push_back(listener);
  }
  for (SimListener* listener : closing) close_listener(*listener);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[i];
    for (std::size_t side = 0; side < 2; ++side) {
      End& end = connection.ends[side];
      if (connection.phase == Connection::Phase::free || end.node != node || end.runtime == nullptr) continue;
      if (side == 0 && end.stream == nullptr) {  // still connecting
        connection.connector = nullptr;
        end.state = End::State::gone;
        end.runtime = nullptr;
        continue;
      }
      if (end.stream != nullptr) end.stream->detach();
      close(connection, side);
    }
  }
}

void SimNetwork::power_off(NodeIndex node) {
  std::erase_if(listeners_, [&](const auto& entry) {
    if (entry.first.first != node) return false;
    for (Connection* connection : entry.second->waiting_) connection->ends[1].backlog_of = nullptr;
    entry.second->waiting_.clear();
    return true;
  });
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[i];
    for (std::size_t side = 0; side < 2; ++side) {
      End& end = connection.ends[side];
      if (connection.phase == Connection::Phase::free || end.node != node) continue;
      if (end.state == End::State::open && connection.ends[1 - side].state == End::State::open)
        world_.count(FaultKind::half_open);
      if (end.stream != nullptr) end.stream->detach();
      if (side == 0) connection.connector = nullptr;
      Pipe& out = connection.pipes[side];
      connection.pipes[1 - side].reader = nullptr;
      connection.pipes[1 - side].reader_ready = false;
      out.writer = nullptr;
      out.unwritten.clear();
      if (out.stalled) drop_flight(out);
      world_.queue().remove(out.give_up);
      world_.queue().remove(out.rst);
      end.stream = nullptr;
      end.runtime = nullptr;
      end.state = End::State::gone;
      free_if_done(connection);
    }
  }
}

void SimNetwork::power_on(NodeIndex node) {
  for (std::size_t from = 0; from < links_.size(); ++from)
    opened(NodeIndex(static_cast<std::uint16_t>(from)), node, false);
}

// ---- links ----

void SimNetwork::block(NodeIndex from, NodeIndex to, FaultKind cause) {
  Link& over = link(from, to);
  const std::size_t index = static_cast<std::size_t>(cause) - static_cast<std::size_t>(FaultKind::partition_pair);
  VERDICT_ASSERT(index < over.blocks.size(), "not a partition");
  ++over.blocks[index];
  ++over.blocked;
  over.cause = cause;
}

void SimNetwork::unblock(NodeIndex from, NodeIndex to, FaultKind cause) {
  Link& over = link(from, to);
  const std::size_t index = static_cast<std::size_t>(cause) - static_cast<std::size_t>(FaultKind::partition_pair);
  VERDICT_ASSERT(index < over.blocks.size(), "not a partition");
  if (over.blocks[index] == 0) return;
  --over.blocks[index];
  --over.blocked;
  for (std::size_t i = 0; i < over.blocks.size(); ++i) {
    if (over.blocks[i] != 0)
      over.cause = static_cast<FaultKind>(i + static_cast<std::size_t>(FaultKind::partition_pair));
  }
  opened(from, to, false);
}

void SimNetwork::release(NodeIndex from, NodeIndex to) {
  Link& over = link(from, to);
  if (over.clogs == 0) return;
  --over.clogs;
  opened(from, to, true);
}

void SimNetwork::swizzle(NodeIndex from, NodeIndex to, bool on) {
  Link& over = link(from, to);
  if (on) {
    ++over.swizzles;
  } else if (over.swizzles != 0) {
    --over.swizzles;
    opened(from, to, true);
  }
}

void SimNetwork::heal() {
  for (std::size_t from = 0; from < links_.size(); ++from) {
    for (std::size_t to = 0; to < links_.size(); ++to) {
      Link& over = links_[from][to];
      const bool was_open = over.open();
      over.blocks = {};
      over.blocked = over.clogs = over.swizzles = over.refuses = over.hangs = 0;
      over.extra = Duration(0);
      over.bytes_per_ms = 0;
      if (!was_open)
        opened(NodeIndex(static_cast<std::uint16_t>(from)), NodeIndex(static_cast<std::uint16_t>(to)), false);
    }
  }
}

std::size_t SimNetwork::reset(NodeIndex a, NodeIndex b) {
  std::size_t broken = 0;
  const auto error = std::make_error_code(std::errc::connection_reset);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[i];
    if (connection.phase != Connection::Phase::established) continue;
    const NodeIndex from = connection.ends[0].node;
    const NodeIndex to = connection.ends[1].node;
    if (!((from == a && to == b) || (from == b && to == a))) continue;
    if (connection.ends[0].state != End::State::open && connection.ends[1].state != End::State::open) continue;
    ++broken;
    break_end(connection, 0, error);
    break_end(connection, 1, error);
  }
  world_.count(FaultKind::reset, broken);
  return broken;
}

}  // namespace verdict::sim
