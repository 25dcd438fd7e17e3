// A run's wiring: the machine room, its feeds, and who hears what.
#include "scenarios/trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/wire/api_keys.h"
#include "scenarios/history_entry.h"

namespace verdict::scenarios {
namespace {

sim::WorldConfig world_config(const Scenario& scenario, std::uint64_t seed, const RunOptions& options) {
  sim::WorldConfig config;
  config.seed = seed;
  config.network.latency.median = std::chrono::microseconds(scenario.network.latency_us);
  config.network.latency.tail_one_in = static_cast<std::uint32_t>(scenario.network.tail_one_in);
  config.network.latency.tail_unit = from_ms(scenario.network.tail_ms);
  config.network.bytes_per_ms = static_cast<std::uint64_t>(scenario.network.bytes_per_ms);
  config.network.short_read_one_in = static_cast<std::uint32_t>(scenario.network.short_read_one_in);
  config.network.split_one_in = static_cast<std::uint32_t>(scenario.network.split_one_in);
  config.network.stream_timeout = 5s;
  config.network.connect_timeout = 5s;
  config.disk.sync.median = std::chrono::microseconds(scenario.disk.sync_us);
  config.disk.capacity_bytes = static_cast<std::uint64_t>(scenario.disk.capacity_bytes);
  config.maybe_sites = scenario.scheduling.sites;
  config.random_order = scenario.scheduling.shuffle;
  config.deferred_in_256 = static_cast<std::uint32_t>(scenario.scheduling.yields_in_256);
  config.stall_one_in = static_cast<std::uint32_t>(scenario.scheduling.stall_one_in);
  config.stall.median = std::chrono::microseconds(scenario.scheduling.stall_us);
  config.stall.tail_unit = config.stall.median * 10;
  config.event_budget = static_cast<std::uint64_t>(scenario.phases.event_budget);
  config.log_level = options.log_lines ? options.log_level : LogLevel::error;
  return config;
}

sim::ClusterConfig cluster_config(const Scenario& scenario, const RunOptions& options) {
  sim::ClusterConfig config;
  config.brokers = scenario.cluster.brokers;
  config.combined = scenario.cluster.combined;
  for (const auto& [name, value] : scenario.cluster.config) config.properties.emplace_back(name, value);
  for (const std::string& name : scenario.defects) config.defects.add(*find_defect(name));
  for (const std::string& name : options.defects) config.defects.add(*find_defect(name));
  return config;
}

bool allows_unclean(const Properties& properties) {
  const auto found = properties.find("unclean.leader.election.enable");
  return found != properties.end() && found->second == "true";
}

checker::WhiteBoxOptions white_options(const Scenario& scenario, const RunOptions& run) {
  checker::WhiteBoxOptions options;
  options.abstract_states = run.abstract_states;
  options.unclean_election_allowed =
      allows_unclean(scenario.cluster.config) ||
      std::ranges::any_of(scenario.topics, [](const TopicSpec& t) { return allows_unclean(t.config); }) ||
      std::ranges::any_of(scenario.faults,
                          [](const FaultSpec& f) { return f.topic && allows_unclean(f.topic->config); });
  return options;
}

sim::WorldConfig with_sinks(sim::WorldConfig config, sim::LossSink* losses, sim::LogSink* logs) {
  config.loss_sink = losses;
  config.log_sink = logs;
  return config;
}

template <class Machine, class Load>
sim::ProcessFactory machine_with(const Load& load, sim::HistorySink* history) {
  return [load, history](Runtime& runtime) { return std::make_unique<Machine>(runtime, load, history); };
}

}  // namespace

Trial::Trial(const Scenario& scenario, std::uint64_t seed, const RunOptions& options, sim::TraceLog* trace)
    : scenario_(scenario),
      options_(options),
      white_(white_options(scenario, options)),
      world_(with_sinks(world_config(scenario, seed, options), this,
                        options.log_lines && options.observer != nullptr ? this : nullptr)),
      cluster_(world_, cluster_config(scenario, options), this) {
  bound_liveness();
  result_.scenario = scenario.name;
  result_.seed = seed;
  if (trace != nullptr) world_.record(trace);
  for (const sim::Machine& machine : cluster_.machines()) {
    if (machine.broker) settings_.bootstrap.push_back({.host = machine.host, .port = sim::kBrokerPort});
  }
  settings_.request_timeout_ms = scenario.workload.request_timeout_ms;
  settings_.delivery_timeout_ms = scenario.workload.delivery_timeout_ms;
  settings_.bytes_per_ms = scenario.network.bytes_per_ms;
  settings_.compacted = compacted_topics(scenario.topics);
  add_clients();
  add_guests();
  injector_.emplace(world_, cluster_, scenario_, static_cast<InjectorHost&>(*this));
  world_.set_tap(&*injector_);
  cluster_.on_death = [this](sim::NodeIndex index, sim::DeathCause) { injector_->on_death(index); };
  const bool transactions = std::ranges::any_of(scenario.workload.producers, &ProducerSpec::transactional);
  if (options.observer != nullptr || transactions)
    injector_->delivered = [this](const sim::FrameHead& frame, sim::VirtualTime sent) { delivered(frame, sent); };
  for (const EventExpectation& wanted : scenario.expect.events) {
    expected_.push_back({.spec = &wanted, .matcher = *EventMatcher::make(wanted.event, wanted.match)});
    expected_by_event_[expected_.back().matcher.kind()].push_back(expected_.size() - 1);
  }
  draw_clocks();
  if (options.prepare) options.prepare(world_);
}

Trial::~Trial() { cluster_.on_death = nullptr; }

void Trial::draw_clocks() {
  for (const sim::Machine& machine : cluster_.machines()) {
    KeyedRandom draws(mix64(mix64(result_.seed, 0x636c6f636bU), machine.index.value()));
    const auto within = [&draws](std::int64_t limit) {
      return static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(2 * limit + 1))) - limit;
    };
    if (scenario_.cluster.clock_offset_ms > 0)
      world_.set_clock_offset(machine.index, from_ms(within(scenario_.cluster.clock_offset_ms)));
    if (scenario_.cluster.clock_drift_ppm > 0) {
      world_.set_clock_rate(machine.index, static_cast<std::int32_t>(within(scenario_.cluster.clock_drift_ppm)));
    }
  }
}

sim::ProcessFactory Trial::producing(const ProducerSpec& spec, std::int32_t process, std::int32_t partitions) {
  if (spec.transactional)
    return machine_with<TransactionalMachine>(transactional_load(spec, settings_, process, partitions), this);
  return machine_with<ProducerMachine>(producer_load(spec, settings_, process, partitions), this);
}

sim::ProcessFactory Trial::consuming(const ConsumerSpec& spec, std::int32_t process, std::int32_t partitions) {
  if (!spec.group.empty()) return machine_with<GroupMachine>(group_load(spec, settings_, process), this);
  return machine_with<ConsumerMachine>(consumer_load(spec, settings_, process, partitions), this);
}

void Trial::add_clients() {
  const auto add = [this](std::string host, sim::ProcessFactory factory) {
    const sim::NodeIndex index =
        world_.add_node({.host = std::move(host), .factory = std::move(factory), .defects = {}});
    client_indices_.push_back(index);
    return index;
  };
  const auto partitions_of = [this](const std::string& topic) {
    std::int32_t partitions = 1;
    const auto count = [&](const TopicSpec& spec) {
      if (spec.name == topic) partitions = scenarios::partitions_of(spec);
    };
    for (const FaultSpec& fault : scenario_.faults) {
      if (fault.action == "create_topic") count(*fault.topic);
    }
    std::ranges::for_each(scenario_.topics, count);
    return partitions;
  };
  sim::HistorySink* const history = this;
  admin_ = add("admin", [this](Runtime& runtime) {
    return std::make_unique<AdminMachine>(runtime, client_options(settings_, 0));
  });
  const WorkloadSpec& load = scenario_.workload;
  const std::vector<std::int32_t> numbers = client_numbers(load);
  // Machines stand in the order of their numbers; one that nobody has stays empty, so that it disturbs no other.
  std::map<std::int32_t, std::size_t> places;
  for (std::size_t i = 0; i < numbers.size(); ++i) places[numbers[i]] = i;
  clients_.resize(numbers.size());
  std::int32_t process = 0;
  for (const auto& [number, place] : places) {
    while (++process < number)
      world_.add_node({.host = fmt::format("client-{}", process), .factory = nullptr, .defects = {}});
    const std::string host = fmt::format("client-{}", process);
    if (place < load.producers.size()) {
      const ProducerSpec& spec = load.producers[place];
      const sim::NodeIndex index = add(host, producing(spec, process, partitions_of(spec.topic)));
      clients_[place] = {.index = index, .process = process, .produces = true, .start_ms = spec.start_ms, .group = {}};
      if (!spec.source.empty()) transforming_.emplace(index, spec.group);
    } else {
      const ConsumerSpec& spec = load.consumers[place - load.producers.size()];
      const sim::NodeIndex index = add(host, consuming(spec, process, partitions_of(spec.topic)));
      clients_[place] = {
          .index = index, .process = process, .produces = false, .start_ms = spec.start_ms, .group = spec.group};
    }
    numbered_clients_.emplace(process, clients_[place].index);
  }
  load_processes_ = process;
  reader_process_ = process;
  reader_ = add("reader", [this, history](Runtime& runtime) {
    return std::make_unique<ConsumerMachine>(runtime, reader_load_, history);
  });
}

// ---- what the cluster says ----

void Trial::started(const sim::Origin& origin) {
  white_.node_started(mono(), origin.node, origin.incarnation);
  if (options_.observer != nullptr)
    options_.observer->on_node(world_.now(), origin.index, true, origin.incarnation, "starts");
}

void Trial::event(const sim::Origin& origin, const protocol::Event& event) {
  white_.on_event(mono(), origin.node, origin.incarnation, event);
  ++event_counts_[event.index()];
  if (const auto* topic = std::get_if<protocol::events::TopicCreated>(&event)) {
    // A history names topics without their ids: of two with one name it can't tell whose offsets are meant.
    const auto [known, fresh] = topics_created_.try_emplace(std::string(topic->topic_name), topic->topic);
    if (!fresh && known->second != topic->topic) black_.disregard(topic->topic_name);
    if (options_.observer != nullptr) options_.observer->on_topic(world_.now(), topic->topic, topic->topic_name);
  }
  if (const auto* moved = std::get_if<protocol::events::LogStartMoved>(&event))
    start_moved(origin.node, moved->partition);
  if (const auto* topic = std::get_if<protocol::events::TopicDeleted>(&event)) {
    const auto known = cluster_.view().topics.find(topic->topic);
    if (known != cluster_.view().topics.end()) black_.forget_positions(known->second.name);
  }
  if (options_.observer != nullptr) {
    options_.observer->on_event(world_.now(), origin.index, origin.node, origin.incarnation, event);
  }
  if (!guest_rules_.empty() && !convicted()) ask_guests_of(origin, event);
  if (convicted()) {
    world_.stop();
    return;
  }
  if (counting_ && !expected_by_event_[event.index()].empty()) {
    const TargetContext context = injector_->context(origin.node);
    for (const std::size_t i : expected_by_event_[event.index()]) {
      if (expected_[i].matcher.matches(event, origin, context)) ++expected_[i].seen;
    }
  }
  injector_->on_event(origin, event);
}

void Trial::stopped(const sim::Origin& origin, sim::StopCause cause) {
  using checker::StopKind;
  const bool power = cause == sim::StopCause::power_loss;
  const bool orderly = cause == sim::StopCause::orderly;
  white_.node_stopped(mono(), origin.node, origin.incarnation,
                      power     ? StopKind::power_loss
                      : orderly ? StopKind::orderly
                                : StopKind::kill);
  if (convicted()) world_.stop();
  if (options_.observer != nullptr) {
    options_.observer->on_node(world_.now(), origin.index, false, origin.incarnation,
                               power     ? "loses power"
                               : orderly ? "stops"
                                         : "dies");
  }
}

void Trial::bytes_lost(const sim::Origin& origin, const sim::Loss& loss) {
  const bool rots = loss.cause == sim::LossCause::bit_rot || loss.cause == sim::LossCause::misdirected_write;
  const bool undone = loss.cause == sim::LossCause::name_undone;
  white_.bytes_lost(mono(), origin.node, loss.path, loss.from, loss.to,
                    rots     ? checker::LossCause::rotten
                    : undone ? checker::LossCause::undone
                             : checker::LossCause::destroyed);
  if (convicted()) world_.stop();
}

void Trial::lost(const sim::Loss& loss) { cluster_.lost(loss); }

void Trial::imaged(sim::NodeIndex node, std::uint64_t image) {
  white_.disk_imaged(mono(), cluster_.machines()[node.value()].id, image);
}

void Trial::restored(sim::NodeIndex node, std::uint64_t image) {
  white_.disk_restored(mono(), cluster_.machines()[node.value()].id, image);
}

void Trial::line(sim::VirtualTime at, sim::NodeIndex node, LogLevel level, std::string_view logger,
                 std::string_view message) {
  options_.observer->on_log(at, node, level, logger, message);
}

void Trial::administer(const FaultSpec& fault) {
  if (fault.action == "create_topic") {
    admin()->create(*fault.topic);
  } else {
    admin()->remove(fault.topic->name);
  }
}

// What transactions can't promise, Kafka's neither, and clients can't tell.
void Trial::delivered(const sim::FrameHead& frame, sim::VirtualTime sent) {
  if (options_.observer != nullptr) options_.observer->on_message(frame, sent, world_.now());
  const auto is = [&frame](wire::ApiKey key) { return frame.api_key == static_cast<std::int16_t>(key); };
  // KIP-890: the end of one transaction may end the next one, whose epoch is the same.
  constexpr std::int16_t kEpochOfItsOwn = 5;
  if (!frame.response && is(wire::ApiKey::EndTxn) && frame.api_version < kEpochOfItsOwn &&
      world_.now() - sent > from_ms(scenario_.workload.request_timeout_ms))
    outlived_end_ = true;
  if (frame.response && is(wire::ApiKey::OffsetFetch)) offsets_told(frame);
}

// A coordinator that has not heard that another one took over answers what was committed while it led: nothing but an
// append tells it. Whoever reads on from there makes of some inputs a second time what is made of them.
void Trial::offsets_told(const sim::FrameHead& frame) {
  const auto member = transforming_.find(frame.to);
  if (member == transforming_.end() || !cluster_.owns(frame.from)) return;
  const sim::ClusterView::Partition* partition =
      coordinated({.kind = Target::Kind::coordinator, .key = member->second}, cluster_.view());
  if (partition != nullptr && partition->leader != cluster_.machines()[frame.from.value()].id) went_back_ = true;
}

// A leader that has not heard of its end removes records by its own clock, and refuses positions that its successor
// still has; whoever asks that one for a new position goes back to all that it has.
void Trial::start_moved(NodeId node, const PartitionKey& key) {
  const sim::ClusterView& view = cluster_.view();
  const auto partition = view.partitions.find(key);
  const auto topic = view.topics.find(key.topic);
  if (partition == view.partitions.end() || topic == view.topics.end() || partition->second.leader == node) return;
  const broker::PartitionPtr replica = opened(node, key);
  if (replica != nullptr && replica->replica().is_leader())
    removed_unheard_.insert({.topic = topic->second.name, .partition = key.index});
}

bool Trial::transforms(std::int64_t process) const {
  const auto client = numbered_clients_.find(static_cast<std::int32_t>(process));
  return client != numbered_clients_.end() && transforming_.contains(client->second);
}

void Trial::fault_note(const FaultNote& note) {
  if (options_.observer != nullptr) options_.observer->on_fault(world_.now(), note);
}

// ---- what the clients say ----

void Trial::report(const sim::ClientOp& op) {
  to_history(op, entry_);
  entry_.time_ns = sim::to_ns(world_.now());
  black_.add(entry_);
  world_.hash_value(mix64(static_cast<std::uint64_t>(op.op), static_cast<std::uint64_t>(op.type)));
  if (op.call == sim::OpCall::send && op.type == sim::OpType::ok && op.acks != 0) {
    ++result_.acknowledged;
    if (op.acks == -1) ++result_.acknowledged_all;
  }
  if (op.call == sim::OpCall::seek && transforms(op.process) &&
      removed_unheard_.contains({.topic = std::string(op.topic), .partition = op.partition}))
    went_back_ = true;
  if (op.process > load_processes_) {
    final_reader_operation(op);
  } else if (op.call == sim::OpCall::poll && counting_) {
    result_.delivered += op.records.size();
  }
  if (options_.observer != nullptr) {
    line_.clear();
    checker::write_history_line(entry_, line_);
    options_.observer->on_history(line_);
  }
}

void Trial::final_reader_operation(const sim::ClientOp& op) {
  std::int64_t& read_to = read_to_[{.topic = std::string(op.topic), .partition = op.partition}];
  if (op.call == sim::OpCall::poll) {
    result_.final_read += op.records.size();
    if (!op.records.empty()) read_to = op.records.back().offset + 1;
  } else if (op.call == sim::OpCall::seek) {  // what it had not read is removed
    read_to = std::max(read_to, op.offset);
  }
}

void Trial::produce_sent(std::int64_t process, std::uint64_t batch, std::string_view, const Uuid& topic_id,
                         std::int32_t partition, std::uint32_t crc) {
  white_.produce_sent(mono(), static_cast<std::uint64_t>(process), batch, {.topic = topic_id, .index = partition}, crc);
}

void Trial::produce_renumbered(std::int64_t process, std::uint64_t batch, const Uuid& topic_id, std::int32_t partition,
                               std::uint32_t crc) {
  white_.produce_renumbered(static_cast<std::uint64_t>(process), batch, {.topic = topic_id, .index = partition}, crc);
}

void Trial::produce_finished(std::int64_t process, std::uint64_t batch) {
  white_.produce_finished(static_cast<std::uint64_t>(process), batch);
}

void Trial::transaction_begun(const sim::TransactionBegun& begun) {
  white_.transaction_begun(mono(), {.process = begun.process,
                                    .txn = begun.txn,
                                    .transactional_id = begun.transactional_id,
                                    .producer_id = begun.producer_id,
                                    .producer_epoch = begun.producer_epoch,
                                    .version_two = begun.version_two});
}

void Trial::transaction_asked(const sim::TransactionAsked& asked) {
  using Call = checker::ClientAsk::Call;
  white_.transaction_asked(mono(), {.process = asked.process,
                                    .transactional_id = asked.transactional_id,
                                    .call = asked.call == sim::TransactionCall::init     ? Call::init
                                            : asked.call == sim::TransactionCall::commit ? Call::commit
                                                                                         : Call::abort,
                                    .settled = asked.settled});
}

void Trial::transactional_sent(std::int64_t process, const Uuid& topic_id, std::int32_t partition,
                               std::int64_t producer_id, std::int16_t producer_epoch, std::int32_t base_sequence) {
  white_.transactional_sent(process, {.topic = topic_id, .index = partition}, producer_id, producer_epoch,
                            base_sequence);
}

void Trial::offsets_asked(std::int64_t process) { white_.offsets_asked(mono(), static_cast<std::uint64_t>(process)); }

void Trial::consumption_resumed(std::int64_t process, std::string_view group, std::string_view topic,
                                std::int32_t partition, std::int64_t position) {
  white_.consumption_resumed(mono(), static_cast<std::uint64_t>(process), group, topic, partition, position);
  if (convicted()) world_.stop();
}

}  // namespace verdict::scenarios
