#include "protocol/broker/marker_sender.h"

#include <set>

#include "protocol/wire/gen/write_txn_markers.h"

namespace verdict::broker {
namespace {

using wire::ErrorCode;
using Request = wire::WriteTxnMarkersRequest;
using Response = wire::WriteTxnMarkersResponse;

constexpr int kVersion = 1;

// By topic, in the order of the partitions.
std::span<Request::WritableTxnMarkerTopic> topics_of(wire::Arena& arena,
                                                     const std::vector<TopicPartition>& partitions) {
  const auto grouped = by_topic(partitions);
  auto topics = arena.make_span<Request::WritableTxnMarkerTopic>(grouped.size());
  std::size_t i = 0;
  for (const auto& [topic, indexes] : grouped)
    topics[i++] = {.name = topic, .partition_indexes = arena.copy_span<std::int32_t>(indexes)};
  return topics;
}

// What the answer says of each partition; silence counts as no answer.
MarkerSender::Results results_of(const Response* answer, ProducerId producer_id,
                                 const std::vector<TopicPartition>& partitions) {
  std::map<TopicPartition, ErrorCode> told;
  if (answer != nullptr) {
    for (const Response::WritableTxnMarkerResult& marker : answer->markers) {
      if (marker.producer_id != producer_id.value()) continue;
      for (const Response::WritableTxnMarkerTopicResult& topic : marker.topics) {
        for (const Response::WritableTxnMarkerPartitionResult& at : topic.partitions)
          told[{.topic = std::string(topic.name), .partition = at.partition_index}] =
              static_cast<ErrorCode>(at.error_code);
      }
    }
  }
  MarkerSender::Results results;
  for (const TopicPartition& at : partitions) {
    const auto found = told.find(at);
    results.emplace_back(at, found == told.end() ? ErrorCode::NETWORK_EXCEPTION : found->second);
  }
  return results;
}

}  // namespace

MarkerSender::MarkerSender(Runtime& runtime, const protocol::BrokerConfig& config, const protocol::MetadataImage& image)
    : runtime_(&runtime),
      image_(&image),
      timeout_(config.duration_ms("request.timeout.ms")),
      channels_(runtime, config, image, "txn-marker-sender"),
      scope_(runtime) {}

void MarkerSender::send(const storage::TxnMarker& marker, const std::vector<TopicPartition>& partitions,
                        const OnResults& done) {
  Results unsent;
  std::map<NodeId, std::vector<TopicPartition>> by_leader;
  for (const TopicPartition& at : partitions) {
    const protocol::TopicImage* topic = image_->topic(at.topic);
    const auto known = topic == nullptr ? decltype(topic->partitions.end()){} : topic->partitions.find(at.partition);
    if (topic == nullptr || known == topic->partitions.end()) {
      unsent.emplace_back(at, kGone);
    } else if (stopping_ || known->second.leader == kNoNode || channels_.to(known->second.leader) == nullptr) {
      unsent.emplace_back(at, ErrorCode::NETWORK_EXCEPTION);
    } else {
      by_leader[known->second.leader].push_back(at);
    }
  }
  for (auto& [leader, there] : by_leader) {
    Outbox& outbox = outboxes_[leader];
    outbox.waiting.push_back({.marker = marker, .partitions = std::move(there), .done = done});
    if (!std::exchange(outbox.sending, true)) scope_.spawn(run(leader));
  }
  if (!unsent.empty()) done(unsent);
}

Task<void> MarkerSender::run(NodeId leader) {
  for (;;) {
    Outbox& outbox = outboxes_.at(leader);
    if (outbox.waiting.empty()) break;
    // An answer names producers, not markers: one of each producer a request.
    std::vector<Waiting> batch, rest;
    std::set<ProducerId> producers;
    for (Waiting& one : outbox.waiting)
      (producers.insert(one.marker.producer_id).second ? batch : rest).push_back(std::move(one));
    outbox.waiting = std::move(rest);
    co_await send_batch(leader, std::move(batch));
  }
  outboxes_.at(leader).sending = false;
}

Task<void> MarkerSender::send_batch(NodeId leader, std::vector<Waiting> batch) {
  const std::shared_ptr<client::RpcChannel> channel = channels_.to(leader);
  if (channel == nullptr) {
    for (const Waiting& one : batch) one.done(results_of(nullptr, one.marker.producer_id, one.partitions));
    co_return;
  }
  wire::Arena arena;
  Request request;
  request.markers = arena.make_span<Request::WritableTxnMarker>(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const storage::TxnMarker& marker = batch[i].marker;
    request.markers[i] = {.producer_id = marker.producer_id.value(),
                          .producer_epoch = marker.producer_epoch.value(),
                          .transaction_result = marker.commit,
                          .topics = topics_of(arena, batch[i].partitions),
                          .coordinator_epoch = marker.coordinator_epoch};
  }
  const auto answer = co_await channel->call<Response>(kVersion, request, runtime_->now() + timeout_);
  for (const Waiting& one : batch)
    one.done(results_of(answer ? &answer->value : nullptr, one.marker.producer_id, one.partitions));
}

Task<void> MarkerSender::stop() {
  stopping_ = true;
  for (auto& [leader, outbox] : outboxes_) outbox.waiting.clear();
  co_await channels_.stop();
  co_await scope_.join();
}

}  // namespace verdict::broker
