#pragma once

#include <expected>
#include <string>
#include <vector>

#include "protocol/config_keys.h"

namespace verdict::cli {

// server.properties, then KAFKA_* of the environment, then --override: later ones win. Warnings and errors go to
// standard error, a line each; none: there were errors.
std::expected<protocol::BrokerConfig, int> load_properties(const std::string& path,
                                                           const std::vector<std::string>& overrides);

// The node that `verdict serve` runs without a file: broker and controller on 127.0.0.1:9092 and 9093, ./verdict-data.
std::expected<protocol::BrokerConfig, int> embedded_properties(const std::vector<std::string>& overrides);

}  // namespace verdict::cli
