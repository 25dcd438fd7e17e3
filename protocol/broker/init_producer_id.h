#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"

namespace verdict::broker {

// InitProducerId of an idempotent producer: a new producer id, epoch 0, whatever it had before. With a transactional id
// the request goes to BrokerContext::init_transactional_id.
void handle_init_producer_id(BrokerContext& context, const ExchangePtr& exchange);

}  // namespace verdict::broker
