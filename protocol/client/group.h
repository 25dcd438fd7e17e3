#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/client/assignors.h"
#include "protocol/client/connections.h"
#include "protocol/client/consumer.h"
#include "protocol/client/coordinator.h"
#include "protocol/client/errors.h"
#include "protocol/client/metadata.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace verdict::wire {
struct JoinGroupResponse;
}

namespace verdict::client {

struct GroupOptions {
  std::string group;                  // group.id
  std::string instance;               // group.instance.id; empty: a dynamic member
  std::vector<std::string> topics;    // subscribed to
  Duration session_timeout = 45s;     // session.timeout.ms
  Duration rebalance_timeout = 300s;  // max.poll.interval.ms
  Duration heartbeat_interval = 3s;   // heartbeat.interval.ms
  Assignor assignor = Assignor::range;
  bool leave_on_close = true;  // a static member stays (internal.leave.group.on.close)
};

struct CommittedOffset {
  Offset offset = kNoOffset;  // kNoOffset: none is committed
  LeaderEpoch leader_epoch = kNoEpoch;
  std::string metadata;
};
using OffsetsToCommit = std::map<TopicPartition, CommittedOffset>;

// What a member identifies itself by, in a commit and in TxnOffsetCommit. generation -1: not a member now.
struct GroupMembership {
  std::string group;
  std::int32_t generation = -1;
  std::string member_id;
  std::string instance;
};

class GroupListener {
 public:
  virtual ~GroupListener() = default;
  // No longer its own: before a rebalance all of them, or of a cooperative member those that it gives up. What was
  // read of them may be committed in these calls' time no more. Lost: fenced, or forgotten; others may own them
  // already.
  virtual void revoked(const std::vector<TopicPartition>& partitions, bool lost) = 0;
  // All that it has in this generation; of a cooperative member also what it had before and goes on with.
  virtual void assigned(std::int32_t generation, const std::vector<TopicPartition>& partitions) = 0;
};

// A member of a classic group: finds the coordinator, joins, syncs, beats, commits. A cooperative one keeps what it has
// while the others join, gives up what moves, and joins again. Calls back in turns of its own task. Ends with close()
// on the real machine.
class GroupMember {
 public:
  GroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options, GroupListener& listener);
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;
  ~GroupMember();

  GroupMembership membership() const;
  bool settled() const { return joined_ && !rejoins_; }  // in the group, as far as it knows
  // Another one came with its group.instance.id: it is a member no more, and does not try again.
  bool fenced() const { return fenced_; }
  const std::vector<TopicPartition>& assignment() const { return assignment_; }

  // As the member that it is now, or that it was. NONE, or the coordinator's error; tried again only where it can't
  // have been taken.
  Task<ErrorCode> commit(OffsetsToCommit offsets, MonoTime deadline) {
    return commit_as(membership(), std::move(offsets), deadline);
  }
  Task<ErrorCode> commit_as(GroupMembership member, OffsetsToCommit offsets, MonoTime deadline);
  // Of the last commit that failed: an attempt before its last may have been taken.
  bool commit_maybe_taken() const { return commit_maybe_taken_; }
  // Tries until the deadline. require_stable: waits for transactions that have offsets of these partitions pending.
  Task<std::expected<OffsetsToCommit, ErrorCode>> committed(std::vector<TopicPartition> partitions, bool require_stable,
                                                            MonoTime deadline);
  Task<void> close();  // leaves

 private:
  enum class Step : std::uint8_t { again, again_later, done };

  Task<void> run();
  Task<bool> pause();
  Task<Step> join();
  Task<Step> sync(std::shared_ptr<RpcChannel> channel, std::vector<std::vector<std::byte>> assignments,
                  std::vector<std::string> members);
  Task<bool> beat();
  Task<void> leave();
  void failed(ErrorCode error);
  void lose(bool lost);
  void take(std::vector<TopicPartition> assignment);
  bool cooperative() const { return options_.assignor == Assignor::cooperative_sticky; }
  Task<bool> assign(const wire::JoinGroupResponse* response, std::vector<std::vector<std::byte>>* assignments,
                    std::vector<std::string>* members);

  Runtime* runtime_;
  ClientOptions client_;
  GroupOptions options_;
  GroupListener* listener_;
  Connections connections_;
  Metadata metadata_;
  CoordinatorLink link_;
  std::string member_id_;
  std::int32_t generation_ = -1;
  bool joined_ = false;   // has an assignment
  bool rejoins_ = false;  // has one, and is to join again with it
  bool fenced_ = false;
  std::vector<TopicPartition> assignment_;
  int failures_ = 0;
  bool commit_maybe_taken_ = false;
  bool closed_ = false;
  Signal wake_;
  Scope scope_;
};

}  // namespace verdict::client
