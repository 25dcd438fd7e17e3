#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

// OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete; what takes offsets away without being asked by the group.
namespace verdict::group {
namespace {

constexpr int kCommitNamesMissingGroup = 9;  // KIP-848
constexpr std::int64_t kNoRetention = -1;

// Java's String.length().
std::size_t utf16_units(std::string_view text) {
  std::size_t units = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    units += (byte & 0xc0U) == 0x80U ? 0U : byte >= 0xf0U ? 2U : 1U;
  }
  return units;
}

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

// A group's offsets are kept while it has members, and then for the retention time. Those of consumers that assign
// their partitions themselves, and of topics that a stable group gave up, from the commit.
std::int64_t kept_from(const CommittedOffset& offset, const ClassicGroup& group) {
  const bool from_empty = group.protocol_type() && group.is(GroupState::empty) && group.state_timestamp_ms();
  return from_empty ? *group.state_timestamp_ms() : offset.commit_timestamp_ms;
}

std::int64_t kept_from(const CommittedOffset& offset, const ConsumerGroup&) { return offset.commit_timestamp_ms; }

template <class Group>
bool expired(const CommittedOffset& offset, const Group& group, std::int64_t now_ms, std::int64_t retention_ms) {
  return now_ms >= offset.expire_timestamp_ms.value_or(saturating_add(kept_from(offset, group), retention_ms));
}

bool may_expire(const ClassicGroup& group) {
  return !group.protocol_type() || group.is(GroupState::empty) ||
         (group.is(GroupState::stable) && group.uses_consumer_protocol());
}

bool may_expire(const ConsumerGroup&) { return true; }  // of topics that no member subscribes to

}  // namespace

// Of what a member that is none any more, or not in this generation, wants to commit.
ErrorCode GroupCoordinator::State::let_pass(ErrorCode error, std::int32_t generation, Turn& turn) const {
  const bool stale =
      generation >= 0 && (error == ErrorCode::UNKNOWN_MEMBER_ID || error == ErrorCode::ILLEGAL_GENERATION ||
                          error == ErrorCode::FENCED_INSTANCE_ID || error == ErrorCode::STALE_MEMBER_EPOCH);
  if (!stale) return error;
  if (options.defects.has(Defect::NoGenerationFence)) [[unlikely]] {
    turn.out.marks.push_back(Mark::DefectNoGenerationFence);
    return ErrorCode::NONE;
  }
  turn.out.marks.push_back(Mark::StaleMemberRefused);
  return error;
}

void GroupCoordinator::State::commit(const events_in::OffsetCommit& event, Turn& turn) {
  const auto& request = event.request;
  const std::int32_t generation = request.generation_id_or_member_epoch;
  const ClassicGroup* group = find(request.group_id);
  ErrorCode error = ErrorCode::NONE;
  if (group != nullptr) {
    error = group->check_commit(request.member_id, request.group_instance_id, generation, /*transactional=*/false);
  } else if (const ConsumerGroup* consumer = find_consumers(request.group_id)) {
    error = consumer->check_commit(request.member_id, generation, event.version);
  } else if (generation >= 0) {
    error = event.version >= kCommitNamesMissingGroup ? ErrorCode::GROUP_ID_NOT_FOUND : ErrorCode::ILLEGAL_GENERATION;
  }
  error = let_pass(error, generation, turn);
  commit_decided(request, generation, ProducerId(-1), error);
  if (error == ErrorCode::NONE && group != nullptr && group->has(request.member_id)) {
    rearm_session(*group, group->member(request.member_id), turn);  // as good as a heartbeat
  }
  std::optional<std::int64_t> expire_ms;
  if (request.retention_time_ms != kNoRetention) {
    expire_ms = saturating_add(to_ms(turn.wall), request.retention_time_ms);
  }
  write_offsets<wire::OffsetCommitResponse>(event.token, request, error, expire_ms, std::nullopt, turn);
}

void GroupCoordinator::State::commit(const events_in::TxnOffsetCommit& event, Turn& turn) {
  const auto& request = event.request;
  const ClassicGroup* group = find(request.group_id);
  ErrorCode error = ErrorCode::NONE;
  if (request.group_id.empty()) {
    error = ErrorCode::INVALID_GROUP_ID;
  } else if (group != nullptr) {
    error = group->check_commit(request.member_id, request.group_instance_id, request.generation_id,
                                /*transactional=*/true);
  } else if (const ConsumerGroup* consumer = find_consumers(request.group_id)) {
    error = consumer->check_transactional_commit(request.member_id, request.group_instance_id, request.generation_id);
  } else if (request.generation_id >= 0) {
    error = ErrorCode::ILLEGAL_GENERATION;
  }
  error = let_pass(error, request.generation_id, turn);
  commit_decided(request, request.generation_id, ProducerId(request.producer_id), error);
  write_offsets<wire::TxnOffsetCommitResponse>(event.token, request, error, std::nullopt,
                                               Producer{.id = request.producer_id, .epoch = request.producer_epoch},
                                               turn);
}

// `error`: of the whole request. One batch for all that can be written.
template <class Response, class Request>
void GroupCoordinator::State::write_offsets(Token token, const Request& request, ErrorCode error,
                                            std::optional<std::int64_t> expire_ms, std::optional<Producer> producer,
                                            Turn& turn) {
  using Topic = typename decltype(Response::topics)::element_type;
  using Partition = typename decltype(Topic::partitions)::element_type;
  struct Write {
    std::string_view topic;
    std::int32_t partition;
    CommittedOffset offset;
  };
  wire::Arena arena;
  std::vector<Write> writes;
  std::vector<LogRecord> records;
  const auto topics = arena.make_span<Topic>(request.topics.size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    const auto& asked = request.topics[t];
    topics[t].name = asked.name;
    topics[t].partitions = arena.make_span<Partition>(asked.partitions.size());
    for (std::size_t p = 0; p < asked.partitions.size(); ++p) {
      const auto& one = asked.partitions[p];
      const std::string_view metadata = one.committed_metadata.value_or("");
      const bool too_large = utf16_units(metadata) > static_cast<std::size_t>(options.offset_metadata_max_bytes);
      topics[t].partitions[p] = {.partition_index = one.partition_index,
                                 .error_code = code(error != ErrorCode::NONE ? error
                                                    : too_large              ? ErrorCode::OFFSET_METADATA_TOO_LARGE
                                                                             : ErrorCode::NONE)};
      if (error == ErrorCode::NONE && !too_large) {
        writes.push_back({asked.name, one.partition_index,
                          CommittedOffset{.offset = one.committed_offset,
                                          .leader_epoch = one.committed_leader_epoch,
                                          .metadata = std::string(metadata),
                                          .commit_timestamp_ms = to_ms(turn.wall),
                                          .expire_timestamp_ms = expire_ms}});
        records.push_back(offset_record(request.group_id, asked.name, one.partition_index, writes.back().offset));
      }
    }
  }
  if (!fits(records)) {
    return write_offsets<Response>(token, request, ErrorCode::UNKNOWN_SERVER_ERROR, expire_ms, producer, turn);
  }
  if (!writes.empty()) {
    ensure_group(request.group_id, to_ms(turn.wall));
  }
  for (Write& write : writes) {
    put(request.group_id, write.topic, write.partition, std::move(write.offset), producer);
  }
  append(std::move(records), turn, producer);
  respond(token, Response{.topics = topics}, turn);
}

void GroupCoordinator::State::fetch(const events_in::OffsetFetch& event, Turn& turn) {
  using Topics = wire::OffsetFetchResponse::OffsetFetchResponseTopics;
  using Partitions = wire::OffsetFetchResponse::OffsetFetchResponsePartitions;
  const std::string_view id = event.group.group_id;
  const ConsumerGroup* consumer = find_consumers(id);
  if (const ErrorCode error = consumer == nullptr
                                  ? ErrorCode::NONE
                                  : consumer->check_fetch(event.group.member_id, event.group.member_epoch);
      error != ErrorCode::NONE) {
    wire::OffsetFetchResponse::OffsetFetchResponseGroup group{.group_id = id, .error_code = code(error)};
    return respond(event.token, wire::OffsetFetchResponse{.groups = std::span(&group, 1)}, turn);
  }
  const bool there = consumer != nullptr || find(id) != nullptr;
  const auto answer = [&](std::string_view topic, std::int32_t partition) {
    Partitions out{.partition_index = partition, .committed_offset = -1};
    if (event.require_stable && offsets.has_pending(id, topic, partition)) {
      out.error_code = code(ErrorCode::UNSTABLE_OFFSET_COMMIT);
    } else if (const CommittedOffset* found = there ? offsets.find(id, topic, partition) : nullptr) {
      out.committed_offset = found->offset;
      out.committed_leader_epoch = found->leader_epoch;
      out.metadata = found->metadata;
    }
    return out;
  };
  wire::Arena arena;
  std::vector<Topics> topics;
  if (event.group.topics) {
    for (const auto& asked : *event.group.topics) {
      const auto partitions = arena.make_span<Partitions>(asked.partition_indexes.size());
      for (std::size_t i = 0; i < partitions.size(); ++i) {
        partitions[i] = answer(asked.name, asked.partition_indexes[i]);
      }
      topics.push_back({.name = asked.name, .partitions = partitions});
    }
  } else if (const GroupOffsets* all = there ? offsets.of(id) : nullptr) {
    for (const auto& [topic, committed] : *all) {
      const auto partitions = arena.make_span<Partitions>(committed.size());
      std::size_t i = 0;
      for (const auto& [partition, offset] : committed) {
        partitions[i++] = answer(topic, partition);
      }
      topics.push_back({.name = topic, .partitions = partitions});
    }
  }
  wire::OffsetFetchResponse::OffsetFetchResponseGroup group{.group_id = id, .topics = topics};
  respond(event.token, wire::OffsetFetchResponse{.groups = std::span(&group, 1)}, turn);
}

void GroupCoordinator::State::delete_offsets(const events_in::OffsetDelete& event, Turn& turn) {
  using Topic = wire::OffsetDeleteResponse::OffsetDeleteResponseTopic;
  using Partition = wire::OffsetDeleteResponse::OffsetDeleteResponsePartition;
  const auto& request = event.request;
  const ClassicGroup* group = find(request.group_id);
  const ConsumerGroup* consumer = find_consumers(request.group_id);
  const ErrorCode error = request.group_id.empty()                  ? ErrorCode::INVALID_GROUP_ID
                          : group == nullptr && consumer == nullptr ? ErrorCode::GROUP_ID_NOT_FOUND
                          : group != nullptr && !group->is(GroupState::empty) && !group->uses_consumer_protocol()
                              ? ErrorCode::NON_EMPTY_GROUP
                              : ErrorCode::NONE;
  if (error != ErrorCode::NONE) {
    return respond(event.token, wire::OffsetDeleteResponse{.error_code = code(error)}, turn);
  }
  wire::Arena arena;
  std::vector<LogRecord> records;
  std::vector<Topic> topics;
  for (const auto& asked : request.topics) {
    const bool subscribed = group != nullptr ? group->is_subscribed(asked.name) : consumer->is_subscribed(asked.name);
    const auto partitions = arena.make_span<Partition>(asked.partitions.size());
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      const std::int32_t index = asked.partitions[i].partition_index;
      partitions[i] = {.partition_index = index,
                       .error_code = code(subscribed ? ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC : ErrorCode::NONE)};
      if (!subscribed && (offsets.find(request.group_id, asked.name, index) != nullptr ||
                          offsets.has_pending(request.group_id, asked.name, index))) {
        remove_offset(request.group_id, asked.name, index, records);
      }
    }
    topics.push_back({.name = asked.name, .partitions = partitions});
  }
  append_in_parts(std::move(records), turn);
  respond(event.token, wire::OffsetDeleteResponse{.topics = topics}, turn);
}

void GroupCoordinator::State::topics_deleted(std::span<const std::string> names, Turn& turn) {
  std::vector<LogRecord> records;
  for (const std::string& group : offsets.groups()) {
    for (const std::string& name : names) {
      for (const auto& place : offsets.places(group, name)) {
        remove_offset(group, place.topic, place.partition, records);
      }
    }
  }
  append_in_parts(std::move(records), turn);
}

template <class Group>
bool GroupCoordinator::State::expire_offsets_of(const Group& group, std::int64_t now_ms,
                                                std::vector<LogRecord>& records) {
  bool none_left = !offsets.has_open_transaction(group.id());
  for (const auto& [topic, partition] : offsets.places(group.id())) {
    const CommittedOffset* committed = offsets.find(group.id(), topic, partition);
    if (committed == nullptr || offsets.has_pending(group.id(), topic, partition) || !may_expire(group) ||
        group.is_subscribed(topic) || !expired(*committed, group, now_ms, options.offsets_retention_ms)) {
      none_left = false;
      continue;
    }
    remove_offset(group.id(), topic, partition, records);
  }
  return none_left;
}

void GroupCoordinator::State::expire_offsets(Turn& turn) {
  std::vector<LogRecord> records;
  std::vector<std::string> gone;
  for (const auto& [id, group] : groups) {
    const bool none_left = expire_offsets_of(group, to_ms(turn.wall), records);
    if (none_left && group.is(GroupState::empty) && group.pending_joins.empty()) {
      records.push_back(group_tombstone(id));
      gone.push_back(id);
    }
  }
  for (const auto& [id, group] : consumers) {
    if (expire_offsets_of(group, to_ms(turn.wall), records) && group.empty()) {
      std::ranges::move(tombstones(group), std::back_inserter(records));
      gone.push_back(id);
    }
  }
  for (const std::string& id : gone) {
    removed(id);
    forget(id);
    forget_consumers(id);
  }
  if (!records.empty()) {
    log(turn, fmt::format("{} tombstones for expired offsets and {} groups", records.size(), gone.size()));
  }
  append_in_parts(std::move(records), turn);
}

}  // namespace verdict::group
