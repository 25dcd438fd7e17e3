// Every kind of fault, against the real core: asked for, its counter of changed outcomes moves; taken away, it stays at
// 0. A kind without a row fails.
#include "sim/faults.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "scenarios/runner.h"

namespace verdict::scenarios {
namespace {

// A calm cluster: none of what a machine does by itself, and no fault.
constexpr std::string_view kCalm = R"j({
  "version": 1, "name": "calm",
  "cluster": {"brokers": 3},
  "topics": [{"name": "orders", "assignment": [[1, 2, 3], [2, 3, 1], [3, 1, 2]],
              "config": {"min.insync.replicas": 2, "internal.segment.bytes": 2500}}],
  "network": {"tail_one_in": 0, "short_read_one_in": 0},
  "scheduling": {"shuffle": false, "yields_in_256": 0},
  "phases": {"run_ms": 2500, "final_leaders": false}
})j";

struct Row {
  sim::FaultKind kind;
  std::vector<std::string> settings;  // as --set takes them
};

std::string faults(const std::string& list) { return "faults=[" + list + "]"; }

std::string fault(const std::string& action, const std::string& fields) {
  return R"j({"id":")j" + action + R"j(","action":")j" + action + R"j(","at_ms":600)j" + (fields.empty() ? "" : ",") +
         fields + "}";
}

Row one(sim::FaultKind kind, const std::string& action, const std::string& fields) {
  return {kind, {faults(fault(action, fields))}};
}

std::vector<Row> network_rows() {
  using enum sim::FaultKind;
  const std::string follower = R"j("target":"follower(orders-0)")j";
  const std::string one_to_one = R"j("a":["broker(1)"],"b":["broker(2)"])j";
  const std::string one_to_all = R"j("a":["broker(1)"],"b":["brokers","controller"])j";
  const std::string clients = R"j("a":["clients"],"b":["brokers"])j";
  const std::string rule = R"j("api":"Fetch","count":5,)j";
  return {
      {latency_tail, {"network.tail_one_in=50"}},
      one(partition_pair, "partition", one_to_one),
      one(partition_split, "partition", one_to_all),
      one(partition_one_way, "block", one_to_one),
      one(partition_isolate, "isolate", follower),
      one(partition_bridge, "bridge", R"j("a":["broker(1)"],"b":["broker(3)"],"target":"broker(2)")j"),
      one(partition_random, "random_partition", R"j("a":["brokers","controller"])j"),
      {stream_timeout, {faults(fault("isolate", follower)), "phases.run_ms=7500"}},
      {partial_read, {"network.short_read_one_in=8"}},
      {partial_write, {"network.split_one_in=8"}},
      one(reset, "reset", clients),
      one(clog, "clog", one_to_one),
      one(swizzle, "swizzle", R"j("a":["brokers"],"delay_ms":100)j"),
      {refused_connect, {faults(fault("refuse_connects", clients) + "," + fault("reset", clients))}},
      {hanging_connect, {faults(fault("hang_connects", clients) + "," + fault("reset", clients))}},
      one(half_open, "power_loss", follower),
      one(slow_link, "slow_link", one_to_one + R"j(,"delay_ms":20)j"),
      one(message_hold, "message", rule + R"j("effect":"hold","for_ms":300)j"),
      one(message_delay, "message", rule + R"j("effect":"delay","delay_ms":30)j"),
      one(message_reset, "message", rule + R"j("effect":"reset")j"),
  };
}

std::vector<Row> process_rows() {
  using enum sim::FaultKind;
  const std::string follower = R"j("target":"follower(orders-0)")j";
  return {
      one(kill, "kill", follower),
      one(power_loss, "power_loss", follower),
      one(power_loss_bytes, "power_loss", follower + R"j(,"policy":"all_unsynced_lost")j"),
      one(doomed, "doom", follower + R"j(,"nth_call":3)j"),
      one(doomed_in_sync, "doom_sync", follower),
      one(pause, "pause", follower + R"j(,"for_ms":300)j"),
      one(restart, "kill", follower + R"j(,"restart_ms":300)j"),
      one(wipe, "wipe", follower),
      one(older_disk, "older_disk", follower),
  };
}

std::vector<Row> machine_rows() {
  using enum sim::FaultKind;
  const std::string follower = R"j("target":"follower(orders-0)")j";
  const std::string leader = R"j("target":"leader(orders-0)","path_part":"orders")j";
  const std::string cold = follower + R"j(,"path_part":"orders-0/00000000000000000000.log")j";
  const auto late = [](const std::string& action, const std::string& fields) {
    return faults(R"j({"action":")j" + action + R"j(","at_ms":2200,)j" + fields + "}");
  };
  return {
      one(disk_latency, "disk_slow", follower + R"j(,"latency_us":5000,"stall_us":100)j"),
      one(read_error, "disk_errors", leader + R"j(,"fail_reads":1)j"),
      one(write_error, "disk_errors", leader + R"j(,"fail_writes":1)j"),
      one(sync_error, "disk_errors", leader + R"j(,"fail_syncs":1)j"),
      one(full_disk, "full_disk", follower + R"j(,"bytes":100,"for_ms":300)j"),
      {bit_rot, {late("bit_rot", cold)}},
      {misdirected_write, {late("misdirected_write", cold)}},
      {reorder, {"scheduling.shuffle=true"}},
      {forced_yield, {"scheduling.yields_in_256=64"}},
      {scheduling_stall, {"scheduling.stall_one_in=300"}},
      one(clock_offset, "clock_offset", follower + R"j(,"by_ms":1000)j"),
      one(clock_drift, "clock_drift", follower + R"j(,"ppm":1000)j"),
      one(clock_jump, "clock_jump", follower + R"j(,"by_ms":1000)j"),
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> made = network_rows();
    for (const auto& more : {process_rows(), machine_rows()}) made.insert(made.end(), more.begin(), more.end());
    return made;
  }();
  return all;
}

std::uint64_t count(const Scenario& scenario, sim::FaultKind kind) {
  const RunResult result = run(scenario, 1);
  EXPECT_NE(result.invariant, "scenario") << result.sentence;
  EXPECT_GT(result.acknowledged, 0U);
  const auto found = result.faults.find(std::string(sim::name_of(kind)));
  return found == result.faults.end() ? 0 : found->second;
}

Scenario calm() { return *parse_scenario(kCalm); }

class EveryFault : public testing::TestWithParam<std::size_t> {};

TEST_P(EveryFault, ChangesOutcomesWhenItIsAskedForAndOnlyThen) {
  const auto kind = static_cast<sim::FaultKind>(GetParam());
  const auto row = std::ranges::find(rows(), kind, &Row::kind);
  ASSERT_NE(row, rows().end()) << "no row for " << sim::name_of(kind);
  Scenario scenario = calm();
  for (const std::string& setting : row->settings) {
    auto set = with_setting(scenario, setting);
    ASSERT_TRUE(set.has_value()) << setting << ": " << set.error().text();
    scenario = std::move(*set);
  }
  EXPECT_GT(count(scenario, kind), 0U);
  EXPECT_EQ(count(calm(), kind), 0U);
}

INSTANTIATE_TEST_SUITE_P(All, EveryFault, testing::Range(std::size_t{0}, sim::kFaultKindCount), [](const auto& param) {
  std::string name(sim::name_of(static_cast<sim::FaultKind>(param.param)));
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(FaultRows, HasOneRow) { EXPECT_EQ(rows().size(), sim::kFaultKindCount); }

// What a calm run counts is what its faults did, and nothing else.
TEST(FaultRows, ACalmRunCountsNothing) {
  const RunResult result = run(calm(), 1);
  EXPECT_EQ(result.outcome, RunOutcome::pass) << result.sentence;
  std::string counted;
  for (const auto& [name, n] : result.faults) counted += name + " ";
  EXPECT_EQ(counted, "");
  EXPECT_TRUE(result.sites.empty());
}

// Over a few seeds each site of the core fires, and none without being asked for.
TEST(Sites, EachFires) {
  Scenario scenario = calm();
  scenario.scheduling.sites = true;
  scenario.phases.run_ms = 1500;
  FaultSpec kill;
  kill.id = "kill";
  kill.action = "kill";
  kill.at_ms = 500;
  kill.target = "broker(1)";
  kill.restart_ms = 300;
  scenario.faults.push_back(kill);
  std::map<std::string, std::uint64_t> fired;
  for (std::uint64_t seed = 1; seed <= 40 && fired.size() < kSiteCount; ++seed) {
    const RunResult result = run(scenario, seed);
    EXPECT_EQ(result.outcome, RunOutcome::pass) << seed << " " << result.invariant << " " << result.sentence;
    for (const auto& [name, n] : result.sites) fired[name] += n;
  }
  for (std::size_t i = 0; i < kSiteCount; ++i) {
    EXPECT_GT(fired[std::string(name_of(static_cast<Site>(i)))], 0U) << name_of(static_cast<Site>(i));
  }
}

}  // namespace
}  // namespace verdict::scenarios
