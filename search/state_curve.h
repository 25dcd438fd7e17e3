#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

// How many abstract states (checker/abstract_state.h) a campaign's runs were in, and how many new ones came with more
// runs. A run's states would fill its line, so of all states one in kStatesSampled is kept, always the same ones: what
// runs have in common is seen, and the sums depend on the set of runs alone.
namespace verdict::search {

constexpr std::uint64_t kStatesSampled = 16;
using StateSample = std::set<std::uint32_t>;

StateSample sample_of(std::span<const std::uint64_t> states);

class StateCurve {
 public:
  // Each seed at most once.
  void add(std::uint64_t seed, const StateSample& sample);

  struct Point {
    std::uint64_t seed = 0;
    std::uint64_t states = 0;  // that runs up to this seed were in, estimated
  };
  // At 1, 2, 5, 10, 20, ... seeds from the first on, and at the last. Empty: no run.
  std::vector<Point> points() const;
  // New states that one more run may be expected to bring: those that were seen in a single run, over all runs (Good
  // and Turing), in thousandths.
  std::uint64_t new_a_thousand_runs() const;

 private:
  struct Seen {
    std::uint64_t first = 0;  // the lowest seed
    std::uint64_t runs = 0;
  };
  std::map<std::uint32_t, Seen> seen_;
  std::uint64_t runs_ = 0;
  std::uint64_t first_ = ~std::uint64_t{0};
  std::uint64_t last_ = 0;
};

}  // namespace verdict::search
