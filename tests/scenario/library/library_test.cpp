// The library against the real core: each scenario passes, and each fails to count when what it is about is taken away.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scenarios/catalogue.h"
#include "scenarios/runner.h"
#include "sim/world.h"

namespace verdict::scenarios {
namespace {

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const LibraryEntry& entry : library()) all.emplace_back(entry.name);
  return all;
}

std::string explain(const RunResult& result) {
  std::string text = result.scenario + " seed " + std::to_string(result.seed) + ": " +
                     std::string(name_of(result.outcome)) + " " + result.invariant + " " + result.sentence;
  for (const std::string& line : result.unmet) text += "; unmet: " + line;
  return text;
}

class Library : public testing::TestWithParam<std::string> {};

TEST_P(Library, Passes) {
  const Scenario scenario = *library_scenario(GetParam());
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    const RunResult result = run(scenario, seed);
    EXPECT_EQ(result.outcome, RunOutcome::pass) << explain(result);
    EXPECT_GT(result.final_read, 0U);
    EXPECT_GT(result.messages, 500U);
  }
}

// Its faults taken away, a scenario sees less than it must: it doesn't count, and nobody calls that a pass.
TEST_P(Library, WithoutItsFaultsItDoesNotCount) {
  Scenario scenario = *library_scenario(GetParam());
  std::erase_if(scenario.faults, [](const FaultSpec& fault) { return fault.action != "create_topic"; });
  scenario.cluster.clock_drift_ppm = 0;
  scenario.scheduling = {};
  const RunResult result = run(scenario, 1);
  EXPECT_EQ(result.outcome, RunOutcome::inconclusive) << explain(result);
  EXPECT_FALSE(result.unmet.empty());
}

INSTANTIATE_TEST_SUITE_P(All, Library, testing::ValuesIn(names()), [](const auto& param) {
  std::string name = param.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

// Of each defect of the catalogue a scenario of the library that shows it.
const std::map<std::string_view, std::string_view> kShownBy = {
    {"unclean-election", "last-isr-member-waits"},
    {"majority-hw", "slow-follower"},
    {"no-truncation", "back-to-back-elections"},
    {"local-shrink", "isr-shrinks-and-expands"},
    {"kip-101", "leader-crash-acks-all"},
    {"min-isr-off", "min-isr-refuses-writes"},
    {"ack-by-offset", "stale-leader-in-partition"},
    {"kip-279", "leader-without-the-followers-epoch"},
    {"kip-320-hw", "follower-two-epochs-behind"},
    {"kip-320-fetch", "follower-two-epochs-behind"},
    {"kip-320-truncate", "leader-hears-of-two-elections-late"},
    {"kip-320-expand", "stale-follower-with-a-long-tail"},
    {"kafka-7128", "leader-dies-as-the-isr-shrinks"},
    {"kip-497", "alter-partition-answer-outlived"},
    {"kip-903", "wiped-while-proposed"},
    {"kafka-18723", "answer-built-across-elections"},
    {"stale-metadata-drops-proposal", "metadata-behind-its-answer"},
    {"kafka-18991", "diverging-answer-outlived"},
    {"kafka-7415", "leader-of-a-silent-epoch"},
    {"kafka-15221", "fetch-of-an-earlier-life"},
    {"kafka-18106", "return-before-fencing"},
    {"crc-ignored", "torn-write"},
    {"kept-below-log-start", "retention-hides-a-divergence"},
    {"kip-890", "batch-comes-after-the-abort"},
    {"endtxn-retry", "end-comes-again-in-the-next-transaction"},
    {"kafka-14884", "confirmed-aborted-appended"},
    {"kafka-9600", "zombie-after-a-time-out"},
    {"kafka-17507", "consume-transform-produce"},
    {"resend-new-epoch", "resend-reaches-the-next-leader"},
    {"init-no-fence", "fenced-producer-begins-another-transaction"},
    {"lso-before-replay", "last-stable-offset-from-the-first-answer"},
    {"sequence-gap", "one-of-several-in-flight-fails"},
    {"no-generation-fence", "commit-from-a-zombie"},
    {"kafka-8500", "static-member-returns-in-a-rebalance"},
    {"kafka-10284", "static-member-replaced"},
    {"kafka-16147", "partition-returns-before-it-is-given-up"},
    {"kafka-14055", "compaction-across-an-open-transaction"},
    {"clean-past-lso", "compaction-across-an-open-transaction"},
};

class Planted : public testing::TestWithParam<std::string> {};

TEST_P(Planted, IsFoundByAnAcceptedInvariant) {
  const DefectEntry defect = *find_defect_entry(GetParam());
  const auto shown = kShownBy.find(defect.id);
  ASSERT_NE(shown, kShownBy.end()) << "no scenario is known to show " << defect.id;
  const Scenario scenario = *library_scenario(shown->second);
  RunOptions options;
  options.defects = {GetParam()};
  std::string seen;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const RunResult result = run(scenario, seed, options);
    seen += "\n  " + explain(result);
    if (result.outcome != RunOutcome::violation) continue;
    if (std::ranges::find(defect.accepted, result.invariant) == defect.accepted.end()) continue;
    EXPECT_TRUE(result.marks.contains("defect-" + GetParam())) << "found without its mark";
    EXPECT_FALSE(result.sentence.empty());
    EXPECT_FALSE(result.witnesses.empty());
    return;
  }
  FAIL() << GetParam() << " survived; seen:" << seen;
}

std::vector<std::string> ids() {
  std::vector<std::string> all;
  for (const DefectEntry& entry : defects()) all.emplace_back(entry.id);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Planted, testing::ValuesIn(ids()), [](const auto& param) {
  std::string name = param.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(Determinism, OneSeedIsOneRun) {
  RunOptions options;
  options.check_determinism = true;
  for (const char* name : {"torn-write", "clock-drift", "swizzled-links", "combined-controller"}) {
    const RunResult result = run(*library_scenario(name), 7, options);
    EXPECT_EQ(result.outcome, RunOutcome::pass) << explain(result) << result.difference;
  }
}

// What each run of a process does differently, though it should not: a counter that outlives the run.
RunResult run_with(const char* name, const std::function<void(sim::World&, int run)>& planted) {
  int runs = 0;
  RunOptions options;
  options.check_determinism = true;
  options.prepare = [&](sim::World& world) {
    const int run = ++runs;
    world.after(1500ms, [&planted, &world, run] { planted(world, run); });
  };
  RunResult result = run(*library_scenario(name), 1, options);
  EXPECT_EQ(runs, 2);
  return result;
}

TEST(Determinism, APlantedNondeterminismIsCaught) {
  const std::map<std::string, std::function<void(sim::World&, int)>> planted = {
      {"a value that is another in each run", [](sim::World& world, int run) { world.hash_value(std::uint64_t(run)); }},
      {"a clock that runs faster in one run",
       [](sim::World& world, int run) {
         if (run == 2) world.set_clock_rate(sim::NodeIndex(1), 100);
       }},
      {"connections that break in one run",
       [](sim::World& world, int run) {
         if (run == 2) world.reset_connections(sim::NodeIndex(1), sim::NodeIndex(2));
       }},
  };
  for (const auto& [what, plant] : planted) {
    const RunResult result = run_with("leader-crash-acks-all", plant);
    EXPECT_EQ(result.outcome, RunOutcome::nondeterministic) << what << "; " << explain(result);
    EXPECT_TRUE(result.difference.starts_with("event ")) << what << "; " << result.difference;
    EXPECT_EQ(result.sentence, "two runs of one seed differ: " + result.difference);
  }
}

// The same plant with the same behaviour in both runs is not one.
TEST(Determinism, WhatBothRunsDoIsNotCaught) {
  const RunResult result = run_with("leader-crash-acks-all", [](sim::World& world, int) {
    world.reset_connections(sim::NodeIndex(1), sim::NodeIndex(2));
    world.hash_value(1);
  });
  EXPECT_EQ(result.outcome, RunOutcome::pass) << explain(result) << result.difference;
}

TEST(Determinism, AnObserverChangesNothingAndSeedsDiffer) {
  struct Counter final : RunObserver {
    std::uint64_t events = 0, messages = 0, lines = 0;
    void on_event(sim::VirtualTime, sim::NodeIndex, NodeId, std::uint32_t, const protocol::Event&) override {
      ++events;
    }
    void on_message(const sim::FrameHead&, sim::VirtualTime, sim::VirtualTime) override { ++messages; }
    void on_history(std::string_view) override { ++lines; }
  } counter;
  const Scenario scenario = *library_scenario("leader-crash-acks-all");
  RunOptions watched;
  watched.observer = &counter;
  watched.log_lines = true;
  const RunResult plain = run(scenario, 3);
  watched.abstract_states = true;
  const RunResult seen = run(scenario, 3, watched);
  EXPECT_EQ(seen.hash, plain.hash);
  EXPECT_GT(seen.abstract_states.size(), 5U);
  EXPECT_TRUE(plain.abstract_states.empty());
  EXPECT_NE(run(scenario, 4).hash, plain.hash);
  EXPECT_GT(counter.events, 1000U);
  EXPECT_GT(counter.messages, 1000U);
  EXPECT_EQ(counter.lines, plain.history.entries);
}

TEST(Limits, ARunThatOutrunsItsBudgetIsAFailureOfItsOwnKind) {
  Scenario scenario = *library_scenario("slow-follower");
  scenario.phases.event_budget = 20'000;
  const RunResult result = run(scenario, 1);
  EXPECT_EQ(result.outcome, RunOutcome::overrun);
  EXPECT_EQ(result.invariant, "event-budget");
}

TEST(Limits, ARunStopsWhereItIsAskedTo) {
  RunOptions options;
  options.until_ms = 700;
  const RunResult result = run(*library_scenario("slow-follower"), 1, options);
  EXPECT_EQ(result.simulated_ms, 700);
  EXPECT_FALSE(result.unmet.empty());
}

}  // namespace
}  // namespace verdict::scenarios
