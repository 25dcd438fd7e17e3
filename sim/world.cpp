#include "sim/world.h"

#include <algorithm>

#include "sim/sim_runtime.h"

namespace verdict::sim {

struct World::Call {
  Event event;
  World* world = nullptr;
  std::function<void()> function;
  std::uint32_t index = 0;
  std::uint32_t generation = 1;
};

std::string_view name_of(RunEnd end) {
  switch (end) {
    case RunEnd::reached_time:
      return "reached-time";
    case RunEnd::stopped:
      return "stopped";
    case RunEnd::idle:
      return "idle";
    case RunEnd::event_budget:
      return "event-budget";
    case RunEnd::instant_loop:
      return "instant-loop";
  }
  return "?";
}

SimNode::SimNode(World& world, NodeIndex index, NodeConfig config)
    : world_(world),
      index_(index),
      config_(std::move(config)),
      disk_(world, index, world.config().disk),
      clock_(MonoTime(std::chrono::hours(1) * (index.value() + 1)), world.config().wall_start),
      order_(world.keyed(Draw::order, index.value() + 2U)),
      inline_(world.keyed(Draw::inline_start, index.value())),
      delay_(world.keyed(Draw::delay, index.value())),
      stall_(world.keyed(Draw::stall, index.value())) {}

SimNode::~SimNode() = default;

void SimNode::draw_anew() {
  order_ = world_.keyed(Draw::order, index_.value() + 2U);
  inline_ = world_.keyed(Draw::inline_start, index_.value());
  delay_ = world_.keyed(Draw::delay, index_.value());
  disk_.draw_anew();
}

World::World(WorldConfig config) : config_(std::move(config)), call_order_(keyed(Draw::order, 0)), network_(*this) {
  // The machine's own are drawn in every run, the core's where they are in use.
  for (std::size_t i = 0; i < (config_.maybe_sites ? kSiteCount : kMachineSiteCount); ++i) {
    KeyedRandom source = keyed(Draw::site_active, i);
    const bool drawn = (draw(source) & 3) == 0;
    active_sites_[i] = config_.maybe_sites && drawn;
  }
}

World::~World() {
  on_death = nullptr;
  on_power_loss = nullptr;
  for (auto& node : nodes_) bring_down(*node, DeathCause::stop);
  bury();
  for (auto& call : calls_) queue_.remove(call->event);
}

void World::reseed(std::uint64_t branch) {
  config_.seed = mix64(config_.seed, branch);
  call_order_ = keyed(Draw::order, 0);
  network_.draw_anew();
  for (auto& node : nodes_) node->draw_anew();
  hash_.value(branch);
}

// ---- the loop ----

void World::schedule(Event& event, VirtualTime when, KeyedRandom& order) {
  VERDICT_ASSERT(when >= now_, "an event in the past");
  VERDICT_ASSERT(!event.queued());
  queue_.push({to_ns(when), order_for(order), EventQueue::Target(event)});
}

void World::schedule_at(Op& op, VirtualTime when, std::uint64_t order) {
  VERDICT_ASSERT(when >= now_, "a completion in the past");
  VERDICT_ASSERT(!EventQueue::queued(op));
  queue_.push({to_ns(when), order, EventQueue::Target(op)});
}

void World::reschedule(Op& op, VirtualTime when, KeyedRandom& order) {
  VERDICT_ASSERT(when >= now_, "a completion in the past");
  queue_.put({to_ns(when), order_for(order), EventQueue::Target(op)});
}

void World::step() {
  const EventQueue::Entry entry = queue_.pop();
  const std::uint64_t sequence = entry.order & ~kRandomOrder;
  if (entry.at_ns != to_ns(now_)) {
    now_ = virtual_ns(entry.at_ns);
    events_this_instant_ = 0;
    newest_of_instant_ = sequence;
  } else if (sequence < newest_of_instant_) {
    count(FaultKind::reorder);
  } else {
    newest_of_instant_ = sequence;
  }
  ++events_this_instant_;
  ++events_;
  if (entry.target.is_op()) {
    Op& op = entry.target.op();
    SimRuntime& runtime = *static_cast<SimRuntime*>(op.owner);
    hash_.event(entry.at_ns, EventKind::completion, runtime.node().index().value());
    runtime.dispatch(op);
  } else {
    Event& event = entry.target.event();
    hash_.event(entry.at_ns, event.kind, event.entity);
    event.fire(event);
  }
}

template <class Done>
RunEnd World::run(VirtualTime when, Done done) {
  stop_requested_ = false;
  if (!graves_.empty()) bury();
  for (;;) {
    if (queue_.empty()) {
      if (when == VirtualTime::max()) return RunEnd::idle;
      now_ = std::max(now_, when);
      return RunEnd::reached_time;
    }
    const std::int64_t next_ns = queue_.first().at_ns;
    if (next_ns > to_ns(when)) {
      now_ = std::max(now_, when);
      return RunEnd::reached_time;
    }
    if (next_ns == to_ns(VirtualTime::max())) return RunEnd::idle;  // sleeps without an end
    if (events_ >= config_.event_budget) return RunEnd::event_budget;
    step();
    if (!graves_.empty()) bury();
    if (stop_requested_ || done()) return RunEnd::stopped;
    if (events_this_instant_ > config_.instant_budget) return RunEnd::instant_loop;
  }
}

RunEnd World::run_until(VirtualTime when) {
  const RunEnd end = run(when, [] { return false; });
  hash_.finish_entry();
  return end;
}

RunEnd World::run_until(const std::function<bool()>& done, VirtualTime deadline) {
  if (done()) return RunEnd::stopped;
  const RunEnd end = run(deadline, [&] { return done(); });
  hash_.finish_entry();
  return end;
}

CallId World::at(VirtualTime when, std::function<void()> call) {
  Call* entry = nullptr;
  if (free_calls_.empty()) {
    calls_.push_back(std::make_unique<Call>());
    entry = calls_.back().get();
    entry->index = static_cast<std::uint32_t>(calls_.size() - 1);
    entry->world = this;
    entry->event.context = entry;
    entry->event.fire = [](Event& event) { static_cast<Call*>(event.context)->world->fire_call(event); };
  } else {
    entry = calls_[free_calls_.back()].get();
    free_calls_.pop_back();
  }
  entry->function = std::move(call);
  schedule(entry->event, std::max(when, now_), call_order_);
  return static_cast<CallId>(std::uint64_t{entry->generation} << 32 | entry->index);
}

void World::fire_call(Event& event) {
  Call& call = *static_cast<Call*>(event.context);
  const std::function<void()> function = std::exchange(call.function, nullptr);
  ++call.generation;
  free_calls_.push_back(call.index);
  function();
}

void World::cancel(CallId id) {
  const auto bits = static_cast<std::uint64_t>(id);
  Call& call = *calls_[static_cast<std::uint32_t>(bits)];
  if (call.generation != bits >> 32 || !call.event.queued()) return;
  queue_.remove(call.event);
  call.function = nullptr;
  ++call.generation;
  free_calls_.push_back(call.index);
}

// ---- nodes ----

NodeIndex World::add_node(NodeConfig config) {
  VERDICT_ASSERT(find_node(config.host) == nullptr, "two nodes of one host name");
  const NodeIndex index(static_cast<std::uint16_t>(nodes_.size()));
  network_.add_node();
  nodes_.push_back(std::make_unique<SimNode>(*this, index, std::move(config)));
  return index;
}

SimNode* World::find_node(std::string_view host) {
  for (const auto& node : nodes_) {
    if (node->host() == host) return node.get();
  }
  return nullptr;
}

void World::start(NodeIndex index) {
  SimNode& here = node(index);
  VERDICT_ASSERT(!here.running(), "its process is running");
  VERDICT_ASSERT(here.config_.factory != nullptr, "a node without a process");
  if (!here.powered_) {
    here.powered_ = true;
    network_.power_on(index);
  }
  if (here.incarnation_ != 0) count(FaultKind::restart);
  here.busy_until_ = VirtualTime();
  here.runtime_ = std::make_unique<SimRuntime>(*this, here, ++here.incarnation_);
  SimRuntime* runtime = here.runtime_.get();
  hash_.value(std::uint64_t{index.value()} << 32 | here.incarnation_);
  std::unique_ptr<Process> process = here.config_.factory(*runtime);
  if (here.runtime_.get() == runtime) {
    here.process_ = std::move(process);
    return;
  }
  for (Grave& grave : graves_) {  // it died while it was being made
    if (grave.runtime.get() == runtime) grave.process = std::move(process);
  }
}

void World::bring_down(SimNode& node, DeathCause cause) {
  if (!node.running()) return;
  SimRuntime& runtime = *node.runtime_;
  runtime.mark_dead();
  if (cause == DeathCause::power_loss) {
    network_.power_off(node.index());
  } else {
    network_.process_died(node.index());
  }
  runtime.die();
  node.held_.clear();
  node.paused_ = false;
  node.doom_countdown_ = node.doom_syncs_ = 0;
  node.disk_.process_died();
  hash_.value(std::uint64_t{node.index().value()} << 8 | static_cast<std::uint64_t>(cause));
  if (cause == DeathCause::doomed) count(node.in_doomed_sync_ ? FaultKind::doomed_in_sync : FaultKind::doomed);
  node.in_doomed_sync_ = false;
  graves_.push_back({node.index(), cause, std::move(node.runtime_), std::move(node.process_)});
  if (cause == DeathCause::doomed && std::exchange(node.doom_power_, false)) lose_power(node, node.doom_policy_);
}

void World::bury() {
  while (!graves_.empty()) {
    std::vector<Grave> graves = std::exchange(graves_, {});
    for (Grave& grave : graves) {
      grave.process.reset();
      grave.runtime.reset();
    }
    for (const Grave& grave : graves) {
      if (on_death) on_death(grave.node, grave.cause);
    }
  }
}

void World::stop_process(NodeIndex index) { bring_down(node(index), DeathCause::stop); }

void World::kill(NodeIndex index) {
  if (!node(index).running()) return;
  count(FaultKind::kill);
  bring_down(node(index), DeathCause::kill);
}

void World::lose_power(SimNode& node, PowerLossPolicy policy) {
  if (!node.powered_) return;
  count(FaultKind::power_loss);
  node.powered_ = false;
  network_.power_off(node.index());
  if (on_power_loss) on_power_loss(node.index());
  node.disk_.power_loss(policy);
}

void World::power_loss(NodeIndex index, PowerLossPolicy policy) {
  bring_down(node(index), DeathCause::power_loss);
  lose_power(node(index), policy);
}

void World::doom(NodeIndex index, std::uint64_t k) {
  VERDICT_ASSERT(k != 0);
  node(index).doom_countdown_ = k;
  node(index).doom_power_ = false;
}

void World::doom_power(NodeIndex index, std::uint64_t k, PowerLossPolicy policy) {
  doom(index, k);
  node(index).doom_power_ = true;
  node(index).doom_policy_ = policy;
}

void World::doom_in_sync(NodeIndex index, std::uint64_t k) {
  VERDICT_ASSERT(k != 0);
  node(index).doom_syncs_ = k;
  node(index).doom_power_ = false;
}

void World::doom_power_in_sync(NodeIndex index, std::uint64_t k, PowerLossPolicy policy) {
  doom_in_sync(index, k);
  node(index).doom_power_ = true;
  node(index).doom_policy_ = policy;
}

void World::undoom(NodeIndex index) {
  node(index).doom_countdown_ = node(index).doom_syncs_ = 0;
  node(index).doom_power_ = false;
}

void World::pause(NodeIndex index) {
  if (node(index).running()) node(index).paused_ = true;
}

void World::resume(NodeIndex index) {
  SimNode& here = node(index);
  if (!std::exchange(here.paused_, false)) return;
  for (Op* op : std::exchange(here.held_, {})) {
    // One that got another outcome while it was held (its connection broke) is due by itself, or is here twice.
    if (!EventQueue::queued(*op)) here.later_.schedule(*this, *op, now_, here.order_);
  }
}

void World::wipe_disk(NodeIndex index) {
  VERDICT_ASSERT(!node(index).running(), "a process uses this disk");
  node(index).disk_.wipe();
}

std::uint64_t World::take_image(NodeIndex index) { return node(index).disk_.take_image(); }

void World::restore_image(NodeIndex index, std::uint64_t image) {
  VERDICT_ASSERT(!node(index).running(), "a process uses this disk");
  node(index).disk_.restore_image(image);
}

// ---- network ----

void World::block(NodeIndex from, NodeIndex to, FaultKind cause) { network_.block(from, to, cause); }
void World::unblock(NodeIndex from, NodeIndex to, FaultKind cause) { network_.unblock(from, to, cause); }

void World::block_both(NodeIndex a, NodeIndex b, FaultKind cause, bool on) {
  if (a == b) return;
  if (on) {
    block(a, b, cause);
    block(b, a, cause);
  } else {
    unblock(a, b, cause);
    unblock(b, a, cause);
  }
}

void World::partition_pair(NodeIndex a, NodeIndex b, bool on) { block_both(a, b, FaultKind::partition_pair, on); }

void World::partition_split(std::span<const NodeIndex> a, std::span<const NodeIndex> b, bool on) {
  for (const NodeIndex x : a) {
    for (const NodeIndex y : b) block_both(x, y, FaultKind::partition_split, on);
  }
}

void World::partition_bridge(std::span<const NodeIndex> a, std::span<const NodeIndex> b, NodeIndex bridge, bool on) {
  for (const NodeIndex x : a) {
    for (const NodeIndex y : b) {
      if (x != bridge && y != bridge) block_both(x, y, FaultKind::partition_bridge, on);
    }
  }
}

void World::partition_random(std::span<const NodeIndex> a, std::span<const NodeIndex> b, bool on) {
  for (const NodeIndex x : a) {
    for (const NodeIndex y : b) block_both(x, y, FaultKind::partition_random, on);
  }
}

void World::isolate(NodeIndex index, bool on) {
  for (const auto& other : nodes_) block_both(index, other->index(), FaultKind::partition_isolate, on);
}

void World::clog(NodeIndex from, NodeIndex to) { network_.clog(from, to); }
void World::release(NodeIndex from, NodeIndex to) { network_.release(from, to); }

void World::swizzle(NodeIndex index, bool on) {
  for (const auto& other : nodes_) {
    if (other->index() == index) continue;
    network_.swizzle(index, other->index(), on);
    network_.swizzle(other->index(), index, on);
  }
}

void World::refuse_connects(NodeIndex from, NodeIndex to, bool on) {
  std::uint16_t& refuses = network_.link(from, to).refuses;
  refuses = static_cast<std::uint16_t>(on ? refuses + 1 : std::max(refuses - 1, 0));
}

void World::hang_connects(NodeIndex from, NodeIndex to, bool on) {
  std::uint16_t& hangs = network_.link(from, to).hangs;
  hangs = static_cast<std::uint16_t>(on ? hangs + 1 : std::max(hangs - 1, 0));
}

void World::slow_link(NodeIndex from, NodeIndex to, Duration extra, std::uint64_t bytes_per_ms) {
  network_.link(from, to).extra = extra;
  network_.link(from, to).bytes_per_ms = bytes_per_ms;
}

std::size_t World::reset_connections(NodeIndex a, NodeIndex b) { return network_.reset(a, b); }
bool World::link_open(NodeIndex from, NodeIndex to) const { return network_.link(from, to).open(); }
void World::heal_network() { network_.heal(); }
void World::release_messages(std::uint32_t hold_id) { network_.release_messages(hold_id); }

// ---- disk and clock ----

void World::set_disk_faults(NodeIndex index, DiskFaults faults) { node(index).disk_.set_faults(std::move(faults)); }
void World::set_disk_capacity(NodeIndex index, std::uint64_t bytes) { node(index).disk_.set_capacity(bytes); }

std::uint64_t World::rot_bits(NodeIndex index, std::string_view path_part, std::uint64_t ordinal) {
  return node(index).disk_.rot_bits(path_part, ordinal);
}
void World::lift_rot(NodeIndex index) { node(index).disk_.lift_rot(); }

std::uint64_t World::misdirect_write(NodeIndex index, std::string_view path_part, std::uint64_t ordinal) {
  return node(index).disk_.misdirect_write(path_part, ordinal);
}

void World::set_clock_offset(NodeIndex index, Duration offset) { node(index).clock_.set_offset(offset); }
void World::jump_clock(NodeIndex index, Duration by) { node(index).clock_.jump(by); }

void World::set_clock_rate(NodeIndex index, std::int32_t ppm) {
  VERDICT_ASSERT(ppm > -1'000'000);
  node(index).clock_.set_rate(now_, ppm);
  if (node(index).running()) node(index).runtime_->reschedule_timers();
}

}  // namespace verdict::sim
