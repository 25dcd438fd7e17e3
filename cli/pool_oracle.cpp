#include "cli/pool_oracle.h"

#include <algorithm>
#include <utility>

#include "cli/jobs.h"
#include "reports/run_record.h"

namespace verdict::cli {
namespace {

using scenarios::RunResult;

RunResult result_of(const WorkerReport& report, const scenarios::Scenario& scenario) {
  const std::uint64_t seed = scenario.seeds.first;
  if (report.died) return crashed(scenario, seed, report.death, report.stderr_tail);
  auto result = reports::parse_run_result(report.line);
  if (!result) return crashed(scenario, seed, "answered what can't be read: " + result.error(), {});
  return std::move(*result);
}

}  // namespace

PoolOracle::PoolOracle(int jobs, std::function<bool()> stop)
    : stop_(std::move(stop)), pool_(jobs, [](const std::string& line) { return work({}, line); }) {}

std::vector<RunResult> PoolOracle::operator()(const std::vector<search::Candidate>& candidates,
                                              const search::Accept& accept) {
  std::vector<std::optional<RunResult>> results(candidates.size());
  const std::uint64_t first = next_id_;
  std::size_t end = candidates.size();  // behind the first accepted one
  std::size_t done = 0;                 // so many from the first on have their results
  while (done < end && !stop_()) {
    while (pool_.has_idle() && next_id_ - first < end) {
      const search::Candidate& candidate = candidates[next_id_ - first];
      Job job;
      job.scenario_json = scenarios::to_json(candidate.scenario, -1);
      job.seed = candidate.scenario.seeds.first;
      job.until_ms = candidate.until_ms;
      pool_.start(next_id_++, to_line(job));
    }
    for (const WorkerReport& report : pool_.wait(std::chrono::milliseconds(100))) {
      if (report.id < first) continue;  // of an earlier question: nobody waits for it
      const std::size_t place = report.id - first;
      results[place] = result_of(report, candidates[place].scenario);
      if (accept(*results[place])) end = std::min(end, place + 1);
    }
    while (done < end && results[done]) ++done;
  }
  std::vector<RunResult> answer;
  for (std::size_t i = 0; i < done; ++i) answer.push_back(std::move(*results[i]));
  return answer;
}

}  // namespace verdict::cli
