#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/broker/node.h"
#include "protocol/events.h"
#include "sim/world.h"

namespace verdict::sim {

struct ClusterConfig {
  std::int32_t brokers = 3;
  bool combined = false;                                        // broker 1 is the controller too
  std::vector<std::pair<std::string, std::string>> properties;  // of every node, over simulated_defaults()
  DefectSet defects;
};

// Time-outs that use virtual time well, and what a simulated cluster needs.
std::vector<std::pair<std::string, std::string>> simulated_defaults();

struct Machine {
  NodeIndex index;
  NodeId id;
  std::string host;  // "broker-1", "controller"
  bool broker = false;
  bool controller = false;
};

constexpr NodeId kControllerId{100};
constexpr std::uint16_t kBrokerPort = 9092;
constexpr std::uint16_t kControllerPort = 9093;

// Who announced an event.
struct Origin {
  NodeIndex index;
  NodeId node;
  std::uint32_t incarnation = 0;
};

enum class StopCause : std::uint8_t { kill, power_loss, orderly };

// Where the feeds of all nodes come together, in total order. Order of calls: started before the first event of an
// incarnation; stopped (again, where a machine that is down loses its power), then bytes_lost, before the next started.
// May ask World for faults; must not run it.
class ClusterSink {
 public:
  virtual ~ClusterSink() = default;
  virtual void started(const Origin&) = 0;
  virtual void event(const Origin&, const protocol::Event&) = 0;
  virtual void stopped(const Origin&, StopCause) = 0;
  virtual void bytes_lost(const Origin&, const Loss&) = 0;
};

// What the controller has decided and the nodes have announced: for symbolic targets, probes and waiting.
struct ClusterView {
  struct Partition {
    PartitionKey key;
    NodeIds replicas;
    NodeIds isr;
    NodeId leader = kNoNode;
    NodeId last_leader = kNoNode;  // the last that there was
    LeaderEpoch leader_epoch;
    PartitionEpoch partition_epoch;
  };
  struct Topic {
    Uuid id;
    std::string name;
    std::int32_t min_isr = 1;
    bool deleted = false;
  };
  struct Broker {
    bool registered = false;
    bool fenced = true;
    bool shutting_down = false;
    Offset applied{0};  // of the metadata log, by its running incarnation
  };
  std::map<PartitionKey, Partition> partitions;
  std::map<Uuid, Topic> topics;
  std::map<std::string, Uuid, std::less<>> by_name;  // the newest of that name
  std::map<NodeId, Broker> brokers;
  Offset committed{0};  // of the metadata log
  Offset decided{-1};   // newest decision seen

  const Topic* topic(std::string_view name) const;                               // null: none, or deleted
  const Partition* partition(std::string_view topic, std::int32_t index) const;  // also of a deleted topic
  std::string name_of(const PartitionKey& key) const;                            // "orders-0"; "?-0" if unknown
  void apply(NodeId from, const protocol::Event& event);
};

// A controller and brokers as machines of a world: each a broker::Node with its disk formatted, started, stopped, and
// observed. Crashes are World's; this says what came of them.
class Cluster {
 public:
  // A property that nodes would refuse, in one line.
  static std::expected<void, std::string> check(const ClusterConfig& config);

  // Adds the machines; nothing runs. `config` passes check(). The world's loss sink must call lost().
  Cluster(World& world, const ClusterConfig& config, ClusterSink* sink);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  void start_all();
  void start(NodeIndex index);         // no-op if it runs
  void stop_orderly(NodeIndex index);  // begins a controlled shutdown; the process ends by itself
  bool stopping(NodeIndex index);      // its process runs, on its way down
  void lost(const Loss& loss);

  const std::vector<Machine>& machines() const { return machines_; }
  const Machine* machine(NodeId id) const;
  const Machine& controller() const;
  bool owns(NodeIndex index) const { return index.value() < machines_.size(); }
  broker::Node* node(NodeIndex index);           // null unless its process runs and has started
  broker::BrokerNode* serving(NodeIndex index);  // null unless its node is a broker that serves
  const ClusterView& view() const { return view_; }
  const protocol::BrokerConfig& config_of(NodeIndex index) const { return configs_[index.value()]; }
  std::uint64_t observed() const { return observed_; }
  // After the cluster has seen a death, at the top of the loop.
  std::function<void(NodeIndex, DeathCause)> on_death;

 private:
  class NodeProcess;
  class Tagged;
  void observe(const Origin& origin, const protocol::Event& event);
  void tell_stopped(NodeIndex index, StopCause cause);
  void power_lost(NodeIndex index);
  Origin last_of(NodeIndex index);  // in its last life
  NodeProcess* process(NodeIndex index);

  World& world_;
  ClusterSink* sink_;
  std::vector<Machine> machines_;
  std::vector<protocol::BrokerConfig> configs_;
  std::vector<std::optional<Origin>> up_;
  ClusterView view_;
  std::uint64_t observed_ = 0;
};

}  // namespace verdict::sim
