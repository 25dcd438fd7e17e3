#include "sim/sim_runtime.h"

#include <algorithm>

#include "sim/world.h"

namespace verdict::sim {

SimRuntime::SimRuntime(World& world, SimNode& node, std::uint32_t incarnation)
    : world_(world), node_(node), incarnation_(incarnation) {}

SimRuntime::~SimRuntime() { VERDICT_ASSERT(first_ == nullptr, "a runtime died before its operations"); }

void OrderedCompletions::schedule(World& world, Op& op, VirtualTime when, KeyedRandom& order) {
  constexpr std::uint64_t kUpper = ~std::uint64_t{0} << 32;
  if (when != at_) {
    at_ = when;
    random_ = world.order_for(order) >> 1 & kUpper;
  }
  world.schedule_at(op, when, random_ | world.next_sequence());
}

// ---- operations in flight ----

void SimRuntime::own(Op& op, OpKind kind, const void* context) {
  VERDICT_ASSERT(op.owner == nullptr, "an operation was started twice");
  op.owner = this;
  op.slot[0] = EventQueue::kUnqueuedOp;
  op.slot[1] = reinterpret_cast<std::uintptr_t>(context) | static_cast<std::uintptr_t>(kind);
  op.previous = nullptr;
  op.next = first_;
  if (first_ != nullptr) first_->previous = &op;
  first_ = &op;
  ++operations_;
}

void SimRuntime::disown(Op& op) {
  VERDICT_ASSERT(op.owner == this);
  (op.previous != nullptr ? op.previous->next : first_) = op.next;
  if (op.next != nullptr) op.next->previous = op.previous;
  op.previous = op.next = nullptr;
  op.owner = nullptr;
  --operations_;
}

bool SimRuntime::goes_inline() {
  if (maybe(Site::DeferInline)) return false;
  if (inline_run_ >= world_.config().inline_limit) {
    inline_run_ = 0;
    return false;
  }
  if (inline_bits_left_ == 0) {
    inline_bits_ = world_.draw(node_.inline_);
    inline_bits_left_ = 8;
  }
  const std::uint32_t byte = inline_bits_ & 0xff;
  inline_bits_ >>= 8;
  --inline_bits_left_;
  if (byte < world_.config().deferred_in_256) {
    world_.count(FaultKind::forced_yield);
    return false;
  }
  ++inline_run_;
  return true;
}

bool SimRuntime::finish_start(Op& op, std::size_t bytes, std::error_code error) {
  if (!alive_) return false;
  op.bytes = bytes;
  op.error = error;
  if (goes_inline()) return true;
  own(op, OpKind::result);
  schedule_soon(op);
  return false;
}

void SimRuntime::schedule_soon(Op& op) {
  const auto delay = static_cast<std::int64_t>(world_.draw(node_.delay_) & 0x7ff);
  world_.schedule(op, world_.now() + Duration(delay), node_.order_);
}

void SimRuntime::schedule_now(Op& op) { world_.schedule(op, std::max(world_.now(), node_.busy_until_), node_.order_); }

void SimRuntime::finish_later(Op& op, std::size_t bytes, std::error_code error) {
  VERDICT_ASSERT(op.owner == this);
  op.bytes = bytes;
  op.error = error;
  op.slot[1] = static_cast<std::uintptr_t>(OpKind::result);
  world_.reschedule(op, std::max(world_.now(), node_.busy_until_), node_.order_);
}

bool SimRuntime::runnable() const { return !node_.paused_ && node_.busy_until_ <= world_.now(); }

void SimRuntime::complete_owned(Op& op, std::size_t bytes, std::error_code error) {
  op.bytes = bytes;
  op.error = error;
  disown(op);
  inline_run_ = 0;
  op.complete(&op);
}

void SimRuntime::dispatch(Op& op) {
  if (node_.paused_) {
    world_.count(FaultKind::pause);
    node_.held_.push_back(&op);
    return;
  }
  if (node_.busy_until_ <= world_.now() && world_.config().stall_one_in != 0) draw_stall();
  if (node_.busy_until_ > world_.now()) return node_.later_.schedule(world_, op, node_.busy_until_, node_.order_);
  switch (kind_of(op)) {
    case OpKind::timer:
    case OpKind::result:
      break;
    case OpKind::reader: {
      Pipe& pipe = *context_of<Pipe>(op);
      pipe.reader = nullptr;
      world_.network().finish_read(pipe, op);
      break;
    }
    case OpKind::accept: {
      SimListener& listener = *context_of<SimListener>(op);
      listener.ready_ = false;
      if (listener.waiting_.empty()) return;
      listener.acceptor_ = nullptr;
      Connection& connection = *listener.waiting_.front();
      listener.waiting_.erase(listener.waiting_.begin());
      *listener.into_ = world_.network().accepted(connection);
      break;
    }
    case OpKind::file_read:
      context_of<SimFile>(op)->finish_read(op);
      break;
    case OpKind::file_sync:
      context_of<SimFile>(op)->finish_sync(op);
      break;
    case OpKind::directory_sync: {
      Inode* directory = context_of<Inode>(op);
      node_.disk_.sync_names(*directory);
      InodeRef::drop(directory);
      break;
    }
    case OpKind::writer:
    case OpKind::connect:
      VERDICT_ASSERT(false, "never queued");
  }
  complete_owned(op, op.bytes, op.error);
}

// The scheduler gives the processor to somebody else.
void SimRuntime::draw_stall() {
  const WorldConfig& config = world_.config();
  if (scale_to(world_.draw(node_.stall_), config.stall_one_in) != 0) return;
  node_.busy_until_ = world_.now() + config.stall.sample(world_.draw(node_.stall_)).delay;
  world_.count(FaultKind::scheduling_stall);
}

void SimRuntime::die() {
  alive_ = false;
  while (first_ != nullptr) {
    Op& op = *first_;
    world_.queue().remove(op);
    if (kind_of(op) == OpKind::directory_sync) InodeRef::drop(context_of<Inode>(op));
    disown(op);
  }
}

void SimRuntime::reschedule_timers() {
  for (Op* op = first_; op != nullptr; op = op->next) {
    if (kind_of(*op) != OpKind::timer || !EventQueue::queued(*op)) continue;
    world_.queue().remove(*op);
    const MonoTime when{Duration(static_cast<std::int64_t>(op->slot[2]))};
    world_.schedule(*op, std::max(world_.now(), node_.clock_.virtual_time(when)), node_.order_);
  }
}

// ---- clocks and timers ----

MonoTime SimRuntime::now() const { return node_.clock_.mono(world_.now()); }

WallTime SimRuntime::wall_now() const {
  const NodeClock& clock = node_.clock_;
  if (alive_) {
    if (clock.jumped() != Duration(0)) world_.count(FaultKind::clock_jump);
    if (clock.offset() != Duration(0)) world_.count(FaultKind::clock_offset);
    if (clock.drifted()) world_.count(FaultKind::clock_drift);
  }
  return clock.wall(world_.now());
}

bool SimRuntime::sleep_until(Op& op, MonoTime when) {
  if (!alive_) return false;
  op.bytes = 0;
  op.error = {};
  if (when <= now()) return finish_start(op, 0, {});
  own(op, OpKind::timer);
  op.slot[2] = static_cast<std::uintptr_t>(when.time_since_epoch().count());
  if (node_.clock_.drifted()) world_.count(FaultKind::clock_drift);
  world_.schedule(op, node_.clock_.virtual_time(when), node_.order_);
  return false;
}

void SimRuntime::post(Op& op) {
  if (!alive_) return;
  op.bytes = 0;
  op.error = {};
  own(op, OpKind::result);
  node_.posts_.schedule(world_, op, std::max(world_.now(), node_.busy_until_), node_.order_);
}

void SimRuntime::cancel(Op& op) {
  if (!alive_ || op.owner == nullptr) return;
  VERDICT_ASSERT(op.owner == this);
  if (kind_of(op) == OpKind::timer) return finish_later(op, 0, canceled_error());
  if (kind_of(op) == OpKind::connect) world_.network().cancel_connect(*context_of<Connection>(op));
}

// ---- randomness, marks, log ----

std::uint64_t SimRuntime::random(Purpose purpose, std::uint64_t entity) {
  if (!alive_) return 0;
  const std::uint64_t ordinal = node_.draws_[{static_cast<std::uint8_t>(purpose), entity}]++;
  const std::uint64_t key = mix64(mix64(node_.index().value(), static_cast<std::uint64_t>(purpose)), entity);
  KeyedRandom source = world_.keyed(Draw::runtime, mix64(key, ordinal));
  return world_.draw(source);
}

bool SimRuntime::maybe(Site site) {
  if (!alive_ || !world_.site_active(site)) return false;
  const auto index = static_cast<std::size_t>(site);
  KeyedRandom source = world_.keyed(
      Draw::site_fire, mix64(std::uint64_t{node_.index().value()} << 8 | index, node_.site_draws_[index]++));
  if ((world_.draw(source) & 3) != 0) return false;
  world_.site_fired(site);
  return true;
}

void SimRuntime::mark(Mark mark) {
  if (alive_) world_.mark(mark);
}

const DefectSet& SimRuntime::defects() const { return node_.config_.defects; }

bool SimRuntime::logs(LogLevel level) const {
  return alive_ && world_.config().log_sink != nullptr && level >= world_.config().log_level;
}

void SimRuntime::log(LogLevel level, std::string_view logger, std::string_view message) {
  if (logs(level)) world_.config().log_sink->line(world_.now(), node_.index(), level, logger, message);
}

void SimRuntime::halt(std::string_view reason) {
  if (!alive_) return;
  log(LogLevel::error, "halt", reason);
  node_.halt_reason_ = reason;
  world_.bring_down(node_, DeathCause::halt);
}

// ---- network ----

Outcome<std::unique_ptr<Listener>> SimRuntime::listen(const Endpoint& at, int backlog) {
  if (!alive_) return std::unexpected(canceled_error());
  return world_.network().listen(*this, at, backlog);
}

bool SimRuntime::connect(Op& op, const Endpoint& to, std::unique_ptr<Stream>& into) {
  if (!alive_) return false;
  return world_.network().connect(*this, op, to, into);
}

SimListener::SimListener(SimRuntime& runtime, Endpoint local, std::size_t backlog)
    : runtime_(runtime), local_(std::move(local)), limit_(backlog) {}

SimListener::~SimListener() { close(); }

void SimListener::close() {
  if (!runtime_.alive() || !open_) return;
  open_ = false;
  if (acceptor_ != nullptr) runtime_.finish_later(*std::exchange(acceptor_, nullptr), 0, canceled_error());
  runtime_.world().network().close_listener(*this);
}

bool SimListener::accept(Op& op, std::unique_ptr<Stream>& into) {
  if (!runtime_.alive()) return false;
  VERDICT_ASSERT(acceptor_ == nullptr, "two accepts in flight");
  if (!open_) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::bad_file_descriptor));
  op.bytes = 0;
  op.error = {};
  if (!waiting_.empty() && runtime_.goes_inline()) {
    Connection& connection = *waiting_.front();
    waiting_.erase(waiting_.begin());
    into = runtime_.world().network().accepted(connection);
    return true;
  }
  runtime_.own(op, SimRuntime::OpKind::accept, this);
  acceptor_ = &op;
  into_ = &into;
  ready_ = false;
  if (!waiting_.empty()) wake();
  return false;
}

void SimListener::wake() {
  if (acceptor_ == nullptr || ready_) return;
  ready_ = true;
  runtime_.schedule_now(*acceptor_);
}

SimStream::SimStream(SimRuntime& runtime, Connection& connection, std::size_t side)
    : runtime_(runtime), connection_(&connection), side_(side) {
  const SimNode& other = runtime.world().node(connection.ends[1 - side].node);
  const std::uint64_t port = side == 0 ? connection.port : 32768 + (connection.id & 0x7fff);
  peer_ = other.host() + ":" + std::to_string(port);
}

SimStream::~SimStream() { close(); }

void SimStream::close() {
  if (!runtime_.alive() || connection_ == nullptr) return;
  runtime_.world().network().close(*std::exchange(connection_, nullptr), side_);
}

bool SimStream::read_some(Op& op, std::span<std::byte> into) {
  if (!runtime_.alive()) return false;
  if (connection_ == nullptr) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::bad_file_descriptor));
  if (into.empty()) return runtime_.finish_start(op, 0, {});
  return runtime_.world().network().read(in(), op, into);
}

bool SimStream::wait_readable(Op& op) {
  if (!runtime_.alive()) return false;
  if (connection_ == nullptr) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::bad_file_descriptor));
  return runtime_.world().network().read(in(), op, {});
}

bool SimStream::write(Op& op, std::span<const ConstBuffer> buffers) {
  if (!runtime_.alive()) return false;
  if (connection_ == nullptr) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::bad_file_descriptor));
  return runtime_.world().network().write(out(), op, buffers);
}

bool SimStream::send_file(Op& op, File& file, std::uint64_t offset, std::size_t size) {
  if (!runtime_.alive()) return false;
  if (connection_ == nullptr) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::bad_file_descriptor));
  std::vector<std::byte>& bytes = out().owned;  // free: one write is in flight at most
  if (bytes.size() < size) bytes.resize(size);
  const Outcome<std::size_t> got = file.read_now(std::span(bytes).first(size), offset);
  if (!runtime_.alive()) return false;
  if (!got) return runtime_.finish_start(op, 0, got.error());
  if (*got < size) return runtime_.finish_start(op, 0, std::make_error_code(std::errc::io_error));
  const ConstBuffer buffer{bytes.data(), *got};
  return runtime_.world().network().write(out(), op, {&buffer, 1});
}

void SimStream::cancel(Op& op) {
  if (!runtime_.alive() || connection_ == nullptr || op.owner == nullptr) return;
  if (in().reader == &op) {
    in().reader = nullptr;
    in().reader_ready = false;
    runtime_.finish_later(op, 0, canceled_error());
  } else if (out().writer == &op) {
    runtime_.world().network().finish_writer(out(), canceled_error());
  }
}

void SimStream::shutdown_write() {
  if (runtime_.alive() && connection_ != nullptr && connection_->ends[side_].state == End::State::open) {
    runtime_.world().network().shutdown(out());
  }
}

std::string SimStream::peer() const { return peer_; }

}  // namespace verdict::sim
