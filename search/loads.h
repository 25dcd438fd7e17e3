#pragma once

#include <cstdint>
#include <vector>

#include "scenarios/result.h"
#include "search/edits.h"

// Candidates of the shrinker's stages that are more than leaving something out; the smallest come first. `result` is of
// the scenario's run: when it failed, and in which partition, tells where a smaller load must still be.
namespace verdict::search {

std::vector<Edited> smaller_loads(const scenarios::Scenario& scenario, const scenarios::RunResult& result);
std::vector<Edited> fewer_partitions(const scenarios::Scenario& scenario, std::size_t topic,
                                     const scenarios::RunResult& result);
std::vector<Edited> shorter_times(const scenarios::Scenario& scenario, const scenarios::RunResult& result);
std::vector<std::int64_t> smaller_numbers(std::int64_t value);  // of the same sign

}  // namespace verdict::search
