#pragma once

#include "protocol/wire/arena.h"
#include "protocol/wire/gen/produce.h"

namespace verdict::broker {

// Asks for an append to partition 0 of topic "t", as transactional id "tx". The batch is not copied.
inline wire::ProduceRequest produce_request(wire::Arena& arena, wire::Bytes batch) {
  wire::ProduceRequest request{.transactional_id = "tx", .acks = -1, .timeout_ms = 10'000};
  request.topic_data = arena.make_span<wire::ProduceRequest::TopicProduceData>(1);
  request.topic_data[0].name = "t";
  request.topic_data[0].partition_data = arena.make_span<wire::ProduceRequest::PartitionProduceData>(1);
  request.topic_data[0].partition_data[0].records = wire::Records::of(batch);
  return request;
}

}  // namespace verdict::broker
