#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace verdict::scenarios {

enum class RunOutcome : std::uint8_t {
  pass,
  violation,         // an invariant, or an anomaly of the black box
  inconclusive,      // the run did not see what its scenario says it must
  nondeterministic,  // the second run differed
  overrun,           // it looped at one instant, outran its budget of events, or never came up
  crash              // a worker process died: set by the command line, never by run()
};
std::string_view name_of(RunOutcome);

struct WitnessLine {
  std::int64_t time_ns = 0;  // virtual
  std::int32_t node = -1;    // Kafka node id; -1: none, a client
  std::uint32_t incarnation = 0;
  std::string text;
};

struct HistoryCounts {
  std::uint64_t entries = 0;
  std::uint64_t sends_ok = 0, sends_failed = 0, sends_unknown = 0;
  std::uint64_t unknown_read = 0, unknown_unread = 0;
  std::uint64_t unseen = 0;
  std::uint64_t records_polled = 0;
};

struct RunResult {
  std::string scenario;
  std::uint64_t seed = 0;
  RunOutcome outcome = RunOutcome::pass;
  std::string invariant;  // "C1", or an anomaly's name; with `overrun` "event-budget", "instant-loop", "set-up"
  std::string sentence;   // in Kafka's terms
  std::string partition;  // "orders-0"; empty: none
  std::int64_t offset = -1;
  std::int64_t violation_ns = -1;  // virtual time of the event that broke the rule
  std::int64_t workload_ns = -1;   // virtual time at which the workload began; -1: never
  std::vector<WitnessLine> witnesses;
  std::vector<std::string> unmet;      // expectations, one line each
  std::vector<std::string> black_box;  // "lost-write: ..." for each anomaly, also where the white box spoke first
  std::uint64_t acknowledged = 0;      // records
  std::uint64_t acknowledged_all = 0;  // of these, with acks=all
  std::uint64_t delivered = 0;         // records, before the final read
  std::uint64_t final_read = 0;        // records
  HistoryCounts history;
  std::map<std::string, std::uint64_t> faults;        // counters of changed outcomes above 0, by fault name
  std::map<std::string, std::uint64_t> marks;         // above 0
  std::map<std::string, std::uint64_t> sites;         // how often each fired, above 0
  std::map<std::string, std::uint64_t> event_counts;  // of the protocol feed, by event name
  std::vector<std::string> fired;                     // ids of the scenario's faults that fired, in order
  std::uint64_t events = 0;                           // of the simulated machine
  std::uint64_t messages = 0;                         // requests and responses delivered
  std::uint64_t elections = 0;
  std::int64_t simulated_ms = 0;
  std::int64_t wall_ms = 0;  // filled in by who has a clock: the command line
  std::uint64_t hash = 0;
  std::vector<std::uint64_t> abstract_states;  // where asked for: checker/abstract_state.h; not in to_json()
  std::string difference;  // of a nondeterministic run: the first event that differs

  std::string to_json() const;  // one object, one line: the run object and the rest
};

}  // namespace verdict::scenarios
