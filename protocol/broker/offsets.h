#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "runtime/task.h"

namespace verdict::broker {

Task<void> handle_list_offsets(BrokerContext* context, ExchangePtr exchange);
void handle_offset_for_leader_epoch(BrokerContext& context, const ExchangePtr& exchange);

}  // namespace verdict::broker
