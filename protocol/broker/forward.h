#pragma once

#include "protocol/broker/context.h"
#include "protocol/broker/exchange.h"

namespace verdict::broker {

constexpr Duration kControllerTimeout = 30s;  // request.timeout.ms towards the controller

// What the controller decides goes to it under the client's own request and version, and so does its answer back.
template <wire::WireMessage Response, wire::WireMessage Request>
Task<void> forward_to_controller(BrokerContext* context, ExchangePtr exchange) {
  Request request;
  if (!exchange->decode(request)) co_return;
  auto answer = co_await context->controller.call<Response>(exchange->version(), request,
                                                            context->runtime.now() + kControllerTimeout);
  if (answer) {
    exchange->respond((*answer).value);
  } else {
    // As Kafka's forwarding does when the controller stays unreachable: the client tries again on another connection.
    exchange->close("the controller did not answer a forwarded request");
  }
}

}  // namespace verdict::broker
