// verdict run: scenarios under seeds, in worker processes, reported in an order that does not depend on them.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/jobs.h"
#include "cli/progress.h"
#include "cli/workers.h"
#include "reports/bundle.h"
#include "reports/campaign.h"
#include "reports/cause.h"
#include "reports/text.h"
#include "scenarios/catalogue.h"

namespace verdict::cli {
namespace {

using reports::RunRecord;
using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

constexpr std::size_t kAhead = 20'000;           // results that wait for an earlier one
constexpr std::size_t kEachOnALine = 200;        // more runs than this: a passing scenario prints one line
constexpr std::size_t kBundles = 50;             // one for each kind of failure, and no more of them
constexpr std::uint64_t kBundleId = 1ULL << 62;  // jobs that record run i have the id kBundleId + i

struct Task {
  std::size_t scenario;
  std::uint64_t seed;
};

// The runs in their order: a range of seeds for each scenario. A campaign may have more runs than memory would hold.
class Tasks {
 public:
  void add(scenarios::SeedRange seeds) {
    ranges_.push_back({size_, seeds.first});
    size_ += seeds.last - seeds.first + 1;
  }
  std::size_t size() const { return size_; }
  Task operator[](std::size_t i) const {
    const auto after = std::ranges::upper_bound(ranges_, i, {}, &Range::begin);
    const auto scenario = static_cast<std::size_t>(after - ranges_.begin()) - 1;
    return {scenario, ranges_[scenario].first + (i - ranges_[scenario].begin)};
  }

 private:
  struct Range {
    std::size_t begin;  // the index of its first run
    std::uint64_t first;
  };
  std::vector<Range> ranges_;
  std::size_t size_ = 0;
};

struct Slot {
  RunRecord record;
  std::string folder;     // its files; empty: none
  bool recorded = false;  // the job that makes them is done, or was never wanted
  bool wanted = false;
};

class Campaign {
 public:
  Campaign(const RunOptions& options, std::vector<Scenario> scenarios, Tasks tasks)
      : options_(options),
        scenarios_(std::move(scenarios)),
        tasks_(std::move(tasks)),
        files_for_all_(options.trace || tasks_.size() == 1),
        colour_(options.format == Format::text && colour(STDOUT_FILENO)),
        utc_(fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::now()))),
        progress_(tasks_.size()),
        pool_(options.jobs > 0 ? options.jobs : default_jobs(),
              [this](const std::string& line) { return work(scenarios_, line); }) {}

  int run() {
    if (options_.format == Format::json) objects_ = "{\"runs\":[";
    while (shown_ < tasks_.size() && !stopped_) {
      if (interruption_.came()) interrupted_ = true;
      hand_out();
      if (interrupted_ && pool_.busy() == 0 && to_record_.empty()) break;
      for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(200))) take(report);
      show_finished();
      progress_.show();
    }
    progress_.clear();
    if (interrupted_) show_the_rest();
    finish();
    return tally_.code;
  }

 private:
  void hand_out() {
    while (pool_.has_idle()) {
      if (!to_record_.empty()) {
        const Job job = std::move(to_record_.front().second);
        const std::uint64_t id = to_record_.front().first;
        to_record_.pop_front();
        pool_.start(id, to_line(job));
      } else if (!interrupted_ && next_ < tasks_.size() && next_ - shown_ < kAhead) {
        pool_.start(next_, to_line(job_of(next_)));
        ++next_;
      } else {
        return;
      }
    }
  }

  Job job_of(std::size_t i) const {
    const Task task = tasks_[i];
    Job job;
    job.scenario = task.scenario;
    job.seed = task.seed;
    job.twice = reports::in_share(options_.check_determinism, scenarios_[task.scenario].name, task.seed);
    return job;
  }

  void take(const WorkerReport& report) {
    const bool recording = report.id >= kBundleId;
    const std::size_t i = recording ? report.id - kBundleId : report.id;
    if (recording) return take_recording(i, report);
    Slot slot;
    slot.record.build = reports::build_id();
    slot.record.check_determinism = job_of(i).twice;
    const Scenario& scenario = scenarios_[tasks_[i].scenario];
    if (report.died) {
      slot.record.result = crashed(scenario, tasks_[i].seed, report.death, report.stderr_tail);
      slot.record.stderr_tail = report.stderr_tail;
    } else if (auto result = reports::parse_run_result(report.line)) {
      slot.record.result = std::move(*result);
    } else {
      slot.record.result = crashed(scenario, tasks_[i].seed, "answered what can't be read: " + result.error(), {});
    }
    slot.record.replay = run_command(i);
    progress_.add(slot.record.result);
    const auto [at, added] = slots_.emplace(i, std::move(slot));
    if (files_for_all_) record(i, at->second);
  }

  std::string run_command(std::size_t i) const {
    const Task task = tasks_[i];
    return fmt::format("./verdict run {} --seed {}{}",
                       options_.scenarios.empty() ? scenarios_[task.scenario].name : options_.scenarios[task.scenario],
                       task.seed, settings_text(options_.settings));
  }

  // Asks for the run's files.
  void record(std::size_t i, Slot& slot) {
    slot.wanted = true;
    const std::string home = fmt::format("{}/{}", options_.out, scenarios_[tasks_[i].scenario].name);
    const std::string stem = fmt::format("{}-{}", utc_, tasks_[i].seed);
    slot.folder = home + "/" + stem;
    for (int n = 2; std::filesystem::exists(slot.folder); ++n) slot.folder = fmt::format("{}/{}-{}", home, stem, n);
    std::error_code error;
    std::filesystem::create_directories(slot.folder, error);
    slot.record.replay = "./verdict replay " + slot.folder;
    Job job = job_of(i);
    job.kind = Job::Kind::bundle;
    job.folder = slot.folder;
    job.first = slot.record;
    to_record_.emplace_back(kBundleId + i, std::move(job));
  }

  void take_recording(std::size_t i, const WorkerReport& report) {
    Slot& slot = slots_.at(i);
    slot.recorded = true;
    if (report.died) {
      if (slot.record.result.outcome == RunOutcome::crash &&
          !died_again_.contains(i)) {  // as it did before: what there is can be told
        died_again_.insert(i);
        slot.recorded = false;
        Job job = job_of(i);
        job.kind = Job::Kind::report;
        job.folder = slot.folder;
        job.first = slot.record;
        to_record_.emplace_back(kBundleId + i, std::move(job));
        return;
      }
      problem(fmt::format("the recorded run of {} seed {} {}", slot.record.result.scenario, slot.record.result.seed,
                          report.death));
      for (const std::string& line : report.stderr_tail) fmt::print(stderr, "    | {}\n", line);
    } else if (report.line.starts_with("error: ")) {
      problem(report.line.substr(7));
      slot.folder.clear();
      slot.record.replay = run_command(i);
      return;
    } else if (!report.line.empty()) {
      if (auto result = reports::parse_run_result(report.line)) slot.record.result = std::move(*result);
    }
    slot.record.why = reports::read_why(slot.folder);
    link_latest(slot.folder);
  }

  void problem(const std::string& text) {
    progress_.clear();
    fmt::print(stderr, "verdict: {}\n", text);
    tally_.code = reports::gravest(tally_.code, kInternal);
  }

  static void link_latest(const std::string& folder) {
    const std::filesystem::path path(folder);
    const std::filesystem::path link = path.parent_path() / "latest";
    std::error_code ignored;
    if (std::filesystem::is_symlink(link)) std::filesystem::remove(link, ignored);
    std::filesystem::create_directory_symlink(path.filename(), link, ignored);
  }

  // Shows results in the order of tasks; a run that failed waits for its files.
  void show_finished() {
    for (auto slot = slots_.find(shown_); slot != slots_.end() && !stopped_; slot = slots_.find(shown_)) {
      if (slot->second.record.result.outcome != RunOutcome::pass && !slot->second.wanted &&
          first_of_its_kind(slot->second.record.result)) {
        record(slot->first, slot->second);
      }
      if (slot->second.wanted && !slot->second.recorded) return;
      show(slot->first, slot->second);
      slots_.erase(slot);
      ++shown_;
    }
  }

  // Runs beyond one that was not begun, or whose files nobody waits for any more.
  void show_the_rest() {
    for (const auto& [i, slot] : slots_) show(i, slot);
    const std::uint64_t done = tally_.passed + tally_.failed + tally_.inconclusive;
    if (done == tasks_.size() || stopped_) return;
    fmt::print(stderr, "verdict: interrupted after {} of {} runs\n", done, tasks_.size());
    tally_.code = reports::gravest(tally_.code, kInconclusive);
  }

  bool first_of_its_kind(const RunResult& result) {
    if (kinds_.size() >= kBundles) return false;
    return kinds_.insert(fmt::format("{}/{}/{}", result.scenario, scenarios::name_of(result.outcome), result.invariant))
        .second;
  }

  void show(std::size_t i, const Slot& slot) {
    const RunResult& result = slot.record.result;
    tally_.add(result.outcome);
    progress_.clear();
    if (options_.format == Format::jsonl) {
      fmt::print("{}\n", reports::run_object(result, slot.folder));
      std::fflush(stdout);
    } else if (options_.format == Format::json) {
      if (objects_.back() != '[') objects_ += ',';
      objects_ += reports::run_object(result, slot.folder);
    } else {
      show_text(i, slot);
    }
    if (options_.fail_fast && reports::failed(result.outcome)) stopped_ = true;
  }

  void show_text(std::size_t i, const Slot& slot) {
    const RunResult& result = slot.record.result;
    if (result.outcome == RunOutcome::pass) {
      ++passed_of_scenario_;
      if (tasks_.size() <= kEachOnALine) {
        print_coloured(RunOutcome::pass, reports::run_line(result) + "\n");
        if (!slot.folder.empty()) fmt::print("    {}/report.html\n", slot.folder);
      }
    } else if (slot.wanted) {
      print_coloured(result.outcome, reports::failure_text(slot.record));
    } else {
      print_coloured(result.outcome, reports::run_line(result) + "\n    " + slot.record.replay + "\n");
    }
    const bool last = i + 1 == tasks_.size() || tasks_[i + 1].scenario != tasks_[i].scenario;
    if (last && tasks_.size() > kEachOnALine) {
      if (passed_of_scenario_ > 0) {
        print_coloured(RunOutcome::pass,
                       fmt::format("{:<13} {}: {} seeds\n", "pass", result.scenario, passed_of_scenario_));
      }
    }
    if (last) passed_of_scenario_ = 0;
    std::fflush(stdout);
  }

  void print_coloured(RunOutcome outcome, const std::string& text) const {
    const std::size_t end = text.find(' ');
    if (!colour_) {
      fmt::print("{}", text);
      return;
    }
    const char* code = outcome == RunOutcome::pass ? "32" : outcome == RunOutcome::inconclusive ? "33" : "31;1";
    fmt::print("\033[{}m{}\033[0m{}", code, text.substr(0, end), text.substr(end));
  }

  void finish() {
    switch (options_.format) {
      case Format::text:
        fmt::print("{}\n", tally_.last_line());
        break;
      case Format::jsonl:
        fmt::print("{{\"passed\":{},\"failed\":{},\"inconclusive\":{}}}\n", tally_.passed, tally_.failed,
                   tally_.inconclusive);
        break;
      case Format::json:
        fmt::print("{{\"passed\":{},\"failed\":{},\"inconclusive\":{},{}]}}\n", tally_.passed, tally_.failed,
                   tally_.inconclusive, std::string_view(objects_).substr(1));
        break;
    }
    std::fflush(stdout);
  }

  const RunOptions& options_;
  std::vector<Scenario> scenarios_;
  Tasks tasks_;
  bool files_for_all_;
  bool colour_;
  std::string utc_;
  std::size_t next_ = 0;   // the first task that was not handed out
  std::size_t shown_ = 0;  // tasks whose results were printed
  bool stopped_ = false;
  std::map<std::size_t, Slot> slots_;
  std::deque<std::pair<std::uint64_t, Job>> to_record_;
  std::set<std::size_t> died_again_;
  std::set<std::string> kinds_;
  std::uint64_t passed_of_scenario_ = 0;
  reports::Tally tally_;
  std::string objects_;
  bool interrupted_ = false;  // nothing new is begun
  Interruption interruption_;
  Progress progress_;
  WorkerPool pool_;
};

// Where files shall go must be a folder that takes them; better to know before the runs than after.
std::expected<void, std::string> can_hold_files(const std::string& out) {
  std::error_code error, ignored;
  const bool made = std::filesystem::create_directories(out, error);
  if (!error && ::access(out.c_str(), W_OK | X_OK) != 0) error = std::error_code(errno, std::generic_category());
  if (made) std::filesystem::remove(out, ignored);
  if (!error) return {};
  return std::unexpected(fmt::format("--out {}: {}; allowed: a folder that can be written", out, error.message()));
}

}  // namespace

int run(const RunOptions& options) {
  if (!(options.check_determinism >= 0 && options.check_determinism <= 1))
    return usage(fmt::format("--check-determinism {}: a share of the runs, 0 to 1", options.check_determinism));
  if (const auto holds = can_hold_files(options.out); !holds) return usage(holds.error());
  std::vector<std::string> names = options.scenarios;
  if (names.empty()) {
    for (const scenarios::LibraryEntry& entry : scenarios::library()) names.emplace_back(entry.name);
  }
  std::vector<Scenario> all;
  Tasks tasks;
  for (const std::string& name : names) {
    auto scenario = load_scenario(name, options.settings);
    if (!scenario) return usage(scenario.error());
    scenarios::SeedRange seeds = scenario->seeds;
    if (!options.seeds.empty()) {
      const auto given = reports::parse_seeds(options.seeds);
      if (!given) return usage(given.error());
      seeds = *given;
    }
    tasks.add(seeds);
    all.push_back(std::move(*scenario));
  }
  if (tasks.size() == 0) return usage("there is nothing to run: the library holds no scenario");
  return Campaign(options, std::move(all), std::move(tasks)).run();
}

}  // namespace verdict::cli
