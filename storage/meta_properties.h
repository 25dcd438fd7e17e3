#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/uuid.h"

// `meta.properties` of a log directory: whose it is.
namespace verdict::storage {

constexpr std::string_view kMetaPropertiesFile = "meta.properties";

struct MetaProperties {
  std::string cluster_id;  // usually a Uuid's text, but any text is accepted
  std::int32_t node_id = -1;
  std::optional<Uuid> directory_id;
  friend bool operator==(const MetaProperties&, const MetaProperties&) = default;
};

std::string format_meta_properties(const MetaProperties& properties);
// Version 1 only. The error names the key.
std::expected<MetaProperties, std::string> parse_meta_properties(std::string_view text);

// The file that an orderly stop leaves: {"version":0,"brokerEpoch":N}. None for -1 or something else.
constexpr std::string_view kCleanShutdownFile = ".kafka_cleanshutdown";
std::string format_clean_shutdown(std::int64_t broker_epoch);
std::optional<std::int64_t> parse_clean_shutdown(std::string_view text);

}  // namespace verdict::storage
