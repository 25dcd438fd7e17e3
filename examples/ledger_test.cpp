// The ledger's guarantees under scenarios that RapidCheck draws: they hold on the broker as it is, and each of them is
// broken by a known bug of Kafka-style replication, planted. RC_PARAMS="max_success=2000" draws more.
#include "examples/ledger.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace {

using verdict::scenarios::RunOutcome;
using verdict::scenarios::RunResult;
using verdict::scenarios::Scenario;
using verdict::search::Cluster;

const verdict::search::Profile& profile() { return *verdict::search::find_profile("small"); }

RC_GTEST_PROP(Ledger, KeepsItsGuaranteesWhateverFails, ()) {
  const Scenario scenario = *rc::gen::noShrink(verdict::search::scenario_of(profile()));
  const std::uint64_t seed = *rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>());
  const Cluster cluster = ledger::cluster(scenario);
  const RunResult result = cluster.run(seed);
  // What a run did not see of its scenario's own load is no matter of ours.
  if (result.outcome == RunOutcome::pass || result.outcome == RunOutcome::inconclusive) return;
  const auto small = cluster.shrink(seed, result);
  RC_FAIL(Cluster(small.scenario).story(small.result));
}

// The seeds of the scenarios that were tried until one failed of `invariant`, with `defect` planted.
struct Conviction {
  RunResult result;
  std::uint64_t seed = 0;  // 0: none failed
};

Conviction convict(const std::string& defect, const std::string& invariant, std::uint64_t most) {
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    const RunResult result = ledger::cluster(generate(profile(), seed)).plant(defect).judge_only_mine().run(seed);
    if (result.outcome == RunOutcome::violation && result.invariant == invariant) return {result, seed};
  }
  return {};
}

TEST(Ledger, MissesABookingAfterAnUncleanElection) {
  const Conviction found = convict("unclean-election", "no-booking-is-missing", 400);
  ASSERT_NE(found.seed, 0U);
  EXPECT_NE(found.result.sentence.find(" is missing before "), std::string::npos) << found.result.sentence;
  EXPECT_EQ(found.result.partition, "ledger-0");
  // The same run without the bug.
  EXPECT_EQ(ledger::cluster(generate(profile(), found.seed)).run(found.seed).outcome, RunOutcome::pass);
}

TEST(Ledger, IsAcknowledgedByALonelyLeaderWithoutMinIsr) {
  const Conviction found = convict("min-isr-off", "no-lonely-acknowledgement", 60);
  ASSERT_NE(found.seed, 0U);
  EXPECT_GE(found.result.offset, 0);
  EXPECT_EQ(ledger::cluster(generate(profile(), found.seed)).run(found.seed).outcome, RunOutcome::pass);
}

TEST(Ledger, ShrinksToTheFewFaultsThatItTakes) {
  const Conviction found = convict("min-isr-off", "no-lonely-acknowledgement", 60);
  ASSERT_NE(found.seed, 0U);
  Cluster cluster = ledger::cluster(generate(profile(), found.seed));
  cluster.plant("min-isr-off").judge_only_mine();
  const auto small = cluster.shrink(found.seed, found.result, 60);
  EXPECT_EQ(small.result.invariant, found.result.invariant);
  EXPECT_LE(small.scenario.faults.size(), cluster.scenario().faults.size());
  EXPECT_LT(small.after, small.before);
  EXPECT_NE(cluster.story(small.result).find(small.result.sentence), std::string::npos);
}

TEST(Ledger, IsDeterministic) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const RunResult result = ledger::cluster(generate(profile(), seed)).run_twice(seed);
    EXPECT_NE(result.outcome, RunOutcome::nondeterministic) << result.difference;
  }
}

}  // namespace
