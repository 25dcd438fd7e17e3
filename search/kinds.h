#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/result.h"
#include "scenarios/scenario.h"
#include "search/profile.h"

// What a scenario is made of, by name, and what a campaign must have met: a kind that never occurs is a hole in the
// search that nobody would notice otherwise.
namespace verdict::search {

struct Kinds {
  std::set<std::string> actions;     // of its faults
  std::set<std::string> operations;  // the administrator's
  std::set<std::string> apis;        // requests whose frames rules are about: "EndTxn"
  std::set<std::string> triggers;    // events that set faults off: "became_leader", "transaction_moved Ongoing"
  std::set<std::string> settings;    // paths that differ from the default, without indices: "cluster.combined"
};

Kinds kinds_of(const scenarios::Scenario& scenario);

// Of `scenario`'s faults those that `result` says have fired: all but settings.
Kinds fired_kinds(const scenarios::Scenario& scenario, const scenarios::RunResult& result);

// What a campaign of the profile meets within a thousand runs: "action kill", "operation create_topic",
// "api EndTxn", "trigger transaction_moved Ongoing", "setting network.latency_us", "fault power-loss-bytes" (a counter
// of changed outcomes), "mark truncated-by-epoch".
std::vector<std::string> required_kinds(const Profile& profile);
constexpr std::uint64_t kRunsForKinds = 1000;

}  // namespace verdict::search
