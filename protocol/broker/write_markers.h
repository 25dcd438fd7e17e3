#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_set.h"

namespace verdict::broker {

// WriteTxnMarkers: each marker to each of its partitions that this broker leads; answered once they are committed. A
// marker in a partition of __consumer_offsets completes offsets there before it is acknowledged (KAFKA-17507).
Task<void> handle_write_txn_markers(BrokerContext* context, CoordinatorSet* groups, ExchangePtr exchange);

}  // namespace verdict::broker
