#pragma once

#include <cstdint>

#include "protocol/client/rpc.h"
#include "protocol/wire/errors.h"

namespace verdict::client {

using wire::ErrorCode;

// A fault as Kafka's clients name it.
constexpr ErrorCode to_error(RpcFault fault) {
  switch (fault) {
    case RpcFault::not_connected:
    case RpcFault::disconnected:
      return ErrorCode::NETWORK_EXCEPTION;
    case RpcFault::timed_out:
      return ErrorCode::REQUEST_TIMED_OUT;
    case RpcFault::malformed:
      return ErrorCode::UNKNOWN_SERVER_ERROR;
    case RpcFault::not_encodable:
      return ErrorCode::UNSUPPORTED_VERSION;
  }
  return ErrorCode::UNKNOWN_SERVER_ERROR;
}

// The request may have been executed.
constexpr bool maybe_executed(RpcFault fault) {
  return fault != RpcFault::not_connected && fault != RpcFault::not_encodable;
}

// A Produce answer that says for sure that nothing was or will be appended by this attempt. Every other error is
// ambiguous: NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND by their nature, and those
// of a partition that failed or went away, which a waiter also gets after its append.
bool definitely_not_appended(ErrorCode error);

// Newer metadata may lead elsewhere, where the request succeeds.
bool metadata_may_cure(ErrorCode error);

// Another broker may be the coordinator by now; the one that was asked may have done it all the same.
bool coordinator_moved(ErrorCode error);

// Of an answer by topic: the first error of any partition.
template <class Topics>
ErrorCode first_error(const Topics& topics) {
  for (const auto& topic : topics) {
    for (const auto& partition : topic.partitions) {
      if (partition.error_code != 0) return wire::error_from_code(partition.error_code);
    }
  }
  return ErrorCode::NONE;
}

}  // namespace verdict::client
