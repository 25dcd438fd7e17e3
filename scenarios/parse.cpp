// Reading scenarios: strict, with the JSON path of what is wrong.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "scenarios/fields.h"
#include "scenarios/scenario.h"

namespace verdict::scenarios {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 16;
constexpr std::string_view kNoSuchField = "no such field";
constexpr std::size_t kMaxText = std::size_t{4} << 20;

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string choices_text(std::string_view choices) {
  std::string text = "one of ";
  for (const char c : choices) {
    if (c == '|') {
      text += ", ";
    } else {
      text += c;
    }
  }
  return text;
}

bool has_choice(std::string_view choices, std::string_view value, char separator) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(separator), choices.size());
    if (choices.substr(0, end) == value) return true;
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
  return false;
}

class Reader {
 public:
  std::optional<ScenarioError> error;

  template <class S>
  void read_struct(const Json& json, const std::string& path, S& into) {
    if (!json.is_object()) return fail(path, json, "an object");
    const S defaults{};
    std::set<std::string, std::less<>> known;
    fields(
        [&](std::string_view name, auto& member, const auto&, const Field& field) {
          known.emplace(name);
          if (error) return;
          const auto found = json.find(name);
          const std::string at = path + "." + std::string(name);
          if (found == json.end()) {
            if (field.required) fail_text(at, "(absent)", std::string(field.meaning) + " is required");
            return;
          }
          read(*found, at, member, field);
        },
        into, defaults);
    for (const auto& [name, value] : json.items()) {
      if (error) return;
      if (!known.contains(name)) {
        std::string names;
        for (const std::string& k : known) names += (names.empty() ? "" : ", ") + k;
        fail(path + "." + name, value, std::string(kNoSuchField) + "; known are " + names);
      }
    }
  }

  void fail(const std::string& path, const Json& value, std::string allowed) {
    fail_text(path, shown(value), std::move(allowed));
  }
  void fail_text(const std::string& path, std::string value, std::string allowed) {
    if (!error) error = ScenarioError{path, std::move(value), std::move(allowed)};
  }

 private:
  std::optional<std::int64_t> integer(const Json& json, const std::string& path, const Field& field,
                                      std::int64_t most) {
    const std::int64_t max = std::min(field.max, most);
    std::string allowed = field.max == kNoMax
                              ? "an integer, " + std::to_string(field.min) + " or more"
                              : "an integer between " + std::to_string(field.min) + " and " + std::to_string(max);
    const bool fits = json.is_number_integer() &&
                      !(json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(kNoMax));
    if (!fits || json.get<std::int64_t>() < field.min || json.get<std::int64_t>() > max) {
      fail(path, json, std::move(allowed));
      return std::nullopt;
    }
    return json.get<std::int64_t>();
  }

  void read(const Json& json, const std::string& path, std::int32_t& into, const Field& field) {
    if (const auto value = integer(json, path, field, std::numeric_limits<std::int32_t>::max()))
      into = static_cast<std::int32_t>(*value);
  }
  void read(const Json& json, const std::string& path, std::int64_t& into, const Field& field) {
    if (const auto value = integer(json, path, field, kNoMax)) into = *value;
  }
  void read(const Json& json, const std::string& path, bool& into, const Field&) {
    if (!json.is_boolean()) return fail(path, json, "true or false");
    into = json.get<bool>();
  }
  void read(const Json& json, const std::string& path, std::string& into, const Field& field) {
    if (!json.is_string()) return fail(path, json, field.choices.empty() ? "a string" : choices_text(field.choices));
    into = json.get<std::string>();
    if (!field.choices.empty() && !has_choice(field.choices, into, '|')) fail(path, json, choices_text(field.choices));
  }
  void read(const Json& json, const std::string& path, Properties& into, const Field&) {
    if (!json.is_object()) return fail(path, json, "an object of configuration keys");
    for (const auto& [key, value] : json.items()) {
      if (value.is_string()) {
        into[key] = value.get<std::string>();
      } else if (value.is_number_integer() || value.is_boolean()) {
        into[key] = value.dump();
      } else {
        return fail(path + "[" + key + "]", value, "a string, an integer, true or false");
      }
    }
  }
  void read(const Json& json, const std::string& path, SeedRange& into, const Field&) {
    constexpr const char* kAllowed = "a number or a range like \"1..20\", 0 or more, at most 2^63";
    const auto number = [](std::string_view text) -> std::optional<std::uint64_t> {
      if (text.empty() || text.size() > 18) return std::nullopt;
      std::uint64_t value = 0;
      for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
      }
      return value;
    };
    if (json.is_number_integer() && (json.is_number_unsigned() || json.get<std::int64_t>() >= 0)) {
      into.first = into.last = json.get<std::uint64_t>();
      return;
    }
    if (!json.is_string()) return fail(path, json, kAllowed);
    const auto& text = json.get_ref<const std::string&>();
    const std::size_t dots = text.find("..");
    const auto first = number(std::string_view(text).substr(0, dots));
    const auto last = dots == std::string::npos ? first : number(std::string_view(text).substr(dots + 2));
    if (!first || !last || *last < *first) return fail(path, json, kAllowed);
    into = {*first, *last};
  }
  // The match object: field name -> condition.
  void read(const Json& json, const std::string& path, std::vector<Condition>& into, const Field&) {
    if (!json.is_object()) return fail(path, json, "an object: field of the event -> condition");
    for (const auto& [name, value] : json.items()) {
      Condition condition;
      condition.field = name;
      if (!read_condition(value, condition)) {
        return fail(path + "." + name, value,
                    "an integer, true, false, a string, {\"min\":,\"max\":}, {\"size\":} or {\"contains\":}");
      }
      into.push_back(std::move(condition));
    }
  }
  static bool read_condition(const Json& value, Condition& into) {
    const auto whole = [](const Json& v) {
      return v.is_number_integer() && !(v.is_number_unsigned() && v.get<std::uint64_t>() > std::uint64_t{1} << 62);
    };
    if (value.is_boolean()) {
      into.min = value.get<bool>() ? 1 : 0;
    } else if (whole(value)) {
      into.min = value.get<std::int64_t>();
    } else if (value.is_string()) {
      into.kind = Condition::Kind::text;
      into.text = value.get<std::string>();
    } else if (value.is_object() && value.size() == 1 && value.contains("size") && whole(value["size"])) {
      into.kind = Condition::Kind::size;
      into.min = value["size"].get<std::int64_t>();
    } else if (value.is_object() && value.size() == 1 && value.contains("contains") && whole(value["contains"])) {
      into.kind = Condition::Kind::contains;
      into.min = value["contains"].get<std::int64_t>();
    } else if (value.is_object() && !value.empty()) {
      into.kind = Condition::Kind::range;
      into.min = std::numeric_limits<std::int64_t>::min();
      into.max = kNoMax;
      for (const auto& [name, bound] : value.items()) {
        if ((name != "min" && name != "max") || !whole(bound)) return false;
        (name == "min" ? into.min : into.max) = bound.get<std::int64_t>();
      }
    } else {
      return false;
    }
    return true;
  }
  template <class T>
  void read(const Json& json, const std::string& path, std::vector<T>& into, const Field& field) {
    if (!json.is_array()) return fail(path, json, "an array");
    if (json.size() > 10'000) return fail_text(path, std::to_string(json.size()) + " elements", "at most 10000");
    for (std::size_t i = 0; i < json.size() && !error; ++i) {
      read(json[i], path + "[" + std::to_string(i) + "]", into.emplace_back(), field);
    }
  }
  template <class T>
  void read(const Json& json, const std::string& path, std::optional<T>& into, const Field& field) {
    read(json, path, into.emplace(), field);
  }
  template <class S>
    requires requires(S& s, const S& d) { fields([](auto&&...) {}, s, d); }
  void read(const Json& json, const std::string& path, S& into, const Field&) {
    read_struct(json, path, into);
  }
};

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 80 &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// Each action takes its own fields only: one that would be ignored is an error.
std::optional<ScenarioError> check_fault(const FaultSpec& fault, const std::string& path) {
  const auto* action = std::ranges::find(kActions, std::string_view(fault.action), &ActionFields::action);
  if (action == std::end(kActions)) return ScenarioError{path + ".action", fault.action, "a known action"};
  if (fault.at_ms.has_value() == fault.when.has_value()) {
    return ScenarioError{path, fault.at_ms ? "at_ms and when" : "neither at_ms nor when",
                         "exactly one of at_ms and when"};
  }
  std::optional<ScenarioError> wrong;
  const FaultSpec defaults;
  fields(
      [&](std::string_view name, const auto& member, const auto& fallback, const Field&) {
        if (wrong || name == "id" || name == "action" || name == "at_ms" || name == "when" || name == "optional")
          return;
        const bool given = !(member == fallback);
        const bool required = has_choice(action->required, name, ',');
        if (given && !required && !has_choice(action->allowed, name, ',')) {
          wrong = ScenarioError{path + "." + std::string(name), "given", fault.action + " takes no such field"};
        } else if (required && !given) {
          wrong = ScenarioError{path + "." + std::string(name), "(absent)", fault.action + " needs it"};
        }
      },
      fault, defaults);
  return wrong;
}

// What Kafka's producer refuses to be configured with.
std::optional<ScenarioError> check_producer(const ProducerSpec& producer, const std::string& path) {
  if (producer.idempotent || producer.transactional) {
    if (producer.acks != "all") return ScenarioError{path + ".acks", producer.acks, "all, of an idempotent producer"};
    if (producer.retries == 0) return ScenarioError{path + ".retries", "0", "1 or more, of an idempotent producer"};
    if (producer.in_flight > 5)
      return ScenarioError{path + ".in_flight", std::to_string(producer.in_flight), "at most 5, if idempotent"};
  }
  if (producer.source.empty() != producer.group.empty())
    return ScenarioError{path + ".group", producer.group, "together with source"};
  if (!producer.source.empty() && !producer.transactional)
    return ScenarioError{path + ".source", producer.source, "of a transactional producer"};
  return std::nullopt;
}

std::optional<ScenarioError> check(const Scenario& scenario) {
  if (!good_name(scenario.name)) return ScenarioError{"$.name", scenario.name, "lower-case letters, digits and dashes"};
  for (std::size_t i = 0; i < scenario.workload.producers.size(); ++i) {
    if (auto wrong = check_producer(scenario.workload.producers[i], "$.workload.producers[" + std::to_string(i) + "]"))
      return wrong;
  }
  std::set<std::string> ids;
  for (std::size_t i = 0; i < scenario.faults.size(); ++i) {
    const std::string path = "$.faults[" + std::to_string(i) + "]";
    const FaultSpec& fault = scenario.faults[i];
    if (auto wrong = check_fault(fault, path)) return wrong;
    if (!fault.id.empty() && !ids.insert(fault.id).second)
      return ScenarioError{path + ".id", fault.id, "an id that no other fault has"};
  }
  return std::nullopt;
}

std::expected<Json, ScenarioError> parse_text(std::string_view text) {
  if (text.size() > kMaxText)
    return std::unexpected(ScenarioError{"$", std::to_string(text.size()) + " bytes", "at most 4 MiB"});
  try {
    bool deep = false;
    Json json = Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      deep = deep || static_cast<std::size_t>(depth) > kMaxDepth;
      return !deep;
    });
    if (deep) return std::unexpected(ScenarioError{"$", "nested too deeply", "at most 16 levels"});
    return json;
  } catch (const Json::exception& wrong) {
    std::string what = wrong.what();
    what.erase(0, what.find("] ") + 2);  // the library's own number of the error
    std::ranges::replace(what, '\n', ' ');
    return std::unexpected(ScenarioError{"$", what, "JSON"});
  }
}

std::expected<Scenario, ScenarioError> from_json(const Json& json) {
  Reader reader;
  Scenario scenario;
  reader.read_struct(json, "$", scenario);
  if (reader.error) return std::unexpected(*reader.error);
  if (auto wrong = check(scenario)) return std::unexpected(*wrong);
  return scenario;
}

// "faults[0].when.nth", "cluster.config[a.b]" -> the value there, made if absent.
Json* locate(Json& root, std::string_view path) {
  Json* at = &root;
  while (!path.empty()) {
    if (path.front() == '[') {
      const std::size_t end = path.find(']');
      if (end == std::string_view::npos) return nullptr;
      const std::string key(path.substr(1, end - 1));
      path.remove_prefix(end + 1);
      if (at->is_array()) {
        if (key.empty() || key.size() > 5 || !std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; }))
          return nullptr;
        const auto index = static_cast<std::size_t>(std::stoul(key));
        if (index >= at->size()) return nullptr;
        at = &(*at)[index];
      } else if (at->is_object() || at->is_null()) {
        at = &(*at)[key];
      } else {
        return nullptr;
      }
    } else {
      if (path.front() == '.') path.remove_prefix(1);
      const std::size_t end = std::min(path.find_first_of(".["), path.size());
      if (end == 0 || !(at->is_object() || at->is_null())) return nullptr;
      at = &(*at)[std::string(path.substr(0, end))];
      path.remove_prefix(end);
    }
  }
  return at;
}

}  // namespace

std::string ScenarioError::text() const {
  return path + ": " + value + (allowed.starts_with(kNoSuchField) ? ": " : "; allowed: ") + allowed;
}

std::expected<Scenario, ScenarioError> parse_scenario(std::string_view json) {
  const auto parsed = parse_text(json);
  if (!parsed) return std::unexpected(parsed.error());
  // A newer format may have fields and values that would only confuse: its number is what is wrong.
  if (const auto version = parsed->is_object() ? parsed->find("version") : parsed->end();
      parsed->is_object() && version != parsed->end() && version->is_number_integer() && *version > kFormatVersion) {
    return std::unexpected(ScenarioError{"$.version", version->dump(),
                                         std::to_string(kFormatVersion) + ", the newest that this build knows"});
  }
  return from_json(*parsed);
}

std::expected<Scenario, ScenarioError> with_setting(const Scenario& scenario, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return std::unexpected(ScenarioError{"--set", std::string(assignment), "path=value"});
  }
  const std::string_view path = assignment.substr(0, equals);
  const std::string text(assignment.substr(equals + 1));
  Json json = Json::parse(to_json(scenario));
  Json* at = locate(json, path);
  if (at == nullptr)
    return std::unexpected(ScenarioError{"$." + std::string(path), text, "the path of a field that is there"});
  Json value = Json::parse(text, nullptr, false);
  *at = value.is_discarded() ? Json(text) : std::move(value);
  return from_json(json);
}

}  // namespace verdict::scenarios
