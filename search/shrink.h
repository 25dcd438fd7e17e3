#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/result.h"
#include "scenarios/scenario.h"

// From a scenario that fails to a small one that fails of the same invariant. Pure: it proposes candidates and is told
// their results, so what comes out is a function of the scenario and of the oracle alone.
namespace verdict::search {

// What shrinking brings down; compared in this order, so that whatever it does on behalf of one line may add to those
// below.
struct Size {
  std::int64_t faults = 0;      // entries of the list
  std::int64_t operations = 0;  // records that producers are to send, and one for each consumer
  std::int64_t clients = 0;
  std::int64_t nodes = 0;       // brokers, and a controller of its own
  std::int64_t partitions = 0;  // of all topics
  std::int64_t settings = 0;    // values that are not as by default, anywhere in the scenario
  std::int64_t time_ms = 0;     // the run, and everything that the faults say in milliseconds
  std::int64_t weight = 0;      // the sum of all other numbers of the faults
  friend auto operator<=>(const Size&, const Size&) = default;
};
Size size_of(const scenarios::Scenario& scenario);  // resolved

// Records that producer `p` can send: its limit, or what its bursts come to in the time that it has.
std::int64_t records_of(const scenarios::ProducerSpec& p, const scenarios::PhaseSpec& phases);

struct Candidate {
  scenarios::Scenario scenario;  // to be run under the seed seeds.first
  std::int64_t until_ms = 0;     // virtual time at which its run may stop, for it would have failed by then; 0: its end
};

// Runs candidates and answers with the results of the first ones in order: up to and with the first that `accept`
// takes, or all. Fewer than that: it was stopped (a deadline, an interruption). How many of them it runs at once is its
// own business.
using Accept = std::function<bool(const scenarios::RunResult&)>;
using Oracle = std::function<std::vector<scenarios::RunResult>(const std::vector<Candidate>&, const Accept&)>;

struct ShrinkProgress {
  std::string_view stage;  // "faults", "operations", ...
  std::uint64_t runs = 0;
  Size first, best;
};

struct ShrinkOptions {
  std::uint64_t max_runs = 0;                           // counted as if one at a time; 0: no limit
  std::function<void(const ShrinkProgress&)> progress;  // may be empty; after each answer of the oracle
  std::function<void(const scenarios::Scenario&, const scenarios::RunResult&)> accepted;  // may be empty; each step
};

// A candidate that failed of something else: not a step, but worth a look.
struct FailedOtherwise {
  std::string signature;
  scenarios::Scenario scenario;
  scenarios::RunResult result;
};

struct Shrunk {
  scenarios::Scenario scenario;  // resolved; its seeds are the one seed it was run with
  scenarios::RunResult result;   // its run
  Size before, after;
  std::uint64_t runs = 0;
  std::uint64_t accepted = 0;
  bool finished = false;                   // nothing is left to try; else budget, deadline or interruption
  std::vector<FailedOtherwise> otherwise;  // one a signature, the first few
};

// Outcome and invariant are the same; of crashes, the signature.
bool same_failure(const scenarios::RunResult& a, const scenarios::RunResult& b);

// Whether such a result can be shrunk at all: violations, overruns, crashes.
bool can_shrink(const scenarios::RunResult& result);

// `result`: of `scenario` under `seed`, as the oracle would give it; can_shrink().
Shrunk shrink(const scenarios::Scenario& scenario, std::uint64_t seed, const scenarios::RunResult& result,
              const Oracle& oracle, const ShrinkOptions& options = {});

}  // namespace verdict::search
