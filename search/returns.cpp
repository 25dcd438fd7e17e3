// A leader that is deposed without a fault of its own: the preferred one is back and leads again, while the one that
// led meanwhile stays in the ISR. So leadership comes and goes among brokers that all live and hold their places, and
// what one of them has not heard of, or has and nobody else, lasts from one reign into the next.
#include <algorithm>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

std::int64_t short_us() { return share(60) ? within(0, 5'000) : within(5'000, 200'000); }

}  // namespace

// The preferred leader restarts and is in sync again; within a second it leads.
void Maker::returns() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 3) return reigns();
  scenarios::Properties& config = scenario_.cluster.config;
  config["leader.imbalance.check.interval.seconds"] = "1";
  if (share(70)) config["replica.socket.timeout.ms"] = "20000";
  if (effective("replica.lag.time.max.ms", 30'000) < 1'500) config["replica.lag.time.max.ms"] = "1500";
  FaultSpec& stop = add(share(70) ? "stop" : "kill");
  stop.at_ms = within(100, 500);
  stop.target = cast[0];
  stop.restart_ms = within(20, 200);
  make_time(*stop.at_ms + within(2'500, 4'500));
  if (share(60)) tail(partition, cast);
  if (share(50)) deaf_through(partition, cast[share(70) ? 1 : 2]);
  if (share(50)) apart_in_reign(partition, cast, within(2, 3));
  if (share(85)) depose(partition, 2);
  if (share(50)) hush(partition, within(1, 3));
  if (share(40)) hold_divergence(partition, within(3, 4));
  if (share(30)) depose(partition, 3);
}

// The one that leads meanwhile has records that some or all of the others lack, once all are in sync again.
void Maker::tail(const std::string& partition, const std::vector<std::string>& cast) {
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  rule.when = in_reign(partition, 1);
  rule.when->match.push_back(members("isr", cast.size()));
  rule.when->after_us = within(0, 300'000);
  hold_answers(rule, cast[1], share(40) ? std::string("brokers") : cast[share(80) ? 0 : 2]);
  rule.for_ms = within(500, 2'500);
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

// An old leader's word that logs part is heard in a later reign.
void Maker::hold_divergence(const std::string& partition, std::int64_t until) {
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  Trigger& when = rule.when.emplace();
  when.event = "divergence_answered";
  when.match = {text("partition", partition)};
  hold_answers(rule, leader_of(partition), "brokers");
  rule.count = share(70) ? 1 : kAllFrames;
  rule.for_ms = within(500, 5'000);
  if (share(60)) release_in_reign(partition, id, until);
}

}  // namespace verdict::search
