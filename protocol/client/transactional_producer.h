#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "protocol/client/producer.h"
#include "protocol/client/transaction.h"

namespace verdict::client {

enum class TransactionOutcome : std::uint8_t {
  done,
  not_done,  // it never will be
  unknown,   // some attempt may have been taken
};

struct TransactionEnd {
  TransactionOutcome outcome = TransactionOutcome::not_done;
  ErrorCode error = ErrorCode::NONE;
};

// A producer whose records become visible together (KIP-98), one transaction after the other: init() once, then
// add_partitions(), send(), perhaps commit_offsets(), and commit() or abort(). A transaction whose records did not all
// arrive can only be aborted. After an unknown commit, and after an error of abort(), nothing is left but close(); what
// comes next is another producer with the same id, which waits for this one's transaction to end. Ends with close() on
// the real machine.
class TransactionalProducer final : private DeliverySink {
 public:
  TransactionalProducer(Runtime& runtime, const ClientOptions& client, ProducerOptions producer,
                        TransactionOptions transaction, DeliverySink& sink);

  Task<ErrorCode> init(MonoTime deadline);
  // Those that the transaction doesn't have yet. In version two there is nothing to ask.
  Task<ErrorCode> add_partitions(std::vector<TopicPartition> partitions, MonoTime deadline);
  bool send(std::string_view topic, std::int32_t partition, const ProducerRecord& record, std::uint64_t token);
  Task<ErrorCode> commit_offsets(GroupMembership member, OffsetsToCommit offsets, MonoTime deadline);
  Task<TransactionEnd> commit(MonoTime deadline);
  Task<TransactionEnd> abort(MonoTime deadline);
  Task<void> close();

  const Producer& producer() const { return producer_; }
  const ProducerIdentity& identity() const { return transaction_.identity(); }
  bool version_two() const { return transaction_.version_two(); }  // of the transaction under way (KIP-890)

 private:
  void delivered(std::uint64_t token, const DeliveryReport& report) override;
  void batch_sending(const BatchSent& batch) override { sink_->batch_sending(batch); }
  void batch_finished(std::uint64_t id) override { sink_->batch_finished(id); }
  void begin_anew();
  void take_identity();

  DeliverySink* sink_;
  Producer producer_;
  Transaction transaction_;
  std::set<TopicPartition> added_;
  bool open_ = false;                   // the coordinator may know of this transaction
  ErrorCode failed_ = ErrorCode::NONE;  // of the first record that did not arrive, or of another step
  bool sequences_lost_ = false;         // only another epoch can begin again
};

}  // namespace verdict::client
