// verdict check: the black box over a clients' history, from the file alone.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "checker/black_box.h"
#include "cli/commands.h"
#include "cli/jobs.h"

namespace verdict::cli {
namespace {

void print_text(const checker::HistoryResult& result) {
  for (const checker::Anomaly& anomaly : result.anomalies) {
    fmt::print("{}{}: {}", anomaly.name, anomaly.allowed ? " (allowed)" : "", anomaly.sentence);
    if (anomaly.count > 1) fmt::print("; {} more", anomaly.count - 1);
    fmt::print("\n    operations {}\n", fmt::join(anomaly.operations, " "));
  }
  fmt::print(
      "{} entries: {} sends acknowledged, {} failed, {} unknown (of these {} were read, {} never); {} records polled; "
      "{} unseen\n",
      result.entries, result.sends_ok, result.sends_failed, result.sends_unknown, result.unknown_read,
      result.unknown_unread, result.records_polled, result.unseen);
  fmt::print("{}\n", result.valid() ? "valid" : "not valid");
}

}  // namespace

int check(const std::string& history, Format format) {
  std::expected<checker::HistoryResult, std::string> result;
  if (history == "-") {
    result = checker::check_history(std::cin);
  } else {
    const std::filesystem::path path(history);
    const std::string file = std::filesystem::is_directory(path) ? (path / "history.jsonl").string() : history;
    std::ifstream in(file, std::ios::binary);
    if (!in) return usage(file + ": can't be read");
    result = checker::check_history(in);
  }
  if (!result) return usage(fmt::format("{}: {}", history, result.error()));
  if (format == Format::text) {
    print_text(*result);
  } else {
    fmt::print("{}\n", result->to_json());
  }
  if (result->entries == 0) {
    fmt::print(stderr, "verdict: {}: no entries, so nothing was judged\n", history);
    return kInconclusive;
  }
  return result->valid() ? kOk : kViolation;
}

}  // namespace verdict::cli
