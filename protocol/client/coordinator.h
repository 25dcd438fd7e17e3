#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/client/connections.h"
#include "protocol/client/metadata.h"

namespace verdict::client {

enum class CoordinatorKind : std::int8_t { group = 0, transaction = 1 };

// The way to the coordinator of one group or transactional id: looked up (FindCoordinator) when it is needed and not
// known, which is also after forget().
class CoordinatorLink {
 public:
  CoordinatorLink(Connections& connections, Metadata& metadata, CoordinatorKind kind, std::string key);

  // One attempt: a channel that is connected and knows the node's versions, or null.
  Task<std::shared_ptr<RpcChannel>> get(MonoTime deadline);
  // It said that it isn't the coordinator, or did not answer.
  void forget() {
    node_ = kNoNode;
    ++failures_;
  }

 private:
  Task<bool> find(MonoTime deadline);

  Connections* connections_;
  Metadata* metadata_;
  CoordinatorKind kind_;
  std::string key_;
  NodeId node_ = kNoNode;
  int failures_ = 0;
};

}  // namespace verdict::client
