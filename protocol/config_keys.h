#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/types.h"
#include "runtime/time.h"

// Kafka's configuration keys that this build honours, and the node's own server.properties. A key of Kafka's that isn't
// in the table but is known to exist gives a warning that names it; anything else is an error.
namespace verdict::protocol {

// As in DescribeConfigs.
enum class ConfigType : std::int8_t {
  boolean = 1,
  string = 2,
  int32 = 3,
  int16 = 4,
  int64 = 5,
  float64 = 6,
  list = 7,
  class_name = 8,
  password = 9
};
enum class ConfigSource : std::int8_t {
  unknown = 0,
  dynamic_topic = 1,
  dynamic_broker = 2,
  dynamic_default_broker = 3,
  static_broker = 4,
  default_value = 5
};
enum class ConfigUpdate : std::uint8_t {
  read_only,
  per_broker,
  cluster_wide
};  // how far it can be altered at run time

struct ConfigKey {
  std::string_view name;
  ConfigType type = ConfigType::string;
  std::optional<std::string_view> fallback;  // Kafka's default; none: null (or, for node.id and the like, required)
  ConfigUpdate update = ConfigUpdate::read_only;
  std::optional<std::int64_t> min;  // of a number
  std::optional<std::int64_t> max;
  std::string_view allowed;  // "a|b": the values of a string, or of a list's members; empty: any
};

std::span<const ConfigKey> broker_keys();                 // by name
std::span<const ConfigKey> topic_keys();                  // by name
const ConfigKey* find_broker_key(std::string_view name);  // null: none that we implement
const ConfigKey* find_topic_key(std::string_view name);
bool is_known_broker_key(std::string_view name);  // Kafka's, implemented or not
bool is_known_topic_key(std::string_view name);
// "1 or more", "between 0 and 14", "one of delete, compact": what the error messages say is allowed.
std::string allowed_text(const ConfigKey&);
// The error is Kafka's sentence: "Invalid value -5 for configuration retention.ms: Value must be at least -1".
std::expected<void, std::string> check_value(const ConfigKey&, std::string_view value);

// A broker key that a topic key falls back to, in order; the value is multiplied by `factor` (hours to ms).
struct ConfigSynonym {
  std::string_view name;
  std::int64_t factor = 1;
};
std::span<const ConfigSynonym> synonyms_of_topic_key(std::string_view topic_key);

struct EndpointName {  // one entry of listeners: NAME://host:port
  std::string name;
  std::string host;  // empty: all interfaces
  std::uint16_t port = 0;
};

struct VoterAddress {  // one entry of controller.quorum.voters: id@host:port
  NodeId id;
  std::string host;
  std::uint16_t port = 0;
};

struct ConfigProblem {  // says file, line, key, value and what is allowed, in one line
  std::string text;
};

// The static configuration of one node: what server.properties, the environment and the command line gave, over Kafka's
// defaults. All values were checked when it was made, so the getters don't fail; a name that isn't in broker_keys() is
// a bug of the caller.
class BrokerConfig {
 public:
  struct Source {
    std::string origin;  // "conf/server.properties:12", "KAFKA_NODE_ID", "--override"
    std::string value;
  };
  struct Loaded;

  BrokerConfig() = default;  // all defaults: for tests and simulated nodes, which set() what they need

  // Java's properties format (comments, continuation lines, \uXXXX). `overrides` (name, value, origin) win over the
  // text. Every problem is reported, not the first only; with problems there is no configuration.
  static std::expected<Loaded, std::vector<ConfigProblem>> parse(
      std::string_view text, std::string_view file, std::span<const std::pair<std::string, std::string>> overrides = {},
      std::string_view override_origin = "");
  std::expected<void, ConfigProblem> set(std::string_view name, std::string_view value, std::string origin = "set");

  std::optional<std::string_view> given(std::string_view name) const;  // none: not set here (the default applies)
  std::optional<std::string> find(std::string_view name) const;        // given or default
  std::string text(std::string_view name) const;                       // "" if neither
  std::int64_t integer(std::string_view name) const;
  bool boolean(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  Duration duration_ms(std::string_view name) const;  // of a key in milliseconds
  const std::map<std::string, Source, std::less<>>& all_given() const { return given_; }

  NodeId node_id() const;
  bool is_broker() const;
  bool is_controller() const;
  std::vector<std::string> log_dirs() const;  // log.dirs, else log.dir
  std::vector<EndpointName> listeners() const;
  std::vector<EndpointName> advertised_listeners() const;  // of the broker role
  std::vector<EndpointName> controller_listeners() const;  // those of listeners named by controller.listener.names
  std::string inter_broker_listener_name() const;
  std::vector<VoterAddress> quorum_voters() const;

 private:
  friend struct ConfigParser;
  std::map<std::string, Source, std::less<>> given_;
};

struct BrokerConfig::Loaded {
  BrokerConfig config;
  std::vector<std::string> warnings;  // one line each
};

// KAFKA_NODE_ID=1 -> {"node.id", "1"}: lower case, "_" is ".", "__" is "-", "___" is "_"; names that don't begin with
// KAFKA_, and Kafka's own KAFKA_OPTS, KAFKA_HEAP_OPTS and their like, are left out. In the order given.
std::vector<std::pair<std::string, std::string>> properties_of_environment(
    std::span<const std::pair<std::string, std::string>> environment);

}  // namespace verdict::protocol
