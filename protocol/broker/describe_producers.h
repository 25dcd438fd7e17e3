#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"

namespace verdict::broker {

// KIP-664: what the partitions' replicas here know of their producers, leading or not.
void handle_describe_producers(BrokerContext& context, const ExchangePtr& exchange);

}  // namespace verdict::broker
