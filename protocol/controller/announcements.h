#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <variant>

#include "protocol/config_keys.h"
#include "protocol/events.h"
#include "protocol/metadata_image.h"

namespace verdict::controller {

// What the observer is to hear of records that are decided but not yet committed. Inert without an observer.
class Announcements {
 public:
  Announcements(protocol::Observer* observer, const protocol::BrokerConfig& config,
                const protocol::MetadataImage& image)
      : observer_(observer), config_(config), image_(image) {}

  // Around the image's apply() of the record at `offset`. `clean`: of a RegisterBroker.
  void before(const protocol::MetadataRecord& record, Offset offset, bool clean);
  void after(const protocol::MetadataRecord& record, Offset offset);
  void committed(Offset to);  // announces all below
  void drop() {
    pending_.clear();
    created_.clear();
  }

 private:
  struct Created {
    Uuid topic;
    std::string name;
    std::int32_t partitions = 0;
  };
  struct Decided {
    PartitionKey key;
    NodeIds replicas;
    NodeIds isr;
    NodeId leader;
    LeaderEpoch leader_epoch;
    PartitionEpoch partition_epoch;
    bool unclean;
  };
  using What = std::variant<Created, protocol::events::TopicDeleted, protocol::events::MinIsrConfigured, Decided,
                            protocol::events::BrokerRegistered, protocol::events::BrokerFencing>;
  struct Pending {
    Offset offset;
    What what;
  };
  void decided(const PartitionKey& key, Offset offset, bool unclean);
  void fencing(NodeId broker, Offset offset);
  void min_isr(const protocol::TopicImage& topic, Offset offset);
  void announce(const Pending& pending);

  protocol::Observer* observer_;
  const protocol::BrokerConfig& config_;
  const protocol::MetadataImage& image_;
  std::deque<Pending> pending_;
  std::map<Uuid, Pending*> created_;  // those in pending_ (a deque doesn't move its elements)
  bool unclean_ = false;
};

}  // namespace verdict::controller
