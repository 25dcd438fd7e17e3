#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/replication/replica.h"
#include "runtime/names.h"
#include "tests/unit/replication/memory_log.h"

namespace verdict::replication {

// One decision of a run: what happens next, and two numbers that it is free to use.
struct Op {
  std::uint8_t kind = 0;
  std::uint8_t a = 0;
  std::uint8_t b = 0;
};

struct ClusterConfig {
  std::size_t nodes = 3;
  std::int32_t min_isr = 1;
  std::optional<Defect> defect;
};

// One partition on a few nodes, each a real Replica over an in-memory log, a controller of a few lines, and a network
// that holds, drops and reorders. Faults: kill (the log stays, the checkpointed high watermark may be old), loss of the
// tail (not of the last ISR member), pauses long enough to be fenced, metadata and answers late. After each op all
// rules that a run can break are judged from the logs alone; the first broken one is the run's result.
class Cluster {
 public:
  explicit Cluster(const ClusterConfig& config);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  void apply(const Op& op);
  // Ends all faults and lets everything through: then logs, high watermarks and the ISR agree and no one waits.
  void heal();
  const std::optional<std::string>& violation() const { return violation_; }
  std::size_t committed() const { return committed_.size(); }
  std::size_t acknowledged() const { return acknowledged_; }
  bool reached(Mark mark) const { return marks_[static_cast<std::size_t>(mark)]; }

 private:
  struct Image {
    NodeId leader = kNoNode;
    LeaderEpoch leader_epoch{0};
    PartitionEpoch partition_epoch{0};
    NodeIds isr;
    std::vector<ReplicaBroker> brokers;
  };
  struct Node;
  struct Message;
  class Feed;

  Node& node(std::uint8_t choice);
  std::size_t index_of(NodeId id) const { return static_cast<std::size_t>(id.value()) - 1; }
  ReplicaBroker& broker(NodeId id) { return decided().brokers[index_of(id)]; }
  Image& decided() { return images_.back(); }
  Image& decide();

  template <class Told>
  void tell(Node& node, const Told& event);
  void apply_metadata(Node& node, std::size_t image);
  void produce(Node& node, std::uint8_t count, std::int16_t acks);
  void fetch(Node& node);
  void deliver(std::size_t index);
  void drop(std::size_t index);
  void deliver_fetch(const Message& message);
  void deliver_read(const Message& message);
  void deliver_answer(const Message& message);
  void deliver_alter(const Message& message);
  void crash(Node& node, std::int64_t lost);
  void restart(Node& node);
  void fence(NodeId id);
  void unfence(NodeId id);
  void move_leader(std::uint8_t choice);
  void elect();
  ErrorCode alter(const Message& message);

  void run_effects(Node& node, Effects& effects, const Message* answer = nullptr);
  void fail(const std::string& what);
  void advanced(Node& node, const protocol::events::HighWatermarkAdvanced& event);
  void acknowledged(const protocol::events::ProduceAcknowledged& event);
  void check();
  void check_candidates();
  void check_logs();
  void check_quorum_superset();

  ClusterConfig config_;
  DefectSet defects_;
  NodeIds replicas_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Image> images_;
  std::vector<Message> network_;
  std::vector<MemoryLog::Record> committed_;  // by offset
  std::size_t acknowledged_ = 0;
  std::uint64_t next_value_ = 1;
  std::int64_t next_broker_epoch_ = 100;
  MonoTime now_{};
  std::bitset<kMarkCount> marks_;
  std::optional<std::string> violation_;
};

}  // namespace verdict::replication
