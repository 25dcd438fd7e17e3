#include "protocol/broker/isr_sender.h"

#include <fmt/format.h>

#include "protocol/wire/gen/alter_partition.h"
#include "runtime/io.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "AlterPartitionManager";
constexpr int kVersion = 3;
constexpr Duration kTimeout = 5s;
constexpr Duration kRetry = 50ms;

using Request = wire::AlterPartitionRequest;
using Response = wire::AlterPartitionResponse;

Request request_of(wire::Arena& arena, const std::map<PartitionKey, IsrProposal>& batch) {
  Request request;
  std::size_t topics = 0;
  const Uuid* last = nullptr;
  for (const auto& [key, proposal] : batch) {
    if (last == nullptr || *last != key.topic) ++topics;
    last = &key.topic;
  }
  request.topics = arena.make_span<Request::TopicData>(topics);
  std::size_t topic = 0;
  for (auto at = batch.begin(); at != batch.end(); ++topic) {
    auto end = at;
    std::size_t count = 0;
    for (; end != batch.end() && end->first.topic == at->first.topic; ++end) ++count;
    request.topics[topic].topic_id = at->first.topic;
    request.topics[topic].partitions = arena.make_span<Request::PartitionData>(count);
    for (std::size_t i = 0; i < count; ++i, ++at) {
      Request::PartitionData& data = request.topics[topic].partitions[i];
      data.partition_index = at->first.index;
      data.leader_epoch = at->second.leader_epoch.value();
      data.partition_epoch = at->second.partition_epoch.value();
      data.new_isr_with_epochs = arena.make_span<Request::BrokerState>(at->second.isr.size());
      for (std::size_t member = 0; member < at->second.isr.size(); ++member) {
        const auto& [id, epoch] = at->second.isr[member];
        data.new_isr_with_epochs[member] = {.broker_id = id.value(), .broker_epoch = epoch.value()};
      }
    }
  }
  return request;
}

IsrResult result_of(const Response::PartitionData& data) {
  const auto error = static_cast<wire::ErrorCode>(data.error_code);
  if (error != wire::ErrorCode::NONE) return std::unexpected(error);
  IsrDecision decision{.leader = NodeId(data.leader_id),
                       .leader_epoch = LeaderEpoch(data.leader_epoch),
                       .partition_epoch = PartitionEpoch(data.partition_epoch),
                       .isr = {}};
  for (const std::int32_t id : data.isr) decision.isr.emplace_back(id);
  return decision;
}

}  // namespace

IsrSender::IsrSender(Runtime& runtime, client::RpcChannel& controller, NodeId self,
                     std::function<BrokerEpoch()> broker_epoch, OnResult on_result)
    : runtime_(&runtime),
      controller_(&controller),
      self_(self),
      broker_epoch_(std::move(broker_epoch)),
      on_result_(std::move(on_result)),
      wake_(runtime),
      scope_(runtime) {}

void IsrSender::propose(PartitionKey partition, IsrProposal proposal) {
  waiting_.insert_or_assign(partition, std::move(proposal));
  wake_.notify();
}

Task<void> IsrSender::stop() {
  stopping_ = true;
  wake_.notify();
  co_await scope_.join();
}

Task<void> IsrSender::run() {
  while (!stopping_) {
    if (waiting_.empty()) {
      co_await wake_.wait();
      continue;
    }
    if (runtime_->maybe(Site::LateProposal)) co_await sleep_until(*runtime_, runtime_->now() + kRetry);
    Batch batch;
    if (runtime_->maybe(Site::SplitProposal)) {
      batch.insert(waiting_.extract(waiting_.begin()));
    } else {
      batch = std::exchange(waiting_, {});
    }
    const bool answered = co_await send(std::move(batch));
    if (!answered && !stopping_) co_await sleep_until(*runtime_, runtime_->now() + kRetry);
  }
}

Task<bool> IsrSender::send(Batch batch) {
  wire::Arena arena;
  Request request = request_of(arena, batch);
  request.broker_id = self_.value();
  request.broker_epoch = broker_epoch_().value();
  auto answer = co_await controller_->call<Response>(kVersion, request, runtime_->now() + kTimeout);
  const auto whole = answer ? static_cast<wire::ErrorCode>((*answer)->error_code) : wire::ErrorCode::NETWORK_EXCEPTION;
  if (whole != wire::ErrorCode::NONE) {
    for (const auto& [key, proposal] : batch) on_result_(key, proposal.id, std::unexpected(whole));
    if (answer)
      runtime_->log(LogLevel::warn, kLogger, fmt::format("AlterPartition refused: {}", wire::to_string(whole)));
    co_return false;
  }
  for (const Response::TopicData& topic : (*answer)->topics) {
    for (const Response::PartitionData& data : topic.partitions) {
      const auto proposal = batch.find({.topic = topic.topic_id, .index = data.partition_index});
      if (proposal == batch.end()) continue;
      const PartitionKey key = proposal->first;
      const replication::ProposalId id = proposal->second.id;
      batch.erase(proposal);
      on_result_(key, id, result_of(data));
    }
  }
  for (const auto& [key, proposal] : batch)
    on_result_(key, proposal.id, std::unexpected(wire::ErrorCode::UNKNOWN_SERVER_ERROR));
  co_return true;
}

}  // namespace verdict::broker
