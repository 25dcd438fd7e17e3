#include "reports/replica_state.h"

#include <algorithm>

namespace verdict::reports {
namespace {

void cut(ReplicaState& replica, std::int64_t end) {
  while (!replica.tail.empty() && replica.tail.back().last >= end) replica.tail.pop_back();
  replica.log_end = end;
}

bool same(BatchRef a, const BatchRef& b, bool compacted) {
  if (compacted) a.crc = b.crc;
  return a == b;
}

std::optional<std::pair<BatchRef, BatchRef>> first_difference(const ReplicaState& a, const ReplicaState& b,
                                                              bool compacted) {
  for (std::size_t i = 0, j = 0; i < a.tail.size() && j < b.tail.size();) {
    const BatchRef& x = a.tail[i];
    const BatchRef& y = b.tail[j];
    if (x.last < y.base) {
      ++i;
    } else if (y.last < x.base) {
      ++j;
    } else if (same(x, y, compacted)) {
      ++i, ++j;
    } else {
      return std::pair(x, y);
    }
  }
  return std::nullopt;
}

}  // namespace

void ReplicaStates::apply(std::int32_t partition, std::uint16_t lane, const ReplicaChange& change) {
  using Kind = ReplicaChange::Kind;
  if (change.kind == Kind::none) return;
  ReplicaState& replica = replicas_[{partition, lane}];
  switch (change.kind) {
    case Kind::opened:
      replica.open = true;
      replica.log_start = change.a;
      cut(replica, change.b);
      replica.epoch = std::max(replica.epoch, change.epoch);
      replica.high_watermark = std::min(replica.high_watermark, change.b);
      replica.role = ReplicaRole::none;
      break;
    case Kind::closed:
      replicas_.erase({partition, lane});
      break;
    case Kind::appended:
      replica.open = true;
      replica.tail.push_back({.base = change.a, .last = change.b, .epoch = change.epoch, .crc = change.crc});
      if (replica.tail.size() > kTailBatches) replica.tail.pop_front();
      replica.log_end = change.b + 1;
      break;
    case Kind::truncated:
      cut(replica, change.a);
      break;
    case Kind::start_moved:
      replica.log_start = change.a;
      break;
    case Kind::leader:
      replica.role = ReplicaRole::leader;
      replica.epoch = change.epoch;
      replica.high_watermark = change.a;
      replica.isr = change.isr;
      break;
    case Kind::follower:
      replica.role = ReplicaRole::follower;
      replica.epoch = change.epoch;
      replica.isr.clear();
      break;
    case Kind::isr:
      replica.isr = change.isr;
      break;
    case Kind::high_watermark:
      replica.high_watermark = change.a;
      break;
    case Kind::cleaned:
      compacted_.insert(partition);
      std::erase_if(replica.tail, [&](const BatchRef& batch) {
        return batch.base >= change.a && batch.base < change.b && !std::ranges::binary_search(change.bases, batch.base);
      });
      break;
    case Kind::none:
      break;
  }
}

void ReplicaStates::node_down(std::uint16_t lane) {
  for (auto& [key, replica] : replicas_) {
    if (key.second != lane) continue;
    replica.open = false;
    replica.role = ReplicaRole::none;
    replica.isr.clear();
  }
}

std::optional<Divergence> ReplicaStates::first_divergence(std::int32_t partition) const {
  std::optional<Divergence> first;
  const auto begin = replicas_.lower_bound({partition, 0});
  for (auto a = begin; a != replicas_.end() && a->first.first == partition; ++a) {
    for (auto b = std::next(a); b != replicas_.end() && b->first.first == partition; ++b) {
      const auto found = first_difference(a->second, b->second, compacted_.contains(partition));
      if (!found) continue;
      const std::int64_t offset = std::max(found->first.base, found->second.base);
      if (first && first->offset <= offset) continue;
      first = Divergence{.offset = offset,
                         .lane_a = a->first.second,
                         .lane_b = b->first.second,
                         .a = found->first,
                         .b = found->second};
    }
  }
  return first;
}

}  // namespace verdict::reports
