#include "protocol/group/coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

namespace verdict::group {

bool GroupCoordinator::State::fits(std::span<const LogRecord> records) const {
  return batch_bytes(records) <= options.max_batch_bytes;
}

void GroupCoordinator::State::append(std::vector<LogRecord> records, Turn& turn,
                                     std::optional<Producer> transactional) {
  if (!records.empty()) {
    next_record += records.size();
    turn.out.list.push_back(effects::Append{.records = std::move(records), .transactional = transactional});
  }
}

void GroupCoordinator::State::append_in_parts(std::vector<LogRecord> records, Turn& turn) {
  std::size_t begin = 0;
  while (begin < records.size()) {
    std::size_t end = begin + 1;
    std::size_t bytes = batch_bytes(std::span(records).subspan(begin, 1));
    while (end < records.size() && bytes + batch_bytes(std::span(records).subspan(end, 1)) <= options.max_batch_bytes) {
      bytes += batch_bytes(std::span(records).subspan(end++, 1));
    }
    append({std::move_iterator(records.begin() + std::ptrdiff_t(begin)),
            std::move_iterator(records.begin() + std::ptrdiff_t(end))},
           turn);
    begin = end;
  }
}

// Ids and reasons are what clients say: no line of the log file is theirs.
void GroupCoordinator::State::log(Turn& turn, std::string text) {
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  turn.out.list.push_back(effects::Log{.warning = false, .text = std::move(text)});
}

// At least a millisecond ahead: what a timer leads to may set it again at once.
void GroupCoordinator::State::set_timer(TimerKind kind, std::string_view group, std::string_view member,
                                        std::int64_t ms, Turn& turn) {
  timers.set({.kind = kind, .group = std::string(group), .member = std::string(member)},
             turn.now + from_ms(std::max<std::int64_t>(ms, 1)));
}

void GroupCoordinator::State::cancel_timer(TimerKind kind, std::string_view group, std::string_view member) {
  timers.cancel({.kind = kind, .group = std::string(group), .member = std::string(member)});
}

// Sessions are mostly prolonged: a timer that rings early finds nothing to do and is set anew.
void GroupCoordinator::State::arm(Turn& turn) {
  const auto first = timers.first();
  if (first && (armed == MonoTime{} || armed <= turn.now || *first < armed)) {
    armed = std::max(*first, turn.now);
    turn.out.list.push_back(effects::ArmTimer{.when = armed});
  }
}

ClassicGroup* GroupCoordinator::State::find(std::string_view id) {
  const auto found = groups.find(id);
  return found == groups.end() ? nullptr : &found->second;
}

const ClassicGroup* GroupCoordinator::State::find(std::string_view id) const {
  const auto found = groups.find(id);
  return found == groups.end() ? nullptr : &found->second;
}

ClassicGroup& GroupCoordinator::State::find_or_create(std::string_view id, std::int64_t wall_ms) {
  if (ClassicGroup* group = find(id)) {
    return *group;
  }
  ClassicGroup fresh{std::string(id)};
  fresh.set_state_timestamp(WallTime(std::chrono::milliseconds(wall_ms)));
  return groups.emplace(std::string(id), std::move(fresh)).first->second;
}

void GroupCoordinator::State::ensure_group(std::string_view id, std::int64_t wall_ms) {
  if (find_consumers(id) == nullptr) {
    find_or_create(id, wall_ms);
  }
}

void GroupCoordinator::State::forget(std::string_view id) {
  const auto found = groups.find(id);
  if (found == groups.end()) {
    return;
  }
  const ClassicGroup& group = found->second;
  for (const auto& [member, value] : group.members()) {
    cancel_timer(TimerKind::session, group, member);
  }
  for (const std::string& member : group.pending_joins) {
    cancel_timer(TimerKind::session, group, member);
  }
  cancel_timer(TimerKind::join, group);
  cancel_timer(TimerKind::sync, group);
  groups.erase(found);
}

// The record's place is the one that it gets when it is appended, or had when it was replayed: next_record counts up
// only then.
void GroupCoordinator::State::put(std::string_view group, std::string_view topic, std::int32_t partition,
                                  CommittedOffset offset, std::optional<Producer> transactional) {
  offset.record = next_record;
  if (transactional) {
    offsets.put_pending(transactional->id, group, topic, partition, std::move(offset));
  } else {
    offsets.put(group, topic, partition, std::move(offset));
  }
}

void GroupCoordinator::State::remove_offset(std::string_view group, std::string_view topic, std::int32_t partition,
                                            std::vector<LogRecord>& tombstones) {
  offsets.remove(group, topic, partition);
  tombstones.push_back(offset_tombstone(group, topic, partition));
}

void GroupCoordinator::State::end_transaction(Producer producer, bool committed, std::int64_t wall_ms) {
  for (const std::string& group : offsets.end(producer.id, committed)) {
    ensure_group(group, wall_ms);
  }
}

GroupCoordinator::GroupCoordinator(Options options, protocol::Observer* observer)
    : state_(std::make_unique<State>(std::move(options), observer)) {}
GroupCoordinator::~GroupCoordinator() = default;

std::expected<void, std::string> GroupCoordinator::replay(std::span<const std::byte> key,
                                                          std::optional<std::span<const std::byte>> value,
                                                          std::int64_t record_timestamp_ms,
                                                          std::optional<Producer> transactional) {
  State& s = *state_;
  auto read = read_record(key, value);
  if (!read) {
    return std::unexpected(read.error());
  }
  if (auto* offset = std::get_if<OffsetRecord>(&*read)) {
    if (offset->value) {
      s.ensure_group(offset->group, record_timestamp_ms);
      s.put(offset->group, offset->topic, offset->partition, std::move(*offset->value), transactional);
    } else {
      s.offsets.remove(offset->group, offset->topic, offset->partition);
    }
  } else if (auto* group = std::get_if<GroupRecord>(&*read)) {
    s.forget(group->group);
    if (group->value) {
      s.forget_consumers(group->group);
      s.groups.emplace(group->group, std::move(*group->value));
    }
  } else if (auto* consumer = std::get_if<ConsumerRecord>(&*read)) {
    s.replay(std::move(*consumer));
  } else {
    ++s.skipped_records;
  }
  ++s.next_record;
  return {};
}

void GroupCoordinator::replay_marker(Producer producer, bool committed) {
  state_->end_transaction(producer, committed, /*wall_ms=*/-1);
}

void GroupCoordinator::loaded(MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  Turn turn{now, wall, out};
  s.log(turn, fmt::format("loaded {} classic and {} consumer groups; {} records are of kinds that are not supported",
                          s.groups.size(), s.consumers.size(), s.skipped_records));
  s.announce_loaded();
  s.note_new_topics();
  for (auto& [id, group] : s.groups) {
    group.read_subscriptions();
    for (const auto& [member_id, member] : group.members()) {
      s.rearm_session(group, member, turn);
    }
    if (group.members().size() > static_cast<std::size_t>(s.options.group_max_size)) {
      s.prepare_rebalance(group, "the group is larger than group.max.size allows", turn);
    }
  }
  for (const auto& [id, group] : s.consumers) {
    s.resume(group, turn);
  }
  s.timers.set({.kind = TimerKind::retention}, now + from_ms(s.options.offsets_retention_check_interval_ms));
  s.arm(turn);
}

void GroupCoordinator::step(const events_in::JoinGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->join(event, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::SyncGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->sync(event, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::Heartbeat& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  const ErrorCode error = state_->heartbeat(event.request, turn);
  state_->respond(event.token, wire::HeartbeatResponse{.error_code = code(error)}, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::LeaveGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->leave(event, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::OffsetCommit& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->commit(event, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::TxnOffsetCommit& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->commit(event, turn);
}

void GroupCoordinator::step(const events_in::OffsetFetch& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->fetch(event, turn);
}

void GroupCoordinator::step(const events_in::OffsetDelete& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->delete_offsets(event, turn);
}

void GroupCoordinator::step(const events_in::DescribeGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->describe(event, turn);
}

void GroupCoordinator::step(const events_in::DeleteGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  const ErrorCode error = state_->delete_group(event.group_id, turn);
  wire::DeleteGroupsResponse::DeletableGroupResult result{.group_id = event.group_id, .error_code = code(error)};
  state_->respond(event.token, wire::DeleteGroupsResponse{.results = std::span(&result, 1)}, turn);
}

void GroupCoordinator::step(const events_in::ListGroups& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->list(event, turn);
}

void GroupCoordinator::step(const events_in::TopicsDeleted& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->topics_deleted(event.names, turn);
}

void GroupCoordinator::step(const events_in::Marker& event, MonoTime, WallTime wall, Effects&) {
  state_->end_transaction(event.producer, event.committed, to_ms(wall));
}

void GroupCoordinator::step(const events_in::ConsumerHeartbeat& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->consumer_heartbeat(event, turn);
  state_->arm(turn);
}

void GroupCoordinator::step(const events_in::DescribeConsumerGroup& event, MonoTime now, WallTime wall, Effects& out) {
  Turn turn{now, wall, out};
  state_->describe(event, turn);
}

void GroupCoordinator::step(const events_in::TopicsChanged& event, MonoTime, WallTime, Effects&) {
  state_->topics_changed(event);
}

void GroupCoordinator::State::ring(const TimerKey& due, Turn& turn) {
  switch (due.kind) {
    case TimerKind::retention:
      expire_offsets(turn);
      timers.set(due, turn.now + from_ms(std::max<std::int64_t>(options.offsets_retention_check_interval_ms, 1)));
      return;
    case TimerKind::consumer_session:
    case TimerKind::revocation:
    case TimerKind::classic_join:
    case TimerKind::classic_sync:
      return end_of_consumer(due, turn);
    case TimerKind::join:
    case TimerKind::sync:
    case TimerKind::session:
      break;
  }
  ClassicGroup* group = find(due.group);
  if (group == nullptr) {
    return;
  }
  if (due.kind == TimerKind::session) {
    end_of_session(*group, due.member, turn);
  } else if (due.kind == TimerKind::sync) {
    end_of_sync_wait(*group, turn);
  } else if (group->initial_delay) {
    end_of_initial_delay(*group, turn);
  } else {
    complete_join(*group, turn);
  }
}

void GroupCoordinator::step(const events_in::Tick&, MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  Turn turn{now, wall, out};
  while (const auto due = s.timers.take_due(now)) {
    s.ring(*due, turn);
  }
  s.arm(turn);
}

}  // namespace verdict::group
