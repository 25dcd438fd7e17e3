#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace verdict::checker {

// Sorts what is a few ascending sequences, interleaved (one of each reader, of each producer): taking them apart and
// merging them beats comparing all with all. Of what is more than that, as std::sort.
template <class T, class Before>
void sort_runs(std::vector<T>& items, Before before) {
  constexpr std::size_t kRunsAtMost = 16;
  if (std::ranges::is_sorted(items, before)) return;
  std::vector<std::vector<T>> runs;
  for (const T& item : items) {
    std::vector<T>* best = nullptr;  // of those that it can follow, the one that ends highest
    for (std::vector<T>& run : runs) {
      if (!before(item, run.back()) && (best == nullptr || before(best->back(), run.back()))) best = &run;
    }
    if (best == nullptr) {
      if (runs.size() == kRunsAtMost) {
        std::ranges::sort(items, before);
        return;
      }
      best = &runs.emplace_back();
    }
    best->push_back(item);
  }
  while (runs.size() > 1) {
    std::vector<std::vector<T>> merged((runs.size() + 1) / 2);
    for (std::size_t i = 0; i < merged.size(); ++i) {
      if (2 * i + 1 == runs.size()) {
        merged[i] = std::move(runs[2 * i]);
        continue;
      }
      merged[i].resize(runs[2 * i].size() + runs[2 * i + 1].size());
      std::ranges::merge(runs[2 * i], runs[2 * i + 1], merged[i].begin(), before);
      runs[2 * i] = runs[2 * i + 1] = {};
    }
    runs = std::move(merged);
  }
  items = std::move(runs.front());
}

}  // namespace verdict::checker
