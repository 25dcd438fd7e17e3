#include "protocol/broker/describe_producers.h"

#include <optional>
#include <string>

#include "protocol/controller/topic_rules.h"
#include "protocol/wire/gen/describe_producers.h"

namespace verdict::broker {
namespace {

using Request = wire::DescribeProducersRequest;
using Response = wire::DescribeProducersResponse;

std::span<Response::ProducerState> list_producers(wire::Arena& arena, const storage::ProducerState& state) {
  const auto list = arena.make_span<Response::ProducerState>(state.producers().size());
  std::size_t i = 0;
  for (const auto& [id, entry] : state.producers()) {
    list[i++] = {.producer_id = id.value(),
                 .producer_epoch = entry.epoch.value(),
                 .last_sequence = entry.last_sequence(),
                 .last_timestamp = entry.last_timestamp,
                 .coordinator_epoch = entry.coordinator_epoch,
                 .current_txn_start_offset = entry.txn_first.value()};
  }
  return list;
}

Response::PartitionResponse describe(BrokerContext& context, Exchange& exchange, std::string_view topic,
                                     const std::optional<std::string>& bad_name, std::int32_t index) {
  Response::PartitionResponse out;
  out.partition_index = index;
  if (bad_name) {
    out.error_code = static_cast<std::int16_t>(ErrorCode::INVALID_TOPIC_EXCEPTION);
    out.error_message = exchange.arena().copy(*bad_name);
    return out;
  }
  const auto found = locate(context, topic, {}, index, false);
  if (found) {
    out.active_producers = list_producers(exchange.arena(), (*found)->log().producers());
  } else {
    out.error_code = static_cast<std::int16_t>(found.error());
    // Kafka's words, and only where there is no such topic at all.
    if (context.image.topic(topic) == nullptr) out.error_message = "This server does not host this topic-partition.";
  }
  return out;
}

}  // namespace

void handle_describe_producers(BrokerContext& context, const ExchangePtr& exchange) {
  Request request;
  if (!exchange->decode(request)) return;
  Response response;
  response.topics = exchange->arena().make_span<Response::TopicResponse>(request.topics.size());
  for (std::size_t i = 0; i < request.topics.size(); ++i) {
    const Request::TopicRequest& asked = request.topics[i];
    Response::TopicResponse& out = response.topics[i];
    out.name = asked.name;
    out.partitions = exchange->arena().make_span<Response::PartitionResponse>(asked.partition_indexes.size());
    const auto bad_name = controller::bad_topic_name(asked.name);
    for (std::size_t k = 0; k < asked.partition_indexes.size(); ++k)
      out.partitions[k] = describe(context, *exchange, asked.name, bad_name, asked.partition_indexes[k]);
  }
  exchange->respond(response);
}

}  // namespace verdict::broker
