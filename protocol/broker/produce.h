#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "runtime/task.h"

namespace verdict::broker {

// Produce: appends what it may and answers when acks says so.
Task<void> handle_produce(BrokerContext* context, ExchangePtr exchange);

}  // namespace verdict::broker
