#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scenarios/result.h"
#include "scenarios/scenario.h"
#include "search/profile.h"
#include "search/state_curve.h"

// A campaign is a file of lines: what it is (its head), then a line a run, in any order. What it adds up to depends on
// the set of runs alone, so shards merge in any order and as often as one likes.
namespace verdict::search {

struct CampaignHead {
  std::string profile;
  std::vector<std::string> settings;  // path=value, in the order given
  std::string build;
  std::set<std::string> seeds;  // "1..1000"; "1.." has no end
  std::string shard;            // "1/4"; empty: the whole
  friend bool operator==(const CampaignHead&, const CampaignHead&) = default;
};

struct CampaignRun {
  std::uint64_t seed = 0;
  scenarios::RunOutcome outcome = scenarios::RunOutcome::pass;
  std::string signature;  // of a run that failed: what makes it the same failure as another
  std::uint64_t hash = 0;
  std::int64_t simulated_ms = 0;
  std::int64_t wall_ms = 0;
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t elections = 0;
  std::uint64_t acknowledged = 0;
  std::set<std::string> actions;     // that fired
  std::set<std::string> operations;  // that fired
  std::set<std::string> apis;        // whose frames faults changed the fate of
  std::set<std::string> triggers;    // events that set faults off
  std::set<std::string> settings;    // drawn
  std::set<std::string> faults;      // counters of changed outcomes above 0
  std::set<std::string> marks;
  std::uint64_t states = 0;  // abstract ones of partitions
  StateSample sampled;       // of these
  std::string result;        // of a run that did not pass: RunResult::to_json()
};

std::string to_line(const CampaignHead& head);  // without a line break
std::string to_line(const CampaignRun& run);
// The error is a sentence.
std::expected<CampaignHead, std::string> parse_head(std::string_view line);
std::expected<CampaignRun, std::string> parse_run(std::string_view line);

CampaignRun condensed(const scenarios::Scenario& scenario, const scenarios::RunResult& result);

// What shards and parts of one campaign are together. The error says in what they differ.
std::expected<CampaignHead, std::string> merged(const CampaignHead& a, const CampaignHead& b);

// Runs that failed in the same way.
struct FailureGroup {
  std::string signature;
  std::uint64_t runs = 0;
  std::uint64_t first_seed = 0;
  std::string sentence;  // of the first
};

class CampaignSummary {
 public:
  // Each seed at most once.
  void add(const CampaignRun& run);

  std::uint64_t runs() const { return runs_; }
  std::uint64_t passed() const { return passed_; }
  std::uint64_t failed() const { return failed_; }
  std::uint64_t inconclusive() const { return inconclusive_; }
  std::vector<FailureGroup> groups() const;  // by their first seeds
  const std::set<std::string>& marks() const { return mark_names_; }
  const StateCurve& states() const { return states_; }
  // Planted defects whose diverging side no run reached: the campaign says nothing of them.
  std::vector<std::string> unreached(const CampaignHead& head) const;
  // Seeds that the head names and no run was added of; 0 where they have no end.
  std::uint64_t not_run(const CampaignHead& head) const;
  // Kinds that the profile must meet and no run has met; empty below kRunsForKinds runs.
  std::vector<std::string> missing(const Profile& profile) const;

  // For people; `replay` says how a group's first run is run again. Nothing that depends on the machine is in it.
  template <class Replay>
  std::string text(const CampaignHead& head, Replay replay) const {
    std::vector<std::string> commands;
    for (const FailureGroup& group : groups()) commands.push_back(replay(group));
    return text_with(head, commands);
  }
  std::string json(const CampaignHead& head) const;  // one object, one line

 private:
  std::string text_with(const CampaignHead& head, const std::vector<std::string>& commands) const;

  std::uint64_t runs_ = 0, passed_ = 0, failed_ = 0, inconclusive_ = 0;
  std::uint64_t simulated_ms_ = 0, messages_ = 0, events_ = 0, elections_ = 0, acknowledged_ = 0;
  std::map<std::string, FailureGroup> groups_;
  // Runs in which a kind occurred, by "action kill" and the like.
  std::map<std::string, std::uint64_t> kinds_;
  std::set<std::string> mark_names_;
  StateCurve states_;
};

}  // namespace verdict::search
