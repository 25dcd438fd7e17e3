#pragma once

#include <cstdint>

#include "scenarios/scenario.h"
#include "search/profile.h"

namespace rc {
template <typename T>
class Gen;
}

// Scenarios drawn at random: the same struct that JSON parses to, explicit and resolved, so that a drawn one can be
// written to a file, run, edited and shrunk like any other. Nothing of it runs inside the simulation.
namespace verdict::search {

// A generator for RapidCheck (include rapidcheck/Gen.h): scenarios that validate() accepts, whatever the size that is
// asked for.
rc::Gen<scenarios::Scenario> scenario_of(const Profile& profile);

// The scenario of a seed: a function of both and of nothing else. Its own seed range is that seed.
scenarios::Scenario generate(const Profile& profile, std::uint64_t seed);

}  // namespace verdict::search
