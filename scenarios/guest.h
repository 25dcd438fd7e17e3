#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/events.h"
#include "runtime/runtime.h"
#include "sim/node.h"

namespace verdict::sim {
struct ClusterView;
}

// What somebody who tests guarantees of his own brings into a run: a workload, whose code is the one that he would run
// against real brokers, and an invariant over the feed of protocol events and over what the workload tells. Both are
// made anew for each run, so a run may be repeated, shrunk and compared with itself.
namespace verdict::scenarios {

// What a workload says of itself, in words of its own: "read", of "account-7", 41. Views are valid during the call.
struct Told {
  std::int64_t time_ns = 0;  // virtual, since the run began
  std::string_view who;      // the workload's name
  std::string_view what;
  std::string_view key;
  std::int64_t value = 0;
};

// A workload's place in the cluster: a machine of its own, with the clock, network and disk that all machines have.
struct Seat {
  Runtime& runtime;              // outlives the workload
  client::ClientOptions client;  // bootstrap servers, time-outs of the scenario; for client::Producer, Consumer, Admin
  // Hands the run's invariants a Told; part of the run's hash. Only from the workload's own turns.
  std::function<void(std::string_view what, std::string_view key, std::int64_t value)> tell;
};

// Starts when the scenario's workload starts: in its constructor it spawns what it does into a Scope of its own. All
// that it draws it draws from Runtime::random(Purpose::Workload, ...), all its time is Runtime::now(): no clock, thread
// or address order, else runs are not deterministic. It is destroyed at any time, its operations detached.
// Faults reach it as they reach every client: "clients" in a scenario's groups means its machine too.
class Workload : public sim::Process {
 public:
  // The faults are healed and the cluster is coming to rest: no new work.
  virtual void stop() = 0;
  // Stopped, and nothing is left to do. A workload that has not got there within the liveness bounds fails the run:
  // outcome overrun, invariant "workload".
  virtual bool finished() const = 0;
};
using MakeWorkload = std::function<std::unique_ptr<Workload>(const Seat&)>;

// Where an invariant stands: who announced the event, and what the controller has decided up to here.
struct Moment {
  std::int64_t time_ns;             // virtual, since the run began
  NodeId node;                      // Kafka's node id; kNoNode: a workload told
  std::uint32_t incarnation;        // of the node's process, from 1
  const sim::ClusterView& cluster;  // names and states of topics and partitions: cluster.name_of(event.partition)
  std::uint64_t excused_losses;     // committed records that faults destroyed as Kafka's guarantees allow
};

// An invariant that doesn't hold.
struct Broken {
  std::string sentence;                // becomes the run's: one line, in the words of whoever reads it
  std::string partition;               // "orders-0"; empty: none
  std::int64_t offset = -1;            // -1: none
  std::vector<std::string> witnesses;  // one line each, in order of time
};

// Called with every event in total order, after the change of state and before any of its effects leaves the node. The
// first that answers ends the run: outcome violation, the invariant's name, Broken's sentence. Must not draw nor block.
class Invariant {
 public:
  virtual ~Invariant() = default;
  virtual std::optional<Broken> on_event(const Moment&, const protocol::Event&) { return std::nullopt; }
  virtual std::optional<Broken> on_told(const Moment&, const Told&) { return std::nullopt; }
  // After the final read; not called of a run that ended before.
  virtual std::optional<Broken> at_end(const Moment&) { return std::nullopt; }
  // Once faults have destroyed committed records in a way that no broker could prevent (all copies lost power before
  // a sync; an unclean election that was configured), clients may miss them: the run's own black box judges nothing
  // from then on, and neither does an invariant that forgives.
  virtual bool forgives_excused_losses() const { return true; }
};
using MakeInvariant = std::function<std::unique_ptr<Invariant>()>;

struct Guest {
  std::string name;         // of the machine, unique among them; of the invariant, as results and reports call it
  MakeWorkload workload;    // either this
  MakeInvariant invariant;  // or this
};

}  // namespace verdict::scenarios
