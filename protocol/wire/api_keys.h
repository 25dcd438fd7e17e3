#pragma once

#include <optional>
#include <string_view>

// enum class ApiKey, by the names of Kafka's requests: ApiKey::Produce = 0, ...
#include "protocol/wire/gen/api_keys.h"

namespace verdict::wire {

std::string_view to_string(ApiKey);                    // "Produce"; "unknown" if it is none
std::optional<ApiKey> find_api_key(std::string_view);  // by that name

// Versions that Kafka 4.1 knows (lowest above highest: removed). What a broker serves is its own business.
struct VersionRange {
  int lowest;
  int highest;
};
VersionRange known_versions(ApiKey);

}  // namespace verdict::wire
