#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "protocol/broker/exchange.h"
#include "protocol/broker/fetch_session.h"
#include "protocol/broker/producer_ids.h"
#include "protocol/broker/replica_manager.h"
#include "protocol/broker/transaction_verifier.h"
#include "protocol/client/rpc.h"
#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"

namespace verdict::broker {

// What the handlers of client requests work on. All of it outlives them.
struct BrokerContext {
  Runtime& runtime;
  const protocol::BrokerConfig& config;
  const std::string& cluster_id;
  const protocol::MetadataImage& image;
  ReplicaManager& replicas;
  FetchSessions& sessions;
  client::RpcChannel& controller;
  ProducerIds& producer_ids;
  TransactionVerifier& verifier;
  protocol::Observer* observer;

  NodeId self() const { return config.node_id(); }
};

// The partition that a request means, if this broker hosts it. By name where `topic_name` is not empty, else by id.
// Errors: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, NOT_LEADER_OR_FOLLOWER (known, hosted elsewhere or not open
// yet).
std::expected<PartitionPtr, ErrorCode> locate(const BrokerContext& context, std::string_view topic_name,
                                              const Uuid& topic_id, std::int32_t index, bool by_id);

}  // namespace verdict::broker
