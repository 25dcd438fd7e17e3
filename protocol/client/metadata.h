#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/errors.h"
#include "protocol/types.h"
#include "runtime/signal.h"

namespace verdict::wire {
struct MetadataResponse;
}

namespace verdict::client {

struct PartitionInfo {
  ErrorCode error = ErrorCode::NONE;
  NodeId leader = kNoNode;
  LeaderEpoch epoch = kNoEpoch;
  NodeIds replicas;
  NodeIds isr;
};

struct TopicInfo {
  ErrorCode error = ErrorCode::NONE;
  Uuid id;                                // zero if the broker is too old to say
  std::vector<PartitionInfo> partitions;  // by index
};

struct Leader {
  NodeId node;
  LeaderEpoch epoch;
};

// What one client knows of the cluster: nodes, and the partitions of the topics that it wants. Refreshed when it is
// older than metadata.max.age.ms at a use, or when someone saw an error that a newer one may cure. An answer with an
// older leader epoch of the same topic id than what is known is not believed (KIP-320).
class Metadata {
 public:
  Metadata(Runtime& runtime, Connections& connections, const ClientOptions& options);

  void want(std::string_view topic);                    // asked for at each refresh from now on
  const TopicInfo* topic(std::string_view name) const;  // null: not known (yet); valid until the next refresh
  std::optional<Leader> leader(std::string_view topic, std::int32_t partition) const;  // if there is one
  // KIP-951: a broker's word on who leads; taken if its epoch is newer than what is known.
  void hint(std::string_view topic, std::int32_t partition, Leader leader);

  // Something looked stale: the next refresh_if_stale refreshes.
  void make_stale() { stale_ = true; }
  bool stale() const;
  std::uint64_t generation() const { return generation_; }  // counts answers
  const std::string& cluster_id() const { return cluster_id_; }

  // One refresh, shared by all who ask while it is under way; waits out the back-off since the last one. Tries other
  // nodes until the deadline. Errors: REQUEST_TIMED_OUT, UNSUPPORTED_VERSION, NETWORK_EXCEPTION (closed).
  Task<ErrorCode> refresh(MonoTime deadline);
  // Ends the waits of refresh.
  void close();

 private:
  Task<ErrorCode> ask(MonoTime deadline);
  Task<ErrorCode> ask_one(std::shared_ptr<RpcChannel> channel, MonoTime deadline);
  void take(const wire::MetadataResponse& response);

  Runtime* runtime_;
  Connections* connections_;
  const ClientOptions* options_;
  std::map<std::string, TopicInfo, std::less<>> topics_;
  std::vector<std::string> wanted_;  // sorted
  std::string cluster_id_;
  bool stale_ = true;
  bool closed_ = false;
  bool refreshing_ = false;
  std::uint64_t generation_ = 0;
  int failures_ = 0;
  MonoTime refreshed_{};   // the last answer
  MonoTime not_before_{};  // the back-off's end
  Signal refreshed_signal_;
};

}  // namespace verdict::client
