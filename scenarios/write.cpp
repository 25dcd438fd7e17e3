// Writing scenarios, and the schema that says what can be read: visitors of the same table of fields.
#include <nlohmann/json.hpp>

#include "scenarios/fields.h"
#include "scenarios/scenario.h"

namespace verdict::scenarios {
namespace {

using Json = nlohmann::ordered_json;

Json write(const Condition& condition) {
  switch (condition.kind) {
    case Condition::Kind::number:
      return condition.min;
    case Condition::Kind::text:
      return condition.text;
    case Condition::Kind::size:
      return {{"size", condition.min}};
    case Condition::Kind::contains:
      return {{"contains", condition.min}};
    case Condition::Kind::range:
      break;
  }
  Json range = Json::object();
  if (condition.min != std::numeric_limits<std::int64_t>::min()) range["min"] = condition.min;
  if (condition.max != kNoMax) range["max"] = condition.max;
  return range;
}

template <class T>
Json write_value(const T& value);

template <class S>
Json write_struct(const S& value) {
  Json json = Json::object();
  const S defaults{};
  fields(
      [&](std::string_view name, const auto& member, const auto& fallback, const Field& field) {
        if (field.required || !(member == fallback)) json[std::string(name)] = write_value(member);
      },
      value, defaults);
  return json;
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
Json write_value(const T& value) {
  if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (std::is_same_v<T, Properties>) {
    Json json = Json::object();
    for (const auto& [key, text] : value) json[key] = text;
    return json;
  } else if constexpr (std::is_same_v<T, SeedRange>) {
    if (value.first == value.last) return value.first;
    return std::to_string(value.first) + ".." + std::to_string(value.last);
  } else if constexpr (std::is_same_v<T, std::vector<Condition>>) {
    Json json = Json::object();
    for (const Condition& condition : value) json[condition.field] = write(condition);
    return json;
  } else if constexpr (IsVector<T>::value) {
    Json json = Json::array();
    for (const auto& element : value) json.push_back(write_value(element));
    return json;
  } else if constexpr (IsOptional<T>::value) {
    return write_value(*value);
  } else {
    return write_struct(value);
  }
}

// ---- the schema ----

template <class T>
Json schema_of(const Field& field);

template <class S>
Json schema_of_struct() {
  Json properties = Json::object();
  Json required = Json::array();
  S value{};
  const S defaults{};
  fields(
      [&]<class T>(std::string_view name, T&, const T&, const Field& field) {
        Json member = schema_of<T>(field);
        member["description"] = field.meaning;
        properties[std::string(name)] = std::move(member);
        if (field.required) required.push_back(name);
      },
      value, defaults);
  Json json{{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
  if (!required.empty()) json["required"] = std::move(required);
  return json;
}

Json condition_schema() {
  const Json integer{{"type", "integer"}};
  const auto only = [&](const char* name) {
    return Json{
        {"type", "object"}, {"additionalProperties", false}, {"required", {name}}, {"properties", {{name, integer}}}};
  };
  const Json range{{"type", "object"},
                   {"additionalProperties", false},
                   {"minProperties", 1},
                   {"properties", {{"min", integer}, {"max", integer}}}};
  const Json any =
      Json::array({{{"type", Json::array({"integer", "boolean", "string"})}}, range, only("size"), only("contains")});
  return {{"type", "object"}, {"additionalProperties", {{"anyOf", any}}}};
}

template <class T>
Json schema_of(const Field& field) {
  if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_integral_v<T>) {
    Json json{{"type", "integer"}, {"minimum", field.min}};
    if (field.max != kNoMax) json["maximum"] = std::min<std::int64_t>(field.max, std::numeric_limits<T>::max());
    return json;
  } else if constexpr (std::is_same_v<T, std::string>) {
    Json json{{"type", "string"}};
    if (!field.choices.empty()) {
      Json choices = Json::array();
      std::string_view rest = field.choices;
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('|'), rest.size());
        choices.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      json["enum"] = std::move(choices);
    }
    return json;
  } else if constexpr (std::is_same_v<T, Properties>) {
    return {{"type", "object"}, {"additionalProperties", {{"type", Json::array({"string", "integer", "boolean"})}}}};
  } else if constexpr (std::is_same_v<T, SeedRange>) {
    return {{"anyOf", Json::array({{{"type", "integer"}, {"minimum", 0}},
                                   {{"type", "string"}, {"pattern", "^[0-9]{1,18}(\\.\\.[0-9]{1,18})?$"}}})}};
  } else if constexpr (std::is_same_v<T, std::vector<Condition>>) {
    return condition_schema();
  } else if constexpr (IsVector<T>::value) {
    return {{"type", "array"}, {"maxItems", 10'000}, {"items", schema_of<typename T::value_type>(field)}};
  } else if constexpr (IsOptional<T>::value) {
    return schema_of<typename T::value_type>(field);
  } else {
    return schema_of_struct<T>();
  }
}

}  // namespace

std::string to_json(const Scenario& scenario, int indent) { return write_struct(scenario).dump(indent); }

std::string scenario_schema() {
  Json json{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "Verdict scenario"}};
  const Json body = schema_of_struct<Scenario>();
  for (const auto& [name, value] : body.items()) json[name] = value;
  return json.dump(2);
}

}  // namespace verdict::scenarios
