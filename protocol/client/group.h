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

namespace verdict::client {

enum class GroupProtocol : std::uint8_t { classic, consumer };  // group.protocol; consumer: KIP-848

struct GroupOptions {
  std::string group;                // group.id
  std::string instance;             // group.instance.id; empty: a dynamic member
  std::vector<std::string> topics;  // subscribed to
  GroupProtocol protocol = GroupProtocol::classic;
  Duration session_timeout = 45s;       // session.timeout.ms, of a classic one
  Duration rebalance_timeout = 300s;    // max.poll.interval.ms
  Duration heartbeat_interval = 3s;     // heartbeat.interval.ms, of a classic one
  Assignor assignor = Assignor::range;  // of a classic one
  std::string remote_assignor;  // group.remote.assignor of one of the consumer protocol; empty: the coordinator's
  // A static member stays (internal.leave.group.on.close). One of the consumer protocol says that it will be back.
  bool leave_on_close = true;
};

struct CommittedOffset {
  Offset offset = kNoOffset;  // kNoOffset: none is committed
  LeaderEpoch leader_epoch = kNoEpoch;
  std::string metadata;
};
using OffsetsToCommit = std::map<TopicPartition, CommittedOffset>;

// What a member identifies itself by, in a commit and in TxnOffsetCommit. The generation of one of the consumer
// protocol is its epoch. -1: not a member now.
struct GroupMembership {
  std::string group;
  std::int32_t generation = -1;
  std::string member_id;
  std::string instance;
};

class GroupListener {
 public:
  virtual ~GroupListener() = default;
  // No longer its own: before a rebalance all of them, or of such members as keep the rest those that it gives up. What
  // was read of them may be committed in these calls' time no more. Lost: fenced, or forgotten; others may own them
  // already.
  virtual void revoked(const std::vector<TopicPartition>& partitions, bool lost) = 0;
  // All that it has in this generation; of a member that is cooperative, or of the consumer protocol, also what it had
  // before and goes on with.
  virtual void assigned(std::int32_t generation, const std::vector<TopicPartition>& partitions) = 0;
};

// A member of a group: finds the coordinator, joins, beats, commits. Calls back in turns of its own task. Ends with
// close() on the real machine.
class GroupMember {
 public:
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;
  virtual ~GroupMember() = default;

  GroupMembership membership() const;
  virtual bool settled() const = 0;  // in the group, as far as it knows
  // Another one has its group.instance.id: it is a member no more, and does not try again.
  bool fenced() const { return fenced_; }

  // As the member that it is now, or that it was. NONE, or the coordinator's error; tried again only where it can't
  // have been taken, in the consumer protocol with a newer epoch while the partitions are its own.
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

 protected:
  enum class Step : std::uint8_t { again, again_later, done };

  GroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options, GroupListener& listener);
  Task<bool> pause();
  std::optional<std::string_view> instance() const;  // group.instance.id, as requests have it
  virtual Task<void> leave() = 0;                    // if it is a member
  virtual void failed(ErrorCode error) = 0;          // of a commit as the member that it is
  // As whom to try a commit again that was refused for its old epoch; none: not at all.
  virtual std::optional<GroupMembership> renewed(const GroupMembership& was, const OffsetsToCommit& offsets) const;

  Runtime* runtime_;
  ClientOptions client_;
  GroupOptions options_;
  GroupListener* listener_;
  Connections connections_;
  Metadata metadata_;
  CoordinatorLink link_;
  std::string member_id_;
  std::int32_t generation_ = 0;  // in the consumer protocol its epoch, and 0 while it is to join
  bool joined_ = false;          // is a member, as far as it knows
  bool fenced_ = false;
  bool closed_ = false;
  int failures_ = 0;
  bool commit_maybe_taken_ = false;
  Signal wake_;
  Scope scope_;
};

// Of the protocol that the options name.
std::unique_ptr<GroupMember> make_group_member(Runtime& runtime, const ClientOptions& client, GroupOptions options,
                                               GroupListener& listener);

}  // namespace verdict::client
