#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reports/campaign.h"
#include "scenarios/catalogue.h"
#include "scenarios/result.h"

// `verdict mutants`: planted defects, the runs until each was found, and what that is worth. Nothing here runs
// anything.
namespace verdict::reports {

// What one trial cost, in runs or milliseconds, until it killed; or until it was given up.
struct Cost {
  std::int64_t spent = 0;
  bool killed = false;
};

// A quantile of the cost of a kill. Trials that were given up count for as long as they lasted (Kaplan and Meier): with
// too few kills all that is known is that it is above the longest trial.
struct Estimate {
  std::int64_t value = 0;
  bool above = false;  // "> value"
  friend bool operator==(const Estimate&, const Estimate&) = default;
};
std::optional<Estimate> cost_to_kill(std::span<const Cost> trials, double quantile);  // nothing: no trial
std::string text_of(const std::optional<Estimate>& estimate);                         // "12", "> 500", "-"

// The generator may be tuned on one half of the defects; the numbers of the other are the honest ones. mix64 folded
// over the characters of the id decides: a last bit of 0 is tuned. So is any that a pattern was made for all the same.
enum class Half : std::uint8_t { tuned, held_out };
Half half_of(std::string_view id);
std::string_view name_of(Half half);

struct Minimal {  // of a shrunk scenario
  std::int64_t faults = 0;
  std::int64_t operations = 0;
};

enum class DefectState : std::uint8_t {
  killed,
  survived,   // its diverging side was reached, runs differ from the healthy core's, and no accepted invariant broke
  no_effect,  // its mark was reached, and each run has the healthy core's hash
  unreached   // no run came to its diverging side
};
std::string_view name_of(DefectState state);

struct MatrixTrial {
  std::uint64_t runs = 0;
  std::int64_t wall_ms = 0;
  bool killed = false;
};

struct MatrixRow {
  scenarios::DefectEntry defect;
  std::vector<MatrixTrial> trials;
  std::uint64_t runs = 0, reached = 0, crashes = 0, overruns = 0;
  std::uint64_t not_accepted = 0;  // violations of what does not convict this defect, or of which it is not guilty
  std::int64_t wall_ms = 0;        // of its runs, one after the other
  std::int64_t core_ms = 0;        // processor time of the same
  std::map<std::string, std::uint64_t> kills;           // by invariant
  std::map<std::string, std::uint64_t> other_failures;  // by invariant
  std::uint64_t black_box = 0;                          // kills of which clients saw an anomaly as well, in time
  std::uint64_t compared = 0;                           // runs whose seed the healthy core has met
  std::uint64_t differs = 0;                            // of these, runs with another hash than its
  std::vector<std::uint64_t> kill_seeds;                // of each trial that killed
  std::optional<Minimal> minimal;

  // One more run of the trial under way (begin_trial() before it). `healthy`: the healthy core's run of the same
  // scenario and seed, where it is known: what fails without the defect in the same way is no kill. True: a kill, which
  // ends the trial.
  bool take(const scenarios::RunResult& result, std::int64_t core_ms, const scenarios::RunResult* healthy);
  void begin_trial() { trials.emplace_back(); }

  std::uint64_t killed() const { return kill_seeds.size(); }
  DefectState state() const;
  std::string invariant() const;  // that killed most often; empty: none
  std::optional<Estimate> runs_to_kill(double quantile) const;
  std::optional<Estimate> wall_ms_to_kill(double quantile) const;
};

// May `result` convict this defect at all? Its mark was reached, and it broke an accepted invariant.
bool is_candidate(const scenarios::DefectEntry& defect, const scenarios::RunResult& result);

struct KillMatrix {
  std::string profile;
  std::string build;
  std::vector<MatrixRow> rows;
  Tally healthy;                              // of the same scenarios and seeds
  std::vector<std::string> healthy_failures;  // a line each

  std::uint64_t killed(std::optional<Half> half = {}) const;  // defects
  std::uint64_t count(std::optional<Half> half = {}) const;
  std::optional<Minimal> median_minimal() const;
  int code() const;  // 1: a defect survived or the healthy core failed; 2: nothing worse than an unreached one
};

// For a terminal: a table, of each defect a command that shows a kill, and the sums.
std::string matrix_plain(const KillMatrix& matrix);
std::string matrix_markdown(const KillMatrix& matrix);
std::string matrix_html(const KillMatrix& matrix);  // one file, no network
std::string matrix_json(const KillMatrix& matrix);  // one object, one line

}  // namespace verdict::reports
