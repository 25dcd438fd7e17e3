#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

// SyncGroup, Heartbeat, LeaveGroup.
namespace verdict::group {
namespace {

constexpr int kSyncNamesProtocol = 5;  // KIP-559
constexpr int kLeaveNamesMembers = 3;  // KIP-345

bool names_protocol(const events_in::SyncGroup& event) {
  return event.version < kSyncNamesProtocol || (event.request.protocol_type && event.request.protocol_name);
}

bool differs(std::optional<std::string_view> asked, const std::optional<std::string>& is) {
  return asked && is && *asked != *is;
}

}  // namespace

void GroupCoordinator::State::refuse_sync(Waiting call, ErrorCode error, Turn& turn) {
  respond(call.token, wire::SyncGroupResponse{.error_code = code(error)}, turn);
}

void GroupCoordinator::State::answer_sync(const ClassicGroup& group, const Member& member, Waiting call, Turn& turn) {
  respond(
      call.token,
      wire::SyncGroupResponse{
          .protocol_type = group.protocol_type(), .protocol_name = group.protocol(), .assignment = member.assignment},
      turn);
}

ErrorCode GroupCoordinator::State::check_sync(const events_in::SyncGroup& event, const ClassicGroup* group) const {
  const auto& request = event.request;
  if (!names_protocol(event)) {
    return ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
  }
  if (request.group_id.empty()) {
    return ErrorCode::INVALID_GROUP_ID;
  }
  if (group == nullptr || group->is(GroupState::empty)) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  if (const auto error = group->check_member(request.member_id, request.group_instance_id); error != ErrorCode::NONE) {
    return error;
  }
  if (request.generation_id != group->generation()) {
    return ErrorCode::ILLEGAL_GENERATION;
  }
  if (differs(request.protocol_type, group->protocol_type()) || differs(request.protocol_name, group->protocol())) {
    return ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
  }
  return group->is(GroupState::preparing_rebalance) ? ErrorCode::REBALANCE_IN_PROGRESS : ErrorCode::NONE;
}

void GroupCoordinator::State::synced(ClassicGroup& group, std::string_view member) {
  group.pending_syncs.erase(std::string(member));
  if (group.pending_syncs.empty()) {
    cancel_timer(TimerKind::sync, group);
  }
}

void GroupCoordinator::State::sync(const events_in::SyncGroup& event, Turn& turn) {
  const Waiting call{.token = event.token, .version = event.version};
  ClassicGroup* group = find(event.request.group_id);
  const ConsumerGroup* consumer = find_consumers(event.request.group_id);
  if (consumer != nullptr && names_protocol(event)) {
    return sync_consumers(event, *consumer, turn);
  }
  if (const ErrorCode error = check_sync(event, group); error != ErrorCode::NONE) {
    return refuse_sync(call, error, turn);
  }
  Member& member = group->member(event.request.member_id);
  synced(*group, member.id);
  if (group->is(GroupState::stable)) {
    return answer_sync(*group, member, call, turn);
  }
  if (const auto earlier = std::exchange(member.sync, call)) {
    refuse_sync(*earlier, ErrorCode::REBALANCE_IN_PROGRESS, turn);
  }
  if (group->is_leader(member.id)) {
    accept_assignment(event, *group, turn);
  }
}

// The leader decides: who it left out has nothing.
void GroupCoordinator::State::accept_assignment(const events_in::SyncGroup& event, ClassicGroup& group, Turn& turn) {
  for (const std::string& id : group.member_ids()) {
    group.member(id).assignment.clear();
  }
  for (const auto& one : event.request.assignments) {
    if (group.has(one.member_id)) {
      group.member(one.member_id).assignment.assign(one.assignment.begin(), one.assignment.end());
    }
  }
  std::vector<LogRecord> records{group_record(group)};
  if (!fits(records)) {
    const ErrorCode error = ErrorCode::UNKNOWN_SERVER_ERROR;
    propagate_assignments(group, error, turn);
    return rebalance_or_complete(group, "the group is too large for a record", turn);
  }
  append(std::move(records), turn);
  propagate_assignments(group, ErrorCode::NONE, turn);
  group.transition(GroupState::stable, turn.wall);
  moved(group);
}

ErrorCode GroupCoordinator::State::heartbeat(const wire::HeartbeatRequest& request, Turn& turn) {
  if (request.group_id.empty()) {
    return ErrorCode::INVALID_GROUP_ID;
  }
  if (const ConsumerGroup* consumer = find_consumers(request.group_id)) {
    return heartbeat_consumers(request, *consumer, turn);
  }
  const ClassicGroup* group = find(request.group_id);
  if (group == nullptr) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  if (const auto error = group->check_member(request.member_id, request.group_instance_id); error != ErrorCode::NONE) {
    return error;
  }
  if (request.generation_id != group->generation()) {
    return ErrorCode::ILLEGAL_GENERATION;
  }
  rearm_session(*group, group->member(request.member_id), turn);
  return group->is(GroupState::preparing_rebalance) ? ErrorCode::REBALANCE_IN_PROGRESS : ErrorCode::NONE;
}

ErrorCode GroupCoordinator::State::leave_one(ClassicGroup& group, const wire::LeaveGroupRequest::MemberIdentity& who,
                                             Turn& turn) {
  std::string id(who.member_id);
  if (id.empty()) {  // an administrator removes a static member by its instance id
    const std::string* current = who.group_instance_id ? group.static_member(*who.group_instance_id) : nullptr;
    if (current == nullptr) {
      return ErrorCode::UNKNOWN_MEMBER_ID;
    }
    id = *current;
  } else if (group.pending_joins.erase(id) > 0) {
    cancel_timer(TimerKind::session, group, id);
    return ErrorCode::NONE;
  } else if (const auto error = group.check_member(id, who.group_instance_id); error != ErrorCode::NONE) {
    return error;
  }
  log(turn, fmt::format("group {}: member {} leaves; client reason: {}", group.id(), id,
                        who.reason ? std::string(*who.reason) : "not provided"));
  remove_member(group, id, turn);
  return ErrorCode::NONE;
}

void GroupCoordinator::State::leave(const events_in::LeaveGroup& event, Turn& turn) {
  const auto& request = event.request;
  if (request.group_id.empty()) {
    return respond(event.token, wire::LeaveGroupResponse{.error_code = code(ErrorCode::INVALID_GROUP_ID)}, turn);
  }
  const ConsumerGroup* consumer = find_consumers(request.group_id);
  ClassicGroup* group = find(request.group_id);
  wire::LeaveGroupRequest::MemberIdentity sole{.member_id = request.member_id};
  const bool batch = event.version >= kLeaveNamesMembers;
  const std::span<const wire::LeaveGroupRequest::MemberIdentity> members =
      batch ? std::span<const wire::LeaveGroupRequest::MemberIdentity>(request.members) : std::span(&sole, 1);
  std::vector<wire::LeaveGroupResponse::MemberResponse> answers;
  std::vector<std::string> leaving;  // of a consumer group
  bool any_left = false;
  for (const auto& who : members) {
    const ErrorCode error = consumer != nullptr ? leave_one(*consumer, who, leaving)
                            : group != nullptr  ? leave_one(*group, who, turn)
                                                : ErrorCode::UNKNOWN_MEMBER_ID;
    any_left |= error == ErrorCode::NONE;
    answers.push_back(
        {.member_id = who.member_id, .group_instance_id = who.group_instance_id, .error_code = code(error)});
  }
  if (consumer != nullptr) {
    remove_members(std::string(request.group_id), leaving, turn);
  } else if (any_left && !group->is(GroupState::empty)) {
    rebalance_or_complete(*group, "members left", turn);
  }
  wire::LeaveGroupResponse response;
  if (batch) {
    response.members = answers;
  } else {
    response.error_code = answers[0].error_code;
  }
  respond(event.token, response, turn);
}

}  // namespace verdict::group
