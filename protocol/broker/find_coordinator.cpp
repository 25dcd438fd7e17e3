#include "protocol/broker/find_coordinator.h"

#include "protocol/broker/coordinators.h"
#include "protocol/wire/gen/find_coordinator.h"

namespace verdict::broker {
namespace {

using Request = wire::FindCoordinatorRequest;
using Response = wire::FindCoordinatorResponse;
using Coordinator = Response::Coordinator;

constexpr int kBatchesFrom = 4;
constexpr std::int8_t kShareType = 2;  // known, and not served here: as a Kafka without share groups answers
constexpr std::string_view kNone = "NONE";
constexpr std::string_view kNotAvailable = "The coordinator is not available.";
constexpr std::string_view kInvalidRequest =
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
    "incompatible broker. See the broker logs for more details.";

std::string_view message_of(ErrorCode error) {
  return error == ErrorCode::NONE ? kNone : error == ErrorCode::INVALID_REQUEST ? kInvalidRequest : kNotAvailable;
}

Coordinator refusal(std::string_view key, ErrorCode error) {
  return {.key = key,
          .node_id = -1,
          .host = "",
          .port = -1,
          .error_code = static_cast<std::int16_t>(error),
          .error_message = ""};
}

Coordinator find(BrokerContext& context, TopicRequests& topics, Exchange& exchange, std::int8_t key_type,
                 std::string_view key) {
  if (key_type != static_cast<std::int8_t>(CoordinatorType::group) &&
      key_type != static_cast<std::int8_t>(CoordinatorType::transaction)) {
    Coordinator out = refusal(key, ErrorCode::INVALID_REQUEST);
    if (key_type != kShareType) out.error_message = kInvalidRequest;
    return out;
  }
  const auto type = static_cast<CoordinatorType>(key_type);
  const auto at = coordinator_of(type, key, context.image);
  if (!at) {
    topics.auto_create(coordinator_topic(type));
    return refusal(key, ErrorCode::COORDINATOR_NOT_AVAILABLE);
  }
  const protocol::PartitionRegistration* partition = context.image.partition(*at);
  const protocol::BrokerRegistration* leader = partition == nullptr ? nullptr : context.image.broker(partition->leader);
  const protocol::BrokerListener* listener =
      leader == nullptr || leader->fenced ? nullptr : leader->listener(exchange.connection().listener());
  if (listener == nullptr) return refusal(key, ErrorCode::COORDINATOR_NOT_AVAILABLE);
  return {.key = key,
          .node_id = leader->id.value(),
          .host = listener->host,
          .port = listener->port,
          .error_code = 0,
          .error_message = ""};
}

}  // namespace

void handle_find_coordinator(BrokerContext& context, TopicRequests& topics, const ExchangePtr& exchange) {
  Request request;
  if (!exchange->decode(request)) return;
  Response response;
  if (exchange->version() < kBatchesFrom) {
    const Coordinator found = find(context, topics, *exchange, request.key_type, request.key);
    response.error_code = found.error_code;
    response.error_message = message_of(static_cast<ErrorCode>(found.error_code));
    response.node_id = found.node_id;
    response.host = found.host;
    response.port = found.port;
    return exchange->respond(response);
  }
  response.coordinators = exchange->arena().make_span<Coordinator>(request.coordinator_keys.size());
  for (std::size_t i = 0; i < response.coordinators.size(); ++i) {
    response.coordinators[i] = find(context, topics, *exchange, request.key_type, request.coordinator_keys[i]);
  }
  exchange->respond(response);
}

}  // namespace verdict::broker
