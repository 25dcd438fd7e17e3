#include "protocol/metadata_image.h"

#include <algorithm>
#include <utility>

#include "runtime/assert.h"

namespace verdict::protocol {
namespace {

std::unexpected<std::string> misfit(std::string text) { return std::unexpected(std::move(text)); }

std::string text_of(const PartitionKey& key) { return key.topic.to_string() + "-" + std::to_string(key.index); }

}  // namespace

const BrokerListener* BrokerRegistration::listener(std::string_view name) const {
  const auto found = std::ranges::find(listeners, name, &BrokerListener::name);
  return found == listeners.end() ? nullptr : &*found;
}

bool PartitionRegistration::has_replica(NodeId id) const { return std::ranges::find(replicas, id) != replicas.end(); }
bool PartitionRegistration::in_isr(NodeId id) const { return std::ranges::find(isr, id) != isr.end(); }

void PartitionRegistration::merge(const records::PartitionChange& change) {
  const auto take = [](auto& into, const auto& from) {
    if (from) {
      into = *from;
    }
  };
  take(isr, change.isr);
  take(replicas, change.replicas);
  take(removing, change.removing);
  take(adding, change.adding);
  take(elr, change.elr);
  take(last_known_elr, change.last_known_elr);
  take(recovery, change.recovery);
  take(directories, change.directories);
  if (change.leader) {
    leader = *change.leader;
    leader_epoch = LeaderEpoch(leader_epoch.value() + 1);
  }
  partition_epoch = PartitionEpoch(partition_epoch.value() + 1);
}

bool MetadataDelta::empty() const {
  return partitions.empty() && topics_created.empty() && topics_removed.empty() && brokers.empty() && configs.empty() &&
         features.empty();
}

void MetadataDelta::clear() { *this = {}; }

std::expected<void, std::string> MetadataImage::apply(const MetadataRecord& record, Offset offset,
                                                      MetadataDelta* delta) {
  VERDICT_ASSERT(offset >= applied_to_, "metadata records are applied in order");
  Result done = std::visit([&](const auto& r) { return put(r, offset, delta); }, record);
  if (done) {
    applied_to_ = offset + 1;
  }
  return done;
}

const BrokerRegistration* MetadataImage::broker(NodeId id) const {
  const auto found = brokers_.find(id);
  return found == brokers_.end() ? nullptr : &found->second;
}

const TopicImage* MetadataImage::topic(Uuid id) const {
  const auto found = topics_.find(id);
  return found == topics_.end() ? nullptr : &found->second;
}

const TopicImage* MetadataImage::topic(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : topic(found->second);
}

const PartitionRegistration* MetadataImage::partition(const PartitionKey& key) const {
  const TopicImage* owner = topic(key.topic);
  if (owner == nullptr) {
    return nullptr;
  }
  const auto found = owner->partitions.find(key.index);
  return found == owner->partitions.end() ? nullptr : &found->second;
}

const ConfigValues& MetadataImage::configs(const ConfigResource& resource) const {
  static const ConfigValues kNoConfigs;
  const auto found = configs_.find(resource);
  return found == configs_.end() ? kNoConfigs : found->second;
}

bool MetadataImage::active(NodeId id) const {
  const BrokerRegistration* found = broker(id);
  return found != nullptr && found->active();
}

std::int32_t MetadataImage::leaderships(NodeId id) const {
  const auto found = leaderships_.find(id);
  return found == leaderships_.end() ? 0 : found->second;
}

void MetadataImage::count_leader(const PartitionKey& key, NodeId leader, std::int32_t by) {
  if (leader != kNoNode) {
    leaderships_[leader] += by;
  } else if (by > 0) {
    leaderless_.insert(key);
  } else {
    leaderless_.erase(key);
  }
}

std::int16_t feature_level(const MetadataImage& image, std::string_view feature) {
  const auto found = image.features().find(feature);
  return found == image.features().end() ? std::int16_t{0} : found->second;
}

MetadataImage::Result MetadataImage::put(const records::RegisterBroker& r, Offset offset, MetadataDelta* delta) {
  BrokerRegistration& broker = brokers_[r.broker];
  broker = {r.broker,   r.epoch, r.incarnation, r.listeners, r.features, r.rack, r.fenced, r.in_controlled_shutdown,
            r.log_dirs, offset};
  if (delta != nullptr) {
    delta->brokers.insert(r.broker);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::UnregisterBroker& r, Offset, MetadataDelta* delta) {
  const auto found = brokers_.find(r.broker);
  if (found == brokers_.end() || found->second.epoch != r.epoch) {
    return misfit("UnregisterBrokerRecord for broker " + std::to_string(r.broker.value()) + " epoch " +
                  std::to_string(r.epoch.value()) + ", which is not registered");
  }
  brokers_.erase(found);
  if (delta != nullptr) {
    delta->brokers.insert(r.broker);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::BrokerRegistrationChange& r, Offset, MetadataDelta* delta) {
  const auto found = brokers_.find(r.broker);
  if (found == brokers_.end() || found->second.epoch != r.epoch) {
    return misfit("BrokerRegistrationChangeRecord for broker " + std::to_string(r.broker.value()) + " epoch " +
                  std::to_string(r.epoch.value()) + ", which is not registered");
  }
  BrokerRegistration& broker = found->second;
  broker.fenced = r.fenced.value_or(broker.fenced);
  broker.in_controlled_shutdown = broker.in_controlled_shutdown || r.in_controlled_shutdown;
  if (!r.log_dirs.empty()) {
    broker.log_dirs = r.log_dirs;
  }
  if (delta != nullptr) {
    delta->brokers.insert(r.broker);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::Topic& r, Offset, MetadataDelta* delta) {
  if (by_name_.contains(r.name) || topics_.contains(r.id)) {
    return misfit("TopicRecord for " + r.name + " (" + r.id.to_string() + "), which exists already");
  }
  topics_[r.id] = {.name = r.name, .id = r.id};
  by_name_[r.name] = r.id;
  if (delta != nullptr) {
    delta->topics_created.insert(r.id);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::RemoveTopic& r, Offset, MetadataDelta* delta) {
  const auto found = topics_.find(r.id);
  if (found == topics_.end()) {
    return misfit("RemoveTopicRecord for " + r.id.to_string() + ", which does not exist");
  }
  MetadataDelta::RemovedTopic removed{.name = found->second.name};
  for (const auto& [index, partition] : found->second.partitions) {
    count_leader({r.id, index}, partition.leader, -1);
    removed.partitions.push_back(index);
    if (delta != nullptr) {
      delta->partitions.erase({r.id, index});
    }
  }
  partition_count_ -= std::ssize(removed.partitions);
  configs_.erase({ConfigResourceType::topic, removed.name});
  by_name_.erase(removed.name);
  topics_.erase(found);
  if (delta != nullptr) {
    delta->topics_created.erase(r.id);
    delta->topics_removed[r.id] = std::move(removed);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::Partition& r, Offset, MetadataDelta* delta) {
  const auto found = topics_.find(r.key.topic);
  if (found == topics_.end()) {
    return misfit("PartitionRecord for " + text_of(r.key) + ", whose topic does not exist");
  }
  auto [slot, fresh] = found->second.partitions.try_emplace(r.key.index);
  if (fresh) {
    ++partition_count_;
  } else {
    count_leader(r.key, slot->second.leader, -1);
  }
  slot->second = {r.replicas,
                  r.isr,
                  r.removing,
                  r.adding,
                  r.elr.value_or(NodeIds{}),
                  r.last_known_elr.value_or(NodeIds{}),
                  r.leader,
                  r.recovery,
                  r.leader_epoch,
                  r.partition_epoch,
                  r.directories};
  count_leader(r.key, r.leader, +1);
  if (delta != nullptr) {
    delta->partitions.insert(r.key);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::PartitionChange& r, Offset, MetadataDelta* delta) {
  const auto found = topics_.find(r.key.topic);
  if (found == topics_.end() || !found->second.partitions.contains(r.key.index)) {
    return misfit("PartitionChangeRecord for " + text_of(r.key) + ", which does not exist");
  }
  PartitionRegistration& partition = found->second.partitions[r.key.index];
  count_leader(r.key, partition.leader, -1);
  partition.merge(r);
  count_leader(r.key, partition.leader, +1);
  if (delta != nullptr) {
    delta->partitions.insert(r.key);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::Config& r, Offset, MetadataDelta* delta) {
  if (r.value) {
    configs_[r.resource].insert_or_assign(r.name, *r.value);
  } else if (const auto found = configs_.find(r.resource); found != configs_.end()) {
    found->second.erase(r.name);
    if (found->second.empty()) {
      configs_.erase(found);
    }
  }
  if (delta != nullptr) {
    delta->configs.insert(r.resource);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::FeatureLevel& r, Offset, MetadataDelta* delta) {
  if (r.level == 0) {
    features_.erase(r.name);
  } else {
    features_.insert_or_assign(r.name, r.level);
  }
  if (delta != nullptr) {
    delta->features.insert(r.name);
  }
  return {};
}

MetadataImage::Result MetadataImage::put(const records::RegisterController& r, Offset, MetadataDelta*) {
  controllers_[r.controller] = r;
  return {};
}

MetadataImage::Result MetadataImage::put(const records::ProducerIds& r, Offset, MetadataDelta*) {
  if (r.next < next_producer_id_) {
    return misfit("ProducerIdsRecord goes back from " + std::to_string(next_producer_id_) + " to " +
                  std::to_string(r.next));
  }
  next_producer_id_ = r.next;
  return {};
}

MetadataImage::Result MetadataImage::put(const records::ClearElr& r, Offset, MetadataDelta* delta) {
  if (r.topic.empty()) {
    for (auto& [id, owner] : topics_) {
      clear_elr(owner, delta);
    }
    return {};
  }
  const auto found = by_name_.find(r.topic);
  if (found == by_name_.end()) {
    return misfit("ClearElrRecord for topic " + r.topic + ", which does not exist");
  }
  clear_elr(topics_[found->second], delta);
  return {};
}

void MetadataImage::clear_elr(TopicImage& owner, MetadataDelta* delta) {
  for (auto& [index, partition] : owner.partitions) {
    if (partition.elr.empty() && partition.last_known_elr.empty()) {
      continue;
    }
    partition.elr.clear();
    partition.last_known_elr.clear();
    if (delta != nullptr) {
      delta->partitions.insert({owner.id, index});
    }
  }
}

}  // namespace verdict::protocol
