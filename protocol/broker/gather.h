#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/broker/exchange.h"
#include "protocol/wire/errors.h"

namespace verdict::broker {

// A request that several coordinators answer, each a part of it.
template <class Request, class Response>
struct Gather {
  ExchangePtr exchange;
  Request request;
  std::vector<std::shared_ptr<wire::Message<Response>>> parts;  // in the order that they were asked; null: refused
  std::vector<wire::ErrorCode> errors;                          // of the refused ones, at the same places
  std::size_t missing = 1;                                      // the last is its maker's own
  void (*finish)(Gather&) = nullptr;

  void done() {
    if (--missing == 0) finish(*this);
  }
};

// Null: the request can't be read, which is answered. Whoever has asked for all parts calls done().
template <class Request, class Response>
std::shared_ptr<Gather<Request, Response>> begin_gather(const ExchangePtr& exchange,
                                                        void (*finish)(Gather<Request, Response>&)) {
  auto gather = std::make_shared<Gather<Request, Response>>();
  gather->exchange = exchange;
  gather->finish = finish;
  if (!exchange->decode(gather->request)) return nullptr;
  return gather;
}

// Takes what one more coordinator says: a variant that holds a Message<Response>, or an error.
template <class Request, class Response>
auto part_of(std::shared_ptr<Gather<Request, Response>> gather) {
  const std::size_t place = gather->parts.size();
  gather->parts.emplace_back();
  gather->errors.push_back(wire::ErrorCode::NONE);
  ++gather->missing;
  return [gather = std::move(gather), place](auto said) {
    if (said) {
      gather->parts[place] =
          std::make_shared<wire::Message<Response>>(std::move(std::get<wire::Message<Response>>(*said)));
    } else {
      gather->errors[place] = said.error();
    }
    gather->done();
  };
}

}  // namespace verdict::broker
