#include "protocol/broker/offsets.h"

#include <algorithm>
#include <set>
#include <vector>

#include "protocol/wire/gen/list_offsets.h"
#include "protocol/wire/gen/offset_for_leader_epoch.h"

namespace verdict::broker {
namespace {

using ListRequest = wire::ListOffsetsRequest;
using ListResponse = wire::ListOffsetsResponse;
using ListPart = ListResponse::ListOffsetsPartitionResponse;

// ListOffsets' special timestamps.
constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;
constexpr std::int64_t kMaxTimestamp = -3;   // KIP-734, from version 7
constexpr std::int64_t kEarliestLocal = -4;  // KIP-405, from version 8
constexpr std::int64_t kLatestTiered = -5;   // KIP-1005, from version 9

constexpr int kLeaderEpochFrom = 4;
constexpr std::int8_t kReadCommitted = 1;

constexpr int lowest_version_for(std::int64_t timestamp) {
  switch (timestamp) {
    case kMaxTimestamp:
      return 7;
    case kEarliestLocal:
      return 8;
    case kLatestTiered:
      return 9;
    default:
      return 1;
  }
}

struct Question {
  std::string_view topic;
  ListRequest::ListOffsetsPartition asked;
  std::int32_t replica_id;
  bool committed_only;  // isolation.level=read_committed
  int version;
};

// The look-up by time itself: the log outlives it, and the partition.
Task<std::expected<std::optional<storage::TimedOffset>, storage::LogError>> look_up(
    PartitionPtr partition, std::int64_t timestamp, storage::Decompressor* decompressor) {
  if (timestamp == kMaxTimestamp) {
    auto found = co_await partition->log().offset_of_max_timestamp(*decompressor);
    co_return found;
  }
  auto found = co_await partition->log().offset_for_time(timestamp, *decompressor);
  co_return found;
}

void refuse(ListPart& part, ErrorCode error) {
  part.error_code = static_cast<std::int16_t>(error);
  part.timestamp = part.offset = -1;
  part.leader_epoch = -1;
}

LeaderEpoch epoch_beside(const Partition& partition, Offset offset, LeaderEpoch fallback) {
  const LeaderEpoch at = partition.epoch_at(offset);
  return at == kNoEpoch ? fallback : at;
}

Task<ListPart> answer_one(BrokerContext* context, Question question) {
  ListPart part;
  part.partition_index = question.asked.partition_index;
  const auto found = locate(*context, question.topic, {}, question.asked.partition_index, false);
  if (!found) {
    refuse(part, found.error());
    co_return part;
  }
  const PartitionPtr partition = *found;
  const std::int64_t timestamp = question.asked.timestamp;
  if (question.version < lowest_version_for(timestamp) || timestamp < kLatestTiered) {
    refuse(part, ErrorCode::UNSUPPORTED_VERSION);
    co_return part;
  }
  const replication::ListOffsetsDecision decision =
      partition->list_offsets({.current_leader_epoch = LeaderEpoch(question.asked.current_leader_epoch),
                               .from_replica = question.replica_id >= 0,
                               .latest = timestamp == kLatest});
  if (decision.error != ErrorCode::NONE) {
    refuse(part, decision.error);
    co_return part;
  }
  const bool stable_only = question.committed_only && question.replica_id < 0;
  const Offset bound = stable_only ? std::min(decision.latest, partition->last_stable_offset()) : decision.latest;
  part.leader_epoch = decision.leader_epoch.value();
  if (timestamp == kLatest) {
    part.offset = bound.value();
    co_return part;
  }
  if (timestamp == kEarliest || timestamp == kEarliestLocal) {
    part.offset = decision.log_start.value();
    part.leader_epoch = epoch_beside(*partition, decision.log_start, decision.leader_epoch).value();
    co_return part;
  }
  if (timestamp == kLatestTiered) {
    part.leader_epoch = -1;
    co_return part;
  }
  const auto timed = co_await look_up(partition, timestamp, &context->replicas.decompressor());
  if (!timed) {
    refuse(part, ErrorCode::KAFKA_STORAGE_ERROR);
  } else if (*timed && (*timed)->offset < bound) {
    part.timestamp = (*timed)->timestamp;
    part.offset = (*timed)->offset.value();
    part.leader_epoch = (*timed)->epoch.value();
  } else if (decision.latest_lags && *timed) {
    refuse(part, ErrorCode::OFFSET_NOT_AVAILABLE);
  } else {
    part.leader_epoch = -1;
  }
  co_return part;
}

}  // namespace

Task<void> handle_list_offsets(BrokerContext* context, ExchangePtr exchange) {
  ListRequest request;
  if (!exchange->decode(request)) co_return;
  ListResponse response;
  response.topics = exchange->arena().make_span<ListResponse::ListOffsetsTopicResponse>(request.topics.size());
  std::set<std::pair<std::string_view, std::int32_t>> seen;
  std::set<std::pair<std::string_view, std::int32_t>> repeated;
  std::set<std::pair<std::string_view, std::int32_t>> answered;
  for (const auto& topic : request.topics) {
    for (const auto& asked : topic.partitions) {
      if (!seen.emplace(topic.name, asked.partition_index).second) repeated.emplace(topic.name, asked.partition_index);
    }
  }
  for (std::size_t i = 0; i < request.topics.size(); ++i) {
    const ListRequest::ListOffsetsTopic topic = request.topics[i];
    response.topics[i].name = topic.name;
    std::vector<ListRequest::ListOffsetsPartition> once;  // a partition that is named twice is refused once
    for (const auto& asked : topic.partitions) {
      if (answered.emplace(topic.name, asked.partition_index).second) once.push_back(asked);
    }
    response.topics[i].partitions = exchange->arena().make_span<ListPart>(once.size());
    for (std::size_t k = 0; k < once.size(); ++k) {
      ListPart& part = response.topics[i].partitions[k];
      part.partition_index = once[k].partition_index;
      if (repeated.contains({topic.name, part.partition_index})) {
        refuse(part, ErrorCode::INVALID_REQUEST);
        continue;
      }
      const Question question{.topic = topic.name,
                              .asked = once[k],
                              .replica_id = request.replica_id,
                              .committed_only = request.isolation_level == kReadCommitted,
                              .version = exchange->version()};
      part = co_await answer_one(context, question);
      if (exchange->version() < kLeaderEpochFrom) part.leader_epoch = -1;
    }
  }
  exchange->respond(response);
}

void handle_offset_for_leader_epoch(BrokerContext& context, const ExchangePtr& exchange) {
  using Response = wire::OffsetForLeaderEpochResponse;
  wire::OffsetForLeaderEpochRequest request;
  if (!exchange->decode(request)) return;
  Response response;
  response.topics = exchange->arena().make_span<Response::OffsetForLeaderTopicResult>(request.topics.size());
  for (std::size_t i = 0; i < request.topics.size(); ++i) {
    const auto& topic = request.topics[i];
    response.topics[i].topic = topic.topic;
    response.topics[i].partitions = exchange->arena().make_span<Response::EpochEndOffset>(topic.partitions.size());
    for (std::size_t k = 0; k < topic.partitions.size(); ++k) {
      const auto& asked = topic.partitions[k];
      Response::EpochEndOffset& out = response.topics[i].partitions[k];
      out.partition = asked.partition;
      const auto found = locate(context, topic.topic, {}, asked.partition, false);
      if (!found) {
        out.error_code = static_cast<std::int16_t>(found.error());
        continue;
      }
      const auto decision = (*found)->offset_for_epoch(
          {.current_leader_epoch = LeaderEpoch(asked.current_leader_epoch), .epoch = LeaderEpoch(asked.leader_epoch)});
      out.error_code = static_cast<std::int16_t>(decision.error);
      if (decision.error == ErrorCode::NONE && decision.end.known()) {
        out.leader_epoch = decision.end.epoch.value();
        out.end_offset = decision.end.end.value();
      }
    }
  }
  exchange->respond(response);
}

}  // namespace verdict::broker
