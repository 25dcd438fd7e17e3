// verdict shrink: from the bundle of a run that failed to a small scenario that fails in the same way.
#include "search/shrink.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/pool_oracle.h"
#include "cli/progress.h"
#include "reports/bundle.h"
#include "reports/campaign.h"
#include "reports/cause.h"
#include "reports/shrunk.h"
#include "reports/text.h"
#include "search/signature.h"

namespace verdict::cli {
namespace {

using Clock = std::chrono::steady_clock;
using scenarios::RunOutcome;
using scenarios::RunResult;

volatile sig_atomic_t interrupted = 0;

// The first SIGINT or SIGTERM ends the shrinking, the second the program.
void watch_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &action, nullptr);
}

struct Line {
  const char* name;
  std::int64_t search::Size::* member;
};
constexpr Line kLines[] = {
    {"faults", &search::Size::faults}, {"operations", &search::Size::operations}, {"clients", &search::Size::clients},
    {"nodes", &search::Size::nodes},   {"partitions", &search::Size::partitions}, {"settings", &search::Size::settings},
    {"ms", &search::Size::time_ms}};

std::string sizes_text(const search::Size& before, const search::Size& after) {
  std::string out;
  for (const Line& line : kLines) {
    out += fmt::format("{}{} {} -> {}", out.empty() ? "" : ", ", line.name, before.*line.member, after.*line.member);
  }
  return out;
}

// On standard error: a live line on a terminal, else one every 10 s.
class ShrinkLine {
 public:
  void show(const search::ShrinkProgress& progress) {
    const auto now = Clock::now();
    if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000))) return;
    last_ = now;
    const std::string text =
        fmt::format("shrinking {}: {} runs, {:.0f} s; {}", progress.stage, progress.runs,
                    std::chrono::duration<double>(now - began_).count(), sizes_text(progress.first, progress.best));
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "verdict: ", text, terminal_ ? "" : "\n");
    std::fflush(stderr);
    shown_ = terminal_;
  }
  void clear() {
    if (shown_) fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    shown_ = false;
  }
  double elapsed_s() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  Clock::time_point began_ = Clock::now(), last_ = began_;
};

// Where the results go: a folder that is new or empty, and perhaps a file beside it.
struct Place {
  std::string folder;
  std::string scenario_file;  // empty: in the folder alone
  bool made = false;
};

std::expected<Place, std::string> place_for(const std::string& out, const std::string& bundle) {
  Place place;
  const bool file = out.ends_with(".json");
  if (file) place.scenario_file = out;
  const bool own = out.empty() || file;
  place.folder = own ? bundle + "/shrunk" : out;
  for (int n = 2; own && std::filesystem::exists(place.folder); ++n)
    place.folder = fmt::format("{}/shrunk-{}", bundle, n);
  std::error_code error;
  place.made = std::filesystem::create_directories(place.folder, error);
  if (!error && ::access(place.folder.c_str(), W_OK | X_OK) != 0)
    error = std::error_code(errno, std::generic_category());
  if (error) {
    return std::unexpected(
        fmt::format("shrink: {}: {}; allowed: --out with a folder that can be written", place.folder, error.message()));
  }
  if (!place.made && !std::filesystem::is_empty(place.folder, error))
    return std::unexpected(fmt::format("shrink: --out {}: is not empty; allowed: a new folder", place.folder));
  return place;
}

class Shrinking {
 public:
  Shrinking(const ShrinkOptions& options, OpenBundle opened, Place place, std::int64_t time_ms)
      : options_(options),
        opened_(std::move(opened)),
        place_(std::move(place)),
        deadline_(Clock::now() + std::chrono::milliseconds(time_ms)),
        oracle_(options.jobs > 0 ? options.jobs : default_jobs(),
                [this] { return interrupted != 0 || Clock::now() >= deadline_; }) {}

  int run() {
    const RunResult& was = opened_.bundle.record.result;
    search::Candidate first{.scenario = scenarios::resolve(opened_.bundle.scenario)};
    first.scenario.seeds = {was.seed, was.seed};
    const auto seen = oracle_({first}, [](const RunResult&) { return true; });
    if (seen.empty()) return give_up(kInternal, "the original run did not come to its end in the time given");
    if (!search::same_failure(was, seen.front())) return not_again(seen.front());
    search::ShrinkOptions how;
    how.max_runs = static_cast<std::uint64_t>(options_.runs);
    how.progress = [this](const search::ShrinkProgress& progress) { line_.show(progress); };
    const search::Shrunk shrunk = search::shrink(
        opened_.bundle.scenario, was.seed, seen.front(),
        [this](const auto& candidates, const auto& accept) { return oracle_(candidates, accept); }, how);
    line_.clear();
    return write(shrunk);
  }

 private:
  int give_up(int code, const std::string& message) {
    line_.clear();
    std::error_code ignored;
    if (place_.made) std::filesystem::remove_all(place_.folder, ignored);
    fmt::print(stderr, "verdict: {}\n", message);
    return code;
  }

  int not_again(const RunResult& now) {
    const reports::RunRecord& then = opened_.bundle.record;
    const std::string outcomes =
        fmt::format("the run came to {} {}, and now to {} {}", scenarios::name_of(then.result.outcome),
                    then.result.invariant, scenarios::name_of(now.outcome), now.invariant);
    if (then.build != reports::build_id()) {
      return give_up(kUsage, fmt::format("shrink {}: the build differs: {}; allowed: a bundle of this build's failures",
                                         options_.bundle, outcomes));
    }
    if (then.result.outcome == RunOutcome::crash)  // a death may come from outside
      return give_up(kUsage, fmt::format("shrink {}: {}; allowed: a run that fails again", options_.bundle, outcomes));
    return give_up(kNotDeterministic, "not deterministic: of the same build " + outcomes);
  }

  // Nothing that was found is lost: what can't be written is printed.
  int lost(const search::Shrunk& shrunk, const std::string& problem) {
    fmt::print("{}\n", scenarios::to_json(shrunk.scenario));
    std::fflush(stdout);
    fmt::print(stderr, "verdict: {}; the shrunk scenario is on standard output\n", problem);
    return kInternal;
  }

  reports::ShrunkFrom note_of(const search::Shrunk& shrunk) const {
    reports::ShrunkFrom note;
    note.bundle = opened_.folder;
    note.build = opened_.bundle.record.build;
    note.original_json = opened_.bundle.scenario_json;
    for (const Line& line : kLines)
      note.sizes.push_back({line.name, shrunk.before.*line.member, shrunk.after.*line.member});
    note.runs = shrunk.runs;
    note.steps = shrunk.accepted;
    note.finished = shrunk.finished;
    for (std::size_t i = 0; i < shrunk.otherwise.size(); ++i)
      note.others.push_back({shrunk.otherwise[i].signature, fmt::format("otherwise-{}.json", i + 1)});
    return note;
  }

  std::expected<void, std::string> write_files(const search::Shrunk& shrunk, const reports::ShrunkFrom& note) const {
    if (auto wrote = reports::write_file(place_.folder + "/shrunk.json", reports::to_json(note)); !wrote) return wrote;
    for (std::size_t i = 0; i < shrunk.otherwise.size(); ++i) {
      if (auto wrote = reports::write_file(place_.folder + "/" + note.others[i].file,
                                           scenarios::to_json(shrunk.otherwise[i].scenario) + "\n");
          !wrote) {
        return wrote;
      }
    }
    if (place_.scenario_file.empty()) return {};
    return reports::write_file(place_.scenario_file, scenarios::to_json(shrunk.scenario) + "\n");
  }

  // The recorded run, and its reports.
  std::expected<void, std::string> record(const search::Shrunk& shrunk) const {
    Job job;
    job.kind = Job::Kind::bundle;
    job.seed = shrunk.scenario.seeds.first;
    job.folder = place_.folder;
    job.first.result = shrunk.result;
    job.first.build = reports::build_id();
    job.first.replay = "./verdict replay " + place_.folder;
    WorkerReport report = in_worker({shrunk.scenario}, job);
    if (report.died && shrunk.result.outcome == RunOutcome::crash) {  // as it did before
      job.first.stderr_tail = report.stderr_tail;
      job.kind = Job::Kind::report;
      report = in_worker({shrunk.scenario}, job);
    }
    if (report.died) return std::unexpected("the recorded run " + report.death);
    if (report.line.starts_with("error: ")) return std::unexpected(report.line.substr(7));
    if (report.line.empty()) return {};
    const auto result = reports::parse_run_result(report.line);
    if (result && result->outcome == RunOutcome::nondeterministic) return std::unexpected(result->sentence);
    return {};
  }

  int write(const search::Shrunk& shrunk) {
    const reports::ShrunkFrom note = note_of(shrunk);
    if (auto wrote = write_files(shrunk, note); !wrote) return lost(shrunk, wrote.error());
    if (auto recorded = record(shrunk); !recorded) return lost(shrunk, recorded.error());
    const char* why = shrunk.finished    ? "nothing smaller fails in the same way"
                      : interrupted != 0 ? "interrupted: the best so far"
                      : options_.runs > 0 && shrunk.runs >= static_cast<std::uint64_t>(options_.runs)
                          ? "the runs are used up: the best so far"
                          : "out of time: the best so far";
    fmt::print("shrunk        {}: {}\n", reports::invariant_title(shrunk.result.invariant), shrunk.result.sentence);
    fmt::print("    {}\n", sizes_text(shrunk.before, shrunk.after));
    fmt::print("    {} runs, {} steps, {:.1f} s; {}\n", shrunk.runs, shrunk.accepted, line_.elapsed_s(), why);
    for (const reports::ShrunkOther& other : note.others)
      fmt::print("    met on the way ({}/{}): {}\n", place_.folder, other.file, other.signature);
    const std::vector<std::string> chain = reports::read_why(place_.folder);
    if (!chain.empty()) fmt::print("    why\n");
    for (const std::string& link : chain) fmt::print("    {}\n", link);
    fmt::print("    {}/report.html\n    ./verdict run {}\n    ./verdict replay {}\n", place_.folder,
               place_.scenario_file.empty() ? place_.folder + "/scenario.json" : place_.scenario_file, place_.folder);
    return kOk;
  }

  const ShrinkOptions& options_;
  OpenBundle opened_;
  Place place_;
  Clock::time_point deadline_;
  ShrinkLine line_;
  PoolOracle oracle_;
};

}  // namespace

int shrink(const ShrinkOptions& options) {
  const auto time_ms = reports::parse_duration_ms(options.time);
  if (!time_ms || *time_ms == 0) return usage("--for: " + (time_ms ? std::string("a time above 0") : time_ms.error()));
  auto opened = open_bundle("shrink", options.bundle);
  if (!opened) return usage(opened.error());
  const RunResult& was = opened->bundle.record.result;
  if (!search::can_shrink(was)) {
    return usage(fmt::format("shrink {}: its run is {}; allowed: a violation, an overrun or a crash", options.bundle,
                             scenarios::name_of(was.outcome)));
  }
  auto place = place_for(options.out, opened->folder);
  if (!place) return usage(place.error());
  watch_signals();
  return Shrinking(options, std::move(*opened), std::move(*place), *time_ms).run();
}

}  // namespace verdict::cli
