// A broker that is away for longer than the others keep records. Once it is back they have nothing left of what it
// would be compared with: of the time before it went, of what it wrote alone, or of what it missed.
#include <algorithm>
#include <array>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::array kAbsences{Weight{"partition", 6}, Weight{"down", 3}, Weight{"pause", 2}};

}  // namespace

// Records of the topic go soon, and whoever lives commits without the one that is away.
void Maker::keep_little(scenarios::TopicSpec& topic) {
  scenarios::Properties& cluster = scenario_.cluster.config;
  cluster["log.retention.check.interval.ms"] = std::to_string(one_of({50, 200, 500}));
  scenarios::Properties& config = topic.config;
  const bool by_size = share(40);
  if (by_size) config["retention.bytes"] = std::to_string(one_of({0, 500, 2'000}));
  if (!by_size || share(20)) config["retention.ms"] = std::to_string(one_of({100, 300, 800}));
  config["internal.segment.bytes"] = std::to_string(one_of({400, 600, 1'500}));
  const auto replicas = topic.assignment.front().size();
  if (replicas > 1 && config["min.insync.replicas"] == std::to_string(replicas))
    config["min.insync.replicas"] = std::to_string(replicas - 1);
}

// Mostly the leader goes, with records that nobody else has; sometimes one that follows.
void Maker::long_away() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 2) return cut_off_leader();
  scenarios::TopicSpec& kept = topic_of(partition);
  keep_little(kept);
  const std::string topic = kept.name;
  const std::int64_t at = within(150, 1'200);
  const std::int64_t session = effective("broker.session.timeout.ms", 2'000);
  const std::int64_t away = session + within(200, 2'500);
  make_time(at + away + 400);
  const bool leads = share(75);
  const std::string gone = leads ? cast.front() : cast[static_cast<std::size_t>(within(1, std::ssize(cast) - 1))];
  if (leads && share(60)) {  // somebody who waits for no follower
    ProducerSpec load = producer(topic, 1);
    load.idempotent = false;
    load.acks = share(80) ? "1" : "0";
    if (share(50)) load.stop_ms = at + within(100, away);
    add_producer(load);
  }
  if (share(60)) {  // and somebody who never knew it as leader
    ProducerSpec load = producer(topic, 1);
    load.start_ms = at + within(session, away);
    if (share(70)) load.records = within(1, 40);
    load.stop_ms = 0;
    add_producer(load);
  }
  if (share(60)) {  // where one log is cut another may begin
    for (ProducerSpec& load : scenario_.workload.producers) {
      if (load.topic == topic) load.batch_bytes = kOneRecord;
    }
  }
  std::vector<std::string> others{"controller"};
  for (const std::string& broker : cast) {
    if (broker != gone) others.push_back(broker);
  }
  const std::string_view way = weighted(kAbsences);
  if (leads && (way != "partition" || share(30))) {  // nobody copies any more
    FaultSpec& alone = add("message");
    alone.at_ms = std::max<std::int64_t>(at - within(50, 800), 1);
    hold_answers(alone, gone, "brokers");
    alone.for_ms = at - *alone.at_ms + away;
  }
  FaultSpec& absence = way == "down" ? lose(gone) : add(way);
  absence.at_ms = at;
  if (way == "down") {
    absence.restart_ms = away;
  } else {
    absence.for_ms = away;
  }
  if (way == "pause") absence.target = gone;
  if (way == "partition") {
    absence.a = {gone};
    absence.b = others;
    for (const ProducerSpec& load : scenario_.workload.producers) {
      if (share(35)) absence.b.push_back(client(load.client));
    }
  }
  meanwhile(partition, others, away);
}

// What the others do before it is back: they write on and on, or little, in one epoch or in several.
void Maker::meanwhile(const std::string& partition, const std::vector<std::string>& others, std::int64_t away) {
  if (share(65)) {
    FaultSpec& quiet = add("partition");
    Trigger& when = quiet.when.emplace();
    when.event = "batch_appended";
    when.match = {text("partition", partition), text("role", "leader"), at_least("epoch", 1)};
    when.nth = static_cast<std::int32_t>(within(1, 40));
    quiet.a = {"clients"};
    quiet.b = others;
    quiet.for_ms = (share(60) ? away : 0) + within(300, 2'000);
  }
  if (share(25)) {
    FaultSpec& fault = unseat(partition, 1);
    fault.at_ms.reset();
    fault.when = in_reign(partition, 1);
    fault.when->after_us = within(0, 800'000);
  }
  if (share(30)) {  // somebody else leads as soon as it is in sync again
    FaultSpec& fault = unseat(partition, 1);
    fault.at_ms.reset();
    fault.when = in_reign(partition, 1);
    fault.when->match.push_back(members("isr", replicas_of(partition).size()));
    if (share(60)) fault.when->after_us = within(0, 300'000);
  }
}

}  // namespace verdict::search
