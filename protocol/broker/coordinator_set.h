#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "protocol/broker/coordinator_partition.h"

namespace verdict::broker {

// The partitions of one coordinator's topic that this broker leads, each with its machine.
class CoordinatorSet {
 public:
  using Ptr = std::shared_ptr<CoordinatorPartition>;
  using Make = std::function<Ptr(CoordinatorPartition::Context, PartitionPtr, LeaderEpoch)>;
  CoordinatorSet(Runtime& runtime, ReplicaManager& replicas, std::string topic, Make make);
  CoordinatorSet(const CoordinatorSet&) = delete;
  CoordinatorSet& operator=(const CoordinatorSet&) = delete;

  const std::string& topic() const { return topic_; }
  // What a partition's role may have changed to; of other topics too.
  void role_changed(const PartitionPtr& partition);
  // The machine that answers for a partition, or what a client is told: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS.
  std::expected<Ptr, ErrorCode> find(std::int32_t index) const;
  const std::map<std::int32_t, Ptr>& all() const { return led_; }
  void drop_all();  // open requests are answered
  Task<void> stop();

 private:
  void lost(CoordinatorPartition& partition);
  Task<void> reload(PartitionPtr partition);

  Runtime* runtime_;
  ReplicaManager* replicas_;
  std::string topic_;
  Make make_;
  std::map<std::int32_t, Ptr> led_;
  bool stopping_ = false;
  Signal stop_;
  Scope scope_;
};

}  // namespace verdict::broker
