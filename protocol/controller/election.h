#pragma once

#include <optional>
#include <vector>

#include "protocol/metadata_image.h"
#include "runtime/names.h"

namespace verdict::controller {

enum class Election : std::uint8_t {
  online,     // a leader that does its duty stays; else the first replica that is in the ISR and active
  preferred,  // the first replica takes over, if it is in the ISR and active
  unclean,    // as online, and with nobody left in the ISR any active replica (unclean.leader.election.enable)
};

// What is to become of a partition. Kafka's PartitionChangeBuilder decides alike.
struct Wanted {
  Election election = Election::online;
  std::optional<NodeIds> isr;  // none: as it is. Empty: nobody is left, so the ISR stays as it is (ELR is off)
  std::optional<protocol::LeaderRecovery> recovery;
  NodeId leaving = kNoNode;    // must not lead, whatever the image says
  NodeId returning = kNoNode;  // may lead already
};

// The record that makes it so, or none if nothing changes. The leader epoch rises exactly when the leader changes (an
// ISR shrink alone doesn't bump it since metadata version 3.6); the partition epoch with every record.
std::optional<protocol::records::PartitionChange> decide(const protocol::MetadataImage& image, const PartitionKey& key,
                                                         const protocol::PartitionRegistration& partition,
                                                         const Wanted& wanted, const DefectSet& defects,
                                                         std::vector<Mark>& marks);

NodeIds without(const NodeIds& ids, NodeId id);

}  // namespace verdict::controller
