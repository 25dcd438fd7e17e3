#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

// Consumer groups and their members: found, made, replaced, removed.
namespace verdict::group {
namespace {

constexpr std::int64_t kMetadataRefreshMs = std::numeric_limits<std::int32_t>::max();

}  // namespace

void Work::remove_member(const std::string& member) {
  changes.emplace_back(changes::Current{.member = member, .value = std::nullopt});
  changes.emplace_back(changes::Target{.member = member, .value = std::nullopt});
  changes.emplace_back(changes::Metadata{.member = member, .value = std::nullopt});
}

const ConsumerGroup* GroupCoordinator::State::find_consumers(std::string_view id) const {
  const auto at = consumers.find(id);
  return at == consumers.end() ? nullptr : &at->second;
}

void GroupCoordinator::State::forget_consumers(std::string_view id) {
  const auto at = consumers.find(id);
  if (at == consumers.end()) {
    return;
  }
  for (const auto& [member, value] : at->second.members()) {
    cancel_consumer_timers(id, member);
  }
  consumers.erase(at);
}

void GroupCoordinator::State::cancel_consumer_timers(std::string_view group, std::string_view member) {
  for (const TimerKind kind :
       {TimerKind::consumer_session, TimerKind::revocation, TimerKind::classic_join, TimerKind::classic_sync}) {
    cancel_timer(kind, group, member);
  }
}

// Offsets that were committed before make a classic group that no record stands for.
void GroupCoordinator::State::replay(ConsumerRecord record) {
  auto at = consumers.find(record.group);
  if (at == consumers.end()) {
    if (record.tombstone) {
      return;
    }
    forget(record.group);
    at = consumers.emplace(record.group, ConsumerGroup(record.group, options.defects)).first;
  }
  at->second.apply(record.change);
  if (record.tombstone && std::holds_alternative<changes::Epoch>(record.change)) {
    forget_consumers(record.group);
  }
}

// Sessions begin anew, with the time that a member of the consumer protocol has.
void GroupCoordinator::State::resume(const ConsumerGroup& group, Turn& turn) {
  for (const auto& [id, member] : group.members()) {
    set_timer(TimerKind::consumer_session, group.id(), id, options.consumer_session_timeout_ms, turn);
    if (member.current.state == MemberState::unrevoked) {
      set_timer(TimerKind::revocation, group.id(), id, member.metadata.rebalance_timeout_ms, turn);
    }
  }
}

// For a member that joins a group is made, of a classic one if there is one.
GroupCoordinator::State::Or<Work> GroupCoordinator::State::open_consumers(std::string_view id, bool create) const {
  if (const ConsumerGroup* there = find_consumers(id)) {
    return Work(*there);
  }
  const ClassicGroup* classic = find(id);
  if (!create) {
    return refuse(ErrorCode::GROUP_ID_NOT_FOUND, classic == nullptr
                                                     ? fmt::format("Consumer group {} not found.", id)
                                                     : fmt::format("Group {} is not a consumer group.", id));
  }
  if (classic != nullptr && !classic->is(GroupState::empty)) {
    return upgrade(*classic);
  }
  Work work(ConsumerGroup(std::string(id), options.defects));
  if (classic != nullptr) {
    work.records.push_back(group_tombstone(id));
  }
  return work;
}

std::optional<Refusal> GroupCoordinator::State::refuse_if_full(const ConsumerGroup& group,
                                                               std::string_view member) const {
  if (group.members().size() < static_cast<std::size_t>(options.consumer_max_size) || group.find(member) != nullptr) {
    return std::nullopt;
  }
  return Refusal{.error = ErrorCode::GROUP_MAX_SIZE_REACHED,
                 .message = fmt::format("The consumer group has reached its maximum capacity of {} members.",
                                        options.consumer_max_size)};
}

GroupCoordinator::State::Or<ConsumerMember> GroupCoordinator::State::dynamic_member(const ConsumerGroup& group,
                                                                                    std::string_view id,
                                                                                    bool create) const {
  if (const ConsumerMember* there = group.find(id)) {
    return *there;
  }
  if (!create) {
    return refuse(ErrorCode::UNKNOWN_MEMBER_ID, fmt::format("Member {} is not a member of group {}.", id, group.id()));
  }
  return ConsumerMember{.id = std::string(id), .metadata = {}, .current = {}};
}

// Whoever joins with an instance id takes its older self's place, once that has left for a while. A classic member
// is its older self's successor at any time.
GroupCoordinator::State::Or<ConsumerMember> GroupCoordinator::State::static_member(Work& work, std::string_view id,
                                                                                   std::string_view instance,
                                                                                   bool create, bool classic,
                                                                                   Turn& turn) {
  const ConsumerMember* there = work.group().static_member(instance);
  if (!create) {
    if (there == nullptr) {
      return refuse(ErrorCode::UNKNOWN_MEMBER_ID, fmt::format("Instance id {} is unknown.", instance));
    }
    if (there->id != id) {
      return refuse(ErrorCode::FENCED_INSTANCE_ID, fmt::format("Static member {} with instance id {} was fenced by "
                                                               "member {}.",
                                                               id, instance, there->id));
    }
    return *there;
  }
  if (there == nullptr) {
    return dynamic_member(work.group(), id, true);
  }
  if (!classic && !there->classic() && there->current.epoch != kStaticLeftEpoch) {
    return refuse(ErrorCode::UNRELEASED_INSTANCE_ID,
                  fmt::format("Static member {} with instance id {} cannot join the group because the instance id is "
                              "owned by {} member.",
                              id, instance, there->id));
  }
  ConsumerMember fresh = *there;
  fresh.id = std::string(id);
  fresh.current.epoch = 0;
  fresh.current.previous_epoch = 0;
  take_place(work, *there, fresh);
  log(turn, fmt::format("group {}: static member {} takes the place of {}", work.id, id, there->id));
  return fresh;
}

GroupCoordinator::State::Or<ConsumerMember> GroupCoordinator::State::member_of(Work& work, std::string_view id,
                                                                               std::optional<std::string_view> instance,
                                                                               bool create, bool classic, Turn& turn) {
  return instance ? static_member(work, id, *instance, create, classic, turn)
                  : dynamic_member(work.group(), id, create);
}

void GroupCoordinator::State::take_place(Work& work, const ConsumerMember& old, const ConsumerMember& fresh) {
  work.remove_member(old.id);
  work.changes.emplace_back(changes::Metadata{.member = fresh.id, .value = fresh.metadata});
  work.changes.emplace_back(changes::Target{.member = fresh.id, .value = work.group().target_or_none(old.id)});
  work.changes.emplace_back(changes::Current{.member = fresh.id, .value = fresh.current});
}

GroupCoordinator::State::Done GroupCoordinator::State::commit(Work& work, Turn& turn) {
  std::vector<LogRecord> records = std::move(work.records);
  records.reserve(records.size() + work.changes.size());
  for (const ConsumerChange& change : work.changes) {
    records.push_back(consumer_record(work.id, change));
  }
  if (!fits(records)) {
    return refuse(ErrorCode::UNKNOWN_SERVER_ERROR, "");
  }
  if (work.made) {
    begin_upgraded(*work.made, turn);
    removed(work.id);
    forget(work.id);
    const auto made = consumers.insert_or_assign(work.id, std::move(*work.made)).first;
    work.made.reset();
    work.existing = find_consumers(work.id);
    announce(made->second);
  }
  if (!work.changes.empty()) {  // most heartbeats have none
    apply(work);
  }
  if (work.looked_at_metadata) {
    consumers.find(work.id)->second.set_metadata_deadline(turn.now + from_ms(kMetadataRefreshMs));
  }
  append(std::move(records), turn);
  return {};
}

void GroupCoordinator::State::apply(const Work& work) {
  ConsumerGroup& group = consumers.find(work.id)->second;
  const Seen before = seen(group, work);
  for (const ConsumerChange& change : work.changes) {
    if (const auto* gone = std::get_if<changes::Metadata>(&change); gone != nullptr && !gone->value) {
      cancel_consumer_timers(work.id, gone->member);
    }
    group.apply(change);
  }
  changed(group, before);
}

// The group goes on in a new epoch. What they had is free for others with their last record.
void GroupCoordinator::State::remove_members(const std::string& id, const std::vector<std::string>& ids, Turn& turn) {
  const ConsumerGroup* group = find_consumers(id);
  if (group == nullptr || ids.empty()) {
    return;
  }
  const auto classic = static_cast<std::size_t>(
      std::ranges::count_if(ids, [&](const std::string& one) { return group->find(one)->classic(); }));
  if (may_downgrade(*group, group->members().size() - ids.size(), group->classic_members() - classic, turn)) {
    return downgrade(id, ids, turn);
  }
  Work work(*group);
  Counts leaving;
  for (const std::string& member : ids) {
    count(leaving, group->find(member)->metadata.pattern(), 1);
    work.remove_member(member);
  }
  std::vector<std::string> unused;
  for (const auto& [pattern, members] : leaving) {
    if (group->members_with(pattern) == members) {
      unused.push_back(pattern);
      work.changes.emplace_back(changes::Regex{.pattern = pattern, .value = std::nullopt});
    }
  }
  const std::int64_t hash = hash_of(group->subscribed_without(ids, unused));
  work.changes.emplace_back(changes::Epoch{{{.epoch = group->epoch() + 1, .metadata_hash = hash}}});
  if (!commit(work, turn)) {
    log(turn, fmt::format("group {}: {} members can't be removed with one batch of records", id, ids.size()));
  }
}

// At the end of a session, or of the time that a member has for a step.
void GroupCoordinator::State::end_of_consumer(const TimerKey& due, Turn& turn) {
  const ConsumerGroup* group = find_consumers(due.group);
  const ConsumerMember* member = group == nullptr ? nullptr : group->find(due.member);
  if (member == nullptr) {
    return;
  }
  const std::string_view why = due.kind == TimerKind::consumer_session ? "its session ended"
                               : due.kind == TimerKind::revocation     ? "it did not give up its partitions in time"
                               : due.kind == TimerKind::classic_join   ? "it did not join again in time"
                                                                       : "it sent no SyncGroup in time";
  log(turn, fmt::format("group {}: member {} is removed: {}", due.group, due.member, why));
  if (due.kind == TimerKind::consumer_session) turn.out.marks.push_back(Mark::GroupMemberExpired);
  remove_members(due.group, {due.member}, turn);
}

}  // namespace verdict::group
