#include "protocol/client/transaction.h"

#include <algorithm>
#include <utility>

#include "protocol/client/offset_topics.h"
#include "protocol/metadata_records.h"
#include "protocol/wire/gen/add_offsets_to_txn.h"
#include "protocol/wire/gen/add_partitions_to_txn.h"
#include "protocol/wire/gen/end_txn.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/txn_offset_commit.h"

namespace verdict::client {
namespace {

// The highest versions of clients: later ones are the brokers', or mean a transaction of version two.
constexpr int kAddPartitions = 3;
constexpr int kInit = 5;
constexpr int kEnd = 4, kEndTwo = 5;
constexpr int kOffsets = 4, kOffsetsTwo = 5;
constexpr int kAddOffsets = 4;

bool worth_another_try(ErrorCode error) {
  return coordinator_moved(error) || error == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS ||
         error == ErrorCode::CONCURRENT_TRANSACTIONS || error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
}

}  // namespace

Transaction::Transaction(Runtime& runtime, const ClientOptions& client, Connections& connections, Metadata& metadata,
                         TransactionOptions options)
    : runtime_(&runtime),
      client_(client),
      connections_(&connections),
      metadata_(&metadata),
      options_(std::move(options)),
      link_(connections, metadata, CoordinatorKind::transaction, options_.id),
      wake_(runtime) {}

void Transaction::close() {
  closed_ = true;
  wake_.notify();
}

// False: no time is left, or closed.
Task<bool> Transaction::pause(int failures, MonoTime deadline) {
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
  const MonoTime until = runtime_->now() + backoff(client_.retry_backoff, client_.retry_backoff_max, failures, draw);
  if (until >= deadline) co_return false;
  while (!closed_ && runtime_->now() < until) co_await wake_.wait_until(until);
  co_return !closed_;
}

// What the request points to lives in the caller's frame. Each of these may be repeated: the coordinator knows a
// request again.
template <class Response, class Request, class ErrorOf>
Task<ErrorCode> Transaction::ask(CoordinatorLink* link, int highest, Request request, ErrorOf error_of,
                                 MonoTime deadline, std::optional<TransactionWatch::Call> watched) {
  maybe_taken_ = false;
  const ProducerIdentity as = identity_;
  for (int failures = 0; !closed_; ++failures) {
    ErrorCode error = ErrorCode::NETWORK_EXCEPTION;
    const MonoTime limit = std::min(deadline, runtime_->now() + client_.request_timeout);
    const std::shared_ptr<RpcChannel> channel = co_await link->get(limit);
    if (channel != nullptr) {
      const std::optional<int> version = channel->version_of<Request>(Request::lowest_version, highest);
      if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
      if (link == &link_) finalized_ = channel->feature(protocol::kTransactionFeature);
      tell(watched, as, false);
      const auto answer = co_await channel->call<Response>(*version, request, limit);
      if (answer || !maybe_executed(answer.error())) tell(watched, as, true);
      if (answer) error = error_of(answer->value);
      // A coordinator that steps down answers what it has appended and not seen committed like what it has not.
      if (coordinator_moved(error)) maybe_taken_ = true;
    }
    if (error == ErrorCode::NONE) co_return error;
    if (coordinator_moved(error)) link->forget();
    if (!worth_another_try(error)) co_return error;
    const bool again = co_await pause(failures, deadline);
    if (!again) co_return error;
  }
  co_return ErrorCode::NETWORK_EXCEPTION;
}

void Transaction::tell(std::optional<TransactionWatch::Call> watched, const ProducerIdentity& as, bool settled) {
  if (watched && options_.watch != nullptr) options_.watch->asked(*watched, as, settled);
}

Task<ErrorCode> Transaction::init(MonoTime deadline) {
  const wire::InitProducerIdRequest request{
      .transactional_id = options_.id,
      .transaction_timeout_ms = static_cast<std::int32_t>(to_ms(options_.timeout)),
      .producer_id = identity_.id,
      .producer_epoch = identity_.epoch};
  const auto take = [this](const wire::InitProducerIdResponse& response) {
    if (response.error_code == 0) identity_ = {.id = response.producer_id, .epoch = response.producer_epoch};
    return wire::error_from_code(response.error_code);
  };
  return ask<wire::InitProducerIdResponse>(&link_, kInit, request, take, deadline, TransactionWatch::Call::init);
}

Task<ErrorCode> Transaction::add_partitions(std::vector<TopicPartition> partitions, MonoTime deadline) {
  using Request = wire::AddPartitionsToTxnRequest;
  wire::Arena arena;
  const auto topics = by_topic(partitions);
  Request request{.v3_and_below_transactional_id = options_.id,
                  .v3_and_below_producer_id = identity_.id,
                  .v3_and_below_producer_epoch = identity_.epoch};
  request.v3_and_below_topics = arena.make_span<Request::AddPartitionsToTxnTopic>(topics.size());
  std::size_t i = 0;
  for (const auto& [topic, indexes] : topics)
    request.v3_and_below_topics[i++] = {.name = topic, .partitions = arena.copy_span<std::int32_t>(indexes)};
  const auto error_of = [](const wire::AddPartitionsToTxnResponse& response) {
    ErrorCode first = ErrorCode::NONE;
    for (const auto& topic : response.results_by_topic_v3_and_below) {
      for (const auto& partition : topic.results_by_partition) {
        const ErrorCode error = wire::error_from_code(partition.partition_error_code);
        // The error of another partition is the reason that this one was not even tried.
        if (error != ErrorCode::NONE && (first == ErrorCode::NONE || first == ErrorCode::OPERATION_NOT_ATTEMPTED))
          first = error;
      }
    }
    return first;
  };
  co_return co_await ask<wire::AddPartitionsToTxnResponse>(&link_, kAddPartitions, request, error_of, deadline);
}

Task<ErrorCode> Transaction::add_offsets(std::string group, MonoTime deadline) {
  const wire::AddOffsetsToTxnRequest request{.transactional_id = options_.id,
                                             .producer_id = identity_.id,
                                             .producer_epoch = identity_.epoch,
                                             .group_id = group};
  const auto error_of = [](const wire::AddOffsetsToTxnResponse& response) {
    return wire::error_from_code(response.error_code);
  };
  co_return co_await ask<wire::AddOffsetsToTxnResponse>(&link_, kAddOffsets, request, error_of, deadline);
}

Task<ErrorCode> Transaction::commit_offsets(GroupMembership member, OffsetsToCommit offsets, MonoTime deadline) {
  using Request = wire::TxnOffsetCommitRequest;
  if (!version_two_) {
    const ErrorCode added = co_await add_offsets(member.group, deadline);
    if (added != ErrorCode::NONE) co_return added;
  }
  wire::Arena arena;
  Request request{.transactional_id = options_.id,
                  .group_id = member.group,
                  .producer_id = identity_.id,
                  .producer_epoch = identity_.epoch,
                  .generation_id = member.generation,
                  .member_id = member.member_id};
  if (!member.instance.empty()) request.group_instance_id = member.instance;
  request.topics =
      topics_of<Request::TxnOffsetCommitRequestTopic, Request::TxnOffsetCommitRequestPartition>(arena, offsets);
  const auto error_of = [](const wire::TxnOffsetCommitResponse& response) { return first_error(response.topics); };
  CoordinatorLink group(*connections_, *metadata_, CoordinatorKind::group, member.group);
  const int highest = version_two_ ? kOffsetsTwo : kOffsets;
  co_return co_await ask<wire::TxnOffsetCommitResponse>(&group, highest, request, error_of, deadline);
}

Task<ErrorCode> Transaction::end(bool commit, MonoTime deadline) {
  const wire::EndTxnRequest request{.transactional_id = options_.id,
                                    .producer_id = identity_.id,
                                    .producer_epoch = identity_.epoch,
                                    .committed = commit};
  const auto take = [this](const wire::EndTxnResponse& response) {
    if (response.error_code == 0 && version_two_ && response.producer_id >= 0)
      identity_ = {.id = response.producer_id, .epoch = response.producer_epoch};
    return wire::error_from_code(response.error_code);
  };
  return ask<wire::EndTxnResponse>(&link_, version_two_ ? kEndTwo : kEnd, request, take, deadline,
                                   commit ? TransactionWatch::Call::commit : TransactionWatch::Call::abort);
}

}  // namespace verdict::client
