// verdict mutants: the kill matrix. Every defect meets the same drawn scenarios, and so does the healthy core.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/jobs.h"
#include "cli/pool_oracle.h"
#include "cli/progress.h"
#include "cli/workers.h"
#include "reports/bundle.h"
#include "reports/kill_matrix.h"
#include "reports/text.h"
#include "scenarios/catalogue.h"
#include "scenarios/runner.h"
#include "search/generator.h"
#include "search/shrink.h"

namespace verdict::cli {
namespace {

using reports::MatrixRow;
using scenarios::RunResult;
using scenarios::Scenario;

// Trial t has the seeds from first + t * kBlock on, whatever the budget: blocks never meet.
constexpr std::uint64_t kBlock = 1'000'000;
constexpr std::string_view kNoDefect = "-";
constexpr auto kShrinkTime = std::chrono::seconds(60);  // of a defect

struct Plan {
  const search::Profile* profile = nullptr;
  std::vector<scenarios::DefectEntry> defects;
  std::int64_t for_ms = 0;  // of a defect's runs, one after the other; 0: no limit
};

// One run that was asked for.
struct Task {
  enum class Kind : std::uint8_t {
    planted,
    healthy,
    recall  // a kill once more, to its end: what do clients see?
  };
  Kind kind = Kind::planted;
  std::size_t row = 0;
  std::uint64_t trial = 0;
  std::uint64_t seed = 0;
};

struct Answer {
  RunResult result;
  std::int64_t core_ms = 0;
};

// Where a row's trial under way has come to. Seeds may be run ahead; they count in their order, up to the kill.
struct Cursor {
  std::uint64_t trial = 0;
  std::uint64_t next = 0;   // not handed out
  std::uint64_t judge = 0;  // not counted
  std::map<std::uint64_t, Answer> ended;
  std::size_t running = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> hashes;  // by seed, of all runs that counted
  bool done = false;

  std::size_t ahead() const { return running + ended.size(); }
};

class Campaign {
 public:
  Campaign(const MutantsOptions& options, Plan plan)
      : options_(options),
        plan_(std::move(plan)),
        jobs_(options.jobs > 0 ? options.jobs : default_jobs()),
        progress_(0),
        pool_(jobs_, [this](const std::string& line) { return work_on(line); }) {
    matrix_.profile = plan_.profile->name;
    matrix_.build = reports::build_id();
    for (scenarios::DefectEntry& defect : plan_.defects) {
      matrix_.rows.push_back({.defect = std::move(defect)});
      cursors_.push_back({.next = first_seed(0), .judge = first_seed(0)});
    }
  }

  int run() {
    if (!options_.out.empty() && !write_files()) return kInternal;
    for (;;) {
      if (interruption_.came()) stopping_ = true;
      hand_out();
      if (pool_.busy() == 0) break;
      for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(100))) take(report);
      progress_.show();
    }
    finish();
    for (MatrixRow& row : matrix_.rows) {
      if (options_.shrink && row.killed() > 0) shrink(row);
    }
    progress_.clear();
    fmt::print("{}",
               options_.format == Format::text ? reports::matrix_plain(matrix_) : reports::matrix_json(matrix_) + "\n");
    std::fflush(stdout);
    const bool wrote = options_.out.empty() || write_files();
    if (stopping_) fmt::print(stderr, "verdict: interrupted; the matrix is what there was until then\n");
    const int code = stopping_ ? reports::gravest(matrix_.code(), kInconclusive) : matrix_.code();
    return wrote ? code : kInternal;
  }

 private:
  // ---- in a worker ----

  // "SEED DEFECT", or "SEED+ DEFECT" for a run past its violation, answers the run's processor time in milliseconds
  // and its result.
  std::string work_on(const std::string& line) const {
    const std::uint64_t seed = std::stoull(line);
    const std::string defect = line.substr(line.find(' ') + 1);
    const std::clock_t before = std::clock();
    Job job;
    job.seed = seed;
    if (defect != kNoDefect) job.defects = {defect};
    job.past_violation = line[line.find(' ') - 1] == '+';
    const std::string result = work({search::generate(*plan_.profile, seed)}, to_line(job));
    const auto core_ms = static_cast<std::int64_t>(std::clock() - before) * 1000 / CLOCKS_PER_SEC;
    return fmt::format("{} {}", core_ms, result);
  }

  // ---- here ----

  std::uint64_t first_seed(std::uint64_t trial) const { return options_.seed + trial * kBlock; }

  void start(const Task& task) {
    const bool healthy = task.kind == Task::Kind::healthy;
    tasks_.emplace(++last_task_, task);
    pool_.start(last_task_, fmt::format("{}{} {}", task.seed, task.kind == Task::Kind::recall ? "+" : "",
                                        healthy ? kNoDefect : matrix_.rows[task.row].defect.id));
  }

  void hand_out() {
    while (pool_.has_idle() && !stopping_) {
      if (!wanted_.empty()) {
        start({.kind = Task::Kind::healthy, .seed = wanted_.front()});
        wanted_.pop_front();
      } else if (!recalls_.empty()) {
        start(recalls_.front());
        recalls_.pop_front();
      } else if (Cursor* cursor = least_ahead()) {
        const auto row = static_cast<std::size_t>(cursor - cursors_.data());
        start({.row = row, .trial = cursor->trial, .seed = cursor->next++});
        ++cursor->running;
      } else if (const auto seed = untried_by_the_healthy()) {
        asked_healthy_.insert(*seed);
        start({.kind = Task::Kind::healthy, .seed = *seed});
      } else {
        return;
      }
    }
  }

  Cursor* least_ahead() {
    Cursor* best = nullptr;
    for (Cursor& cursor : cursors_) {
      if (cursor.done || cursor.ahead() >= 2 * static_cast<std::size_t>(jobs_)) continue;
      if (best == nullptr || cursor.ahead() < best->ahead()) best = &cursor;
    }
    return best;
  }

  // A seed that counted for a defect. Once all defects are through, so that none is run in vain.
  std::optional<std::uint64_t> untried_by_the_healthy() {
    if (!std::ranges::all_of(cursors_, &Cursor::done)) return std::nullopt;
    while (!tried_.empty()) {
      const std::uint64_t seed = *tried_.begin();
      tried_.erase(tried_.begin());
      if (!asked_healthy_.contains(seed)) return seed;
    }
    return std::nullopt;
  }

  Answer answer_of(const WorkerReport& report, std::uint64_t seed) const {
    Answer answer;
    const auto crash = [&](std::string_view death) {
      answer.result = crashed(search::generate(*plan_.profile, seed), seed, death, report.stderr_tail);
    };
    if (report.died) {
      crash(report.death);
      return answer;
    }
    auto parsed = reports::parse_run_result(std::string_view(report.line).substr(report.line.find(' ') + 1));
    if (!parsed) {
      crash("answered what can't be read: " + parsed.error());
      return answer;
    }
    answer.core_ms = std::stoll(report.line);
    answer.result = std::move(*parsed);
    answer.result.witnesses.clear();
    return answer;
  }

  void take(const WorkerReport& report) {
    const Task task = tasks_.extract(report.id).mapped();
    Answer answer = answer_of(report, task.seed);
    progress_.add(answer.result);
    if (task.kind == Task::Kind::healthy) return take_healthy(task.seed, std::move(answer.result));
    if (task.kind == Task::Kind::recall) {
      matrix_.rows[task.row].black_box += answer.result.black_box.empty() ? 0 : 1;
      return;
    }
    Cursor& cursor = cursors_[task.row];
    if (task.trial != cursor.trial || cursor.done) return;  // run ahead of what was the trial's kill
    --cursor.running;
    cursor.ended.emplace(task.seed, std::move(answer));
    judge(task.row);
  }

  void take_healthy(std::uint64_t seed, RunResult result) {
    matrix_.healthy.add(result.outcome);
    if (reports::failed(result.outcome)) {
      auto& [count, first] = guilty_[fmt::format("{} {}", scenarios::name_of(result.outcome), result.invariant)];
      if (count++ == 0) first = reports::run_line(result);
    }
    healthy_[seed] = {.outcome = result.outcome, .invariant = std::move(result.invariant), .hash = result.hash};
    for (std::size_t row = 0; row < cursors_.size(); ++row) {
      if (!cursors_[row].done) judge(row);
    }
  }

  void judge(std::size_t row) {
    Cursor& cursor = cursors_[row];
    MatrixRow& counts = matrix_.rows[row];
    for (auto at = cursor.ended.find(cursor.judge); at != cursor.ended.end(); at = cursor.ended.find(cursor.judge)) {
      const Answer& answer = at->second;
      const auto healthy = healthy_.find(cursor.judge);
      if (reports::is_candidate(counts.defect, answer.result) && healthy == healthy_.end()) {
        if (asked_healthy_.insert(cursor.judge).second) wanted_.push_back(cursor.judge);
        return;
      }
      if (counts.trials.size() <= cursor.trial) counts.begin_trial();
      tried_.insert(cursor.judge);
      cursor.hashes.emplace_back(cursor.judge, answer.result.hash);
      const bool killed =
          counts.take(answer.result, answer.core_ms, healthy == healthy_.end() ? nullptr : &healthy->second);
      if (killed && answer.result.black_box.empty())
        recalls_.push_back({.kind = Task::Kind::recall, .row = row, .seed = cursor.judge});
      cursor.ended.erase(at);
      ++cursor.judge;
      const bool spent = counts.runs >= options_.runs || (plan_.for_ms > 0 && counts.wall_ms >= plan_.for_ms);
      if (killed) next_trial(cursor);
      if (spent || cursor.trial == options_.trials) return conclude(cursor);
    }
  }

  void next_trial(Cursor& cursor) {
    ++cursor.trial;
    cursor.next = cursor.judge = first_seed(cursor.trial);
    cursor.ended.clear();
    cursor.running = 0;
  }

  void conclude(Cursor& cursor) {
    cursor.done = true;
    cursor.ended.clear();
    if (!options_.out.empty()) write_files();  // a long campaign may be ended from outside
  }

  void finish() {
    for (std::size_t row = 0; row < cursors_.size(); ++row) {
      for (const auto& [seed, hash] : cursors_[row].hashes) {
        const auto healthy = healthy_.find(seed);
        if (healthy == healthy_.end()) continue;
        ++matrix_.rows[row].compared;
        matrix_.rows[row].differs += healthy->second.hash != hash ? 1 : 0;
      }
    }
    for (const auto& [kind, found] : guilty_)
      matrix_.healthy_failures.push_back(fmt::format("{} in {} runs, such as {}", kind, found.first, found.second));
  }

  // The first kill, as small as it gets in its time; what can't be written is said by write_files(), which follows.
  void shrink(MatrixRow& row) {
    const auto deadline = std::chrono::steady_clock::now() + kShrinkTime;
    PoolOracle oracle(jobs_, [&] {
      stopping_ = stopping_ || interruption_.came();
      return stopping_ || std::chrono::steady_clock::now() >= deadline;
    });
    search::Candidate first{.scenario = scenarios::resolve(search::generate(*plan_.profile, row.kill_seeds.front()))};
    first.scenario.defects = {std::string(row.defect.id)};
    const auto seen = oracle({first}, [](const RunResult&) { return true; });
    if (seen.empty() || !reports::is_candidate(row.defect, seen.front())) return;
    search::ShrinkOptions how;
    how.progress = [this](const search::ShrinkProgress&) { progress_.show(); };
    const search::Shrunk shrunk = search::shrink(
        first.scenario, row.kill_seeds.front(), seen.front(),
        [&oracle](const auto& candidates, const auto& accept) { return oracle(candidates, accept); }, how);
    row.minimal = {.faults = shrunk.after.faults, .operations = shrunk.after.operations};
    if (options_.out.empty()) return;
    const std::string path = fmt::format("{}/{}.json", options_.out, row.defect.id);
    if (auto wrote = reports::write_file(path, scenarios::to_json(shrunk.scenario) + "\n"); !wrote) {
      progress_.clear();
      fmt::print(stderr, "verdict: {}\n", wrote.error());
    }
  }

  bool write_files() {
    for (const auto& [name, text] : {std::pair{"matrix.json", reports::matrix_json(matrix_) + "\n"},
                                     std::pair{"matrix.md", reports::matrix_markdown(matrix_)},
                                     std::pair{"matrix.html", reports::matrix_html(matrix_)}}) {
      if (auto wrote = reports::write_file(fmt::format("{}/{}", options_.out, name), text); !wrote) {
        progress_.clear();
        fmt::print(stderr, "verdict: {}\n", wrote.error());
        return false;
      }
    }
    return true;
  }

  const MutantsOptions& options_;
  Plan plan_;
  int jobs_;
  Interruption interruption_;
  reports::KillMatrix matrix_;
  std::vector<Cursor> cursors_;
  std::map<std::uint64_t, Task> tasks_;  // under way
  std::uint64_t last_task_ = 0;
  std::set<std::uint64_t> tried_;               // seeds that counted and that the healthy core may still have to meet
  std::map<std::uint64_t, RunResult> healthy_;  // outcome, invariant and hash
  std::set<std::uint64_t> asked_healthy_;
  std::deque<Task> recalls_;
  std::deque<std::uint64_t> wanted_;                                     // a verdict waits for the healthy core's run
  std::map<std::string, std::pair<std::uint64_t, std::string>> guilty_;  // by kind of failure
  bool stopping_ = false;
  Progress progress_;
  WorkerPool pool_;
};

std::expected<Plan, std::string> plan_of(const MutantsOptions& options) {
  Plan plan;
  plan.profile = search::find_profile(options.profile);
  if (plan.profile == nullptr)
    return std::unexpected(fmt::format("no profile is called {}: a name of `verdict list profiles`", options.profile));
  if (options.defects.empty()) plan.defects = scenarios::defects();
  for (const std::string& id : options.defects) {
    auto entry = scenarios::find_defect_entry(id);
    if (!entry) return std::unexpected(fmt::format("no defect is called {}: a name of `verdict list defects`", id));
    plan.defects.push_back(std::move(*entry));
  }
  const auto limit = reports::parse_duration_ms(options.limit);
  if (!limit || *limit == 0)
    return std::unexpected("--for: " + (limit ? std::string("a time above 0") : limit.error()));
  plan.for_ms = *limit;
  if (!options.out.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (error) return std::unexpected(fmt::format("--out {}: {}", options.out, error.message()));
  }
  return plan;
}

}  // namespace

int mutants(const MutantsOptions& options) {
  auto plan = plan_of(options);
  if (!plan) return usage(plan.error());
  return Campaign(options, std::move(*plan)).run();
}

}  // namespace verdict::cli
