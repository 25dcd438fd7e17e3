#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "protocol/broker/context.h"
#include "protocol/broker/group_requests.h"
#include "protocol/broker/lifecycle.h"
#include "protocol/broker/metadata_follower.h"
#include "protocol/broker/producer_ids.h"
#include "protocol/broker/server.h"
#include "protocol/broker/topic_requests.h"
#include "protocol/broker/transaction_requests.h"

namespace verdict::broker {

// The broker role of a node: registers, follows the metadata, opens its logs, and serves clients once it is unfenced.
class BrokerNode {
 public:
  BrokerNode(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
             std::string cluster_id, Endpoint controller, protocol::Observer* observer);
  BrokerNode(const BrokerNode&) = delete;
  BrokerNode& operator=(const BrokerNode&) = delete;

  // Binds its listeners and begins to register; it serves as soon as the controller lets it.
  Task<std::expected<void, std::string>> start();
  // Controlled shutdown, then an orderly end of everything. Returns whether logs were closed cleanly, and under which
  // broker epoch (kNoBrokerEpoch: never registered).
  struct Stopped {
    bool clean = false;
    BrokerEpoch epoch = kNoBrokerEpoch;
  };
  Task<Stopped> stop();

  bool serving() const { return serving_; }
  const protocol::MetadataImage& image() const { return metadata_->image(); }
  ReplicaManager& replicas() { return *replicas_; }
  const Lifecycle& lifecycle() const { return *lifecycle_; }
  std::vector<ListenerAddress> addresses() const;  // bound, as advertised

 private:
  void dispatch(ExchangePtr exchange);
  Task<void> serve_when_unfenced();
  Task<void> publish(const protocol::MetadataDelta* delta);
  std::expected<std::vector<ListenerAddress>, std::string> bind();

  Runtime* runtime_;
  const protocol::BrokerConfig* config_;
  storage::LogDirectory* directory_;
  std::string cluster_id_;
  Endpoint controller_at_;
  protocol::Observer* observer_;
  client::RpcChannel controller_;
  FetchSessions sessions_;
  std::unique_ptr<ProducerIds> producer_ids_;
  std::unique_ptr<TransactionVerifier> verifier_;
  std::unique_ptr<Lifecycle> lifecycle_;
  std::unique_ptr<MetadataFollower> metadata_;
  std::unique_ptr<ReplicaManager> replicas_;
  std::unique_ptr<BrokerContext> context_;
  std::unique_ptr<TopicRequests> topics_;
  std::unique_ptr<GroupRequests> groups_;
  std::unique_ptr<TransactionRequests> transactions_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<ListenerAddress> advertised_;
  bool first_publish_ = true;
  bool serving_ = false;
  bool stopping_ = false;
  Scope handlers_;
  Scope scope_;
};

}  // namespace verdict::broker
