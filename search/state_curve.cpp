#include "search/state_curve.h"

#include <algorithm>

namespace verdict::search {

StateSample sample_of(std::span<const std::uint64_t> states) {
  StateSample sample;
  for (const std::uint64_t state : states) {
    if (state % kStatesSampled == 0) sample.insert(static_cast<std::uint32_t>(state / kStatesSampled));
  }
  return sample;
}

void StateCurve::add(std::uint64_t seed, const StateSample& sample) {
  ++runs_;
  first_ = std::min(first_, seed);
  last_ = std::max(last_, seed);
  for (const std::uint32_t state : sample) {
    Seen& seen = seen_.try_emplace(state, Seen{.first = seed}).first->second;
    seen.first = std::min(seen.first, seed);
    ++seen.runs;
  }
}

std::vector<StateCurve::Point> StateCurve::points() const {
  std::vector<Point> points;
  if (runs_ == 0) return points;
  std::vector<std::uint64_t> firsts;
  for (const auto& [state, seen] : seen_) firsts.push_back(seen.first);
  std::ranges::sort(firsts);
  const auto put = [&](std::uint64_t seed) {
    const auto known = std::ranges::upper_bound(firsts, seed) - firsts.begin();
    points.push_back({.seed = seed, .states = static_cast<std::uint64_t>(known) * kStatesSampled});
  };
  for (std::uint64_t ten = 1; ten <= last_ - first_; ten *= 10) {
    for (const std::uint64_t seeds : {ten, 2 * ten, 5 * ten}) {
      if (seeds <= last_ - first_) put(first_ + seeds - 1);
    }
    if (ten > last_ / 10) break;
  }
  put(last_);
  return points;
}

std::uint64_t StateCurve::new_a_thousand_runs() const {
  if (runs_ == 0) return 0;
  const auto once = std::ranges::count_if(seen_, [](const auto& entry) { return entry.second.runs == 1; });
  return static_cast<std::uint64_t>(once) * kStatesSampled * 1'000 / runs_;
}

}  // namespace verdict::search
