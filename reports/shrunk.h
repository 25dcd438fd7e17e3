#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace verdict::reports {

// What shrunk.json of a bundle holds: which scenario its own was shrunk from, and how far it came.
struct ShrunkSize {
  std::string name;  // "faults"
  std::int64_t before = 0;
  std::int64_t after = 0;
};
struct ShrunkOther {  // a failure of another kind that was met on the way
  std::string signature;
  std::string file;  // in the bundle: the scenario that came to it
};
struct ShrunkFrom {
  std::string bundle;
  std::string build;          // that ran the original
  std::string original_json;  // its scenario
  std::vector<ShrunkSize> sizes;
  std::uint64_t runs = 0;
  std::uint64_t steps = 0;
  bool finished = false;  // nothing smaller was left to try
  std::vector<ShrunkOther> others;
};

std::string to_json(const ShrunkFrom& shrunk);
std::expected<ShrunkFrom, std::string> parse_shrunk(std::string_view json);

// What became of a scenario, one line a change, by the format's names: "faults: cut-2 (isolate) left out",
// "phases.run_ms: 4000 -> 800". Elements of lists are known by their id, name or client number.
std::vector<std::string> scenario_difference(std::string_view original_json, std::string_view shrunk_json);

// "faults 14 -> 2", those that did not change left out.
std::string sizes_line(const ShrunkFrom& shrunk);

// The report's section, as HTML.
std::string shrunk_section(const ShrunkFrom& shrunk, std::string_view shrunk_json);

}  // namespace verdict::reports
