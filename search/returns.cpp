// A leader that is deposed without a fault of its own: the preferred one is back and leads again, while the one that
// led meanwhile stays in the ISR. So leadership comes and goes among brokers that all live and hold their places, and
// what one of them has not heard of, or has and nobody else, lasts from one reign into the next.
#include <algorithm>
#include <array>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

std::int64_t short_us() { return share(60) ? within(0, 5'000) : within(5'000, 200'000); }

}  // namespace

// The preferred leader restarts and is in sync again; the next check, a second later at most, lets it lead.
void Maker::come_back(const std::vector<std::string>& cast) {
  scenarios::Properties& config = scenario_.cluster.config;
  config["leader.imbalance.check.interval.seconds"] = "1";
  if (share(70)) config["replica.socket.timeout.ms"] = "20000";
  if (effective("replica.lag.time.max.ms", 30'000) < 1'500) config["replica.lag.time.max.ms"] = "1500";
  FaultSpec& stop = add(share(70) ? "stop" : "kill");
  stop.at_ms = within(100, 500);
  stop.target = cast[0];
  stop.restart_ms = within(20, 200);
  make_time(*stop.at_ms + within(2'500, 4'500));
}

// It leads again, and not for long: who has which records, and who has heard of whom, differs through the reigns.
void Maker::returns() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 3) return reigns();
  come_back(cast);
  if (share(60)) tail(partition, cast, 40);
  if (share(50)) deaf_through(partition, cast[share(70) ? 1 : 2]);
  if (share(50)) apart_in_reign(partition, cast, within(2, 3));
  if (share(85)) depose(partition, 2);
  if (share(50)) hush(partition, within(1, 3));
  if (share(30)) depose(partition, 3);
}

// The one that leads meanwhile has records that some of the others lack, once all are in sync again; in `nobody` of a
// hundred all of them do.
void Maker::tail(const std::string& partition, const std::vector<std::string>& cast, std::int32_t nobody) {
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  rule.when = in_reign(partition, 1);
  rule.when->match.push_back(members("isr", cast.size()));
  rule.when->after_us = within(0, share(50) ? 50'000 : 300'000);
  hold_answers(rule, cast[1], share(nobody) ? std::string("brokers") : cast[share(90) ? 0 : 2]);
  rule.for_ms = within(1'000, 2'500);
  if (share(70)) release_in_reign(partition, id, 2);
}

// A broker hears of a reign when the next one has begun: of both at once, or of one after the other.
void Maker::deaf_through(const std::string& partition, const std::string& broker) {
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  rule.when = in_reign(partition, 2);
  hold_answers(rule, "controller", broker);
  rule.for_ms = within(500, 3'000);
  if (share(60)) {  // each answer has what there was when it left
    rule.effect = "delay";
    rule.delay_ms = within(200, 1'500);
  } else if (share(70)) {
    release_in_reign(partition, id, 3);
  }
}

// A member of the ISR is deposed and soon leads again, and hears of both late, of one after the other: till then it
// goes on as if it still led, and between the two it follows a leader whose time is over. The others know before it
// does.
void Maker::old_news() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 3) return reigns();
  come_back(cast);
  const std::size_t late = share(90) ? 1 : 2;
  if (share(70)) commit_by_all(partition);
  if (share(95)) tail(partition, cast, 10);
  one_by_one(partition, cast[late], 2);
  if (share(90)) miss(partition, cast[0], cast[3 - late], 2);
  if (share(80)) {
    FaultSpec& cut = add("partition");
    cut.when = in_reign(partition, 2);
    cut.when->after_us = short_us();
    cut.a = {cast[0]};
    cut.b = {"controller"};
    cut.for_ms = effective("broker.session.timeout.ms", 2'000) + within(50, 2'500);
  } else {
    depose(partition, 2);
  }
  if (share(10)) hush(partition, within(2, 3));
  if (share(10)) depose(partition, 3);
}

// The ISR's minimum is all of the replicas: while one is out of it nothing is committed, though acks=1 writes go on.
void Maker::commit_by_all(const std::string& partition) {
  scenarios::TopicSpec& topic = topic_of(partition);
  topic.config["min.insync.replicas"] = std::to_string(topic.replication_factor);
  ProducerSpec load;
  load.topic = topic.name;
  load.acks = "1";
  load.burst = 1;
  load.batch_bytes = kOneRecord;
  load.interval_us = within(6'000, 40'000);
  add_producer(load);
}

// A broker's news are late from a reign on: of that reign perhaps when the next has begun, of the next later still.
void Maker::one_by_one(const std::string& partition, const std::string& broker, std::int64_t reign) {
  const std::int64_t session = effective("broker.session.timeout.ms", 2'000);
  const bool apart = share(70);
  if (apart) {
    FaultSpec& first = add("message");
    const std::string id = first.id;
    first.when = in_reign(partition, reign);
    hold_answers(first, "controller", broker);
    first.count = 1;
    first.for_ms = session + within(300, 2'500);
    FaultSpec& release = add("release");  // not when somebody leads: that may be the broker itself
    release.of = id;
    release.when = in_reign(partition, reign + 1);
    if (share(70)) release.when->event = "became_follower";
    release.when->after_us = share(70) ? within(0, 100'000) : within(100'000, 600'000);
  }
  FaultSpec& rest = add("message");
  rest.when = in_reign(partition, reign);
  hold_answers(rest, "controller", broker);
  rest.effect = "delay";  // each answer has what there was when it left
  rest.delay_ms = apart ? within(50, session + 500) : session + within(-100, 1'000);
  rest.for_ms = within(1'500, 4'000);
}

// A broker gets nothing from the leader of a reign, or does not hear of it before the next.
void Maker::miss(const std::string& partition, const std::string& leader, const std::string& broker,
                 std::int64_t reign) {
  const std::int64_t way = within(0, 4);
  FaultSpec& fault = add(way < 2 ? "partition" : "message");
  const std::string id = fault.id;
  fault.when = in_reign(partition, reign);
  fault.for_ms = within(500, 3'000);
  if (way < 2) {
    fault.a = {leader};
    fault.b = {broker};
    return;
  }
  hold_answers(fault, way < 4 ? leader : std::string("controller"), broker);
  if (way < 4 && share(50)) return;
  FaultSpec& release = add("release");
  release.of = id;
  release.when = in_reign(partition, reign + 1);
  release.when->after_us = short_us();
}

// Two of the replicas don't hear each other through a reign.
void Maker::apart_in_reign(const std::string& partition, const std::vector<std::string>& cast, std::int64_t reign) {
  const std::size_t one = share(50) ? 2 : static_cast<std::size_t>(within(0, 1));
  FaultSpec& cut = add("partition");
  cut.when = in_reign(partition, reign);
  if (share(50)) cut.when->after_us = short_us();
  cut.a = {cast[one]};
  cut.b = {cast[(one + 1) % 3]};
  cut.for_ms = within(300, 2'600);
}

// Whoever leads then does not lead for long. Half of the time it does not hear of its end, as clients and perhaps
// other replicas don't.
void Maker::depose(const std::string& partition, std::int64_t reign) {
  FaultSpec* fault = nullptr;
  if (share(50)) {
    fault = &add("partition");
    fault->a = {leader_of(partition)};
    fault->b = {"controller"};
    for (const std::string& broker : replicas_of(partition)) {
      if (share(30)) fault->b.push_back(broker);
    }
    fault->for_ms = effective("broker.session.timeout.ms", 2'000) + within(50, 2'500);
  } else {
    fault = &unseat(partition, 1);
    fault->at_ms.reset();
  }
  fault->when = in_reign(partition, reign);
  fault->when->after_us = short_us();
}

// Clients are cut off through a reign or more: epochs without records, logs that stay as long as they are.
void Maker::hush(const std::string& partition, std::int64_t reign) {
  FaultSpec& cut = add("partition");
  cut.when = in_reign(partition, reign);
  if (share(60)) cut.when->after_us = short_us();
  cut.a = {"clients"};
  cut.b = {"brokers"};
  cut.for_ms = within(500, 5'000);
}

// Leadership leaves the preferred leader, which lives and keeps its connections, and comes back to it. What it said to
// a follower at first is heard when it leads again, and hardly anything has been written since.
void Maker::outlived() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 3) return held_response();
  come_back(cast);
  // Two checks of who is preferred, a session's end between them.
  scenario_.phases.run_ms = std::max(scenario_.phases.run_ms, within(4'500, 6'000));
  if (share(90)) tail(partition, cast, 40);
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  if (share(70)) {
    Trigger& when = rule.when.emplace();
    when.event = "divergence_answered";
    when.match = {text("partition", partition), at_least("leader_epoch", share(70) ? 2 : 1)};
    hold_answers(rule, leader_of(partition), "brokers");
  } else {
    rule.when = in_reign(partition, 2);
    hold_answers(rule, cast[0], share(60) ? cast[1] : share(50) ? cast[2] : std::string("brokers"));
  }
  if (share(80)) rule.count = static_cast<std::int32_t>(within(1, 3));
  if (share(15)) {
    rule.effect = "delay";
    rule.delay_ms = within(500, 3'000);
  }
  rule.for_ms = within(1'500, 5'000);
  if (rule.effect == "hold" && share(70)) release_in_reign(partition, id, share(80) ? 4 : 3);
  outvote(partition, cast[0], 2);
  if (share(90)) hush(partition, share(70) ? 2 : 3);
}

// Fenced, although it lives and most of the others hear it.
void Maker::outvote(const std::string& partition, const std::string& leader, std::int64_t reign) {
  constexpr std::array kWays{Weight{"message", 4}, Weight{"partition", 3}, Weight{"pause", 2}, Weight{"isolate", 1}};
  FaultSpec& fault = add(weighted(kWays));
  fault.when = in_reign(partition, reign);
  if (share(40)) fault.when->event = "divergence_answered";  // not before it has said something
  fault.when->after_us = short_us();
  if (fault.action == "message") {
    unheard(fault, leader);
  } else if (fault.action == "partition") {
    fault.a = {leader};
    fault.b = {"controller"};
  } else {
    fault.target = leader;
  }
  fault.for_ms = effective("broker.session.timeout.ms", 2'000) + within(20, 800);
}

}  // namespace verdict::search
