#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/strong.h"
#include "runtime/time.h"

namespace verdict::sim {

// Time of the world itself: nanoseconds since the run began. Nodes see it through clocks of their own (MonoTime,
// WallTime), which may run at another rate.
struct VirtualTag {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<VirtualTag, Duration>;
  static constexpr bool is_steady = true;
};
using VirtualTime = VirtualTag::time_point;

constexpr VirtualTime virtual_ns(std::int64_t ns) { return VirtualTime(Duration(ns)); }
constexpr std::int64_t to_ns(VirtualTime t) { return t.time_since_epoch().count(); }

// A machine's place in World's list, from 0. Not the Kafka node id.
using NodeIndex = Strong<struct NodeIndexTag, std::uint16_t>;

// What a draw is for. draw = f(seed, purpose, entity, the entity's own ordinal), so draws of one purpose or entity
// never shift those of another.
enum class Draw : std::uint8_t {
  order,         // among events of one instant
  inline_start,  // does a start finish at once
  delay,         // of a deferred completion
  latency,       // of a segment on a link
  split,         // of a write into segments
  short_read,
  retransmit,
  unreachable,
  disk_latency,
  disk_error,
  disk_short,
  power_loss_file,
  power_loss_name,
  rot,
  doom,
  site_active,
  site_fire,
  runtime,  // Runtime::random
  wall,     // where a node's wall clock starts
  misdirect,
  fault,  // what a scenario's fault leaves open, by its id
  stall,  // does a process wait for a processor
};

}  // namespace verdict::sim
