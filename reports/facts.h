#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reports/trace_data.h"

// The part of a trace that may matter to one partition, in order of time, with the numbers that causes are found by.
// Part of cause.cpp.
namespace verdict::reports {

enum class FactKind : std::uint8_t {
  fault,
  down,
  up,
  opened,
  appended,
  truncated,
  leads,
  follows,
  high_watermark,
  proposed,
  adopted,
  diverges,
  acknowledged,
  decided,
  registered,
  fencing,
};

struct Fact {
  FactKind kind = FactKind::fault;
  std::size_t number = 0;  // its place in the trace, among facts of its time
  std::int64_t t_ns = 0;
  std::uint16_t lane = 0;  // who announced it, or whom it befell
  std::uint32_t incarnation = 0;
  std::int32_t node = -1;  // Kafka id: the leader of a decision or role, the follower that diverged, the broker fenced
  std::int32_t epoch = -1;
  std::int32_t partition_epoch = -1;
  std::int64_t from = -1, to = -1;  // offsets: appended and acknowledged, both included; truncated, HW: from, to
  std::uint32_t crc = 0;
  bool flag = false;  // fenced; unclean; appended as leader; opened: bytes were cut; truncated: full; registered: clean
  bool shutting_down = false;
  std::int32_t error = 0;             // acknowledged
  std::int32_t acks = 0;              // likewise
  std::vector<std::int32_t> isr;      // decided, leads, adopted; proposed: what is proposed
  std::vector<std::int32_t> was;      // proposed, decided: the ISR before
  std::int32_t was_leader = -1;       // decided
  std::int32_t was_epoch = -1;        // decided
  const TraceFault* fault = nullptr;  // fault
  const TraceUp* up = nullptr;        // down, up
};

// partition: its place in trace.partitions; -1: none. Nothing after `until_ns`.
std::vector<Fact> facts_of(const TraceData& trace, std::int32_t partition, std::int64_t until_ns);

std::string_view name_of(FactKind kind);
std::string fact_text(const Fact& fact, std::string_view partition);

bool covers(const Fact& fact, std::int64_t offset);  // appended, acknowledged
bool contains(const std::vector<std::int32_t>& list, std::int32_t id);
bool is_death(std::string_view action);  // a fault that ends a process

}  // namespace verdict::reports
