#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "cli/workers.h"
#include "search/shrink.h"

namespace verdict::cli {

// The shrinker's oracle over worker processes. Its answers do not depend on their number: candidates behind the first
// accepted one are dropped, however early they came.
class PoolOracle {
 public:
  // stop: asked now and then; once it is true, what is not done is not waited for.
  PoolOracle(int jobs, std::function<bool()> stop);
  std::vector<scenarios::RunResult> operator()(const std::vector<search::Candidate>& candidates,
                                               const search::Accept& accept);
  std::uint64_t started() const { return next_id_; }  // runs, dropped ones included

 private:
  std::function<bool()> stop_;
  std::uint64_t next_id_ = 0;
  WorkerPool pool_;
};

}  // namespace verdict::cli
