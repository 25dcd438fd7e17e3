#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/group/classic_group.h"
#include "protocol/group/coordinator.h"
#include "protocol/group/offsets.h"
#include "protocol/group/timers.h"

namespace verdict::group {

struct Turn {  // one step
  MonoTime now;
  WallTime wall;
  Effects& out;
};

struct GroupCoordinator::State {
  State(Options o, protocol::Observer* to) : options(o), observer(to) {}

  // ---- the feed (announcements.cpp) ----
  void announce_loaded() const;
  void moved(const ClassicGroup&) const;
  void removed(std::string_view group, std::int32_t generation) const;
  void member_moved(const ClassicGroup&, const Member&, std::string_view change, std::string_view replaces = {}) const;
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
  void set_timer(TimerKind kind, const ClassicGroup&, std::string_view member, std::int64_t ms, Turn&);
  void cancel_timer(TimerKind kind, const ClassicGroup&, std::string_view member = {});
  void arm(Turn&);

  ClassicGroup* find(std::string_view id);
  ClassicGroup& find_or_create(std::string_view id, std::int64_t wall_ms);
  void forget(std::string_view id);  // the group, not its offsets
  void put(std::string_view group, std::string_view topic, std::int32_t partition, CommittedOffset offset,
           std::optional<Producer> transactional);
  void remove_offset(std::string_view group, std::string_view topic, std::int32_t partition,
                     std::vector<LogRecord>& tombstones);
  void end_transaction(Producer producer, bool committed, std::int64_t wall_ms);

  // ---- JoinGroup (join.cpp) ----
  struct Joining;
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
  bool expire_offsets_of(const ClassicGroup&, std::int64_t now_ms, std::vector<LogRecord>&);  // true: none is left

  // ---- groups as a whole (group_requests.cpp) ----
  void describe(const events_in::DescribeGroup&, Turn&);
  void list(const events_in::ListGroups&, Turn&);
  ErrorCode delete_group(std::string_view id, Turn&);

  Options options;
  protocol::Observer* observer;
  // Consumer groups (KIP-848) will be other values under the same ids: find() then gives null for theirs.
  std::map<std::string, ClassicGroup, std::less<>> groups;
  OffsetStore offsets;
  Timers timers;
  MonoTime armed{};               // zero: no timer
  std::uint64_t next_record = 0;  // counts what was replayed and appended
  std::size_t skipped_records = 0;
};

}  // namespace verdict::group
