#pragma once

#include <expected>
#include <string>

#include "reports/run_record.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// A bundle is the folder of one run: {run.json, scenario.json, history.jsonl, events.jsonl.zst, verdict.json,
// summary.md, junit.xml, report.html, trace.json, nodes/HOST.log}.
namespace verdict::reports {

// Runs `scenario` with everything recorded: writes scenario.json, history.jsonl, events.jsonl.zst and nodes/ into the
// folder, which is made. What a run that dies had written so far can still be reported.
std::expected<scenarios::RunResult, std::string> record_run(const scenarios::Scenario& scenario, std::uint64_t seed,
                                                            bool check_determinism, const std::string& folder);
// The same up to `until_ms` of virtual time.
std::expected<scenarios::RunResult, std::string> record_until(const scenarios::Scenario& scenario, std::uint64_t seed,
                                                              std::int64_t until_ms, const std::string& folder);

std::expected<void, std::string> write_run_json(const RunRecord& record, const std::string& folder);

// Makes verdict.json, summary.md, junit.xml, report.html and trace.json anew from the other files of the folder.
std::expected<void, std::string> write_reports(const std::string& folder);

struct Bundle {
  RunRecord record;
  std::string scenario_json;
  scenarios::Scenario scenario;
};
// run.json and scenario.json. The error names the file.
std::expected<Bundle, std::string> read_bundle(const std::string& folder);

std::expected<std::string, std::string> read_file(const std::string& path);
std::expected<void, std::string> write_file(const std::string& path, std::string_view text);

}  // namespace verdict::reports
