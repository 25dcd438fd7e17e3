#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/events.h"
#include "protocol/transaction/log_records.h"
#include "protocol/transaction/transaction.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/add_offsets_to_txn.h"
#include "protocol/wire/gen/add_partitions_to_txn.h"
#include "protocol/wire/gen/describe_transactions.h"
#include "protocol/wire/gen/end_txn.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/list_transactions.h"
#include "runtime/names.h"
#include "runtime/time.h"

// The transaction coordinator of one partition of __transaction_state (KIP-98, 360, 447, 890), as Kafka 4.1 decides.
//
// It decides on its own state at once, ahead of the commit. The shell carries out effects in order: an Append is
// written at once, what follows it only when all that was appended so far is committed. If an append fails or
// leadership is lost, the shell drops this machine, answers the open tokens NOT_COORDINATOR and replays into a new one;
// so a transition is never half done.
namespace verdict::transaction {

using Token = std::uint64_t;  // the shell's name for a request

// The request belongs to the caller and must live through step() only.
template <class Request>
struct Call {
  Token token = 0;
  int version = 0;  // of the request
  const Request& request;
};

// What came of one partition's marker.
enum class MarkerOutcome : std::uint8_t {
  done,         // written
  retry_later,  // no leader, not enough replicas, no answer
  gone,         // the partition does not exist (any more), so there is nothing to mark
  fenced,       // a newer coordinator or producer epoch was there first: not sent again, Prepare* stays
};
// Of an error code in WriteTxnMarkersResponse. An error that Kafka has no rule for is retried.
MarkerOutcome marker_outcome(wire::ErrorCode);

namespace events_in {

// Versions 0-5, with a transactional id (others are not this machine's; null or empty is INVALID_REQUEST).
using InitProducerId = Call<wire::InitProducerIdRequest>;
using AddPartitionsToTxn = Call<wire::AddPartitionsToTxnRequest>;  // versions 0-3: clients
// One transaction of AddPartitionsToTxn from version 4 on: brokers, on behalf of a Produce or TxnOffsetCommit. With
// verify_only nothing is added. The answer's results_by_transaction has that one transaction.
struct VerifyPartitions {
  Token token = 0;
  int version = 0;
  const wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTransaction& transaction;
};
struct AddOffsetsToTxn {
  Token token = 0;
  int version = 0;
  const wire::AddOffsetsToTxnRequest& request;
  std::int32_t offsets_partition = 0;  // of __consumer_offsets, where the group is
};
using EndTxn = Call<wire::EndTxnRequest>;  // from version 5 on the client has transaction version 2
struct MarkersWritten {                    // of a SendMarkers, whole or in parts
  struct Partition {
    TopicPartition partition;
    MarkerOutcome outcome = MarkerOutcome::done;
  };
  std::string transactional_id;
  std::int64_t producer_id = kNoProducerId;
  std::int16_t producer_epoch = kNoProducerEpoch;
  std::vector<Partition> partitions;
};
struct DescribeTransactions {  // one id; the answer's transaction_states has one element
  Token token = 0;
  int version = 0;
  std::string_view transactional_id;
};
using ListTransactions = Call<wire::ListTransactionsRequest>;
struct ProducerIdAllocated {
  std::string transactional_id;
  std::expected<std::int64_t, wire::ErrorCode> producer_id;
};
struct FeatureChanged {
  std::int16_t transaction_version = 0;
};
struct Tick {};  // the timer rang; one that rings early is set again

}  // namespace events_in

using Response =
    std::variant<wire::Message<wire::InitProducerIdResponse>, wire::Message<wire::AddPartitionsToTxnResponse>,
                 wire::Message<wire::AddOffsetsToTxnResponse>, wire::Message<wire::EndTxnResponse>,
                 wire::Message<wire::DescribeTransactionsResponse>, wire::Message<wire::ListTransactionsResponse>>;

namespace effects {

struct Append {  // one atomic batch
  std::vector<LogRecord> records;
};
struct Respond {
  Token token = 0;
  Response response;
};
struct SendMarkers {  // until each partition was answered by a MarkersWritten
  std::string transactional_id;
  std::int64_t producer_id = kNoProducerId;
  std::int16_t producer_epoch = kNoProducerEpoch;
  bool commit = false;
  std::int32_t coordinator_epoch = 0;
  std::int16_t transaction_version = 0;  // of the client, or of the cluster if no client ended it
  std::vector<TopicPartition> partitions;
};
struct AllocateProducerId {  // answered by ProducerIdAllocated; one at a time for an id
  std::string transactional_id;
};
struct ArmTimer {  // one timer: replaces the one before; answered by Tick
  MonoTime when;
};
struct Log {  // for the log file
  bool warning = false;
  std::string text;
};
// Behind the Append that decides a transaction, if there is an observer: to be announced, with the record's place.
struct Decided {
  std::string transactional_id;
  std::int64_t producer_id = kNoProducerId;
  std::int16_t producer_epoch = kNoProducerEpoch;  // of the markers
  std::int16_t ended_epoch = kNoProducerEpoch;
  bool commit = false;
  std::string_view cause;
  std::int64_t open_ms = 0;
  std::int64_t timeout_ms = 0;
  std::int16_t version = 0;
};

}  // namespace effects

using Effect = std::variant<effects::Append, effects::Respond, effects::SendMarkers, effects::AllocateProducerId,
                            effects::ArmTimer, effects::Log, effects::Decided>;
struct Effects {
  std::vector<Effect> list;  // to be done in order, before the next event
  std::vector<Mark> marks;   // for Runtime::mark
};

class TransactionCoordinator {
 public:
  struct Options {
    Duration transaction_max_timeout = std::chrono::minutes(15);        // transaction.max.timeout.ms
    Duration transactional_id_expiration = std::chrono::hours(7 * 24);  // transactional.id.expiration.ms
    Duration abort_timed_out_interval = 10s;   // transaction.abort.timed.out.transaction.cleanup.interval.ms
    Duration remove_expired_interval = 3600s;  // transaction.remove.expired.transaction.cleanup.interval.ms
    Duration marker_retry_backoff = 100ms;
    std::int32_t coordinator_epoch = 0;    // leader epoch of the partition
    std::int16_t transaction_version = 0;  // finalized feature, 0-2
    DefectSet defects;
    PartitionKey partition{};  // what it announces is of this one
  };
  // `observer` may be null. Each state that a transaction takes is announced when it is appended, not when replayed;
  // what was found is announced by loaded().
  TransactionCoordinator(Options options, protocol::Observer* observer);
  ~TransactionCoordinator();
  TransactionCoordinator(const TransactionCoordinator&) = delete;
  TransactionCoordinator& operator=(const TransactionCoordinator&) = delete;

  // Before loaded(): each record of the log in order. An error is a sentence; the record then had no effect.
  std::expected<void, std::string> replay(std::span<const std::byte> key,
                                          std::optional<std::span<const std::byte>> value, WallTime record_time);
  // All was replayed: resumes Prepare* transactions, and takes events from now on.
  void loaded(MonoTime now, WallTime wall, Effects&);

  void step(const events_in::InitProducerId&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::AddPartitionsToTxn&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::VerifyPartitions&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::AddOffsetsToTxn&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::EndTxn&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::MarkersWritten&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::DescribeTransactions&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::ListTransactions&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::ProducerIdAllocated&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::FeatureChanged&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::Tick&, MonoTime now, WallTime wall, Effects&);

  const Transaction* find(std::string_view transactional_id) const;  // ahead of the commit; null: none

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace verdict::transaction
