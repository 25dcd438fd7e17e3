#include "storage/meta_properties.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "storage/text.h"

namespace verdict::storage {

std::string format_meta_properties(const MetaProperties& properties) {
  std::string text = fmt::format("#\nnode.id={}\n", properties.node_id);
  if (properties.directory_id) text += fmt::format("directory.id={}\n", properties.directory_id->to_string());
  return text + fmt::format("version=1\ncluster.id={}\n", properties.cluster_id);
}

std::expected<MetaProperties, std::string> parse_meta_properties(std::string_view text) {
  std::map<std::string_view, std::string_view> values;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty() || line.starts_with('#') || line.starts_with('!')) continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::unexpected(fmt::format("\"{}\" is not key=value", line));
    values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  if (values["version"] != "1") {
    return std::unexpected(fmt::format("version: \"{}\", only 1 is known", values["version"]));
  }
  MetaProperties properties;
  properties.cluster_id = values["cluster.id"];
  if (properties.cluster_id.empty()) return std::unexpected(std::string("cluster.id is missing"));
  const auto node = parse_number<std::int32_t>(values["node.id"]);
  if (!node || *node < 0) {
    return std::unexpected(fmt::format("node.id: \"{}\" is not a number from 0 on", values["node.id"]));
  }
  properties.node_id = *node;
  if (values.contains("directory.id")) {
    properties.directory_id = Uuid::parse(values["directory.id"]);
    if (!properties.directory_id) {
      return std::unexpected(fmt::format("directory.id: \"{}\" is not an id of 22 characters", values["directory.id"]));
    }
  }
  return properties;
}

std::string format_clean_shutdown(std::int64_t broker_epoch) {
  return fmt::format("{{\"version\":0,\"brokerEpoch\":{}}}", broker_epoch);
}

std::optional<std::int64_t> parse_clean_shutdown(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto version = json.find("version");
  const auto epoch = json.find("brokerEpoch");
  if (version == json.end() || *version != 0 || epoch == json.end() || !epoch->is_number_integer()) return std::nullopt;
  return epoch->get<std::int64_t>();
}

}  // namespace verdict::storage
