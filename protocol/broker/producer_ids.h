#pragma once

#include <cstdint>
#include <expected>
#include <functional>

#include "protocol/client/rpc.h"
#include "protocol/types.h"
#include "protocol/wire/errors.h"
#include "runtime/scope.h"

namespace verdict::broker {

// This broker's producer ids, out of blocks that the controller gives it (AllocateProducerIds, KIP-730). An id is given
// once and never again, by whomever; what a broker has not given when it stops is lost. The next block is asked for
// when 10% of a block is left.
class ProducerIds {
 public:
  // timeout: request.timeout.ms, of the requests to the controller
  ProducerIds(Runtime& runtime, client::RpcChannel& controller, NodeId self, std::function<BrokerEpoch()> epoch,
              Duration timeout)
      : runtime_(&runtime),
        controller_(&controller),
        self_(self),
        epoch_(std::move(epoch)),
        timeout_(timeout),
        scope_(runtime) {}
  ProducerIds(const ProducerIds&) = delete;
  ProducerIds& operator=(const ProducerIds&) = delete;

  // COORDINATOR_LOAD_IN_PROGRESS: there is none at hand; a block is on its way, and the client asks again.
  std::expected<std::int64_t, wire::ErrorCode> next();
  Task<void> stop();  // after the channel to the controller was closed

 private:
  struct Block {
    std::int64_t first = 0;
    std::int64_t size = 0;
    std::int64_t given = 0;
    std::int64_t left() const { return size - given; }
  };
  void want_block();
  Task<void> fetch_block();

  Runtime* runtime_;
  client::RpcChannel* controller_;
  NodeId self_;
  std::function<BrokerEpoch()> epoch_;
  Duration timeout_;
  Block block_;
  Block next_block_;
  std::int64_t highest_ = -1;  // of all ids that the controller gave to this broker
  bool fetching_ = false;
  MonoTime not_before_ = MonoTime::min();
  Scope scope_;
};

}  // namespace verdict::broker
