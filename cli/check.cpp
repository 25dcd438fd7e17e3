// verdict check: the black box over a clients' history, from the file alone.
#include "cli/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/commands.h"
#include "cli/jobs.h"

namespace verdict::cli {

void print_history_text(const checker::HistoryResult& result) {
  for (const checker::Anomaly& anomaly : result.anomalies) {
    fmt::print("{}{}: {}", anomaly.name, anomaly.allowed ? " (allowed)" : "", anomaly.sentence);
    if (anomaly.count > 1) fmt::print("; {} more", anomaly.count - 1);
    fmt::print("\n    operations {}\n", fmt::join(anomaly.operations, " "));
  }
  fmt::print(
      "{} entries, {} operations: {} sends acknowledged, {} failed, {} unknown (of these {} were read, {} never); {} "
      "records polled; {} unseen; worst real-time lag {} ms{}\n",
      result.entries, result.operations, result.sends_ok, result.sends_failed, result.sends_unknown,
      result.unknown_read, result.unknown_unread, result.records_polled, result.unseen, result.worst_lag_ns / 1'000'000,
      result.worst_lag_of.empty() ? "" : " (" + result.worst_lag_of + ")");
  fmt::print("{}\n", result.valid() ? "valid" : "not valid");
}

std::expected<checker::HistoryResult, std::string> check_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::unexpected("can't be read");
  return checker::check_history(in);
}

int check(const std::string& history, Format format) {
  std::string file = history;
  if (history != "-" && std::filesystem::is_directory(history))
    file = (std::filesystem::path(history) / "history.jsonl").string();
  const auto result = history == "-" ? checker::check_history(std::cin) : check_file(file);
  if (!result) return usage(fmt::format("{}: {}", file, result.error()));
  if (format == Format::text) {
    print_history_text(*result);
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
