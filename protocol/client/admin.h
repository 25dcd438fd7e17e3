#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/consumer.h"
#include "protocol/client/errors.h"
#include "protocol/client/metadata.h"

namespace verdict::client {

struct AdminError {
  ErrorCode error = ErrorCode::UNKNOWN_SERVER_ERROR;
  std::string message;  // the broker's, if it said something
};
template <class T>
using AdminResult = std::expected<T, AdminError>;

struct NewTopic {
  std::string name;
  std::int32_t partitions = -1;                // -1: the broker's num.partitions
  std::int16_t replication_factor = -1;        // -1: the broker's default.replication.factor
  std::map<std::int32_t, NodeIds> assignment;  // by partition, in place of the two numbers
  std::map<std::string, std::string> configs;
};

struct ClusterNode {
  NodeId id;
  Endpoint endpoint;
  std::optional<std::string> rack;
};
struct ClusterDescription {
  std::string cluster_id;
  NodeId controller = kNoNode;
  std::vector<ClusterNode> nodes;
};

struct ListedOffset {
  Offset offset;
  std::int64_t timestamp = -1;
  LeaderEpoch epoch = kNoEpoch;
};
constexpr std::int64_t kLatestTimestamp = -1;
constexpr std::int64_t kEarliestTimestamp = -2;

struct ConfigEntry {
  std::string name;
  std::optional<std::string> value;
  bool read_only = false;
  bool sensitive = false;
  std::int8_t source = -1;  // Kafka's ConfigSource: 1 topic, 4 static broker, 5 default, ...
};
enum class ConfigResource : std::int8_t { topic = 2, broker = 4 };

// Requests that change or describe the cluster. Each tries nodes until one answers or the deadline comes; a change is
// repeated only if no attempt can have been executed. Ends with close() on the real machine.
class Admin {
 public:
  Admin(Runtime& runtime, const ClientOptions& client);
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  Task<AdminResult<Uuid>> create_topic(NewTopic topic, MonoTime deadline);  // its id; zero from old brokers
  Task<AdminResult<void>> delete_topic(std::string name, MonoTime deadline);
  // UpdateFeatures to a lower level, if no metadata is lost by it.
  Task<AdminResult<void>> lower_feature(std::string name, std::int16_t level, MonoTime deadline);
  Task<AdminResult<ClusterDescription>> describe_cluster(MonoTime deadline);
  Task<AdminResult<TopicInfo>> describe_topic(std::string name, MonoTime deadline);
  // timestamp: ms, kLatestTimestamp or kEarliestTimestamp. Offset kNoOffset: no record is as young.
  Task<AdminResult<ListedOffset>> list_offset(TopicPartition partition, std::int64_t timestamp, MonoTime deadline);
  Task<AdminResult<std::vector<ConfigEntry>>> describe_configs(ConfigResource kind, std::string name,
                                                               MonoTime deadline);
  Task<void> close();
  Metadata& metadata() { return metadata_; }

 private:
  enum class Repeat : std::uint8_t { never, if_not_executed, always };
  template <class Response, class Request, class Make>
  Task<AdminResult<wire::Message<Response>>> ask(NodeId node, Repeat repeat, MonoTime deadline, Make make);
  std::shared_ptr<RpcChannel> channel_to(NodeId node, int failures);  // kNoNode: any
  Task<bool> pause(int failures, MonoTime deadline);

  Runtime* runtime_;
  ClientOptions client_;
  Connections connections_;
  Metadata metadata_;
  Signal closed_signal_;
  bool closed_ = false;
};

}  // namespace verdict::client
