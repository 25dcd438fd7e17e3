#include "search/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace verdict::search {
namespace {

using scenarios::Guest;
using scenarios::RunOptions;
using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

bool is_taken(std::string_view host) {
  const auto numbered = [host](std::string_view stem) { return host.starts_with(stem); };
  return host == "controller" || host == "admin" || host == "reader" || numbered("broker-") || numbered("client-");
}

bool is_host(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, good);
}

// What is wrong with what the caller brought; empty: nothing.
std::string complaint(const RunOptions& options) {
  std::vector<std::string_view> hosts;
  for (const Guest& guest : options.guests) {
    if (guest.name.empty()) return "an invariant without a name";
    if (!guest.workload && !guest.invariant) return fmt::format("{}: nothing that makes it", guest.name);
    if (!guest.workload) continue;
    if (!is_host(guest.name) || is_taken(guest.name))
      return fmt::format("workload {}: letters, digits and dashes, and no machine of the scenario's own", guest.name);
    if (std::ranges::find(hosts, guest.name) != hosts.end()) return fmt::format("two workloads {}", guest.name);
    hosts.push_back(guest.name);
  }
  for (const std::string& defect : options.defects) {
    if (!find_defect(defect)) return fmt::format("{}: no such defect", defect);
  }
  return {};
}

}  // namespace

Cluster& Cluster::add_workload(std::string name, scenarios::MakeWorkload make) {
  options_.guests.push_back({.name = std::move(name), .workload = std::move(make), .invariant = nullptr});
  return *this;
}

Cluster& Cluster::add_invariant(std::string name, scenarios::MakeInvariant make) {
  options_.guests.push_back({.name = std::move(name), .workload = nullptr, .invariant = std::move(make)});
  return *this;
}

Cluster& Cluster::plant(std::string defect) {
  options_.defects.push_back(std::move(defect));
  return *this;
}

Cluster& Cluster::judge_only_mine() {
  options_.own_rules = false;
  return *this;
}

RunResult Cluster::run_with(const Scenario& scenario, std::uint64_t seed, const RunOptions& options) const {
  if (std::string wrong = complaint(options); !wrong.empty()) {
    RunResult result;
    result.scenario = scenario.name;
    result.seed = seed;
    result.outcome = RunOutcome::overrun;
    result.invariant = "scenario";
    result.sentence = std::move(wrong);
    return result;
  }
  return scenarios::run(scenario, seed, options);
}

RunResult Cluster::run(std::uint64_t seed) const { return run_with(scenario_, seed, options_); }

RunResult Cluster::run_twice(std::uint64_t seed) const {
  RunOptions options = options_;
  options.check_determinism = true;
  return run_with(scenario_, seed, options);
}

Shrunk Cluster::shrink(std::uint64_t seed, const RunResult& result, std::uint64_t max_runs) const {
  const Oracle oracle = [this](const std::vector<Candidate>& candidates, const Accept& accept) {
    std::vector<RunResult> results;
    for (const Candidate& candidate : candidates) {
      RunOptions options = options_;
      options.until_ms = candidate.until_ms;
      results.push_back(run_with(candidate.scenario, candidate.scenario.seeds.first, options));
      if (accept(results.back())) break;
    }
    return results;
  };
  ShrinkOptions options;
  options.max_runs = max_runs;
  return search::shrink(scenarios::resolve(scenario_), seed, result, oracle, options);
}

std::string Cluster::story(const RunResult& result) const {
  std::string out = fmt::format("{} seed {}: {}", name_of(result.outcome), result.seed, result.invariant);
  if (!result.sentence.empty()) fmt::format_to(std::back_inserter(out), ": {}", result.sentence);
  for (const scenarios::WitnessLine& witness : result.witnesses) {
    fmt::format_to(std::back_inserter(out), "\n  {}.{:06} s  {}", witness.time_ns / 1'000'000'000,
                   witness.time_ns / 1000 % 1'000'000, witness.text);
  }
  for (const std::string& unmet : result.unmet) fmt::format_to(std::back_inserter(out), "\n  not seen: {}", unmet);
  if (!result.difference.empty()) fmt::format_to(std::back_inserter(out), "\n  {}", result.difference);
  fmt::format_to(std::back_inserter(out), "\n{}\n", scenarios::to_json(scenario_));
  return out;
}

}  // namespace verdict::search
