// The judges' words: liveness, black box, expectations, and the result that they make.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/broker/coordinators.h"
#include "scenarios/trial.h"

namespace verdict::scenarios {
namespace {

// What becomes of a transaction that another one's request has ended.
bool of_transactions(std::string_view anomaly) {
  constexpr std::string_view kNames[] = {
      "G1a",         "G1b",          "G1c",         "precommitted-read", "lost-write",
      "input-twice", "dirty-update", "lost-update", "committed-too-far"};
  return std::ranges::find(kNames, anomaly) != std::end(kNames);
}

// What becomes of a producer's batches where a leader has forgotten what it had of the producer.
bool of_sends(std::string_view anomaly) {
  return anomaly == "duplicate" || anomaly == "nonmonotonic-send" || anomaly == "int-nonmonotonic-send";
}

}  // namespace

broker::PartitionPtr Trial::opened(NodeId id, const PartitionKey& key) {
  const sim::Machine* machine = cluster_.machine(id);
  broker::BrokerNode* node = machine == nullptr ? nullptr : cluster_.serving(machine->index);
  const broker::PartitionPtr replica = node == nullptr ? nullptr : node->replicas().find(key);
  return replica != nullptr && replica->opened() ? replica : nullptr;
}

// In offsets, of those that lead.
std::int64_t Trial::longest_log() {
  std::int64_t longest = 0;
  for (const auto& [key, partition] : cluster_.view().partitions) {
    const broker::PartitionPtr replica = opened(partition.leader, key);
    if (replica != nullptr) longest = std::max(longest, replica->log_end() - replica->log_start());
  }
  return longest;
}

void Trial::bound_liveness() {
  const protocol::BrokerConfig& config = cluster_.config_of(cluster_.machines().front().index);
  checker::LivenessTimeouts t;
  t.broker_session_timeout = config.duration_ms("broker.session.timeout.ms");
  t.broker_heartbeat_interval = config.duration_ms("broker.heartbeat.interval.ms");
  t.replica_fetch_wait_max = config.duration_ms("replica.fetch.wait.max.ms");
  t.replica_fetch_backoff = config.duration_ms("replica.fetch.backoff.ms");
  t.replica_lag_time_max = config.duration_ms("replica.lag.time.max.ms");
  t.replica_socket_timeout = config.duration_ms("replica.socket.timeout.ms");
  t.metadata_fetch_wait_max = 500ms;
  t.request_timeout = config.duration_ms("request.timeout.ms");
  t.client_delivery_timeout = from_ms(scenario_.workload.delivery_timeout_ms);
  t.restart = 1s;
  for (const ProducerSpec& producer : scenario_.workload.producers) {
    if (producer.transactional)
      t.transaction_timeout = std::max(t.transaction_timeout, from_ms(producer.transaction_timeout_ms));
  }
  t.transaction_abort_interval = config.duration_ms("transaction.abort.timed.out.transaction.cleanup.interval.ms");
  t.marker_timeout = t.request_timeout;
  t.clock_difference = from_ms(2 * scenario_.cluster.clock_offset_ms);
  for (const FaultSpec& fault : scenario_.faults) t.clock_difference += from_ms(2 * std::abs(fault.by_ms));
  // Three files a segment, whoever rolled it; a sync takes the median's double at most, but for a few.
  t.disk_backlog = static_cast<std::int64_t>(3 * world_.marks(Mark::SegmentRolled)) * 2 *
                   std::chrono::microseconds(scenario_.disk.sync_us);
  t.network_round_trip =
      2 * (4 * std::chrono::microseconds(scenario_.network.latency_us) + from_ms(scenario_.network.tail_ms) * 256);
  fetch_passes_ = 2 * (t.replica_fetch_wait_max + t.replica_fetch_backoff + t.network_round_trip);
  // At the least a batch, which is no less than a record, comes with each fetch; most round trips are short.
  t.copy_backlog = longest_log() * 4 * std::chrono::microseconds(scenario_.network.latency_us);
  const auto member = [&](const client::ClientOptions& client, const client::GroupOptions& group) {
    t.client_request_timeout = client.request_timeout;
    const bool classic = group.protocol == client::GroupProtocol::classic;
    const Duration session = classic ? group.session_timeout : config.duration_ms("group.consumer.session.timeout.ms");
    const Duration heartbeat =
        classic ? group.heartbeat_interval : config.duration_ms("group.consumer.heartbeat.interval.ms");
    t.group_session_timeout = std::max(t.group_session_timeout, session);
    t.group_rebalance_timeout = std::max(t.group_rebalance_timeout, group.rebalance_timeout);
    t.group_heartbeat_interval = std::max(t.group_heartbeat_interval, heartbeat);
  };
  for (const ConsumerSpec& spec : scenario_.workload.consumers) {
    if (spec.group.empty()) continue;
    const sim::GroupLoad load = group_load(spec, settings_, 0);
    member(load.client, load.group);
  }
  for (const ProducerSpec& spec : scenario_.workload.producers) {
    if (spec.group.empty()) continue;
    const sim::TransactionalLoad load = transactional_load(spec, settings_, 0, 1);
    member(load.client, load.group);
  }
  bounds_ = checker::liveness_bounds(t);
}

// The end that the log had when a follower's fetch, which may be parked, and its answer ago.
std::optional<Offset> Trial::end_before(const PartitionKey& key, Offset end) {
  std::deque<std::pair<MonoTime, Offset>>& seen = ends_seen_[key];
  if (seen.empty() || seen.back().second != end) seen.emplace_back(mono(), end);
  while (seen.size() > 1 && seen[1].first + fetch_passes_ <= mono()) seen.pop_front();
  return seen.front().first + fetch_passes_ <= mono() ? std::optional(seen.front().second) : std::nullopt;
}

void Trial::probe_partition(const sim::ClusterView::Partition& partition, checker::LivenessProbe& into) {
  const sim::ClusterView::Topic& topic = cluster_.view().topics.at(partition.key.topic);
  // Excuse "misled by rot": who recovered to within a batch of the others is refused what follows.
  if (topic.deleted || white_.misled(partition.key)) return;
  checker::LivenessProbe::Partition probed;
  probed.key = partition.key;
  probed.name = cluster_.view().name_of(partition.key);
  probed.leader = partition.leader;
  probed.leader_epoch = partition.leader_epoch;
  probed.isr = partition.isr;
  probed.min_isr = topic.min_isr;
  for (const NodeId id : partition.replicas) {
    checker::LivenessProbe::Replica replica{.node = id};
    if (const broker::PartitionPtr found = opened(id, partition.key)) {
      replica.open = true;
      replica.log_end = found->log_end();
      replica.high_watermark = found->replica().high_watermark();
      replica.leader_epoch = found->replica().leader_epoch();
      replica.leads = found->replica().is_leader();
      if (found->replica().waiters() > 0) {
        into.waiters.push_back(
            {.node = id,
             .what = fmt::format("{} produce requests to {}", found->replica().waiters(), probed.name),
             .age = world_.now() - load_stopped_});
      }
    }
    if (replica.leads) probed.end_before = end_before(partition.key, replica.log_end);
    probed.replicas.push_back(replica);
  }
  into.partitions.push_back(std::move(probed));
}

// What coordinators have announced of the groups, and who of the running members is not settled in its own.
void Trial::probe_groups(checker::LivenessProbe& into) {
  std::map<std::string, checker::LivenessProbe::Group> groups;
  for (const ClientMachine& machine : clients_) {
    if (machine.group.empty()) continue;
    auto* process = world_.node(machine.index).process();
    checker::LivenessProbe::Group& group = groups[machine.group];
    if (process != nullptr && !static_cast<GroupMachine*>(process)->settled())
      group.outside.push_back(fmt::format("client {}", machine.process));
  }
  for (const checker::GroupStatus& status : white_.group_status()) {
    const auto group = groups.find(status.group);
    if (group != groups.end()) group->second.state = status.state;
  }
  for (auto& [name, group] : groups) {
    const sim::ClusterView::Partition* partition =
        coordinated({.kind = Target::Kind::coordinator, .key = name}, cluster_.view());
    group.name = name;
    if (partition != nullptr) {
      const sim::ClusterView::Topic& topic = cluster_.view().topics.at(partition->key.topic);
      const auto min_isr = static_cast<std::size_t>(topic.min_isr);
      group.coordinator = partition->leader;
      group.served = partition->leader != kNoNode && in_core(partition->leader) &&
                     partition->isr.size() >= std::min(min_isr, partition->replicas.size()) &&
                     !white_.rotted(topic.name, partition->key.index);
    }
    into.groups.push_back(std::move(group));
  }
}

checker::LivenessProbe Trial::probe() {
  checker::LivenessProbe probe;
  probe.now = mono();
  probe.metadata_committed = committed_at_heal_;
  for (const sim::Machine& machine : cluster_.machines()) {
    if (!machine.broker) continue;
    const sim::ClusterView::Broker& broker = cluster_.view().brokers.at(machine.id);
    probe.brokers.push_back({.node = machine.id,
                             .in_core = in_core(machine.id),
                             .running = world_.node(machine.index).running(),
                             .fenced = broker.fenced,
                             .metadata_applied = broker.applied,
                             .stopping = cluster_.stopping(machine.index)});
  }
  for (const auto& [key, partition] : cluster_.view().partitions) probe_partition(partition, probe);
  for (const ClientMachine& machine : clients_) {
    auto* process = world_.node(machine.index).process();
    if (!machine.produces || process == nullptr) continue;
    const ProducingMachine& producer = *static_cast<ProducingMachine*>(process);
    if (producer.finished()) continue;
    probe.waiters.push_back({.what = fmt::format("{} sends of client {}", producer.pending(), machine.process),
                             .age = world_.now() - load_stopped_});
  }
  probe.transactions = white_.open_transactions();
  probe_groups(probe);
  return probe;
}

// As if every bound had passed: nothing found means that the cluster is at rest.
std::optional<checker::Violation> Trial::liveness_violation() {
  const checker::LivenessProbe now = probe();
  return checker::check_liveness(now, now.now - bounds_.longest(), bounds_);
}

// ---- the result ----

void Trial::conclude() {
  result_.events = world_.events();
  result_.messages = world_.messages();
  result_.simulated_ms = sim::to_ns(world_.now()) / 1'000'000;
  result_.elections = white_.metrics().elections;
  result_.abstract_states = white_.abstract_states();
  result_.fired = injector_->fired();
  const sim::FaultCounters& counters = counters_ ? *counters_ : world_.counters();
  for (std::size_t i = 0; i < sim::kFaultKindCount; ++i) {
    const auto kind = static_cast<sim::FaultKind>(i);
    if (counters.of(kind) > 0) result_.faults[std::string(sim::name_of(kind))] = counters.of(kind);
  }
  for (std::size_t i = 0; i < kMarkCount; ++i) {
    const auto mark = static_cast<Mark>(i);
    if (world_.marks(mark) > 0) result_.marks[std::string(name_of(mark))] = world_.marks(mark);
  }
  for (std::size_t i = 0; i < kSiteCount; ++i) {
    const auto site = static_cast<Site>(i);
    if (world_.sites(site) > 0) result_.sites[std::string(name_of(site))] = world_.sites(site);
  }
  for (std::size_t i = 0; i < kEventKinds; ++i) {
    if (event_counts_[i] > 0) result_.event_counts[std::string(event_name(i))] = event_counts_[i];
  }
  if (broken_) {
    conclude_guest(*broken_);
  } else if (options_.own_rules && white_.violation()) {
    conclude_violation(*white_.violation());
  } else if (liveness_) {
    conclude_violation(*liveness_);
  }
  conclude_black_box();
  if (result_.outcome == RunOutcome::pass && !ended_early_) check_expectations();
  if (ended_early_) result_.unmet.push_back("stopped before its end, as asked");
  result_.hash = world_.hash();
  if (options_.observer != nullptr && result_.outcome == RunOutcome::violation)
    options_.observer->on_violation(result_);
}

void Trial::conclude_violation(const checker::Violation& violation) {
  result_.outcome = RunOutcome::violation;
  result_.invariant = violation.invariant;
  result_.sentence = violation.sentence;
  result_.partition = violation.partition_name;
  result_.offset = violation.offset ? violation.offset->value() : -1;
  result_.violation_ns = violation.time.time_since_epoch().count();
  for (const checker::Witness& witness : violation.witnesses) {
    result_.witnesses.push_back({.time_ns = witness.time.time_since_epoch().count(),
                                 .node = witness.node.value(),
                                 .incarnation = witness.incarnation,
                                 .text = witness.text});
  }
}

// What no CRC tells clients: rot, in the log that the anomaly is of or in that where its group's offsets are.
bool Trial::rot_explains(const checker::Anomaly& anomaly) const {
  if (white_.rotted(anomaly.topic, anomaly.partition)) return true;
  if (anomaly.name != "lost-update" && anomaly.name != "committed-too-far") return false;
  return std::ranges::any_of(cluster_.view().partitions, [this](const auto& one) {
    const std::string& topic = cluster_.view().topics.at(one.first.topic).name;
    return topic == broker::kOffsetsTopic && white_.rotted(topic, one.first.index);
  });
}

void Trial::conclude_black_box() {
  const checker::HistoryResult found = black_.finish();
  result_.history = {.entries = found.entries,
                     .sends_ok = found.sends_ok,
                     .sends_failed = found.sends_failed,
                     .sends_unknown = found.sends_unknown,
                     .unknown_read = found.unknown_read,
                     .unknown_unread = found.unknown_unread,
                     .unseen = found.unseen,
                     .records_polled = found.records_polled};
  for (const checker::Anomaly& anomaly : found.anomalies) {
    if (anomaly.allowed) continue;
    result_.black_box.push_back(fmt::format("{}: {}", anomaly.name, anomaly.sentence));
    // What faults destroyed with C1's excuse is gone for clients too: they can't know why.
    if (!options_.own_rules || result_.outcome != RunOutcome::pass || white_.metrics().excused_losses > 0) continue;
    if (rot_explains(anomaly)) continue;
    if (white_.metrics().forgotten_sends > 0 && of_sends(anomaly.name)) continue;
    if (white_.metrics().misplaced_commits > 0 && anomaly.name == "lost-update") continue;
    if (went_back_ && (anomaly.name == "input-twice" || anomaly.name == "lost-update")) continue;
    if (outlived_end_ && of_transactions(anomaly.name)) continue;
    result_.outcome = RunOutcome::violation;
    result_.invariant = anomaly.name;
    result_.sentence = anomaly.sentence;
    result_.partition = fmt::format("{}-{}", anomaly.topic, anomaly.partition);
    result_.offset = anomaly.offset;
    for (const std::int64_t op : anomaly.operations)
      result_.witnesses.push_back({.text = fmt::format("operation {} of the history", op)});
  }
}

void Trial::check_expectations() {
  const Expectations& wanted = scenario_.expect;
  const auto at_least = [this](std::string_view what, std::uint64_t seen, std::int64_t min) {
    if (seen < static_cast<std::uint64_t>(min))
      result_.unmet.push_back(fmt::format("{}: {} of at least {}", what, seen, min));
  };
  at_least("records acknowledged", result_.acknowledged, wanted.acknowledged);
  at_least("records delivered", result_.delivered, wanted.delivered);
  at_least("ambiguous sends", result_.history.sends_unknown, wanted.ambiguous);
  for (const Expected& expected : expected_) {
    const EventExpectation& spec = *expected.spec;
    std::string what = spec.event;
    for (const Condition& condition : spec.match) what += fmt::format(" {}", condition.field);
    if (expected.seen < spec.min)
      result_.unmet.push_back(fmt::format("event {}: {} of at least {}", what, expected.seen, spec.min));
    if (spec.max >= 0 && expected.seen > spec.max) {
      result_.unmet.push_back(fmt::format("event {}: {} of at most {}", what, expected.seen, spec.max));
    }
  }
  for (const std::string& mark : wanted.marks) {
    if (!marks_before_final_read_[static_cast<std::size_t>(*find_mark(mark))])
      result_.unmet.push_back("mark never reached: " + mark);
  }
  for (const std::string& fault : wanted.faults) {
    if (!result_.faults.contains(fault)) result_.unmet.push_back("fault without an effect: " + fault);
  }
  for (const std::string& id : injector_->unfired()) result_.unmet.push_back("fault never fired: " + id);
  if (!result_.unmet.empty()) result_.outcome = RunOutcome::inconclusive;
}

}  // namespace verdict::scenarios
