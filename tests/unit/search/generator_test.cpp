#include "search/generator.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "scenarios/runner.h"
#include "search/kinds.h"

namespace verdict::search {
namespace {

using scenarios::FaultSpec;
using scenarios::Scenario;

TEST(Profiles, HaveNamesThatAreFound) {
  ASSERT_FALSE(profiles().empty());
  for (const Profile& profile : profiles()) EXPECT_EQ(find_profile(profile.name)->name, profile.name);
  EXPECT_EQ(find_profile("no-such"), nullptr);
  EXPECT_EQ(default_profile(), "default");
}

TEST(Generator, IsAFunctionOfProfileAndSeed) {
  for (const Profile& profile : profiles()) {
    EXPECT_TRUE(generate(profile, 7) == generate(profile, 7));
    EXPECT_NE(to_json(generate(profile, 7)), to_json(generate(profile, 8)));
  }
}

TEST(Generator, SeedsDiffer) {
  std::map<std::string, std::uint64_t> seen;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Scenario scenario = generate(profiles().front(), seed);
    scenario.seeds = {};
    const auto [at, added] = seen.emplace(to_json(scenario), seed);
    EXPECT_TRUE(added) << seed << " is the same as " << at->second;
  }
}

void expect_good(const Profile& profile, std::uint64_t seed) {
  const Scenario scenario = generate(profile, seed);
  const auto valid = validate(scenario);
  ASSERT_TRUE(valid) << profile.name << " seed " << seed << ": " << valid.error().text();
  const auto again = scenarios::parse_scenario(to_json(scenario));
  ASSERT_TRUE(again) << profile.name << " seed " << seed << ": " << again.error().text();
  EXPECT_TRUE(*again == scenario) << profile.name << " seed " << seed;
  EXPECT_TRUE(resolve(scenario) == scenario) << "not resolved: " << profile.name << " seed " << seed;
}

TEST(Generator, MakesGoodScenariosThatAreWrittenAndRead) {
  for (const Profile& profile : profiles()) {
    for (std::uint64_t seed = 1; seed <= 500 && !HasFatalFailure(); ++seed) expect_good(profile, seed);
  }
}

// Whatever size RapidCheck asks for: small sizes don't mean small ranges.
TEST(Generator, ServesRapidCheck) {
  const bool held = rc::check([] {
    const Scenario scenario = *scenario_of(profiles().front());
    RC_ASSERT(validate(scenario).has_value());
    RC_ASSERT(scenario.cluster.brokers >= 3);
  });
  EXPECT_TRUE(held);
}

std::int64_t of_cluster(const Scenario& scenario, const char* key, std::int64_t otherwise) {
  const auto found = scenario.cluster.config.find(key);
  return found == scenario.cluster.config.end() ? otherwise : std::stoll(found->second);
}

// Or the healthy core does not converge: seed 1925 once had a wiped follower fetch 0.5 MB at 1,000 bytes a millisecond,
// again and again, for 500 ms each.
TEST(Generator, GivesAFollowerTheTimeForAnAnswer) {
  int slow = 0;
  for (const Profile& profile : profiles()) {
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
      const Scenario scenario = generate(profile, seed);
      const std::int64_t rate = scenario.network.bytes_per_ms;
      if (rate == 0) continue;
      const std::int64_t answer = of_cluster(scenario, "replica.fetch.response.max.bytes", 10'485'760);
      const std::int64_t timeout_ms = of_cluster(scenario, "replica.socket.timeout.ms", 30'000);
      ASSERT_LE(answer, rate * timeout_ms / 2) << profile.name << " seed " << seed;
      slow += rate < 125'000 ? 1 : 0;
    }
  }
  EXPECT_GT(slow, 50);
}

bool destroys(const FaultSpec& fault) {
  return fault.action == "wipe" || fault.action == "older_disk" || fault.action == "bit_rot" ||
         fault.action == "misdirected_write" || fault.fail_syncs > 0 || fault.fail_reads > 0;
}

TEST(Atlas, DestroysOneMachinesDiskAtMostAndNeverTheOnlyMetadataLog) {
  std::uint64_t destructive = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const Scenario scenario = generate(profiles().front(), seed);
    std::set<std::string> victims;
    for (const FaultSpec& fault : scenario.faults) {
      if (destroys(fault)) victims.insert(fault.target);
    }
    destructive += victims.empty() ? 0 : 1;
    ASSERT_LE(victims.size(), 1U) << seed;
    if (victims.empty()) continue;
    ASSERT_TRUE(victims.begin()->starts_with("broker(")) << seed;
    if (scenario.cluster.combined) {
      ASSERT_NE(*victims.begin(), "broker(1)") << seed;
    }
  }
  EXPECT_GT(destructive, 60U);
}

// But for narrow runs: one partition, and most of its records in batches of their own.
TEST(DefaultLoad, HasThreePartitionsTwoPipelinedProducersAndMixedAcks) {
  std::map<std::string, int> acks;
  int narrow = 0;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const Scenario scenario = generate(profiles().front(), seed);
    const auto orders = std::ranges::find(scenario.topics, "orders", &scenarios::TopicSpec::name);
    const std::size_t partitions = orders->assignment.size();
    narrow += partitions == 1 ? 1 : 0;
    ASSERT_TRUE(partitions >= 3 || (partitions == 1 && scenario.cluster.brokers == 3)) << seed;
    int pipelined = 0;
    for (const auto& producer : scenario.workload.producers) {
      ++acks[producer.acks];
      if (producer.topic == "orders" && producer.in_flight > 1) ++pipelined;
    }
    ASSERT_GE(pipelined, 1) << seed;
    ASSERT_EQ(scenario.workload.producers.front().acks, "all");
  }
  EXPECT_GT(acks["all"], acks["1"]);
  EXPECT_GT(narrow, 200);
  EXPECT_LT(narrow, 300);
  EXPECT_GT(acks["1"], 100);
  EXPECT_GT(acks["0"], 30);
}

// What can be seen without a run: each action, operation and setting of the profile is drawn five times in as many runs
// as a campaign is judged by; over several times as many, as the rarest come up eight times.
TEST(Distribution, LeavesOutNothingThatTheProfileHas) {
  constexpr std::uint64_t kTimes = 3;
  for (const Profile& profile : profiles()) {
    std::map<std::string, std::uint64_t> counts;
    for (std::uint64_t seed = 1; seed <= kTimes * kRunsForKinds; ++seed) {
      const Kinds kinds = kinds_of(generate(profile, seed));
      for (const std::string& name : kinds.actions) ++counts["action " + name];
      for (const std::string& name : kinds.operations) ++counts["operation " + name];
      for (const std::string& name : kinds.apis) ++counts["api " + name];
      for (const std::string& name : kinds.triggers) ++counts["trigger " + name];
      for (const std::string& name : kinds.settings) ++counts["setting " + name];
    }
    for (const std::string& kind : required_kinds(profile)) {
      if (kind.starts_with("fault ") || kind.starts_with("mark ")) continue;
      EXPECT_GE(counts[kind], 5 * kTimes) << profile.name << ": " << kind;
    }
  }
}

// Each run knows only a part of what there is, so that what disturbs everything else is often absent.
TEST(Swarm, RunsLackMostKinds) {
  const Profile& profile = profiles().front();
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    for (const std::string& name : kinds_of(generate(profile, seed)).actions) ++counts[name];
  }
  for (const auto& [name, count] : counts) EXPECT_LT(count, 900) << name;
}

// ---- retention ----

std::int64_t of_topic(const scenarios::TopicSpec& topic, const char* key, std::int64_t otherwise) {
  const auto found = topic.config.find(key);
  return found == topic.config.end() ? otherwise : std::stoll(found->second);
}

// Records go within a second or as soon as there are a few, and that is looked for often.
bool keeps_little(const Scenario& scenario, const scenarios::TopicSpec& topic) {
  constexpr std::int64_t kNever = 1'000'000'000;
  return of_cluster(scenario, "log.retention.check.interval.ms", 1'000) <= 500 &&
         std::min(of_topic(topic, "retention.ms", kNever), of_topic(topic, "retention.bytes", kNever)) <= 2'000;
}

// How a broker is away until it is fenced and longer, if the fault is about that.
std::string absence(const Scenario& scenario, const FaultSpec& fault, const std::string& broker) {
  const std::int64_t session_ms = of_cluster(scenario, "broker.session.timeout.ms", 2'000);
  const bool apart = std::ranges::find(fault.b, "controller") != fault.b.end();
  if (fault.action == "partition" && apart && fault.a == std::vector{broker})
    return fault.for_ms > session_ms ? "cut off" : "";
  if (fault.target != broker) return {};
  if (fault.action == "pause") return fault.for_ms > session_ms ? "paused" : "";
  return fault.restart_ms > session_ms ? "down" : "";
}

// Longer than the others keep records, and most often it led.
TEST(Retention, ABrokerIsAwayForLongerThanRecordsAreKept) {
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const Scenario scenario = generate(profiles().front(), seed);
    std::set<std::string> found;
    for (const scenarios::TopicSpec& topic : scenario.topics) {
      if (!keeps_little(scenario, topic)) continue;
      for (const auto& replicas : topic.assignment) {
        for (const FaultSpec& fault : scenario.faults) {
          for (const std::int32_t id : replicas) {
            const std::string way = absence(scenario, fault, "broker(" + std::to_string(id) + ")");
            if (way.empty()) continue;
            found.insert(way);
            found.insert(id == replicas.front() ? "a leader" : "a follower");
          }
        }
      }
    }
    for (const std::string& what : found) ++counts[what];
  }
  for (const char* what : {"cut off", "paused", "down", "a leader", "a follower"}) EXPECT_GE(counts[what], 10) << what;
}

// ---- what lasts from one reign into another ----

bool of_a_reign(const FaultSpec& fault, std::int64_t reign) {
  if (!fault.when || !fault.when->event.starts_with("partition_decided")) return false;
  return std::ranges::any_of(fault.when->match, [&](const scenarios::Condition& condition) {
    return condition.field == "leader_epoch" && condition.min == reign;
  });
}

// A broker hears of a reign and of the next one after the other, each late, and the reign's leader does not last.
TEST(Reigns, ABrokersNewsAreOldOneByOne) {
  int late = 0;
  int first_held = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const Scenario scenario = generate(profiles().front(), seed);
    std::set<std::string> delayed;
    std::set<std::string> held;
    bool cut = false;
    for (const FaultSpec& fault : scenario.faults) {
      const bool news = fault.action == "message" && fault.api == "Fetch" && fault.from == "controller";
      if (news && of_a_reign(fault, 2) && fault.effect == "delay" && fault.delay_ms > 0) delayed.insert(fault.to);
      if (news && of_a_reign(fault, 2) && fault.effect == "hold" && fault.count == 1) held.insert(fault.to);
      cut = cut || (fault.action == "partition" && of_a_reign(fault, 2) && fault.b.front() == "controller");
    }
    late += !delayed.empty() && cut ? 1 : 0;
    first_held += std::ranges::includes(delayed, held) && !held.empty() ? 1 : 0;
  }
  EXPECT_GE(late, 45);
  EXPECT_GE(first_held, 20);
}

// ---- what coordinators serve ----

bool has(const Scenario& scenario, const std::function<bool(const scenarios::ProducerSpec&)>& is) {
  return std::ranges::any_of(scenario.workload.producers, is);
}
bool transacts(const Scenario& scenario) {
  return has(scenario, [](const auto& load) { return load.transactional; });
}
bool has_members(const Scenario& scenario) {
  return std::ranges::any_of(scenario.workload.consumers, [](const auto& reader) { return !reader.group.empty(); });
}

// What a run is about, and how often in a thousand: the older kinds keep the greater part.
TEST(Coordinated, ADefaultRunIsPlainMoreOftenThanNot) {
  constexpr int kThousands = 5;
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 1; seed <= kThousands * 1000; ++seed) {
    const Scenario scenario = generate(profiles().front(), seed);
    const bool transforms = has(scenario, [](const auto& load) { return !load.source.empty(); });
    const bool shared = has(scenario, [](const auto& load) { return !load.transactional_id.empty(); });
    ++counts[transforms              ? "transforms"
             : shared                ? "zombies"
             : transacts(scenario)   ? "transactions"
             : has_members(scenario) ? "groups"
                                     : "plain"];
  }
  EXPECT_GT(counts["plain"], kThousands * 590);
  EXPECT_LT(counts["plain"], kThousands * 740);
  EXPECT_GT(counts["transactions"], kThousands * 80);
  EXPECT_GT(counts["zombies"], kThousands * 30);
  EXPECT_GT(counts["groups"], kThousands * 30);
  EXPECT_GT(counts["transforms"], kThousands * 45);
}

bool names(const FaultSpec& fault, std::string_view part) {
  if (fault.target.contains(part) || fault.from.contains(part) || fault.to.contains(part)) return true;
  const auto in = [&](const std::string& one) { return one.contains(part); };
  return std::ranges::any_of(fault.a, in) || std::ranges::any_of(fault.b, in);
}

bool set_off_by(const FaultSpec& fault, std::string_view event, std::string_view text = {}) {
  if (!fault.when || fault.when->event != event) return false;
  return text.empty() ||
         std::ranges::find(fault.when->match, text, &scenarios::Condition::text) != fault.when->match.end();
}

const FaultSpec* released(const Scenario& scenario, const FaultSpec& fault) {
  if (fault.action != "release") return nullptr;
  const auto found = std::ranges::find(scenario.faults, fault.of, &FaultSpec::id);
  return found == scenario.faults.end() ? nullptr : &*found;
}

// By what is known to hurt: what each fault of a scenario is.
std::set<std::string> hurts(const Scenario& scenario) {
  std::set<std::string> found;
  const auto& load = scenario.workload;
  for (const FaultSpec& fault : scenario.faults) {
    if (names(fault, "leader(__transaction_state-")) found.insert("a transactions' coordinator");
    if (names(fault, "leader(__consumer_offsets-")) found.insert("a groups' coordinator");
    const bool pause = fault.action == "pause";
    for (const auto& client : load.producers) {
      const bool hit = fault.target == "client(" + std::to_string(client.client) + ")";
      if (hit && pause && client.transactional && fault.for_ms > client.transaction_timeout_ms)
        found.insert("a producer paused past its time-out");
    }
    for (const auto& client : load.consumers) {
      const bool hit = fault.target == "client(" + std::to_string(client.client) + ")";
      if (hit && pause && !client.group.empty() && fault.for_ms > client.session_timeout_ms)
        found.insert("a member paused past its session");
    }
    if (!pause && set_off_by(fault, "transaction_moved") && names(fault, "__transaction_state-"))
      found.insert("a coordinator that goes in a transition");
    if (fault.api == "WriteTxnMarkers" && fault.effect == "hold") found.insert("a marker that is held");
    if (fault.api == "InitProducerId") found.insert("a new instance that is late");
    if (fault.api == "EndTxn" && fault.side == "response" && fault.effect == "reset") found.insert("an end unanswered");
    if (fault.action == "reset" && set_off_by(fault, "transaction_moved", "Ongoing"))
      found.insert("a transaction that its client gives up");
    if (fault.action == "reset" && set_off_by(fault, "group_member_moved"))
      found.insert("members that are told late what to give up");
    const FaultSpec* of = released(scenario, fault);
    if (of == nullptr) continue;
    if (of->api == "Produce" && (set_off_by(fault, "transaction_moved", "CompleteAbort") ||
                                 set_off_by(fault, "transactional_appended", "abort")))
      found.insert("records that arrive after their abort");
    if (of->api == "AddPartitionsToTxn" && (of->from == "brokers" || of->to == "brokers"))
      found.insert("a verification that its transaction's end overtakes");
    if (of->api == "EndTxn" && set_off_by(fault, "transaction_moved", "Ongoing"))
      found.insert("an end that arrives in the next transaction");
    if (of->api == "WriteTxnMarkers" && set_off_by(fault, "became_leader"))
      found.insert("a marker that arrives at the next leader");
    if (of->api == "OffsetCommit" || of->api == "TxnOffsetCommit") found.insert("a commit that arrives late");
  }
  return found;
}

// In a thousand runs: the rarest of it six times, where four are asked for, so several thousand are counted.
TEST(Coordinated, WhatIsKnownToHurtIsDrawn) {
  constexpr std::uint64_t kThousands = 5;
  for (const char* name : {"default", "transactions"}) {
    const bool own = std::string_view(name) == "transactions";
    std::map<std::string, std::uint64_t> counts;
    for (std::uint64_t seed = 1; seed <= kThousands * 1000; ++seed) {
      for (const std::string& what : hurts(generate(*find_profile(name), seed))) ++counts[what];
    }
    for (const char* what :
         {"a transactions' coordinator", "a groups' coordinator", "a producer paused past its time-out",
          "a member paused past its session", "a coordinator that goes in a transition", "a marker that is held",
          "an end unanswered", "records that arrive after their abort", "an end that arrives in the next transaction",
          "a marker that arrives at the next leader", "a commit that arrives late",
          "a verification that its transaction's end overtakes"})
      EXPECT_GE(counts[what], (own ? 15 : 4) * kThousands) << name << ": " << what;
    if (!own) continue;
    for (const char* what : {"a new instance that is late", "a transaction that its client gives up",
                             "members that are told late what to give up"})
      EXPECT_GE(counts[what], 10 * kThousands) << what;
  }
}

// What members and transactional clients are like, in a run of each kind.
std::set<std::string> ways(const Scenario& scenario) {
  std::set<std::string> found;
  std::set<std::string> seats;
  for (const auto& reader : scenario.workload.consumers) {
    if (reader.group.empty()) continue;
    if (reader.protocol == "consumer") {
      found.insert(reader.instance.empty() ? "protocol consumer" : "a static member of protocol consumer");
      if (reader.remote_assignor != "default") found.insert("remote assignor " + reader.remote_assignor);
    } else {
      found.insert("assignor " + reader.assignor);
    }
    if (reader.stay_ms > 0) found.insert("comes and goes");
    if (reader.stall_one_in > 0) found.insert("commits late");
    if (reader.instance.empty()) continue;
    found.insert(reader.stay_ms > 0 ? "a static member that restarts" : "a static member");
    if (!seats.insert(reader.group + reader.instance).second) found.insert("a place that two want");
  }
  for (const auto& load : scenario.workload.producers) {
    if (load.transactional && load.transaction_version == 1) found.insert("an older transactional client");
    if (!load.group.empty()) found.insert("a transformer of protocol " + load.protocol);
  }
  if (scenario.cluster.features.contains("transaction.version")) found.insert("an older transaction.version");
  return found;
}

TEST(Coordinated, MembersAndClientsAreOfAllKinds) {
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    for (const std::string& what : ways(generate(*find_profile("transactions"), seed))) ++counts[what];
  }
  for (const char* what : {"assignor range", "assignor roundrobin", "assignor cooperative-sticky", "comes and goes",
                           "commits late", "a static member", "a static member that restarts", "a place that two want",
                           "an older transactional client", "an older transaction.version", "protocol consumer",
                           "a static member of protocol consumer", "remote assignor uniform", "remote assignor range",
                           "a transformer of protocol classic", "a transformer of protocol consumer"})
    EXPECT_GE(counts[what], 10) << what;
}

// Its first copy would end the next transaction, which has its epoch (KIP-890, KIP-1228).
TEST(Coordinated, NoMarkerOutlastsItsRequest) {
  int runs = 0;
  for (const Profile& profile : profiles()) {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
      const Scenario scenario = generate(profile, seed);
      if (std::ranges::none_of(scenario.workload.producers, &scenarios::ProducerSpec::transactional)) continue;
      ++runs;
      // One fault after the other may hold the same marker, and all of them end with the workload.
      EXPECT_GT(of_cluster(scenario, "request.timeout.ms", 2'000), 2 * scenario.phases.run_ms)
          << profile.name << " seed " << seed;
    }
  }
  EXPECT_GT(runs, 300);
}

// So that a fault that names one goes on naming it, whoever else goes.
TEST(Coordinated, ClientsHaveNumbersOfTheirOwn) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Scenario scenario = generate(*find_profile("transactions"), seed);
    std::set<std::int32_t> numbers;
    const std::size_t clients = scenario.workload.producers.size() + scenario.workload.consumers.size();
    for (const auto& client : scenario.workload.producers) numbers.insert(client.client);
    for (const auto& client : scenario.workload.consumers) numbers.insert(client.client);
    EXPECT_EQ(numbers.size(), clients) << seed;
    EXPECT_FALSE(numbers.contains(0)) << seed;
  }
}

// Coordinators' topics fit the cluster, and what shall expire is looked for within the run.
TEST(Coordinated, SettingsFit) {
  for (const Profile& profile : profiles()) {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
      const Scenario scenario = generate(profile, seed);
      for (const char* key : {"offsets.topic.replication.factor", "transaction.state.log.replication.factor"})
        ASSERT_LE(of_cluster(scenario, key, 1), scenario.cluster.brokers) << profile.name << " seed " << seed;
      if (!scenario.cluster.config.contains("transactional.id.expiration.ms")) continue;
      ASSERT_LE(of_cluster(scenario, "transaction.remove.expired.transaction.cleanup.interval.ms", 3'600'000), 1'000);
    }
  }
}

TEST(Kinds, OfAScenarioAndOfWhatFired) {
  Scenario scenario;
  scenario.name = "s";
  scenario.cluster.combined = true;
  scenario.cluster.config["broker.session.timeout.ms"] = "600";
  scenario.faults.push_back({.id = "a", .action = "kill", .at_ms = 5, .target = "broker(1)"});
  scenario.faults.push_back({.id = "b", .action = "pause", .at_ms = 5, .target = "broker(1)"});
  FaultSpec made{.id = "c", .action = "create_topic", .at_ms = 5};
  made.topic.emplace();
  scenario.faults.push_back(made);
  FaultSpec rule{.id = "d", .action = "message", .at_ms = std::nullopt};
  rule.api = "EndTxn";
  rule.when.emplace().event = "transaction_moved";
  rule.when->match = {{.field = "state", .kind = scenarios::Condition::Kind::text, .text = "Ongoing"}};
  scenario.faults.push_back(rule);
  const Kinds kinds = kinds_of(scenario);
  EXPECT_EQ(kinds.apis, (std::set<std::string>{"EndTxn"}));
  EXPECT_EQ(kinds.triggers, (std::set<std::string>{"transaction_moved Ongoing"}));
  EXPECT_EQ(kinds.actions, (std::set<std::string>{"kill", "message", "pause"}));
  EXPECT_EQ(kinds.operations, (std::set<std::string>{"create_topic"}));
  EXPECT_EQ(kinds.settings, (std::set<std::string>{"cluster.combined", "cluster.config.broker.session.timeout.ms"}));
  scenarios::RunResult result;
  result.fired = {"b"};
  EXPECT_EQ(fired_kinds(scenario, result).actions, (std::set<std::string>{"pause"}));
  EXPECT_TRUE(fired_kinds(scenario, result).operations.empty());
  EXPECT_TRUE(fired_kinds(scenario, result).apis.empty());
}

}  // namespace
}  // namespace verdict::search
