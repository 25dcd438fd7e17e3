#include "protocol/broker/coordinator_set.h"

#include <utility>

namespace verdict::broker {
namespace {

constexpr Duration kReloadBackoff = 100ms;

}  // namespace

CoordinatorSet::CoordinatorSet(Runtime& runtime, ReplicaManager& replicas, std::string topic, Make make)
    : runtime_(&runtime),
      replicas_(&replicas),
      topic_(std::move(topic)),
      make_(std::move(make)),
      stop_(runtime),
      scope_(runtime) {}

void CoordinatorSet::role_changed(const PartitionPtr& partition) {
  if (stopping_ || partition->topic() != topic_) return;
  const std::int32_t index = partition->key().index;
  const bool leads = !partition->removed() && partition->opened() && partition->replica().is_leader();
  const LeaderEpoch epoch = partition->replica().leader_epoch();
  if (const auto at = led_.find(index); at != led_.end()) {
    if (leads && at->second->partition() == partition && at->second->epoch() == epoch) return;
    const Ptr old = at->second;
    led_.erase(at);
    old->drop();
  }
  if (!leads) return;
  const Ptr made = make_({.runtime = runtime_,
                          .replicas = replicas_,
                          .scope = &scope_,
                          .lost = [this](CoordinatorPartition& lost_one) { lost(lost_one); }},
                         partition, epoch);
  led_[index] = made;
  made->start();
}

void CoordinatorSet::lost(CoordinatorPartition& partition) {
  if (stopping_) return;
  if (const auto at = led_.find(partition.index()); at != led_.end() && at->second.get() == &partition) led_.erase(at);
  scope_.spawn(reload(partition.partition()));
}

Task<void> CoordinatorSet::reload(PartitionPtr partition) {
  co_await stop_.wait_until(runtime_->now() + kReloadBackoff);
  role_changed(partition);
}

std::expected<CoordinatorSet::Ptr, ErrorCode> CoordinatorSet::find(std::int32_t index) const {
  const auto at = led_.find(index);
  if (at == led_.end()) return std::unexpected(ErrorCode::NOT_COORDINATOR);
  if (const ErrorCode refusal = at->second->refusal(); refusal != ErrorCode::NONE) return std::unexpected(refusal);
  return at->second;
}

void CoordinatorSet::drop_all() {
  stopping_ = true;
  stop_.notify();
  for (const auto& [index, partition] : std::exchange(led_, {})) partition->drop();
}

Task<void> CoordinatorSet::stop() {
  drop_all();
  co_await scope_.join();
}

}  // namespace verdict::broker
