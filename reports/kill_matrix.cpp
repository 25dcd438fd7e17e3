#include "reports/kill_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/random.h"

namespace verdict::reports {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;

// Held out by their numbers, but a pattern was made for each.
constexpr std::array<std::string_view, 2> kTunedSince{
    "kip-320-truncate",      // old-news
    "kept-below-log-start",  // long-away
};

std::int64_t median(std::vector<std::int64_t> values) {  // not empty; of two the lower
  std::ranges::sort(values);
  return values[(values.size() - 1) / 2];
}

}  // namespace

std::optional<Estimate> cost_to_kill(std::span<const Cost> trials, double quantile) {
  if (trials.empty()) return std::nullopt;
  std::vector<Cost> sorted(trials.begin(), trials.end());
  // A trial that was given up as late as another killed was still at risk when that one did.
  std::ranges::sort(sorted, [](const Cost& a, const Cost& b) {
    return a.spent != b.spent ? a.spent < b.spent : a.killed && !b.killed;
  });
  constexpr double kRounding = 1e-9;
  double alive = 1;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (!sorted[i].killed) continue;
    alive *= 1 - 1 / static_cast<double>(sorted.size() - i);
    if (1 - alive >= quantile - kRounding) return Estimate{.value = sorted[i].spent};
  }
  return Estimate{.value = sorted.back().spent, .above = true};
}

std::string text_of(const std::optional<Estimate>& estimate) {
  if (!estimate) return "-";
  return fmt::format("{}{}", estimate->above ? "> " : "", estimate->value);
}

Half half_of(std::string_view id) {
  if (std::ranges::find(kTunedSince, id) != kTunedSince.end()) return Half::tuned;
  std::uint64_t key = 0;
  for (const char c : id) key = mix64(key, static_cast<std::uint8_t>(c));
  return (key & 1) == 0 ? Half::tuned : Half::held_out;
}

std::string_view name_of(Half half) { return half == Half::tuned ? "tuned" : "held out"; }

std::string_view name_of(DefectState state) {
  switch (state) {
    case DefectState::killed:
      return "killed";
    case DefectState::survived:
      return "survived";
    case DefectState::no_effect:
      return "no effect";
    case DefectState::unreached:
      break;
  }
  return "unreached";
}

bool is_candidate(const scenarios::DefectEntry& defect, const RunResult& result) {
  return result.outcome == RunOutcome::violation && result.marks.contains(fmt::format("defect-{}", defect.id)) &&
         std::ranges::find(defect.accepted, std::string_view(result.invariant)) != defect.accepted.end();
}

bool MatrixRow::take(const RunResult& result, std::int64_t core, const RunResult* healthy) {
  ++runs;
  wall_ms += result.wall_ms;
  core_ms += core;
  ++trials.back().runs;
  trials.back().wall_ms += result.wall_ms;
  reached += result.marks.contains(fmt::format("defect-{}", defect.id)) ? 1 : 0;
  crashes += result.outcome == RunOutcome::crash ? 1 : 0;
  overruns += result.outcome == RunOutcome::overrun ? 1 : 0;
  const bool innocent =
      healthy != nullptr && healthy->outcome == result.outcome && healthy->invariant == result.invariant;
  if (is_candidate(defect, result) && !innocent) {
    trials.back().killed = true;
    ++kills[result.invariant];
    black_box += result.black_box.empty() ? 0 : 1;
    kill_seeds.push_back(result.seed);
    return true;
  }
  if (result.outcome == RunOutcome::violation) {
    ++not_accepted;
    ++other_failures[result.invariant];
  }
  return false;
}

DefectState MatrixRow::state() const {
  if (killed() > 0) return DefectState::killed;
  if (reached == 0) return DefectState::unreached;
  return compared > 0 && differs == 0 ? DefectState::no_effect : DefectState::survived;
}

std::string MatrixRow::invariant() const {
  const auto most = std::ranges::max_element(kills, {}, [](const auto& kill) { return kill.second; });
  return most == kills.end() ? std::string() : most->first;
}

std::optional<Estimate> MatrixRow::runs_to_kill(double quantile) const {
  std::vector<Cost> costs;
  for (const MatrixTrial& trial : trials) {
    if (trial.runs > 0) costs.push_back({static_cast<std::int64_t>(trial.runs), trial.killed});
  }
  return cost_to_kill(costs, quantile);
}

std::optional<Estimate> MatrixRow::wall_ms_to_kill(double quantile) const {
  std::vector<Cost> costs;
  for (const MatrixTrial& trial : trials) {
    if (trial.runs > 0) costs.push_back({trial.wall_ms, trial.killed});
  }
  return cost_to_kill(costs, quantile);
}

std::uint64_t KillMatrix::killed(std::optional<Half> half) const {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      rows, [&](const MatrixRow& row) { return row.killed() > 0 && (!half || half_of(row.defect.id) == *half); }));
}

std::uint64_t KillMatrix::count(std::optional<Half> half) const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(rows, [&](const MatrixRow& row) { return !half || half_of(row.defect.id) == *half; }));
}

std::optional<Minimal> KillMatrix::median_minimal() const {
  std::vector<std::int64_t> faults, operations;
  for (const MatrixRow& row : rows) {
    if (!row.minimal) continue;
    faults.push_back(row.minimal->faults);
    operations.push_back(row.minimal->operations);
  }
  if (faults.empty()) return std::nullopt;
  return Minimal{.faults = median(std::move(faults)), .operations = median(std::move(operations))};
}

int KillMatrix::code() const {
  int worst = healthy.failed > 0 ? healthy.code : 0;
  for (const MatrixRow& row : rows) {
    const DefectState state = row.state();
    if (state == DefectState::killed) continue;
    worst =
        gravest(worst, exit_code(state == DefectState::survived ? RunOutcome::violation : RunOutcome::inconclusive));
  }
  return worst;
}

}  // namespace verdict::reports
