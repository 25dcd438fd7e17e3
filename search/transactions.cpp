// What hurts transactions: clients that stand still past their time-outs, coordinators that go in the middle of a
// transition, and single messages that arrive when what they belong to is over.
#include <algorithm>
#include <array>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::array kTransitions{
    Weight{"Ongoing", 4},        Weight{"PrepareCommit", 6}, Weight{"PrepareAbort", 6},
    Weight{"CompleteCommit", 3}, Weight{"CompleteAbort", 3}, Weight{"Empty", 1},
};

std::string id_of(const scenarios::ProducerSpec& load) { return transactional_id_of(load, load.client); }

std::int64_t soon_us() { return share(40) ? 0 : share(60) ? within(1, 3'000) : within(3'000, 60'000); }

}  // namespace

// In the middle of a transaction, until it is aborted; then it goes on with what it was about to send.
void Maker::paused_producer() {
  ProducerSpec& load = transactional();
  if (share(70)) load.transaction_timeout_ms = std::min<std::int64_t>(load.transaction_timeout_ms, within(150, 900));
  const std::int64_t wait = patience(load);
  const std::int64_t at = moment(wait + 300);
  FaultSpec& still = add("pause");
  still.target = client(load.client);
  still.when = share(60) ? moved(id_of(load), "Ongoing") : appended("");
  still.when->not_before_ms = at;
  still.when->after_us = soon_us();
  still.for_ms = share(70) ? wait + within(0, 700) : within(50, wait);
  make_time(at + still.for_ms + 600);
  if (share(40)) {
    const std::string partition = share(50) ? transactions_partition() : data_partition();
    unseat(partition, at + within(0, wait + 300));
  }
}

// Once or twice, at one of the steps of a transaction's end.
void Maker::coordinator_dies() {
  const std::int64_t at = moment(800);
  const std::int64_t deaths = share(40) ? 2 : 1;
  for (std::int64_t i = 0; i < deaths; ++i) {
    const std::string partition = transactions_partition();
    FaultSpec& fault = unseat(partition, at);
    fault.at_ms.reset();
    fault.when = share(80) ? moved("", weighted(kTransitions)) : appended(share(50) ? "commit" : "abort");
    fault.when->not_before_ms = at + i * within(50, 800);
    fault.when->after_us = soon_us();
    if (i > 0 && fault.when->event == "transaction_moved" && share(60))
      fault.when->match.push_back(at_least("coordinator_epoch", 1));
  }
}

// A marker is on its way while whoever shall write it goes, or who has sent it.
void Maker::late_marker() {
  const std::int64_t at = moment(1'000);
  const std::string into = has_groups() && share(40) ? offsets_partition() : data_partition();
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.api = "WriteTxnMarkers";
  hold.side = share(65) ? "request" : "response";
  const std::string broker = share(60) ? leader_of(into) : std::string();
  (hold.side == "request" ? hold.to : hold.from) = broker;
  hold.effect = share(75) ? "hold" : "delay";
  if (hold.effect == "delay") hold.delay_ms = within(50, 1'500);
  const bool held = hold.effect == "hold";
  hold.count = static_cast<std::int32_t>(share(40) ? kAllFrames : within(1, 3));
  hold.for_ms = within(200, 2'500);
  if (share(50)) {
    hold.at_ms = at;
  } else {
    hold.when = moved("", share(50) ? "PrepareAbort" : "PrepareCommit");
    hold.when->not_before_ms = at;
  }
  const std::string goes = share(60) ? into : transactions_partition();
  if (share(75)) unseat(goes, at + within(10, 500));
  if (share(30)) unseat(share(50) ? into : transactions_partition(), at + within(100, 1'000));
  if (held && share(60)) {
    FaultSpec& release = add("release");
    release.of = id;
    Trigger& when = release.when.emplace();
    when.event = share(70) ? "became_leader" : "became_follower";
    when.match = {text("partition", goes), at_least("leader_epoch", 1)};
    when.not_before_ms = at;
    when.after_us = within(1, 300'000);
  }
}

// Records are on their way while their transaction is aborted, and perhaps the next one has begun.
void Maker::late_produce() {
  ProducerSpec& load = transactional();
  scenarios::WorkloadSpec& work = scenario_.workload;
  if (share(70)) load.transaction_timeout_ms = within(150, std::max<std::int64_t>(work.request_timeout_ms - 100, 200));
  if (share(30)) work.delivery_timeout_ms = work.request_timeout_ms + within(0, 300);
  const std::int64_t wait = std::min(patience(load), work.delivery_timeout_ms);
  const std::int64_t at = moment(wait + 300);
  make_time(at + wait + 900);
  const std::string identity = id_of(load);
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.api = "Produce";
  hold.side = "request";
  hold.from = client(load.client);
  hold.effect = "hold";
  hold.nth = static_cast<std::int32_t>(share(70) ? 1 : within(2, 4));
  hold.count = static_cast<std::int32_t>(within(1, 2));
  hold.for_ms = wait + within(0, 1'500);
  hold.when = moved(identity, "Ongoing");
  hold.when->not_before_ms = at;
  if (share(70)) {
    FaultSpec& release = add("release");
    release.of = id;
    if (share(60)) {
      constexpr std::array kThen{Weight{"CompleteAbort", 5}, Weight{"PrepareAbort", 2}, Weight{"Ongoing", 3}};
      release.when = moved(identity, weighted(kThen));
      release.when->nth = static_cast<std::int32_t>(within(1, 2));
    } else {
      release.when = appended("abort");
      release.when->nth = 1;
    }
    release.when->not_before_ms = at + within(50, wait);
    release.when->after_us = soon_us();
  }
  if (share(30)) unseat(data_partition(), at + within(0, wait));
}

// The word that a transaction goes on is on its way from its coordinator to a leader that asked for it, while its time
// runs out and its marker overtakes the word.
void Maker::late_verification() {
  ProducerSpec& load = transactional();
  load.transaction_timeout_ms = std::min<std::int64_t>(load.transaction_timeout_ms, within(150, 700));
  const std::string identity = id_of(load);
  const std::int64_t wait = patience(load);
  const std::int64_t at = moment(wait + 300);
  make_time(at + wait + 900);
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.api = "AddPartitionsToTxn";
  hold.side = share(75) ? "response" : "request";
  (hold.side == "response" ? hold.from : hold.to) = leader_of(transactions_partition());
  (hold.side == "response" ? hold.to : hold.from) = "brokers";
  hold.effect = "hold";
  hold.count = static_cast<std::int32_t>(within(1, 3));
  hold.for_ms = wait + within(100, 1'500);
  hold.when = moved(identity, "Ongoing");
  hold.when->not_before_ms = at;
  if (!share(70)) return;
  FaultSpec& release = add("release");
  release.of = id;
  release.when = moved(identity, share(70) ? "CompleteAbort" : "PrepareAbort");
  release.when->nth = 1;
  release.when->not_before_ms = at + within(50, wait);
  release.when->after_us = soon_us();
}

// The same word is late, and its producer gives the batch up and aborts by itself. It speaks transaction version 1, so
// that its epoch is still the one that the word is about.
void Maker::given_up() {
  ProducerSpec& load = transactional();
  scenarios::WorkloadSpec& work = scenario_.workload;
  load.transaction_timeout_ms = std::max<std::int64_t>(load.transaction_timeout_ms, 5'000);
  if (share(70)) load.lives = 0;
  work.delivery_timeout_ms = within(150, 500);
  work.request_timeout_ms = std::max<std::int64_t>(work.request_timeout_ms, 1'000);
  const std::string identity = id_of(load);
  for (ProducerSpec& one : work.producers) {
    if (id_of(one) == identity) one.transaction_version = 1;  // see coordinated_clients()
  }
  const std::int64_t wait = work.delivery_timeout_ms;
  const std::int64_t at = moment(wait + 600);
  make_time(at + wait + 1'500);
  Trigger begins = moved(identity, "Ongoing");
  begins.not_before_ms = at;
  FaultSpec& hold = add("message");
  const std::string id = hold.id;
  hold.api = "AddPartitionsToTxn";
  hold.side = "response";
  hold.to = "brokers";
  hold.effect = "hold";
  hold.count = static_cast<std::int32_t>(within(1, 2));
  hold.for_ms = wait + within(300, 1'500);
  hold.when = begins;
  FaultSpec& cut = add("reset");
  cut.when = begins;
  cut.when->after_us = wait * 1'000 + within(0, 100'000);
  cut.a = {client(load.client)};
  cut.b = {"brokers"};
  if (!share(80)) return;
  FaultSpec& release = add("release");
  release.of = id;
  release.when = moved(identity, share(80) ? "CompleteAbort" : "Ongoing");
  release.when->nth = 1;
  release.when->not_before_ms = at + wait;
  release.when->after_us = soon_us();
}

// What asks for the end, or answers that, is lost or late, so that it is asked for again.
void Maker::late_end() {
  const ProducerSpec& load = transactional();
  const std::string identity = id_of(load);
  const std::string asks = client(load.client);
  const std::int64_t wait = scenario_.workload.request_timeout_ms;
  const std::int64_t at = moment(wait + 500);
  make_time(at + wait + 900);
  FaultSpec& rule = add("message");
  const std::string id = rule.id;
  rule.api = share(85) ? "EndTxn" : "AddPartitionsToTxn";
  rule.at_ms = at;
  rule.side = share(55) ? "request" : "response";
  (rule.side == "request" ? rule.from : rule.to) = asks;
  const std::int32_t held = rule.side == "request" ? 85 : 40;
  rule.effect = share(held) ? "hold" : share(70) ? "reset" : "delay";
  if (rule.effect == "delay") rule.delay_ms = wait + within(0, 500);
  rule.nth = static_cast<std::int32_t>(within(1, 3));
  rule.count = static_cast<std::int32_t>(share(70) ? 1 : 2);
  rule.for_ms = wait + within(0, 1'500);
  if (rule.effect == "hold" && share(70)) {
    FaultSpec& release = add("release");
    release.of = id;
    constexpr std::array kThen{Weight{"Ongoing", 5}, Weight{"CompleteCommit", 3}, Weight{"CompleteAbort", 2},
                               Weight{"PrepareCommit", 2}};
    release.when = moved(identity, weighted(kThen));
    release.when->not_before_ms = at + (share(60) ? wait * 3 / 4 : within(50, wait));
    release.when->after_us = soon_us();
  }
  if (share(35)) unseat(transactions_partition(), at + within(0, wait));
}

// Another one takes over an id while its owner stands still, or while its messages do.
void Maker::second_instance() {
  if (load_ != "zombies") return paused_producer();
  ProducerSpec& first = scenario_.workload.producers[0];
  ProducerSpec& second = scenario_.workload.producers[1];
  const std::int64_t at = within(200, std::max<std::int64_t>(scenario_.phases.run_ms / 2, 300));
  second.start_ms = at + within(0, 400);
  make_time(second.start_ms + 1'500);
  FaultSpec& still = add(share(75) ? "pause" : "message");
  still.when = share(70) ? moved("shared", "Ongoing") : appended("");
  still.when->not_before_ms = at;
  still.when->after_us = soon_us();
  still.for_ms = second.start_ms - at + within(100, 1'500);
  if (still.action == "pause") {
    still.target = client(first.client);
  } else {
    still.api = share(70) ? "Produce" : "EndTxn";
    still.side = "request";
    still.effect = "hold";
    still.from = client(first.client);
    still.count = static_cast<std::int32_t>(within(1, 3));
  }
  if (share(50)) {
    FaultSpec& late = add("message");
    late.at_ms = second.start_ms;
    late.api = "InitProducerId";
    late.side = share(50) ? "request" : "response";
    late.effect = share(60) ? "hold" : "reset";
    late.for_ms = within(100, 1'500);
  }
  if (share(40)) unseat(share(60) ? transactions_partition() : data_partition(), at + within(0, 900));
}

// Answers to records are lost, or one batch of several is, and the leader goes.
void Maker::lost_answers() {
  const std::string partition = data_partition();
  const std::int64_t at = moment(800);
  FaultSpec& rule = add("message");
  rule.at_ms = at;
  rule.api = "Produce";
  rule.side = share(70) ? "response" : "request";
  const std::string sender = share(50) ? client(transactional().client) : std::string("clients");
  rule.from = rule.side == "request" ? sender : leader_of(partition);
  rule.to = rule.side == "request" ? leader_of(partition) : sender;
  rule.effect = share(50) ? "reset" : "hold";
  rule.nth = static_cast<std::int32_t>(within(1, 6));
  rule.count = static_cast<std::int32_t>(within(1, 4));
  rule.for_ms = within(50, 1'500);
  if (!share(70)) return;
  FaultSpec& fault = unseat(partition, at + within(0, 400));
  if (share(50)) return;
  fault.at_ms.reset();
  fault.when = appended("");
  fault.when->not_before_ms = at;
  fault.when->after_us = soon_us();
}

// Leaders go as records or markers of transactions are appended.
void Maker::transaction_elections() {
  const std::int64_t at = moment(1'000);
  const std::int64_t elections = within(1, 3);
  for (std::int64_t i = 0; i < elections; ++i) {
    constexpr std::array kWhat{Weight{"", 4}, Weight{"commit", 3}, Weight{"abort", 4}};
    Trigger when = appended(weighted(kWhat));
    const std::string partition = when.match.front().text;
    FaultSpec& fault = unseat(partition, at);
    fault.at_ms.reset();
    when.not_before_ms = at + i * within(50, 700);
    when.after_us = soon_us();
    fault.when = std::move(when);
  }
}

}  // namespace verdict::search
