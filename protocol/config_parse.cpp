#include <algorithm>
#include <set>

#include "protocol/config_keys.h"
#include "protocol/config_text.h"

namespace verdict::protocol {
namespace {

struct Location {
  std::string_view rest;
  int line = 1;
};

// One natural line, without its end; false at the end of the text.
bool next_line(Location& at, std::string_view& line) {
  if (at.rest.empty()) {
    return false;
  }
  const auto end = at.rest.find_first_of("\r\n");
  line = at.rest.substr(0, end);
  if (end == std::string_view::npos) {
    at.rest = {};
    return true;
  }
  at.rest.remove_prefix(at.rest.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  return true;
}

bool continues(std::string_view line) {
  std::size_t slashes = 0;
  while (slashes < line.size() && line[line.size() - 1 - slashes] == '\\') {
    ++slashes;
  }
  return slashes % 2 == 1;
}

std::string_view without_leading_space(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\f");
  return first == std::string_view::npos ? std::string_view{} : line.substr(first);
}

void put_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

std::optional<unsigned> hex4(std::string_view digits) {
  if (digits.size() < 4) {
    return std::nullopt;
  }
  unsigned code = 0;
  for (const char c : digits.substr(0, 4)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) {
      return std::nullopt;
    }
    code = code * 16 + static_cast<unsigned>(digit);
  }
  return code;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'u') {
      const auto code = hex4(text.substr(i + 1));
      if (!code) {
        return std::nullopt;
      }
      put_utf8(out, *code);
      i += 4;
    } else {
      out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
    }
  }
  return out;
}

// Splits at the first unescaped '=', ':' or white space.
std::pair<std::string_view, std::string_view> split_property(std::string_view line) {
  std::size_t end = 0;
  while (end < line.size() && std::string_view("=: \t\f").find(line[end]) == std::string_view::npos) {
    end += line[end] == '\\' ? 2 : 1;
  }
  end = std::min(end, line.size());
  std::string_view value = without_leading_space(line.substr(end));
  if (!value.empty() && (value.front() == '=' || value.front() == ':')) {
    value = without_leading_space(value.substr(1));
  }
  return {line.substr(0, end), value};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_integer(text);
  return port && *port >= 0 && *port <= 65535 ? std::optional(static_cast<std::uint16_t>(*port)) : std::nullopt;
}

// "host:port" or "[v6]:port"
bool parse_host_port(std::string_view text, std::string& host, std::uint16_t& port) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return false;
  }
  std::string_view name = text.substr(0, colon);
  if (name.starts_with('[') && name.ends_with(']')) {
    name = name.substr(1, name.size() - 2);
  } else if (name.find(':') != std::string_view::npos) {
    return false;
  }
  const auto number = parse_port(text.substr(colon + 1));
  if (!number || name.find_first_of(" \t/@[]") != std::string_view::npos) {
    return false;
  }
  host = name;
  port = *number;
  return true;
}

}  // namespace

std::expected<std::vector<EndpointName>, std::string> parse_endpoints(std::string_view text) {
  std::vector<EndpointName> out;
  for (const std::string& entry : split_trimmed(text, ',')) {
    const auto scheme = entry.find("://");
    EndpointName endpoint;
    if (scheme == std::string::npos || scheme == 0 ||
        !parse_host_port(std::string_view(entry).substr(scheme + 3), endpoint.host, endpoint.port)) {
      return std::unexpected("'" + entry + "' is no listener (allowed: NAME://host:port, comma-separated)");
    }
    endpoint.name = entry.substr(0, scheme);
    if (has_element(out, endpoint.name, &EndpointName::name)) {
      return std::unexpected("the listener name " + endpoint.name + " is there twice (allowed: each name once)");
    }
    out.push_back(std::move(endpoint));
  }
  return out;
}

std::expected<std::vector<VoterAddress>, std::string> parse_voters(std::string_view text) {
  std::vector<VoterAddress> out;
  for (const std::string& entry : split_trimmed(text, ',')) {
    const auto at = entry.find('@');
    const auto id = at == std::string::npos ? std::nullopt : parse_integer(std::string_view(entry).substr(0, at));
    VoterAddress voter;
    if (!id || *id < 0 || *id > 0x7fffffff ||
        !parse_host_port(std::string_view(entry).substr(at + 1), voter.host, voter.port) || voter.host.empty()) {
      return std::unexpected("'" + entry + "' is no voter (allowed: id@host:port, comma-separated)");
    }
    voter.id = NodeId(static_cast<std::int32_t>(*id));
    if (has_element(out, voter.id, &VoterAddress::id)) {
      return std::unexpected("voter " + std::to_string(*id) + " is there twice (allowed: each id once)");
    }
    out.push_back(std::move(voter));
  }
  return out;
}

std::expected<std::vector<PropertyLine>, std::vector<std::string>> parse_properties(std::string_view text) {
  std::vector<PropertyLine> out;
  std::vector<std::string> problems;
  Location at{.rest = text};
  std::string_view line;
  for (int number = 1; next_line(at, line); ++number) {
    const int first = number;
    line = without_leading_space(line);
    if (line.empty() || line.front() == '#' || line.front() == '!') {
      continue;
    }
    std::string logical(line);
    while (continues(logical)) {
      logical.pop_back();
      if (!next_line(at, line)) {
        break;
      }
      ++number;
      logical += without_leading_space(line);
    }
    const auto [name, value] = split_property(logical);
    const auto plain_name = unescaped(name);
    const auto plain_value = unescaped(value);
    if (!plain_name || !plain_value || logical.find('\0') != std::string::npos) {
      problems.push_back(std::to_string(first) + ": malformed escape (allowed: \\uXXXX with four hexadecimal digits)");
      continue;
    }
    out.push_back({.name = *plain_name, .value = *plain_value, .line = first});
  }
  if (!problems.empty()) {
    return std::unexpected(std::move(problems));
  }
  return out;
}

struct ConfigParser {
  BrokerConfig::Loaded loaded;
  std::vector<ConfigProblem> problems;

  void problem(const std::string& origin, const std::string& text) { problems.push_back({origin + ": " + text}); }

  std::string origin_of(std::string_view name, std::string_view file) const {
    const auto found = loaded.config.given_.find(name);
    return found == loaded.config.given_.end() ? std::string(file) : found->second.origin;
  }

  void take(std::string_view name, std::string_view value, const std::string& origin) {
    if (find_broker_key(name) == nullptr && is_known_broker_key(name)) {
      loaded.warnings.push_back(origin + ": " + std::string(name) +
                                " is a property of Kafka that this build doesn't implement; ignored");
      return;
    }
    if (auto done = loaded.config.set(name, value, origin); !done) {
      problems.push_back(done.error());
    }
  }

  void check_grammars(std::string_view file) {
    const auto check = [&](std::string_view name, const auto& parsed) {
      if (!parsed) {
        problem(origin_of(name, file), std::string(name) + "=" + loaded.config.text(name) + ": " + parsed.error());
      }
    };
    check("listeners", parse_endpoints(loaded.config.text("listeners")));
    check("advertised.listeners", parse_endpoints(loaded.config.text("advertised.listeners")));
    check("controller.quorum.voters", parse_voters(loaded.config.text("controller.quorum.voters")));
  }

  void check_protocols(std::string_view file) {
    std::map<std::string, std::string> protocols;
    for (const std::string& entry : loaded.config.list("listener.security.protocol.map")) {
      const auto colon = entry.find(':');
      if (colon == std::string::npos) {
        problem(
            origin_of("listener.security.protocol.map", file),
            "listener.security.protocol.map: '" + entry + "' is no mapping (allowed: NAME:PROTOCOL, comma-separated)");
        return;
      }
      protocols[entry.substr(0, colon)] = entry.substr(colon + 1);
    }
    const auto controllers = loaded.config.list("controller.listener.names");
    for (const EndpointName& listener : loaded.config.listeners()) {
      const auto found = protocols.find(listener.name);
      // Kafka maps controller listeners to PLAINTEXT by itself while the map is at its default.
      const bool implied =
          has_element(controllers, listener.name) && !loaded.config.given("listener.security.protocol.map");
      if (found == protocols.end() && !implied) {
        problem(origin_of("listeners", file), "listeners: no security protocol is defined for the listener " +
                                                  listener.name +
                                                  " (allowed: a name that listener.security.protocol.map has)");
      } else if (found != protocols.end() && found->second != "PLAINTEXT") {
        problem(origin_of("listeners", file), "listeners: the listener " + listener.name + " asks for " +
                                                  found->second +
                                                  ", which this build doesn't speak (allowed: PLAINTEXT)");
      }
    }
  }

  // What members of the consumer protocol are told has limits of its own.
  void check_consumer_groups(std::string_view file) {
    const BrokerConfig& config = loaded.config;
    const auto at_least = [&](std::string_view name, std::string_view least, std::int64_t more = 0) {
      if (config.integer(name) < config.integer(least) + more) {
        problem(origin_of(name, file), std::string(name) + "=" + config.text(name) + " (allowed: " +
                                           (more == 0 ? "at least " : "more than ") + std::string(least) + "=" +
                                           config.text(least) + ")");
      }
    };
    for (const std::string what : {"heartbeat.interval.ms", "session.timeout.ms"}) {
      const std::string prefix = "group.consumer.";
      at_least(prefix + "max." + what, prefix + "min." + what);
      at_least(prefix + what, prefix + "min." + what);
      at_least(prefix + "max." + what, prefix + what);
    }
    at_least("group.consumer.session.timeout.ms", "group.consumer.heartbeat.interval.ms", 1);
    if (config.list("group.consumer.assignors").empty()) {
      problem(origin_of("group.consumer.assignors", file),
              "group.consumer.assignors is empty (allowed: uniform, range or both, comma-separated)");
    }
  }

  void check_roles(std::string_view file) {
    const BrokerConfig& config = loaded.config;
    if (!config.given("process.roles")) {
      problem(std::string(file), "process.roles is missing (allowed: broker, controller or both, comma-separated)");
    }
    if (!config.given("node.id")) {
      problem(std::string(file), "node.id is missing (allowed: a number, at least 0)");
    }
    if (config.list("controller.listener.names").empty()) {
      problem(std::string(file), "controller.listener.names is missing (allowed: names of listeners)");
    }
    const auto voters = config.quorum_voters();
    if (voters.empty()) {
      problem(origin_of("controller.quorum.voters", file), "controller.quorum.voters is empty (allowed: id@host:port)");
    }
    const bool votes = has_element(voters, config.node_id(), &VoterAddress::id);
    const std::string id = std::to_string(config.node_id().value());
    if (config.is_controller() && !voters.empty() && !votes) {
      problem(origin_of("node.id", file), "node.id=" + id +
                                              ": a controller's id must be among controller.quorum.voters=" +
                                              config.text("controller.quorum.voters"));
    }
    if (config.is_controller() && config.controller_listeners().empty()) {
      problem(origin_of("controller.listener.names", file),
              "controller.listener.names=" + config.text("controller.listener.names") +
                  ": a controller needs one of them among its listeners=" + config.text("listeners"));
    }
    if (config.is_broker() && !config.is_controller() && votes) {
      problem(origin_of("node.id", file), "node.id=" + id +
                                              ": a broker that is no controller must not be among "
                                              "controller.quorum.voters=" +
                                              config.text("controller.quorum.voters"));
    }
    if (config.is_broker() && config.advertised_listeners().empty()) {
      problem(origin_of("listeners", file),
              "listeners=" + config.text("listeners") + ": a broker needs a listener that isn't a controller's");
    }
    check_inter_broker(file);
  }

  void check_inter_broker(std::string_view file) {
    const auto advertised = loaded.config.advertised_listeners();
    const std::string name = loaded.config.inter_broker_listener_name();
    if (loaded.config.is_broker() && !advertised.empty() && !has_element(advertised, name, &EndpointName::name)) {
      problem(origin_of("inter.broker.listener.name", file),
              "inter.broker.listener.name=" + name + ": no advertised listener has that name");
    }
    for (const EndpointName& e : advertised) {
      if (loaded.config.is_broker() && loaded.config.given("advertised.listeners") &&
          (e.host.empty() || e.host == "0.0.0.0")) {
        problem(origin_of("advertised.listeners", file),
                "advertised.listeners: " + e.name + " needs a host that clients can connect to");
      }
    }
  }
};

std::expected<BrokerConfig::Loaded, std::vector<ConfigProblem>> BrokerConfig::parse(
    std::string_view text, std::string_view file, std::span<const std::pair<std::string, std::string>> overrides,
    std::string_view override_origin) {
  ConfigParser parser;
  if (auto lines = parse_properties(text); lines) {
    for (const PropertyLine& line : *lines) {  // as in Java the last of several wins
      parser.take(line.name, line.value, std::string(file) + ":" + std::to_string(line.line));
    }
  } else {
    for (const std::string& what : lines.error()) {
      parser.problem(std::string(file) + ":" + what.substr(0, what.find(':')), what.substr(what.find(": ") + 2));
    }
  }
  for (const auto& [name, value] : overrides) {
    parser.take(name, value, std::string(override_origin));
  }
  parser.check_grammars(file);
  if (parser.problems.empty()) {
    parser.check_protocols(file);
    parser.check_roles(file);
    parser.check_consumer_groups(file);
  }
  if (!parser.problems.empty()) {
    return std::unexpected(std::move(parser.problems));
  }
  return std::move(parser.loaded);
}

}  // namespace verdict::protocol
