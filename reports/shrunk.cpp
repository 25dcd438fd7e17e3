#include "reports/shrunk.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;

std::string shown(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// What an element of a list is known by; empty: by its place.
std::string key_of(const Json& element) {
  if (!element.is_object()) return {};
  for (const char* name : {"id", "name"}) {
    if (const auto found = element.find(name); found != element.end() && found->is_string())
      return found->get<std::string>();
  }
  if (const auto client = element.find("client"); client != element.end()) return "client-" + shown(*client);
  return {};
}

std::string described(const std::string& key, const Json& element) {
  if (const auto action = element.find("action"); action != element.end() && action->is_string())
    return fmt::format("{} ({})", key, action->get<std::string>());
  return key;
}

class Difference {
 public:
  void compare(const Json& before, const Json& after, const std::string& path) {
    if (before == after) return;
    if (before.is_object() && after.is_object()) return compare_objects(before, after, path);
    if (before.is_array() && after.is_array() && (of_objects(before) || of_objects(after)))
      return compare_lists(before, after, path);
    lines.push_back(fmt::format("{}: {} -> {}", path, shown(before), shown(after)));
  }

  std::vector<std::string> lines;

 private:
  static bool of_objects(const Json& list) { return list.is_array() && !list.empty() && list.front().is_object(); }

  void compare_objects(const Json& before, const Json& after, const std::string& path) {
    for (const auto& [name, value] : before.items()) {
      const std::string at = path.empty() ? name : path + "." + name;
      const auto other = after.find(name);
      if (other != after.end()) {
        compare(value, *other, at);
      } else if (of_objects(value)) {
        compare_lists(value, Json::array(), at);
      } else if (value.is_object()) {
        compare_objects(value, Json::object(), at);
      } else {
        lines.push_back(fmt::format("{}: {} -> default", at, shown(value)));
      }
    }
    for (const auto& [name, value] : after.items()) {
      if (!before.contains(name))
        lines.push_back(fmt::format("{}{}{}: default -> {}", path, path.empty() ? "" : ".", name, shown(value)));
    }
  }

  // The place among the clients is the number of one that says none.
  static std::string key_at(const Json& list, std::size_t i, std::size_t offset) {
    std::string key = key_of(list[i]);
    return key.empty() ? fmt::format("client-{}", i + 1 + offset) : key;
  }

  void compare_lists(const Json& before, const Json& after, const std::string& path) {
    const std::size_t offset = path.ends_with("consumers") ? producers : 0;
    std::map<std::string, const Json*> left;
    for (std::size_t i = 0; i < after.size(); ++i) left[key_at(after, i, offset)] = &after[i];
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::string key = key_at(before, i, offset);
      const auto found = left.find(key);
      if (found == left.end()) {
        lines.push_back(fmt::format("{}: {} left out", path, described(key, before[i])));
        continue;
      }
      Json was = before[i], now = *found->second;
      was.erase("client");
      now.erase("client");
      compare(was, now, fmt::format("{}[{}]", path, key));
    }
  }

 public:
  std::size_t producers = 0;  // of the original
};

Json parse_object(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json::object();
}

}  // namespace

std::string to_json(const ShrunkFrom& shrunk) {
  Json json;
  json["bundle"] = shrunk.bundle;
  json["build"] = shrunk.build;
  json["runs"] = shrunk.runs;
  json["steps"] = shrunk.steps;
  json["finished"] = shrunk.finished;
  json["sizes"] = Json::array();
  for (const ShrunkSize& size : shrunk.sizes)
    json["sizes"].push_back({{"name", size.name}, {"before", size.before}, {"after", size.after}});
  json["otherwise"] = Json::array();
  for (const ShrunkOther& other : shrunk.others)
    json["otherwise"].push_back({{"signature", other.signature}, {"scenario", other.file}});
  json["original"] = parse_object(shrunk.original_json);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::expected<ShrunkFrom, std::string> parse_shrunk(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::unexpected("is no JSON object");
  try {
    ShrunkFrom shrunk;
    shrunk.bundle = json.at("bundle");
    shrunk.build = json.at("build");
    shrunk.runs = json.at("runs");
    shrunk.steps = json.at("steps");
    shrunk.finished = json.at("finished");
    for (const Json& size : json.at("sizes"))
      shrunk.sizes.push_back({size.at("name"), size.at("before"), size.at("after")});
    for (const Json& other : json.at("otherwise"))
      shrunk.others.push_back({other.at("signature"), other.at("scenario")});
    shrunk.original_json = json.at("original").dump(2);
    return shrunk;
  } catch (const Json::exception&) {
    return std::unexpected("is no record of a shrunk scenario");
  }
}

std::vector<std::string> scenario_difference(std::string_view original_json, std::string_view shrunk_json) {
  Json before = parse_object(original_json), after = parse_object(shrunk_json);
  for (const char* name : {"name", "title", "description", "tags", "seeds"}) {
    before.erase(name);
    after.erase(name);
  }
  Difference difference;
  if (before.contains("workload") && before["workload"].contains("producers"))
    difference.producers = before["workload"]["producers"].size();
  difference.compare(before, after, "");
  return std::move(difference.lines);
}

std::string sizes_line(const ShrunkFrom& shrunk) {
  std::string out;
  for (const ShrunkSize& size : shrunk.sizes) {
    if (size.before != size.after)
      out += fmt::format("{}{} {} -> {}", out.empty() ? "" : ", ", size.name, size.before, size.after);
  }
  return out;
}

std::string shrunk_section(const ShrunkFrom& shrunk, std::string_view shrunk_json) {
  const std::string sizes = sizes_line(shrunk);
  std::string out = fmt::format(
      "<section id=\"shrunk\"><h2>Shrunk</h2><p>From <code>{}</code> in {} runs and {} steps{}: {}.</p>",
      escape_markup(shrunk.bundle), shrunk.runs, shrunk.steps,
      shrunk.finished ? ", until nothing smaller failed in the same way" : "; it was stopped before its end",
      sizes.empty() ? "nothing could go" : escape_markup(sizes));
  const std::vector<std::string> lines = scenario_difference(shrunk.original_json, shrunk_json);
  if (!lines.empty()) {
    out += "<details open><summary>Difference from the original</summary><ul>";
    for (const std::string& line : lines) out += "<li>" + escape_markup(line) + "</li>";
    out += "</ul></details>";
  }
  if (!shrunk.others.empty()) {
    out += "<p>Met on the way:</p><ul>";
    for (const ShrunkOther& other : shrunk.others)
      out += fmt::format("<li>{} (<code>{}</code>)</li>", escape_markup(other.signature), escape_markup(other.file));
    out += "</ul>";
  }
  return out + "<details><summary>the scenario before</summary><pre>" + escape_markup(shrunk.original_json) +
         "</pre></details></section>";
}

}  // namespace verdict::reports
