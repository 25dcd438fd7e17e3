#include "protocol/broker/init_producer_id.h"

#include "protocol/wire/gen/init_producer_id.h"

namespace verdict::broker {
namespace {

constexpr int kHighestVersion = 5;  // 6 is unstable in Kafka 4.1 (KIP-939), which closes the connection

void refuse(Exchange& exchange, ErrorCode error) {
  wire::InitProducerIdResponse response;
  response.error_code = static_cast<std::int16_t>(error);
  response.producer_id = -1;
  response.producer_epoch = -1;
  exchange.respond(response);
}

}  // namespace

void handle_init_producer_id(BrokerContext& context, TransactionRequests& transactions, const ExchangePtr& exchange) {
  if (exchange->version() > kHighestVersion) return exchange->close("InitProducerId: there is no such version");
  wire::InitProducerIdRequest request;
  if (!exchange->decode(request)) return;
  // The epoch of an id, and an id without its epoch, mean nothing.
  if ((request.producer_id == -1) != (request.producer_epoch == -1))
    return refuse(*exchange, ErrorCode::INVALID_REQUEST);
  if (request.transactional_id) {
    if (request.transactional_id->empty()) return refuse(*exchange, ErrorCode::INVALID_REQUEST);
    return transactions.init_producer_id(exchange, request);
  }
  const auto id = context.producer_ids.next();
  if (!id) return refuse(*exchange, id.error());
  wire::InitProducerIdResponse response;
  response.producer_id = *id;
  response.producer_epoch = 0;
  exchange->respond(response);
}

}  // namespace verdict::broker
