#include "cli/jobs.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "reports/bundle.h"
#include "reports/text.h"
#include "reports/trace_data.h"
#include "scenarios/catalogue.h"
#include "scenarios/runner.h"

namespace verdict::cli {
namespace {

using Json = nlohmann::ordered_json;
using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

Job parse_job(const std::string& line) {
  const Json json = Json::parse(line);
  Job job;
  job.kind = static_cast<Job::Kind>(json["kind"].get<int>());
  job.scenario = json["scenario"];
  job.scenario_json = json["scenario_json"];
  job.seed = json["seed"];
  job.twice = json["twice"];
  job.defects = json["defects"].get<std::vector<std::string>>();
  job.folder = json["folder"];
  job.until_ms = json["until_ms"];
  job.reseed_at_ms = json["reseed_at_ms"];
  job.branch = json["branch"];
  job.past_violation = json["past_violation"];
  if (json.contains("first")) job.first = *reports::parse_run_record(json["first"].dump());
  return job;
}

std::string run_job(const Scenario& scenario, const Job& job) {
  scenarios::RunOptions options;
  options.check_determinism = job.twice;
  options.defects = job.defects;
  options.until_ms = job.until_ms;
  options.reseed_at_ms = job.reseed_at_ms;
  options.branch = job.branch;
  options.past_violation = job.past_violation;
  const auto begin = std::chrono::steady_clock::now();
  RunResult result = scenarios::run(scenario, job.seed, options);
  result.wall_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
  return result.to_json();
}

std::string report_job(const Job& job) {
  if (auto wrote = reports::write_run_json(job.first, job.folder); !wrote) return "error: " + wrote.error();
  if (auto wrote = reports::write_reports(job.folder); !wrote) return "error: " + wrote.error();
  return {};
}

std::string bundle_job(const Scenario& scenario, Job job) {
  const auto recorded = reports::record_run(scenario, job.seed, job.twice, job.folder);
  if (!recorded) return "error: " + recorded.error();
  RunResult& first = job.first.result;
  if (first.outcome == RunOutcome::crash) {
    first.sentence += fmt::format("; recorded again it came to its end: {}", scenarios::name_of(recorded->outcome));
  } else if (first.outcome != RunOutcome::nondeterministic && recorded->hash != first.hash) {
    first.outcome = RunOutcome::nondeterministic;
    first.difference = fmt::format("recorded again, the run is {} with hash {:016x}, not {:016x}",
                                   scenarios::name_of(recorded->outcome), recorded->hash, first.hash);
    first.sentence = "two runs of one seed differ: " + first.difference;
  }
  const std::string wrote = report_job(job);
  return wrote.empty() ? first.to_json() : wrote;
}

std::string until_job(const Scenario& scenario, const Job& job) {
  const auto recorded = reports::record_until(scenario, job.seed, job.until_ms, job.folder);
  if (!recorded) return "error: " + recorded.error();
  reports::TraceLimits limits;
  limits.focus_ns = job.until_ms * 1'000'000;
  const auto trace = reports::load_trace(job.folder + "/events.jsonl.zst", limits);
  if (!trace) return "error: " + trace.error();
  Json answer;
  answer["matrix"] = reports::matrix_text(*trace);
  answer["phase"] = trace->phases.empty() ? "" : trace->phases.back().name;
  answer["events"] = trace->all_events;
  answer["messages"] = trace->all_messages;
  answer["end_ns"] = trace->end_ns;
  answer["result"] = Json::parse(recorded->to_json());
  return answer.dump();
}

}  // namespace

std::string to_line(const Job& job) {
  Json json;
  json["kind"] = static_cast<int>(job.kind);
  json["scenario"] = job.scenario;
  json["scenario_json"] = job.scenario_json;
  json["seed"] = job.seed;
  json["twice"] = job.twice;
  json["defects"] = job.defects;
  json["folder"] = job.folder;
  json["until_ms"] = job.until_ms;
  json["reseed_at_ms"] = job.reseed_at_ms;
  json["branch"] = job.branch;
  json["past_violation"] = job.past_violation;
  if (job.kind == Job::Kind::bundle || job.kind == Job::Kind::report)
    json["first"] = Json::parse(reports::to_json(job.first));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string work(const std::vector<Scenario>& scenarios, const std::string& line) {
  Job job = parse_job(line);
  std::optional<Scenario> own;
  if (!job.scenario_json.empty()) {
    auto parsed = scenarios::parse_scenario(job.scenario_json);
    if (!parsed) return "error: " + parsed.error().text();
    own = std::move(*parsed);
  }
  const Scenario& scenario = own ? *own : scenarios[job.scenario];
  switch (job.kind) {
    case Job::Kind::run:
      return run_job(scenario, job);
    case Job::Kind::bundle:
      return bundle_job(scenario, std::move(job));
    case Job::Kind::report:
      return report_job(job);
    case Job::Kind::until:
      return until_job(scenario, job);
  }
  return "error: no such job";
}

WorkerReport in_worker(const std::vector<Scenario>& scenarios, const Job& job) {
  WorkerPool pool(1, [&scenarios](const std::string& line) { return work(scenarios, line); });
  pool.start(0, to_line(job));
  for (;;) {
    auto reports = pool.wait(std::chrono::milliseconds(1000));
    if (!reports.empty()) return std::move(reports.front());
  }
}

RunResult crashed(const Scenario& scenario, std::uint64_t seed, std::string_view death,
                  const std::vector<std::string>& stderr_tail) {
  RunResult result;
  result.scenario = scenario.name;
  result.seed = seed;
  result.outcome = RunOutcome::crash;
  result.sentence = fmt::format("the run {}{}", death.starts_with("no end") ? "came to " : "", death);
  for (const std::string& line : stderr_tail) {
    if (line.find("assert") != std::string::npos || line.find("ERROR:") != std::string::npos ||
        line.find("runtime error") != std::string::npos) {
      result.sentence += ": " + line;
      break;
    }
  }
  return result;
}

std::expected<Scenario, std::string> load_scenario(const std::string& name, const std::vector<std::string>& settings) {
  const bool file = name.ends_with(".json") || name.find('/') != std::string::npos;
  std::expected<Scenario, scenarios::ScenarioError> scenario;
  if (file) {
    const auto text = reports::read_file(name);
    if (!text) return std::unexpected(text.error());
    scenario = scenarios::parse_scenario(*text);
    if (scenario && scenario->name.empty()) scenario->name = std::filesystem::path(name).stem().string();
  } else if (scenarios::find_library(name) == nullptr) {
    return std::unexpected(
        fmt::format("no scenario is called {}: a name of `verdict list scenarios`, or the path of a .json file", name));
  } else {
    scenario = scenarios::library_scenario(name);
  }
  if (!scenario) return std::unexpected(fmt::format("{}: {}", name, scenario.error().text()));
  for (const std::string& setting : settings) {
    scenario = scenarios::with_setting(*scenario, setting);
    if (!scenario && scenario.error().path == "--set") return std::unexpected(scenario.error().text());
    if (!scenario) return std::unexpected(fmt::format("--set {}: {}", setting, scenario.error().text()));
  }
  if (const auto valid = scenarios::validate(*scenario); !valid)
    return std::unexpected(fmt::format("{}: {}", name, valid.error().text()));
  return *scenario;
}

std::expected<OpenBundle, std::string> open_bundle(std::string_view command, const std::string& path) {
  std::filesystem::path folder(path);
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    return std::unexpected(
        fmt::format("{} {}: not there; allowed: the folder of a run, out/SCENARIO/UTC-SEED", command, path));
  }
  if (!std::filesystem::is_directory(folder, error))  // one of its files
    folder = folder.has_parent_path() ? folder.parent_path() : std::filesystem::path(".");
  auto bundle = reports::read_bundle(folder.string());
  if (!bundle) return std::unexpected(bundle.error());
  if (const auto valid = scenarios::validate(bundle->scenario); !valid)
    return std::unexpected(folder.string() + "/scenario.json: " + valid.error().text());
  return OpenBundle{.folder = folder.string(), .bundle = std::move(*bundle)};
}

int usage(std::string_view message) {
  fmt::print(stderr, "verdict: {}\n", message);
  return kUsage;
}

std::string settings_text(const std::vector<std::string>& settings) {
  std::string out;
  for (const std::string& setting : settings) {
    out += " --set '";
    for (const char c : setting) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

}  // namespace verdict::cli
