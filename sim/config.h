#pragma once

#include <cstdint>
#include <limits>

#include "runtime/runtime.h"
#include "sim/latency.h"
#include "sim/types.h"

namespace verdict::sim {

struct NetworkConfig {
  LatencyModel latency;  // of a segment between two machines
  LatencyModel loopback{.median = 10us, .tail_one_in = 0};
  Duration latency_bucket = 100ms;        // a draw is keyed by (link, bucket of virtual time, ordinal in it)
  std::uint64_t bytes_per_ms = 125'000;   // of a link; 0: no limit
  std::size_t window_bytes = 256 * 1024;  // written and not yet read by the peer's process: a writer waits beyond it
  std::uint32_t split_one_in = 16;        // a write leaves as two segments; 0: never
  std::uint32_t short_read_one_in = 16;   // a read returns less than there is; 0: never
  Duration stream_timeout = 20s;          // unanswered retransmissions: the sender's side is reset
  Duration connect_timeout = 60s;         // SYNs without an answer
  Duration retransmit = 200ms;            // the first; doubled up to 8 times that
};

struct DiskConfig {
  LatencyModel read{.median = 80us, .tail_one_in = 2000, .tail_unit = 1ms, .tail_doublings = 6};  // a cold page
  LatencyModel sync{.median = 400us, .tail_one_in = 500, .tail_unit = 2ms, .tail_doublings = 6};
  std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
};

class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void line(VirtualTime at, NodeIndex node, LogLevel level, std::string_view logger,
                    std::string_view message) = 0;
};

class LossSink;

struct WorldConfig {
  std::uint64_t seed = 1;
  NetworkConfig network;
  DiskConfig disk;
  WallTime wall_start = WallTime(std::chrono::milliseconds(1'735'689'600'000));  // 2025-01-01 UTC
  bool maybe_sites = false;                                                      // Runtime::maybe may fire
  bool random_order = true;            // ready events of one instant in random order; else in order of scheduling
  std::uint32_t deferred_in_256 = 64;  // starts that could finish at once and don't
  // A process that was due finds the processor taken: one completion in so many waits for a draw of `stall`. 0: never.
  std::uint32_t stall_one_in = 0;
  LatencyModel stall{.median = 1ms, .tail_one_in = 16, .tail_unit = 10ms, .tail_doublings = 5};
  std::uint32_t inline_limit = 16;                                         // inline completions in a row within a turn
  std::uint64_t event_budget = std::numeric_limits<std::uint64_t>::max();  // a run's
  std::uint64_t instant_budget = 1'000'000;                                // events at one virtual instant
  LogLevel log_level = LogLevel::info;
  LogSink* log_sink = nullptr;    // outlives the world
  LossSink* loss_sink = nullptr;  // outlives the world
};

}  // namespace verdict::sim
