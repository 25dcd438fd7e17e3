#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/metadata_image.h"

namespace verdict::broker {

// KIP-951: where the leaders that an answer names are to be found, each once, on the listener that the request came
// through. They point into `image`. NodeEndpoint: of the answer's message.
template <class NodeEndpoint>
std::vector<NodeEndpoint> leader_endpoints(std::vector<NodeId> leaders, const protocol::MetadataImage& image,
                                           std::string_view listener) {
  std::ranges::sort(leaders);
  const auto repeated = std::ranges::unique(leaders);
  leaders.erase(repeated.begin(), repeated.end());
  std::vector<NodeEndpoint> endpoints;
  for (const NodeId leader : leaders) {
    const protocol::BrokerRegistration* broker = image.broker(leader);
    const protocol::BrokerListener* at = broker == nullptr ? nullptr : broker->listener(listener);
    if (at == nullptr) continue;
    endpoints.push_back({.node_id = leader.value(),
                         .host = at->host,
                         .port = at->port,
                         .rack = broker->rack ? std::optional<std::string_view>(*broker->rack) : std::nullopt});
  }
  return endpoints;
}

}  // namespace verdict::broker
