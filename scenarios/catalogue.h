#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/names.h"
#include "scenarios/scenario.h"

// What the program knows by name: the scenarios of the library (embedded at build) and the defects that can be planted.
namespace verdict::scenarios {

struct LibraryEntry {
  std::string_view name;
  std::string_view json;
};
std::span<const LibraryEntry> library();  // by name
const LibraryEntry* find_library(std::string_view name);
// A library name, or the path of a file that the caller has read: `text` is parsed, else the library's.
std::expected<Scenario, ScenarioError> library_scenario(std::string_view name);

struct DefectEntry {
  Defect defect;
  std::string_view id;                     // "kip-101"
  std::string_view title;                  // one line: what the planted bug does
  std::string_view faults;                 // minimal faults that show it
  std::vector<std::string_view> accepted;  // invariants that count as a kill
};
std::vector<DefectEntry> defects();
std::optional<DefectEntry> find_defect_entry(std::string_view id);

}  // namespace verdict::scenarios
