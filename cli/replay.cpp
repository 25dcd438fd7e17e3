// verdict replay: the run of a bundle once more.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/workers.h"
#include "reports/bundle.h"
#include "reports/campaign.h"
#include "reports/cause.h"
#include "reports/json_text.h"
#include "reports/text.h"
#include "scenarios/runner.h"

namespace verdict::cli {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;

// The state of the replicas at some time, and how the run got there.
int show_until(const reports::Bundle& bundle, Job job, std::int64_t until_ms) {
  std::string folder = (std::filesystem::temp_directory_path() / "verdict-until-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return usage(folder + ": can't be made");
  job.kind = Job::Kind::until;
  job.until_ms = until_ms;
  job.folder = folder;
  const WorkerReport report = in_worker({bundle.scenario}, job);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (report.died || report.line.starts_with("error: ")) {
    fmt::print(stderr, "verdict: the run {}\n", report.died ? report.death : report.line.substr(7));
    for (const std::string& line : report.stderr_tail) fmt::print(stderr, "    | {}\n", line);
    return kInternal;
  }
  const auto answer = nlohmann::json::parse(report.line);
  fmt::print("{} seed {} at {}, phase {}: {} protocol events, {} messages\n", bundle.scenario.name, job.seed,
             reports::seconds_text(answer["end_ns"]), answer["phase"].get<std::string>(),
             answer["events"].get<std::uint64_t>(), answer["messages"].get<std::uint64_t>());
  fmt::print("{}", answer["matrix"].get<std::string>());
  const auto result = reports::parse_run_result(answer["result"].dump());
  if (result && result->outcome == RunOutcome::violation) {
    reports::RunRecord record;
    record.result = *result;
    fmt::print("{}", reports::failure_text(record));
    return kViolation;
  }
  return kOk;
}

int compare(const reports::RunRecord& then, const RunResult& now) {
  const RunResult& was = then.result;
  const bool same_build = then.build == reports::build_id();
  const bool same_outcome = was.outcome == now.outcome && was.invariant == now.invariant;
  const bool same_hash = was.hash == now.hash || now.outcome == RunOutcome::crash;
  const int code = reports::exit_code(now.outcome);
  if (same_outcome && same_hash) {
    fmt::print("same outcome, same hash {:016x}{}\n", now.hash, same_build ? "" : "; the build differs");
    return code;
  }
  if (same_build && was.outcome == RunOutcome::crash) {  // a death may come from outside: it has no hash
    fmt::print("different outcome: {}, and now it comes to its end: {} with hash {:016x}\n", was.sentence,
               scenarios::name_of(now.outcome), now.hash);
    return code;
  }
  if (!same_build) {
    fmt::print("{}\n  then {}\n  now  {}\n",
               same_outcome ? "same outcome; the build differs" : "different outcome, the build differs", then.build,
               reports::build_id());
    return code;
  }
  fmt::print("not deterministic: the same build came to {} {} with hash {:016x}, and now to {} {} with hash {:016x}\n",
             scenarios::name_of(was.outcome), was.invariant, was.hash, scenarios::name_of(now.outcome), now.invariant,
             now.hash);
  return kNotDeterministic;
}

}  // namespace

int replay(const ReplayOptions& options) {
  const auto opened = open_bundle("replay", options.bundle);
  if (!opened) return usage(opened.error());
  if (!options.reseed_at.empty()) return replay_branches(*opened, options);
  const reports::Bundle* bundle = &opened->bundle;
  Job job;
  job.seed = bundle->record.result.seed;
  job.twice = bundle->record.check_determinism;
  if (!options.until.empty()) {
    const auto until_ms = reports::parse_duration_ms(options.until);
    if (!until_ms || *until_ms == 0)
      return usage("--until: " + (until_ms ? std::string("a time above 0") : until_ms.error()));
    return show_until(*bundle, job, *until_ms);
  }
  const WorkerReport report = in_worker({bundle->scenario}, job);
  reports::RunRecord now;
  now.replay = "./verdict replay " + options.bundle;
  if (report.died) {
    now.result = crashed(bundle->scenario, job.seed, report.death, report.stderr_tail);
    now.stderr_tail = report.stderr_tail;
  } else {
    auto result = reports::parse_run_result(report.line);
    if (!result) {
      fmt::print(stderr, "verdict: the run answered what can't be read: {}\n", result.error());
      return kInternal;
    }
    now.result = std::move(*result);
  }
  if (now.result.hash == bundle->record.result.hash) now.why = reports::read_why(opened->folder);
  fmt::print(
      "{}", now.result.outcome == RunOutcome::pass ? reports::run_line(now.result) + "\n" : reports::failure_text(now));
  return compare(bundle->record, now.result);
}

}  // namespace verdict::cli
