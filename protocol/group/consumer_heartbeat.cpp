#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "protocol/group/assignment.h"
#include "protocol/group/state.h"

// ConsumerGroupHeartbeat: all that a member of the consumer protocol says and hears.
namespace verdict::group {
namespace {

using Request = wire::ConsumerGroupHeartbeatRequest;
using Answer = wire::ConsumerGroupHeartbeatResponse;

constexpr int kClientDrawsId = 1;  // from this version on members bring their id

ClientAssignment owned_by(const Request& request) {
  if (!request.topic_partitions) {
    return std::nullopt;
  }
  Assignment out;
  for (const auto& topic : *request.topic_partitions) {
    out[topic.topic_id].insert(topic.partitions.begin(), topic.partitions.end());
  }
  return out;
}

bool subset(const ClientAssignment& some, const Assignment& of) {
  return some && std::ranges::all_of(*some, [&](const auto& topic) {
           const auto all = of.find(topic.first);
           return all != of.end() && std::ranges::includes(all->second, topic.second);
         });
}

// A member that comes with the epoch before may have missed the answer that had the new one.
std::optional<Refusal> refuse_epoch(const ConsumerMember& member, std::int32_t epoch, const ClientAssignment& owned) {
  const std::int32_t known = member.current.epoch;
  if (epoch == known ||
      (epoch < known && epoch == member.current.previous_epoch && subset(owned, member.current.assigned))) {
    return std::nullopt;
  }
  return Refusal{.error = ErrorCode::FENCED_MEMBER_EPOCH,
                 .message = fmt::format("The consumer group member has a {} member epoch ({}) than the one known by "
                                        "the group coordinator ({}). The member must abandon all its partitions and "
                                        "rejoin.",
                                        epoch > known ? "greater" : "smaller", epoch, known)};
}

template <class T>
void take(T& into, const std::optional<std::string_view>& from) {
  if (from) {
    into = std::string(*from);
  }
}

// What the request does not say stays.
MemberMetadata updated(MemberMetadata metadata, const events_in::ConsumerHeartbeat& event) {
  const Request& request = event.request;
  take(metadata.instance_id, request.instance_id);
  take(metadata.rack_id, request.rack_id);
  take(metadata.assignor, request.server_assignor);
  take(metadata.regex, request.subscribed_topic_regex);
  if (request.rebalance_timeout_ms != -1) {
    metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
  }
  if (request.subscribed_topic_names) {
    metadata.topics = {request.subscribed_topic_names->begin(), request.subscribed_topic_names->end()};
  }
  metadata.client_id = std::string(event.client_id);
  metadata.client_host = std::string(event.client_host);
  metadata.classic.reset();
  return metadata;
}

std::optional<std::string> bad_join(const Request& request) {
  if (request.rebalance_timeout_ms == -1) {
    return "RebalanceTimeoutMs must be provided in first request.";
  }
  if (!request.topic_partitions || !request.topic_partitions->empty()) {
    return "TopicPartitions must be empty when (re-)joining.";
  }
  if (!request.subscribed_topic_names && !request.subscribed_topic_regex) {
    return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
  }
  return std::nullopt;
}

bool blank(std::string_view text) {  // String.trim().isEmpty()
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
}

std::optional<std::string> malformed(const Request& request, int version) {
  const std::int32_t epoch = request.member_epoch;
  const bool needs_id = version >= kClientDrawsId || epoch > 0 || epoch == kLeftEpoch;
  if (needs_id && blank(request.member_id)) {
    return "MemberId can't be empty.";
  }
  if (blank(request.group_id)) {
    return "GroupId can't be empty.";
  }
  if (request.instance_id && blank(*request.instance_id)) {
    return "InstanceId can't be empty.";
  }
  if (request.rack_id && blank(*request.rack_id)) {
    return "RackId can't be empty.";
  }
  if (epoch == 0) {
    return bad_join(request);
  }
  if (epoch == kStaticLeftEpoch && !request.instance_id) {
    return "InstanceId can't be null.";
  }
  return epoch < kStaticLeftEpoch ? std::optional<std::string>("MemberEpoch is invalid.") : std::nullopt;
}

}  // namespace

std::optional<Refusal> check_heartbeat(const Request& request, int version, std::span<const std::string> assignors) {
  if (auto why = malformed(request, version)) {
    return Refusal{.error = ErrorCode::INVALID_REQUEST, .message = std::move(*why)};
  }
  if (!request.server_assignor || std::ranges::find(assignors, *request.server_assignor) != assignors.end()) {
    return std::nullopt;
  }
  return Refusal{.error = ErrorCode::UNSUPPORTED_ASSIGNOR,
                 .message = fmt::format("ServerAssignor {} is not supported. Supported assignors: {}.",
                                        *request.server_assignor, fmt::join(assignors, ", "))};
}

struct GroupCoordinator::State::Beat {
  Token token = 0;
  const Request& request;
  const ConsumerMember& before;
  ConsumerMember after;
};

void GroupCoordinator::State::consumer_heartbeat(const events_in::ConsumerHeartbeat& event, Turn& turn) {
  const std::int32_t epoch = event.request.member_epoch;
  const bool leaves = epoch == kLeftEpoch || epoch == kStaticLeftEpoch;
  const Done done = leaves ? leave_consumers(event, turn) : beat(event, turn);
  if (!done) {
    const std::string& message = done.error().message;
    respond(event.token,
            Answer{.error_code = code(done.error().error),
                   .error_message = message.empty() ? std::nullopt : std::optional<std::string_view>(message)},
            turn);
  }
}

GroupCoordinator::State::Done GroupCoordinator::State::beat(const events_in::ConsumerHeartbeat& event, Turn& turn) {
  const Request& request = event.request;
  const bool joins = request.member_epoch == 0;
  Or<Work> opened = open_consumers(request.group_id, joins);
  if (!opened) {
    return std::unexpected(opened.error());
  }
  Work& work = *opened;
  if (auto full = refuse_if_full(work.group(), request.member_id)) {
    return std::unexpected(std::move(*full));
  }
  const std::string id = request.member_id.empty() ? event.random.to_string() : std::string(request.member_id);
  const ClientAssignment owned_now = owned_by(request);
  const Or<ConsumerMember> found = member_of(work, id, request.instance_id, joins, /*classic=*/false, turn);
  if (!found) {
    return std::unexpected(found.error());
  }
  // Who takes a static member's place brings no epoch of it.
  if (auto wrong =
          request.instance_id && joins ? std::nullopt : refuse_epoch(*found, request.member_epoch, owned_now)) {
    return std::unexpected(std::move(*wrong));
  }
  if (found->current.state == MemberState::unknown && (!owned_now || !owned_now->empty())) {
    return refuse(ErrorCode::FENCED_MEMBER_EPOCH,
                  "The consumer group member is in a unknown state. The member must "
                  "abandon all its partitions and rejoin.");
  }
  Beat beat{.token = event.token, .request = request, .before = *found, .after = *found};
  beat.after.metadata = updated(std::move(beat.after.metadata), event);
  bool bump = work.group().epoch() == 0;
  if (beat.after.metadata != beat.before.metadata) {
    work.changes.emplace_back(changes::Metadata{.member = id, .value = beat.after.metadata});
    bump |= beat.after.metadata.topics != beat.before.metadata.topics;
  }
  const Or<RegexUpdate> regexes = update_regexes(work, beat.before, beat.after, turn);
  if (!regexes) {
    return std::unexpected(regexes.error());
  }
  settle(work, beat.before, beat.after, bump || regexes->bump, owned_now, turn);
  if (Done done = commit(work, turn); !done) {
    return done;
  }
  heartbeat_decided(request, beat.after, owned_now);
  answer_beat(beat, turn);
  refresh_regexes(work.id, regexes->refresh, turn);
  return {};
}

// The assignment is told to whoever joins or says all of itself, and when it changed.
void GroupCoordinator::State::answer_beat(const Beat& beat, Turn& turn) {
  const ConsumerMember& member = beat.after;
  const std::string group(beat.request.group_id);
  set_timer(TimerKind::consumer_session, group, member.id, options.consumer_session_timeout_ms, turn);
  if (member.current != beat.before.current) {
    cancel_timer(TimerKind::revocation, group, member.id);
    if (member.current.state == MemberState::unrevoked) {
      set_timer(TimerKind::revocation, group, member.id, member.metadata.rebalance_timeout_ms, turn);
    }
  }
  const bool says_all = beat.request.rebalance_timeout_ms != -1 && beat.request.topic_partitions &&
                        (beat.request.subscribed_topic_names || beat.request.subscribed_topic_regex);
  Answer response{.member_id = member.id,
                  .member_epoch = member.current.epoch,
                  .heartbeat_interval_ms = options.consumer_heartbeat_interval_ms,
                  .assignment = std::nullopt};
  wire::Arena arena;
  if (beat.request.member_epoch == 0 || says_all || member.current.assigned != beat.before.current.assigned) {
    const auto topics = topics_of<Answer::TopicPartitions>(arena, member.current.assigned);
    response.assignment = Answer::Assignment{.topic_partitions = topics};
  }
  respond(beat.token, response, turn);
}

// For good, or, a static member, for a while: it keeps what it has until its session ends.
GroupCoordinator::State::Done GroupCoordinator::State::leave_consumers(const events_in::ConsumerHeartbeat& event,
                                                                       Turn& turn) {
  const Request& request = event.request;
  const ConsumerGroup* group = find_consumers(request.group_id);
  if (group == nullptr) {
    return refuse(ErrorCode::GROUP_ID_NOT_FOUND, why_no_consumers(request.group_id));
  }
  Work work(*group);
  const Or<ConsumerMember> found =
      member_of(work, request.member_id, request.instance_id, /*create=*/false, /*classic=*/false, turn);
  if (!found) {
    return std::unexpected(found.error());
  }
  log(turn, fmt::format("group {}: member {} leaves", work.id, found->id));
  if (request.instance_id && request.member_epoch == kStaticLeftEpoch) {
    MemberAssignment left = found->current;
    left.epoch = kStaticLeftEpoch;
    left.revoking.clear();
    work.changes.emplace_back(changes::Current{.member = found->id, .value = std::move(left)});
    cancel_timer(TimerKind::revocation, work.id, found->id);
    if (Done done = commit(work, turn); !done) {
      return done;
    }
  } else {
    remove_members(work.id, {found->id}, turn);
  }
  respond(event.token, Answer{.member_id = found->id, .member_epoch = request.member_epoch, .assignment = std::nullopt},
          turn);
  return {};
}

}  // namespace verdict::group
