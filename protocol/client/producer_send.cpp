#include <algorithm>
#include <tuple>

#include "protocol/client/producer.h"
#include "protocol/client/producer_parts.h"
#include "protocol/wire/gen/produce.h"
#include "runtime/assert.h"

namespace verdict::client {
namespace {

constexpr int kFirstVersionWithTopicIds = 13;
constexpr int kLastBeforeVersionTwo = 11;  // from 12 on leaders add the partition to the transaction

}  // namespace

Task<void> Producer::run() {
  while (!closed_) {
    woken_ = false;
    const MonoTime next = drain();
    if ((!active_.empty() || lost_) && metadata_.stale() && !refreshing_ && !closed_) {
      refreshing_ = true;
      lost_ = false;
      scope_.spawn(refresh_task());
    }
    if (!woken_) co_await wake_.wait_until(next);
  }
}

// With acks=0 a broker refuses by closing the connection, and nobody else says that the leader is another by now.
void Producer::connection_lost() {
  if (options_.acks != 0 || closed_) return;
  metadata_.make_stale();
  lost_ = true;
  wants_generation_ = metadata_.generation() + 1;
  hold_until_ = runtime_->now() + client_.retry_backoff_max;
  wake();
}

Task<void> Producer::refresh_task() {
  co_await metadata_.refresh(runtime_->now() + client_.request_timeout);
  refreshing_ = false;
  wake();
}

// Sends what may go now; says when something will be due by itself.
MonoTime Producer::drain() {
  const MonoTime now = runtime_->now();
  MonoTime next = MonoTime::max();
  const std::size_t count = active_.size();
  for (std::size_t i = 0; i < count; ++i) {
    Partition& partition = *active_[(first_active_ + i) % count];
    expire(partition, now, next);
    collect(partition, now, next);
  }
  std::erase_if(active_, [](Partition* partition) {
    if (partition->open != nullptr || !partition->sealed.empty()) return false;
    partition->active = false;
    return true;
  });
  if (!active_.empty()) first_active_ = (first_active_ + 1) % active_.size();
  for (auto& [id, node] : nodes_) {
    if (node.next == nullptr) continue;
    woken_ = true;  // another request may go beside this one
    ++node.in_flight;
    ++stats_.requests;
    scope_.spawn(send_task(std::move(node.next)));
  }
  return next;
}

// The front batches whose time is over were never sent, or not lately: what is in flight isn't here.
void Producer::expire(Partition& partition, MonoTime now, MonoTime& next) {
  while (!partition.sealed.empty()) {
    const MonoTime end = partition.sealed.front()->created + options_.delivery_timeout;
    if (now < end) {
      next = std::min(next, end);
      return;
    }
    BatchPtr batch = std::move(partition.sealed.front());
    partition.sealed.pop_front();
    give_up(std::move(batch), ErrorCode::REQUEST_TIMED_OUT);
  }
}

bool Producer::may_go(const Partition& partition, MonoTime now, MonoTime& next) const {
  MonoTime due = MonoTime::min();
  if (!partition.sealed.empty()) {
    due = partition.sealed.front()->not_before;
    // A retry with the metadata that misled the last attempt is wasted, unless no newer one can be had.
    if (metadata_.generation() < partition.wants_generation) due += client_.retry_backoff_max;
  } else if (partition.open == nullptr) {
    return false;
  } else if (partition.open->id >= flush_below_) {
    due = partition.open->created + options_.linger;
  }
  if (due <= now) return true;
  next = std::min(next, due);
  return false;
}

// Moves the partition's first batch into its leader's next request, if it may go and there is room.
bool Producer::collect(Partition& partition, MonoTime now, MonoTime& next) {
  if (!may_go(partition, now, next)) return false;
  if (metadata_.generation() < wants_generation_ && now < hold_until_) {
    next = std::min(next, hold_until_);
    return false;
  }
  // One request in flight promises order, also while the leader moves to another node.
  if (options_.max_in_flight == 1 && !partition.flying.empty()) return false;
  if (partition.generation != metadata_.generation()) {
    partition.generation = metadata_.generation();
    partition.leader = metadata_.leader(partition.topic, partition.index);
    const TopicInfo* topic = metadata_.topic(partition.topic);
    partition.topic_id = topic == nullptr ? Uuid{} : topic->id;
  }
  const std::shared_ptr<RpcChannel> channel = partition.leader ? connections_.node(partition.leader->node) : nullptr;
  if (channel == nullptr) {
    metadata_.make_stale();
    if (partition.sealed.empty()) seal(partition);  // from here on it may expire
    next = std::min(next, partition.sealed.front()->created + options_.delivery_timeout);
    return false;
  }
  Node& node = nodes_[partition.leader->node];
  // Before the connection stands a second request might overtake the first.
  if (node.in_flight >= (channel->connected() ? options_.max_in_flight : 1)) return false;
  if (options_.idempotent && !may_go_in_sequence(partition, now, next)) return false;
  if (partition.sealed.empty()) seal(partition);
  const std::size_t size = partition.sealed.front()->bytes.size();
  if (node.next == nullptr) {
    node.next = std::make_unique<Request>();
    node.next->node = partition.leader->node;
  } else if (node.next->bytes + size > options_.max_request_bytes) {
    return false;
  }
  if (options_.idempotent) give_sequence(*partition.sealed.front());
  node.next->bytes += size;
  node.next->batches.push_back(std::move(partition.sealed.front()));
  partition.sealed.pop_front();
  partition.flying.emplace(node.next->batches.back()->id, partition.leader->node);
  return true;
}

Task<void> Producer::send_task(std::unique_ptr<Request> request) {
  const NodeId id = request->node;
  std::ranges::sort(request->batches, [](const BatchPtr& a, const BatchPtr& b) {
    return std::tie(a->partition->topic, a->partition->index) < std::tie(b->partition->topic, b->partition->index);
  });
  co_await attempt(request.get());
  --nodes_[id].in_flight;
  if (!active_.empty() || closed_) wake();
}

void Producer::announce(Request& request) {
  for (const BatchPtr& batch : request.batches) {
    const Partition& partition = *batch->partition;
    sink_->batch_sending({.id = batch->id,
                          .topic = partition.topic,
                          .topic_id = partition.topic_id,
                          .partition = partition.index,
                          .crc = batch->crc,
                          .records = static_cast<std::int32_t>(batch->tokens.size()),
                          .attempt = batch->attempts,
                          .producer_id = partition.identity.id,
                          .producer_epoch = partition.identity.epoch,
                          .base_sequence = batch->base_sequence,
                          .renumbered = std::exchange(batch->renumbered, false)});
    if (batch->attempts++ != 0) ++stats_.retried_batches;
    stats_.bytes += batch->bytes.size();
  }
}

namespace {

using wire::ProduceRequest;

// One entry for each run of batches with the same topic, in their order.
template <class Batches>
std::span<ProduceRequest::TopicProduceData> topics_of(const Batches& batches, bool by_id, wire::Arena& arena) {
  std::size_t topics = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    topics += i == 0 || batches[i]->partition->topic != batches[i - 1]->partition->topic ? 1 : 0;
  }
  const auto all = arena.make_span<ProduceRequest::TopicProduceData>(topics);
  std::size_t from = 0;
  for (auto& topic : all) {
    std::size_t to = from;
    while (to < batches.size() && batches[to]->partition->topic == batches[from]->partition->topic) ++to;
    if (by_id) {
      topic.topic_id = batches[from]->partition->topic_id;
    } else {
      topic.name = batches[from]->partition->topic;
    }
    topic.partition_data = arena.make_span<ProduceRequest::PartitionProduceData>(to - from);
    for (std::size_t i = from; i < to; ++i) {
      topic.partition_data[i - from] = {.index = batches[i]->partition->index,
                                        .records = wire::Records::of(batches[i]->bytes)};
    }
    from = to;
  }
  return all;
}

}  // namespace

Task<void> Producer::attempt(Request* request) {
  const std::shared_ptr<RpcChannel> channel = connections_.node(request->node);
  const MonoTime deadline = runtime_->now() + client_.request_timeout;
  const bool ready = channel != nullptr && co_await channel->ready(deadline);
  bool by_id = true;
  for (const BatchPtr& batch : request->batches) by_id = by_id && !batch->partition->topic_id.is_zero();
  const int highest = options_.transactional && !leaders_add_ ? kLastBeforeVersionTwo
                      : by_id                                 ? ProduceRequest::highest_version
                                                              : kFirstVersionWithTopicIds - 1;
  const std::optional<int> version =
      ready ? channel->version_of<ProduceRequest>(ProduceRequest::lowest_version, highest) : std::nullopt;
  if (!version) {
    for (const BatchPtr& batch : request->batches) ++batch->attempts;
    settle_all(*request, ready ? ErrorCode::UNSUPPORTED_VERSION : ErrorCode::NETWORK_EXCEPTION, false);
    co_return;
  }
  by_id = *version >= kFirstVersionWithTopicIds;
  announce(*request);
  ProduceRequest message{.acks = options_.acks,
                         .timeout_ms = static_cast<std::int32_t>(to_ms(options_.ack_timeout)),
                         .topic_data = topics_of(request->batches, by_id, request->arena)};
  if (options_.transactional) message.transactional_id = options_.transactional_id;
  if (options_.acks == 0) {
    const std::expected<void, RpcFault> sent = co_await channel->send(*version, message, deadline);
    if (!sent) {
      settle_all(*request, to_error(sent.error()), maybe_executed(sent.error()));
      co_return;
    }
    for (BatchPtr& batch : request->batches) {
      landed(*batch);
      finish(std::move(batch), Delivery::acknowledged, ErrorCode::NONE, kNoOffset);
    }
    co_return;
  }
  const RpcResult<wire::ProduceResponse> answer =
      co_await channel->call<wire::ProduceResponse>(*version, message, deadline);
  if (!answer) {
    settle_all(*request, to_error(answer.error()), maybe_executed(answer.error()));
    co_return;
  }
  take_answer(*request, answer->value, by_id);
}

void Producer::landed(Batch& batch) { batch.partition->flying.erase(batch.id); }

void Producer::settle_all(Request& request, ErrorCode error, bool maybe) {
  for (BatchPtr& batch : request.batches) {
    if (batch == nullptr) continue;
    landed(*batch);
    attempt_failed(std::move(batch), error, maybe, wire::is_retriable(error));
  }
}

void Producer::take_answer(Request& request, const wire::ProduceResponse& response, bool by_id) {
  const std::size_t count = request.batches.size();
  std::size_t cursor = 0;  // answers come in the order of the request, mostly
  for (const auto& topic : response.responses) {
    for (const auto& part : topic.partition_responses) {
      for (std::size_t tried = 0; tried < count; ++tried, cursor = (cursor + 1) % count) {
        const BatchPtr& batch = request.batches[cursor];
        if (batch == nullptr || batch->partition->index != part.index) continue;
        if (by_id ? batch->partition->topic_id != topic.topic_id : batch->partition->topic != topic.name) continue;
        break;
      }
      BatchPtr& batch = request.batches[cursor];
      const bool found = batch != nullptr && batch->partition->index == part.index &&
                         (by_id ? batch->partition->topic_id == topic.topic_id : batch->partition->topic == topic.name);
      if (!found) continue;
      landed(*batch);
      const ErrorCode error = wire::error_from_code(part.error_code);
      Partition& partition = *batch->partition;
      // A duplicate of what the broker has forgotten the offset of was appended all the same.
      const bool duplicate = options_.idempotent && error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
      if (error == ErrorCode::NONE || duplicate) {
        if (options_.idempotent)
          partition.expected_sequence = sequence_after(batch->base_sequence, std::ssize(batch->tokens));
        finish(std::move(batch), Delivery::acknowledged, ErrorCode::NONE,
               duplicate ? kNoOffset : Offset(part.base_offset));
        continue;
      }
      const bool again = wire::is_retriable(error) ||
                         (options_.idempotent && refused_in_sequence(*batch, error, part.log_start_offset));
      attempt_failed(std::move(batch), error, !definitely_not_appended(error), again);
      if (part.current_leader.leader_id >= 0) {
        metadata_.hint(partition.topic, partition.index,
                       {NodeId(part.current_leader.leader_id), LeaderEpoch(part.current_leader.leader_epoch)});
      }
    }
  }
  settle_all(request, ErrorCode::UNKNOWN_SERVER_ERROR, true);  // those that the answer passes over
}

}  // namespace verdict::client
