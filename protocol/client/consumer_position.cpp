#include <algorithm>

#include "protocol/client/consumer.h"
#include "protocol/client/consumer_parts.h"
#include "protocol/wire/gen/list_offsets.h"
#include "protocol/wire/gen/offset_for_leader_epoch.h"

// Where a consumer stands: finding out an offset (ListOffsets) and whether it still means what it did
// (OffsetForLeaderEpoch).
namespace verdict::client {
namespace {

constexpr std::int32_t kConsumer = -1;  // ReplicaId of those that are no replica
constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;
constexpr int kFirstIsolatedListOffsets = 2;
constexpr int kFirstReplicaIdEpochs = 3;

template <class Group>
std::vector<std::uint64_t> seeks_of(const Group& group) {
  std::vector<std::uint64_t> seeks;
  for (const auto& state : group) seeks.push_back(state->seeks);
  return seeks;
}

// The place of (topic, partition) in a group that is sorted by both; its size if it isn't there.
template <class Group>
std::size_t place_of(const Group& group, std::string_view topic, std::int32_t partition) {
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (group[i]->name.partition == partition && group[i]->name.topic == topic) return i;
  }
  return group.size();
}

// The request's topics: a run of equal names each; fill(partition, state) says what is asked of one.
template <class Topic, class Partition, class Group, class Name, class Fill>
std::span<Topic> topics_of(const Group& group, wire::Arena& arena, Name name, Fill fill) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < group.size(); ++i)
    count += i == 0 || group[i]->name.topic != group[i - 1]->name.topic ? 1 : 0;
  const std::span<Topic> topics = arena.make_span<Topic>(count);
  std::size_t from = 0;
  for (Topic& topic : topics) {
    std::size_t to = from;
    while (to < group.size() && group[to]->name.topic == group[from]->name.topic) ++to;
    name(topic) = group[from]->name.topic;
    topic.partitions = arena.make_span<Partition>(to - from);
    for (std::size_t i = from; i < to; ++i) fill(topic.partitions[i - from], *group[i]);
    from = to;
  }
  return topics;
}

// What became of each that was asked and not sought anew since: refused(state, error) or take(state, part).
template <class Topics, class Group, class Take, class Refused>
void take_answers(const Topics& topics, const Group& group, const std::vector<std::uint64_t>& seeks, Take take,
                  Refused refused) {
  for (const auto& topic : topics) {
    for (const auto& part : topic.partitions) {
      std::size_t at = group.size();
      if constexpr (requires { part.partition_index; }) {
        at = place_of(group, topic.name, part.partition_index);
      } else {
        at = place_of(group, topic.topic, part.partition);
      }
      if (at == group.size() || group[at]->seeks != seeks[at]) continue;
      const ErrorCode error = wire::error_from_code(part.error_code);
      if (error != ErrorCode::NONE) {
        refused(*group[at], error);
      } else {
        take(*group[at], part);
      }
    }
  }
}

}  // namespace

Task<void> Consumer::locate_task(NodeId leader, Group group) {
  const std::vector<std::uint64_t> seeks = seeks_of(group);
  const ErrorCode error = co_await locate(leader, &group, seeks);
  for (std::size_t i = 0; i < group.size(); ++i) {
    group[i]->busy = false;
    const bool waiting = group[i]->seeks == seeks[i] && group[i]->phase == State::Phase::locate;
    if (waiting && group[i]->not_before <= runtime_->now()) report_error(*group[i], error, events_);
  }
  wake();
}

Task<ErrorCode> Consumer::locate(NodeId leader, const Group* group, std::vector<std::uint64_t> seeks) {
  const std::shared_ptr<RpcChannel> channel = connections_.node(leader);
  if (channel == nullptr) co_return ErrorCode::NETWORK_EXCEPTION;
  const MonoTime deadline = runtime_->now() + client_.request_timeout;
  const bool ready = co_await channel->ready(deadline);
  if (!ready) co_return ErrorCode::NETWORK_EXCEPTION;
  using wire::ListOffsetsRequest;
  const std::optional<int> version = channel->version_of<ListOffsetsRequest>(
      options_.read_committed ? kFirstIsolatedListOffsets : ListOffsetsRequest::lowest_version);
  if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
  wire::Arena arena;
  ListOffsetsRequest request{.replica_id = kConsumer,
                             .isolation_level = static_cast<std::int8_t>(options_.read_committed ? 1 : 0)};
  request.timeout_ms = static_cast<std::int32_t>(to_ms(client_.request_timeout));
  request.topics = topics_of<ListOffsetsRequest::ListOffsetsTopic, ListOffsetsRequest::ListOffsetsPartition>(
      *group, arena, [](auto& topic) -> std::string_view& { return topic.name; },
      [](auto& part, const State& state) {
        part.partition_index = state.name.partition;
        part.current_leader_epoch = state.leader_epoch.value();
        part.timestamp = state.start.kind == StartAt::Kind::latest ? kLatest : kEarliest;
      });
  const RpcResult<wire::ListOffsetsResponse> answer =
      co_await channel->call<wire::ListOffsetsResponse>(*version, request, deadline);
  if (!answer) co_return to_error(answer.error());
  take_answers(
      (*answer)->topics, *group, seeks,
      [this](State& state, const auto& part) { located(state, Offset(part.offset), LeaderEpoch(part.leader_epoch)); },
      [this](State& state, ErrorCode error) { report_error(state, error, events_); });
  co_return ErrorCode::UNKNOWN_SERVER_ERROR;  // of those that the answer passed over
}

void Consumer::located(State& state, Offset offset, LeaderEpoch epoch) {
  state.phase = State::Phase::fetch;
  state.position = offset;
  state.read_epoch = epoch;
  state.checked_epoch = state.leader_epoch;
  state.failures = 0;
  PolledPartition event{.event = PolledPartition::Event::located, .partition = state.name};
  event.next = offset;
  event.from = kNoOffset;
  events_.push_back(std::move(event));
}

Task<void> Consumer::check_task(NodeId leader, Group group) {
  const std::vector<std::uint64_t> seeks = seeks_of(group);
  const ErrorCode error = co_await check(leader, &group, seeks);
  for (std::size_t i = 0; i < group.size(); ++i) {
    group[i]->busy = false;
    const bool waiting = group[i]->seeks == seeks[i] && group[i]->phase == State::Phase::check;
    if (!waiting || group[i]->not_before > runtime_->now()) continue;
    if (error == ErrorCode::UNSUPPORTED_VERSION) {
      checked(*group[i], group[i]->position, group[i]->read_epoch);  // a node that can't say
    } else {
      report_error(*group[i], error, events_);
    }
  }
  wake();
}

Task<ErrorCode> Consumer::check(NodeId leader, const Group* group, std::vector<std::uint64_t> seeks) {
  const std::shared_ptr<RpcChannel> channel = connections_.node(leader);
  if (channel == nullptr) co_return ErrorCode::NETWORK_EXCEPTION;
  const MonoTime deadline = runtime_->now() + client_.request_timeout;
  const bool ready = co_await channel->ready(deadline);
  if (!ready) co_return ErrorCode::NETWORK_EXCEPTION;
  using wire::OffsetForLeaderEpochRequest;
  // Clients may ask from version 3 on (KIP-392): before, it takes the right to act on the cluster.
  const std::optional<int> version = channel->version_of<OffsetForLeaderEpochRequest>(kFirstReplicaIdEpochs);
  if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
  wire::Arena arena;
  OffsetForLeaderEpochRequest request{.replica_id = kConsumer};
  request.topics = topics_of<OffsetForLeaderEpochRequest::OffsetForLeaderTopic,
                             OffsetForLeaderEpochRequest::OffsetForLeaderPartition>(
      *group, arena, [](auto& topic) -> std::string_view& { return topic.topic; },
      [](auto& part, const State& state) {
        part.partition = state.name.partition;
        part.current_leader_epoch = state.leader_epoch.value();
        part.leader_epoch = state.read_epoch.value();
      });
  const RpcResult<wire::OffsetForLeaderEpochResponse> answer =
      co_await channel->call<wire::OffsetForLeaderEpochResponse>(*version, request, deadline);
  if (!answer) co_return to_error(answer.error());
  take_answers((*answer)->topics, *group, seeks,
               [this](State& state, const auto& part) {
                 checked(state, Offset(part.end_offset), LeaderEpoch(part.leader_epoch));
               },
               [this](State& state, ErrorCode error) { report_error(state, error, events_); });
  co_return ErrorCode::UNKNOWN_SERVER_ERROR;
}

// The leader's log has `epoch` as its largest one up to the asked, and that ends at `end`.
void Consumer::checked(State& state, Offset end, LeaderEpoch epoch) {
  state.phase = State::Phase::fetch;
  state.checked_epoch = state.leader_epoch;
  state.failures = 0;
  if (end == kNoOffset || epoch == kNoEpoch) {  // the leader knows no such epoch, nor an older one
    ++stats_.truncations;
    out_of_range(state, state.position, events_);
    return;
  }
  // An older epoch alone says nothing: one without records leaves no trace on followers.
  if (end >= state.position) return;
  ++stats_.truncations;
  PolledPartition event{.event = PolledPartition::Event::truncated, .partition = state.name};
  event.from = state.position;
  event.next = end;
  events_.push_back(std::move(event));
  ++state.seeks;
  state.position = end;
  state.read_epoch = epoch;
}

}  // namespace verdict::client
