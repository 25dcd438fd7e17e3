#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/random.h"
#include "sim/clock.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/queue.h"
#include "sim/types.h"

namespace verdict::sim {

class World;
class SimRuntime;

// What runs on a machine: built from the runtime of one incarnation, destroyed before it. The destructor of a process
// that was killed runs when its runtime is already inert: it can neither answer, flush nor write.
class Process {
 public:
  virtual ~Process() = default;
};
using ProcessFactory = std::function<std::unique_ptr<Process>(Runtime&)>;

// Completions of one node that keep their order although they fall on one instant, whose other events come in any
// order.
class OrderedCompletions {
 public:
  void schedule(World& world, Op& op, VirtualTime when, KeyedRandom& order);

 private:
  VirtualTime at_ = VirtualTime::min();
  std::uint64_t random_ = 0;
};

enum class DeathCause : std::uint8_t { kill, power_loss, doomed, halt, stop };

struct NodeConfig {
  std::string host;        // resolves to this machine; unique
  ProcessFactory factory;  // may be empty: start() is then an error in the caller
  DefectSet defects;
};

// One machine: a disk, a clock, and at most one living process, whose incarnations each have a SimRuntime of their own.
// World does everything to it; this is what a scenario may ask.
class SimNode {
 public:
  SimNode(World& world, NodeIndex index, NodeConfig config);
  ~SimNode();
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;

  NodeIndex index() const { return index_; }
  const std::string& host() const { return config_.host; }
  bool powered() const { return powered_; }
  bool running() const { return runtime_ != nullptr; }  // a process lives, paused or not
  bool paused() const { return paused_; }
  std::uint32_t incarnation() const { return incarnation_; }  // of the last start; 0 before the first
  Process* process() { return process_.get(); }
  SimRuntime* runtime() { return runtime_.get(); }
  DiskImage& disk() { return disk_; }
  NodeClock& clock() { return clock_; }
  const NodeClock& clock() const { return clock_; }
  const std::string& halt_reason() const { return halt_reason_; }
  KeyedRandom& order_source() { return order_; }

 private:
  friend class World;
  friend class SimRuntime;
  friend class SimNetwork;

  void draw_anew();  // World::reseed

  World& world_;
  NodeIndex index_;
  NodeConfig config_;
  DiskImage disk_;
  NodeClock clock_;
  bool powered_ = true;
  bool paused_ = false;
  std::uint32_t incarnation_ = 0;
  std::unique_ptr<SimRuntime> runtime_;  // before process_: outlives it
  std::unique_ptr<Process> process_;
  std::string halt_reason_;
  VirtualTime busy_until_{};          // a blocking disk call stalls the whole process
  std::vector<Op*> held_;             // completions due while paused
  std::uint64_t doom_countdown_ = 0;  // disk calls until death; 0: not doomed
  std::uint64_t doom_syncs_ = 0;      // syncs until death; 0: not doomed so
  bool in_doomed_sync_ = false;
  bool doom_power_ = false;
  PowerLossPolicy doom_policy_ = PowerLossPolicy::everything();
  std::uint16_t next_port_ = 32768;
  std::uint64_t connects_ = 0;
  OrderedCompletions posts_;
  OrderedCompletions later_;  // those that found the process busy or paused
  KeyedRandom order_;
  KeyedRandom inline_;
  KeyedRandom delay_;
  KeyedRandom stall_;
  std::map<std::pair<std::uint8_t, std::uint64_t>, std::uint64_t> draws_;  // (purpose, entity) -> next ordinal
  std::array<std::uint64_t, kSiteCount> site_draws_{};
};

}  // namespace verdict::sim
