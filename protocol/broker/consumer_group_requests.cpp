#include <string_view>
#include <utility>
#include <vector>

#include "protocol/broker/gather.h"
#include "protocol/broker/group_requests.h"
#include "protocol/broker/server.h"
#include "protocol/metadata_records.h"

// The requests of the consumer protocol (KIP-848): served where group.coordinator.rebalance.protocols names it and the
// cluster has finalized group.version 1.
namespace verdict::broker {
namespace {

using Heartbeat = wire::ConsumerGroupHeartbeatResponse;
using DescribeGather = Gather<wire::ConsumerGroupDescribeRequest, wire::ConsumerGroupDescribeResponse>;
using Described = wire::ConsumerGroupDescribeResponse::DescribedGroup;

Heartbeat refusal(ErrorCode error, std::string_view message) {
  Heartbeat response;
  response.error_code = code(error);
  response.error_message = message.empty() ? std::nullopt : std::optional(message);
  response.member_id = std::nullopt;
  response.assignment = std::nullopt;
  return response;
}

void finish_describe(DescribeGather& gather) {
  std::vector<Described> groups;
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] != nullptr && !gather.parts[i]->value.groups.empty()) {
      Described& group = groups.emplace_back(gather.parts[i]->value.groups[0]);
      if (gather.request.include_authorized_operations && group.error_code == 0)
        group.authorized_operations = kGroupOperations;
      continue;
    }
    groups.push_back({.error_code = code(gather.errors[i]), .group_id = gather.request.group_ids[i]});
  }
  wire::ConsumerGroupDescribeResponse response;
  response.groups = gather.exchange->arena().copy_span<Described>(groups);
  gather.exchange->respond(response);
}

}  // namespace

bool GroupRequests::serves_consumer_protocol() const {
  return names_consumer_protocol_ && protocol::feature_level(context_->image, protocol::kGroupFeature) >= 1;
}

void GroupRequests::consumer_heartbeat(const ExchangePtr& exchange) {
  wire::ConsumerGroupHeartbeatRequest request;
  if (!exchange->decode(request)) return;
  if (!serves_consumer_protocol()) return exchange->respond(refusal(ErrorCode::UNSUPPORTED_VERSION, ""));
  if (const auto bad = group::check_heartbeat(request, exchange->version(), assignors_))
    return exchange->respond(refusal(bad->error, bad->message));
  const GroupPartition::Answer answer =
      passing_on<Heartbeat>(exchange, request, [](ErrorCode error) { return refusal(error, ""); });
  const std::string host = host_of(*exchange);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        return group::events_in::ConsumerHeartbeat{.token = token,
                                                   .version = exchange->version(),
                                                   .client_id = exchange->client_id(),
                                                   .client_host = host,
                                                   .request = request,
                                                   .random = request.member_id.empty() ? draw_member_id() : Uuid()};
      },
      answer);
}

void GroupRequests::describe_consumers(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_describe);
  if (gather == nullptr) return;
  const bool served = serves_consumer_protocol();
  for (const std::string_view id : gather->request.group_ids) {
    auto part = part_of(gather);
    if (!served || id.empty()) {
      const ErrorCode error = served ? ErrorCode::INVALID_GROUP_ID : ErrorCode::UNSUPPORTED_VERSION;
      part(std::expected<group::Response, ErrorCode>(std::unexpected(error)));
      continue;
    }
    set_.ask(
        id, [&](group::Token token) { return group::events_in::DescribeConsumerGroup{.token = token, .group_id = id}; },
        std::move(part));
  }
  gather->done();
}

}  // namespace verdict::broker
