#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

// What each replica holds, followed through the events of a trace: the replica matrix of reports.
namespace verdict::reports {

struct BatchRef {
  std::int64_t base = 0;
  std::int64_t last = 0;
  std::int32_t epoch = 0;
  std::uint32_t crc = 0;
  friend bool operator==(const BatchRef&, const BatchRef&) = default;
};

enum class ReplicaRole : std::uint8_t { none, leader, follower };

struct ReplicaState {
  bool open = false;  // its process runs and has opened the log
  std::int64_t log_start = 0;
  std::int64_t log_end = 0;
  std::int64_t high_watermark = 0;
  std::int32_t epoch = -1;  // leader epoch that it knows
  ReplicaRole role = ReplicaRole::none;
  std::vector<std::int32_t> isr;  // as the leader believes
  std::deque<BatchRef> tail;      // its newest batches, at most kTailBatches
};
constexpr std::size_t kTailBatches = 256;

// One event's effect on one replica.
struct ReplicaChange {
  enum class Kind : std::uint8_t {
    none,
    opened,
    closed,
    appended,
    truncated,
    start_moved,
    leader,
    follower,
    isr,
    high_watermark,
    cleaned
  };
  Kind kind = Kind::none;
  std::int64_t a = 0;  // opened: log start; appended: base; truncated, start_moved, high_watermark: the new value;
                       // leader: HW; cleaned: from
  std::int64_t b = 0;  // opened: log end; appended: last; cleaned: to
  std::int32_t epoch = -1;
  std::uint32_t crc = 0;
  std::vector<std::int32_t> isr;
  std::vector<std::int64_t> bases;  // cleaned: of the batches that are left
};

// The controller's decision about one partition.
struct PartitionDecision {
  std::int32_t leader = -1;
  std::int32_t leader_epoch = -1;
  std::int32_t partition_epoch = -1;
  std::vector<std::int32_t> replicas;
  std::vector<std::int32_t> isr;
};

struct Divergence {
  std::int64_t offset = 0;
  std::uint16_t lane_a = 0, lane_b = 0;
  BatchRef a, b;
};

class ReplicaStates {
 public:
  using Key = std::pair<std::int32_t, std::uint16_t>;  // partition, lane
  void apply(std::int32_t partition, std::uint16_t lane, const ReplicaChange& change);
  void decide(std::int32_t partition, PartitionDecision decision) { decisions_[partition] = std::move(decision); }
  void node_down(std::uint16_t lane);

  const std::map<Key, ReplicaState>& replicas() const { return replicas_; }
  const std::map<std::int32_t, PartitionDecision>& decisions() const { return decisions_; }
  const std::set<std::int32_t>& compacted() const { return compacted_; }  // partitions
  // The lowest offset at which two replicas hold different batches; of a compacted partition whatever their CRC, since
  // each replica writes anew what compaction leaves.
  std::optional<Divergence> first_divergence(std::int32_t partition) const;

 private:
  std::map<Key, ReplicaState> replicas_;
  std::map<std::int32_t, PartitionDecision> decisions_;
  std::set<std::int32_t> compacted_;
};

}  // namespace verdict::reports
