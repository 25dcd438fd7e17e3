#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/client/group.h"

namespace verdict::wire {
struct JoinGroupResponse;
}

namespace verdict::client {

// A member of a classic group: joins, syncs, beats. A cooperative one keeps what it has while the others join, gives up
// what moves, and joins again.
class ClassicGroupMember final : public GroupMember {
 public:
  ClassicGroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options, GroupListener& listener);

  bool settled() const override { return joined_ && !rejoins_; }

 private:
  Task<void> run();
  Task<Step> join();
  Task<Step> sync(std::shared_ptr<RpcChannel> channel, std::vector<std::vector<std::byte>> assignments,
                  std::vector<std::string> members);
  Task<bool> beat();
  Task<void> leave() override;
  void failed(ErrorCode error) override;
  void lose(bool lost);
  void take(std::vector<TopicPartition> assignment);
  bool cooperative() const { return options_.assignor == Assignor::cooperative_sticky; }
  Task<bool> assign(const wire::JoinGroupResponse* response, std::vector<std::vector<std::byte>>* assignments,
                    std::vector<std::string>* members);

  bool rejoins_ = false;  // has an assignment, and is to join again with it
  std::vector<TopicPartition> assignment_;
};

}  // namespace verdict::client
