// verdict search: drawn scenarios under their seeds, in worker processes; what they found is kept as they end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/campaign_text.h"
#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/jobs.h"
#include "cli/progress.h"
#include "cli/runs_file.h"
#include "cli/workers.h"
#include "reports/bundle.h"
#include "reports/campaign.h"
#include "reports/cause.h"
#include "reports/text.h"
#include "scenarios/runner.h"
#include "search/campaign.h"
#include "search/generator.h"

namespace verdict::cli {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;
using search::CampaignRun;

constexpr std::uint64_t kAhead = 20'000;         // runs that wait for an earlier one to end
constexpr std::size_t kBundles = 50;             // one for each kind of failure, and no more of them
constexpr std::uint64_t kBundleId = 1ULL << 63;  // jobs that record seed s have the id kBundleId + s
constexpr int kTried = 50;                       // scenarios that settings are tried on before anything runs
constexpr std::uint64_t kNoEnd = ~std::uint64_t{0} >> 1;

std::expected<Scenario, std::string> drawn(const search::Profile& profile, std::uint64_t seed,
                                           const std::vector<std::string>& settings) {
  Scenario scenario = search::generate(profile, seed);
  for (const std::string& setting : settings) {
    auto set = scenarios::with_setting(scenario, setting);
    if (!set) return std::unexpected(fmt::format("--set {}: {}", setting, set.error().text()));
    scenario = std::move(*set);
  }
  if (settings.empty()) return scenario;
  if (const auto valid = scenarios::validate(scenario); !valid) return std::unexpected(valid.error().text());
  return scenario;
}

// What is drawn for another seed may lack what a setting changes.
std::string misfit(std::uint64_t seed, const std::string& error) {
  return fmt::format("{}, in the scenario of seed {}: the settings must fit whatever is drawn", error, seed);
}

struct Plan {
  const search::Profile* profile = nullptr;
  search::CampaignHead head;
  scenarios::SeedRange seeds;
  std::uint64_t shard = 0, shards = 1;  // seeds with seed % shards == shard
  std::int64_t for_ms = 0;              // 0: no limit
  std::string out;

  std::uint64_t from(std::uint64_t seed) const { return seed + (shard + shards - seed % shards) % shards; }
  std::uint64_t count() const {
    const std::uint64_t first = from(seeds.first);
    return seeds.last == kNoEnd ? 0 : first > seeds.last ? 0 : (seeds.last - first) / shards + 1;
  }
};

class Search {
 public:
  Search(const SearchOptions& options, Plan plan)
      : options_(options),
        plan_(std::move(plan)),
        next_(plan_.from(plan_.seeds.first)),
        judge_(next_),
        progress_(plan_.count()),
        pool_(options.jobs > 0 ? options.jobs : default_jobs(),
              [this](const std::string& line) { return work_on(line); }) {
    if (plan_.for_ms > 0) progress_.ends_after(std::chrono::milliseconds(plan_.for_ms));
  }

  int run() {
    if (auto opened = file_.open(plan_.out, plan_.head, [this](CampaignRun run) { arrived(std::move(run)); }); !opened)
      return usage(opened.error());
    while (true) {
      if (interruption_.came() || over()) stopping_ = true;
      hand_out();
      if (pool_.busy() == 0 && to_record_.empty()) break;
      for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(100))) take(report);
      progress_.show();
    }
    progress_.clear();
    return finish();
  }

 private:
  // ---- in a worker ----

  // "run SEED" answers the run's line; "record SEED JOB" is a job on the seed's scenario.
  std::string work_on(const std::string& line) const {
    const std::size_t blank = line.find(' ', line.find(' ') + 1);
    const std::uint64_t seed = std::stoull(line.substr(line.find(' ') + 1));
    const auto made = drawn(*plan_.profile, seed, options_.settings);
    if (!made) return "error: " + misfit(seed, made.error());
    const Scenario& scenario = *made;
    if (line.starts_with("record ")) return work({scenario}, line.substr(blank + 1));
    scenarios::RunOptions how;
    how.check_determinism = is_twice(seed);
    how.abstract_states = true;
    const auto begin = std::chrono::steady_clock::now();
    RunResult result = scenarios::run(scenario, seed, how);
    result.wall_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
    return search::to_line(search::condensed(scenario, result));
  }

  // ---- here ----

  bool is_twice(std::uint64_t seed) const {
    return reports::in_share(options_.check_determinism, plan_.profile->name, seed);
  }

  bool over() const { return plan_.for_ms > 0 && progress_.elapsed_s() * 1000 >= static_cast<double>(plan_.for_ms); }

  void hand_out() {
    while (pool_.has_idle()) {
      if (!to_record_.empty()) {
        pool_.start(kBundleId + to_record_.front().seed,
                    fmt::format("record {} {}", to_record_.front().seed, to_line(to_record_.front())));
        to_record_.pop_front();
        continue;
      }
      while (next_ <= plan_.seeds.last && ended_.contains(next_)) next_ += plan_.shards;
      if (next_ < judge_) next_ = judge_;
      if (stopping_ || broken_ || next_ > plan_.seeds.last || next_ - judge_ > kAhead * plan_.shards) return;
      if (ended_.contains(next_)) continue;
      pool_.start(next_, fmt::format("run {}", next_));
      next_ += plan_.shards;
    }
  }

  void take(const WorkerReport& report) {
    if (report.id >= kBundleId) return take_recording(report.id - kBundleId, report);
    if (!report.died && report.line.starts_with("error: ")) {
      misfits_.emplace(report.id, report.line.substr(7));
      stopping_ = true;
      return;
    }
    std::string line = report.line;
    auto run = report.died ? std::unexpected(std::string()) : search::parse_run(report.line);
    if (!run) {
      const Scenario scenario = *drawn(*plan_.profile, report.id, options_.settings);
      run = search::condensed(
          scenario, report.died ? crashed(scenario, report.id, report.death, report.stderr_tail)
                                : crashed(scenario, report.id, "answered what can't be read: " + run.error(), {}));
      line = search::to_line(*run);
    }
    if (broken_) return;
    if (auto wrote = file_.append(line); !wrote) {
      broken_ = true;
      problem(fmt::format("{}; {} runs are kept there, and the same command with --out {} goes on after them",
                          wrote.error(), summary_.runs() + ended_.size(), plan_.out));
      return;
    }
    if (is_twice(run->seed)) ++twice_;
    progress_.add(run->simulated_ms, run->signature, run->marks);
    arrived(std::move(*run));
  }

  // Runs count in the order of their seeds, so that nothing depends on who was faster.
  void arrived(CampaignRun run) {
    const std::uint64_t seed = run.seed;
    if (seed < judge_) return;
    ended_.emplace(seed, std::move(run));
    for (auto at = ended_.find(judge_); at != ended_.end() && !enough_; at = ended_.find(judge_)) {
      judge(at->second);
      ended_.erase(at);
      judge_ += plan_.shards;
    }
  }

  void judge(const CampaignRun& run) {
    summary_.add(run);
    code_ = reports::gravest(code_, run.outcome == RunOutcome::inconclusive ? kOk : reports::exit_code(run.outcome));
    if (options_.format == Format::jsonl) {
      progress_.clear();
      fmt::print("{}\n", search::to_line(run));
    }
    if (!reports::failed(run.outcome) || !kinds_.insert(run.signature).second) return;
    if (kinds_.size() <= kBundles) record(run);
    if (options_.fail_fast > 0 && kinds_.size() >= static_cast<std::size_t>(options_.fail_fast))
      enough_ = stopping_ = true;
  }

  void record(const CampaignRun& run) {
    Job job;
    job.kind = Job::Kind::bundle;
    job.seed = run.seed;
    job.folder = failure_folder(plan_.out, run.seed);
    if (std::filesystem::exists(job.folder + "/trace.json")) return;  // the last file: an earlier part of this campaign
    std::error_code error;
    std::filesystem::create_directories(job.folder, error);
    job.first.result = *reports::parse_run_result(run.result);
    job.first.build = reports::build_id();
    job.twice = job.first.check_determinism = is_twice(run.seed);
    job.first.replay = "./verdict replay " + job.folder;
    records_[run.seed] = job.first;
    to_record_.push_back(std::move(job));
  }

  void take_recording(std::uint64_t seed, const WorkerReport& report) {
    reports::RunRecord& record = records_.at(seed);
    const std::string folder = failure_folder(plan_.out, seed);
    if (report.died) {
      if (record.result.outcome == RunOutcome::crash && died_again_.insert(seed).second) {
        Job job;  // as it did before: what there is can be told
        job.kind = Job::Kind::report;
        job.seed = seed;
        job.folder = folder;
        job.first = record;
        to_record_.push_back(std::move(job));
        return;
      }
      problem(fmt::format("the recorded run of seed {} {}", seed, report.death));
    } else if (report.line.starts_with("error: ")) {
      // What is there of it would pass for the whole; whoever goes on makes it anew.
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
      code_ = reports::gravest(code_, kInternal);
      if (!unwritten_) problem(report.line.substr(7));  // of a full disk once is enough
      unwritten_ = true;
      return;
    } else if (auto result = reports::parse_run_result(report.line)) {
      record.result = std::move(*result);
      code_ = reports::gravest(code_, reports::exit_code(record.result.outcome));
    }
    if (options_.format != Format::text) return;
    record.why = reports::read_why(folder);
    progress_.clear();
    fmt::print("{}", reports::failure_text(record));
    std::fflush(stdout);
  }

  void problem(const std::string& text) {
    progress_.clear();
    fmt::print(stderr, "verdict: {}\n", text);
    code_ = reports::gravest(code_, kInternal);
  }

  int finish() {
    // Runs that were under way beyond a gap, when the campaign was stopped.
    if (!enough_) {
      for (const auto& [seed, run] : ended_) judge(run);
    }
    const std::int64_t wall_ms = static_cast<std::int64_t>(progress_.elapsed_s() * 1000);
    const std::string twice = options_.check_determinism > 0 ? fmt::format(", {} of them twice", twice_) : "";
    fmt::print(stderr, "verdict: {} runs in {:.1f} s{}, {}\n", progress_.runs(), static_cast<double>(wall_ms) / 1000,
               twice, plan_.out);
    const int code = reports::gravest(code_, print_campaign(summary_, plan_.head, plan_.out, options_.format));
    if (!misfits_.empty()) return usage(misfits_.begin()->second);
    if (interruption_.came() && !broken_) {
      fmt::print(stderr, "verdict: interrupted; the same command with --out {} goes on\n", plan_.out);
      return reports::gravest(code, kInconclusive);
    }
    return code;
  }

  const SearchOptions& options_;
  Plan plan_;
  Interruption interruption_;
  RunsFile file_;
  std::uint64_t next_;                          // the first seed that may not have been handed out
  std::uint64_t judge_;                         // the first seed that was not judged
  std::map<std::uint64_t, CampaignRun> ended_;  // not judged yet
  std::set<std::string> kinds_;
  std::deque<Job> to_record_;
  std::map<std::uint64_t, reports::RunRecord> records_;
  std::set<std::uint64_t> died_again_;
  std::map<std::uint64_t, std::string> misfits_;  // by seed
  search::CampaignSummary summary_;
  std::uint64_t twice_ = 0;  // runs that were executed twice
  int code_ = kOk;
  bool stopping_ = false;   // nothing new is begun
  bool enough_ = false;     // failures, by --fail-fast
  bool broken_ = false;     // the file takes nothing more
  bool unwritten_ = false;  // the files of some failure
  Progress progress_;
  WorkerPool pool_;
};

std::expected<void, std::string> read_shard(const std::string& text, Plan& plan) {
  if (text.empty()) return {};
  unsigned long long number = 0, of = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%llu/%llu%n", &number, &of, &end) != 2 ||
      static_cast<std::size_t>(end) != text.size() || number < 1 || of < 1 || number > of || of > 1'000'000) {
    return std::unexpected(fmt::format("--shard {}: i/n with i from 1 to n, as in 1/4", text));
  }
  plan.shard = number - 1;
  plan.shards = of;
  if (of > 1) plan.head.shard = fmt::format("{}/{}", number, of);
  return {};
}

std::expected<Plan, std::string> plan_of(const SearchOptions& options) {
  Plan plan;
  plan.profile = search::find_profile(options.profile);
  if (plan.profile == nullptr) {
    std::string names;
    for (const search::Profile& profile : search::profiles())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", profile.name);
    return std::unexpected(fmt::format("no profile is called {}; allowed: {}", options.profile, names));
  }
  if (!options.limit.empty()) {
    const auto limit = reports::parse_duration_ms(options.limit);
    if (!limit || *limit == 0)
      return std::unexpected("--for: " + (limit ? std::string("a time above 0") : limit.error()));
    plan.for_ms = *limit;
  }
  if (!options.seeds.empty()) {
    const auto seeds = reports::parse_seeds(options.seeds);
    if (!seeds) return std::unexpected(seeds.error());
    plan.seeds = *seeds;
  } else {
    plan.seeds = {.first = 1, .last = plan.for_ms > 0 ? kNoEnd : 1000};
  }
  if (plan.seeds.last > kNoEnd) return std::unexpected(fmt::format("--seeds {}: up to {}", options.seeds, kNoEnd));
  plan.head = {.profile = options.profile,
               .settings = options.settings,
               .build = std::string(reports::build_id()),
               .seeds = {plan.seeds.last == kNoEnd ? fmt::format("{}..", plan.seeds.first)
                                                   : fmt::format("{}..{}", plan.seeds.first, plan.seeds.last)},
               .shard = {}};
  if (auto shard = read_shard(options.shard, plan); !shard) return std::unexpected(shard.error());
  if (plan.seeds.last != kNoEnd && plan.count() == 0)
    return std::unexpected(fmt::format("--seeds {} --shard {}: this shard has no seed", options.seeds, options.shard));
  // The settings must fit what is drawn, whatever it is: the first seeds' scenarios tell, the others when they come.
  std::uint64_t seed = plan.from(plan.seeds.first);
  for (int n = 0; n < kTried && seed <= plan.seeds.last; ++n, seed += plan.shards) {
    const auto scenario = drawn(*plan.profile, seed, options.settings);
    if (!scenario) return std::unexpected(n == 0 ? scenario.error() : misfit(seed, scenario.error()));
    if (options.settings.empty()) break;
  }
  plan.out = options.out;
  if (plan.out.empty()) {
    const std::string stem = fmt::format("out/search-{}/{}", options.profile, utc_now());
    plan.out = stem;
    for (int n = 2; std::filesystem::exists(plan.out); ++n) plan.out = fmt::format("{}-{}", stem, n);
  }
  return plan;
}

}  // namespace

int search(const SearchOptions& options) {
  if (!(options.check_determinism >= 0 && options.check_determinism <= 1))
    return usage(fmt::format("--check-determinism {}: a share of the runs, 0 to 1", options.check_determinism));
  auto plan = plan_of(options);
  if (!plan) return usage(plan.error());
  return Search(options, std::move(*plan)).run();
}

}  // namespace verdict::cli
