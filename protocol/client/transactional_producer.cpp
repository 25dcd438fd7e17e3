#include "protocol/client/transactional_producer.h"

#include <utility>

#include "runtime/assert.h"

namespace verdict::client {
namespace {

ProducerOptions as_transactional(ProducerOptions options, std::string_view id) {
  options.idempotent = true;
  options.transactional = true;
  options.transactional_id = id;
  return options;
}

}  // namespace

TransactionalProducer::TransactionalProducer(Runtime& runtime, const ClientOptions& client, ProducerOptions producer,
                                             TransactionOptions transaction, DeliverySink& sink)
    : sink_(&sink),
      producer_(runtime, client, as_transactional(std::move(producer), transaction.id), *this),
      transaction_(runtime, client, producer_.connections(), producer_.metadata(), std::move(transaction)) {}

void TransactionalProducer::begin_anew() {
  added_.clear();
  open_ = false;
  failed_ = ErrorCode::NONE;
  const bool epoch_is_new = transaction_.version_two();  // the end of one brought it
  transaction_.begin();
  if (epoch_is_new) take_identity();
}

// Of an init, or of an end in version two.
void TransactionalProducer::take_identity() {
  producer_.use_identity(ProducerId(identity().id), ProducerEpoch(identity().epoch), transaction_.version_two());
  sequences_lost_ = false;
}

Task<ErrorCode> TransactionalProducer::init(MonoTime deadline) {
  const ErrorCode error = co_await transaction_.init(deadline);
  if (error != ErrorCode::NONE) co_return error;
  begin_anew();
  take_identity();
  co_return error;
}

Task<ErrorCode> TransactionalProducer::add_partitions(std::vector<TopicPartition> partitions, MonoTime deadline) {
  if (transaction_.version_two()) co_return ErrorCode::NONE;  // their leaders do, at the first batch
  std::erase_if(partitions, [this](const TopicPartition& one) { return added_.contains(one); });
  if (partitions.empty()) co_return ErrorCode::NONE;
  open_ = true;
  const ErrorCode error = co_await transaction_.add_partitions(partitions, deadline);
  if (error == ErrorCode::NONE) {
    added_.insert(partitions.begin(), partitions.end());
  } else if (failed_ == ErrorCode::NONE) {
    failed_ = error;
  }
  co_return error;
}

bool TransactionalProducer::send(std::string_view topic, std::int32_t partition, const ProducerRecord& record,
                                 std::uint64_t token) {
  VERDICT_ASSERT(version_two() || added_.contains({.topic = std::string(topic), .partition = partition}));
  open_ = true;
  return producer_.send(topic, partition, record, token);
}

void TransactionalProducer::delivered(std::uint64_t token, const DeliveryReport& report) {
  if (report.delivery != Delivery::acknowledged) {
    sequences_lost_ = true;
    if (failed_ == ErrorCode::NONE) failed_ = report.error;
  }
  sink_->delivered(token, report);
}

Task<ErrorCode> TransactionalProducer::commit_offsets(GroupMembership member, OffsetsToCommit offsets,
                                                      MonoTime deadline) {
  open_ = true;
  const ErrorCode error = co_await transaction_.commit_offsets(std::move(member), std::move(offsets), deadline);
  if (error != ErrorCode::NONE && failed_ == ErrorCode::NONE) failed_ = error;
  co_return error;
}

Task<TransactionEnd> TransactionalProducer::commit(MonoTime deadline) {
  const bool flushed = co_await producer_.flush(deadline);
  if (!flushed && failed_ == ErrorCode::NONE) failed_ = ErrorCode::REQUEST_TIMED_OUT;
  if (failed_ != ErrorCode::NONE) co_return TransactionEnd{.outcome = TransactionOutcome::not_done, .error = failed_};
  if (!open_) co_return TransactionEnd{.outcome = TransactionOutcome::done};
  const ErrorCode error = co_await transaction_.end(true, deadline);
  if (error == ErrorCode::NONE) {
    begin_anew();
    co_return TransactionEnd{.outcome = TransactionOutcome::done};
  }
  co_return TransactionEnd{
      .outcome = transaction_.maybe_taken() ? TransactionOutcome::unknown : TransactionOutcome::not_done,
      .error = error};
}

// What is still under way gets its outcome first: behind the marker it would begin a transaction that nobody ends.
Task<TransactionEnd> TransactionalProducer::abort(MonoTime deadline) {
  const bool flushed = co_await producer_.flush(deadline);
  if (!flushed) {
    co_return TransactionEnd{.outcome = TransactionOutcome::not_done, .error = ErrorCode::REQUEST_TIMED_OUT};
  }
  if (open_) {
    const ErrorCode error = co_await transaction_.end(false, deadline);
    // INVALID_TXN_STATE: nothing was ever added.
    if (error != ErrorCode::NONE && error != ErrorCode::INVALID_TXN_STATE) {
      co_return TransactionEnd{
          .outcome = transaction_.maybe_taken() ? TransactionOutcome::unknown : TransactionOutcome::not_done,
          .error = error};
    }
  }
  begin_anew();
  if (!sequences_lost_) co_return TransactionEnd{.outcome = TransactionOutcome::done};
  const ErrorCode error = co_await init(deadline);
  co_return TransactionEnd{.outcome = TransactionOutcome::done, .error = error};
}

Task<void> TransactionalProducer::close() {
  transaction_.close();
  co_await producer_.close();
}

}  // namespace verdict::client
