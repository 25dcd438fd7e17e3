#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "protocol/broker/topic_requests.h"

// Requests that are answered from the broker's metadata alone.
namespace verdict::broker {

void handle_api_versions(BrokerContext& context, const ExchangePtr& exchange);
void handle_metadata(BrokerContext& context, TopicRequests& topics, const ExchangePtr& exchange);
void handle_describe_cluster(BrokerContext& context, const ExchangePtr& exchange);
void handle_describe_configs(BrokerContext& context, const ExchangePtr& exchange);

}  // namespace verdict::broker
