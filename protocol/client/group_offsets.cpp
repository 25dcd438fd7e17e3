#include <algorithm>
#include <utility>

#include "protocol/client/group.h"
#include "protocol/client/offset_topics.h"
#include "protocol/wire/gen/offset_commit.h"
#include "protocol/wire/gen/offset_fetch.h"

// Committed offsets: what a group's member writes and where it goes on.
namespace verdict::client {
namespace {

constexpr int kLastByName = 9;  // OffsetCommit and OffsetFetch; the next version knows topics by id
constexpr int kGroupsFrom = 8;  // OffsetFetch
constexpr int kStableFrom = 7;

wire::OffsetCommitRequest commit_request(wire::Arena& arena, const GroupMembership& member,
                                         const OffsetsToCommit& offsets) {
  using Request = wire::OffsetCommitRequest;
  Request request{
      .group_id = member.group, .generation_id_or_member_epoch = member.generation, .member_id = member.member_id};
  if (!member.instance.empty()) request.group_instance_id = member.instance;
  request.topics = topics_of<Request::OffsetCommitRequestTopic, Request::OffsetCommitRequestPartition>(arena, offsets);
  return request;
}

wire::OffsetFetchRequest fetch_request(wire::Arena& arena, int version, std::string_view group,
                                       const std::vector<TopicPartition>& partitions, bool require_stable) {
  using Request = wire::OffsetFetchRequest;
  Request request{.require_stable = require_stable && version >= kStableFrom};
  const auto topics = by_topic(partitions);
  if (version >= kGroupsFrom) {
    request.groups = arena.make_span<Request::OffsetFetchRequestGroup>(1);
    auto wanted = arena.make_span<Request::OffsetFetchRequestTopics>(topics.size());
    std::size_t t = 0;
    for (const auto& [name, indexes] : topics)
      wanted[t++] = {.name = name, .topic_id = {}, .partition_indexes = arena.copy_span<std::int32_t>(indexes)};
    request.groups[0] = {.group_id = group, .topics = wanted};
    return request;
  }
  request.group_id = group;
  auto wanted = arena.make_span<Request::OffsetFetchRequestTopic>(topics.size());
  std::size_t t = 0;
  for (const auto& [name, indexes] : topics)
    wanted[t++] = {.name = name, .partition_indexes = arena.copy_span<std::int32_t>(indexes)};
  request.topics = wanted;
  return request;
}

template <class Topics>
ErrorCode take_offsets(const Topics& topics, OffsetsToCommit& into) {
  for (const auto& topic : topics) {
    for (const auto& partition : topic.partitions) {
      if (partition.error_code != 0) return wire::error_from_code(partition.error_code);
      into[{.topic = std::string(topic.name), .partition = partition.partition_index}] = {
          .offset = Offset(partition.committed_offset),
          .leader_epoch = LeaderEpoch(partition.committed_leader_epoch),
          .metadata = std::string(partition.metadata.value_or(std::string_view()))};
    }
  }
  return ErrorCode::NONE;
}

bool worth_another_try(ErrorCode error) {
  return coordinator_moved(error) || error == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS ||
         error == ErrorCode::UNSTABLE_OFFSET_COMMIT;
}

}  // namespace

Task<ErrorCode> GroupMember::commit_as(GroupMembership member, OffsetsToCommit offsets, MonoTime deadline) {
  commit_maybe_taken_ = false;
  while (!closed_) {
    ErrorCode error = ErrorCode::NETWORK_EXCEPTION;
    const std::shared_ptr<RpcChannel> channel = co_await link_.get(deadline);
    if (channel != nullptr) {
      const std::optional<int> version = channel->version_of<wire::OffsetCommitRequest>(2, kLastByName);
      if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
      wire::Arena arena;
      const wire::OffsetCommitRequest request = commit_request(arena, member, offsets);
      const auto answer = co_await channel->call<wire::OffsetCommitResponse>(*version, request, deadline);
      if (answer) {
        error = first_error(answer->value.topics);
      } else if (maybe_executed(answer.error())) {
        link_.forget();
        commit_maybe_taken_ = true;
        co_return to_error(answer.error());  // an older commit must not come after a younger one
      }
    }
    if (error == ErrorCode::NONE) co_return error;
    // A coordinator that steps down answers what it has appended and not seen committed like what it has not.
    if (coordinator_moved(error) && error != ErrorCode::NETWORK_EXCEPTION) commit_maybe_taken_ = true;
    // What is said of the member that it was says nothing of the one that it is.
    const GroupMembership is = membership();
    if (is.generation == member.generation && is.member_id == member.member_id) {
      failed(error);
    } else if (coordinator_moved(error)) {
      link_.forget();
    }
    bool again = worth_another_try(error);
    if (error == ErrorCode::STALE_MEMBER_EPOCH) {
      std::optional<GroupMembership> newer = renewed(member, offsets);
      again = newer.has_value();
      if (newer) member = std::move(*newer);
    }
    if (!again || runtime_->now() >= deadline) co_return error;
    const bool open = co_await pause();
    if (!open) break;
  }
  co_return ErrorCode::NETWORK_EXCEPTION;
}

Task<std::expected<OffsetsToCommit, ErrorCode>> GroupMember::committed(std::vector<TopicPartition> partitions,
                                                                       bool require_stable, MonoTime deadline) {
  while (!closed_) {
    ErrorCode error = ErrorCode::NETWORK_EXCEPTION;
    OffsetsToCommit offsets;
    const std::shared_ptr<RpcChannel> channel = co_await link_.get(deadline);
    if (channel != nullptr) {
      const std::optional<int> version = channel->version_of<wire::OffsetFetchRequest>(1, kLastByName);
      if (!version) co_return std::unexpected(ErrorCode::UNSUPPORTED_VERSION);
      wire::Arena arena;
      const wire::OffsetFetchRequest request =
          fetch_request(arena, *version, options_.group, partitions, require_stable);
      const auto answer = co_await channel->call<wire::OffsetFetchResponse>(*version, request, deadline);
      if (answer) {
        const wire::OffsetFetchResponse& response = answer->value;
        error = wire::error_from_code(response.error_code);
        if (*version >= kGroupsFrom && !response.groups.empty())
          error = wire::error_from_code(response.groups[0].error_code);
        if (error == ErrorCode::NONE) {
          error = *version < kGroupsFrom    ? take_offsets(response.topics, offsets)
                  : response.groups.empty() ? ErrorCode::UNKNOWN_SERVER_ERROR
                                            : take_offsets(response.groups[0].topics, offsets);
        }
      }
    }
    if (error == ErrorCode::NONE) co_return offsets;
    if (error == ErrorCode::NOT_COORDINATOR || error == ErrorCode::NETWORK_EXCEPTION) link_.forget();
    if (!worth_another_try(error) || runtime_->now() >= deadline) co_return std::unexpected(error);
    const bool open = co_await pause();
    if (!open) break;
  }
  co_return std::unexpected(ErrorCode::NETWORK_EXCEPTION);
}

}  // namespace verdict::client
