#include "protocol/broker/transaction_verifier.h"

#include <algorithm>

#include "protocol/broker/coordinators.h"
#include "protocol/wire/gen/add_partitions_to_txn.h"

namespace verdict::broker {
namespace {

using wire::ErrorCode;
using Request = wire::AddPartitionsToTxnRequest;
using Response = wire::AddPartitionsToTxnResponse;

constexpr int kVerifies = 4, kAdds = 5;
constexpr Duration kTimeout = 5s;
// While the transaction before is being ended: add.partitions.to.txn.retry.backoff.ms and its limit.
constexpr Duration kRetry = 20ms;
constexpr Duration kRetryLimit = 100ms;

// What a producer understands: it tries again, or gives its transaction up.
ErrorCode told(ErrorCode error, const TransactionClaim& claim) {
  switch (error) {
    case ErrorCode::NETWORK_EXCEPTION:
    case ErrorCode::COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode::COORDINATOR_NOT_AVAILABLE:
    case ErrorCode::NOT_COORDINATOR:
      return ErrorCode::NOT_ENOUGH_REPLICAS;
    case ErrorCode::CONCURRENT_TRANSACTIONS:
      return claim.adds ? error : ErrorCode::NOT_ENOUGH_REPLICAS;
    case ErrorCode::TRANSACTION_ABORTABLE:
      return claim.knows_abortable ? error : ErrorCode::INVALID_TXN_STATE;
    case ErrorCode::PRODUCER_FENCED:
      return ErrorCode::INVALID_PRODUCER_EPOCH;
    default:
      return error;
  }
}

TransactionVerifier::Results all(const std::vector<TopicPartition>& partitions, ErrorCode error) {
  TransactionVerifier::Results results;
  for (const TopicPartition& at : partitions) results[at] = error;
  return results;
}

}  // namespace

TransactionVerifier::TransactionVerifier(Runtime& runtime, const protocol::BrokerConfig& config,
                                         const protocol::MetadataImage& image)
    : runtime_(&runtime),
      config_(&config),
      image_(&image),
      channels_(runtime, config, image, "add-partitions-to-txn"),
      stop_(runtime),
      turns_(runtime) {}

bool TransactionVerifier::wanted(const TransactionClaim& claim) const {
  return claim.adds || config_->boolean("transaction.partition.verification.enable");
}

Task<void> TransactionVerifier::stop() {
  stopping_ = true;
  stop_.notify();
  turns_.notify();
  co_await channels_.stop();
}

std::uint64_t TransactionVerifier::enter(const std::string& transactional_id) {
  lines_[transactional_id].push_back(++tickets_);
  return tickets_;
}

Task<void> TransactionVerifier::turn(std::string transactional_id, std::uint64_t ticket, MonoTime deadline) {
  const std::deque<std::uint64_t>& line = lines_[transactional_id];
  while (line.front() != ticket && !stopping_ && runtime_->now() < deadline) co_await turns_.wait_until(deadline);
}

void TransactionVerifier::leave(const std::string& transactional_id, std::uint64_t ticket) {
  const auto line = lines_.find(transactional_id);
  std::erase(line->second, ticket);
  if (line->second.empty()) lines_.erase(line);
  turns_.notify();
}

Task<TransactionVerifier::Results> TransactionVerifier::verify(TransactionClaim claim,
                                                               std::vector<TopicPartition> partitions,
                                                               MonoTime deadline, std::function<void()> asks) {
  const MonoTime retry_until = std::min(deadline, runtime_->now() + kRetryLimit);
  Results results;
  for (;;) {
    asks();
    results = co_await ask(&claim, &partitions, deadline);
    const bool busy = std::ranges::any_of(
        results, [](const auto& result) { return result.second == ErrorCode::CONCURRENT_TRANSACTIONS; });
    const MonoTime again = runtime_->now() + kRetry;
    if (!busy || !claim.adds || stopping_ || again >= retry_until) break;
    co_await stop_.wait_until(again);
  }
  for (auto& [at, error] : results) error = told(error, claim);
  co_return results;
}

Task<TransactionVerifier::Results> TransactionVerifier::ask(const TransactionClaim* claim,
                                                            const std::vector<TopicPartition>* partitions,
                                                            MonoTime deadline) {
  const auto key = coordinator_of(CoordinatorType::transaction, claim->transactional_id, *image_);
  const protocol::PartitionRegistration* registration = key ? image_->partition(*key) : nullptr;
  const NodeId leader = registration == nullptr ? kNoNode : registration->leader;
  const std::shared_ptr<client::RpcChannel> channel = leader == kNoNode ? nullptr : channels_.to(leader);
  if (channel == nullptr) co_return all(*partitions, ErrorCode::COORDINATOR_NOT_AVAILABLE);

  wire::Arena arena;
  const auto topics = by_topic(*partitions);
  Request request;
  request.transactions = arena.make_span<Request::AddPartitionsToTxnTransaction>(1);
  Request::AddPartitionsToTxnTransaction& transaction = request.transactions[0];
  transaction = {.transactional_id = claim->transactional_id,
                 .producer_id = claim->producer_id,
                 .producer_epoch = claim->producer_epoch,
                 .verify_only = !claim->adds,
                 .topics = arena.make_span<Request::AddPartitionsToTxnTopic>(topics.size())};
  std::size_t i = 0;
  for (const auto& [topic, indexes] : topics)
    transaction.topics[i++] = {.name = topic, .partitions = arena.copy_span<std::int32_t>(indexes)};
  const MonoTime limit = std::min(deadline, runtime_->now() + kTimeout);
  const auto answer = co_await channel->call<Response>(claim->adds ? kAdds : kVerifies, request, limit);
  if (!answer) co_return all(*partitions, ErrorCode::NETWORK_EXCEPTION);
  const Response& response = answer->value;
  if (response.error_code != 0) co_return all(*partitions, wire::error_from_code(response.error_code));
  Results results = all(*partitions, ErrorCode::NETWORK_EXCEPTION);
  for (const auto& of : response.results_by_transaction) {
    for (const auto& topic : of.topic_results) {
      for (const auto& at : topic.results_by_partition) {
        const auto found = results.find({.topic = std::string(topic.name), .partition = at.partition_index});
        if (found != results.end()) found->second = wire::error_from_code(at.partition_error_code);
      }
    }
  }
  co_return results;
}

}  // namespace verdict::broker
