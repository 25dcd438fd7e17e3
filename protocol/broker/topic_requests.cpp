#include "protocol/broker/topic_requests.h"

#include <fmt/format.h>

#include "protocol/broker/coordinators.h"
#include "protocol/broker/forward.h"
#include "protocol/controller/topic_rules.h"
#include "protocol/wire/gen/create_topics.h"
#include "protocol/wire/gen/delete_topics.h"

namespace verdict::broker {
namespace {

constexpr int kCreateVersion = 7;

}  // namespace

void TopicRequests::create(const ExchangePtr& exchange) {
  scope_.spawn(forward_to_controller<wire::CreateTopicsResponse, wire::CreateTopicsRequest>(context_, exchange));
}

void TopicRequests::remove(const ExchangePtr& exchange) {
  scope_.spawn(forward_to_controller<wire::DeleteTopicsResponse, wire::DeleteTopicsRequest>(context_, exchange));
}

ErrorCode TopicRequests::auto_create(std::string_view topic) {
  if (controller::bad_topic_name(topic)) return ErrorCode::INVALID_TOPIC_EXCEPTION;
  if (creating_.emplace(topic).second) scope_.spawn(create_by_default(std::string(topic)));
  return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
}

Task<void> TopicRequests::create_by_default(std::string topic) {
  wire::Arena arena;
  wire::CreateTopicsRequest request;
  request.topics = arena.make_span<wire::CreateTopicsRequest::CreatableTopic>(1);
  request.topics[0].name = topic;
  request.topics[0].num_partitions = -1;
  request.topics[0].replication_factor = -1;
  const auto internal = internal_topic_settings(topic, context_->config);
  if (internal) {
    request.topics[0].num_partitions = internal->partitions;
    request.topics[0].replication_factor = internal->replication_factor;
    request.topics[0].configs =
        arena.make_span<wire::CreateTopicsRequest::CreatableTopicConfig>(internal->configs.size());
    for (std::size_t i = 0; i < internal->configs.size(); ++i) {
      request.topics[0].configs[i] = {.name = internal->configs[i].first, .value = internal->configs[i].second};
    }
  }
  request.timeout_ms = static_cast<std::int32_t>(to_ms(kControllerTimeout));
  auto answer = co_await context_->controller.call<wire::CreateTopicsResponse>(
      kCreateVersion, request, context_->runtime.now() + kControllerTimeout);
  creating_.erase(topic);
  if (!answer || (*answer)->topics.empty()) co_return;
  const auto error = static_cast<ErrorCode>((*answer)->topics[0].error_code);
  if (error != ErrorCode::NONE && error != ErrorCode::TOPIC_ALREADY_EXISTS) {
    context_->runtime.log(LogLevel::info, "AutoTopicCreation",
                          fmt::format("topic {} was not created: {}", topic, wire::to_string(error)));
  }
}

}  // namespace verdict::broker
