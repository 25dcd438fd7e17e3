#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/scope.h"
#include "sim/sim_runtime.h"

namespace verdict::sim {
namespace {

constexpr std::string_view kDirectory = "data";
constexpr std::string_view kClusterId = "verdict-simulated-0000";

std::vector<Machine> machines_of(const ClusterConfig& config) {
  std::vector<Machine> machines;
  for (std::int32_t id = 1; id <= config.brokers; ++id) {
    Machine machine;
    machine.id = NodeId(id);
    machine.host = fmt::format("broker-{}", id);
    machine.broker = true;
    machine.controller = config.combined && id == 1;
    machines.push_back(std::move(machine));
  }
  if (!config.combined) {
    Machine machine;
    machine.id = kControllerId;
    machine.host = "controller";
    machine.controller = true;
    machines.push_back(std::move(machine));
  }
  return machines;
}

std::expected<protocol::BrokerConfig, std::string> config_of_machine(const ClusterConfig& config,
                                                                     const std::vector<Machine>& machines,
                                                                     const Machine& machine) {
  protocol::BrokerConfig made;
  std::string error;
  const auto set = [&](std::string_view name, std::string_view value, const char* origin) {
    if (!error.empty()) return;
    if (const auto done = made.set(name, value, origin); !done) error = done.error().text;
  };
  for (const auto& [name, value] : simulated_defaults()) set(name, value, "simulation");
  const std::string copies = fmt::format("{}", std::min(config.brokers, 3));
  set("offsets.topic.replication.factor", copies, "simulation");
  set("transaction.state.log.replication.factor", copies, "simulation");
  set("transaction.state.log.min.isr", fmt::format("{}", std::min(config.brokers, 2)), "simulation");
  for (const auto& [name, value] : config.properties) set(name, value, "scenario");
  const Machine& controller = *std::ranges::find(machines, true, &Machine::controller);
  std::string listeners;
  if (machine.broker) listeners = fmt::format("PLAINTEXT://{}:{}", machine.host, kBrokerPort);
  if (machine.controller)
    listeners += fmt::format("{}CONTROLLER://{}:{}", listeners.empty() ? "" : ",", machine.host, kControllerPort);
  const char* origin = "simulation";
  set("node.id", fmt::format("{}", machine.id.value()), origin);
  set("process.roles",
      machine.broker && machine.controller ? "broker,controller"
      : machine.broker                     ? "broker"
                                           : "controller",
      origin);
  set("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", origin);
  set("listeners", listeners, origin);
  if (machine.broker) set("advertised.listeners", fmt::format("PLAINTEXT://{}:{}", machine.host, kBrokerPort), origin);
  set("inter.broker.listener.name", "PLAINTEXT", origin);
  set("controller.listener.names", "CONTROLLER", origin);
  set("controller.quorum.voters", fmt::format("{}@{}:{}", controller.id.value(), controller.host, kControllerPort),
      origin);
  set("log.dirs", kDirectory, origin);
  if (!error.empty()) return std::unexpected(error);
  return made;
}

// Puts an event's fields into the hash of the run.
struct FieldHasher {
  World& world;
  void add(std::uint64_t value) { world.hash_value(value); }
  template <class T>
  void operator()(std::string_view, const T& value) {
    if constexpr (std::is_same_v<T, PartitionKey>) {
      add(value.topic.high), add(value.topic.low), add(static_cast<std::uint64_t>(value.index));
    } else if constexpr (std::is_same_v<T, Uuid>) {
      add(value.high), add(value.low);
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      world.hash_bytes(std::as_bytes(std::span(std::string_view(value))));
    } else if constexpr (requires { value.size(); }) {
      add(value.size());
      for (const auto& element : value) add(static_cast<std::uint64_t>(element.value()));
    } else if constexpr (requires { value.value(); }) {
      add(static_cast<std::uint64_t>(value.value()));
    } else {
      add(static_cast<std::uint64_t>(value));
    }
  }
};

}  // namespace

std::vector<std::pair<std::string, std::string>> simulated_defaults() {
  return {
      {"auto.create.topics.enable", "false"},
      {"broker.heartbeat.interval.ms", "200"},
      {"broker.session.timeout.ms", "2000"},
      {"group.consumer.heartbeat.interval.ms", "400"},
      {"group.consumer.min.heartbeat.interval.ms", "20"},
      {"group.consumer.min.session.timeout.ms", "100"},
      {"group.consumer.session.timeout.ms", "2000"},
      {"group.initial.rebalance.delay.ms", "200"},
      {"group.min.session.timeout.ms", "500"},
      {"log.flush.offset.checkpoint.interval.ms", "1000"},
      {"log.retention.check.interval.ms", "1000"},
      {"log.segment.delete.delay.ms", "200"},
      {"offsets.topic.num.partitions", "1"},
      {"replica.fetch.backoff.ms", "50"},
      {"replica.fetch.wait.max.ms", "100"},
      {"replica.high.watermark.checkpoint.interval.ms", "500"},
      {"replica.lag.time.max.ms", "1000"},
      {"replica.socket.timeout.ms", "2000"},
      {"request.timeout.ms", "2000"},
      {"transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"},
      {"transaction.state.log.num.partitions", "1"},
  };
}

// ---- the view ----

const ClusterView::Topic* ClusterView::topic(std::string_view name) const {
  const auto id = by_name.find(name);
  if (id == by_name.end()) return nullptr;
  const Topic& found = topics.at(id->second);
  return found.deleted ? nullptr : &found;
}

const ClusterView::Partition* ClusterView::partition(std::string_view topic_name, std::int32_t index) const {
  const auto id = by_name.find(topic_name);
  if (id == by_name.end()) return nullptr;
  const auto found = partitions.find({.topic = id->second, .index = index});
  return found == partitions.end() ? nullptr : &found->second;
}

std::string ClusterView::name_of(const PartitionKey& key) const {
  const auto found = topics.find(key.topic);
  return fmt::format("{}-{}", found == topics.end() ? "?" : found->second.name, key.index);
}

void ClusterView::apply(NodeId from, const protocol::Event& event) {
  namespace ev = protocol::events;
  // A controller that starts again announces what its log holds anew.
  const auto is_new = [this](Offset offset) {
    if (offset < decided) return false;
    decided = offset;
    return true;
  };
  if (const auto* e = std::get_if<ev::PartitionDecided>(&event)) {
    if (!is_new(e->offset)) return;
    Partition& p = partitions[e->partition];
    p.key = e->partition;
    p.replicas.assign(e->replicas.begin(), e->replicas.end());
    p.isr.assign(e->isr.begin(), e->isr.end());
    p.leader = e->leader;
    if (e->leader != kNoNode) p.last_leader = e->leader;
    p.leader_epoch = e->leader_epoch;
    p.partition_epoch = e->partition_epoch;
  } else if (const auto* topic = std::get_if<ev::TopicCreated>(&event)) {
    if (!is_new(topic->offset)) return;
    topics[topic->topic] = {.id = topic->topic, .name = std::string(topic->topic_name)};
    by_name.insert_or_assign(std::string(topic->topic_name), topic->topic);
  } else if (const auto* deleted = std::get_if<ev::TopicDeleted>(&event)) {
    if (is_new(deleted->offset)) topics[deleted->topic].deleted = true;
  } else if (const auto* config = std::get_if<ev::MinIsrConfigured>(&event)) {
    if (is_new(config->offset)) topics[config->topic].min_isr = config->min_isr;
  } else if (const auto* registered = std::get_if<ev::BrokerRegistered>(&event)) {
    if (is_new(registered->offset)) {
      Broker& broker = brokers[registered->broker];
      broker.registered = true;
      broker.fenced = true;
      broker.shutting_down = false;
    }
  } else if (const auto* fencing = std::get_if<ev::BrokerFencing>(&event)) {
    if (is_new(fencing->offset)) {
      brokers[fencing->broker].fenced = fencing->fenced;
      brokers[fencing->broker].shutting_down = fencing->shutting_down;
    }
  } else if (const auto* committed_to = std::get_if<ev::QuorumCommitted>(&event)) {
    committed = std::max(committed, committed_to->to);
  } else if (const auto* applied = std::get_if<ev::MetadataApplied>(&event)) {
    brokers[from].applied = applied->to;
  }
}

// ---- processes ----

class Cluster::Tagged final : public protocol::Observer {
 public:
  Tagged(Cluster& cluster, SimRuntime& runtime, const Origin& origin)
      : cluster_(cluster), runtime_(runtime), origin_(origin) {}
  void observe(const protocol::Event& event) override {
    if (runtime_.alive()) cluster_.observe(origin_, event);
  }

 private:
  Cluster& cluster_;
  SimRuntime& runtime_;
  Origin origin_;
};

class Cluster::NodeProcess final : public Process {
 public:
  NodeProcess(Cluster& cluster, SimRuntime& runtime, const protocol::BrokerConfig& config, const Origin& origin)
      : cluster_(cluster),
        runtime_(runtime),
        origin_(origin),
        observer_(cluster, runtime, origin),
        node_(runtime, config, &observer_),
        scope_(runtime) {
    scope_.spawn(start());
  }
  broker::Node* node() { return started_ ? &node_ : nullptr; }
  bool stopping() const { return stopping_; }
  void stop() {
    if (!std::exchange(stopping_, true)) scope_.spawn(end());
  }

 private:
  Task<void> start() {
    const std::string meta = fmt::format("{}/{}", kDirectory, storage::kMetaPropertiesFile);
    if (!runtime_.disk().status(meta)) {
      const auto formatted = broker::format_directory(runtime_, node_.config(), std::string(kClusterId));
      if (!formatted) {
        runtime_.halt(formatted.error());
        co_return;
      }
    }
    const auto started = co_await node_.start();
    started_ = started.has_value();
    if (!started_) runtime_.halt(started.error());
  }
  Task<void> end() {
    if (started_) co_await node_.stop();
    cluster_.tell_stopped(origin_.index, StopCause::orderly);
    cluster_.world_.stop_process(origin_.index);
  }

  Cluster& cluster_;
  SimRuntime& runtime_;
  Origin origin_;
  Tagged observer_;
  bool started_ = false;
  bool stopping_ = false;
  broker::Node node_;
  Scope scope_;
};

// ---- the cluster ----

std::expected<void, std::string> Cluster::check(const ClusterConfig& config) {
  const std::vector<Machine> machines = machines_of(config);
  for (const Machine& machine : machines) {
    if (auto made = config_of_machine(config, machines, machine); !made) return std::unexpected(made.error());
  }
  return {};
}

Cluster::Cluster(World& world, const ClusterConfig& config, ClusterSink* sink)
    : world_(world), sink_(sink), machines_(machines_of(config)) {
  VERDICT_ASSERT(world.node_count() == 0, "a cluster's machines come first");
  for (Machine& machine : machines_) {
    auto made = config_of_machine(config, machines_, machine);
    VERDICT_ASSERT(made.has_value(), "check() first");
    configs_.push_back(std::move(*made));
  }
  for (Machine& machine : machines_) {
    NodeConfig node;
    node.host = machine.host;
    node.defects = config.defects;
    const std::size_t place =
        configs_.size() - machines_.size() + static_cast<std::size_t>(&machine - machines_.data());
    node.factory = [this, place](Runtime& runtime) -> std::unique_ptr<Process> {
      auto& sim_runtime = static_cast<SimRuntime&>(runtime);
      const Machine& here = machines_[place];
      const Origin origin{.index = here.index, .node = here.id, .incarnation = sim_runtime.incarnation()};
      up_[place] = origin;
      view_.brokers[here.id].applied = Offset(0);
      if (sink_ != nullptr) sink_->started(origin);
      return std::make_unique<NodeProcess>(*this, sim_runtime, configs_[place], origin);
    };
    machine.index = world.add_node(std::move(node));
  }
  up_.resize(machines_.size());
  world.on_death = [this](NodeIndex index, DeathCause cause) {
    if (owns(index)) tell_stopped(index, cause == DeathCause::stop ? StopCause::orderly : StopCause::kill);
    if (on_death) on_death(index, cause);
  };
  world.on_power_loss = [this](NodeIndex index) { power_lost(index); };
}

Cluster::~Cluster() {
  world_.on_death = nullptr;
  world_.on_power_loss = nullptr;
}

void Cluster::start_all() {
  for (const Machine& machine : machines_) start(machine.index);
}

void Cluster::start(NodeIndex index) {
  if (!world_.node(index).running()) world_.start(index);
}

Cluster::NodeProcess* Cluster::process(NodeIndex index) {
  return static_cast<NodeProcess*>(world_.node(index).process());
}

void Cluster::stop_orderly(NodeIndex index) {
  if (NodeProcess* running = process(index)) running->stop();
}

bool Cluster::stopping(NodeIndex index) {
  const NodeProcess* running = process(index);
  return running != nullptr && running->stopping();
}

broker::Node* Cluster::node(NodeIndex index) {
  NodeProcess* running = process(index);
  return running == nullptr ? nullptr : running->node();
}

broker::BrokerNode* Cluster::serving(NodeIndex index) {
  broker::Node* running = node(index);
  broker::BrokerNode* broker = running == nullptr ? nullptr : running->broker();
  return broker != nullptr && broker->serving() ? broker : nullptr;
}

const Machine* Cluster::machine(NodeId id) const {
  const auto found = std::ranges::find(machines_, id, &Machine::id);
  return found == machines_.end() ? nullptr : &*found;
}

const Machine& Cluster::controller() const { return *std::ranges::find(machines_, true, &Machine::controller); }

void Cluster::observe(const Origin& origin, const protocol::Event& event) {
  ++observed_;
  FieldHasher hasher{world_};
  hasher.add(std::uint64_t{origin.index.value()} << 32 | event.index());
  std::visit([&](const auto& e) { e.fields(hasher); }, event);
  view_.apply(origin.node, event);
  if (sink_ != nullptr) sink_->event(origin, event);
}

void Cluster::tell_stopped(NodeIndex index, StopCause cause) {
  if (!up_[index.value()]) return;
  const Origin origin = *std::exchange(up_[index.value()], std::nullopt);
  if (sink_ != nullptr) sink_->stopped(origin, cause);
}

void Cluster::lost(const Loss& loss) {
  if (!owns(loss.node)) return;
  if (sink_ != nullptr) sink_->bytes_lost(last_of(loss.node), loss);
}

// Whatever a process that ran then says of its end is not heard any more.
void Cluster::power_lost(NodeIndex index) {
  if (!owns(index)) return;
  up_[index.value()].reset();
  if (sink_ != nullptr) sink_->stopped(last_of(index), StopCause::power_loss);
}

Origin Cluster::last_of(NodeIndex index) {
  const Machine& here = machines_[index.value()];
  return {.index = here.index, .node = here.id, .incarnation = world_.node(index).incarnation()};
}

}  // namespace verdict::sim
