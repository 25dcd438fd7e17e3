#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_partition.h"
#include "protocol/broker/coordinators.h"

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

// The coordinators of groups or of transactions, asked by a group's or a transaction's id.
template <class Partition>
class Coordinators : public CoordinatorSet {
 public:
  Coordinators(BrokerContext& context, CoordinatorType type, Make make)
      : CoordinatorSet(context.runtime, context.replicas, std::string(coordinator_topic(type)), std::move(make)),
        image_(&context.image),
        type_(type) {}

  std::expected<std::shared_ptr<Partition>, ErrorCode> of(std::string_view id) const {
    const auto key = coordinator_of(type_, id, *image_);
    if (!key) return std::unexpected(ErrorCode::NOT_COORDINATOR);
    const auto found = find(key->index);
    if (!found) return std::unexpected(found.error());
    return std::static_pointer_cast<Partition>(*found);
  }

  // Asks the coordinator of `id` with the event of make(token), or tells `answer` why it can't be asked.
  template <class MakeEvent>
  void ask(std::string_view id, MakeEvent make, typename Partition::Answer answer) const {
    const auto found = of(id);
    if (!found) return answer(std::unexpected(found.error()));
    (*found)->ask(std::move(make), std::move(answer));
  }

  // As ask(), each coordinator of this broker, with the answer that make_answer() makes for it.
  template <class MakeEvent, class MakeAnswer>
  void ask_each(MakeEvent make, MakeAnswer make_answer) const {
    each([&](Partition& coordinator) {
      const typename Partition::Answer answer = make_answer();
      if (const ErrorCode refusal = coordinator.refusal(); refusal != ErrorCode::NONE)
        return answer(std::unexpected(refusal));
      coordinator.ask(make, answer);
    });
  }

  // Those of now, whatever visit() changes.
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [index, partition] : std::map(all())) visit(static_cast<Partition&>(*partition));
  }

 private:
  const protocol::MetadataImage* image_;
  CoordinatorType type_;
};

}  // namespace verdict::broker
