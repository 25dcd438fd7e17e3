// verdict list: everything that has a name.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "checker/invariants.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "runtime/names.h"
#include "scenarios/catalogue.h"
#include "search/profile.h"
#include "sim/faults.h"

namespace verdict::cli {
namespace {

using Json = nlohmann::ordered_json;

Json scenarios_json() {
  Json list = Json::array();
  for (const scenarios::LibraryEntry& entry : scenarios::library()) {
    const auto scenario = scenarios::library_scenario(entry.name);
    if (!scenario) continue;  // a test parses them all
    list.push_back({{"name", entry.name},
                    {"title", scenario->title},
                    {"description", scenario->description},
                    {"tags", scenario->tags}});
  }
  return list;
}

Json invariants_json() {
  Json list = Json::array();
  for (const checker::Invariant& i : checker::invariants()) {
    list.push_back({{"id", i.id},
                    {"name", i.name},
                    {"meaning", i.meaning},
                    {"kind", "white-box"},
                    {"total_order", i.total_order}});
  }
  for (const checker::Invariant& i : checker::anomalies()) {
    list.push_back({{"id", i.id},
                    {"name", i.name},
                    {"meaning", i.meaning},
                    {"kind", "black-box"},
                    {"total_order", i.total_order}});
  }
  return list;
}

Json faults_json() {
  Json list = Json::array();
  for (std::size_t i = 0; i < sim::kFaultKindCount; ++i) {
    const auto kind = static_cast<sim::FaultKind>(i);
    list.push_back({{"name", sim::name_of(kind)}, {"meaning", sim::meaning_of(kind)}});
  }
  return list;
}

Json defects_json() {
  Json list = Json::array();
  for (const scenarios::DefectEntry& d : scenarios::defects()) {
    list.push_back({{"id", d.id}, {"title", d.title}, {"faults", d.faults}, {"accepted", d.accepted}});
  }
  return list;
}

Json marks_json() {
  Json list = Json::array();
  for (std::size_t i = 0; i < kMarkCount; ++i) list.push_back({{"name", name_of(static_cast<Mark>(i))}});
  return list;
}

Json sites_json() {
  Json list = Json::array();
  for (std::size_t i = 0; i < kSiteCount; ++i) list.push_back({{"name", name_of(static_cast<Site>(i))}});
  return list;
}

Json profiles_json() {
  Json list = Json::array();
  for (const search::Profile& p : search::profiles()) list.push_back({{"name", p.name}, {"title", p.title}});
  return list;
}

struct Listing {
  const char* kind;
  Json (*make)();
};
constexpr std::array<Listing, 7> kListings = {
    Listing{"scenarios", scenarios_json}, Listing{"invariants", invariants_json}, Listing{"faults", faults_json},
    Listing{"defects", defects_json},     Listing{"marks", marks_json},           Listing{"sites", sites_json},
    Listing{"profiles", profiles_json}};

std::string first_text(const Json& entry, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (entry.contains(name) && !entry[name].get<std::string>().empty()) return entry[name];
  }
  return {};
}

void print_text(const Listing& listing, bool heading) {
  if (heading) fmt::print("{}\n", listing.kind);
  const Json list = listing.make();
  std::size_t width = 0;
  for (const Json& entry : list) width = std::max(width, first_text(entry, {"id", "name"}).size());
  for (const Json& entry : list) {
    const std::string id = first_text(entry, {"id", "name"});
    std::string text = first_text(entry, {"title", "meaning"});
    const std::string name =
        entry.contains("id") && entry.contains("name") ? entry["name"].get<std::string>() : std::string();
    if (!name.empty() && name != id) text = name + ": " + text;
    if (entry.contains("accepted"))
      text += fmt::format(" [{}]", fmt::join(entry["accepted"].get<std::vector<std::string>>(), " "));
    if (text.empty()) {
      fmt::print("{}{}\n", heading ? "  " : "", id);
    } else {
      fmt::print("{}{:<{}}  {}\n", heading ? "  " : "", id, width, text);
    }
  }
}

}  // namespace

int list(const std::string& kind, Format format) {
  const auto chosen = [&](const Listing& listing) { return kind.empty() || kind == listing.kind; };
  if (std::ranges::none_of(kListings, chosen)) {
    return usage(fmt::format("list {}: scenarios, invariants, faults, defects, marks, sites or profiles", kind));
  }
  Json object = Json::object();
  for (const Listing& listing : kListings) {
    if (!chosen(listing)) continue;
    if (format == Format::text) {
      print_text(listing, kind.empty());
    } else {
      object[listing.kind] = listing.make();
    }
  }
  if (format != Format::text) fmt::print("{}\n", object.dump(format == Format::json ? 2 : -1));
  return kOk;
}

}  // namespace verdict::cli
