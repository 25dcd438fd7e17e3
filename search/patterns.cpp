// Faults that belong together: what it took to meet the bugs that replicated logs really had (back-to-back
// elections, old metadata, a message held across an election, ISR changes in flight, deaths in mid-write).
#include <algorithm>
#include <array>

#include "runtime/assert.h"
#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {

// Leaders of one partition go one after the other: at short intervals, or as soon as each has written a little.
void Maker::election_burst() {
  const std::string partition = some_partition();
  const std::int64_t elections = within(2, 5);
  std::int64_t at = moment(1'000);
  for (std::int64_t i = 0; i < elections && at < scenario_.phases.run_ms; ++i) {
    FaultSpec& fault = unseat(partition, at);
    if (i > 0 && share(50)) {
      fault.at_ms.reset();
      Trigger& when = fault.when.emplace();
      if (share(60)) {
        when.event = "batch_appended";
        when.match = {text("partition", partition), text("role", "leader"), at_least("epoch", i)};
        when.nth = static_cast<std::int32_t>(within(1, 12));
      } else {
        when.event = "became_leader";
        when.match = {text("partition", partition), at_least("leader_epoch", i)};
        when.after_us = share(40) ? 0 : within(1, 200'000);
      }
      if (fault.target == leader_of(partition)) fault.target = "node";
    }
    at += share(70) ? within(20, 400) : within(400, 1'000);
  }
}

// One broker does not hear of elections: its metadata fetches get no answer while its heartbeats do.
void Maker::stale_metadata() {
  const std::int64_t at = moment(800);
  const std::string deaf = some_broker();
  const std::string partition = some_partition();
  const std::int64_t lasts = within(300, 2'000);
  if (share(70)) {
    FaultSpec& hold = add("message");
    hold.at_ms = at;
    hold.api = "Fetch";
    hold.side = "response";
    hold.from = "controller";
    hold.to = deaf;
    hold.effect = share(70) ? "hold" : "delay";
    if (hold.effect == "delay") hold.delay_ms = within(100, 1'000);
    hold.count = kAllFrames;
    hold.for_ms = lasts;
  } else {
    FaultSpec& cut = add(share(60) ? "block" : "clog");
    cut.at_ms = at;
    cut.a = {"controller"};
    cut.b = {deaf};
    cut.for_ms = lasts;
  }
  const std::int64_t elections = within(1, 3);
  for (std::int64_t i = 0, then = at + within(20, 300); i < elections; ++i, then += within(30, 500))
    unseat(partition, then);
}

// A frame is on its way while leadership changes, once or twice, and arrives in another epoch.
void Maker::held_response() {
  const std::string partition = some_partition();
  const std::int64_t at = moment(1'000);
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.at_ms = at;
  hold.side = share(75) ? "response" : "request";
  hold.effect = "hold";
  hold.nth = static_cast<std::int32_t>(within(1, 3));
  hold.count = static_cast<std::int32_t>(within(1, 3));
  hold.api = share(70) ? "Fetch" : share(50) ? "AlterPartition" : "Produce";
  const std::string server = hold.api == "AlterPartition" ? "controller" : some_broker();
  const std::string client = hold.api == "Produce" ? "clients" : some_broker();
  hold.from = hold.side == "response" ? server : client;
  hold.to = hold.side == "response" ? client : server;
  hold.for_ms = within(200, 2'000);
  const std::int64_t elections = within(1, 2);
  std::int64_t then = at + within(10, 300);
  for (std::int64_t i = 0; i < elections; ++i, then += within(30, 500)) unseat(partition, then);
  if (share(60) && enabled("release")) {
    FaultSpec& release = add("release");
    release.of = id;
    Trigger& when = release.when.emplace();
    when.event = share(50) ? "became_follower" : "became_leader";
    when.match = {text("partition", partition), at_least("leader_epoch", elections)};
    when.not_before_ms = at;
    when.after_us = within(1, 100'000);
  }
}

// The leader proposes another ISR and hears nothing, while a follower falls behind and leadership may go.
void Maker::pending_isr() {
  const std::string partition = some_partition();
  const std::int64_t at = moment(1'000);
  FaultSpec& rule = add("message");
  rule.at_ms = at;
  rule.api = "AlterPartition";
  rule.side = share(60) ? "response" : "request";
  const std::string leader = share(50) ? leader_of(partition) : std::string();
  rule.from = rule.side == "response" ? "controller" : leader;
  rule.to = rule.side == "response" ? leader : "controller";
  rule.effect = share(70) ? "hold" : "delay";
  if (rule.effect == "delay") rule.delay_ms = within(100, 1'200);
  rule.count = static_cast<std::int32_t>(share(50) ? kAllFrames : within(1, 3));
  rule.for_ms = within(300, 2'000);
  const std::int64_t lag = effective("replica.lag.time.max.ms", 1'000);
  const std::int64_t place = within(0, 1);
  const std::string follower = "follower(" + partition + "," + std::to_string(place) + ")";
  FaultSpec& slow = add(share(50) ? "pause" : "partition");
  slow.at_ms = std::max<std::int64_t>(at - within(0, 200), 1);
  slow.for_ms = lag + within(0, 600);
  if (slow.action == "pause") {
    slow.target = follower;
  } else {
    slow.a = {follower};
    slow.b = {leader_of(partition)};
  }
  if (share(70)) unseat(partition, at + lag + within(0, 700));
  if (share(30)) unseat(partition, at + lag + within(300, 1'200));
}

// Deaths between two disk calls of a turn.
void Maker::doom_in_turn() {
  const std::int64_t deaths = within(1, 3);
  for (std::int64_t i = 0; i < deaths; ++i) {
    const std::string victim = some_node();
    single(share(50) ? "doom" : "doom_power", victim);
  }
}

// A follower that keeps up barely, or not at all, and then perhaps has to lead.
void Maker::slow_follower() {
  const std::string partition = some_partition();
  const std::int64_t at = moment(800);
  const std::int64_t place = within(0, 1);
  const std::string follower = "follower(" + partition + "," + std::to_string(place) + ")";
  const std::int64_t kind = within(0, 3);
  FaultSpec& slow = add(kind == 0 ? "disk_slow" : kind == 1 ? "clog" : kind == 2 ? "pause" : "slow_link");
  slow.at_ms = at;
  slow.for_ms = within(200, 2'000);
  if (slow.action == "disk_slow") {
    slow.target = follower;
    slow.latency_us = within(1'000, 50'000);
    slow.stall_us = within(0, 30'000);
  } else if (slow.action == "pause") {
    slow.target = follower;
  } else {
    slow.a = {leader_of(partition)};
    slow.b = {follower};
    if (share(50)) std::swap(slow.a, slow.b);
    if (slow.action == "slow_link") slow.delay_ms = within(10, 500);
  }
  if (share(70)) unseat(partition, at + within(50, 1'500));
}

// One broker dies again before it has caught up.
void Maker::quick_restarts() {
  const std::string victim = share(50) ? some_broker() : leader_of(some_partition());
  std::string target = victim;
  const std::int64_t times = within(2, 5);
  std::int64_t at = moment(1'000);
  for (std::int64_t i = 0; i < times; ++i) {
    constexpr std::array kWays{Weight{"kill", 5}, Weight{"power_loss", 3}, Weight{"doom", 3}, Weight{"stop", 2}};
    FaultSpec& fault = add(weighted(kWays));
    fault.at_ms = at;
    fault.target = target;
    parameters(fault);
    fault.restart_ms = within(0, 60);
    if (i == 0 && target.starts_with("leader")) target = "of(" + fault.id + ")";
    at += within(30, 500);
  }
}

// A leader that its followers and the controller don't hear while clients do.
void Maker::cut_off_leader() {
  const std::string partition = some_partition();
  const std::int64_t at = moment(800);
  FaultSpec& cut = add(share(60) ? "partition" : share(50) ? "block" : "clog");
  cut.at_ms = at;
  cut.a = {leader_of(partition)};
  cut.b = {"controller"};
  if (share(70)) cut.b.push_back("follower(" + partition + ",0)");
  if (share(50)) cut.b.push_back("follower(" + partition + ",1)");
  if (share(30)) std::swap(cut.a, cut.b);
  cut.for_ms = effective("broker.session.timeout.ms", 2'000) + within(0, 1'200);
  if (share(40)) unseat(partition, at + within(100, 1'500));
}

// Several machines lose power at once.
void Maker::blackout() {
  const std::int64_t at = moment(800);
  const std::int64_t victims = within(2, scenario_.cluster.brokers);
  const std::int64_t first = within(0, scenario_.cluster.brokers - 1);
  const std::string_view policy = share(50) ? "everything" : "all_unsynced_lost";
  for (std::int64_t i = 0; i < victims; ++i) {
    FaultSpec& fault = add("power_loss");
    fault.at_ms = at + (share(50) ? 0 : within(0, 60));
    fault.target = "broker(" + std::to_string((first + i) % scenario_.cluster.brokers + 1) + ")";
    fault.policy = policy;
    fault.restart_ms = within(50, 900);
  }
  if (share(20)) {
    FaultSpec& fault = add("power_loss");
    fault.at_ms = at;
    fault.target = "controller";
    fault.restart_ms = within(50, 600);
  }
}

// An administrator's operations meanwhile.
void Maker::topic_change() {
  const std::int64_t at = moment(1'000);
  FaultSpec& create = add("create_topic");
  create.at_ms = at;
  parameters(create);
  const std::string name = create.topic->name;
  if (!share(50)) return;
  FaultSpec& remove = add("delete_topic");
  remove.at_ms = at + within(20, 1'000);
  remove.topic.emplace();
  remove.topic->name = name;
}

void Maker::pattern(std::string_view name) {
  if (name == "election-burst") return election_burst();
  if (name == "stale-metadata") return stale_metadata();
  if (name == "held-response") return held_response();
  if (name == "pending-isr") return pending_isr();
  if (name == "doom-in-turn") return doom_in_turn();
  if (name == "slow-follower") return slow_follower();
  if (name == "quick-restarts") return quick_restarts();
  if (name == "cut-off-leader") return cut_off_leader();
  if (name == "blackout") return blackout();
  if (name == "topic-change") return topic_change();
  if (name == "reigns") return reigns();
  if (name == "returns") return returns();
  if (name == "outlived") return outlived();
  if (name == "old-news") return old_news();
  if (name == "long-answer") return long_answer();
  if (name == "earlier-life") return earlier_life();
  if (name == "late-fencing") return late_fencing();
  if (name == "shrunken") return shrunken();
  if (name == "long-away") return long_away();
  if (name == "paused-producer") return paused_producer();
  if (name == "coordinator-dies") return coordinator_dies();
  if (name == "late-marker") return late_marker();
  if (name == "late-produce") return late_produce();
  if (name == "late-verification") return late_verification();
  if (name == "given-up") return given_up();
  if (name == "late-end") return late_end();
  if (name == "second-instance") return second_instance();
  if (name == "lost-answers") return lost_answers();
  if (name == "transaction-elections") return transaction_elections();
  if (name == "paused-member") return paused_member();
  if (name == "dying-rebalance") return dying_rebalance();
  if (name == "late-commit") return late_commit();
  if (name == "late-join") return late_join();
  if (name == "back-and-forth") return back_and_forth();
  if (name == "taken-seat") return taken_seat();
  if (name == "rolling") {
    FaultSpec& fault = add("rolling_restart");
    fault.at_ms = moment(1'000);
    parameters(fault);
    return;
  }
  VERDICT_ASSERT(name == "single", "a pattern that nobody draws");
  const std::int64_t faults = within(1, 3);
  for (std::int64_t i = 0; i < faults; ++i) {
    const std::string_view action = choose("stop");
    const std::string target = some_node();
    single(action, target);
    if (action == "refuse_connects" || action == "hang_connects") {
      // Connections that stand already need none: they break, so that new ones are asked for.
      const FaultSpec refused = scenario_.faults.back();
      FaultSpec& fault = add("reset");
      fault.at_ms = refused.at_ms;
      fault.when = refused.when;
      fault.a = refused.a;
      fault.b = refused.b;
    }
  }
}

}  // namespace verdict::search
