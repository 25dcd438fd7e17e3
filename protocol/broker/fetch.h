#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "runtime/task.h"

namespace verdict::broker {

// Fetch, for consumers and followers alike: waits for data as long as the request allows, then answers file ranges.
Task<void> handle_fetch(BrokerContext* context, ExchangePtr exchange);

}  // namespace verdict::broker
