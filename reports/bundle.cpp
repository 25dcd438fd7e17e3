#include "reports/bundle.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "reports/cause.h"
#include "reports/chrome_trace.h"
#include "reports/curve.h"
#include "reports/html.h"
#include "reports/shrunk.h"
#include "reports/text.h"
#include "reports/trace.h"
#include "reports/zstd_file.h"

namespace verdict::reports {
namespace {

using scenarios::RunResult;
using scenarios::Scenario;

std::string unwritten(const std::string& path) {
  return fmt::format("{}: can't be written{}{}", path, errno != 0 ? ": " : "", errno != 0 ? std::strerror(errno) : "");
}

// The files that a run fills while it goes on.
class BundleFiles {
 public:
  explicit BundleFiles(const std::string& folder)
      : folder_(folder), trace_(folder + "/events.jsonl.zst"), history_(folder + "/history.jsonl", std::ios::binary) {}

  TraceWriter::Sinks sinks() {
    return {.trace = [this](std::string_view line) { trace_.write(line); },
            .history = [this](std::string_view line) { history_ << line; },
            .log = [this](std::string_view host, std::string_view text) { log(host) << text; }};
  }

  std::expected<void, std::string> finish() {
    errno = 0;
    history_.close();
    if (!history_) return std::unexpected(unwritten(folder_ + "/history.jsonl"));
    return trace_.finish();
  }

 private:
  std::ofstream& log(std::string_view host) {
    const auto found = logs_.find(host);
    if (found != logs_.end()) return found->second;
    std::error_code ignored;
    std::filesystem::create_directories(folder_ + "/nodes", ignored);
    return logs_.try_emplace(std::string(host), fmt::format("{}/nodes/{}.log", folder_, host)).first->second;
  }

  std::string folder_;
  ZstdWriter trace_;
  std::ofstream history_;
  std::map<std::string, std::ofstream, std::less<>> logs_;
};

std::expected<RunResult, std::string> record(const Scenario& scenario, std::uint64_t seed,
                                             const scenarios::RunOptions& given, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return std::unexpected(fmt::format("{}: {}", folder, error.message()));
  if (auto wrote = write_file(folder + "/scenario.json", scenarios::to_json(scenarios::resolve(scenario)) + "\n");
      !wrote) {
    return std::unexpected(wrote.error());
  }
  BundleFiles files(folder);
  TraceWriter writer(files.sinks());
  scenarios::RunOptions options = given;
  options.observer = &writer;
  options.log_lines = true;
  RunResult result = scenarios::run(scenario, seed, options);
  if (auto finished = files.finish(); !finished) return std::unexpected(finished.error());
  return result;
}

// The report's section on a file that not every bundle has; empty where it is absent.
template <class Parse, class Section>
std::expected<std::string, std::string> section_of(const std::string& path, Parse parse, Section section) {
  if (!std::filesystem::exists(path)) return std::string();
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  const auto parsed = parse(*text);
  if (!parsed) return std::unexpected(path + ": " + parsed.error());
  return section(*parsed);
}

// What the shrinker and the branches left: after the replay, and after the diagrams.
struct MoreSections {
  std::string shrunk;
  std::string curve;
};
std::expected<MoreSections, std::string> more_sections(const std::string& folder, const std::string& scenario_json) {
  const auto shrunk = section_of(folder + "/shrunk.json", parse_shrunk,
                                 [&](const ShrunkFrom& from) { return shrunk_section(from, scenario_json); });
  if (!shrunk) return std::unexpected(shrunk.error());
  const auto curve = section_of(folder + "/curve.json", parse_curve, curve_section);
  if (!curve) return std::unexpected(curve.error());
  return MoreSections{*shrunk, *curve};
}

}  // namespace

std::expected<std::string, std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) return std::unexpected(path + ": can't be read");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::expected<void, std::string> write_file(const std::string& path, std::string_view text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return std::unexpected(unwritten(path));
  return {};
}

std::expected<RunResult, std::string> record_run(const Scenario& scenario, std::uint64_t seed, bool check_determinism,
                                                 const std::string& folder) {
  scenarios::RunOptions options;
  options.check_determinism = check_determinism;
  return record(scenario, seed, options, folder);
}

std::expected<RunResult, std::string> record_until(const Scenario& scenario, std::uint64_t seed, std::int64_t until_ms,
                                                   const std::string& folder) {
  scenarios::RunOptions options;
  options.until_ms = until_ms;
  return record(scenario, seed, options, folder);
}

std::expected<void, std::string> write_run_json(const RunRecord& record, const std::string& folder) {
  return write_file(folder + "/run.json", to_json(record));
}

std::expected<void, std::string> write_reports(const std::string& folder) {
  const auto bundle = read_bundle(folder);
  if (!bundle) return std::unexpected(bundle.error());
  TraceLimits limits;
  limits.focus_ns = bundle->record.result.violation_ns;
  const auto trace = load_trace(folder + "/events.jsonl.zst", limits);
  if (!trace) return std::unexpected(trace.error());
  const auto load = load_history(folder + "/history.jsonl");
  if (!load) return std::unexpected(load.error());
  const RunRecord& record = bundle->record;
  const auto more = more_sections(folder, bundle->scenario_json);
  if (!more) return std::unexpected(more.error());
  const std::vector<CauseLink> why = cause_of(record.result, *trace);
  for (const auto& [name, text] : {std::pair<const char*, std::string>("verdict.json", verdict_json(record, why)),
                                   {"summary.md", summary_markdown(record, *trace, why)},
                                   {"junit.xml", junit_xml(record)},
                                   {"report.html", html_report(record, bundle->scenario_json, *trace, *load,
                                                               more->shrunk, more->curve, cause_section(why))},
                                   {"trace.json", chrome_trace(*trace)}}) {
    if (auto wrote = write_file(fmt::format("{}/{}", folder, name), text); !wrote) return wrote;
  }
  return {};
}

std::expected<Bundle, std::string> read_bundle(const std::string& folder) {
  const auto run_text = read_file(folder + "/run.json");
  if (!run_text) return std::unexpected(run_text.error());
  auto record = parse_run_record(*run_text);
  if (!record) return std::unexpected(fmt::format("{}/run.json: {}", folder, record.error()));
  auto scenario_text = read_file(folder + "/scenario.json");
  if (!scenario_text) return std::unexpected(scenario_text.error());
  auto scenario = scenarios::parse_scenario(*scenario_text);
  if (!scenario) return std::unexpected(fmt::format("{}/scenario.json: {}", folder, scenario.error().text()));
  return Bundle{
      .record = std::move(*record), .scenario_json = std::move(*scenario_text), .scenario = std::move(*scenario)};
}

}  // namespace verdict::reports
