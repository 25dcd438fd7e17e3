#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reports/replica_state.h"

namespace verdict::reports {

struct TraceNode {
  std::string host;
  std::int32_t id = -1;  // Kafka node id; clients: -1
  bool client = false;
};
struct TraceKind {
  std::string name;
  std::vector<std::string> fields;  // without the partition
};
struct TraceEvent {
  std::int64_t t_ns = 0;
  std::uint16_t lane = 0;
  std::uint32_t incarnation = 0;
  std::uint16_t kind = 0;
  std::int32_t partition = -1;
  std::string values;  // JSON array, beside TraceKind::fields
  ReplicaChange change;
};
struct TraceMessage {
  std::int64_t sent_ns = 0;
  std::int64_t delivered_ns = 0;
  std::uint16_t from = 0, to = 0;
  std::uint16_t api = 0;
  bool response = false;
  std::int32_t correlation = 0;
  std::uint32_t bytes = 0;
};
struct TraceFault {
  std::string id, action, text;
  std::int64_t from_ns = 0;
  std::int64_t to_ns = -1;  // -1: to the end
  std::vector<std::uint16_t> lanes;
};
struct TraceUp {
  std::int64_t t_ns = 0;
  std::uint16_t lane = 0;
  bool up = true;
  std::uint32_t incarnation = 0;
  std::string why;
};
struct TracePhase {
  std::int64_t t_ns = 0;
  std::string name;
};
struct TraceElection {  // a decision of the controller that changed the leader epoch
  std::int64_t t_ns = 0;
  std::int32_t partition = 0;
  std::int32_t leader = -1;
  std::int32_t epoch = 0;
};

// A run as a report shows it: details of a bounded window, the rest coarse.
struct TraceData {
  std::vector<TraceNode> nodes;  // by lane
  std::vector<std::string> partitions;
  std::vector<TraceKind> kinds;
  std::vector<std::string> apis;
  std::deque<TraceEvent> events;      // of the window, in order
  std::deque<TraceMessage> messages;  // of the window, by delivery
  std::vector<TraceFault> faults;
  std::vector<TraceUp> ups;
  std::vector<TracePhase> phases;
  std::vector<TraceElection> elections;
  ReplicaStates base;            // before the window
  ReplicaStates last;            // at its end
  std::uint64_t all_events = 0;  // of the run
  std::uint64_t all_messages = 0;
  std::uint64_t coarse_dropped = 0;
  std::int64_t window_from_ns = 0;
  std::int64_t end_ns = 0;
};

struct TraceLimits {
  std::size_t events = 50'000;
  std::size_t messages = 50'000;
  std::size_t coarse = 20'000;  // of each coarse list
  std::int64_t focus_ns = -1;   // the window ends a little after it; -1: where the final read begins
};

// Takes the lines of a trace (trace.h), in order.
class TraceLoader {
 public:
  explicit TraceLoader(TraceLimits limits);
  ~TraceLoader();
  void line(std::string_view text);  // what it can't read is counted, not fatal
  TraceData take();
  std::uint64_t unreadable() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// events.jsonl.zst
std::expected<TraceData, std::string> load_trace(const std::string& path, const TraceLimits& limits);

}  // namespace verdict::reports
