#include "protocol/wire/api_keys.h"

#include <string>

#include "protocol/wire/registry.h"

namespace verdict::wire {
namespace {

constexpr std::string_view kSuffix = "Request";

}  // namespace

std::string_view to_string(ApiKey api) {
  const MessageInfo* request = find_request(static_cast<int>(api));
  return request == nullptr ? "unknown" : request->name.substr(0, request->name.size() - kSuffix.size());
}

std::optional<ApiKey> find_api_key(std::string_view name) {
  const MessageInfo* request = find_message(std::string(name).append(kSuffix));
  if (request == nullptr || request->kind != MessageKind::request) {
    return std::nullopt;
  }
  return static_cast<ApiKey>(request->api_key);
}

VersionRange known_versions(ApiKey api) {
  const MessageInfo* request = find_request(static_cast<int>(api));
  return request == nullptr ? VersionRange{0, -1} : VersionRange{request->lowest_version, request->highest_version};
}

}  // namespace verdict::wire
