#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/group/consumer_protocol.h"
#include "protocol/group/records.h"
#include "protocol/group/state.h"

// Members of the classic protocol in a consumer group: their JoinGroup, SyncGroup, Heartbeat and LeaveGroup do what
// ConsumerGroupHeartbeat does for others. The generation is the member's own epoch, and the assignment the
// coordinator's.
namespace verdict::group {

void GroupCoordinator::State::join_consumers(Joining& joining, Turn& turn) {
  const auto& request = joining.request;
  const Waiting call = joining.waiting();
  const ConsumerGroup& group = *find_consumers(request.group_id);
  const std::string id = request.member_id.empty() ? joining.event.random.to_string() : std::string(request.member_id);
  if (const auto full = refuse_if_full(group, id)) {
    return refuse_join(call, full->error, "", turn);
  }
  if (!group.supports_classic(request.protocol_type, joining.protocols)) {
    return refuse_join(call, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, "", turn);
  }
  if (joining.comes_back()) {
    return refuse_join(call, ErrorCode::MEMBER_ID_REQUIRED, id, turn);
  }
  if (const Done done = join_member(joining, id, turn); !done) {
    refuse_join(call, done.error().error, "", turn);
  }
}

GroupCoordinator::State::Done GroupCoordinator::State::join_member(Joining& joining, const std::string& id,
                                                                   Turn& turn) {
  const auto& request = joining.request;
  const ConsumerGroup& group = *find_consumers(request.group_id);
  const auto subscription = read_subscription(joining.protocols.front().metadata, options.image);
  if (!subscription) {
    return refuse(ErrorCode::UNKNOWN_SERVER_ERROR);
  }
  Work work(group);
  const bool fixed = request.group_instance_id.has_value();
  const ConsumerMember* older = fixed ? group.static_member(*request.group_instance_id) : nullptr;
  const bool last_of_its_kind = older != nullptr && !older->classic() &&
                                may_downgrade(group, group.members().size(), group.classic_members() + 1, turn);
  const bool create = !fixed || request.member_id.empty();
  const Or<ConsumerMember> found = member_of(work, id, request.group_instance_id, create, /*classic=*/true, turn);
  if (!found) {
    return std::unexpected(found.error());
  }
  ConsumerMember member = *found;
  const std::string protocol = joining.protocols.front().name;
  if (fixed) {
    member.metadata.instance_id = std::string(*request.group_instance_id);
  }
  if (subscription->rack_id) {
    member.metadata.rack_id = subscription->rack_id;
  }
  member.metadata.rebalance_timeout_ms = joining.rebalance_timeout_ms;
  member.metadata.topics = subscription->topics;
  member.metadata.client_id = std::string(joining.event.client_id);
  member.metadata.client_host = std::string(joining.event.client_host);
  member.metadata.classic =
      ClassicMembership{.session_timeout_ms = request.session_timeout_ms, .protocols = std::move(joining.protocols)};
  if (member.metadata != found->metadata) {
    work.changes.emplace_back(changes::Metadata{.member = id, .value = member.metadata});
  }
  settle(work, *found, member, member.metadata.topics != found->metadata.topics, subscription->owned, turn);
  if (Done done = commit(work, turn); !done) {
    return done;
  }
  cancel_timer(TimerKind::classic_join, work.id, id);
  if (last_of_its_kind) {
    downgrade(work.id, {}, turn);
  } else {
    set_timer(TimerKind::consumer_session, work.id, id, request.session_timeout_ms, turn);
    set_timer(TimerKind::classic_sync, work.id, id, joining.rebalance_timeout_ms, turn);
  }
  respond(joining.event.token,
          wire::JoinGroupResponse{.generation_id = member.current.epoch,
                                  .protocol_type = kConsumerProtocolType,
                                  .protocol_name = protocol,
                                  .member_id = id},
          turn);
  return {};
}

ErrorCode GroupCoordinator::State::check_classic(const ConsumerGroup& group, std::string_view id,
                                                 std::optional<std::string_view> instance,
                                                 std::int32_t generation) const {
  const ConsumerMember* member = instance ? group.static_member(*instance) : group.find(id);
  if (member == nullptr) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  if (member->id != id) {
    return ErrorCode::FENCED_INSTANCE_ID;
  }
  if (!member->classic()) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  return generation == member->current.epoch ? ErrorCode::NONE : ErrorCode::ILLEGAL_GENERATION;
}

// It was told that there is something to join for.
void GroupCoordinator::State::expect_join(const ConsumerGroup& group, const ConsumerMember& member, Turn& turn) {
  if (!timers.has({.kind = TimerKind::classic_join, .group = group.id(), .member = member.id})) {
    set_timer(TimerKind::classic_join, group.id(), member.id, member.metadata.rebalance_timeout_ms, turn);
  }
}

void GroupCoordinator::State::sync_consumers(const events_in::SyncGroup& event, const ConsumerGroup& group,
                                             Turn& turn) {
  const auto& request = event.request;
  const Waiting call{.token = event.token, .version = event.version};
  if (const ErrorCode error = check_classic(group, request.member_id, request.group_instance_id, request.generation_id);
      error != ErrorCode::NONE) {
    return refuse_sync(call, error, turn);
  }
  const ConsumerMember& member = *group.find(request.member_id);
  const MemberProtocol& protocol = member.metadata.classic->protocols.front();
  if (request.protocol_type.value_or(kConsumerProtocolType) != kConsumerProtocolType ||
      request.protocol_name.value_or(protocol.name) != protocol.name) {
    return refuse_sync(call, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, turn);
  }
  // Whoever is still giving up partitions has joined, and will again.
  if (group.epoch() > member.current.epoch && member.current.state != MemberState::unrevoked) {
    expect_join(group, member, turn);
    return refuse_sync(call, ErrorCode::REBALANCE_IN_PROGRESS, turn);
  }
  cancel_timer(TimerKind::classic_sync, group.id(), member.id);
  set_timer(TimerKind::consumer_session, group.id(), member.id, member.metadata.classic->session_timeout_ms, turn);
  const auto subscription = read_subscription(protocol.metadata, options.image);
  const Blob assignment =
      write_assignment(member.current.assigned, subscription ? subscription->version : std::int16_t{0}, options.image);
  respond(call.token,
          wire::SyncGroupResponse{
              .protocol_type = request.protocol_type, .protocol_name = request.protocol_name, .assignment = assignment},
          turn);
}

// It is to join again when there is a newer epoch, when it has to say that it gave up partitions, and when what it
// waited for is free.
ErrorCode GroupCoordinator::State::heartbeat_consumers(const wire::HeartbeatRequest& request,
                                                       const ConsumerGroup& group, Turn& turn) {
  if (const ErrorCode error = check_classic(group, request.member_id, request.group_instance_id, request.generation_id);
      error != ErrorCode::NONE) {
    return error;
  }
  const ConsumerMember& member = *group.find(request.member_id);
  set_timer(TimerKind::consumer_session, group.id(), member.id, member.metadata.classic->session_timeout_ms, turn);
  const MemberState state = member.current.state;
  if (member.current.epoch >= group.epoch() && state != MemberState::unrevoked &&
      (state != MemberState::unreleased || group.waits_for_others(member))) {
    return ErrorCode::NONE;
  }
  expect_join(group, member, turn);
  return ErrorCode::REBALANCE_IN_PROGRESS;
}

ErrorCode GroupCoordinator::State::leave_one(const ConsumerGroup& group,
                                             const wire::LeaveGroupRequest::MemberIdentity& who,
                                             std::vector<std::string>& leaving) const {
  const ConsumerMember* member =
      who.group_instance_id ? group.static_member(*who.group_instance_id) : group.find(who.member_id);
  if (member == nullptr) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  if (who.group_instance_id && !who.member_id.empty() && member->id != who.member_id) {
    return ErrorCode::FENCED_INSTANCE_ID;
  }
  if (std::ranges::find(leaving, member->id) == leaving.end()) {
    leaving.push_back(member->id);
  }
  return ErrorCode::NONE;
}

}  // namespace verdict::group
