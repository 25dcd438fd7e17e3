#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "protocol/broker/partition.h"
#include "protocol/client/rpc.h"
#include "protocol/wire/gen/fetch.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace verdict::broker {

struct FetcherOptions {
  NodeId self;
  std::string client_id;
  Duration wait_max = 500ms;               // replica.fetch.wait.max.ms
  std::int32_t min_bytes = 1;              // replica.fetch.min.bytes
  std::int32_t max_bytes = 10 << 20;       // replica.fetch.response.max.bytes
  std::int32_t partition_bytes = 1 << 20;  // replica.fetch.max.bytes
  Duration backoff = 1s;                   // replica.fetch.backoff.ms
  Duration socket_timeout = 30s;           // replica.socket.timeout.ms
  Duration connect_timeout = 10s;          // socket.connection.setup.timeout.ms
};

// Pulls from one leader for all partitions that follow it, through an incremental fetch session (KIP-227): a request
// names only partitions whose position changed, so idle ones cost nothing in either direction.
class ReplicaFetcher {
 public:
  ReplicaFetcher(Runtime& runtime, FetcherOptions options, Endpoint leader, std::function<BrokerEpoch()> broker_epoch);
  ReplicaFetcher(const ReplicaFetcher&) = delete;
  ReplicaFetcher& operator=(const ReplicaFetcher&) = delete;

  void add(PartitionPtr partition);  // again: its position changed
  void remove(const PartitionKey& key);
  void delay(const PartitionKey& key);  // leave it out for the back-off
  bool empty() const { return followed_.empty(); }
  const Endpoint& leader() const { return channel_.endpoint(); }
  client::RpcChannel& channel() { return channel_; }
  Task<void> stop();

 private:
  struct Followed {
    PartitionPtr partition;
    std::optional<replication::FetchPosition> sent;  // what the session knows
    std::optional<MonoTime> delayed_until;
  };
  using Request = wire::FetchRequest;
  using Response = wire::FetchResponse;

  Task<void> run();
  MonoTime release_delayed(MonoTime now);
  Request build(wire::Arena& arena);
  void list_wanted(wire::Arena& arena, Request& request);
  void list_forgotten(wire::Arena& arena, Request& request);
  Task<bool> fetch_once();
  void process(const Response& response);
  void reset_session();

  Runtime* runtime_;
  FetcherOptions options_;
  std::function<BrokerEpoch()> broker_epoch_;
  client::RpcChannel channel_;
  std::map<PartitionKey, Followed> followed_;
  std::set<PartitionKey> changed_;    // position differs from what the session knows, or may
  std::set<PartitionKey> forgotten_;  // in the session, not wanted any more
  std::set<PartitionKey> delayed_;
  std::int32_t session_id_ = 0;
  std::int32_t session_epoch_ = 0;
  bool stopping_ = false;
  Signal wake_;
  Scope scope_;
};

}  // namespace verdict::broker
