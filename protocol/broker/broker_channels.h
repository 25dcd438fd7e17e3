#pragma once

#include <map>
#include <memory>
#include <string>

#include "protocol/client/rpc.h"
#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"
#include "runtime/scope.h"

namespace verdict::broker {

// One channel to each other broker (and to this one), at its inter-broker listener, made when it is first asked for.
class BrokerChannels {
 public:
  BrokerChannels(Runtime& runtime, const protocol::BrokerConfig& config, const protocol::MetadataImage& image,
                 std::string purpose);
  BrokerChannels(const BrokerChannels&) = delete;
  BrokerChannels& operator=(const BrokerChannels&) = delete;

  // Null: it has no address now. Shared, so that a call in flight survives a change of address.
  std::shared_ptr<client::RpcChannel> to(NodeId node);
  Task<void> stop();  // calls in flight fail

 private:
  static Task<void> retire(std::shared_ptr<client::RpcChannel> channel);

  Runtime* runtime_;
  const protocol::BrokerConfig* config_;
  const protocol::MetadataImage* image_;
  std::string purpose_;
  std::map<NodeId, std::shared_ptr<client::RpcChannel>> channels_;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace verdict::broker
