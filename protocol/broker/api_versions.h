#pragma once

#include <cstdint>
#include <span>

#include "protocol/broker/exchange.h"
#include "protocol/wire/gen/api_versions.h"

namespace verdict::broker {

// What a listener serves of one API.
struct ApiRange {
  wire::ApiKey key;
  std::int16_t lowest;
  std::int16_t highest;
};

// The part of ApiVersions (KIP-511) that brokers and controllers share: `apis` into `response`. False: the request was
// refused and is answered, or it was malformed.
bool list_apis(Exchange& exchange, std::span<const ApiRange> apis, wire::ApiVersionsResponse& response);

}  // namespace verdict::broker
