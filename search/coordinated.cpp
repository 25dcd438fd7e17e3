// Clients that coordinators serve: transactions, zombies that share an id, members of groups, and what consumes,
// transforms and produces; how their coordinators are set, and faults of single messages and moments among them.
#include <algorithm>
#include <array>

#include "runtime/assert.h"
#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::string_view kTransactions = "__transaction_state-";
constexpr std::string_view kOffsets = "__consumer_offsets-";
constexpr std::string_view kConsumerSession = "group.consumer.session.timeout.ms";

// The simulation's defaults (sim/cluster.cpp).
constexpr std::int64_t kMinSessionMs = 500;
constexpr std::int64_t kConsumerSessionMs = 2'000;
constexpr std::int64_t kAbortTimedOutMs = 500;

constexpr std::int64_t kTransformersSessionMs = 2'000;  // as scenarios/clients.cpp gives them

constexpr std::array kTransactionApis{
    Weight{"EndTxn", 8},  Weight{"AddPartitionsToTxn", 5}, Weight{"InitProducerId", 5},
    Weight{"Produce", 6}, Weight{"WriteTxnMarkers", 9},    Weight{"FindCoordinator", 1},
};
constexpr std::array kGroupApis{
    Weight{"JoinGroup", 6},    Weight{"SyncGroup", 6},   Weight{"Heartbeat", 7},
    Weight{"OffsetCommit", 8}, Weight{"OffsetFetch", 3}, Weight{"LeaveGroup", 2},
};
constexpr std::array kTransformApis{
    Weight{"TxnOffsetCommit", 9}, Weight{"AddOffsetsToTxn", 6}, Weight{"EndTxn", 6},    Weight{"WriteTxnMarkers", 6},
    Weight{"JoinGroup", 3},       Weight{"SyncGroup", 3},       Weight{"Heartbeat", 5}, Weight{"OffsetFetch", 2},
    Weight{"InitProducerId", 2},  Weight{"Produce", 2},
};
constexpr std::array kWords{
    Weight{"transaction_moved", 12},
    Weight{"transactional_appended", 10},
    Weight{"committed_read", 2},
    Weight{"last_stable_served", 2},
};
constexpr std::array kStates{
    Weight{"Ongoing", 6},        Weight{"PrepareCommit", 6}, Weight{"PrepareAbort", 5},
    Weight{"CompleteCommit", 4}, Weight{"CompleteAbort", 4}, Weight{"Empty", 2},
};

std::string numbered(std::string_view head, std::int64_t index) { return std::string(head) + std::to_string(index); }

}  // namespace

void Maker::coordinator_settings() {
  scenarios::Properties& config = scenario_.cluster.config;
  for (const Setting& setting : profile_.coordinators) {
    if (share(profile_.setting)) config[std::string(setting.key)] = one_of(setting.values);
  }
  // What expires is removed within the run.
  if (config.contains("transactional.id.expiration.ms"))
    config.try_emplace("transaction.remove.expired.transaction.cleanup.interval.ms", "200");
  if (has_transactions()) {
    if (share(25)) scenario_.cluster.features["transaction.version"] = share(80) ? "1" : "0";
    for (std::int64_t i = 0; i < effective("transaction.state.log.num.partitions", 1); ++i)
      partitions_.push_back(numbered(kTransactions, i));
  }
  if (has_groups()) {
    for (std::int64_t i = 0; i < effective("offsets.topic.num.partitions", 1); ++i)
      partitions_.push_back(numbered(kOffsets, i));
  }
}

// One that writes in transactions, with a time-out that runs out within the run, more often than not.
void Maker::transact(ProducerSpec& load, bool pipelined) {
  load.acks = "all";
  load.idempotent = false;
  load.transactional = true;
  if (share(15)) load.transaction_version = 1;
  load.retries = ProducerSpec{}.retries;
  load.in_flight = static_cast<std::int32_t>(within(pipelined ? 2 : 1, 5));
  load.burst = static_cast<std::int32_t>(within(1, 6));
  load.abort_one_in = static_cast<std::int32_t>(one_of({0, 2, 3, 8}));
  if (share(60)) load.transaction_timeout_ms = within(150, 1'500);
  if (share(15)) load.lives = static_cast<std::int32_t>(within(1, 4));
}

// Of all groups of the consumer protocol.
void Maker::consumer_sessions() {
  scenarios::Properties& config = scenario_.cluster.config;
  const std::int64_t session = within(400, 3'000);
  const std::int64_t heartbeat = session / within(4, 10);
  config.try_emplace(std::string(kConsumerSession), std::to_string(session));
  config.try_emplace("group.consumer.heartbeat.interval.ms", std::to_string(heartbeat));
}

// Those of one group share out partitions by one assignor; static ones may meet another with their own name.
void Maker::make_members() {
  constexpr std::array kAssignors{Weight{"range", 4}, Weight{"roundrobin", 2}, Weight{"cooperative-sticky", 4}};
  const std::int64_t groups = share(20) ? 2 : 1;
  const std::int64_t least = effective("group.min.session.timeout.ms", kMinSessionMs);
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t members = within(2, 4);
    const bool consumer = share(40);  // KIP-848
    const std::string assignor(consumer ? scenarios::ConsumerSpec{}.assignor : std::string(weighted(kAssignors)));
    if (consumer) consumer_sessions();
    // Not all of a group need want the same: what most of them want counts.
    const std::int64_t wants = consumer ? within(0, 3) : 0;
    const bool fixed = share(40);
    const bool restless = share(30);
    const bool slow = share(30);
    for (std::int64_t i = 0; i < members; ++i) {
      scenarios::ConsumerSpec reader;
      reader.topic = scenario_.topics.front().name;
      reader.group = g == 0 ? "readers" : "others";
      reader.assignor = assignor;
      const std::int64_t session = std::max<std::int64_t>(least + within(0, 1'000), 150);
      if (consumer) {
        reader.protocol = "consumer";
        if (wants > 0) reader.remote_assignor = wants == 1 || (wants == 2 && i == 0) ? "range" : "uniform";
      } else {
        reader.session_timeout_ms = session;
      }
      if (share(30)) reader.isolation = "read_committed";
      if (share(30)) reader.poll_interval_ms = within(5, 100);
      if (share(25)) reader.start_ms = within(1, scenario_.phases.run_ms / 2);
      if (fixed && share(80)) {
        // The last may take the place of the first.
        reader.instance = numbered("seat-", i + 1 == members && share(50) ? 0 : i);
        if (i + 1 == members) reader.start_ms = within(1, scenario_.phases.run_ms * 3 / 4);
      }
      if (restless && share(60)) {
        reader.stay_ms = within(200, 1'500);
        reader.away_ms = within(20, 800);
      }
      if (slow && share(60)) {
        reader.stall_one_in = static_cast<std::int32_t>(within(3, 20));
        reader.stall_ms = within(100, 2'500);
      }
      add_consumer(reader);
    }
  }
}

// One of everything that is committed, beside one of everything.
void Maker::readers_of_committed() {
  scenarios::WorkloadSpec& load = scenario_.workload;
  load.consumers.front().isolation = "read_committed";
  if (load_ == "transforms") load.consumers.front().topic = scenario_.topics[1].name;
  if (load.consumers.size() == 1 && share(60)) {
    scenarios::ConsumerSpec reader;
    reader.topic = load.consumers.front().topic;
    add_consumer(reader);
  }
}

void Maker::coordinated_clients() {
  std::vector<ProducerSpec>& producers = scenario_.workload.producers;
  if (has_transactions()) readers_of_committed();
  if (load_ == "groups") return make_members();
  if (load_ == "transforms") {
    const std::string& into = scenario_.topics[1].name;
    if (share(30)) transact(producers.front(), true);
    const std::int64_t count = within(2, 3);
    const bool consumer = share(35);  // KIP-848
    if (consumer) consumer_sessions();
    for (std::int64_t i = 0; i < count; ++i) {
      ProducerSpec load = producer(into, 0);
      if (consumer) load.protocol = "consumer";
      transact(load, false);
      load.batch_bytes = ProducerSpec{}.batch_bytes;
      load.source = scenario_.topics.front().name;
      load.group = "billing";
      if (share(25)) load.start_ms = within(1, scenario_.phases.run_ms / 2);
      add_producer(std::move(load));
    }
    return;
  }
  const auto most = static_cast<std::int64_t>(producers.size());
  const std::int64_t count = load_ == "zombies" ? 2 : within(1, std::min<std::int64_t>(most, 3));
  for (std::int64_t i = 0; i < count; ++i) {
    ProducerSpec& load = producers[static_cast<std::size_t>(i)];
    transact(load, i == 0);
    if (load_ != "zombies") continue;
    // Each takes the id from the other; the first one ends when it notices, but for a few.
    // Of two instances with one id and different versions both may end up with the same epoch, as in Kafka.
    load.transactional_id = "shared";
    load.transaction_version = producers.front().transaction_version;
    load.lives = static_cast<std::int32_t>(i > 0 || share(20) ? 0 : within(1, 3));
    if (i > 0) load.start_ms = within(200, std::max<std::int64_t>(scenario_.phases.run_ms * 2 / 3, 300));
  }
}

// ---- who is who ----

std::string Maker::data_partition() const {
  const scenarios::TopicSpec& topic = scenario_.topics[load_ == "transforms" && share(60) ? 1 : 0];
  return numbered(topic.name + "-", within(0, static_cast<std::int64_t>(topic.assignment.size()) - 1));
}

std::string Maker::transactions_partition() const {
  return numbered(kTransactions, within(0, effective("transaction.state.log.num.partitions", 1) - 1));
}

std::string Maker::offsets_partition() const {
  return numbered(kOffsets, within(0, effective("offsets.topic.num.partitions", 1) - 1));
}

Maker::ProducerSpec& Maker::transactional() {
  std::vector<ProducerSpec*> all;
  for (ProducerSpec& load : scenario_.workload.producers) {
    if (load.transactional) all.push_back(&load);
  }
  VERDICT_ASSERT(!all.empty(), "a run with transactions has who makes them");
  return *all[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(all.size()) - 1))];
}

std::int32_t Maker::member() const {
  std::vector<std::int32_t> all;
  for (const ProducerSpec& load : scenario_.workload.producers) {
    if (!load.group.empty()) all.push_back(load.client);
  }
  for (const scenarios::ConsumerSpec& load : scenario_.workload.consumers) {
    if (!load.group.empty()) all.push_back(load.client);
  }
  VERDICT_ASSERT(!all.empty(), "a run with groups has members");
  return all[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(all.size()) - 1))];
}

std::int64_t Maker::session_of(std::int32_t client) const {
  const auto& load = scenario_.workload;
  const auto of_cluster = [this] { return effective(kConsumerSession, kConsumerSessionMs); };
  const auto transformer = std::ranges::find(load.producers, client, &ProducerSpec::client);
  if (transformer != load.producers.end())
    return transformer->protocol == "consumer" ? of_cluster() : kTransformersSessionMs;
  const auto found = std::ranges::find(load.consumers, client, &scenarios::ConsumerSpec::client);
  VERDICT_ASSERT(found != load.consumers.end(), "a member is one of the clients");
  return found->protocol == "consumer" ? of_cluster() : found->session_timeout_ms;
}

// By which its members are heard, where none of them is a classic one.
std::string Maker::group_api(std::string_view classic) const {
  constexpr std::array<std::string_view, 4> kMembership{"JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup"};
  const bool membership = std::ranges::find(kMembership, classic) != kMembership.end();
  const auto& load = scenario_.workload;
  const auto member = [](const auto& one) { return !one.group.empty(); };
  const auto speaks = [&](const auto& one) { return !member(one) || one.protocol == "consumer"; };
  const bool any = std::ranges::any_of(load.producers, member) || std::ranges::any_of(load.consumers, member);
  const bool all = std::ranges::all_of(load.producers, speaks) && std::ranges::all_of(load.consumers, speaks);
  return membership && any && all ? "ConsumerGroupHeartbeat" : std::string(classic);
}

std::int64_t Maker::patience(const ProducerSpec& load) const {
  return load.transaction_timeout_ms +
         effective("transaction.abort.timed.out.transaction.cleanup.interval.ms", kAbortTimedOutMs);
}

// ---- moments and messages ----

Maker::Trigger Maker::moved(const std::string& id, std::string_view state) {
  Trigger trigger;
  trigger.event = "transaction_moved";
  trigger.match = {text("state", std::string(state))};
  if (!id.empty()) trigger.match.push_back(text("transactional_id", id));
  trigger.nth = static_cast<std::int32_t>(share(50) ? 1 : within(2, 6));
  return trigger;
}

// By the leader, which is before anybody was told of it. `marker`: "" records, "commit", "abort".
Maker::Trigger Maker::appended(std::string_view marker) {
  const std::string partition = has_groups() && share(40) ? offsets_partition() : data_partition();
  Trigger trigger;
  trigger.event = "transactional_appended";
  trigger.match = {text("partition", partition), text("marker", std::string(marker)),
                   text("node", leader_of(partition))};
  trigger.nth = static_cast<std::int32_t>(share(50) ? 1 : within(2, 12));
  return trigger;
}

Maker::Trigger Maker::coordinated_trigger() {
  Trigger trigger;
  const std::string_view word = has_transactions() ? weighted(kWords) : std::string_view();
  if (word == "transaction_moved") {
    trigger = moved("", weighted(kStates));
    if (share(25)) trigger.match.push_back(at_least("coordinator_epoch", 1));
  } else if (word == "transactional_appended") {
    constexpr std::array kMarkers{Weight{"", 4}, Weight{"commit", 3}, Weight{"abort", 3}};
    trigger = appended(weighted(kMarkers));
  } else if (!word.empty()) {
    trigger.event = word;
    trigger.match = {text("partition", data_partition())};
    trigger.nth = static_cast<std::int32_t>(within(1, 20));
  } else {  // a group's coordinator writes what it was asked for
    trigger.event = share(70) ? "batch_appended" : "became_leader";
    trigger.match = {text("partition", offsets_partition())};
    if (trigger.event == "batch_appended") {
      trigger.match.push_back(text("role", share(70) ? "leader" : "follower"));
      trigger.nth = static_cast<std::int32_t>(within(1, 20));
    }
  }
  trigger.not_before_ms = moment(300);
  if (share(50)) trigger.after_us = share(60) ? within(1, 3'000) : within(1, 50'000);
  return trigger;
}

// Between a client and its coordinator, or between the coordinator and whom it sends its markers.
void Maker::coordinated_message(FaultSpec& fault) {
  fault.api = load_ == "transforms" ? weighted(kTransformApis)
              : load_ == "groups"   ? weighted(kGroupApis)
                                    : weighted(kTransactionApis);
  fault.side = share(50) ? "request" : "response";
  const bool of_group =
      std::ranges::find(kGroupApis, fault.api, &Weight::name) != kGroupApis.end() || fault.api == "TxnOffsetCommit";
  fault.api = group_api(fault.api);
  std::string server = of_group             ? offsets_partition()
                       : has_transactions() ? transactions_partition()
                                            : data_partition();
  std::string asks = "clients";
  if (fault.api == "Produce") server = data_partition();
  if (fault.api == "WriteTxnMarkers") {
    asks = share(50) ? leader_of(transactions_partition()) : std::string();
    server = has_groups() && share(40) ? offsets_partition() : data_partition();
  } else if (share(60)) {
    asks = client(of_group && has_groups() ? member() : transactional().client);
  }
  const std::string broker = share(70) ? leader_of(server) : std::string();
  fault.from = fault.side == "request" ? asks : broker;
  fault.to = fault.side == "request" ? broker : asks;
  const std::int64_t effect = within(0, 9);
  fault.effect = effect < 5 ? "hold" : effect < 7 ? "delay" : "reset";
  if (fault.effect == "delay") fault.delay_ms = within(5, 800);
  fault.nth = static_cast<std::int32_t>(within(1, 4));
  fault.count = static_cast<std::int32_t>(share(25) ? kAllFrames : within(1, 3));
  fault.for_ms = within(50, 2'000);
}

// Of a marker that its coordinator sends again, as no answer came in time, the first copy may come in the midst of the
// next transaction, which has the marker's epoch, and end it: in Kafka too, till its coordinators tell a marker's
// transaction version (KIP-1228, after 4.1). So coordinators wait for longer than any drawn fault lasts, as long as
// Kafka's wait.
void Maker::fit_markers() {
  if (std::ranges::any_of(scenario_.workload.producers, &ProducerSpec::transactional))
    scenario_.cluster.config["request.timeout.ms"] = "30000";
}

void Maker::coordinated_pattern() {
  std::vector<Weight> known;
  if (has_transactions())
    known.insert(known.end(), profile_.transaction_patterns.begin(), profile_.transaction_patterns.end());
  if (has_groups()) known.insert(known.end(), profile_.group_patterns.begin(), profile_.group_patterns.end());
  pattern(weighted(known));
}

}  // namespace verdict::search
