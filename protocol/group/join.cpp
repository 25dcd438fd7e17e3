#include <fmt/format.h>

#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

namespace verdict::group {
namespace {

// A new member has no member id yet and sends no heartbeats; it is given up when it waited for this long.
constexpr std::int64_t kNewMemberTimeoutMs = 300'000;
constexpr int kMemberIdRequired = 4;  // KIP-394
constexpr int kNullableProtocol = 7;
constexpr int kSkipAssignment = 9;  // KIP-814
constexpr std::size_t kLongestReason = 255;
constexpr std::size_t kLongestIdPrefix = 32'000;  // a string has at most 32767 bytes

// Java's form of a UUID.
std::string hex_of(Uuid id) {
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", id.high >> 32, (id.high >> 16) & 0xffff, id.high & 0xffff,
                     id.low >> 48, id.low & 0xffff'ffff'ffff);
}

}  // namespace

GroupCoordinator::State::Joining::Joining(const events_in::JoinGroup& e)
    : event(e),
      request(e.request),
      protocols(protocols_of(e.request)),
      rebalance_timeout_ms(e.version == 0 ? e.request.session_timeout_ms : e.request.rebalance_timeout_ms) {}

std::string GroupCoordinator::State::Joining::reason() const {
  return request.reason ? std::string(request.reason->substr(0, kLongestReason)) : "not provided";
}

bool GroupCoordinator::State::Joining::comes_back() const {
  return request.member_id.empty() && !request.group_instance_id && event.version >= kMemberIdRequired;
}

void GroupCoordinator::State::refuse_join(Waiting call, ErrorCode error, std::string_view member, Turn& turn) {
  wire::JoinGroupResponse response{.error_code = code(error), .member_id = member};
  if (call.version >= kNullableProtocol) response.protocol_name = std::nullopt;
  respond(call.token, response, turn);
}

void GroupCoordinator::State::answer_join(const ClassicGroup& group, const Member& member, Waiting call, Turn& turn,
                                          bool skip_assignment) {
  std::vector<wire::JoinGroupResponse::JoinGroupResponseMember> members;
  if (group.is_leader(member.id)) {
    for (const auto& [id, one] : group.members()) {
      members.push_back({.member_id = id,
                         .group_instance_id = one.instance_id,
                         .metadata = one.metadata(group.protocol().value_or(""))});
    }
  }
  respond(call.token,
          wire::JoinGroupResponse{
              .generation_id = group.generation(),
              .protocol_type = group.protocol_type(),
              .protocol_name = group.protocol().has_value() ? std::string_view(*group.protocol()) : std::string_view{},
              .leader = group.leader() ? std::string_view(*group.leader()) : std::string_view{},
              .skip_assignment = skip_assignment,
              .member_id = member.id,
              .members = members},
          turn);
}

// Of two requests of one member that wait, the earlier is of a connection that its client gave up.
void GroupCoordinator::State::hold_join(ClassicGroup& group, Member& member, Waiting call, Turn& turn) {
  if (const auto earlier = group.hold_join(member, call)) {
    refuse_join(*earlier, ErrorCode::REBALANCE_IN_PROGRESS, member.id, turn);
  }
}

void GroupCoordinator::State::join(const events_in::JoinGroup& event, Turn& turn) {
  Joining joining(event);
  const auto& request = event.request;
  const auto refuse = [&](ErrorCode error, std::string_view member) {
    refuse_join(joining.waiting(), error, member, turn);
  };
  if (request.group_id.empty()) {
    return refuse(ErrorCode::INVALID_GROUP_ID, request.member_id);
  }
  if (request.session_timeout_ms < options.group_min_session_timeout_ms ||
      request.session_timeout_ms > options.group_max_session_timeout_ms) {
    return refuse(ErrorCode::INVALID_SESSION_TIMEOUT, request.member_id);
  }
  const bool unknown = request.member_id.empty();
  ClassicGroup* group = find(request.group_id);
  const ConsumerGroup* consumer = find_consumers(request.group_id);
  if (consumer != nullptr && !consumer->empty()) {
    return join_consumers(joining, turn);
  }
  if (group == nullptr && !unknown) {
    return refuse(ErrorCode::UNKNOWN_MEMBER_ID, request.member_id);
  }
  if (group == nullptr) {  // a consumer group without members makes way
    std::vector<LogRecord> records = consumer == nullptr ? std::vector<LogRecord>{} : tombstones(*consumer);
    removed(std::string(request.group_id));
    forget_consumers(request.group_id);
    group = &find_or_create(request.group_id, to_ms(turn.wall));
    records.push_back(group_record(*group));
    append(std::move(records), turn);
  }
  if (!accepts(*group, request.member_id)) {
    if (group->has(request.member_id)) {
      remove_member(*group, request.member_id, turn);
    }
    if (group->pending_joins.erase(std::string(request.member_id)) > 0) {
      cancel_timer(TimerKind::session, *group, request.member_id);
    }
    refuse(ErrorCode::GROUP_MAX_SIZE_REACHED, "");
    return try_complete_join(*group, turn);
  }
  if (!group->supports(request.protocol_type, joining.protocols)) {
    return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, request.member_id);
  }
  unknown ? join_new(joining, *group, turn) : join_again(joining, *group, turn);
}

// While members are joining, those count that have; thus the last to come are left out when the limit was lowered.
bool GroupCoordinator::State::accepts(const ClassicGroup& group, std::string_view member) const {
  const auto limit = static_cast<std::size_t>(options.group_max_size);
  switch (group.state()) {
    case GroupState::empty:
      return true;
    case GroupState::preparing_rebalance:
      return (group.has(member) && group.member(member).join) || group.awaiting_joins() < limit;
    case GroupState::completing_rebalance:
    case GroupState::stable:
      return group.has(member) || group.members().size() < limit;
  }
  return false;
}

void GroupCoordinator::State::join_new(Joining& joining, ClassicGroup& group, Turn& turn) {
  const auto& request = joining.request;
  const std::string_view prefix = request.group_instance_id.value_or(joining.event.client_id);
  if (prefix.size() > kLongestIdPrefix) {
    return refuse_join(joining.waiting(), ErrorCode::UNKNOWN_SERVER_ERROR, "", turn);
  }
  std::string id = std::string(prefix) + "-" + hex_of(joining.event.random);
  if (request.group_instance_id) {
    if (group.static_member(*request.group_instance_id) != nullptr) {
      if (options.defects.has(Defect::Kafka8500) && !group.is(GroupState::stable)) [[unlikely]] {
        turn.out.marks.push_back(Mark::DefectKafka8500);
        return join_as_older_self(joining, group, turn);
      }
      return replace_static(joining, group, std::move(id), turn);
    }
    return add_member(joining, group, std::move(id), turn);
  }
  if (!joining.comes_back()) {
    return add_member(joining, group, std::move(id), turn);
  }
  group.pending_joins.insert(id);
  set_timer(TimerKind::session, group, id, request.session_timeout_ms, turn);
  refuse_join(joining.waiting(), ErrorCode::MEMBER_ID_REQUIRED, id, turn);
}

void GroupCoordinator::State::join_again(Joining& joining, ClassicGroup& group, Turn& turn) {
  const auto& request = joining.request;
  if (group.pending_joins.contains(request.member_id)) {
    if (request.group_instance_id) {  // static members are never asked to come back with an id
      return refuse_join(joining.waiting(), ErrorCode::UNKNOWN_SERVER_ERROR, request.member_id, turn);
    }
    return add_member(joining, group, std::string(request.member_id), turn);
  }
  if (const ErrorCode error = group.check_member(request.member_id, request.group_instance_id);
      error != ErrorCode::NONE) {
    return refuse_join(joining.waiting(), error, request.member_id, turn);
  }
  Member& member = group.member(request.member_id);
  const bool changed = member.protocols != joining.protocols;
  // An answer may have been lost: the same metadata in the same generation is the same join. The leader's is not, once
  // the group is stable: that is how it has topics looked at anew.
  const bool same = !changed && (group.is(GroupState::completing_rebalance) ||
                                 (group.is(GroupState::stable) && !group.is_leader(member.id)));
  if (same) {
    return answer_join(group, member, joining.waiting(), turn);
  }
  const std::string_view why = group.is(GroupState::preparing_rebalance) ? "joins"
                               : changed                                 ? "changed its metadata"
                                                                         : "leads and joins again";
  group.update(member, std::move(joining.protocols), joining.rebalance_timeout_ms, request.session_timeout_ms);
  hold_join(group, member, joining.waiting(), turn);
  rebalance_or_complete(group, fmt::format("member {} {}; client reason: {}", member.id, why, joining.reason()), turn);
}

void GroupCoordinator::State::add_member(Joining& joining, ClassicGroup& group, std::string id, Turn& turn) {
  const auto& request = joining.request;
  if (group.initial_delay) {
    group.initial_delay->new_member_added = true;
  }
  Member member{.id = id,
                .client_id = std::string(joining.event.client_id),
                .client_host = std::string(joining.event.client_host),
                .rebalance_timeout_ms = joining.rebalance_timeout_ms,
                .session_timeout_ms = request.session_timeout_ms,
                .protocols = std::move(joining.protocols),
                .is_new = true,
                .join = joining.waiting()};
  if (request.group_instance_id) {
    member.instance_id = std::string(*request.group_instance_id);
  }
  group.add(std::move(member), request.protocol_type);
  member_moved(group, group.member(id), "joined");
  set_timer(TimerKind::session, group, id, kNewMemberTimeoutMs, turn);
  rebalance_or_complete(group, fmt::format("new member {}; client reason: {}", id, joining.reason()), turn);
}

// KAFKA-8500: nobody is fenced, and both go by one member id.
void GroupCoordinator::State::join_as_older_self(Joining& joining, ClassicGroup& group, Turn& turn) {
  const auto& request = joining.request;
  Member& member = group.member(*group.static_member(*request.group_instance_id));
  group.update(member, std::move(joining.protocols), joining.rebalance_timeout_ms, request.session_timeout_ms);
  hold_join(group, member, joining.waiting(), turn);
  rebalance_or_complete(group, fmt::format("static member {} joins", member.id), turn);
}

// A static member that comes without its member id has started anew: it takes its older self's place, and the older
// self is fenced. A stable group goes on as it is, if the protocol that it chose does not change.
void GroupCoordinator::State::replace_static(Joining& joining, ClassicGroup& group, std::string new_id, Turn& turn) {
  const auto& request = joining.request;
  const std::string old_leader = group.leader().value_or("");
  const Member old = group.replace_static(*request.group_instance_id, new_id);
  cancel_timer(TimerKind::session, group, old.id);
  if (old.join) {
    refuse_join(*old.join, ErrorCode::FENCED_INSTANCE_ID, old.id, turn);
  }
  if (old.sync) {
    refuse_sync(*old.sync, ErrorCode::FENCED_INSTANCE_ID, turn);
  }
  Member& member = group.member(new_id);
  member_moved(group, member, "replaced", old.id);
  turn.out.marks.push_back(Mark::StaticMemberReplaced);
  group.update(member, std::move(joining.protocols), joining.rebalance_timeout_ms, request.session_timeout_ms);
  rearm_session(group, member, turn);
  const Waiting call = joining.waiting();
  if (group.is(GroupState::stable) && group.select_protocol() == group.protocol()) {
    if (std::vector<LogRecord> records{group_record(group)}; fits(records)) {
      if (options.defects.has(Defect::Kafka10284)) [[unlikely]] {
        turn.out.marks.push_back(Mark::DefectKafka10284);
      } else {
        append(std::move(records), turn);
      }
      const bool leads = group.is_leader(new_id);
      if (!leads || call.version >= kSkipAssignment) {
        return answer_join(group, member, call, turn, /*skip_assignment=*/leads);
      }
      // Older clients would compute an assignment if they learned that they lead.
      return respond(call.token,
                     wire::JoinGroupResponse{.generation_id = group.generation(),
                                             .protocol_type = group.protocol_type(),
                                             .protocol_name = *group.protocol(),
                                             .leader = old_leader,
                                             .member_id = new_id},
                     turn);
    }
  }
  hold_join(group, member, call, turn);
  const std::string why =
      fmt::format("static member {} was replaced by {}; client reason: {}", old.id, new_id, joining.reason());
  if (group.is(GroupState::preparing_rebalance)) {
    return try_complete_join(group, turn);
  }
  // The older self may be known to the leader already, whose assignment would then be for nobody.
  prepare_rebalance(group, why, turn);
}

}  // namespace verdict::group
