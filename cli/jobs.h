#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "cli/workers.h"
#include "reports/bundle.h"
#include "reports/run_record.h"
#include "scenarios/scenario.h"

// What workers do, and how they are asked.
namespace verdict::cli {

struct ReplayOptions;

struct Job {
  enum class Kind : std::uint8_t {
    run,     // the run alone; the answer is RunResult::to_json()
    bundle,  // a second, recorded run of `first`, and the reports; the answer is the run's result, judged anew
    report,  // the files of a recorded run that died; the answer is empty or an error
    until    // up to until_ms; the answer is the state of the replicas then
  };
  Kind kind = Kind::run;
  std::size_t scenario = 0;
  std::string scenario_json;  // in place of it, where given
  std::uint64_t seed = 1;
  bool twice = false;
  std::vector<std::string> defects;  // beside the scenario's
  std::string folder;                // bundle, report, until
  std::int64_t until_ms = 0;         // until; a run that has not failed by then may stop, 0: never
  std::int64_t reseed_at_ms = 0;     // run: everything is drawn anew from there on; 0: never
  std::uint64_t branch = 0;
  bool past_violation = false;  // run: RunOptions::past_violation
  reports::RunRecord first;     // bundle, report
};
std::string to_line(const Job& job);

// The body of a worker. An answer that begins with "error: " says what went wrong.
std::string work(const std::vector<scenarios::Scenario>& scenarios, const std::string& line);

// One job in a worker of its own; waits for it.
WorkerReport in_worker(const std::vector<scenarios::Scenario>& scenarios, const Job& job);

// What a worker that died leaves of a run.
scenarios::RunResult crashed(const scenarios::Scenario& scenario, std::uint64_t seed, std::string_view death,
                             const std::vector<std::string>& stderr_tail);

// ---- what the commands are given ----

// A name of the library, or the path of a .json file; then the settings; then checked as a whole. One clear line.
std::expected<scenarios::Scenario, std::string> load_scenario(const std::string& name,
                                                              const std::vector<std::string>& settings);

struct OpenBundle {
  std::string folder;
  reports::Bundle bundle;  // its scenario is valid
};
// A bundle by its folder or by one of its files. One clear line that begins with `command`.
std::expected<OpenBundle, std::string> open_bundle(std::string_view command, const std::string& path);

// replay --reseed-at
int replay_branches(const OpenBundle& opened, const ReplayOptions& options);

int usage(std::string_view message);  // says it on standard error; 64

// " --set 'a=b'" for each, for a command to paste.
std::string settings_text(const std::vector<std::string>& settings);

}  // namespace verdict::cli
