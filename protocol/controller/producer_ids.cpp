#include <limits>

#include "protocol/controller/state.h"

// Blocks of producer ids (KIP-730): each goes to one life of one broker, and never to anybody again.
namespace verdict::controller {
namespace {

constexpr std::int64_t kBlockSize = 1000;  // Kafka's PRODUCER_ID_BLOCK_SIZE

}  // namespace

wire::AllocateProducerIdsResponse Controller::State::allocate_producer_ids(const events_in::AllocateProducerIds& event,
                                                                           Effects& out) {
  const wire::AllocateProducerIdsRequest& request = event.request;
  if (const ErrorCode error = check_broker_epoch(request.broker_id, request.broker_epoch, out);
      error != ErrorCode::NONE) {
    return {.error_code = code(error)};
  }
  const std::int64_t first = image.next_producer_id();
  if (first > std::numeric_limits<std::int64_t>::max() - kBlockSize) {
    log(out, true, "all producer ids are given away");
    return {.error_code = code(ErrorCode::UNKNOWN_SERVER_ERROR)};
  }
  append(
      {protocol::records::ProducerIds{
          .broker = NodeId(request.broker_id), .epoch = BrokerEpoch(request.broker_epoch), .next = first + kBlockSize}},
      out);
  return {.producer_id_start = first, .producer_id_len = kBlockSize};
}

}  // namespace verdict::controller
