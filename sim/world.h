#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/random.h"
#include "runtime/runtime.h"
#include "sim/config.h"
#include "sim/faults.h"
#include "sim/hash.h"
#include "sim/message_tap.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/types.h"

namespace verdict::sim {

enum class RunEnd : std::uint8_t {
  reached_time,
  stopped,       // the predicate held, or stop() was called
  idle,          // nothing is left to happen
  event_budget,  // a failure of its own kind: the run did not end
  instant_loop,  // likewise: too many events at one virtual instant
};
std::string_view name_of(RunEnd);

enum class CallId : std::uint64_t {};

// The simulated machine room: virtual time, nodes with disks and clocks, one network. A run is a function of (build,
// config, what the caller asks for): one thread, no global state, any number of worlds side by side.
//
// Everything below may be called between runs, from World::at, or from inside a node's turn (a protocol event that
// triggers a fault). A process that is killed inside its own turn is inert at once; its object is destroyed when the
// loop is back at its top.
class World {
 public:
  explicit World(WorldConfig config);
  ~World();  // processes die as by kill, without being counted
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const WorldConfig& config() const { return config_; }

  // ---- time ----
  VirtualTime now() const { return now_; }
  RunEnd run_until(VirtualTime when);
  RunEnd run_for(Duration duration) { return run_until(now_ + duration); }
  RunEnd run_until(const std::function<bool()>& done,
                   VirtualTime deadline = VirtualTime::max());  // asked after each event
  RunEnd run_until_idle() { return run_until(VirtualTime::max()); }
  void stop() { stop_requested_ = true; }  // the run in progress ends after this event
  CallId at(VirtualTime when, std::function<void()> call);
  CallId after(Duration delay, std::function<void()> call) { return at(now_ + delay, std::move(call)); }
  void cancel(CallId call);  // fine if it has already happened
  std::uint64_t events() const { return events_; }
  std::uint64_t messages() const { return messages_; }  // length-prefixed frames whose last byte was delivered
  std::size_t pending() const { return queue_.size(); }

  // ---- nodes ----
  NodeIndex add_node(NodeConfig config);
  std::size_t node_count() const { return nodes_.size(); }
  SimNode& node(NodeIndex index) { return *nodes_[index.value()]; }
  SimNode* find_node(std::string_view host);
  void start(NodeIndex index);         // powers on if need be; its process must not be running
  void stop_process(NodeIndex index);  // as kill, but not a fault: for a process that has ended by itself
  // Called when a process has died, at the top of the loop, after its object was destroyed.
  std::function<void(NodeIndex, DeathCause)> on_death;
  // Called as a machine loses its power, before its disk does what it then does; its process may be long dead.
  std::function<void(NodeIndex)> on_power_loss;

  // ---- process faults ----
  void kill(NodeIndex index);                                // no-op if nothing runs
  void power_loss(NodeIndex index, PowerLossPolicy policy);  // the machine stays dark until start()
  // The process dies at its k-th disk call from now (k >= 1): calls before it took effect, it and all later ones of
  // that turn do not, but that the k-th, if it is an append, may have written a first part.
  void doom(NodeIndex index, std::uint64_t k);
  void doom_power(NodeIndex index, std::uint64_t k, PowerLossPolicy policy);  // the same, then the power fails
  // The process dies while its k-th sync from now (k >= 1; of a file or a directory) is under way.
  void doom_in_sync(NodeIndex index, std::uint64_t k);
  void doom_power_in_sync(NodeIndex index, std::uint64_t k, PowerLossPolicy policy);
  void undoom(NodeIndex index);  // a doom that did not strike is lifted
  void pause(NodeIndex index);
  void resume(NodeIndex index);
  void wipe_disk(NodeIndex index);  // nothing may run there
  // What a power loss would surely bring back of the disk now; the number names it.
  std::uint64_t take_image(NodeIndex index);
  void restore_image(NodeIndex index, std::uint64_t image);  // nothing may run there

  // ---- network faults (links are directed; causes nest: each block needs its own unblock) ----
  void block(NodeIndex from, NodeIndex to, FaultKind cause = FaultKind::partition_one_way);
  void unblock(NodeIndex from, NodeIndex to, FaultKind cause = FaultKind::partition_one_way);
  void partition_pair(NodeIndex a, NodeIndex b, bool on);
  void partition_split(std::span<const NodeIndex> a, std::span<const NodeIndex> b, bool on);
  void partition_bridge(std::span<const NodeIndex> a, std::span<const NodeIndex> b, NodeIndex bridge, bool on);
  void partition_random(std::span<const NodeIndex> a, std::span<const NodeIndex> b, bool on);  // drawn by the caller
  void isolate(NodeIndex node, bool on);
  void clog(NodeIndex from, NodeIndex to);
  void release(NodeIndex from, NodeIndex to);  // what a clog held arrives at once
  void swizzle(NodeIndex node, bool on);       // all its links, both ways; off: what they held arrives at once
  void refuse_connects(NodeIndex from, NodeIndex to, bool on);  // nests; connections that stand go on
  void hang_connects(NodeIndex from, NodeIndex to, bool on);
  void slow_link(NodeIndex from, NodeIndex to, Duration extra, std::uint64_t bytes_per_ms);  // 0, 0: normal again
  std::size_t reset_connections(NodeIndex a, NodeIndex b);                                   // how many were broken
  bool link_open(NodeIndex from, NodeIndex to) const;  // neither blocked nor clogged
  void heal_network();                                 // no block, clog or slow link is left
  void set_tap(MessageTap* tap) { tap_ = tap; }        // before the first connection; outlives the world
  void release_messages(std::uint32_t hold_id);

  // ---- disk and clock faults ----
  void set_disk_faults(NodeIndex index, DiskFaults faults);  // replaces those in force
  void set_disk_capacity(NodeIndex index, std::uint64_t bytes);
  std::uint64_t rot_bits(NodeIndex index, std::string_view path_part, std::uint64_t ordinal);         // bytes changed
  std::uint64_t misdirect_write(NodeIndex index, std::string_view path_part, std::uint64_t ordinal);  // likewise
  void lift_rot(NodeIndex index);  // what was not overwritten since reads as it was written
  void set_clock_offset(NodeIndex index, Duration offset);
  void set_clock_rate(NodeIndex index, std::int32_t ppm);  // parts per million faster than true, > -1,000,000
  void jump_clock(NodeIndex index, Duration by);

  // ---- what happened ----
  FaultCounters& counters() { return counters_; }
  const FaultCounters& counters() const { return counters_; }
  std::uint64_t marks(Mark mark) const { return marks_[static_cast<std::size_t>(mark)]; }
  std::uint64_t sites(Site site) const { return sites_fired_[static_cast<std::size_t>(site)]; }  // how often it fired
  void hash_value(std::uint64_t value) { hash_.value(value); }  // for what happens above: protocol events, operations
  void hash_bytes(std::span<const std::byte> bytes) { hash_.bytes(bytes); }
  std::uint64_t hash() const { return hash_.digest(); }
  void record(TraceLog* log) { hash_.record(log); }  // before the first event; nullptr: stop

  // ---- randomness for what stands above: keyed and local ----
  KeyedRandom keyed(Draw purpose, std::uint64_t entity) const {
    return KeyedRandom(mix64(mix64(config_.seed, static_cast<std::uint64_t>(purpose) + 1), entity));
  }
  std::uint64_t draw(KeyedRandom& source) {
    const std::uint64_t value = source.next();
    hash_.value(value);
    return value;
  }

  // Between two events: every draw from here on is another one, f(mix(seed, branch), ...). What has happened stays.
  void reseed(std::uint64_t branch);

  // ---- for the machine's parts ----
  void schedule(Event& event, VirtualTime when, KeyedRandom& order);
  void schedule(Op& op, VirtualTime when, KeyedRandom& order) { schedule_at(op, when, order_for(order)); }
  void schedule_at(Op& op, VirtualTime when, std::uint64_t order);
  void reschedule(Op& op, VirtualTime when, KeyedRandom& order);  // queued or not
  // Among events of one instant: random in the upper half; the lower is the order of scheduling, so that it can be
  // told who overtook whom.
  std::uint64_t order_for(KeyedRandom& source) {
    return (config_.random_order ? source.next() & kRandomOrder : 0) | next_sequence();
  }
  std::uint64_t next_sequence() { return sequence_++ & ~kRandomOrder; }
  EventQueue& queue() { return queue_; }
  SimNetwork& network() { return network_; }
  MessageTap* tap() { return tap_; }
  void count_message() { ++messages_; }
  void count(FaultKind kind, std::uint64_t n = 1) { counters_.add(kind, n); }
  void mark(Mark mark) { ++marks_[static_cast<std::size_t>(mark)]; }
  bool site_active(Site site) const { return active_sites_[static_cast<std::size_t>(site)]; }
  void site_fired(Site site) { ++sites_fired_[static_cast<std::size_t>(site)]; }
  void bring_down(SimNode& node, DeathCause cause);  // the incarnation dies now, its object at the top of the loop

 private:
  static constexpr std::uint64_t kRandomOrder = ~std::uint64_t{0} << 32;
  struct Call;
  struct Grave {
    NodeIndex node;
    DeathCause cause;
    std::unique_ptr<SimRuntime> runtime;
    std::unique_ptr<Process> process;
  };
  template <class Done>
  RunEnd run(VirtualTime when, Done done);
  void step();
  void bury();
  void fire_call(Event& event);
  void lose_power(SimNode& node, PowerLossPolicy policy);
  void block_both(NodeIndex a, NodeIndex b, FaultKind cause, bool on);

  WorldConfig config_;
  VirtualTime now_{};
  RunningHash hash_;
  EventQueue queue_;
  std::uint64_t sequence_ = 0;
  std::uint64_t newest_of_instant_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t events_this_instant_ = 0;
  std::uint64_t messages_ = 0;
  bool stop_requested_ = false;
  FaultCounters counters_;
  std::array<std::uint64_t, kMarkCount> marks_{};
  std::array<bool, kSiteCount> active_sites_{};
  std::array<std::uint64_t, kSiteCount> sites_fired_{};
  MessageTap* tap_ = nullptr;
  KeyedRandom call_order_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::uint32_t> free_calls_;
  std::vector<Grave> graves_;
  SimNetwork network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace verdict::sim
