#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "protocol/broker/topic_requests.h"

namespace verdict::broker {

// FindCoordinator (KIP-699: many keys at once from version 4). The first who asks has the internal topic made, and gets
// COORDINATOR_NOT_AVAILABLE until it is there; as long as there are too few brokers for it, too.
void handle_find_coordinator(BrokerContext& context, TopicRequests& topics, const ExchangePtr& exchange);

}  // namespace verdict::broker
