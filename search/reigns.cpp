// Elections of one partition, each as soon as the one before has come to something, and what is carried from one
// reign into another: tails that not everyone has, brokers that have not heard who leads, single messages that arrive
// in another epoch than they left in, changes of the ISR under way.
#include <algorithm>
#include <array>
#include <utility>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::array kCarried{
    Weight{"late", 5},
    Weight{"isr", 3},
    Weight{"apart", 2},
    Weight{"slow", 2},
};
constexpr std::array kSoon{Weight{"at-once", 3}, Weight{"soon", 5}, Weight{"later", 3}};

// Few records fall into a short reign, and where none do, that is an epoch of its own kind.
std::int64_t pause_us() {
  const std::string_view kind = weighted(kSoon);
  if (kind == "at-once") return within(0, 5'000);
  if (kind == "soon") return within(5'000, 100'000);
  return within(100'000, 600'000);
}

}  // namespace

std::vector<std::string> Maker::replicas_of(const std::string& partition) const {
  std::vector<std::string> brokers;
  for (const scenarios::TopicSpec& topic : scenario_.topics) {
    for (std::size_t i = 0; i < topic.assignment.size(); ++i) {
      if (topic.name + "-" + std::to_string(i) != partition) continue;
      for (const std::int32_t id : topic.assignment[i]) brokers.push_back("broker(" + std::to_string(id) + ")");
    }
  }
  return brokers;
}

scenarios::TopicSpec& Maker::topic_of(const std::string& partition) {
  const std::string name = partition.substr(0, partition.rfind('-'));
  return *std::ranges::find(scenario_.topics, name, &scenarios::TopicSpec::name);
}

// The controller's word on the partition in a reign, counted from the first election of the run, or a later one.
Maker::Trigger Maker::in_reign(const std::string& partition, std::int64_t reign) {
  Trigger when;
  when.event = "partition_decided";
  when.match = {text("partition", partition), at_least("leader_epoch", reign)};
  return when;
}

void Maker::reigns() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 2) return election_burst();
  const Chain chain{
      .partition = partition, .preferred = cast.front(), .begin_ms = within(150, 900), .elections = within(2, 4)};
  const std::int64_t session = effective("broker.session.timeout.ms", 2'000);
  make_time(chain.begin_ms + chain.elections * (session / 2 + 500));
  for (const std::string& broker : cast) {
    if (!share(55)) continue;
    const std::int64_t what = within(0, 10);
    const std::int64_t from = share(50) ? 0 : within(0, chain.elections - 1);
    leave_behind(chain, broker, from, what < 5 ? Missing::records : what < 10 ? Missing::news : Missing::both);
  }
  // Whoever gets a reign's records may be another than who got the last one's.
  for (std::int64_t reign = 1; reign < chain.elections; ++reign) {
    if (!share(25)) continue;
    const std::string& broker = cast[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(cast.size()) - 1))];
    leave_behind(chain, broker, reign, Missing::records);
  }
  if (share(20)) hush(partition, within(1, chain.elections));
  if (share(60)) carry(chain, cast);
  const bool returns = effective("leader.imbalance.check.interval.seconds", 300) == 1;
  for (std::int64_t i = 0; i < chain.elections; ++i) {
    // The preferred leader comes back by itself, and nobody has left the ISR for it.
    if (i > 0 && returns && share(35)) continue;
    FaultSpec& fault = unseat(partition, chain.begin_ms);
    if (i == 0) continue;
    fault.at_ms.reset();
    fault.when = in_reign(partition, i);
    fault.when->not_before_ms = chain.begin_ms;
    // When everyone is in sync again, anybody may be next.
    if (share(60)) fault.when->match.push_back(members("isr", share(75) ? cast.size() : 2));
    fault.when->after_us = pause_us();
  }
}

// A moment of the chain: shortly before the first election, or in a later reign.
void Maker::set_in_chain(FaultSpec& fault, const Chain& chain, std::int64_t reign) {
  if (reign == 0) {
    fault.at_ms = std::max<std::int64_t>(chain.begin_ms - within(0, 250), 1);
    return;
  }
  fault.when = in_reign(chain.partition, reign);
  if (share(50)) fault.when->after_us = pause_us();
}

// Through one or more reigns a broker gets no records of the leader, or no news of who leads, or neither.
void Maker::leave_behind(const Chain& chain, const std::string& broker, std::int64_t from, Missing what) {
  for (const bool deaf : {false, true}) {
    if (what == (deaf ? Missing::records : Missing::news)) continue;
    FaultSpec& hold = add("message");
    const std::string id = hold.id;
    set_in_chain(hold, chain, from);
    const std::string leader = from == 0 && share(70) ? chain.preferred : leader_of(chain.partition);
    hold_answers(hold, deaf ? "controller" : leader, broker);
    hold.for_ms = deaf ? effective("broker.session.timeout.ms", 2'000) + within(100, 2'500) : within(200, 2'500);
    if (share(50)) release_in_reign(chain.partition, id, within(from + 1, chain.elections));
  }
}

// Something else lasts from one reign into another.
void Maker::carry(const Chain& chain, const std::vector<std::string>& cast) {
  const std::string_view kind = weighted(kCarried);
  const std::int64_t from = within(0, chain.elections - 1);
  const auto other = static_cast<std::size_t>(within(1, static_cast<std::int64_t>(cast.size()) - 1));
  const std::string leader = share(50) ? cast.front() : leader_of(chain.partition);
  const std::string whom = share(75) ? cast[other] : cast.front();
  FaultSpec& fault = add(kind == "apart" ? "partition" : kind == "slow" ? "disk_slow" : "message");
  const std::string id = fault.id;
  set_in_chain(fault, chain, from);
  fault.for_ms = within(200, 2'500);
  if (kind == "apart") {
    fault.a = {whom};
    fault.b = {cast[(other + 1) % cast.size()]};
    if (fault.b == fault.a) fault.b = {"controller"};
    return;
  }
  if (kind == "slow") {
    fault.target = leader;
    fault.latency_us = within(20'000, 400'000);
    return;
  }
  fault.effect = "hold";
  fault.nth = static_cast<std::int32_t>(within(1, 3));
  fault.count = static_cast<std::int32_t>(kind == "late" ? within(1, 2) : share(60) ? kAllFrames : within(1, 3));
  fault.api = kind == "late" ? "Fetch" : "AlterPartition";
  fault.side = share(60) ? "response" : "request";
  const std::string server = kind == "late" ? leader : "controller";
  const std::string client = kind == "late" ? whom : leader;
  fault.from = fault.side == "response" ? server : client;
  fault.to = fault.side == "response" ? client : server;
  // The word that logs part, or that the ISR is to change, is rarer than any moment.
  if (share(50)) {
    fault.at_ms.reset();
    Trigger& when = fault.when.emplace();
    when.event = kind == "late" ? "divergence_answered" : "isr_proposed";
    when.match = {text("partition", chain.partition)};
    if (from > 0) when.match.push_back(at_least("leader_epoch", from));
    fault.nth = 1;
    if (kind == "late") {
      fault.side = "response";
      fault.from = leader_of(chain.partition);
      fault.to = "brokers";
    }
  }
  if (share(60)) release_in_reign(chain.partition, id, within(from + 1, chain.elections));
}

// An answer is so long that leadership changes while it is on its way: the rest of it is read from a log that has gone
// on since. What makes it long is another partition's backlog.
void Maker::long_answer() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 3 || bulk_) return reigns();
  bulk_ = true;
  scenarios::Properties& config = scenario_.cluster.config;
  config["leader.imbalance.check.interval.seconds"] = "1";
  config["replica.socket.timeout.ms"] = "20000";
  if (effective("replica.lag.time.max.ms", 1'000) < 2'000) config["replica.lag.time.max.ms"] = "2000";
  // The preferred leader restarts, is in sync again, and leads again within a second. By then it has less than the one
  // that led meanwhile, and somebody who has not heard of it waits for an answer.
  const std::string& preferred = cast[0];
  const std::string& meanwhile = cast[1];
  const std::string& waits = cast[2];
  FaultSpec& stop = add(share(70) ? "stop" : "kill");
  stop.at_ms = within(200, 700);
  stop.target = preferred;
  stop.restart_ms = within(20, 200);
  bulk_load({meanwhile, waits, preferred}, *stop.at_ms + stop.restart_ms + within(100, 300));
  make_time(*stop.at_ms + 2'800);
  const auto whole = [&](FaultSpec& fault, std::int64_t after_us) {
    fault.when = in_reign(partition, 1);
    fault.when->match.push_back(members("isr", cast.size()));
    fault.when->after_us = after_us;
  };
  FaultSpec& behind = add("message");
  whole(behind, within(0, 20'000));
  hold_answers(behind, meanwhile, preferred);
  const std::string behind_id = behind.id;
  release_in_reign(partition, behind_id, 2);
  FaultSpec& deaf = add("message");
  whole(deaf, within(0, 50'000));
  hold_answers(deaf, "controller", waits);
  deaf.for_ms = within(1'500, 3'500);
  const std::int64_t gather_us = within(20'000, 150'000);
  const std::int64_t gathers_ms = within(150, 500);
  FaultSpec& gather = add("clog");
  whole(gather, gather_us);
  gather.a = {waits};
  gather.b = {meanwhile};
  gather.for_ms = gathers_ms;
  FaultSpec& slow = add("message");
  whole(slow, gather_us + gathers_ms * 1'000 - within(0, 5'000));
  hold_answers(slow, meanwhile, waits);
  slow.count = 1;
  const std::string id = slow.id;
  FaultSpec& release = add("release");
  release.of = id;
  Trigger& when = release.when.emplace();
  when.event = "batch_appended";
  when.match = {text("partition", partition), text("role", "follower"), at_least("epoch", 2)};
  when.nth = static_cast<std::int32_t>(within(1, 20));
  when.after_us = within(0, 400'000);
}

// A topic beside the others, with the same replicas as `cast`, and so much for it that one answer does not hold it.
void Maker::bulk_load(const std::vector<std::string>& cast, std::int64_t start_ms) {
  // The first of the topics: brokers ask for it before the others.
  scenarios::TopicSpec& bulk = *scenario_.topics.emplace(scenario_.topics.begin());
  bulk.name = "bulk";
  bulk.partitions = 1;
  bulk.replication_factor = static_cast<std::int32_t>(cast.size());
  std::vector<std::int32_t>& assigned = bulk.assignment.emplace_back();
  for (const std::string& broker : cast) assigned.push_back(broker[broker.find('(') + 1] - '0');
  ProducerSpec load;
  load.topic = bulk.name;
  load.acks = "1";
  load.burst = 1;
  load.interval_us = within(8'000, 30'000);
  load.value_bytes = static_cast<std::int32_t>(within(30'000, 90'000));
  load.batch_bytes = 100'000;
  load.start_ms = start_ms + within(0, 50);
  load.records = within(10, 50);
  add_producer(load);
  // Clients can wait for such answers.
  scenario_.workload.request_timeout_ms = std::max<std::int64_t>(scenario_.workload.request_timeout_ms, 2'000);
  scenario_.workload.delivery_timeout_ms =
      std::max(scenario_.workload.delivery_timeout_ms, scenario_.workload.request_timeout_ms);
  if (scenario_.network.bytes_per_ms > 0)
    scenario_.network.bytes_per_ms = std::max<std::int64_t>(scenario_.network.bytes_per_ms, 10'000);
}

void Maker::release_in_reign(const std::string& partition, std::string rule, std::int64_t reign) {
  FaultSpec& release = add("release");
  release.of = std::move(rule);
  Trigger when = in_reign(partition, reign);
  if (share(60)) {
    when.event = share(50) ? "became_follower" : "became_leader";
  }
  when.after_us = pause_us();
  release.when = when;
}

}  // namespace verdict::search
