#include <algorithm>
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

constexpr std::string_view kConsumer = "consumer";

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
  const std::vector<std::string> protocols = context_->config.list("group.coordinator.rebalance.protocols");
  return std::ranges::find(protocols, kConsumer) != protocols.end() &&
         protocol::feature_level(context_->image, protocol::kGroupFeature) >= 1;
}

void GroupRequests::consumer_heartbeat(const ExchangePtr& exchange) {
  wire::ConsumerGroupHeartbeatRequest request;
  if (!exchange->decode(request)) return;
  if (!serves_consumer_protocol()) return exchange->respond(refusal(ErrorCode::UNSUPPORTED_VERSION, ""));
  const std::vector<std::string> assignors = context_->config.list("group.consumer.assignors");
  if (const auto bad = group::check_heartbeat(request, exchange->version(), assignors))
    return exchange->respond(refusal(bad->error, bad->message));
  const GroupPartition::Answer answer = [this, exchange, request](std::expected<group::Response, ErrorCode> said) {
    if (said) {
      const Heartbeat& response = std::get<wire::Message<Heartbeat>>(*said).value;
      told(*exchange, request, response);
      return exchange->respond(response);
    }
    exchange->respond(refusal(said.error(), ""));
  };
  const std::string host = host_of(*exchange);
  set_.ask(
      request.group_id,
      [&](group::Token token) {
        Uuid random;
        if (request.member_id.empty()) {
          random.high = context_->runtime.random(Purpose::MemberId, 0);
          random.low = context_->runtime.random(Purpose::MemberId, 0);
        }
        return group::events_in::ConsumerHeartbeat{.token = token,
                                                   .version = exchange->version(),
                                                   .client_id = exchange->client_id(),
                                                   .client_host = host,
                                                   .request = request,
                                                   .random = random};
      },
      answer);
}

void GroupRequests::describe_consumers(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_describe);
  if (gather == nullptr) return;
  for (const std::string_view id : gather->request.group_ids) {
    auto part = part_of(gather);
    if (!serves_consumer_protocol() || id.empty()) {
      part(std::expected<group::Response, ErrorCode>(std::unexpected(
          id.empty() && serves_consumer_protocol() ? ErrorCode::INVALID_GROUP_ID : ErrorCode::UNSUPPORTED_VERSION)));
      continue;
    }
    set_.ask(
        id, [&](group::Token token) { return group::events_in::DescribeConsumerGroup{.token = token, .group_id = id}; },
        std::move(part));
  }
  gather->done();
}

}  // namespace verdict::broker
