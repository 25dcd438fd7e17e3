#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "reports/run_record.h"
#include "scenarios/scenario.h"

// Many runs: which ones, and what they add up to.
namespace verdict::reports {

// "7" or "1..2000", both ends included. The error says what is allowed.
std::expected<scenarios::SeedRange, std::string> parse_seeds(std::string_view text);

// Is this run in the share (0 to 1) of runs that are executed twice? Depends on nothing but its arguments.
bool in_share(double share, std::string_view scenario, std::uint64_t seed);

// "1500" and "1500ms" are milliseconds; also s and m, with a decimal point. Never negative.
std::expected<std::int64_t, std::string> parse_duration_ms(std::string_view text);

struct Tally {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t inconclusive = 0;
  int code = 0;  // the gravest

  void add(scenarios::RunOutcome outcome);
  std::string last_line() const;  // "N passed, N failed" and ", N inconclusive" where there are any
};

}  // namespace verdict::reports
