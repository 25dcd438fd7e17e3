#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"
#include "runtime/assert.h"

namespace verdict::group {

void GroupCoordinator::State::rearm_session(const ClassicGroup& group, const Member& member, Turn& turn) {
  set_timer(TimerKind::session, group, member.id, member.session_timeout_ms, turn);
}

void GroupCoordinator::State::rebalance_or_complete(ClassicGroup& group, std::string_view why, Turn& turn) {
  if (group.can_rebalance()) {
    prepare_rebalance(group, why, turn);
  } else {
    try_complete_join(group, turn);
  }
}

void GroupCoordinator::State::prepare_rebalance(ClassicGroup& group, std::string_view why, Turn& turn) {
  if (group.is(GroupState::completing_rebalance)) {
    propagate_assignments(group, ErrorCode::REBALANCE_IN_PROGRESS, turn);
  }
  group.pending_syncs.clear();
  cancel_timer(TimerKind::sync, group);
  const bool initial = group.is(GroupState::empty);
  if (initial) {  // more members may come soon
    const std::int32_t delay = options.group_initial_rebalance_delay_ms;
    group.initial_delay = {.delay_ms = delay, .remaining_ms = std::max(group.rebalance_timeout_ms() - delay, 0)};
    set_timer(TimerKind::join, group, {}, delay, turn);
  }
  group.transition(GroupState::preparing_rebalance, turn.wall);
  moved(group);
  log(turn,
      fmt::format("preparing to rebalance group {} with old generation {}: {}", group.id(), group.generation(), why));
  if (initial) {
    return;
  }
  if (group.all_joined()) {
    complete_join(group, turn);
  } else {
    set_timer(TimerKind::join, group, {}, group.rebalance_timeout_ms(), turn);
  }
}

// The initial rebalance lasts to the end of its delay, however many have joined.
void GroupCoordinator::State::try_complete_join(ClassicGroup& group, Turn& turn) {
  if (group.is(GroupState::preparing_rebalance) && group.previous_state() != GroupState::empty && group.all_joined()) {
    complete_join(group, turn);
  }
}

void GroupCoordinator::State::end_of_initial_delay(ClassicGroup& group, Turn& turn) {
  const ClassicGroup::InitialDelay passed = *group.initial_delay;
  if (!passed.new_member_added || passed.remaining_ms == 0) {
    return complete_join(group, turn);
  }
  const std::int32_t delay = std::min(options.group_initial_rebalance_delay_ms, passed.remaining_ms);
  group.initial_delay = {.delay_ms = delay, .remaining_ms = std::max(passed.remaining_ms - passed.delay_ms, 0)};
  set_timer(TimerKind::join, group, {}, delay, turn);
}

void GroupCoordinator::State::complete_join(ClassicGroup& group, Turn& turn) {
  VERDICT_ASSERT(group.is(GroupState::preparing_rebalance));
  cancel_timer(TimerKind::join, group);
  group.initial_delay.reset();
  for (const std::string& id : group.member_ids()) {
    const Member& member = group.member(id);
    if (!member.join && !member.instance_id) {
      log(turn, fmt::format("group {}: member {} did not join again in time", group.id(), id));
      remove_member(group, id, turn);
    }
  }
  // Static members alone are waited for until their sessions end.
  if (!group.elect_joined_leader() && !group.members().empty()) {
    return set_timer(TimerKind::join, group, {}, group.rebalance_timeout_ms(), turn);
  }
  group.next_generation(turn.wall);
  moved(group);
  if (group.is(GroupState::empty)) {
    log(turn, fmt::format("group {} with generation {} is now empty", group.id(), group.generation()));
    return append({group_record(group)}, turn);
  }
  log(turn, fmt::format("stabilized group {} generation {} with {} members", group.id(), group.generation(),
                        group.members().size()));
  for (const std::string& id : group.member_ids()) {
    Member& member = group.member(id);
    if (const auto call = group.take_join(member)) {
      answer_join(group, member, *call, turn);
    }
    rearm_session(group, member, turn);
    member.is_new = false;
    group.pending_syncs.insert(id);
  }
  set_timer(TimerKind::sync, group, {}, group.rebalance_timeout_ms(), turn);
}

void GroupCoordinator::State::end_of_sync_wait(ClassicGroup& group, Turn& turn) {
  if (group.pending_syncs.empty()) {
    return;
  }
  VERDICT_ASSERT(group.is(GroupState::completing_rebalance) || group.is(GroupState::stable));
  const auto late = group.pending_syncs;
  for (const std::string& id : late) {
    remove_member(group, id, turn);
  }
  prepare_rebalance(group, fmt::format("removing {} members that sent no SyncGroup in time", late.size()), turn);
}

void GroupCoordinator::State::end_of_session(ClassicGroup& group, const std::string& id, Turn& turn) {
  if (group.pending_joins.erase(id) > 0) {
    log(turn, fmt::format("group {}: pending member {} did not come back in time", group.id(), id));
  } else if (group.has(id)) {
    const Member& member = group.member(id);
    // Who waits for the others needs no heartbeat, but for new members: their clients may have gone away.
    if (!member.is_new && (member.join || member.sync)) {
      return;
    }
    log(turn, fmt::format("group {}: member {} has failed", group.id(), id));
    turn.out.marks.push_back(Mark::GroupMemberExpired);
    remove_member(group, id, turn);
    if (group.is(GroupState::stable) || group.is(GroupState::completing_rebalance)) {
      return prepare_rebalance(group, fmt::format("the session of member {} ended", id), turn);
    }
  }
  if (group.is(GroupState::preparing_rebalance) && group.all_joined()) {
    complete_join(group, turn);
  }
}

void GroupCoordinator::State::remove_member(ClassicGroup& group, std::string_view id, Turn& turn) {
  const Member member = group.remove(id);
  member_moved(group, member, "removed");
  cancel_timer(TimerKind::session, group, member.id);
  if (member.join) {
    refuse_join(*member.join, ErrorCode::UNKNOWN_MEMBER_ID, "", turn);
  }
  if (member.sync) {
    refuse_sync(*member.sync, ErrorCode::UNKNOWN_MEMBER_ID, turn);
  }
}

// To those who wait for it.
void GroupCoordinator::State::propagate_assignments(ClassicGroup& group, ErrorCode error, Turn& turn) {
  for (const std::string& id : group.member_ids()) {
    Member& member = group.member(id);
    const auto call = std::exchange(member.sync, std::nullopt);
    if (!call) {
      continue;
    }
    if (error == ErrorCode::NONE) {
      answer_sync(group, member, *call, turn);
    } else {
      refuse_sync(*call, error, turn);
    }
    rearm_session(group, member, turn);  // it may have ended while the member waited
  }
}

}  // namespace verdict::group
