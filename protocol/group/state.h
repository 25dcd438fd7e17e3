#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/group/assignors.h"
#include "protocol/group/classic_group.h"
#include "protocol/group/consumer_group.h"
#include "protocol/group/consumer_records.h"
#include "protocol/group/coordinator.h"
#include "protocol/group/offsets.h"
#include "protocol/group/timers.h"

namespace verdict::group {

struct Turn {  // one step
  MonoTime now;
  WallTime wall;
  Effects& out;
};

// What is decided on one consumer group, before it is done: a record that can't be written undoes it all.
struct Work {
  std::string id;
  const ConsumerGroup* existing = nullptr;  // as it is
  std::optional<ConsumerGroup> made;        // or will be: no group of the coordinator's yet
  std::vector<LogRecord> records;           // what makes way for it, and makes it
  std::vector<ConsumerChange> changes;
  bool looked_at_metadata = false;

  explicit Work(const ConsumerGroup& group) : id(group.id()), existing(&group) {}
  explicit Work(ConsumerGroup&& fresh) : id(fresh.id()), made(std::move(fresh)) {}
  const ConsumerGroup& group() const { return made ? *made : *existing; }
  void remove_member(const std::string& member);  // without what depends on the others
};

inline std::unexpected<Refusal> refuse(ErrorCode error, std::string message = {}) {
  return std::unexpected(Refusal{.error = error, .message = std::move(message)});
}

using ClientAssignment = std::optional<Assignment>;  // what a member says that it has; none: it says nothing

struct GroupCoordinator::State {
  State(Options o, protocol::Observer* to) : options(std::move(o)), observer(to) {}

  // ---- the feed (announcements.cpp) ----
  void announce_loaded() const;
  // As one that is there, with all its members.
  template <class Group>
  void announce(const Group& group) const {
    moved(group);
    for (const auto& [id, member] : group.members()) member_moved(group, member, "loaded");
  }
  void moved(const ClassicGroup&) const;
  void removed(std::string_view group, std::int32_t generation, std::string_view protocol = "classic") const;
  void removed(const std::string& group) const;  // of whichever protocol, while it is there
  void member_moved(const ClassicGroup&, const Member&, std::string_view change, std::string_view replaces = {}) const;
  void moved(const ConsumerGroup&) const;
  void member_moved(const ConsumerGroup&, const ConsumerMember&, std::string_view change,
                    std::string_view replaces = {}) const;
  struct Seen {  // of a consumer group before a Work: what the feed says only if it becomes something else
    std::string_view state;
    std::int32_t epoch = 0;
    std::size_t members = 0;
    std::map<std::string, std::optional<ConsumerMember>, std::less<>> touched;
  };
  Seen seen(const ConsumerGroup&, const Work&) const;
  void changed(const ConsumerGroup&, const Seen& before) const;
  void heartbeat_decided(const wire::ConsumerGroupHeartbeatRequest&, const ConsumerMember&,
                         const ClientAssignment& owned) const;
  template <class Request>
  void commit_decided(const Request&, std::int32_t generation, ProducerId producer, ErrorCode) const;

  // ---- records, answers, timers (coordinator.cpp) ----
  void append(std::vector<LogRecord> records, Turn&, std::optional<Producer> transactional = std::nullopt);
  void append_in_parts(std::vector<LogRecord> records, Turn&);  // removals: each stands for itself
  bool fits(std::span<const LogRecord> records) const;
  template <class T>
  void respond(Token token, const T& value, Turn& turn) {
    turn.out.list.push_back(effects::Respond{.token = token, .response = wire::Message<T>::copy(value)});
  }
  void log(Turn&, std::string text);
  void set_timer(TimerKind kind, std::string_view group, std::string_view member, std::int64_t ms, Turn&);
  void set_timer(TimerKind kind, const ClassicGroup& group, std::string_view member, std::int64_t ms, Turn& turn) {
    set_timer(kind, group.id(), member, ms, turn);
  }
  void cancel_timer(TimerKind kind, std::string_view group, std::string_view member);
  void cancel_timer(TimerKind kind, const ClassicGroup& group, std::string_view member = {}) {
    cancel_timer(kind, group.id(), member);
  }
  void ring(const TimerKey& due, Turn&);
  void arm(Turn&);

  ClassicGroup* find(std::string_view id);
  const ClassicGroup* find(std::string_view id) const;
  const ConsumerGroup* find_consumers(std::string_view id) const;
  void ensure_group(std::string_view id, std::int64_t wall_ms);  // a classic one, if there is none
  ClassicGroup& find_or_create(std::string_view id, std::int64_t wall_ms);
  void forget(std::string_view id);  // the classic group, not its offsets
  void forget_consumers(std::string_view id);
  void replay(ConsumerRecord record);
  void resume(const ConsumerGroup&, Turn&);  // after it was loaded
  void put(std::string_view group, std::string_view topic, std::int32_t partition, CommittedOffset offset,
           std::optional<Producer> transactional);
  void remove_offset(std::string_view group, std::string_view topic, std::int32_t partition,
                     std::vector<LogRecord>& tombstones);
  void end_transaction(Producer producer, bool committed, std::int64_t wall_ms);

  // ---- JoinGroup (join.cpp) ----
  struct Joining {
    const events_in::JoinGroup& event;
    const wire::JoinGroupRequest& request;
    std::vector<MemberProtocol> protocols;
    std::int32_t rebalance_timeout_ms;

    explicit Joining(const events_in::JoinGroup&);
    Waiting waiting() const { return {.token = event.token, .version = event.version}; }
    std::string reason() const;
    bool comes_back() const;  // a new member that is given its id first (KIP-394)
  };
  void join(const events_in::JoinGroup&, Turn&);
  bool accepts(const ClassicGroup&, std::string_view member) const;
  void join_new(Joining&, ClassicGroup&, Turn&);
  void join_again(Joining&, ClassicGroup&, Turn&);
  void replace_static(Joining&, ClassicGroup&, std::string new_id, Turn&);
  void join_as_older_self(Joining&, ClassicGroup&, Turn&);
  void add_member(Joining&, ClassicGroup&, std::string id, Turn&);
  void hold_join(ClassicGroup&, Member&, Waiting, Turn&);
  // With the current generation.
  void answer_join(const ClassicGroup&, const Member&, Waiting, Turn&, bool skip_assignment = false);
  void refuse_join(Waiting, ErrorCode, std::string_view member, Turn&);

  // ---- rebalances (rebalance.cpp) ----
  void rebalance_or_complete(ClassicGroup&, std::string_view why, Turn&);
  void prepare_rebalance(ClassicGroup&, std::string_view why, Turn&);
  void try_complete_join(ClassicGroup&, Turn&);
  void complete_join(ClassicGroup&, Turn&);
  void end_of_initial_delay(ClassicGroup&, Turn&);
  void end_of_sync_wait(ClassicGroup&, Turn&);
  void end_of_session(ClassicGroup&, const std::string& member, Turn&);
  void remove_member(ClassicGroup&, std::string_view id, Turn&);  // answers what it waits for
  void propagate_assignments(ClassicGroup&, ErrorCode, Turn&);
  void rearm_session(const ClassicGroup&, const Member&, Turn&);

  // ---- SyncGroup, Heartbeat, LeaveGroup (membership.cpp) ----
  void sync(const events_in::SyncGroup&, Turn&);
  ErrorCode check_sync(const events_in::SyncGroup&, const ClassicGroup*) const;
  void accept_assignment(const events_in::SyncGroup&, ClassicGroup&, Turn&);
  void synced(ClassicGroup&, std::string_view member);
  void answer_sync(const ClassicGroup&, const Member&, Waiting, Turn&);
  void refuse_sync(Waiting, ErrorCode, Turn&);
  ErrorCode heartbeat(const wire::HeartbeatRequest&, Turn&);
  void leave(const events_in::LeaveGroup&, Turn&);
  ErrorCode leave_one(ClassicGroup&, const wire::LeaveGroupRequest::MemberIdentity&, Turn&);
  // Adds to `leaving` whom it means.
  ErrorCode leave_one(const ConsumerGroup&, const wire::LeaveGroupRequest::MemberIdentity&,
                      std::vector<std::string>& leaving) const;

  // ---- offsets (offset_requests.cpp) ----
  void commit(const events_in::OffsetCommit&, Turn&);
  void commit(const events_in::TxnOffsetCommit&, Turn&);
  ErrorCode let_pass(ErrorCode, std::int32_t generation, Turn&) const;
  template <class Response, class Request>
  void write_offsets(Token, const Request&, ErrorCode, std::optional<std::int64_t> expire_ms, std::optional<Producer>,
                     Turn&);
  void fetch(const events_in::OffsetFetch&, Turn&);
  void delete_offsets(const events_in::OffsetDelete&, Turn&);
  void topics_deleted(std::span<const std::string> names, Turn&);
  void expire_offsets(Turn&);
  template <class Group>
  bool expire_offsets_of(const Group&, std::int64_t now_ms, std::vector<LogRecord>&);  // true: none is left

  // ---- members of the consumer protocol (consumer_heartbeat.cpp, consumer_members.cpp) ----
  struct Beat;
  template <class T>
  using Or = std::expected<T, Refusal>;
  using Done = Or<void>;
  void consumer_heartbeat(const events_in::ConsumerHeartbeat&, Turn&);
  Done beat(const events_in::ConsumerHeartbeat&, Turn&);
  void answer_beat(const Beat&, Turn&);
  Done leave_consumers(const events_in::ConsumerHeartbeat&, Turn&);
  Or<Work> open_consumers(std::string_view id, bool create) const;
  std::optional<Refusal> refuse_if_full(const ConsumerGroup&, std::string_view member) const;
  Or<ConsumerMember> dynamic_member(const ConsumerGroup&, std::string_view id, bool create) const;
  Or<ConsumerMember> static_member(Work&, std::string_view id, std::string_view instance, bool create, bool classic,
                                   Turn&);
  Or<ConsumerMember> member_of(Work&, std::string_view id, std::optional<std::string_view> instance, bool create,
                               bool classic, Turn&);  // one or the other
  void take_place(Work&, const ConsumerMember& old, const ConsumerMember& fresh);
  Done commit(Work&, Turn&);  // does it
  void apply(const Work&);
  void remove_members(const std::string& group, const std::vector<std::string>& ids, Turn&);
  void end_of_consumer(const TimerKey& due, Turn&);
  void cancel_consumer_timers(std::string_view group, std::string_view member);

  // ---- what they shall have (consumer_target.cpp) ----
  struct Subscriptions {  // of the group, with the member as it will be
    std::int32_t epoch = 0;
    bool homogeneous = true;
  };
  Subscriptions update_subscriptions(Work&, const ConsumerMember& from, const ConsumerMember& to, bool bump, Turn&);
  Assignment update_target(Work&, const ConsumerMember& from, const ConsumerMember& to, const Subscriptions&);
  // Brings the member nearer to its target, and the target up to date before.
  void settle(Work&, const ConsumerMember& from, ConsumerMember& to, bool bump, const ClientAssignment& owned, Turn&);
  void reconcile(Work&, ConsumerMember&, std::int32_t target_epoch, const Assignment& target,
                 const ClientAssignment& owned, Turn&);
  std::int64_t hash_of(const SubscribedTopics&) const;

  // ---- subscriptions by regular expressions (consumer_regexes.cpp) ----
  struct RegexUpdate {
    bool bump = false;
    std::vector<std::string> refresh;  // patterns to be resolved when the rest is done
  };
  Or<RegexUpdate> update_regexes(Work&, const ConsumerMember& from, const ConsumerMember& to, Turn&);
  void refresh_regexes(const std::string& group, const std::vector<std::string>& patterns, Turn&);
  void topics_changed(const events_in::TopicsChanged&);
  void note_new_topics();

  // ---- classic members of consumer groups, and groups that change their type (migration.cpp, consumer_classic.cpp)
  Or<Work> upgrade(const ClassicGroup&) const;
  void begin_upgraded(const ConsumerGroup&, Turn&);
  bool may_downgrade(const ConsumerGroup&, std::size_t left, std::size_t left_classic, Turn&);
  // Without those that leave; they are why the others are to join again.
  void downgrade(const std::string& id, const std::vector<std::string>& leaving, Turn&);
  void join_consumers(Joining&, Turn&);
  Done join_member(Joining&, const std::string& id, Turn&);
  ErrorCode check_classic(const ConsumerGroup&, std::string_view member, std::optional<std::string_view> instance,
                          std::int32_t generation) const;
  void expect_join(const ConsumerGroup&, const ConsumerMember&, Turn&);
  void sync_consumers(const events_in::SyncGroup&, const ConsumerGroup&, Turn&);
  ErrorCode heartbeat_consumers(const wire::HeartbeatRequest&, const ConsumerGroup&, Turn&);

  // ---- groups as a whole (group_requests.cpp) ----
  std::string why_no_consumers(std::string_view id) const;  // there is no consumer group of this id
  void describe(const events_in::DescribeConsumerGroup&, Turn&);
  void describe(const events_in::DescribeGroup&, Turn&);
  void list(const events_in::ListGroups&, Turn&);
  ErrorCode delete_group(std::string_view id, Turn&);

  Options options;
  protocol::Observer* observer;
  // Of an id there is one or the other.
  std::map<std::string, ClassicGroup, std::less<>> groups;
  std::map<std::string, ConsumerGroup, std::less<>> consumers;
  std::int64_t new_topics_at = 0;  // the metadata's version when topics were created last
  OffsetStore offsets;
  Timers timers;
  MonoTime armed{};               // zero: no timer
  std::uint64_t next_record = 0;  // counts what was replayed and appended
  std::size_t skipped_records = 0;
};

}  // namespace verdict::group
