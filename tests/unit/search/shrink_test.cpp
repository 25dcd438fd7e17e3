#include "search/shrink.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "runtime/random.h"
#include "scenarios/runner.h"
#include "search/signature.h"

namespace verdict::search {
namespace {

using scenarios::FaultSpec;
using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

RunResult failed(std::string invariant) {
  RunResult result;
  result.outcome = RunOutcome::violation;
  result.invariant = std::move(invariant);
  result.sentence = "committed offset 7 of orders-1 lost when epoch 1 became 2";
  result.partition = "orders-1";
  result.workload_ns = 1'000'000'000;
  result.violation_ns = 2'500'000'000;
  return result;
}

// A judge that knows nothing of clusters: what it answers is a function of the scenario.
using Judge = std::function<RunResult(const Scenario&)>;

// The oracle that runs one candidate after the other.
Oracle one_by_one(const Judge& judge) {
  return [judge](const std::vector<Candidate>& candidates, const Accept& accept) {
    std::vector<RunResult> results;
    for (const Candidate& candidate : candidates) {
      results.push_back(judge(candidate.scenario));
      if (accept(results.back())) break;
    }
    return results;
  };
}

// The oracle that runs all of them, as many workers would, and then drops what came behind the first.
Oracle all_at_once(const Judge& judge) {
  return [judge](const std::vector<Candidate>& candidates, const Accept& accept) {
    std::vector<RunResult> results;
    for (const Candidate& candidate : candidates) results.push_back(judge(candidate.scenario));
    const auto first = std::ranges::find_if(results, accept);
    if (first != results.end()) results.erase(first + 1, results.end());
    return results;
  };
}

// What a synthetic failure needs.
struct Needs {
  std::set<std::string> faults;
  std::int64_t records = 1;
  std::int32_t brokers = 1;
  bool batching = false;  // a setting
};

std::int64_t records_in(const Scenario& scenario) {
  std::int64_t all = 0;
  for (const auto& producer : scenario.workload.producers) all += records_of(producer, scenario.phases);
  return all;
}

bool meets(const Scenario& scenario, const Needs& needs) {
  std::set<std::string> faults;
  for (const FaultSpec& fault : scenario.faults) faults.insert(fault.id);
  const bool batching = std::ranges::any_of(scenario.workload.producers, [](const auto& p) { return p.linger_us > 0; });
  return std::ranges::includes(faults, needs.faults) && records_in(scenario) >= needs.records &&
         scenario.cluster.brokers >= needs.brokers && (batching || !needs.batching);
}

Judge monotone_judge(const Needs& needs) {
  return [needs](const Scenario& scenario) { return meets(scenario, needs) ? failed("C1") : RunResult{}; };
}

FaultSpec isolated(std::string id, std::int32_t broker, std::int64_t at_ms, std::int64_t for_ms) {
  FaultSpec fault;
  fault.id = std::move(id);
  fault.action = "isolate";
  fault.target = "broker(" + std::to_string(broker) + ")";
  fault.at_ms = at_ms;
  fault.for_ms = for_ms;
  return fault;
}

// 0-12 faults, 1-4 producers, 0-2 consumers, 3-5 brokers.
Scenario drawn_scenario() {
  const auto below = [](int end) { return *rc::gen::resize(100, rc::gen::inRange(0, end)); };
  Scenario scenario;
  scenario.name = "drawn";
  scenario.cluster.brokers = 3 + below(3);
  const int faults = below(13);
  for (int i = 0; i < faults; ++i) {
    const std::int32_t broker = 1;  // with 1 alone any other broker can go
    scenario.faults.push_back(isolated("f" + std::to_string(i), broker, below(4000), below(2000)));
  }
  const int producers = 1 + below(4);
  for (int i = 0; i < producers; ++i) {
    scenarios::ProducerSpec producer;
    producer.burst = 1 + below(5);
    producer.interval_us = 1000 * (1 + below(50));
    producer.linger_us = below(2) * 5000;
    scenario.workload.producers.push_back(producer);
  }
  scenario.workload.consumers.resize(static_cast<std::size_t>(below(3)));
  scenario.phases.run_ms = 500 + below(4000);
  scenario.expect.acknowledged = below(100);
  return scenario;
}

Needs drawn_needs(const Scenario& scenario) {
  Needs needs;
  for (const FaultSpec& fault : scenario.faults) {
    if (*rc::gen::resize(100, rc::gen::inRange(0, 4)) == 0) needs.faults.insert(fault.id);
  }
  const auto most = static_cast<int>(std::min<std::int64_t>(records_in(scenario), 60));
  needs.records = *rc::gen::resize(100, rc::gen::inRange(1, most + 1));
  needs.brokers = *rc::gen::resize(100, rc::gen::inRange(1, scenario.cluster.brokers + 1));
  return needs;
}

// Sizes of the steps, each of which must have failed in the same way.
ShrinkOptions watched(std::vector<Size>& sizes) {
  ShrinkOptions options;
  options.accepted = [&sizes](const Scenario& scenario, const RunResult& result) {
    RC_ASSERT(result.invariant == "C1");
    RC_ASSERT(scenarios::validate(scenario).has_value());
    sizes.push_back(size_of(scenario));
  };
  return options;
}

void check_monotone(const Shrunk& shrunk, const std::vector<Size>& sizes) {
  Size last = shrunk.before;
  for (const Size& size : sizes) {
    RC_ASSERT(size < last);
    last = size;
  }
  RC_ASSERT(shrunk.after == last);
  RC_ASSERT(shrunk.after == size_of(shrunk.scenario));
  RC_ASSERT(shrunk.accepted == sizes.size());
}

RC_GTEST_PROP(Shrinker, keeps_what_a_failure_needs_and_nothing_else, ()) {
  const Scenario scenario = drawn_scenario();
  const Needs needs = drawn_needs(scenarios::resolve(scenario));
  std::vector<Size> sizes;
  const Shrunk shrunk = shrink(scenario, 5, failed("C1"), one_by_one(monotone_judge(needs)), watched(sizes));
  check_monotone(shrunk, sizes);
  RC_ASSERT(shrunk.finished);
  RC_ASSERT(meets(shrunk.scenario, needs));
  RC_ASSERT(shrunk.after.faults == static_cast<std::int64_t>(needs.faults.size()));
  RC_ASSERT(records_in(shrunk.scenario) == needs.records);
  RC_ASSERT(shrunk.scenario.workload.consumers.empty());
  RC_ASSERT(shrunk.after.partitions == 1);
  RC_ASSERT(shrunk.scenario.seeds == (scenarios::SeedRange{5, 5}));
  // Faults are of broker 1 alone, so nothing but the need keeps the others.
  RC_ASSERT(shrunk.scenario.cluster.brokers == needs.brokers);
}

// A failure as chance would have it, and other failures in between.
RC_GTEST_PROP(Shrinker, ends_smaller_and_with_the_same_invariant_whatever_the_oracle_says, (std::uint64_t key)) {
  const Judge judge = [key](const Scenario& scenario) {
    std::uint64_t hash = key;
    for (const char c : scenarios::to_json(scenario, -1)) hash = mix64(hash, static_cast<unsigned char>(c));
    return hash % 3 == 0 ? failed("C1") : hash % 3 == 1 ? failed("C3") : RunResult{};
  };
  const Scenario scenario = drawn_scenario();
  std::vector<Size> sizes;
  const Shrunk shrunk = shrink(scenario, 1, failed("C1"), one_by_one(judge), watched(sizes));
  check_monotone(shrunk, sizes);
  RC_ASSERT(shrunk.finished);
  RC_ASSERT(shrunk.result.invariant == "C1");
  for (const FailedOtherwise& other : shrunk.otherwise) RC_ASSERT(other.result.invariant == "C3");
  std::vector<Size> again;
  const Shrunk parallel = shrink(scenario, 1, failed("C1"), all_at_once(judge), watched(again));
  RC_ASSERT(parallel.scenario == shrunk.scenario);
  RC_ASSERT(parallel.runs == shrunk.runs);
  RC_ASSERT(again == sizes);
}

RC_GTEST_PROP(Shrinker, stops_at_its_budget_with_the_best_so_far, ()) {
  const Scenario scenario = drawn_scenario();
  const Needs needs = drawn_needs(scenarios::resolve(scenario));
  const Judge judge = monotone_judge(needs);
  const auto budget = static_cast<std::uint64_t>(*rc::gen::resize(100, rc::gen::inRange(1, 60)));
  std::vector<Size> sizes;
  ShrinkOptions options = watched(sizes);
  options.max_runs = budget;
  const Shrunk shrunk = shrink(scenario, 1, failed("C1"), one_by_one(judge), options);
  check_monotone(shrunk, sizes);
  RC_ASSERT(shrunk.runs <= budget);
  RC_ASSERT(meets(shrunk.scenario, needs));
  // A deadline: the oracle answers no more.
  std::uint64_t left = budget;
  const Oracle limited = [&](const std::vector<Candidate>& candidates, const Accept& accept) {
    std::vector<RunResult> results;
    for (const Candidate& candidate : candidates) {
      if (left == 0) break;
      --left;
      results.push_back(judge(candidate.scenario));
      if (accept(results.back())) break;
    }
    return results;
  };
  const Shrunk stopped = shrink(scenario, 1, failed("C1"), limited);
  RC_ASSERT(meets(stopped.scenario, needs));
  RC_ASSERT(stopped.scenario == shrunk.scenario);
  RC_ASSERT(stopped.finished || left == 0);  // both, if the last answer left nothing to try
}

TEST(Shrinker, a_failure_of_another_kind_is_kept_aside) {
  Scenario scenario;
  scenario.name = "two-failures";
  scenario.faults = {isolated("one", 1, 100, 200), isolated("two", 1, 300, 200)};
  const Judge judge = [](const Scenario& candidate) {
    const bool both = candidate.faults.size() == 2;
    return both ? failed("C1") : candidate.faults.size() == 1 ? failed("M1") : RunResult{};
  };
  const Shrunk shrunk = shrink(scenario, 1, failed("C1"), one_by_one(judge));
  EXPECT_EQ(shrunk.scenario.faults.size(), 2U);
  ASSERT_EQ(shrunk.otherwise.size(), 1U);
  EXPECT_EQ(shrunk.otherwise.front().result.invariant, "M1");
  EXPECT_EQ(shrunk.otherwise.front().scenario.faults.size(), 1U);
}

TEST(Shrinker, a_run_that_failed_under_faults_is_not_awaited_to_its_end) {
  Scenario scenario;
  scenario.name = "early";
  std::set<std::int64_t> limits;
  const auto judging = [&limits](const RunResult& first) {
    return [&limits, first](const std::vector<Candidate>& candidates, const Accept&) {
      for (const Candidate& candidate : candidates)
        limits.insert(candidate.until_ms - candidate.scenario.phases.run_ms);
      return std::vector<RunResult>(candidates.size());
    };
  };
  static_cast<void>(shrink(scenario, 1, failed("C1"), judging(failed("C1"))));
  EXPECT_EQ(limits, std::set<std::int64_t>{2000});  // its set-up, and a second
  limits.clear();
  RunResult late = failed("V1");
  late.violation_ns = 60'000'000'000;
  Scenario endless = scenario;
  endless.phases.run_ms = 1000;
  const Oracle never = [&](const std::vector<Candidate>& candidates, const Accept&) {
    for (const Candidate& candidate : candidates) limits.insert(candidate.until_ms);
    return std::vector<RunResult>(candidates.size());
  };
  static_cast<void>(shrink(endless, 1, late, never));
  EXPECT_EQ(limits, std::set<std::int64_t>{0});
}

TEST(Shrinker, what_counts_as_the_same_failure) {
  RunResult crash;
  crash.outcome = RunOutcome::crash;
  crash.sentence = "the run died of signal 6 (Aborted): log.cpp:41: assertion failed: end >= start (12, 14)";
  RunResult same = crash, other = crash;
  same.sentence = "the run died of signal 6 (Aborted): log.cpp:41: assertion failed: end >= start (3, 77)";
  other.sentence = "the run died of signal 6 (Aborted): log.cpp:41: assertion failed: isr.size() > 0";
  EXPECT_TRUE(same_failure(crash, same));
  EXPECT_FALSE(same_failure(crash, other));
  EXPECT_TRUE(same_failure(failed("C1"), failed("C1")));
  EXPECT_FALSE(same_failure(failed("C1"), failed("C2")));
  EXPECT_FALSE(same_failure(failed("C1"), RunResult{}));
  RunResult inconclusive;
  inconclusive.outcome = RunOutcome::inconclusive;
  EXPECT_FALSE(can_shrink(inconclusive));
  EXPECT_FALSE(can_shrink(RunResult{}));
  EXPECT_TRUE(can_shrink(crash));
}

}  // namespace
}  // namespace verdict::search
