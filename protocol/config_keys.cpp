#include "protocol/config_keys.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "protocol/config_text.h"
#include "runtime/assert.h"

namespace verdict::protocol {
namespace {

struct NumberType {
  std::string_view name;
  std::int64_t lowest;
  std::int64_t highest;
};

std::optional<NumberType> number_type(ConfigType type) {
  switch (type) {
    case ConfigType::int32:
      return NumberType{"INT", std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case ConfigType::int16:
      return NumberType{"SHORT", std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()};
    case ConfigType::int64:
      return NumberType{"LONG", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
    default:
      return std::nullopt;
  }
}

std::unexpected<std::string> invalid(const ConfigKey& key, std::string_view value, std::string why) {
  return std::unexpected("Invalid value " + std::string(value) + " for configuration " + std::string(key.name) + ": " +
                         why);
}

std::string comma_separated(std::string_view alternatives) {
  std::string out;
  for (const std::string& one : split_trimmed(alternatives, '|')) {
    out += (out.empty() ? "" : ", ") + one;
  }
  return out;
}

bool allows(const ConfigKey& key, std::string_view value) {
  return has_element(split_trimmed(key.allowed, '|'), value);
}

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
  Number out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(out) : std::nullopt;
}

template <class Number>
std::expected<void, std::string> check_bounds(const ConfigKey& key, std::string_view value, Number number) {
  if (key.min && number < static_cast<Number>(*key.min)) {
    return invalid(key, value, "Value must be at least " + std::to_string(*key.min));
  }
  if (key.max && number > static_cast<Number>(*key.max)) {
    return invalid(key, value, "Value must be no more than " + std::to_string(*key.max));
  }
  return {};
}

// "node.id" of KAFKA_NODE_ID: one underscore is a dot, two a dash, three an underscore.
std::string property_of_variable(std::string_view rest) {
  std::string out;
  for (std::size_t i = 0; i < rest.size();) {
    if (rest[i] != '_') {
      const char c = rest[i++];
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      continue;
    }
    std::size_t run = 1;
    while (run < 3 && i + run < rest.size() && rest[i + run] == '_') {
      ++run;
    }
    out += run == 1 ? '.' : run == 2 ? '-' : '_';
    i += run;
  }
  return out;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) {
      return std::nullopt;
    }
  }
  return parse_whole<std::int64_t>(text);
}

std::optional<double> parse_real(std::string_view text) { return parse_whole<double>(text); }

std::optional<bool> parse_boolean(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower == "true" ? std::optional(true) : lower == "false" ? std::optional(false) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string> split_trimmed(std::string_view text, char separator) {
  std::vector<std::string> out;
  text = trimmed(text);
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    out.emplace_back(trimmed(text.substr(0, end)));
    if (end == text.size()) {
      break;
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string allowed_text(const ConfigKey& key) {
  if (key.type == ConfigType::boolean) {
    return "true or false";
  }
  if (!key.allowed.empty()) {
    return (key.type == ConfigType::list ? "any of " : "one of ") + comma_separated(key.allowed);
  }
  if (key.type == ConfigType::float64) {
    return key.max ? "a number between " + std::to_string(*key.min) + " and " + std::to_string(*key.max) : "a number";
  }
  const auto number = number_type(key.type);
  if (!number) {
    return key.type == ConfigType::list ? "a comma-separated list" : "any text";
  }
  const std::int64_t highest = std::min(key.max.value_or(number->highest), number->highest);
  if (highest == number->highest) {
    return key.min ? "a number, at least " + std::to_string(*key.min) : "a number";
  }
  return "a number between " + std::to_string(key.min.value_or(number->lowest)) + " and " + std::to_string(highest);
}

std::expected<void, std::string> check_value(const ConfigKey& key, std::string_view value) {
  value = trimmed(value);
  if (key.type == ConfigType::boolean && !parse_boolean(value)) {
    return invalid(key, value, "Expected value to be either true or false");
  }
  if (key.type == ConfigType::float64) {
    const auto number = parse_real(value);
    if (!number || *number != *number) {
      return invalid(key, value, "Not a number of type DOUBLE");
    }
    if (auto within = check_bounds(key, value, *number); !within) {
      return within;
    }
  }
  if (const auto type = number_type(key.type)) {
    const auto number = parse_integer(value);
    if (!number || *number < type->lowest || *number > type->highest) {
      return invalid(key, value, "Not a number of type " + std::string(type->name));
    }
    if (auto within = check_bounds(key, value, *number); !within) {
      return within;
    }
  }
  if (!key.allowed.empty()) {
    const auto members = key.type == ConfigType::list ? split_trimmed(value, ',') : std::vector{std::string(value)};
    const auto bad = std::ranges::find_if_not(members, [&](const std::string& one) { return allows(key, one); });
    if (bad != members.end()) {
      return invalid(key, *bad, "String must be one of: " + comma_separated(key.allowed));
    }
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> properties_of_environment(
    std::span<const std::pair<std::string, std::string>> environment) {
  // Settings of Kafka's start scripts and images, not properties.
  constexpr std::string_view kNotProperties =
      "KAFKA_OPTS|KAFKA_HEAP_OPTS|KAFKA_JVM_PERFORMANCE_OPTS|KAFKA_GC_LOG_OPTS|KAFKA_LOG4J_OPTS|KAFKA_JMX_OPTS|KAFKA_"
      "JMX_PORT|"
      "KAFKA_JMX_HOSTNAME|KAFKA_DEBUG|KAFKA_VERSION|KAFKA_HOME|KAFKA_CLUSTER_ID|KAFKA_LOG4J_LOGGERS|KAFKA_LOG4J_ROOT_"
      "LOGLEVEL|"
      "KAFKA_TOOLS_LOG4J_LOGLEVEL|KAFKA_MODE|KAFKA_REST_PROXY_URL";
  constexpr std::string_view kPrefix = "KAFKA_";
  const auto reserved = split_trimmed(kNotProperties, '|');
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, value] : environment) {
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size() && !has_element(reserved, name)) {
      out.emplace_back(property_of_variable(std::string_view(name).substr(kPrefix.size())), value);
    }
  }
  return out;
}

std::expected<void, ConfigProblem> BrokerConfig::set(std::string_view name, std::string_view value,
                                                     std::string origin) {
  const ConfigKey* key = find_broker_key(name);
  if (key == nullptr) {
    return std::unexpected(ConfigProblem{origin + ": unknown property " + std::string(name) + "=" + std::string(value) +
                                         ": allowed are Kafka's broker and controller properties"});
  }
  if (auto good = check_value(*key, value); !good) {
    return std::unexpected(ConfigProblem{origin + ": " + good.error() + " (allowed: " + allowed_text(*key) + ")"});
  }
  given_[std::string(name)] = {.origin = std::move(origin), .value = std::string(trimmed(value))};
  return {};
}

std::optional<std::string_view> BrokerConfig::given(std::string_view name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? std::nullopt : std::optional<std::string_view>(found->second.value);
}

std::optional<std::string> BrokerConfig::find(std::string_view name) const {
  const ConfigKey* key = find_broker_key(name);
  VERDICT_ASSERT(key != nullptr, name);
  if (const auto value = given(name)) {
    return std::string(*value);
  }
  return key->fallback ? std::optional<std::string>(*key->fallback) : std::nullopt;
}

std::string BrokerConfig::text(std::string_view name) const { return find(name).value_or(""); }

std::int64_t BrokerConfig::integer(std::string_view name) const {
  const auto value = parse_integer(text(name));
  VERDICT_ASSERT(value.has_value(), name);
  return *value;
}

bool BrokerConfig::boolean(std::string_view name) const {
  const auto value = parse_boolean(text(name));
  VERDICT_ASSERT(value.has_value(), name);
  return *value;
}

std::vector<std::string> BrokerConfig::list(std::string_view name) const { return split_trimmed(text(name), ','); }

Duration BrokerConfig::duration_ms(std::string_view name) const {
  constexpr std::int64_t kLongestMs = std::numeric_limits<std::int64_t>::max() / 2'000'000;  // about 146 years
  return from_ms(std::min(integer(name), kLongestMs));
}

NodeId BrokerConfig::node_id() const {
  return given("node.id") ? NodeId(static_cast<std::int32_t>(integer("node.id"))) : kNoNode;
}
bool BrokerConfig::is_broker() const { return has_element(list("process.roles"), "broker"); }
bool BrokerConfig::is_controller() const { return has_element(list("process.roles"), "controller"); }

std::vector<std::string> BrokerConfig::log_dirs() const {
  auto dirs = list("log.dirs");
  return dirs.empty() ? std::vector{text("log.dir")} : dirs;
}

std::vector<EndpointName> BrokerConfig::listeners() const {
  return parse_endpoints(text("listeners")).value_or(std::vector<EndpointName>{});
}

std::vector<EndpointName> BrokerConfig::controller_listeners() const {
  const auto names = list("controller.listener.names");
  auto all = listeners();
  std::erase_if(all, [&](const EndpointName& e) { return !has_element(names, e.name); });
  return all;
}

std::vector<EndpointName> BrokerConfig::advertised_listeners() const {
  const auto names = list("controller.listener.names");
  auto all = given("advertised.listeners")
                 ? parse_endpoints(text("advertised.listeners")).value_or(std::vector<EndpointName>{})
                 : listeners();
  std::erase_if(all, [&](const EndpointName& e) { return has_element(names, e.name); });
  return all;
}

std::string BrokerConfig::inter_broker_listener_name() const {
  return find("inter.broker.listener.name").value_or("PLAINTEXT");
}

std::vector<VoterAddress> BrokerConfig::quorum_voters() const {
  return parse_voters(text("controller.quorum.voters")).value_or(std::vector<VoterAddress>{});
}

}  // namespace verdict::protocol
