#include "protocol/controller/announcements.h"

#include "protocol/config_values.h"

namespace verdict::controller {
namespace ev = protocol::events;
namespace rec = protocol::records;

void Announcements::before(const protocol::MetadataRecord& record, Offset offset, bool clean) {
  if (observer_ == nullptr) {
    return;
  }
  if (const auto* change = std::get_if<rec::PartitionChange>(&record)) {
    const auto* old = image_.partition(change->key);
    unclean_ = old != nullptr && change->leader && *change->leader != kNoNode && !old->in_isr(*change->leader);
  } else if (const auto* broker = std::get_if<rec::RegisterBroker>(&record)) {
    const auto* old = image_.broker(broker->broker);
    if (old != nullptr && old->epoch == broker->epoch) {
      return;  // the same incarnation asked again: no new life
    }
    pending_.push_back(
        {offset, ev::BrokerRegistered{.broker = broker->broker,
                                      .epoch = broker->epoch,
                                      .incarnation = broker->incarnation,
                                      .clean = clean || old == nullptr,  // a first life has nothing that could be lost
                                      .offset = offset}});
  }
}

void Announcements::after(const protocol::MetadataRecord& record, Offset offset) {
  if (observer_ == nullptr) {
    return;
  }
  if (const auto* topic = std::get_if<rec::Topic>(&record)) {
    pending_.push_back({offset, Created{.topic = topic->id, .name = topic->name}});
    created_[topic->id] = &pending_.back();
    min_isr(*image_.topic(topic->id), offset);
  } else if (const auto* removed = std::get_if<rec::RemoveTopic>(&record)) {
    pending_.push_back({offset, ev::TopicDeleted{.topic = removed->id, .offset = offset}});
  } else if (const auto* partition = std::get_if<rec::Partition>(&record)) {
    if (const auto found = created_.find(partition->key.topic); found != created_.end()) {
      ++std::get<Created>(found->second->what).partitions;
    }
    decided(partition->key, offset, /*unclean=*/false);
  } else if (const auto* change = std::get_if<rec::PartitionChange>(&record)) {
    decided(change->key, offset, unclean_);
  } else if (const auto* broker = std::get_if<rec::RegisterBroker>(&record)) {
    fencing(broker->broker, offset);
  } else if (const auto* state = std::get_if<rec::BrokerRegistrationChange>(&record)) {
    fencing(state->broker, offset);
  } else if (const auto* config = std::get_if<rec::Config>(&record);
             config != nullptr && config->name == "min.insync.replicas") {
    const bool one_topic = config->resource.type == protocol::ConfigResourceType::topic;
    if (one_topic && image_.topic(config->resource.name) != nullptr) {
      min_isr(*image_.topic(config->resource.name), offset);
    } else if (!one_topic && config->resource.name.empty()) {
      for (const auto& [id, topic_image] : image_.topics()) {
        min_isr(topic_image, offset);
      }
    }
  }
}

void Announcements::decided(const PartitionKey& key, Offset offset, bool unclean) {
  const auto* p = image_.partition(key);
  pending_.push_back({offset, Decided{.key = key,
                                      .replicas = p->replicas,
                                      .isr = p->isr,
                                      .leader = p->leader,
                                      .leader_epoch = p->leader_epoch,
                                      .partition_epoch = p->partition_epoch,
                                      .unclean = unclean}});
}

void Announcements::fencing(NodeId id, Offset offset) {
  const auto* broker = image_.broker(id);
  pending_.push_back({offset, ev::BrokerFencing{.broker = id,
                                                .epoch = broker->epoch,
                                                .fenced = broker->fenced,
                                                .shutting_down = broker->in_controlled_shutdown,
                                                .offset = offset}});
}

void Announcements::min_isr(const protocol::TopicImage& topic, Offset offset) {
  const protocol::ConfigView view(config_, image_, kNoNode);
  const auto value = static_cast<std::int32_t>(view.topic_integer(topic.name, "min.insync.replicas"));
  pending_.push_back({offset, ev::MinIsrConfigured{.topic = topic.id, .min_isr = value, .offset = offset}});
}

void Announcements::committed(Offset to) {
  while (!pending_.empty() && pending_.front().offset < to) {
    announce(pending_.front());
    if (const auto* topic = std::get_if<Created>(&pending_.front().what)) {
      created_.erase(topic->topic);
    }
    pending_.pop_front();
  }
}

void Announcements::announce(const Pending& pending) {
  if (const auto* topic = std::get_if<Created>(&pending.what)) {
    observer_->observe(ev::TopicCreated{
        .topic = topic->topic, .topic_name = topic->name, .partitions = topic->partitions, .offset = pending.offset});
  } else if (const auto* partition = std::get_if<Decided>(&pending.what)) {
    observer_->observe(ev::PartitionDecided{.partition = partition->key,
                                            .replicas = partition->replicas,
                                            .isr = partition->isr,
                                            .leader = partition->leader,
                                            .leader_epoch = partition->leader_epoch,
                                            .partition_epoch = partition->partition_epoch,
                                            .unclean = partition->unclean,
                                            .offset = pending.offset});
  } else if (const auto* deleted = std::get_if<ev::TopicDeleted>(&pending.what)) {
    observer_->observe(*deleted);
  } else if (const auto* minimum = std::get_if<ev::MinIsrConfigured>(&pending.what)) {
    observer_->observe(*minimum);
  } else if (const auto* broker = std::get_if<ev::BrokerRegistered>(&pending.what)) {
    observer_->observe(*broker);
  } else {
    observer_->observe(std::get<ev::BrokerFencing>(pending.what));
  }
}

}  // namespace verdict::controller
