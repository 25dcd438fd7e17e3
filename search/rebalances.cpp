// What hurts groups: members that stand still while others take their place, coordinators that go in a rebalance, and
// commits that arrive in another generation than they left in.
#include <algorithm>
#include <array>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

// A group's coordinator writes: one of the first `most` times.
scenarios::Trigger written(const std::string& partition, std::int64_t most) {
  scenarios::Trigger trigger;
  trigger.event = "batch_appended";
  trigger.match = {text("partition", partition), text("role", "leader")};
  trigger.nth = static_cast<std::int32_t>(within(1, most));
  return trigger;
}

}  // namespace

// Past its session, so that others rebalance without it; then it goes on with what it was about to commit.
void Maker::paused_member() {
  const std::int32_t number = member();
  const std::int64_t session = session_of(number);
  const std::int64_t at = moment(session + 300);
  make_time(at + session + 1'200);
  FaultSpec& still = add("pause");
  still.target = client(number);
  still.for_ms = share(75) ? session + within(0, 900) : within(50, session);
  if (share(50)) {
    still.at_ms = at;
  } else {  // as it has committed, or is about to
    still.when = written(offsets_partition(), 6);
    still.when->not_before_ms = at;
    still.when->after_us = within(0, 5'000);
  }
  if (share(30)) {
    const std::int32_t other = member();
    FaultSpec& again = add("pause");
    again.target = client(other);
    again.at_ms = at + session + within(0, 700);
    again.for_ms = session_of(other) + within(0, 500);
  }
  if (share(30)) unseat(offsets_partition(), at + session + within(0, 700));
}

// A member goes, and in the rebalance that follows its coordinator.
void Maker::dying_rebalance() {
  const std::int32_t number = member();
  const std::int64_t session = session_of(number);
  const std::int64_t at = moment(session + 500);
  make_time(at + session + 1'200);
  const std::int64_t how = within(0, 9);
  FaultSpec& begins = add(how < 2 ? "kill" : how < 6 ? "pause" : "message");
  begins.at_ms = at;
  if (begins.action == "message") {
    begins.api = group_api(share(75) ? "Heartbeat" : "SyncGroup");
    begins.side = "request";
    begins.from = client(number);
    begins.effect = "hold";
    begins.count = kAllFrames;
    begins.for_ms = session + within(0, 900);
  } else {
    begins.target = client(number);
    if (begins.action == "pause") begins.for_ms = session + within(0, 900);
  }
  const std::string partition = offsets_partition();
  unseat(partition, at + session + within(0, 500));
  if (share(40)) unseat(partition, at + session + within(300, 1'200));
}

// A commit of one generation arrives in another: of the member itself, or of the transaction that it makes.
void Maker::late_commit() {
  const std::int32_t number = member();
  const std::int64_t session = session_of(number);
  const std::int64_t at = moment(session + 300);
  make_time(at + session + 1'500);
  const std::string partition = offsets_partition();
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.at_ms = at;
  hold.api = load_ == "transforms" ? "TxnOffsetCommit" : "OffsetCommit";
  hold.side = share(80) ? "request" : "response";
  (hold.side == "request" ? hold.from : hold.to) = client(number);
  hold.effect = "hold";
  hold.nth = static_cast<std::int32_t>(within(1, 3));
  hold.for_ms = session + within(0, 1'500);
  if (share(60)) {  // it hears nothing either, so that its session ends
    FaultSpec& still = add("pause");
    still.at_ms = at + within(10, 200);
    still.target = client(number);
    still.for_ms = session + within(0, 900);
  }
  if (share(40)) {
    FaultSpec& release = add("release");
    release.of = id;
    release.when = written(partition, 8);
    release.when->not_before_ms = at + within(session / 2, session + 500);
    release.when->after_us = within(0, 50'000);
  }
  if (share(30)) unseat(partition, at + within(0, session + 500));
}

// One that joins, or is told what it got, is late, while the others go on.
void Maker::late_join() {
  const std::int64_t at = moment(1'000);
  const std::int32_t number = member();
  FaultSpec& hold = add("message");
  hold.at_ms = at;
  hold.api = group_api(share(50) ? "JoinGroup" : "SyncGroup");
  hold.side = share(40) ? "request" : "response";
  (hold.side == "request" ? hold.from : hold.to) = client(number);
  hold.effect = share(60) ? "hold" : share(50) ? "delay" : "reset";
  if (hold.effect == "delay") hold.delay_ms = within(50, 1'200);
  hold.count = static_cast<std::int32_t>(within(1, 3));
  hold.for_ms = within(200, 2'500);
  // Something must make them join again.
  const std::int32_t other = member();
  FaultSpec& still = add("pause");
  still.at_ms = at;
  still.target = client(other);
  still.for_ms = session_of(other) + within(0, 600);
  if (share(40)) unseat(offsets_partition(), at + within(0, 1'200));
}

std::vector<scenarios::ConsumerSpec*> Maker::one_group(std::string_view protocol) {
  std::vector<scenarios::ConsumerSpec*> group;
  for (scenarios::ConsumerSpec& one : scenario_.workload.consumers) {
    if (one.protocol != protocol || one.group.empty()) continue;
    if (group.empty() || one.group == group.front()->group) group.push_back(&one);
  }
  return group;
}

// Members are told late to give something up, and when they say again what they have, it is to be their own again:
// whoever was to have it has left. Then that one comes back. Of a group of the consumer protocol.
void Maker::back_and_forth() {
  std::vector<scenarios::ConsumerSpec*> group = one_group("consumer");
  if (group.size() < 2) return late_join();
  const std::int64_t beat = effective("group.consumer.heartbeat.interval.ms", 0);
  scenarios::ConsumerSpec& goes = *group.back();
  group.pop_back();
  goes.instance.clear();
  goes.stay_ms = 2 * beat + within(0, 300);
  goes.away_ms = within(100, 600);
  const std::int64_t at = moment(2'000);
  make_time(at + 2 * goes.stay_ms + 2'000);
  // Of more members than partitions one has nothing to give up.
  const std::size_t shares = scenario_.topics.front().assignment.size();
  for (std::size_t i = shares - 1; i < group.size(); ++i) group[i]->start_ms = scenario_.phases.run_ms;
  Trigger joins;
  joins.event = "group_member_moved";
  joins.match = {text("group", goes.group), text("change", "joined")};
  joins.nth = static_cast<std::int32_t>(within(1, 2));
  joins.not_before_ms = at;
  std::vector<std::string> others;
  for (const scenarios::ConsumerSpec* stays : group) {
    others.push_back(client(stays->client));
    FaultSpec& hold = add("message");
    hold.when = joins;
    hold.api = "ConsumerGroupHeartbeat";
    hold.side = "response";
    hold.to = others.back();
    hold.effect = "hold";
    hold.for_ms = 2 * goes.stay_ms + within(0, 500);
  }
  // Whether it was in the group at that moment, so that it leaves once more before it joins, is not known.
  for (std::int32_t i = 0; i < 2; ++i) {
    FaultSpec& cut = add("reset");
    cut.when = joins;
    cut.when->match.back() = text("change", "removed");
    cut.when->nth = joins.nth + i;
    cut.when->after_us = share(70) ? within(0, 3'000) : within(0, 100'000);
    cut.a = others;
    cut.b = {"brokers"};
  }
  if (share(20)) unseat(offsets_partition(), at + within(0, 1'500));
}

// A static member stands still while a new one makes the others join again, and somebody takes its place meanwhile. Of
// a classic group.
void Maker::taken_seat() {
  const std::vector<scenarios::ConsumerSpec*> group = one_group("classic");
  if (group.size() < 3) return late_join();
  scenarios::ConsumerSpec& older = *group.front();
  scenarios::ConsumerSpec& comes = *group[group.size() - 2];
  scenarios::ConsumerSpec& newer = *group.back();
  scenarios::WorkloadSpec& load = scenario_.workload;
  load.request_timeout_ms = std::max<std::int64_t>(load.request_timeout_ms, 1'000);  // so long the others wait
  const std::int64_t at = moment(2'000);
  make_time(at + load.request_timeout_ms + 2'500);
  for (scenarios::ConsumerSpec* one : {&older, &comes, &newer}) {
    one->stay_ms = 0;
    // It outlasts the pause; and a heartbeat in a fifth of it tells of a rebalance while the others wait.
    one->session_timeout_ms = 3 * load.request_timeout_ms;
  }
  older.start_ms = 0;
  older.instance = newer.instance = "seat-0";
  comes.instance.clear();
  comes.start_ms = at + within(20, 300);
  newer.start_ms = comes.start_ms + within(50, load.request_timeout_ms);
  FaultSpec& still = add("pause");
  still.at_ms = at;
  still.target = client(older.client);
  still.for_ms = newer.start_ms - at + within(100, 1'500);
  if (share(20)) unseat(offsets_partition(), newer.start_ms + within(0, 500));
}

}  // namespace verdict::search
