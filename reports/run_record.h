#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/result.h"

namespace verdict::reports {

// What run.json holds: a run's result, and how it came about.
struct RunRecord {
  scenarios::RunResult result;
  std::string build;                     // build_id() of the program that ran it
  std::string replay;                    // the command that runs it again
  bool check_determinism = false;        // it was run twice
  std::vector<std::string> stderr_tail;  // of a worker that died
  std::vector<std::string> why;          // lines of cause.h, for the terminal; not in run.json
};

std::string to_json(const RunRecord& record);  // indented
// Unknown members are skipped; the error is a sentence.
std::expected<RunRecord, std::string> parse_run_record(std::string_view json);
// RunResult::to_json() read back.
std::expected<scenarios::RunResult, std::string> parse_run_result(std::string_view json);
// The run object of `run --format json`, one line: "dir" is empty where nothing was written.
std::string run_object(const scenarios::RunResult& result, std::string_view dir);

// ---- what the outcome of a run means ----

bool failed(scenarios::RunOutcome outcome);  // neither a pass nor inconclusive
int exit_code(scenarios::RunOutcome outcome);
// Of several exit codes the gravest counts: 70, 3, 1, 2, 0.
int gravest(int a, int b);

// Commit, compiler and library versions: what makes two programs the same build.
std::string_view build_id();

}  // namespace verdict::reports
