#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "protocol/client/rpc.h"
#include "protocol/replication/types.h"
#include "protocol/types.h"
#include "protocol/wire/errors.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace verdict::broker {

struct IsrProposal {
  replication::ProposalId id;  // comes back with the result
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::vector<std::pair<NodeId, BrokerEpoch>> isr;  // with the broker epochs of the fetches that justify it (KIP-903)
};

struct IsrDecision {
  NodeId leader;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  NodeIds isr;
};

// NETWORK_EXCEPTION stands for an answer that never came: the outcome is unknown.
using IsrResult = std::expected<IsrDecision, wire::ErrorCode>;

// Sends what leaders propose as AlterPartition: one request in flight a broker, all that waits goes into the next one.
// At most one proposal a partition (the replica's rule). Every proposal gets exactly one result.
class IsrSender {
 public:
  using OnResult = std::function<void(PartitionKey, replication::ProposalId, const IsrResult&)>;
  IsrSender(Runtime& runtime, client::RpcChannel& controller, NodeId self, std::function<BrokerEpoch()> broker_epoch,
            OnResult on_result);
  IsrSender(const IsrSender&) = delete;
  IsrSender& operator=(const IsrSender&) = delete;

  void start() { scope_.spawn(run()); }
  void propose(PartitionKey partition, IsrProposal proposal);
  Task<void> stop();

 private:
  using Batch = std::map<PartitionKey, IsrProposal>;
  Task<void> run();
  Task<bool> send(Batch batch);  // false: wait before the next

  Runtime* runtime_;
  client::RpcChannel* controller_;
  NodeId self_;
  std::function<BrokerEpoch()> broker_epoch_;
  OnResult on_result_;
  Batch waiting_;
  bool stopping_ = false;
  Signal wake_;
  Scope scope_;
};

}  // namespace verdict::broker
