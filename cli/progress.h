#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "scenarios/result.h"

namespace verdict::cli {

bool colour(int fd);  // a terminal, and NO_COLOR is not set

// How far many runs have come, on standard error: a live line on a terminal, else a line every 10 s.
class Progress {
 public:
  explicit Progress(std::uint64_t total);  // 0: unknown
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(const scenarios::RunResult& result);
  // A run of `simulated_ms`, the kind of its failure (empty: none) and the marks that it reached.
  void add(std::int64_t simulated_ms, const std::string& failure, const std::set<std::string>& marks);
  void ends_after(std::chrono::milliseconds time) { limit_ = time; }  // since the beginning; what is left is said
  void show();                                                        // if it is time
  void clear();                                                       // before anything else is printed
  double elapsed_s() const;
  std::uint64_t runs() const { return runs_; }

 private:
  std::string text() const;

  std::uint64_t total_;
  std::uint64_t runs_ = 0;
  std::int64_t simulated_ms_ = 0;
  std::set<std::string> failures_;
  std::set<std::string> marks_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::milliseconds limit_{0};
  std::chrono::steady_clock::time_point began_, last_;
};

}  // namespace verdict::cli
