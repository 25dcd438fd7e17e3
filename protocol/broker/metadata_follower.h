#pragma once

#include <functional>
#include <string>

#include "protocol/client/rpc.h"
#include "protocol/events.h"
#include "protocol/metadata_image.h"
#include "protocol/types.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "storage/batch.h"

namespace verdict::broker {

// The id of __cluster_metadata, the same in every cluster.
constexpr Uuid kMetadataTopicId{.high = 0, .low = 1};

// A broker's copy of the cluster's metadata: pulls the controllers' log like any follower, applies what is committed,
// and publishes it to the node's parts in order. It starts from the log's beginning at every start of the process, and
// publishes nothing before it has all that is committed (MetadataLoader's catching up): on its way there it passes
// through the past, in which this broker may lead with an ISR that has long grown.
class MetadataFollower {
 public:
  // Takes what a batch of records touched; the image already shows it. Returns when the node acts on it.
  using Publish = std::function<Task<void>(const protocol::MetadataDelta* delta)>;

  MetadataFollower(Runtime& runtime, Endpoint controller, NodeId self, std::function<BrokerEpoch()> broker_epoch,
                   Publish publish, protocol::Observer* observer);
  MetadataFollower(const MetadataFollower&) = delete;
  MetadataFollower& operator=(const MetadataFollower&) = delete;

  void start() { scope_.spawn(run()); }
  Task<void> stop();
  const protocol::MetadataImage& image() const { return image_; }
  Offset published_end() const { return published_end_; }  // one past the last record that the node acts on
  Signal& changed() { return changed_; }

 private:
  Task<void> run();
  Task<bool> fetch_once();
  bool apply(storage::Bytes records, Offset high_watermark);
  bool ready_to_publish();
  bool apply_batch(const storage::BatchView& batch);

  Runtime* runtime_;
  NodeId self_;
  std::function<BrokerEpoch()> broker_epoch_;
  Publish publish_;
  protocol::Observer* observer_;
  client::RpcChannel channel_;
  storage::Decompressor decompressor_;
  protocol::MetadataImage image_;
  protocol::MetadataDelta delta_;
  Offset next_{0};
  LeaderEpoch last_epoch_ = kNoEpoch;
  Offset published_end_{0};
  Offset high_watermark_{-1};  // as the last answer told it
  bool catching_up_ = true;    // since the start of the process
  bool stopping_ = false;
  Signal changed_;
  Signal wake_;
  Scope scope_;
};

}  // namespace verdict::broker
