#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "protocol/broker/broker_channels.h"
#include "protocol/config_keys.h"
#include "protocol/metadata_image.h"
#include "protocol/topic_partition.h"
#include "protocol/wire/errors.h"
#include "runtime/scope.h"
#include "storage/txn_marker.h"

namespace verdict::broker {

// Carries end-transaction markers to the leaders of the partitions that a transaction touched (WriteTxnMarkers): one
// request in flight a broker, all that waits goes into the next one. This broker's own partitions are no exception.
class MarkerSender {
 public:
  // Not a code of WriteTxnMarkers: this broker's metadata does not have the partition any more. (A leader that does not
  // know it may only be behind.)
  static constexpr wire::ErrorCode kGone = wire::ErrorCode::UNKNOWN_TOPIC_ID;
  // Each partition once. NONE: its marker is committed there. kGone: there is nothing to mark.
  // NETWORK_EXCEPTION: it has no leader with an address now, or no answer came.
  using Results = std::vector<std::pair<TopicPartition, wire::ErrorCode>>;
  using OnResults = std::function<void(const Results&)>;

  MarkerSender(Runtime& runtime, const protocol::BrokerConfig& config, const protocol::MetadataImage& image);
  MarkerSender(const MarkerSender&) = delete;
  MarkerSender& operator=(const MarkerSender&) = delete;

  // May call back within this call for partitions without a leader; one call of `done` a broker.
  void send(const storage::TxnMarker& marker, const std::vector<TopicPartition>& partitions, const OnResults& done);
  Task<void> stop();

 private:
  struct Waiting {
    storage::TxnMarker marker;
    std::vector<TopicPartition> partitions;
    OnResults done;
  };
  struct Outbox {
    std::vector<Waiting> waiting;
    bool sending = false;
  };

  Task<void> run(NodeId leader);
  Task<void> send_batch(NodeId leader, std::vector<Waiting> batch);

  Runtime* runtime_;
  const protocol::MetadataImage* image_;
  Duration timeout_;  // of a request, which a leader that is gone without a word may never answer
  BrokerChannels channels_;
  std::map<NodeId, Outbox> outboxes_;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace verdict::broker
