#include "protocol/broker/api_versions.h"

#include <algorithm>
#include <string_view>

#include "protocol/wire/errors.h"

namespace verdict::broker {
namespace {

using Request = wire::ApiVersionsRequest;
using Response = wire::ApiVersionsResponse;

constexpr int kSoftwareNamesFrom = 3;

// Letters and digits, with dots and dashes between.
bool is_software_text(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !text.empty() && letter(text.front()) && letter(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || c == '.' || c == '-'; });
}

Response refusal(wire::ErrorCode error) {
  Response response;
  response.error_code = static_cast<std::int16_t>(error);
  return response;
}

}  // namespace

bool list_apis(Exchange& exchange, std::span<const ApiRange> apis, Response& response) {
  if (exchange.version() < 0 || exchange.version() > Request::highest_version) {
    Response only_itself = refusal(wire::ErrorCode::UNSUPPORTED_VERSION);
    only_itself.api_keys = exchange.arena().make_span<Response::ApiVersion>(1);
    only_itself.api_keys[0] = {.api_key = static_cast<std::int16_t>(wire::ApiKey::ApiVersions),
                               .min_version = 0,
                               .max_version = Request::highest_version};
    exchange.respond_in(0, only_itself);
    return false;
  }
  Request request;
  if (!exchange.decode(request)) return false;
  if (exchange.version() >= kSoftwareNamesFrom &&
      (!is_software_text(request.client_software_name) || !is_software_text(request.client_software_version))) {
    exchange.respond(refusal(wire::ErrorCode::INVALID_REQUEST));
    return false;
  }
  response.api_keys = exchange.arena().make_span<Response::ApiVersion>(apis.size());
  for (std::size_t i = 0; i < apis.size(); ++i) {
    response.api_keys[i] = {.api_key = static_cast<std::int16_t>(apis[i].key),
                            .min_version = apis[i].lowest,
                            .max_version = apis[i].highest};
  }
  return true;
}

}  // namespace verdict::broker
