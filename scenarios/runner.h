#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/events.h"
#include "runtime/names.h"
#include "runtime/runtime.h"
#include "scenarios/guest.h"
#include "scenarios/result.h"
#include "scenarios/scenario.h"
#include "sim/faults.h"
#include "sim/message_tap.h"
#include "sim/types.h"

namespace verdict::sim {
class World;
}

// Runs one scenario under one seed, in this thread and nothing else: any number of runs side by side, no global state.
namespace verdict::scenarios {

// One machine of a run, for who draws lanes.
struct NodeInfo {
  sim::NodeIndex index;
  std::int32_t id = -1;  // Kafka node id; clients: -1
  std::string host;      // "broker-1", "controller", "client-1"
  bool client = false;
};

// A fault that began or ended, with the machines it names.
struct FaultNote {
  std::string id;
  std::string action;
  bool begins = true;
  std::vector<sim::NodeIndex> nodes;
  std::string text;  // "power loss of broker-2"
};

// Everything that happens in a run, in order, as it happens. Views are valid during the call.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void on_cluster(const std::vector<NodeInfo>& /*nodes*/) {}
  virtual void on_event(sim::VirtualTime, sim::NodeIndex, NodeId, std::uint32_t /*incarnation*/,
                        const protocol::Event&) {}
  virtual void on_topic(sim::VirtualTime, const Uuid& /*id*/, std::string_view /*name*/) {}
  virtual void on_message(const sim::FrameHead&, sim::VirtualTime /*sent*/, sim::VirtualTime /*delivered*/) {}
  virtual void on_fault(sim::VirtualTime, const FaultNote&) {}
  virtual void on_node(sim::VirtualTime, sim::NodeIndex, bool /*up*/, std::uint32_t /*incarnation*/,
                       std::string_view /*why*/) {}
  virtual void on_phase(sim::VirtualTime, std::string_view /*phase*/) {}
  virtual void on_log(sim::VirtualTime, sim::NodeIndex, LogLevel, std::string_view /*logger*/,
                      std::string_view /*message*/) {}
  virtual void on_history(std::string_view /*line*/) {}  // one line of history.jsonl, its newline included
  virtual void on_violation(const RunResult&) {}
};

struct RunOptions {
  RunObserver* observer = nullptr;   // null: nothing is recorded, the run is fastest; the hash is the same
  bool check_determinism = false;    // a second run, and the first event that differs
  std::vector<std::string> defects;  // beside the scenario's
  std::vector<Guest> guests;         // workloads and invariants of the caller's
  bool own_rules = true;             // false: only guests' invariants are judged, Verdict's own rules are not
  bool log_lines = false;            // nodes' log lines reach the observer
  LogLevel log_level = LogLevel::info;
  // Of virtual time since the beginning: the run stops there, without a verdict. 0: to its end.
  std::int64_t until_ms = 0;
  // Of virtual time: from there on every draw is another one, by `branch`; before it the run is the same. 0: never.
  std::int64_t reseed_at_ms = 0;
  std::uint64_t branch = 0;
  // The run goes on after the white box's word, so that clients have the time to see what came of it.
  bool past_violation = false;
  bool abstract_states = false;  // RunResult::abstract_states is filled in; the hash is the same
  // Called when a run's world stands and before its time begins, for the second run of check_determinism too: a test
  // plants there what runs may not do.
  std::function<void(sim::World&)> prepare;
};

// `scenario` must have parsed; a target that names what the cluster doesn't have is an error of validate().
RunResult run(const Scenario& scenario, std::uint64_t seed, const RunOptions& options = {});

// What parsing alone can't see: targets, topics, configuration keys, defects, event and field names.
std::expected<void, ScenarioError> validate(const Scenario& scenario);

}  // namespace verdict::scenarios
