// verdict mutants: the kill matrix. Every defect meets the same scenarios and seeds, and so does the healthy core.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/progress.h"
#include "cli/workers.h"
#include "reports/campaign.h"
#include "reports/text.h"
#include "runtime/random.h"
#include "scenarios/catalogue.h"

namespace verdict::cli {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

constexpr std::uint64_t kTrials = 10;

// One defect (or none) under one block of seeds: a run for each seed, until it is killed.
struct Trial {
  std::size_t defect = 0;  // of the matrix; its size: the healthy core
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t next = 0;
  std::int64_t killed_after = -1;  // runs
  bool running = false;
  bool done = false;
};

struct Row {
  scenarios::DefectEntry defect;
  std::uint64_t runs = 0;
  double wall_s = 0;                                                 // of its runs, one after the other
  std::uint64_t reached = 0, crashes = 0, overruns = 0, others = 0;  // runs
  std::map<std::string, std::uint64_t> kills;                        // by invariant
  std::set<std::string> other_invariants;
  std::vector<std::int64_t> trials;
  std::pair<std::string, std::uint64_t> example;  // scenario and seed of the first trial's kill

  bool killed() const { return !kills.empty(); }
  std::string invariant() const {  // that killed most often
    const auto most = std::ranges::max_element(kills, {}, [](const auto& kill) { return kill.second; });
    return most == kills.end() ? std::string() : most->first;
  }
};

class Matrix {
 public:
  Matrix(const MutantsOptions& options, std::vector<scenarios::DefectEntry> defects, std::vector<Scenario> all,
         scenarios::SeedRange seeds)
      : options_(options),
        scenarios_(std::move(all)),
        progress_(0),
        pool_(options.jobs > 0 ? options.jobs : default_jobs(),
              [this](const std::string& line) { return work(scenarios_, line); }) {
    for (scenarios::DefectEntry& defect : defects) rows_.push_back({.defect = std::move(defect)});
    const std::uint64_t count = seeds.last - seeds.first + 1;
    const std::uint64_t blocks = std::min(kTrials, count);
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      for (std::uint64_t b = 0; b < blocks; ++b) {
        const std::uint64_t first = seeds.first + count * b / blocks;
        trials_.push_back(
            {.defect = row, .first = first, .last = seeds.first + count * (b + 1) / blocks - 1, .next = first});
      }
    }
  }

  int run() {
    drive();
    for (std::size_t i = 0; i < trials_.size(); ++i) rows_[trials_[i].defect].trials.push_back(trials_[i].killed_after);
    run_healthy();
    progress_.clear();
    options_.format == Format::text ? print_text() : print_json();
    return code();
  }

 private:
  // The scenario of a seed: drawn, the same for every defect.
  std::size_t scenario_of(std::uint64_t seed) const {
    return static_cast<std::size_t>(scale_to(mix64(seed), scenarios_.size()));
  }

  void drive() {
    for (;;) {
      for (std::size_t i = 0; i < trials_.size() && pool_.has_idle(); ++i) {
        Trial& trial = trials_[i];
        if (trial.done || trial.running) continue;
        Job job;
        job.scenario = scenario_of(trial.next);
        job.seed = trial.next;
        job.defects = {std::string(rows_[trial.defect].defect.id)};
        trial.running = true;
        pool_.start(i, to_line(job));
      }
      if (pool_.busy() == 0) return;
      for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(200)))
        take(trials_[report.id], result_of(report, trials_[report.id].next));
      progress_.show();
    }
  }

  RunResult result_of(const WorkerReport& report, std::uint64_t seed) {
    const Scenario& scenario = scenarios_[scenario_of(seed)];
    RunResult result;
    if (report.died) {
      result = crashed(scenario, seed, report.death, report.stderr_tail);
    } else if (auto parsed = reports::parse_run_result(report.line)) {
      result = std::move(*parsed);
    } else {
      result = crashed(scenario, seed, "answered what can't be read: " + parsed.error(), {});
    }
    progress_.add(result);
    return result;
  }

  void take(Trial& trial, const RunResult& result) {
    Row& row = rows_[trial.defect];
    ++row.runs;
    row.wall_s += static_cast<double>(result.wall_ms) / 1000;
    const std::string mark = fmt::format("defect-{}", row.defect.id);
    row.reached += result.marks.contains(mark) ? 1 : 0;
    row.crashes += result.outcome == RunOutcome::crash ? 1 : 0;
    row.overruns += result.outcome == RunOutcome::overrun ? 1 : 0;
    tried_.insert(trial.next);
    const bool accepted =
        std::ranges::find(row.defect.accepted, std::string_view(result.invariant)) != row.defect.accepted.end();
    if (result.outcome == RunOutcome::violation && accepted) {
      trial.killed_after = static_cast<std::int64_t>(trial.next - trial.first + 1);
      ++row.kills[result.invariant];
      if (row.example.first.empty() || trial.next < row.example.second) row.example = {result.scenario, trial.next};
    } else if (result.outcome == RunOutcome::violation) {
      ++row.others;
      row.other_invariants.insert(result.invariant);
    }
    trial.running = false;
    trial.done = trial.killed_after >= 0 || trial.next == trial.last;
    ++trial.next;
  }

  // The healthy core under every scenario and seed that a defect met.
  void run_healthy() {
    std::vector<std::uint64_t> seeds(tried_.begin(), tried_.end());
    std::size_t next = 0;
    while (next < seeds.size() || pool_.busy() > 0) {
      for (; next < seeds.size() && pool_.has_idle(); ++next) {
        Job job;
        job.scenario = scenario_of(seeds[next]);
        job.seed = seeds[next];
        pool_.start(seeds[next], to_line(job));
      }
      for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(200))) {
        const RunResult result = result_of(report, report.id);
        healthy_.add(result.outcome);
        if (reports::failed(result.outcome)) guilty_.emplace(report.id, reports::run_line(result));
      }
      progress_.show();
    }
  }

  int code() const {
    int worst = 0;
    for (const Row& row : rows_) {
      if (!row.killed()) worst = reports::gravest(worst, row.reached == 0 ? kInconclusive : kViolation);
    }
    return healthy_.failed > 0 ? reports::gravest(worst, healthy_.code) : worst;
  }

  static std::string number(std::int64_t runs) { return runs < 0 ? "-" : fmt::format("{}", runs); }

  void print_healthy(std::FILE* to) const {
    for (const auto& [seed, line] : guilty_) fmt::print(to, "healthy core: {}\n", line);
    fmt::print(to, "healthy core, the same scenarios and seeds: {}\n", healthy_.last_line());
  }

  void print_text() const {
    fmt::print("{:<18} {:<10} {:>6} {:>7} {:>5} {:>8} {:>6} {:>8}  {}\n", "defect", "", "runs", "median", "p90",
               "wall s", "crash", "reached", "killed by");
    for (const Row& row : rows_) {
      std::vector<std::string> by;
      for (const auto& [invariant, count] : row.kills) by.push_back(fmt::format("{} x{}", invariant, count));
      for (const std::string& other : row.other_invariants) by.push_back(fmt::format("({} is not accepted)", other));
      if (row.overruns > 0) by.push_back(fmt::format("({} overruns)", row.overruns));
      fmt::print("{:<18} {:<10} {:>6} {:>7} {:>5} {:>8.1f} {:>6} {:>8}  {}\n", row.defect.id,
                 row.killed()       ? "killed"
                 : row.reached == 0 ? "unreached"
                                    : "survived",
                 row.runs, number(reports::runs_to_kill(row.trials, 0.5)),
                 number(reports::runs_to_kill(row.trials, 0.9)), row.wall_s, row.crashes, row.reached,
                 fmt::join(by, ", "));
      if (row.killed()) {
        fmt::print("    ./verdict run {} --seed {} --set 'defects=[\"{}\"]'\n", row.example.first, row.example.second,
                   row.defect.id);
      }
    }
    print_healthy(stdout);
    const auto killed = std::ranges::count_if(rows_, &Row::killed);
    fmt::print("{} killed, {} not\n", killed, static_cast<std::ptrdiff_t>(rows_.size()) - killed);
  }

  void print_json() const {
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const Row& row : rows_) {
      const auto quantile = [&](double q) {
        const std::int64_t runs = reports::runs_to_kill(row.trials, q);
        return runs < 0 ? Json() : Json(runs);
      };
      list.push_back({{"id", row.defect.id},
                      {"killed", row.killed()},
                      {"runs", row.runs},
                      {"seeds_to_kill_median", quantile(0.5)},
                      {"seeds_to_kill_p90", quantile(0.9)},
                      {"wall_s", row.wall_s},
                      {"invariant", row.invariant()}});
    }
    fmt::print("{}\n", Json{{"defects", std::move(list)}}.dump());
    std::fflush(stdout);
    print_healthy(stderr);
  }

  const MutantsOptions& options_;
  std::vector<Scenario> scenarios_;
  std::vector<Row> rows_;
  std::vector<Trial> trials_;
  std::set<std::uint64_t> tried_;
  reports::Tally healthy_;
  std::map<std::uint64_t, std::string> guilty_;  // by seed
  Progress progress_;
  WorkerPool pool_;
};

}  // namespace

int mutants(const MutantsOptions& options) {
  const auto seeds = reports::parse_seeds(options.seeds);
  if (!seeds) return usage(seeds.error());
  std::vector<scenarios::DefectEntry> defects;
  if (options.defects.empty()) defects = scenarios::defects();
  for (const std::string& id : options.defects) {
    auto entry = scenarios::find_defect_entry(id);
    if (!entry) return usage(fmt::format("no defect is called {}: a name of `verdict list defects`", id));
    defects.push_back(std::move(*entry));
  }
  std::vector<Scenario> all;
  for (const std::string_view name : scenarios::mutant_scenarios()) {
    auto scenario = load_scenario(std::string(name), {});
    if (!scenario) return usage(scenario.error());
    all.push_back(std::move(*scenario));
  }
  if (all.empty()) return usage("no scenario of the library has the tag \"mutants\"");
  return Matrix(options, std::move(defects), std::move(all), *seeds).run();
}

}  // namespace verdict::cli
