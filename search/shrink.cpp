#include "search/shrink.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "runtime/assert.h"
#include "scenarios/runner.h"
#include "search/edits.h"
#include "search/loads.h"
#include "search/signature.h"

namespace verdict::search {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

constexpr std::size_t kBatch = 64;       // candidates that the oracle gets at once
constexpr std::size_t kOtherwise = 5;    // other failures that are kept
constexpr std::int64_t kSlackMs = 1000;  // how much later than at the heal a run may fail that failed before it
constexpr std::string_view kSuffix = "-shrunk";
constexpr std::size_t kMostName = 80;

// The candidate itself was at fault: nothing was tried.
bool never_ran(const RunResult& result) { return result.invariant == "scenario" || result.invariant == "set-up"; }

class Shrinker {
 public:
  Shrinker(Scenario scenario, RunResult result, const Oracle& oracle, const ShrinkOptions& options)
      : oracle_(oracle), options_(options) {
    out_.before = out_.after = size_of(scenario);
    out_.scenario = std::move(scenario);
    out_.result = std::move(result);
    seen_.insert(scenarios::to_json(out_.scenario, -1));
  }

  Shrunk run();

 private:
  using Make = std::function<Edited(const Kept&)>;

  const Scenario& best() const { return out_.scenario; }
  bool step(const std::vector<Edited>& candidates);
  bool step_one(Edited candidate) { return step({std::move(candidate)}); }
  bool ask(const std::vector<Candidate>& candidates);
  void take(Candidate candidate, RunResult result);
  void keep_aside(const Scenario& scenario, const RunResult& result);
  std::int64_t until_ms(const Scenario& candidate) const;
  void subset(std::size_t count, const Make& make);
  void say(std::string_view stage);

  void labels();
  void faults();
  void clients();
  void operations();
  void nodes();
  void partitions();
  void settings();
  void times();
  void numbers();

  const Oracle& oracle_;
  const ShrinkOptions& options_;
  Shrunk out_;
  std::set<std::string> seen_;  // scenarios that were tried
  std::string_view stage_;
  bool stopped_ = false;
};

// Up to when a candidate's run is worth going on: where the best one failed under faults, soon after its heal.
std::int64_t Shrinker::until_ms(const Scenario& candidate) const {
  const RunResult& was = out_.result;
  if (was.violation_ns < 0 || was.workload_ns < 0) return 0;
  const std::int64_t failed_ms = (was.violation_ns - was.workload_ns) / 1'000'000;
  if (failed_ms > best().phases.run_ms) return 0;
  return was.workload_ns / 1'000'000 + candidate.phases.run_ms + kSlackMs;
}

void Shrinker::take(Candidate candidate, RunResult result) {
  const Size size = size_of(candidate.scenario);
  VERDICT_ASSERT(size < out_.after, "a step that does not make the scenario smaller");
  out_.after = size;
  out_.scenario = std::move(candidate.scenario);
  out_.result = std::move(result);
  ++out_.accepted;
  if (options_.accepted) options_.accepted(out_.scenario, out_.result);
}

void Shrinker::keep_aside(const Scenario& scenario, const RunResult& result) {
  if (!can_shrink(result) || never_ran(result) || out_.otherwise.size() >= kOtherwise) return;
  std::string kind = signature(result);
  if (std::ranges::find(out_.otherwise, kind, &FailedOtherwise::signature) != out_.otherwise.end()) return;
  out_.otherwise.push_back({std::move(kind), scenario, result});
}

bool Shrinker::ask(const std::vector<Candidate>& candidates) {
  const RunResult wanted = out_.result;
  const Accept accept = [&wanted](const RunResult& result) { return same_failure(wanted, result); };
  std::vector<RunResult> results = oracle_(candidates, accept);
  VERDICT_ASSERT(results.size() <= candidates.size(), "an oracle that answers more than it was asked");
  bool accepted = false;
  for (std::size_t i = 0; i < results.size() && !accepted; ++i) {
    ++out_.runs;
    accepted = accept(results[i]);
    if (accepted) {
      take(candidates[i], std::move(results[i]));
    } else {
      keep_aside(candidates[i].scenario, results[i]);
    }
  }
  if (!accepted && results.size() < candidates.size()) stopped_ = true;
  if (options_.max_runs > 0 && out_.runs >= options_.max_runs) stopped_ = true;
  say(stage_);
  return accepted;
}

// The first candidate that is smaller, valid, new, and fails in the same way becomes the best.
bool Shrinker::step(const std::vector<Edited>& candidates) {
  std::vector<Candidate> batch;
  const auto flush = [&] {
    const bool accepted = !batch.empty() && ask(batch);
    batch.clear();
    return accepted;
  };
  for (const Edited& candidate : candidates) {
    if (stopped_) return false;
    if (!candidate || size_of(*candidate) >= out_.after) continue;
    if (!seen_.insert(scenarios::to_json(*candidate, -1)).second || !scenarios::validate(*candidate)) continue;
    batch.push_back({*candidate, until_ms(*candidate)});
    const bool spent = options_.max_runs > 0 && out_.runs + batch.size() >= options_.max_runs;
    if ((spent || batch.size() >= kBatch) && flush()) return true;
  }
  return !stopped_ && flush();
}

// Delta debugging: leaves out as many of `count` elements as it can; `make` gives the scenario of those that stay.
void Shrinker::subset(std::size_t count, const Make& make) {
  std::vector<std::size_t> left(count);
  for (std::size_t i = 0; i < count; ++i) left[i] = i;
  std::size_t parts = 1;
  while (!left.empty() && !stopped_) {
    std::vector<std::vector<std::size_t>> rests;
    std::vector<Edited> candidates;
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t begin = left.size() * part / parts, end = left.size() * (part + 1) / parts;
      std::vector<std::size_t> rest(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(begin));
      rest.insert(rest.end(), left.begin() + static_cast<std::ptrdiff_t>(end), left.end());
      Kept kept(count, false);
      for (const std::size_t i : rest) kept[i] = true;
      candidates.push_back(make(kept));
      rests.push_back(std::move(rest));
    }
    const std::vector<Edited> tried = candidates;
    if (step(candidates)) {
      const auto taken = std::ranges::find_if(tried, [this](const Edited& one) { return one && *one == best(); });
      VERDICT_ASSERT(taken != tried.end());
      left = std::move(rests[static_cast<std::size_t>(taken - tried.begin())]);
      parts = std::max<std::size_t>(parts == 1 ? 1 : parts - 1, 1);
      parts = std::min(parts, std::max<std::size_t>(left.size(), 1));
    } else if (parts >= left.size()) {
      return;
    } else {
      parts = std::min(parts * 2, left.size());
    }
  }
}

void Shrinker::say(std::string_view stage) {
  stage_ = stage;
  if (options_.progress)
    options_.progress({.stage = stage, .runs = out_.runs, .first = out_.before, .best = out_.after});
}

// ---- the stages ----

// What a run must have seen to count says nothing about one that fails.
void Shrinker::labels() {
  say("expectations");
  Scenario bare = best();
  bare.expect = {};
  for (scenarios::FaultSpec& fault : bare.faults) fault.optional = false;
  step_one(std::move(bare));
}

void Shrinker::faults() {
  say("faults");
  const Scenario base = best();
  subset(base.faults.size(), [&](const Kept& kept) { return with_faults(base, kept); });
}

void Shrinker::clients() {
  say("clients");
  const Scenario base = best();
  subset(base.workload.producers.size() + base.workload.consumers.size(),
         [&](const Kept& kept) { return with_clients(base, kept); });
  while (step(with_plainer_clients(best()))) {
  }
}

// Fewer records, least first.
void Shrinker::operations() {
  say("operations");
  while (step(smaller_loads(best(), out_.result))) {
  }
}

void Shrinker::nodes() {
  say("nodes");
  for (bool more = true; more;) {
    std::vector<Edited> candidates;
    for (std::int32_t id = best().cluster.brokers; id >= 1; --id) candidates.push_back(without_broker(best(), id));
    Scenario combined = best();
    combined.cluster.combined = true;
    candidates.push_back(std::move(combined));
    more = step(candidates);
  }
}

void Shrinker::partitions() {
  say("partitions");
  for (bool more = true; more;) {
    std::vector<Edited> candidates;
    for (std::size_t topic = 0; topic < best().topics.size(); ++topic) {
      candidates.push_back(without_topic(best(), topic));
      for (Edited& one : fewer_partitions(best(), topic, out_.result)) candidates.push_back(std::move(one));
    }
    more = step(candidates);
  }
}

void Shrinker::settings() {
  say("settings");
  const Scenario base = best();
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves_of(base)) paths.push_back(leaf.path);
  subset(paths.size(), [&](const Kept& kept) {
    std::vector<std::string> gone;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i]) gone.push_back(paths[i]);
    }
    return without_leaves(base, gone);
  });
}

void Shrinker::times() {
  say("time");
  while (step(shorter_times(best(), out_.result))) {
  }
}

// Every number for itself: the least that will do, tried from below, then halves and round ones.
void Shrinker::numbers() {
  say("numbers");
  for (bool more = true; more && !stopped_;) {
    more = false;
    for (const Leaf& leaf : leaves_of(best())) {
      if (!leaf.number || stopped_) continue;
      std::vector<Edited> candidates;
      for (const std::int64_t value : smaller_numbers(*leaf.number))
        candidates.push_back(with_number(best(), leaf.path, value));
      if (!step(candidates)) continue;
      more = true;
      break;  // the leaves are others now
    }
  }
}

Shrunk Shrinker::run() {
  labels();
  for (Size round = out_.after; !stopped_; round = out_.after) {
    faults();
    times();
    clients();
    operations();
    nodes();
    partitions();
    settings();
    times();
    numbers();
    if (out_.after == round) out_.finished = !stopped_;
    if (out_.finished) break;
  }
  return std::move(out_);
}

Scenario start_of(const Scenario& scenario, std::uint64_t seed, const RunResult& result) {
  Scenario start = scenarios::resolve(scenario);
  start.seeds = {seed, seed};
  if (!start.name.ends_with(kSuffix)) {
    start.name.resize(std::min(start.name.size(), kMostName - kSuffix.size()));
    start.name += kSuffix;
  }
  start.description = "Shrunk from " + scenario.name + ", seed " + std::to_string(seed) + ": " +
                      (result.sentence.empty() ? std::string(scenarios::name_of(result.outcome)) : result.sentence);
  return start;
}

}  // namespace

bool same_failure(const RunResult& a, const RunResult& b) {
  if (a.outcome != b.outcome || a.invariant != b.invariant) return false;
  return a.outcome != RunOutcome::crash || signature(a) == signature(b);
}

bool can_shrink(const RunResult& result) {
  return result.outcome == RunOutcome::violation || result.outcome == RunOutcome::overrun ||
         result.outcome == RunOutcome::crash;
}

Shrunk shrink(const Scenario& scenario, std::uint64_t seed, const RunResult& result, const Oracle& oracle,
              const ShrinkOptions& options) {
  VERDICT_ASSERT(can_shrink(result), "nothing failed that could be shrunk");
  return Shrinker(start_of(scenario, seed, result), result, oracle, options).run();
}

}  // namespace verdict::search
