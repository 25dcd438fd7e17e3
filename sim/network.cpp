// Data on established connections. What may happen to a stream: delay (a tail, a blocked or clogged link, a slow one),
// splitting at any byte, a reset seen by one side or both, silence of a machine without power. What may not: loss,
// repetition or reordering of bytes.
#include "sim/network.h"

#include <algorithm>

#include "sim/sim_runtime.h"
#include "sim/tap_state.h"
#include "sim/world.h"

namespace verdict::sim {
namespace {

constexpr std::uint32_t kMaxFrame = 1U << 30;

void remove_from(std::vector<Pipe*>& list, Pipe& pipe) { std::erase(list, &pipe); }

}  // namespace

Pipe::Pipe() = default;
Pipe::~Pipe() = default;

SimNetwork::~SimNetwork() {
  for (auto& connection : connections_) {
    for (Pipe& pipe : connection->pipes) forget(pipe);
    world_.queue().remove(connection->handshake);
  }
}

void Link::key_draws(const World& world, NodeIndex from, NodeIndex to) {
  const std::uint64_t entity = std::uint64_t{from.value()} << 16 | to.value();
  KeyedRandom latency = world.keyed(Draw::latency, entity);
  key = latency.next();
  bucket = -1;
  splits = world.keyed(Draw::split, entity);
  short_reads = world.keyed(Draw::short_read, entity);
  retransmits = world.keyed(Draw::retransmit, entity);
}

void SimNetwork::draw_anew() {
  order_ = world_.keyed(Draw::order, 1);
  for (std::size_t from = 0; from < links_.size(); ++from) {
    for (std::size_t to = 0; to < links_.size(); ++to) {
      links_[from][to].key_draws(world_, NodeIndex(static_cast<std::uint16_t>(from)),
                                 NodeIndex(static_cast<std::uint16_t>(to)));
    }
  }
}

void SimNetwork::add_node() {
  const std::size_t n = links_.size() + 1;
  if (n == 1) order_ = world_.keyed(Draw::order, 1);
  links_.resize(n);
  for (std::size_t from = 0; from < n; ++from) {
    const std::size_t had = links_[from].size();
    links_[from].resize(n);
    for (std::size_t to = had; to < n; ++to) {
      links_[from][to].key_draws(world_, NodeIndex(static_cast<std::uint16_t>(from)),
                                 NodeIndex(static_cast<std::uint16_t>(to)));
    }
  }
}

// The instant at which bytes that leave now arrive.
std::int64_t SimNetwork::latency(NodeIndex from, NodeIndex to, std::size_t bytes) {
  const NetworkConfig& config = world_.config().network;
  const std::int64_t now = to_ns(world_.now());
  Link& over = link(from, to);
  const std::int64_t bucket_ns = config.latency_bucket.count();
  if (over.bucket < 0 || now >= (over.bucket + 1) * bucket_ns) {
    over.bucket = now / bucket_ns;
    over.draws = KeyedRandom(mix64(over.key, static_cast<std::uint64_t>(over.bucket)));
  }
  const std::uint64_t draw = world_.draw(over.draws);
  if (from == to) return now + config.loopback.sample(draw).delay.count();
  const LatencyModel::Sample sample = config.latency.sample(draw);
  if (sample.tail) world_.count(FaultKind::latency_tail);
  if (over.extra != Duration(0) || over.bytes_per_ms != 0) world_.count(FaultKind::slow_link);
  const std::uint64_t rate = over.bytes_per_ms != 0 ? over.bytes_per_ms : config.bytes_per_ms;
  if (rate != 0) {
    const auto sending = static_cast<std::int64_t>(bytes * 1'000'000 / rate);
    over.busy_until_ns = std::max(over.busy_until_ns, now) + sending;
  } else {
    over.busy_until_ns = now;
  }
  return over.busy_until_ns + (sample.delay + over.extra).count();
}

// ---- writing ----

bool SimNetwork::write(Pipe& pipe, Op& op, std::span<const ConstBuffer> buffers) {
  Connection& connection = *pipe.connection;
  End& end = connection.ends[pipe.side];
  SimRuntime& runtime = *end.runtime;
  VERDICT_ASSERT(pipe.writer == nullptr, "two writes in flight on one stream");
  VERDICT_ASSERT(buffers.size() <= 64);
  if (end.error) return runtime.finish_start(op, 0, end.error);
  if (pipe.fin_written) return runtime.finish_start(op, 0, std::make_error_code(std::errc::broken_pipe));
  std::size_t total = 0;
  for (const ConstBuffer& buffer : buffers) total += buffer.size;
  if (total <= world_.config().network.window_bytes - static_cast<std::size_t>(pipe.written - pipe.read)) {
    for (const ConstBuffer& buffer : buffers) push(pipe, buffer.data, buffer.size);
    if (total != 0) segment(pipe);
    return runtime.finish_start(op, total, {});
  }
  runtime.own(op, SimRuntime::OpKind::writer, &pipe);
  pipe.writer = &op;
  pipe.writer_total = total;
  pipe.unwritten.assign(buffers.begin(), buffers.end());
  pump(pipe);
  return false;
}

void SimNetwork::push(Pipe& pipe, const std::byte* data, std::size_t size) {
  pipe.bytes.append(pipe.written, data, size, pipe.read);
  pipe.written += size;
}

// Moves what the window allows of the write in flight.
void SimNetwork::pump(Pipe& pipe) {
  std::size_t room = world_.config().network.window_bytes - static_cast<std::size_t>(pipe.written - pipe.read);
  std::size_t moved = 0;
  std::size_t used_up = 0;
  for (ConstBuffer& buffer : pipe.unwritten) {
    const std::size_t n = std::min(buffer.size, room);
    push(pipe, buffer.data, n);
    room -= n;
    moved += n;
    buffer = {buffer.data + n, buffer.size - n};
    if (buffer.size != 0) break;
    ++used_up;
  }
  pipe.unwritten.erase(pipe.unwritten.begin(), pipe.unwritten.begin() + static_cast<std::ptrdiff_t>(used_up));
  const bool done = pipe.unwritten.empty();
  const std::uint64_t id = pipe.connection->id;
  if (moved != 0) segment(pipe);
  if (done && pipe.connection->id == id) finish_writer(pipe, {});
}

void SimNetwork::finish_writer(Pipe& pipe, std::error_code error) {
  if (pipe.writer == nullptr) return;
  Op& op = *std::exchange(pipe.writer, nullptr);
  pipe.unwritten.clear();
  pipe.connection->ends[pipe.side].runtime->finish_later(op, error ? 0 : pipe.writer_total, error);
}

void SimNetwork::segment(Pipe& pipe) {
  if (world_.tap() != nullptr) return segment_frames(pipe);
  const std::uint64_t from = pipe.flight.empty() ? pipe.arrived : pipe.flight.back().end;
  const std::uint64_t size = pipe.written - from;
  const std::uint32_t one_in = world_.config().network.split_one_in;
  if (one_in != 0 && size > 1) {
    const auto& ends = pipe.connection->ends;
    const std::uint64_t draw = world_.draw(link(ends[pipe.side].node, ends[1 - pipe.side].node).splits);
    if (scale_to(draw, one_in) == 0) {
      add_segment(pipe, from + 1 + (draw & 0xffff) % (size - 1), {}, false);
      world_.count(FaultKind::partial_write);
    }
  }
  add_segment(pipe, pipe.written, {}, false);
}

void SimNetwork::add_segment(Pipe& pipe, std::uint64_t end, const FrameDecision& decision, bool fin) {
  Connection& connection = *pipe.connection;
  const NodeIndex from = connection.ends[pipe.side].node;
  const NodeIndex to = connection.ends[1 - pipe.side].node;
  const std::uint64_t before = pipe.flight.empty() ? pipe.arrived : pipe.flight.back().end;
  Segment segment;
  segment.end = end;
  segment.fin = fin;
  segment.at_ns = latency(from, to, static_cast<std::size_t>(end - before));
  if (decision.action == FrameAction::delay) {
    segment.at_ns += decision.delay.count();
    world_.count(FaultKind::message_delay);
  } else if (decision.action == FrameAction::hold) {
    segment.hold = decision.hold_id;
    world_.count(FaultKind::message_hold);
  }
  segment.breaks = decision.action == FrameAction::reset;
  if (!pipe.flight.empty()) segment.at_ns = std::max(segment.at_ns, pipe.flight.back().at_ns);
  pipe.flight.push(segment);
  if (pipe.flight.size() == 1) arm(pipe);
}

void SimNetwork::shutdown(Pipe& pipe) {
  if (pipe.fin_written) return;
  pipe.fin_written = true;
  if (pipe.tap != nullptr && pipe.tap->asking) pipe.written = pipe.tap->frame_start;  // died in the write
  add_segment(pipe, pipe.written, {}, true);
}

// ---- arriving ----

void SimNetwork::arm(Pipe& pipe) {
  if (pipe.flight.empty() || pipe.stalled || pipe.arrival.queued() || pipe.flight.front().hold != 0) return;
  if (pipe.side == 1 && pipe.connection->phase != Connection::Phase::established) return;
  const std::int64_t at = std::max(pipe.flight.front().at_ns, to_ns(world_.now()));
  world_.schedule(pipe.arrival, virtual_ns(at), order_);
}

void SimNetwork::on_arrival(Pipe& pipe) {
  Connection& connection = *pipe.connection;
  const NodeIndex from = connection.ends[pipe.side].node;
  const NodeIndex to = connection.ends[1 - pipe.side].node;
  Link& over = link(from, to);
  if (!over.open() || !world_.node(to).powered()) {
    if (!over.open()) world_.count(over.held_by());
    return stall(pipe, over);
  }
  const std::int64_t now = to_ns(world_.now());
  while (!pipe.flight.empty() && pipe.flight.front().at_ns <= now && pipe.flight.front().hold == 0) {
    const Segment segment = pipe.flight.front();
    pipe.flight.pop();
    if (!arrive(pipe, segment)) return;
  }
  arm(pipe);
  Link& back = link(to, from);
  if (!back.open() && !pipe.ack_stalled && connection.ends[pipe.side].state == End::State::open) {
    pipe.ack_stalled = true;
    back.unacked.push_back(&pipe);
    if (!pipe.give_up.queued()) {
      world_.schedule(pipe.give_up, world_.now() + world_.config().network.stream_timeout, order_);
    }
  }
  if (pipe.tap != nullptr) {
    const std::uint64_t id = connection.id;
    tell_delivered(pipe);
    if (connection.id != id || connection.phase == Connection::Phase::free) return;
  }
  deliver(pipe);
}

// False: the connection ended here.
bool SimNetwork::arrive(Pipe& pipe, const Segment& segment) {
  Connection& connection = *pipe.connection;
  const std::size_t receiver = 1U - pipe.side;
  if (segment.breaks) {
    world_.count(FaultKind::message_reset);
    const auto error = std::make_error_code(std::errc::connection_reset);
    break_end(connection, receiver, error);
    break_end(connection, pipe.side, error);
    return false;
  }
  End& end = connection.ends[receiver];
  const bool has_data = segment.end > pipe.arrived;
  if (end.state == End::State::closed && has_data) end.state = End::State::gone;
  if (end.state == End::State::gone) {
    drop_flight(pipe);
    send_rst(connection, receiver);
    free_if_done(connection);
    return false;
  }
  if (has_data) count_frames(pipe, pipe.arrived, segment.end);
  pipe.arrived = segment.end;
  pipe.fin_arrived |= segment.fin;
  return true;
}

void SimNetwork::count_frames(Pipe& pipe, std::uint64_t from, std::uint64_t to) {
  FrameCounter& counter = pipe.counter;
  while (from < to && !counter.broken) {
    if (counter.size_bytes == 0 && to - from >= 4) {
      std::array<std::byte, 4> size{};
      pipe.bytes.copy(from, size);
      from += 4;
      counter.size_bytes = 4;
      for (const std::byte byte : size) counter.size = counter.size << 8 | std::to_integer<std::uint32_t>(byte);
      counter.broken = counter.size > kMaxFrame;
      counter.remaining = counter.size;
    } else if (counter.size_bytes < 4) {
      std::byte byte{};
      pipe.bytes.copy(from++, {&byte, 1});
      counter.size = counter.size << 8 | std::to_integer<std::uint32_t>(byte);
      if (++counter.size_bytes < 4) continue;
      counter.broken = counter.size > kMaxFrame;
      counter.remaining = counter.size;
    } else {
      const std::uint64_t step = std::min(counter.remaining, to - from);
      counter.remaining -= step;
      from += step;
    }
    if (counter.remaining == 0 && !counter.broken) {
      world_.count_message();
      counter = {};
    }
  }
}

void SimNetwork::deliver(Pipe& pipe) {
  if (pipe.reader == nullptr || pipe.reader_ready) return;
  if (pipe.arrived == pipe.read && !pipe.fin_arrived) return;
  End& end = pipe.connection->ends[1 - pipe.side];
  if (!end.runtime->runnable()) return wake_reader(pipe);
  Op& op = *std::exchange(pipe.reader, nullptr);
  finish_read(pipe, op);
  end.runtime->complete_owned(op, op.bytes, op.error);
}

void SimNetwork::wake_reader(Pipe& pipe) {
  if (pipe.reader == nullptr || pipe.reader_ready) return;
  pipe.reader_ready = true;
  pipe.connection->ends[1 - pipe.side].runtime->schedule_now(*pipe.reader);
}

// ---- reading ----

bool SimNetwork::read(Pipe& pipe, Op& op, std::span<std::byte> into) {
  End& end = pipe.connection->ends[1 - pipe.side];
  VERDICT_ASSERT(pipe.reader == nullptr, "two reads in flight on one stream");
  pipe.into = into;
  const bool ready = pipe.arrived != pipe.read || pipe.fin_arrived || end.error;
  if (ready && end.runtime->goes_inline()) {
    finish_read(pipe, op);
    return true;
  }
  end.runtime->own(op, SimRuntime::OpKind::reader, &pipe);
  pipe.reader = &op;
  pipe.reader_ready = ready;
  if (ready) end.runtime->schedule_soon(op);
  return false;
}

void SimNetwork::finish_read(Pipe& pipe, Op& op) {
  pipe.reader_ready = false;
  op.bytes = 0;
  op.error = {};
  const std::size_t available = static_cast<std::size_t>(pipe.arrived - pipe.read);
  if (available == 0) {
    if (!pipe.fin_arrived) op.error = pipe.connection->ends[1 - pipe.side].error;
    return;
  }
  if (pipe.into.empty()) return;  // wait_readable
  std::size_t n = std::min(available, pipe.into.size());
  const std::uint32_t one_in = world_.config().network.short_read_one_in;
  if (one_in != 0 && n > 1) {
    const auto& ends = pipe.connection->ends;
    const std::uint64_t draw = world_.draw(link(ends[pipe.side].node, ends[1 - pipe.side].node).short_reads);
    if (scale_to(draw, one_in) == 0) {
      n = 1 + (draw & 0xffffff) % (n - 1);
      world_.count(FaultKind::partial_read);
    }
  }
  if (n > 1 && pipe.connection->ends[1 - pipe.side].runtime->maybe(Site::ShortRead)) n = 1;
  const std::span<std::byte> taken = pipe.into.first(n);
  pipe.bytes.copy(pipe.read, taken);
  world_.hash_bytes(taken);
  pipe.read += n;
  op.bytes = n;
  if (pipe.writer == nullptr || pipe.window.queued()) return;
  const NodeIndex from = pipe.connection->ends[1 - pipe.side].node;
  const NodeIndex to = pipe.connection->ends[pipe.side].node;
  if (link(from, to).open()) world_.schedule(pipe.window, virtual_ns(latency(from, to, 0)), order_);
}

void SimNetwork::on_window(Pipe& pipe) {
  if (pipe.writer != nullptr) pump(pipe);
}

// ---- trouble ----

void SimNetwork::stall(Pipe& pipe, Link& over) {
  pipe.stalled = true;
  over.stalled.push_back(&pipe);
  const bool someone_resends = world_.node(pipe.connection->ends[pipe.side].node).powered();
  if (!someone_resends) return drop_flight(pipe);
  if (!pipe.give_up.queued()) {
    world_.schedule(pipe.give_up, world_.now() + world_.config().network.stream_timeout, order_);
  }
}

// A link lets through again: what waited is sent again, after what is left of a retransmission time-out.
void SimNetwork::opened(NodeIndex from, NodeIndex to, bool at_once) {
  Link& over = link(from, to);
  if (!over.open()) return;
  const std::vector<Pipe*> stalled = std::exchange(over.stalled, {});
  for (Pipe* pipe : stalled) {
    pipe->stalled = false;
    Duration delay(0);
    if (!at_once) {
      const auto longest = static_cast<std::uint64_t>(world_.config().network.retransmit.count()) * 8;
      delay = Duration(static_cast<std::int64_t>(scale_to(world_.draw(over.retransmits), longest)));
    }
    pipe->flight.front().at_ns = std::max(pipe->flight.front().at_ns, to_ns(world_.now() + delay));
    for (std::size_t i = 1; i < pipe->flight.size(); ++i) {
      pipe->flight[i].at_ns = std::max(pipe->flight[i].at_ns, pipe->flight[i - 1].at_ns);
    }
    arm(*pipe);
    if (!pipe->ack_stalled) world_.queue().remove(pipe->give_up);
  }
  const std::vector<Pipe*> unacked = std::exchange(over.unacked, {});
  for (Pipe* pipe : unacked) {
    pipe->ack_stalled = false;
    if (!pipe->stalled) world_.queue().remove(pipe->give_up);
    if (pipe->writer != nullptr && !pipe->window.queued()) {
      world_.schedule(pipe->window, virtual_ns(latency(from, to, 0)), order_);
    }
  }
}

void SimNetwork::on_give_up(Pipe& pipe) {
  world_.count(FaultKind::stream_timeout);
  break_end(*pipe.connection, pipe.side, std::make_error_code(std::errc::timed_out));
}

void SimNetwork::send_rst(Connection& connection, std::size_t from) {
  const NodeIndex here = connection.ends[from].node;
  const NodeIndex there = connection.ends[1 - from].node;
  Pipe& pipe = connection.pipes[from];
  if (pipe.rst.queued() || !world_.node(here).powered()) return;
  world_.schedule(pipe.rst, virtual_ns(latency(here, there, 0)), order_);
}

void SimNetwork::on_rst(Pipe& pipe) {
  Connection& connection = *pipe.connection;
  const NodeIndex from = connection.ends[pipe.side].node;
  const NodeIndex to = connection.ends[1 - pipe.side].node;
  if (!link(from, to).open() || !world_.node(to).powered()) return;  // lost; the peer learns when it next sends
  break_end(connection, 1U - pipe.side, std::make_error_code(std::errc::connection_reset));
}

// An end learns that its connection is no more. What had arrived can still be read.
void SimNetwork::break_end(Connection& connection, std::size_t side, std::error_code error) {
  End& end = connection.ends[side];
  if (end.state == End::State::gone) return;
  end.state = End::State::gone;
  end.error = error;
  drop_flight(connection.pipes[side]);
  if (side == 0 && connection.connector != nullptr) {
    end.runtime->finish_later(*std::exchange(connection.connector, nullptr), 0, error);
    end.runtime = nullptr;
  }
  if (end.runtime != nullptr) {
    wake_reader(connection.pipes[1 - side]);
    finish_writer(connection.pipes[side], error);
  }
  free_if_done(connection);
}

void SimNetwork::drop_flight(Pipe& pipe) {
  pipe.flight.clear();
  Connection& connection = *pipe.connection;
  const NodeIndex from = connection.ends[pipe.side].node;
  const NodeIndex to = connection.ends[1 - pipe.side].node;
  if (pipe.stalled) remove_from(link(from, to).stalled, pipe);
  if (pipe.ack_stalled) remove_from(link(to, from).unacked, pipe);
  pipe.stalled = pipe.ack_stalled = false;
  world_.queue().remove(pipe.arrival);
  world_.queue().remove(pipe.give_up);
}

void SimNetwork::forget(Pipe& pipe) {
  if (pipe.connection != nullptr && !links_.empty()) drop_flight(pipe);
  world_.queue().remove(pipe.window);
  world_.queue().remove(pipe.rst);
}

}  // namespace verdict::sim
