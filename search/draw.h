#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "scenarios/scenario.h"
#include "search/profile.h"

// Draws by RapidCheck's generators, in the context of rc::gen::exec. Each is a statement of its own, at the nominal
// size (inRange scales with size: scenario_of() sees to that).
namespace verdict::search {

std::int64_t within(Range range);
std::int64_t within(std::int64_t min, std::int64_t max);  // both included
bool share(std::int32_t percent);
std::int64_t one_of(std::initializer_list<std::int64_t> values);
std::string_view one_of(std::span<const std::string_view> values);
std::string_view weighted(std::span<const Weight> weights);  // "" if all weights are 0

}  // namespace verdict::search
