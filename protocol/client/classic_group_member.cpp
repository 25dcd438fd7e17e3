#include "protocol/client/classic_group_member.h"

#include <algorithm>
#include <utility>

#include "protocol/wire/codec.h"
#include "protocol/wire/gen/data_records.h"
#include "protocol/wire/gen/heartbeat.h"
#include "protocol/wire/gen/join_group.h"
#include "protocol/wire/gen/leave_group.h"
#include "protocol/wire/gen/sync_group.h"
#include "storage/bytes.h"

namespace verdict::client {
namespace {

constexpr std::string_view kProtocolType = "consumer";
constexpr int kSubscriptionVersion = 2;  // names what the member has, and since when (KIP-429, KIP-792)
constexpr int kAssignmentVersion = 1;
constexpr int kProtocolFrom = 5;  // SyncGroup
constexpr int kMembersFrom = 3;   // LeaveGroup
constexpr std::size_t kVersionSize = 2;

using Bytes = std::vector<std::byte>;

// The consumer protocol's data begin with their version.
template <class T>
Bytes with_version(const T& data, int version) {
  const auto encoded = wire::encode(data, version);
  Bytes out(kVersionSize);
  storage::store_be<std::int16_t>(out.data(), static_cast<std::int16_t>(version));
  if (encoded) out.insert(out.end(), encoded->begin(), encoded->end());
  return out;
}

template <class T>
bool parse_versioned(wire::Arena& arena, wire::Bytes bytes, T& into) {
  if (bytes.size() < kVersionSize) return false;
  const int version = std::min<int>(storage::load_be<std::int16_t>(bytes.data()), T::highest_version);
  return version >= 0 && wire::decode(arena, bytes.subspan(kVersionSize), version, into).has_value();
}

// The topics of a member's data with their partitions.
template <class Topic>
std::span<Topic> listed(wire::Arena& arena, const std::vector<TopicPartition>& partitions) {
  const auto topics = by_topic(partitions);
  const std::span<Topic> out = arena.make_span<Topic>(topics.size());
  std::size_t i = 0;
  for (const auto& [topic, indexes] : topics) {
    out[i].topic = topic;
    out[i++].partitions = arena.copy_span<std::int32_t>(indexes);
  }
  return out;
}

template <class Topics>
std::vector<TopicPartition> read_listed(const Topics& topics) {
  std::vector<TopicPartition> out;
  for (const auto& topic : topics) {
    for (const std::int32_t index : topic.partitions)
      out.push_back({.topic = std::string(topic.topic), .partition = index});
  }
  return out;
}

}  // namespace

ClassicGroupMember::ClassicGroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options,
                                       GroupListener& listener)
    : GroupMember(runtime, client, std::move(options), listener) {
  scope_.spawn(run());
}

// ---- membership ----

void ClassicGroupMember::lose(bool lost) {
  rejoins_ = false;
  if (!std::exchange(joined_, false)) return;
  const std::vector<TopicPartition> gone = std::exchange(assignment_, {});
  listener_->revoked(gone, lost);
}

void ClassicGroupMember::failed(ErrorCode error) {
  switch (error) {
    case ErrorCode::UNKNOWN_MEMBER_ID:
      member_id_.clear();
      return lose(true);
    case ErrorCode::ILLEGAL_GENERATION:
      return lose(true);
    case ErrorCode::FENCED_INSTANCE_ID:
      fenced_ = true;
      return lose(true);
    case ErrorCode::REBALANCE_IN_PROGRESS:
      if (!cooperative()) return lose(false);
      rejoins_ = joined_;
      return;
    default:
      if (coordinator_moved(error)) link_.forget();
  }
}

Task<void> ClassicGroupMember::run() {
  while (!closed_ && !fenced_) {
    Step step = Step::done;
    if (!joined_ || rejoins_) {
      step = co_await join();
    } else {
      const MonoTime next = runtime_->now() + options_.heartbeat_interval;
      while (!closed_ && settled() && runtime_->now() < next) co_await wake_.wait_until(next);
      if (closed_) break;
      if (settled()) {
        const bool good = co_await beat();
        step = good ? Step::done : Step::again_later;
      }
    }
    if (step == Step::done) failures_ = 0;
    if (step == Step::again_later) co_await pause();
  }
}

Task<ClassicGroupMember::Step> ClassicGroupMember::join() {
  const MonoTime find_by = runtime_->now() + client_.request_timeout;
  const std::shared_ptr<RpcChannel> channel = co_await link_.get(find_by);
  if (channel == nullptr || closed_) co_return Step::again_later;
  const std::optional<int> version = channel->version_of<wire::JoinGroupRequest>();
  if (!version) co_return Step::again_later;
  wire::Arena arena;
  wire::ConsumerProtocolSubscription subscription;
  subscription.topics = arena.make_span<std::string_view>(options_.topics.size());
  for (std::size_t i = 0; i < options_.topics.size(); ++i) subscription.topics[i] = options_.topics[i];
  if (cooperative()) {
    using Owned = wire::ConsumerProtocolSubscription::TopicPartition;
    subscription.owned_partitions = listed<Owned>(arena, assignment_);
    subscription.generation_id = joined_ ? generation_ : -1;
  }
  const Bytes metadata = with_version(subscription, kSubscriptionVersion);
  wire::JoinGroupRequest request{.group_id = options_.group,
                                 .session_timeout_ms = static_cast<std::int32_t>(to_ms(options_.session_timeout)),
                                 .rebalance_timeout_ms = static_cast<std::int32_t>(to_ms(options_.rebalance_timeout)),
                                 .member_id = member_id_,
                                 .group_instance_id = instance(),
                                 .protocol_type = kProtocolType};
  request.protocols = arena.make_span<wire::JoinGroupRequest::JoinGroupRequestProtocol>(1);
  request.protocols[0] = {.name = name_of(options_.assignor), .metadata = metadata};
  const MonoTime limit = runtime_->now() + options_.rebalance_timeout + client_.request_timeout;
  const auto answer = co_await channel->call<wire::JoinGroupResponse>(*version, request, limit);
  if (!answer) {
    link_.forget();
    co_return Step::again_later;
  }
  const wire::JoinGroupResponse& response = answer->value;
  const auto error = wire::error_from_code(response.error_code);
  if (error == ErrorCode::MEMBER_ID_REQUIRED) {
    member_id_ = response.member_id;
    co_return Step::again;
  }
  if (error != ErrorCode::NONE) {
    failed(error);
    co_return Step::again_later;
  }
  member_id_ = response.member_id;
  generation_ = response.generation_id;
  std::vector<Bytes> assignments;
  std::vector<std::string> members;
  if (response.leader == response.member_id && !response.skip_assignment) {
    const bool known = co_await assign(&response, &assignments, &members);
    if (!known) co_return Step::again_later;
  }
  co_return co_await sync(channel, std::move(assignments), std::move(members));
}

Task<bool> ClassicGroupMember::assign(const wire::JoinGroupResponse* response, std::vector<Bytes>* assignments,
                                      std::vector<std::string>* members) {
  wire::Arena arena;
  std::vector<Subscription> subscriptions;
  for (const auto& member : response->members) {
    Subscription& one = subscriptions.emplace_back();
    one.member = member.member_id;
    one.instance = member.group_instance_id.value_or(std::string_view());
    wire::ConsumerProtocolSubscription said;
    if (!parse_versioned(arena, member.metadata, said)) continue;
    for (const std::string_view topic : said.topics) one.topics.emplace_back(topic);
    one.owned = read_listed(said.owned_partitions);
    one.generation = said.generation_id;
  }
  PartitionCounts counts;
  for (const Subscription& one : subscriptions) {
    for (const std::string& topic : one.topics) {
      metadata_.want(topic);
      counts[topic] = 0;
    }
  }
  metadata_.make_stale();
  const MonoTime limit = runtime_->now() + client_.request_timeout;
  const ErrorCode refreshed = co_await metadata_.refresh(limit);
  if (refreshed != ErrorCode::NONE) co_return false;
  for (auto& [topic, count] : counts) {
    const TopicInfo* known = metadata_.topic(topic);
    if (known != nullptr) count = static_cast<std::int32_t>(known->partitions.size());
  }
  for (const auto& [member, partitions] : client::assign(options_.assignor, std::move(subscriptions), counts)) {
    using Given = wire::ConsumerProtocolAssignment::TopicPartition;
    wire::ConsumerProtocolAssignment assignment;
    assignment.assigned_partitions = listed<Given>(arena, partitions);
    members->push_back(member);
    assignments->push_back(with_version(assignment, kAssignmentVersion));
  }
  co_return true;
}

// What was its own and is not any more is given up; a cooperative member joins again then, so that others may have it.
void ClassicGroupMember::take(std::vector<TopicPartition> assignment) {
  std::vector<TopicPartition> gone;
  for (const TopicPartition& partition : assignment_) {
    if (std::ranges::find(assignment, partition) == assignment.end()) gone.push_back(partition);
  }
  assignment_ = std::move(assignment);
  joined_ = true;
  rejoins_ = !gone.empty();
  if (!gone.empty()) listener_->revoked(gone, false);
  listener_->assigned(generation_, assignment_);
}

Task<ClassicGroupMember::Step> ClassicGroupMember::sync(std::shared_ptr<RpcChannel> channel,
                                                        std::vector<Bytes> assignments,
                                                        std::vector<std::string> members) {
  const std::optional<int> version = channel->version_of<wire::SyncGroupRequest>();
  if (!version) co_return Step::again_later;
  wire::Arena arena;
  wire::SyncGroupRequest request{.group_id = options_.group,
                                 .generation_id = generation_,
                                 .member_id = member_id_,
                                 .group_instance_id = instance()};
  if (*version >= kProtocolFrom) {
    request.protocol_type = kProtocolType;
    request.protocol_name = name_of(options_.assignor);
  }
  request.assignments = arena.make_span<wire::SyncGroupRequest::SyncGroupRequestAssignment>(members.size());
  for (std::size_t i = 0; i < members.size(); ++i)
    request.assignments[i] = {.member_id = members[i], .assignment = assignments[i]};
  const MonoTime limit = runtime_->now() + options_.rebalance_timeout + client_.request_timeout;
  const auto answer = co_await channel->call<wire::SyncGroupResponse>(*version, request, limit);
  if (!answer) {
    link_.forget();
    co_return Step::again_later;
  }
  const auto error = wire::error_from_code((*answer)->error_code);
  if (error != ErrorCode::NONE) {
    failed(error);
    co_return error == ErrorCode::REBALANCE_IN_PROGRESS ? Step::again : Step::again_later;
  }
  wire::ConsumerProtocolAssignment assignment;
  std::vector<TopicPartition> given;
  if (parse_versioned(arena, (*answer)->assignment, assignment)) given = read_listed(assignment.assigned_partitions);
  if (!closed_) take(std::move(given));
  co_return Step::done;
}

Task<bool> ClassicGroupMember::beat() {
  const MonoTime limit = runtime_->now() + std::min(client_.request_timeout, options_.session_timeout);
  const std::shared_ptr<RpcChannel> channel = co_await link_.get(limit);
  if (channel == nullptr || !joined_) co_return false;
  const std::optional<int> version = channel->version_of<wire::HeartbeatRequest>();
  if (!version) co_return false;
  const wire::HeartbeatRequest request{.group_id = options_.group,
                                       .generation_id = generation_,
                                       .member_id = member_id_,
                                       .group_instance_id = instance()};
  const auto answer = co_await channel->call<wire::HeartbeatResponse>(*version, request, limit);
  const ErrorCode error = answer ? wire::error_from_code((*answer)->error_code) : ErrorCode::NETWORK_EXCEPTION;
  failed(error);
  co_return error == ErrorCode::NONE || error == ErrorCode::REBALANCE_IN_PROGRESS;
}

Task<void> ClassicGroupMember::leave() {
  if (!joined_ || !options_.leave_on_close) co_return;
  const MonoTime limit = runtime_->now() + client_.request_timeout;
  const std::shared_ptr<RpcChannel> channel = co_await link_.get(limit);
  if (channel == nullptr) co_return;
  const std::optional<int> version = channel->version_of<wire::LeaveGroupRequest>();
  if (!version) co_return;
  wire::Arena arena;
  wire::LeaveGroupRequest request{.group_id = options_.group};
  if (*version < kMembersFrom) {
    request.member_id = member_id_;
  } else {
    request.members = arena.make_span<wire::LeaveGroupRequest::MemberIdentity>(1);
    request.members[0] = {.member_id = member_id_, .group_instance_id = instance()};
  }
  const auto answer = co_await channel->call<wire::LeaveGroupResponse>(*version, request, limit);
  static_cast<void>(answer);  // its session ends anyway
  lose(false);
}

}  // namespace verdict::client
