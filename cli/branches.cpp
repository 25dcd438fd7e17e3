// verdict replay --reseed-at: how likely the failure was at moments of the run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/progress.h"
#include "reports/campaign.h"
#include "reports/curve.h"
#include "search/shrink.h"

namespace verdict::cli {
namespace {

using scenarios::RunResult;

constexpr std::int64_t kGrid = 10;

// "curve", or times separated by commas; in order, each once.
std::expected<std::vector<std::int64_t>, std::string> moments(const std::string& text, const RunResult& result,
                                                              std::int64_t end_ms) {
  std::vector<std::int64_t> out;
  if (text == "curve") {
    const std::int64_t from = std::max<std::int64_t>(result.workload_ns / 1'000'000, 1);
    for (std::int64_t i = 1; i <= kGrid; ++i) out.push_back(from + (end_ms - 1 - from) * i / kGrid);
  } else {
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t comma = std::min(text.find(',', begin), text.size());
      const auto ms = reports::parse_duration_ms(text.substr(begin, comma - begin));
      if (!ms) return std::unexpected("--reseed-at: " + ms.error());
      if (*ms < 1 || *ms > end_ms)
        return std::unexpected(fmt::format("--reseed-at {}ms: allowed: 1ms to {}ms, where the run ended", *ms, end_ms));
      out.push_back(*ms);
      begin = comma + 1;
    }
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  std::erase_if(out, [](std::int64_t ms) { return ms < 1; });
  return out;
}

std::optional<RunResult> answered(const WorkerReport& report, const scenarios::Scenario& scenario, std::uint64_t seed) {
  if (report.died) return crashed(scenario, seed, report.death, report.stderr_tail);
  auto result = reports::parse_run_result(report.line);
  if (!result) return std::nullopt;
  return std::move(*result);
}

// All branches of all moments, in worker processes. False: one of them answered what can't be read.
bool run_branches(const OpenBundle& opened, const RunResult& was, int branches, int jobs, reports::Curve& curve) {
  const std::vector<scenarios::Scenario> scenarios{opened.bundle.scenario};
  const std::size_t count = curve.points.size() * static_cast<std::size_t>(branches);
  Progress progress(count);
  WorkerPool pool(jobs, [&scenarios](const std::string& line) { return work(scenarios, line); });
  std::size_t started = 0, done = 0;
  while (done < count) {
    while (pool.has_idle() && started < count) {
      Job job;
      job.seed = was.seed;
      job.reseed_at_ms = curve.points[started / static_cast<std::size_t>(branches)].at_ms;
      job.branch = started % static_cast<std::size_t>(branches) + 1;
      pool.start(started++, to_line(job));
    }
    for (const WorkerReport& report : pool.wait(std::chrono::milliseconds(200))) {
      const auto result = answered(report, scenarios.front(), was.seed);
      if (!result) return false;
      reports::CurvePoint& point = curve.points[report.id / static_cast<std::size_t>(branches)];
      ++point.runs;
      if (search::same_failure(was, *result)) {
        ++point.failed;
      } else if (search::can_shrink(*result)) {
        ++point.otherwise;
      }
      progress.add(*result);
      ++done;
    }
    progress.show();
  }
  return true;
}

}  // namespace

int replay_branches(const OpenBundle& opened, const ReplayOptions& options) {
  const RunResult& was = opened.bundle.record.result;
  if (!search::can_shrink(was)) {
    return usage(fmt::format("replay {} --reseed-at: its run is {}; allowed: a violation, an overrun or a crash",
                             options.bundle, scenarios::name_of(was.outcome)));
  }
  Job job;
  job.seed = was.seed;
  const auto base = answered(in_worker({opened.bundle.scenario}, job), opened.bundle.scenario, was.seed);
  if (!base || !search::same_failure(was, *base)) {
    const bool same_build = opened.bundle.record.build == reports::build_id();
    fmt::print(stderr, "verdict: replay {}: {}\n", options.bundle,
               same_build ? "not deterministic: the same build comes to another outcome"
                          : "the build differs, and the run comes to another outcome");
    return same_build ? kNotDeterministic : kUsage;
  }
  reports::Curve curve;
  curve.failure = was.invariant.empty() ? std::string(scenarios::name_of(was.outcome)) : was.invariant;
  if (base->violation_ns >= 0) curve.failed_at_ms = base->violation_ns / 1'000'000;
  const std::int64_t end_ms =
      curve.failed_at_ms >= 0 ? curve.failed_at_ms : std::max<std::int64_t>(base->simulated_ms, 2);
  const auto times = moments(options.reseed_at, *base, end_ms);
  if (!times) return usage(times.error());
  for (const std::int64_t ms : *times) curve.points.push_back({.at_ms = ms});
  if (!run_branches(opened, *base, options.branches, options.jobs > 0 ? options.jobs : default_jobs(), curve)) {
    fmt::print(stderr, "verdict: a run answered what can't be read\n");
    return kInternal;
  }
  fmt::print("{} seed {} fails of {}{}; with everything drawn anew from a moment on:\n{}", was.scenario, was.seed,
             curve.failure, curve.failed_at_ms >= 0 ? fmt::format(" at {} ms", curve.failed_at_ms) : "",
             reports::curve_text(curve));
  auto wrote = reports::write_file(opened.folder + "/curve.json", reports::to_json(curve));
  if (wrote) wrote = reports::write_reports(opened.folder);
  if (!wrote) {
    fmt::print(stderr, "verdict: {}\n", wrote.error());
    return kInternal;
  }
  fmt::print("    {0}/curve.json\n    {0}/report.html\n", opened.folder);
  return kOk;
}

}  // namespace verdict::cli
