#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "protocol/broker/transaction_requests.h"

namespace verdict::broker {

// InitProducerId of an idempotent producer: a new producer id, epoch 0, whatever it had before. With a transactional id
// its coordinator answers.
void handle_init_producer_id(BrokerContext& context, TransactionRequests& transactions, const ExchangePtr& exchange);

}  // namespace verdict::broker
