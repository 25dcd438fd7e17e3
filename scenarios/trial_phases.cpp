// The phases of a run, in order (SIMULATION.md): set-up, workload under faults, heal, liveness deadline, final read.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "scenarios/trial.h"

namespace verdict::scenarios {
namespace {

constexpr Duration kSetUpLimit = 30s;
constexpr Duration kAfterHeal = 300ms;  // the load goes on for a while in the healed cluster
constexpr Duration kStep = 10ms;        // between two looks at a condition
constexpr Duration kReadLimit = 20s;
constexpr Duration kStopLimit = 40s;  // of an orderly stop

}  // namespace

RunResult Trial::run() {
  if (options_.observer != nullptr) {
    std::vector<NodeInfo> nodes;
    for (const sim::Machine& machine : cluster_.machines())
      nodes.push_back({machine.index, machine.id.value(), machine.host, false});
    for (const sim::NodeIndex index : client_indices_) nodes.push_back({index, -1, world_.node(index).host(), true});
    options_.observer->on_cluster(nodes);
  }
  static_cast<void>(set_up() == Step::go_on && workload() == Step::go_on && heal_and_settle() == Step::go_on &&
                    final_read() == Step::go_on && judge_end() == Step::go_on);
  conclude();
  return std::move(result_);
}

void Trial::phase(std::string_view name) {
  if (options_.observer != nullptr) options_.observer->on_phase(world_.now(), name);
}

Trial::Step Trial::overrun(std::string invariant, std::string sentence) {
  result_.outcome = RunOutcome::overrun;
  result_.invariant = std::move(invariant);
  result_.sentence = std::move(sentence);
  return Step::ended;
}

Trial::Step Trial::run_to(sim::VirtualTime when) {
  const sim::VirtualTime reseed_at(from_ms(options_.reseed_at_ms));
  if (options_.reseed_at_ms > 0 && !reseeded_ && when >= reseed_at) {
    reseeded_ = true;
    if (run_to(reseed_at) == Step::ended) return Step::ended;
    world_.reseed(options_.branch);
  }
  sim::VirtualTime limit = when;
  if (options_.until_ms > 0) limit = std::min(limit, sim::VirtualTime(from_ms(options_.until_ms)));
  const sim::RunEnd end = world_.run_until(limit);
  if (convicted()) return Step::ended;
  if (end == sim::RunEnd::event_budget) {
    return overrun("event-budget", fmt::format("the run outran its budget of {} events after {} ms of virtual time",
                                               scenario_.phases.event_budget, sim::to_ns(world_.now()) / 1'000'000));
  }
  if (end == sim::RunEnd::instant_loop) {
    return overrun("instant-loop",
                   fmt::format("the run loops at {} ms of virtual time", sim::to_ns(world_.now()) / 1'000'000));
  }
  if (limit != when ||
      (options_.until_ms > 0 && world_.now() >= limit && limit == sim::VirtualTime(from_ms(options_.until_ms)))) {
    ended_early_ = true;
    return Step::ended;
  }
  return Step::go_on;
}

template <class Done>
Trial::Step Trial::run_while_not(Done done, Duration limit, bool* reached) {
  const sim::VirtualTime deadline = world_.now() + limit;
  *reached = done();
  while (!*reached && world_.now() < deadline) {
    if (run_to(std::min(world_.now() + kStep, deadline)) == Step::ended) return Step::ended;
    *reached = done();
  }
  return Step::go_on;
}

// ---- set-up ----

// Every broker is unfenced, every partition led by who should, and everyone knows.
bool Trial::ready() const {
  const sim::ClusterView& view = cluster_.view();
  for (const TopicSpec& topic : scenario_.topics) {
    if (view.topic(topic.name) == nullptr) return false;
  }
  for (const auto& [key, partition] : view.partitions) {
    if (partition.leader == kNoNode || partition.isr.size() != partition.replicas.size()) return false;
  }
  return true;
}

Trial::Step Trial::set_up() {
  phase("set-up");
  cluster_.start_all();
  world_.start(admin_);
  bool reached = false;
  const auto unfenced = [this] {
    return std::ranges::all_of(cluster_.machines(), [this](const sim::Machine& machine) {
      const auto broker = cluster_.view().brokers.find(machine.id);
      return !machine.broker ||
             (broker != cluster_.view().brokers.end() && broker->second.registered && !broker->second.fenced);
    });
  };
  if (run_while_not(unfenced, kSetUpLimit, &reached) == Step::ended) return Step::ended;
  if (!reached) return overrun("set-up", "the cluster did not come up: not every broker was unfenced");
  for (const auto& [name, level] : scenario_.cluster.features)
    admin()->lower_feature(name, static_cast<std::int16_t>(std::stoi(level)));
  const auto set = [this] { return admin()->unfinished() == 0; };
  if (run_while_not(set, kSetUpLimit, &reached) == Step::ended) return Step::ended;
  for (const TopicSpec& topic : scenario_.topics) admin()->create(topic);
  const auto created = [this] { return admin()->unfinished() == 0 && ready(); };
  if (run_while_not(created, kSetUpLimit, &reached) == Step::ended) return Step::ended;
  if (!reached) return overrun("set-up", "the topics were not created: " + admin()->refusal());
  const Offset target = cluster_.view().committed;
  const auto applied = [this, target] {
    return std::ranges::all_of(cluster_.machines(), [&](const sim::Machine& machine) {
      return !machine.broker || cluster_.view().brokers.at(machine.id).applied >= target;
    });
  };
  if (run_while_not(applied, kSetUpLimit, &reached) == Step::ended) return Step::ended;
  if (!reached) return overrun("set-up", "the brokers did not learn of the topics");
  return Step::go_on;
}

// ---- workload under faults ----

Trial::Step Trial::workload() {
  phase("workload");
  result_.workload_ns = sim::to_ns(world_.now());
  for (const ClientMachine& machine : clients_) {
    if (machine.start_ms == 0) {
      world_.start(machine.index);
    } else {
      world_.after(from_ms(machine.start_ms), [this, index = machine.index] {
        if (!stopping_load_) world_.start(index);
      });
    }
  }
  for (const GuestMachine& guest : guests_) world_.start(guest.index);
  injector_->arm();
  return run_to(world_.now() + from_ms(scenario_.phases.run_ms));
}

// ---- heal, and come to rest ----

bool Trial::producers_finished() {
  return std::ranges::all_of(clients_, [this](const ClientMachine& machine) {
    auto* process = world_.node(machine.index).process();
    return !machine.produces || process == nullptr || static_cast<ProducingMachine*>(process)->finished();
  });
}

Trial::Step Trial::heal_and_settle() {
  phase("heal");
  counters_ = world_.counters();
  committed_at_heal_ = cluster_.view().committed;
  injector_->heal();
  white_.faults_healed(mono());
  if (run_to(world_.now() + kAfterHeal) == Step::ended) return Step::ended;
  phase("settle");
  stopping_load_ = true;
  load_stopped_ = world_.now();
  for (const ClientMachine& machine : clients_) {
    auto* process = world_.node(machine.index).process();
    if (process != nullptr && machine.produces) static_cast<ProducingMachine*>(process)->stop();
    if (process != nullptr && !machine.group.empty()) static_cast<GroupMachine*>(process)->calm();
  }
  stop_guests();
  bound_liveness();
  const Duration limit = scenario_.phases.settle_ms > 0 ? from_ms(scenario_.phases.settle_ms) : bounds_.longest() + 1s;
  bool reached = false;
  const auto at_rest = [this] {
    // Who is on its way down may look at rest until it hears that it may go, also one that stays down.
    const bool stopping = std::ranges::any_of(
        cluster_.machines(), [this](const sim::Machine& machine) { return cluster_.stopping(machine.index); });
    return !stopping && producers_finished() && admin()->unfinished() == 0 && unfinished_guest().empty() &&
           !liveness_violation();
  };
  if (run_while_not(at_rest, limit, &reached) == Step::ended) return Step::ended;
  if (reached) return Step::go_on;
  if (options_.own_rules) liveness_ = liveness_violation();
  if (liveness_) return Step::ended;
  if (const std::string guest = unfinished_guest(); !guest.empty()) {
    return overrun("workload", fmt::format("workload {} did not come to its end within {} ms after the faults ended",
                                           guest, (limit + kAfterHeal) / 1ms));
  }
  return Step::go_on;
}

// ---- final read ----

bool Trial::in_core(NodeId id) const {
  const sim::Machine* machine = cluster_.machine(id);
  return machine != nullptr && !injector_->stays_down(machine->index);
}

// How far each partition can be read: the high watermark of the replica that leads it, or the hole that ends there.
// Compaction goes by the high watermark of its time; who lost the power may know an older one now, within a hole, and
// below the minimum ISR it stays there. (Kafka's readers stand before that hole, too.)
std::map<client::TopicPartition, Offset> Trial::read_goals(NodeId only_leader) {
  std::map<client::TopicPartition, Offset> goals;
  for (const auto& [key, partition] : cluster_.view().partitions) {
    const sim::ClusterView::Topic& topic = cluster_.view().topics.at(key.topic);
    if (topic.deleted || white_.misled(key) || partition.leader == kNoNode ||
        (only_leader != kNoNode && partition.leader != only_leader))
      continue;
    const broker::PartitionPtr replica = opened(partition.leader, key);
    if (replica == nullptr || !replica->replica().is_leader()) continue;
    const Offset end = white_.readable_end(key, partition.leader, replica->replica().high_watermark());
    if (end <= replica->log_start()) continue;
    goals[{.topic = topic.name, .partition = key.index}] = end;
  }
  return goals;
}

Trial::Step Trial::read_all(const std::string& what, NodeId only_leader) {
  const std::map<client::TopicPartition, Offset> goals = read_goals(only_leader);
  if (goals.empty()) return Step::go_on;
  reader_load_ = consumer_load({}, settings_, ++reader_process_, 0);
  for (const auto& [partition, goal] : goals) reader_load_.partitions.push_back(partition);
  read_to_.clear();
  world_.start(reader_);
  bool reached = false;
  // What a guest's workload wrote is nothing that the history knows, nor are markers: there the reader's position
  // tells.
  const auto got_to = [this](const client::TopicPartition& partition) {
    auto* process = static_cast<ConsumerMachine*>(world_.node(reader_).process());
    const std::int64_t read = read_to_[partition];
    return process == nullptr ? read : std::max(read, process->load.consumer().position(partition).value());
  };
  // One that stood still for longer than its session, while it was left alone, may have lost its place in an ISR to
  // another that is down by now: there nobody can lead, and nothing can be read.
  // And a topic may be deleted meanwhile, by a request that was long under way.
  const auto out_of_reach = [&](const client::TopicPartition& at) {
    const sim::ClusterView::Partition* partition = cluster_.view().partition(at.topic, at.partition);
    if (partition != nullptr && cluster_.view().topics.at(partition->key.topic).deleted) return true;
    return only_leader != kNoNode && partition != nullptr && partition->leader == kNoNode &&
           std::ranges::find(partition->isr, only_leader) == partition->isr.end();
  };
  const auto behind = [&] {
    return std::ranges::find_if(
        goals, [&](const auto& goal) { return got_to(goal.first) < goal.second.value() && !out_of_reach(goal.first); });
  };
  const auto read = [&] {
    return std::accumulate(goals.begin(), goals.end(), std::int64_t{0},
                           [&](std::int64_t sum, const auto& goal) { return sum + got_to(goal.first); });
  };
  Step step = Step::go_on;
  for (std::int64_t before = -1; step == Step::go_on && !reached && read() > before;) {  // long logs take their time
    before = read();
    step = run_while_not([&] { return behind() == goals.end(); }, kReadLimit, &reached);
  }
  const auto last = behind();
  const std::int64_t stuck_at = last == goals.end() ? 0 : got_to(last->first);
  world_.stop_process(reader_);
  if (step == Step::ended) return Step::ended;
  if (reached || !options_.own_rules) return Step::go_on;
  const auto& [partition, goal] = *last;
  checker::Violation stuck;
  stuck.invariant = "V4";
  stuck.sentence =
      fmt::format("a reader of {}-{} gets no further than offset {} though what is committed ends at {} ({})",
                  partition.topic, partition.partition, stuck_at, goal.value(), what);
  stuck.time = mono();
  stuck.partition_name = fmt::format("{}-{}", partition.topic, partition.partition);
  stuck.offset = Offset(stuck_at);
  stuck.witnesses.push_back({.time = mono(), .text = "the fetch is answered without what is committed, or not at all"});
  liveness_ = std::move(stuck);
  return Step::ended;
}

Trial::Step Trial::final_read() {
  phase("final read");
  counting_ = false;
  bound_liveness();
  injector_->at_rest();
  // Its orderly stops would fence, elect and expand for whoever waits to see that.
  for (std::size_t i = 0; i < kMarkCount; ++i) marks_before_final_read_[i] = world_.marks(static_cast<Mark>(i)) > 0;
  for (const ClientMachine& machine : clients_) world_.stop_process(machine.index);
  for (const GuestMachine& guest : guests_) world_.stop_process(guest.index);
  if (read_all("final read", kNoNode) == Step::ended) return Step::ended;
  if (!scenario_.phases.final_leaders || scenario_.cluster.brokers == 1) return Step::go_on;
  for (const sim::Machine& machine : cluster_.machines()) {
    // Without a controller nobody is elected: a combined node stays up, so that only it can be left alone.
    if (!machine.broker || !in_core(machine.id) || (scenario_.cluster.combined && machine.id != NodeId(1))) continue;
    if (lead_with(machine.id) == Step::ended) return Step::ended;
    if (read_all(fmt::format("final read, broker {} leads", machine.id.value()), machine.id) == Step::ended)
      return Step::ended;
  }
  return Step::go_on;
}

Trial::Step Trial::bring_up(NodeId id) {
  const sim::Machine& machine = *cluster_.machine(id);
  if (world_.node(machine.index).running()) return Step::go_on;
  cluster_.start(machine.index);
  bool reached = false;
  const auto in_sync = [this, id] {
    const auto& view = cluster_.view();
    if (view.brokers.at(id).fenced) return false;
    return std::ranges::all_of(view.partitions, [&](const auto& entry) {
      const sim::ClusterView::Partition& p = entry.second;
      const bool alive = p.leader != kNoNode && p.leader != id && !view.topics.at(p.key.topic).deleted;
      return !alive || std::ranges::find(p.replicas, id) == p.replicas.end() ||
             std::ranges::find(p.isr, id) != p.isr.end();
    });
  };
  return run_while_not(in_sync, bounds_.longest(), &reached);
}

// All other brokers stop in order, so that `alone` leads whatever it is in sync for.
Trial::Step Trial::lead_with(NodeId alone) {
  if (bring_up(alone) == Step::ended) return Step::ended;
  for (const sim::Machine& machine : cluster_.machines()) {
    if (!machine.broker || machine.id == alone || !world_.node(machine.index).running()) continue;
    cluster_.stop_orderly(machine.index);
    bool reached = false;
    const auto down = [&] { return !world_.node(machine.index).running(); };
    if (run_while_not(down, kStopLimit, &reached) == Step::ended) return Step::ended;
  }
  bool reached = false;
  const auto leads = [this, alone] {
    if (cluster_.serving(cluster_.machine(alone)->index) == nullptr) return false;
    return std::ranges::all_of(cluster_.view().partitions, [&](const auto& entry) {
      if (entry.second.leader != alone || cluster_.view().topics.at(entry.first.topic).deleted) return true;
      const broker::PartitionPtr replica = opened(alone, entry.first);
      return replica != nullptr && replica->replica().is_leader();
    });
  };
  return run_while_not(leads, 5s, &reached);
}

}  // namespace verdict::scenarios
