#include "protocol/client/consumer_group_member.h"

#include <algorithm>
#include <utility>

#include "protocol/wire/codec.h"
#include "protocol/wire/gen/consumer_group_heartbeat.h"

namespace verdict::client {
namespace {

using Request = wire::ConsumerGroupHeartbeatRequest;
using Response = wire::ConsumerGroupHeartbeatResponse;

constexpr std::int32_t kLeaves = -1;
constexpr std::int32_t kWillBeBack = -2;  // a static member

// Drawn by the member itself (KIP-1082).
std::string draw_id(Runtime& runtime, std::uint64_t entity) {
  Uuid id;
  id.high = runtime.random(Purpose::MemberId, entity);
  id.low = runtime.random(Purpose::MemberId, entity);
  return id.to_string();
}

}  // namespace

ConsumerGroupMember::ConsumerGroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options,
                                         GroupListener& listener)
    : GroupMember(runtime, client, std::move(options), listener) {
  member_id_ = draw_id(runtime, client.entity);
  scope_.spawn(run());
}

// ---- heartbeats ----

Task<void> ConsumerGroupMember::run() {
  while (!closed_ && !fenced_) {
    const MonoTime next = runtime_->now() + interval_;
    const auto waits = [this] { return joined_ && !changed_ && !due_; };
    while (!closed_ && waits() && runtime_->now() < next) co_await wake_.wait_until(next);
    if (closed_) break;
    const Step step = co_await beat();
    if (step == Step::done) failures_ = 0;
    if (step == Step::again_later) co_await pause();
    if (!target_ || closed_) continue;
    const MonoTime known_by = runtime_->now() + client_.request_timeout;
    metadata_.make_stale();
    const ErrorCode known = co_await metadata_.refresh(known_by);
    if (known == ErrorCode::NONE && !closed_) reconcile();
  }
}

Request ConsumerGroupMember::describe(wire::Arena& arena) {
  const bool all = std::exchange(says_all_, false) || generation_ == 0;
  Request request{
      .group_id = options_.group, .member_id = member_id_, .member_epoch = generation_, .instance_id = instance()};
  if (all) {
    request.rebalance_timeout_ms = static_cast<std::int32_t>(to_ms(options_.rebalance_timeout));
    request.subscribed_topic_names = arena.make_span<std::string_view>(options_.topics.size());
    std::ranges::copy(options_.topics, request.subscribed_topic_names->begin());
    if (!options_.remote_assignor.empty()) request.server_assignor = options_.remote_assignor;
  }
  if (all || changed_) {
    std::map<Uuid, std::vector<std::int32_t>> topics;
    for (const auto& [partition, owned] : owned_) topics[owned.topic].push_back(partition.partition);
    request.topic_partitions = arena.make_span<Request::TopicPartitions>(topics.size());
    std::size_t i = 0;
    for (const auto& [id, indexes] : topics)
      (*request.topic_partitions)[i++] = {.topic_id = id, .partitions = arena.copy_span<std::int32_t>(indexes)};
  }
  changed_ = false;
  due_ = false;
  return request;
}

Task<GroupMember::Step> ConsumerGroupMember::beat() {
  const MonoTime limit = runtime_->now() + client_.request_timeout;
  const std::shared_ptr<RpcChannel> channel = co_await link_.get(limit);
  if (channel == nullptr || closed_) co_return Step::again_later;
  const std::optional<int> version = channel->version_of<Request>();
  if (!version) co_return Step::again_later;
  wire::Arena arena;
  const Request request = describe(arena);
  const auto answer = co_await channel->call<Response>(*version, request, limit);
  if (closed_) co_return Step::done;
  const ErrorCode error = answer ? wire::error_from_code(answer->value.error_code) : ErrorCode::NETWORK_EXCEPTION;
  if (error != ErrorCode::NONE) {
    refused(error);
    co_return Step::again_later;
  }
  take(answer->value);
  co_return Step::done;
}

void ConsumerGroupMember::refused(ErrorCode error) {
  says_all_ = true;
  waits_ = error == ErrorCode::UNRELEASED_INSTANCE_ID;
  switch (error) {
    case ErrorCode::FENCED_MEMBER_EPOCH:
    case ErrorCode::UNKNOWN_MEMBER_ID:
    case ErrorCode::GROUP_ID_NOT_FOUND:
    case ErrorCode::UNRELEASED_INSTANCE_ID:
      return lose(true);
    case ErrorCode::FENCED_INSTANCE_ID:
      fenced_ = true;
      return lose(true);
    default:
      if (coordinator_moved(error)) link_.forget();
  }
}

void ConsumerGroupMember::take(const Response& answer) {
  const bool joins = !std::exchange(joined_, true);
  waits_ = false;
  generation_ = answer.member_epoch;
  interval_ = from_ms(answer.heartbeat_interval_ms);
  if (answer.assignment) {
    std::vector<Wanted>& target = target_.emplace();
    for (const auto& topic : answer.assignment->topic_partitions) {
      for (const std::int32_t index : topic.partitions) target.push_back({.topic = topic.topic_id, .partition = index});
    }
  }
  if (target_) reconcile();
  if (joins && owned_.empty()) listener_->assigned(generation_, {});
}

// ---- what it has ----

void ConsumerGroupMember::reconcile() {
  std::map<Uuid, std::string> names;
  for (const std::string& name : options_.topics) {
    if (const TopicInfo* topic = metadata_.topic(name)) names.emplace(topic->id, name);
  }
  std::map<TopicPartition, Owned> wanted;
  bool all_known = true;
  for (const Wanted& one : *target_) {
    const auto name = names.find(one.topic);
    all_known = all_known && name != names.end();
    if (name == names.end()) continue;
    wanted[{.topic = name->second, .partition = one.partition}] = {.topic = one.topic, .since = generation_};
  }
  if (all_known) target_.reset();
  std::vector<TopicPartition> gone;
  for (const auto& [partition, owned] : owned_) {
    const auto kept = wanted.find(partition);
    if (kept == wanted.end() || kept->second.topic != owned.topic) gone.push_back(partition);
  }
  for (const TopicPartition& partition : gone) owned_.erase(partition);
  const std::size_t kept = owned_.size();
  owned_.merge(wanted);
  if (gone.empty() && owned_.size() == kept) return;
  changed_ = true;
  if (!gone.empty()) listener_->revoked(gone, false);
  std::vector<TopicPartition> has;
  for (const auto& [partition, owned] : owned_) has.push_back(partition);
  listener_->assigned(generation_, has);
}

void ConsumerGroupMember::lose(bool lost) {
  generation_ = 0;
  target_.reset();
  if (!std::exchange(joined_, false)) return;
  std::vector<TopicPartition> gone;
  for (const auto& [partition, owned] : std::exchange(owned_, {})) gone.push_back(partition);
  listener_->revoked(gone, lost);
}

// ---- commits ----

// Whether it is a member, and in which epoch, its next heartbeat tells.
void ConsumerGroupMember::failed(ErrorCode error) {
  if (error == ErrorCode::UNKNOWN_MEMBER_ID || error == ErrorCode::STALE_MEMBER_EPOCH) {
    due_ = true;
    wake_.notify();
  } else if (coordinator_moved(error)) {
    link_.forget();
  }
}

// What it has had since then nobody else has committed.
std::optional<GroupMembership> ConsumerGroupMember::renewed(const GroupMembership& was,
                                                            const OffsetsToCommit& offsets) const {
  if (!joined_ || was.member_id != member_id_) return std::nullopt;
  const bool own = std::ranges::all_of(offsets, [&](const auto& offset) {
    const auto owned = owned_.find(offset.first);
    return owned != owned_.end() && owned->second.since <= was.generation;
  });
  return own ? std::optional(membership()) : std::nullopt;
}

Task<void> ConsumerGroupMember::leave() {
  if (!joined_) co_return;
  const MonoTime limit = runtime_->now() + client_.request_timeout;
  const std::shared_ptr<RpcChannel> channel = co_await link_.get(limit);
  if (channel == nullptr) co_return;
  const std::optional<int> version = channel->version_of<Request>();
  if (!version) co_return;
  const bool returns = !options_.instance.empty();
  const Request request{.group_id = options_.group,
                        .member_id = member_id_,
                        .member_epoch = returns ? kWillBeBack : kLeaves,
                        .instance_id = instance()};
  const auto answer = co_await channel->call<Response>(*version, request, limit);
  static_cast<void>(answer);  // its session ends anyway
  lose(false);
}

}  // namespace verdict::client
