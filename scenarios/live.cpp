#include "scenarios/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/io.h"
#include "scenarios/history_entry.h"

namespace verdict::scenarios {
namespace {

constexpr Duration kStep = 20ms;
constexpr Duration kSetUpLimit = 60s;  // a cluster's internal topics may be made first
constexpr Duration kStopLimit = 30s;   // beside the delivery time-out
constexpr Duration kReadLimit = 60s;
constexpr std::int64_t kFirstEnd = 0xe0000000;  // numbers of the operations that ask for ends

// Kafka's brokers take no shorter one: group.min.session.timeout.ms.
constexpr Duration kShortestSession = 6s;

constexpr std::string_view kMinIsr = "min.insync.replicas";

void lengthen_session(client::GroupOptions& group) {
  group.session_timeout = std::max(group.session_timeout, kShortestSession);
}

}  // namespace

// One client of the workload, whatever it does.
class LiveRun::Client {
 public:
  virtual ~Client() = default;
  virtual void stop() = 0;
  virtual bool finished() const = 0;
  virtual Task<void> close() = 0;
};

namespace {

template <class Process, class Load>
class ClientOf final : public LiveRun::Client {
 public:
  ClientOf(Runtime& runtime, const Load& load, sim::HistorySink* sink) : process_(runtime, load, sink) {}
  void stop() override { process_.stop(); }
  bool finished() const override { return process_.finished(); }
  Task<void> close() override { return process_.close(); }

 private:
  Process process_;
};

}  // namespace

std::vector<std::string> left_out(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const FaultSpec& fault : scenario.faults) {
    if (fault.action != "create_topic") out.push_back(fmt::format("fault {} ({})", fault.id, fault.action));
  }
  if (!scenario.defects.empty()) out.push_back(fmt::format("planted defects ({})", fmt::join(scenario.defects, ", ")));
  if (!scenario.cluster.config.empty()) out.push_back("settings of the cluster");
  if (!scenario.expect.events.empty() || !scenario.expect.marks.empty() || !scenario.expect.faults.empty())
    out.push_back("what only a simulated cluster tells (expected events, marks and faults)");
  return out;
}

LiveRun::LiveRun(Runtime& runtime, const Scenario& scenario, LiveOptions options,
                 std::function<void(std::string_view line)> history, std::function<void(const std::string&)> say)
    : runtime_(&runtime),
      scenario_(scenario),
      options_(std::move(options)),
      history_(std::move(history)),
      say_(std::move(say)),
      settings_{.bootstrap = options_.bootstrap,
                .request_timeout_ms = scenario.workload.request_timeout_ms,
                .delivery_timeout_ms = scenario.workload.delivery_timeout_ms,
                .compacted = compacted_topics(scenario.topics)},
      admin_(runtime, client_options(settings_, options_.first_process)) {}

LiveRun::~LiveRun() = default;

bool LiveRun::fail(std::string why) {
  result_.failure = std::move(why);
  return false;
}

void LiveRun::report(const sim::ClientOp& op) {
  using sim::OpCall;
  if (op.type == sim::OpType::ok) {
    if (op.call == OpCall::send && op.acks != 0) ++result_.acknowledged;
    if (op.call == OpCall::poll)
      (op.process > last_process_ ? result_.final_read : result_.delivered) += op.records.size();
    if (op.call == OpCall::commit) ++result_.committed;
  }
  to_history(op, entry_);
  line_.clear();
  checker::write_history_line(entry_, line_);
  history_(line_);
}

// ---- the cluster and its topics ----

Task<bool> LiveRun::find_cluster() {
  const MonoTime deadline = runtime_->now() + kSetUpLimit / 2;
  const auto cluster = co_await admin_.describe_cluster(deadline);
  if (!cluster) {
    co_return fail(fmt::format("no broker answers at {}:{} ({})", options_.bootstrap.front().host,
                               options_.bootstrap.front().port, wire::to_string(cluster.error().error)));
  }
  brokers_ = cluster->nodes.size();
  say_(fmt::format("cluster {} of {} broker{}", cluster->cluster_id, brokers_, brokers_ == 1 ? "" : "s"));
  co_return true;
}

// A cluster that is smaller than the scenario's gets as many replicas as it has brokers.
Task<bool> LiveRun::make_topic(TopicSpec topic) {
  client::NewTopic wanted;
  wanted.name = topic.name;
  wanted.partitions = partitions_of(topic);
  const std::size_t wished =
      topic.assignment.empty() ? static_cast<std::size_t>(topic.replication_factor) : topic.assignment.front().size();
  const std::size_t replicas = std::min(wished, brokers_);
  wanted.replication_factor = static_cast<std::int16_t>(replicas);
  for (const auto& [key, value] : topic.config) wanted.configs[key] = value;
  if (const auto min = wanted.configs.find(std::string(kMinIsr)); min != wanted.configs.end()) {
    std::size_t number = 0;
    std::from_chars(min->second.data(), min->second.data() + min->second.size(), number);
    if (number > replicas) min->second = std::to_string(replicas);
  }
  const MonoTime deadline = runtime_->now() + kSetUpLimit;
  for (;;) {
    const MonoTime attempt = std::min(deadline, runtime_->now() + 10s);
    const auto created = co_await admin_.create_topic(wanted, attempt);
    if (created) {
      say_(fmt::format("topic {} is made: {} partitions, {} replicas", topic.name, wanted.partitions, replicas));
      break;
    }
    if (created.error().error == client::ErrorCode::TOPIC_ALREADY_EXISTS) {
      say_(fmt::format("topic {} is there already, and is taken as it is", topic.name));
      break;
    }
    const bool later = runtime_->now() + 1s < deadline && wire::is_retriable(created.error().error);
    if (!later || interrupted_) {
      co_return fail(fmt::format("topic {} can't be made: {} {}", topic.name, wire::to_string(created.error().error),
                                 created.error().message));
    }
    const MonoTime again = runtime_->now() + 500ms;
    co_await sleep_until(*runtime_, again);
  }
  const bool led = co_await await_leaders(topic.name);
  co_return led&& co_await locate(topic.name);
}

Task<bool> LiveRun::await_leaders(std::string topic) {
  const MonoTime deadline = runtime_->now() + kSetUpLimit;
  while (runtime_->now() < deadline && !interrupted_) {
    admin_.metadata().make_stale();
    const MonoTime attempt = std::min(deadline, runtime_->now() + 10s);
    const auto found = co_await admin_.describe_topic(topic, attempt);
    if (found && !found->partitions.empty() &&
        std::ranges::all_of(found->partitions, [](const auto& p) { return p.leader != kNoNode; })) {
      topics_[topic] = static_cast<std::int32_t>(found->partitions.size());
      co_return true;
    }
    const MonoTime again = runtime_->now() + 100ms;
    co_await sleep_until(*runtime_, again);
  }
  co_return fail(fmt::format("topic {} has partitions without a leader", topic));
}

// What lies in the topic already is nobody's concern.
Task<bool> LiveRun::locate(std::string topic) {
  for (std::int32_t index = 0; index < topics_[topic]; ++index) {
    const client::TopicPartition partition{.topic = topic, .partition = index};
    const MonoTime deadline = runtime_->now() + kSetUpLimit / 2;
    const auto end = co_await admin_.list_offset(partition, client::kLatestTimestamp, deadline);
    if (!end) {
      co_return fail(fmt::format("the end of {}-{} can't be asked for: {} {}", topic, index,
                                 wire::to_string(end.error().error), end.error().message));
    }
    starts_[partition] = end->offset.value();
  }
  co_return true;
}

// ---- the workload ----

template <class Process, class Load>
LiveRun::Maker LiveRun::maker(const Load& load) {
  sim::HistorySink* const sink = this;
  return [this, load, sink] { return std::make_unique<ClientOf<Process, Load>>(*runtime_, load, sink); };
}

bool LiveRun::has_partitions(const std::string& topic, const std::vector<std::int32_t>& named) {
  const auto known = topics_.find(topic);
  if (known == topics_.end()) return fail(fmt::format("the workload's topic {} is none of the scenario's", topic));
  for (const std::int32_t index : named) {
    if (index >= known->second)
      return fail(fmt::format("topic {} has {} partitions, the workload wants {}", topic, known->second, index));
  }
  return true;
}

LiveRun::Maker LiveRun::producing(const ProducerSpec& spec, std::int64_t process) {
  const std::int32_t partitions = topics_.at(spec.topic);
  if (!spec.transactional) return maker<sim::ProducerProcess>(producer_load(spec, settings_, process, partitions));
  sim::TransactionalLoad load = transactional_load(spec, settings_, process, partitions);
  lengthen_session(load.group);
  return maker<sim::TransactionalProcess>(load);
}

LiveRun::Maker LiveRun::consuming(const ConsumerSpec& spec, std::int64_t process) {
  if (!spec.group.empty()) {
    sim::GroupLoad load = group_load(spec, settings_, process);
    lengthen_session(load.group);
    return maker<sim::GroupConsumerProcess>(load);
  }
  sim::ConsumerLoad load = consumer_load(spec, settings_, process, topics_.at(spec.topic));
  for (const client::TopicPartition& partition : load.partitions)
    load.starts.push_back(client::StartAt::at(Offset(starts_.at(partition))));
  return maker<sim::ConsumerProcess>(load);
}

bool LiveRun::add_clients() {
  const WorkloadSpec& load = scenario_.workload;
  const std::vector<std::int32_t> numbers = client_numbers(load);
  last_process_ = options_.first_process;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::int64_t process = options_.first_process + numbers[i];
    last_process_ = std::max(last_process_, process);
    if (i < load.producers.size()) {
      const ProducerSpec& spec = load.producers[i];
      if (!has_partitions(spec.topic, spec.partitions) || (!spec.source.empty() && !has_partitions(spec.source, {})))
        return false;
      slots_.push_back(
          {.start_ms = spec.start_ms, .produces = true, .make = producing(spec, process), .client = nullptr});
    } else {
      const ConsumerSpec& spec = load.consumers[i - load.producers.size()];
      if (!has_partitions(spec.topic, spec.partitions)) return false;
      slots_.push_back(
          {.start_ms = spec.start_ms, .produces = false, .make = consuming(spec, process), .client = nullptr});
    }
  }
  return true;
}

Task<void> LiveRun::work() {
  const MonoTime begin = runtime_->now();
  const MonoTime end = begin + from_ms(scenario_.phases.run_ms);
  while (runtime_->now() < end && !interrupted_) {
    for (Slot& slot : slots_) {
      if (slot.client == nullptr && runtime_->now() >= begin + from_ms(slot.start_ms)) slot.client = slot.make();
    }
    const MonoTime next = std::min(end, runtime_->now() + kStep);
    co_await sleep_until(*runtime_, next);
  }
}

// Those that do not come to their end are closed as they are: what they wait for is unknown.
Task<void> LiveRun::stop(bool producers) {
  const auto concerned = [producers](const Slot& slot) { return slot.client != nullptr && slot.produces == producers; };
  for (Slot& slot : slots_) {
    if (concerned(slot)) slot.client->stop();
  }
  const MonoTime limit = runtime_->now() + 2 * from_ms(settings_.delivery_timeout_ms) + kStopLimit;
  const auto finished = [&](const Slot& slot) { return !concerned(slot) || slot.client->finished(); };
  while (runtime_->now() < limit && !std::ranges::all_of(slots_, finished)) {
    const MonoTime next = runtime_->now() + kStep;
    co_await sleep_until(*runtime_, next);
  }
  for (Slot& slot : slots_) {
    if (!concerned(slot)) continue;
    co_await slot.client->close();
    slot.client.reset();
  }
}

// ---- the final read ----

Task<bool> LiveRun::ask_ends() {
  const std::int64_t process = last_process_ + 1;
  std::int64_t asked = kFirstEnd;
  for (const auto& [partition, start] : starts_) {
    sim::ClientOp op{.op = process << 32 | asked++,
                     .process = process,
                     .call = sim::OpCall::end,
                     .partition = partition.partition,
                     .time_ns = sim::to_ns(runtime_->now()),
                     .topic = partition.topic};
    report(op);
    const MonoTime deadline = runtime_->now() + kSetUpLimit / 2;
    const auto end = co_await admin_.list_offset(partition, client::kLatestTimestamp, deadline);
    if (!end) {
      result_.unmet.push_back(fmt::format("the end of {}-{} can't be asked for: {}", partition.topic,
                                          partition.partition, wire::to_string(end.error().error)));
      co_return false;
    }
    op.type = sim::OpType::ok;
    op.offset = end->offset.value();
    op.time_ns = sim::to_ns(runtime_->now());
    report(op);
    ends_[partition] = end->offset.value();
  }
  co_return true;
}

Task<void> LiveRun::read_finally(bool committed) {
  ConsumerSpec spec;
  spec.isolation = committed ? "read_committed" : "read_uncommitted";
  sim::ConsumerLoad load = consumer_load(spec, settings_, last_process_ + (committed ? 3 : 2), 0);
  for (const auto& [partition, start] : starts_) {
    load.partitions.push_back(partition);
    load.starts.push_back(client::StartAt::at(Offset(start)));
  }
  sim::ConsumerProcess reader(*runtime_, load, this);
  const auto behind = [&] {
    return std::ranges::find_if(
        ends_, [&](const auto& end) { return reader.consumer().position(end.first).value() < end.second; });
  };
  // A transaction that its client left open ends at its time-out, and hides what comes behind it until then.
  Duration limit = kReadLimit;
  for (const ProducerSpec& producer : scenario_.workload.producers) {
    if (producer.transactional)
      limit = std::max<Duration>(limit, kReadLimit + from_ms(producer.transaction_timeout_ms));
  }
  const MonoTime deadline = runtime_->now() + limit;
  while (runtime_->now() < deadline && behind() != ends_.end()) {
    const MonoTime next = runtime_->now() + kStep;
    co_await sleep_until(*runtime_, next);
  }
  if (const auto last = behind(); last != ends_.end()) {
    result_.unmet.push_back(fmt::format(
        "the final read of {} records got to offset {} of {}-{}, which ends at {}", committed ? "committed" : "all",
        reader.consumer().position(last->first).value(), last->first.topic, last->first.partition, last->second));
  }
  co_await reader.close();
}

Task<LiveResult> LiveRun::run() {
  bool good = co_await find_cluster();
  for (std::size_t i = 0; good && i < scenario_.topics.size(); ++i) good = co_await make_topic(scenario_.topics[i]);
  for (std::size_t i = 0; good && i < scenario_.faults.size(); ++i) {
    if (scenario_.faults[i].action == "create_topic") good = co_await make_topic(*scenario_.faults[i].topic);
  }
  if (good && add_clients()) {
    say_(fmt::format("{} clients for {} ms", slots_.size(), scenario_.phases.run_ms));
    co_await work();
    co_await stop(true);
    co_await stop(false);
    say_("final read");
    const bool known = co_await ask_ends();
    const bool transactions =
        std::ranges::any_of(scenario_.workload.producers, [](const auto& p) { return p.transactional; });
    if (known) co_await read_finally(false);
    if (known && transactions) co_await read_finally(true);
    if (interrupted_) result_.unmet.emplace_back("interrupted");
    if (result_.acknowledged == 0) result_.unmet.emplace_back("no record was acknowledged");
    if (result_.delivered == 0 && !scenario_.workload.consumers.empty())
      result_.unmet.emplace_back("no consumer of the workload was given a record");
    if (transactions && result_.committed == 0) result_.unmet.emplace_back("no transaction was committed");
  }
  co_await admin_.close();
  co_return std::move(result_);
}

}  // namespace verdict::scenarios
