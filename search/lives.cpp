// Brokers that come back as another incarnation, with less than they had, while something of the earlier life is
// still on its way; and members that the ISR has lost, or is about to take.
#include <algorithm>
#include <array>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::array kDeaths{Weight{"power_loss", 6}, Weight{"kill", 2}, Weight{"doom_power", 2}};

std::int64_t id_of(const std::string& broker) { return broker[broker.find('(') + 1] - '0'; }

scenarios::Condition number(const char* field, std::int64_t value) {
  return {.field = field, .kind = scenarios::Condition::Kind::number, .min = value, .text = {}};
}

}  // namespace

// All answers to fetches, from here on.
void Maker::hold_answers(FaultSpec& rule, const std::string& from, const std::string& to) {
  rule.api = "Fetch";
  rule.side = "response";
  rule.effect = "hold";
  rule.from = from;
  rule.to = to;
  rule.count = kAllFrames;
}

// Dies and returns with what its disk kept: all, the synced part, or nothing.
Maker::FaultSpec& Maker::lose(const std::string& broker) {
  const bool imaged = std::ranges::find(scenario_.faults, "older_disk", &FaultSpec::action) != scenario_.faults.end();
  FaultSpec& fault = add(broker == damaged() && !imaged && share(60) ? "wipe" : weighted(kDeaths));
  fault.target = broker;
  parameters(fault);
  if (fault.action == "power_loss" && share(60)) fault.policy = "all_unsynced_lost";
  if (fault.action == "doom_power") fault.nth_call = within(1, 5);
  fault.restart_ms = within(0, 400);
  return fault;
}

// Something that a broker said before it died is heard after it came back.
void Maker::earlier_life() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 2) return quick_restarts();
  std::string broker = cast[static_cast<std::size_t>(within(1, static_cast<std::int64_t>(cast.size()) - 1))];
  if (share(60) && std::ranges::find(cast, damaged()) != cast.end()) broker = damaged();
  const std::string leader = broker != cast.front() && share(50) ? cast.front() : leader_of(partition);
  const std::int64_t at = moment(1'500);
  make_time(at + 2'500);
  const bool proposed = share(50);
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.effect = "hold";
  hold.for_ms = within(300, 3'000);
  std::int64_t starve_ms = at;
  if (proposed) {
    hold.api = "AlterPartition";
    hold.side = share(70) ? "request" : "response";
    hold.from = hold.side == "request" ? leader : "controller";
    hold.to = hold.side == "request" ? "controller" : leader;
    hold.count = kAllFrames;
    Trigger& when = hold.when.emplace();
    when.event = "isr_proposed";
    when.match = {text("partition", partition), members("proposed", cast.size())};
    when.not_before_ms = at;
    FaultSpec& still = add("pause");
    still.at_ms = at;
    still.target = broker;
    still.for_ms = effective("replica.lag.time.max.ms", 1'000) + within(100, 700);
    starve_ms = at + still.for_ms;
  } else {
    hold.api = "Fetch";
    hold.side = "request";
    hold.from = broker;
    hold.to = leader;
    hold.count = static_cast<std::int32_t>(within(1, 2));
    hold.at_ms = at;
    starve_ms = at + within(0, 300);
  }
  FaultSpec& death = lose(broker);
  if (proposed) {
    Trigger& when = death.when.emplace();
    when.event = "isr_proposed";
    when.match = {text("partition", partition), members("proposed", cast.size())};
    when.not_before_ms = at;
    when.after_us = within(0, 30'000);
  } else {
    death.at_ms = starve_ms;
  }
  if (share(70)) {  // it stays behind for a while
    FaultSpec& starve = add("message");
    starve.at_ms = starve_ms;
    hold_answers(starve, leader, broker);
    starve.for_ms = within(500, 3'500);
  }
  if (share(70)) {
    FaultSpec& release = add("release");
    release.of = id;
    Trigger& when = release.when.emplace();
    when.event = "broker_registered";
    when.match = {number("broker", id_of(broker))};
    when.not_before_ms = starve_ms;
    when.after_us = within(1, 600'000);
  }
  if (share(40)) unseat(partition, starve_ms + within(500, 2'000));
}

// A session ends while the controller stands still, and the next thing that it hears is of the broker's next life.
void Maker::late_fencing() {
  const std::string partition = some_partition();
  const std::int64_t session = effective("broker.session.timeout.ms", 2'000);
  const std::int64_t at = moment(session + 300);
  make_time(at + session + 1'200);
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.empty()) return quick_restarts();
  const std::string broker =
      share(60) ? cast.front() : cast[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(cast.size()) - 1))];
  FaultSpec& death = lose(broker);
  death.at_ms = at;
  death.restart_ms = within(0, session);
  FaultSpec& still = add("pause");
  still.at_ms = std::max<std::int64_t>(at + session - within(1, 500), 1);
  still.target = "controller";
  still.for_ms = within(200, 1'500);
}

// A follower falls out of the ISR, what it held back is committed, and then its leader goes. Whoever leads next may not
// know yet what was; the one that fell out is back soon.
void Maker::shrunken() {
  const std::string partition = some_partition();
  const std::vector<std::string> cast = replicas_of(partition);
  if (cast.size() < 2) return slow_follower();
  const std::int64_t at = moment(1'500);
  const std::string follower = cast[static_cast<std::size_t>(within(1, static_cast<std::int64_t>(cast.size()) - 1))];
  const std::string leader = leader_of(partition);
  const std::int64_t lag = effective("replica.lag.time.max.ms", 1'000);
  make_time(at + lag + 1'500);
  const std::int64_t kind = within(0, 3);
  FaultSpec& cut = add(kind == 0 ? "pause" : kind == 1 ? "message" : "partition");
  cut.at_ms = at;
  if (cut.action == "pause") {
    cut.target = follower;
  } else if (cut.action == "partition") {
    cut.a = {follower};
    cut.b = {share(70) ? cast.front() : leader};
  } else {
    hold_answers(cut, cast.front(), follower);
  }
  cut.for_ms = lag + within(200, 2'000);
  FaultSpec& fault = unseat(partition, at);
  fault.at_ms.reset();
  Trigger& when = fault.when.emplace();
  when.not_before_ms = at;
  if (share(60)) {
    when.event = "high_watermark_advanced";
    when.match = {text("partition", partition), text("role", "leader"), members("maximal_isr", cast.size() - 1)};
    when.nth = static_cast<std::int32_t>(share(60) ? 1 : within(2, 6));
  } else {
    when.event = share(50) ? "isr_adopted" : "partition_decided";
    when.match = {text("partition", partition), members("isr", cast.size() - 1)};
    if (share(60)) when.after_us = within(1, 60'000);
  }
  if (share(60)) {  // and its answers are late
    FaultSpec& late = add("message");
    late.when = in_reign(partition, 1);
    late.api = "Fetch";
    late.side = "response";
    late.from = share(50) ? leader : std::string("brokers");
    late.to = follower;
    late.effect = "delay";
    late.delay_ms = within(10, 300);
    late.count = static_cast<std::int32_t>(within(1, 30));
  }
  if (share(50)) {
    FaultSpec& again = unseat(partition, at);
    again.at_ms.reset();
    again.when = in_reign(partition, 1);
    again.when->match.push_back(members("isr", share(50) ? 2 : cast.size()));
    again.when->after_us = share(50) ? 0 : within(1, 300'000);
  }
}

}  // namespace verdict::search
