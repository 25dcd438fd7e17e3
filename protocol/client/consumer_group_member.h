#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/client/group.h"
#include "runtime/uuid.h"

namespace verdict::wire {
struct ConsumerGroupHeartbeatRequest;
struct ConsumerGroupHeartbeatResponse;
}  // namespace verdict::wire

namespace verdict::client {

// A member of a group of the consumer protocol (KIP-848): says in heartbeats who it is and, when that changed, what it
// has; is told in their answers its epoch and, when that changed, what it is to have. It gives up first what it is not
// to have, and says so at once: what moves goes on then. Who is fenced or forgotten gives up everything and joins anew.
class ConsumerGroupMember final : public GroupMember {
 public:
  ConsumerGroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options, GroupListener& listener);

  // While another has its group.instance.id it waits for that, and is settled too.
  bool settled() const override { return waits_ || (joined_ && !changed_ && !target_); }

 private:
  struct Owned {
    Uuid topic;
    std::int32_t since = 0;  // its epoch then
  };
  struct Wanted {
    Uuid topic;
    std::int32_t partition = 0;
  };

  Task<void> run();
  Task<Step> beat();
  Task<void> leave() override;
  void failed(ErrorCode error) override;
  std::optional<GroupMembership> renewed(const GroupMembership& was, const OffsetsToCommit& offsets) const override;
  wire::ConsumerGroupHeartbeatRequest describe(wire::Arena& arena);
  void refused(ErrorCode error);
  void take(const wire::ConsumerGroupHeartbeatResponse& answer);
  void reconcile();
  void lose(bool lost);

  bool waits_ = false;                         // for its group.instance.id
  bool says_all_ = true;                       // in the next heartbeat: the last one may not have arrived
  bool changed_ = false;                       // what it has, since it said that
  bool due_ = false;                           // a heartbeat is, before its time
  Duration interval_{};                        // the coordinator's word
  std::optional<std::vector<Wanted>> target_;  // until it has all of it: a topic's name may not be known yet
  std::map<TopicPartition, Owned> owned_;
};

}  // namespace verdict::client
