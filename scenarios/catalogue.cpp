#include "scenarios/catalogue.h"

#include <algorithm>

namespace verdict::scenarios {

extern const std::size_t kLibrarySize;  // embed.py
extern const LibraryEntry kLibrary[];

std::span<const LibraryEntry> library() { return {kLibrary, kLibrarySize}; }

const LibraryEntry* find_library(std::string_view name) {
  const auto entries = library();
  const auto found = std::ranges::find(entries, name, &LibraryEntry::name);
  return found == entries.end() ? nullptr : &*found;
}

std::expected<Scenario, ScenarioError> library_scenario(std::string_view name) {
  const LibraryEntry* entry = find_library(name);
  if (entry == nullptr)
    return std::unexpected(
        ScenarioError{"scenario", std::string(name), "a name that `verdict list scenarios` prints, or a file"});
  return parse_scenario(entry->json);
}

// Accepted invariants as DEFECTS.md lists them; C2 stands for C1 and C3 as well, since it is the same loss seen
// earlier.
std::vector<DefectEntry> defects() {
  return {
      {Defect::UncleanElection,
       "unclean-election",
       "the controller elects a leader from outside the ISR although unclean election is off",
       "follower out of the ISR, crash of the leader",
       {"C1", "C2", "C8"}},
      {Defect::MajorityHw,
       "majority-hw",
       "the high watermark needs a majority of the replicas instead of the whole ISR",
       "a slow follower in the ISR, crash of the leader",
       {"C2", "C4"}},
      {Defect::NoTruncation,
       "no-truncation",
       "a follower keeps what diverges from its leader instead of truncating it",
       "an uncommitted tail, two elections",
       {"C2", "C3"}},
      {Defect::LocalShrink,
       "local-shrink",
       "the leader shrinks its ISR without the controller's word",
       "a slow follower, crash of the leader",
       {"C4", "C9", "C2"}},
      {Defect::Kip101,
       "kip-101",
       "a restarted follower truncates to its own high watermark instead of asking by leader epoch",
       "one commit, follower restart, election",
       {"C1", "C2", "C3", "C5"}},
      {Defect::Kip279,
       "kip-279",
       "a leader that lacks the follower's epoch tells where it ends, but not which epoch it found",
       "two fast elections, uncommitted tails",
       {"C1", "C2", "C3"}},
      {Defect::Kip320Hw,
       "kip-320-hw",
       "a leader counts fetches of another epoch toward its high watermark",
       "metadata delayed, two or three elections",
       {"C1", "C2", "C3", "C4"}},
      {Defect::Kip320Fetch,
       "kip-320-fetch",
       "a leader serves a follower that fetches in another epoch",
       "metadata delayed, three records, three elections",
       {"C1", "C2", "C3"}},
      {Defect::Kip320Truncate,
       "kip-320-truncate",
       "a follower truncates by the word of a leader that is in another epoch",
       "metadata delayed, two elections",
       {"C1", "C2", "C3", "C5"}},
      {Defect::Kip320Expand,
       "kip-320-expand",
       "a fetch of another epoch brings its follower into the ISR",
       "metadata delayed, two or three elections",
       {"C1", "C2", "C3"}},
      {Defect::Kafka7128,
       "kafka-7128",
       "a new leader whose high watermark lags admits a follower below its epoch's start",
       "ISR shrinks, election, ISR expands, election",
       {"C1", "C2", "C3"}},
      {Defect::MinIsrOff,
       "min-isr-off",
       "acks=all and the high watermark ignore min.insync.replicas",
       "ISR below the minimum, a write",
       {"C4", "M1"}},
      {Defect::AckByOffset,
       "ack-by-offset",
       "a leader that lost its epoch answers a waiting write by offset alone",
       "leader cut off, election, a write at the same offset",
       {"C7"}},
  };
}

std::optional<DefectEntry> find_defect_entry(std::string_view id) {
  std::vector<DefectEntry> all = defects();
  for (DefectEntry& entry : all) {
    if (entry.id == id) return std::move(entry);
  }
  return std::nullopt;
}

std::vector<std::string_view> mutant_scenarios() {
  std::vector<std::string_view> names;
  for (const LibraryEntry& entry : library()) {
    const auto scenario = parse_scenario(entry.json);
    if (scenario && std::ranges::find(scenario->tags, "mutants") != scenario->tags.end()) names.push_back(entry.name);
  }
  return names;
}

}  // namespace verdict::scenarios
