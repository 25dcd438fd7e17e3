#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scenarios/guest.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"
#include "search/generator.h"
#include "search/profile.h"
#include "search/shrink.h"
#include "sim/cluster.h"

// Verdict as a library: the one header for who tests guarantees of his own against a Kafka-style cluster. Link the
// target verdict::library; examples/ has a complete test. In short:
//
//   1. a Scenario: read from JSON (scenarios::parse_scenario), written by hand, or drawn by RapidCheck:
//        const scenarios::Scenario scenario = *rc::gen::noShrink(scenario_of(*find_profile("small")));
//      (include rapidcheck.h; noShrink, because Cluster::shrink below knows scenarios and RapidCheck does not). A
//      Profile is a plain struct: copy one and take out the faults that your guarantee is not about.
//   2. a Cluster of it, with your Workload on a machine of its own and your Invariant over the event feed
//      (scenarios/guest.h);
//   3. Cluster::run under a seed, and story() for the message of the assertion that failed.
//
// A run is a function of the build, the scenario, the seed and what your classes do with them. It takes some 10 to 300
// ms of this thread, needs no file, port or thread, and any number of Clusters live side by side.
namespace verdict::search {

// A simulated cluster under a scenario, and what the caller tries on it. A value; each run is a world of its own.
class Cluster {
 public:
  // `scenario` need not be valid: see run().
  explicit Cluster(scenarios::Scenario scenario) : scenario_(std::move(scenario)) {}

  // A machine `name` (of letters, digits and dashes; no two alike, none of the scenario's own: "broker-1",
  // "controller", "client-1", "admin", "reader") that `make` puts a workload on, beside the scenario's own clients.
  Cluster& add_workload(std::string name, scenarios::MakeWorkload make);
  // Judged beside Verdict's own rules; the first rule of all that breaks ends the run.
  Cluster& add_invariant(std::string name, scenarios::MakeInvariant make);
  // A documented bug of the broker core, planted (`verdict list defects`): the test of your test. Beside the
  // scenario's own.
  Cluster& plant(std::string defect);
  // Verdict's own rules are not judged, so that a run goes on to where only yours can see what is wrong.
  Cluster& judge_only_mine();

  const scenarios::Scenario& scenario() const { return scenario_; }

  // One run to its end. RunResult::outcome: pass; violation, with the invariant's name, its sentence and witnesses;
  // inconclusive, where the scenario's `expect` was not met (RunResult::unmet: say expect.acknowledged = 0 if your
  // workload is all that counts); overrun, of a run without end: a workload that did not finish, or, under the
  // invariant's name "scenario", a scenario or defect that is none, or names that are not as they must be.
  scenarios::RunResult run(std::uint64_t seed) const;
  // The same twice; outcome nondeterministic, with the first event that differs, if your code is not a function of
  // its runtime.
  scenarios::RunResult run_twice(std::uint64_t seed) const;

  // `result`, of run(seed), is a violation or an overrun: the scenario made small as long as the same invariant fails.
  // At most `max_runs` runs in this thread. Shrunk::scenario runs under its own seed, seeds.first.
  Shrunk shrink(std::uint64_t seed, const scenarios::RunResult& result, std::uint64_t max_runs = 500) const;

  // For the message of an assertion: the sentence, the witnesses, the seed and the scenario as JSON, which
  // scenarios::parse_scenario reads back.
  std::string story(const scenarios::RunResult& result) const;

 private:
  scenarios::RunResult run_with(const scenarios::Scenario& scenario, std::uint64_t seed,
                                const scenarios::RunOptions& options) const;

  scenarios::Scenario scenario_;
  scenarios::RunOptions options_;
};

}  // namespace verdict::search
