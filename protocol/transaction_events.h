#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/event_fields.h"
#include "protocol/types.h"

// Events of the feed (events.h) that are about transactions: their coordinators, their batches and markers, and what
// readers of committed records are told.
namespace verdict::protocol::events {

// A coordinator is about to append this state of a transactional id; it is decided once that record is committed.
struct TransactionMoved {
  std::string_view transactional_id;
  std::int64_t producer_id;
  std::int16_t producer_epoch;
  std::string_view state;  // Kafka's name; Dead: expired
  std::int32_t coordinator_epoch;
  std::int32_t partitions;     // how many it has
  PartitionKey coordinator{};  // the partition of __transaction_state
  VERDICT_EVENT("transaction_moved") {
    visit("transactional_id", transactional_id);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("state", state);
    visit("coordinator_epoch", coordinator_epoch);
    visit("partitions", partitions);
    visit("coordinator", coordinator);
  }
};

// The record that ends a transaction is appended, to be followed by its markers once it is committed.
struct TransactionDecided {
  PartitionKey coordinator;  // the partition of __transaction_state
  Offset offset;             // of the record
  std::string_view transactional_id;
  std::int64_t producer_id;
  std::int16_t producer_epoch;  // of the markers
  std::int16_t ended_epoch;     // the producer's whose transaction it is
  bool commit;
  std::string_view cause;   // "end": EndTxn; "fence": InitProducerId; "timeout"
  std::int64_t open_ms;     // since it began, by the coordinators' wall clocks
  std::int64_t timeout_ms;  // transaction.timeout.ms of its producer
  std::int16_t version;     // transaction version of who ended it
  VERDICT_EVENT("transaction_decided") {
    visit("coordinator", coordinator);
    visit("offset", offset);
    visit("transactional_id", transactional_id);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("ended_epoch", ended_epoch);
    visit("commit", commit);
    visit("cause", cause);
    visit("open_ms", open_ms);
    visit("timeout_ms", timeout_ms);
    visit("version", version);
  }
};

// A coordinator of groups or transactions begins to answer for its partition, all of whose log below `end` it knows; or
// it answers no more.
struct CoordinatorChanged {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  bool active;
  Offset end;
  VERDICT_EVENT("coordinator_changed") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("active", active);
    visit("end", end);
  }
};

// After coordinator_changed, one for each transactional id that the log holds: committed, all of it.
struct TransactionFound {
  PartitionKey coordinator;
  std::string_view transactional_id;
  std::int64_t producer_id;
  std::int16_t producer_epoch;
  std::string_view state;
  VERDICT_EVENT("transaction_found") {
    visit("coordinator", coordinator);
    visit("transactional_id", transactional_id);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("state", state);
  }
};

struct MarkerAnswered {  // to the coordinator that asked for it; announced before the answer leaves
  PartitionKey partition;
  Offset offset;
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::int32_t coordinator_epoch;
  std::string_view marker;  // "commit", "abort"
  std::int16_t error_code;
  VERDICT_EVENT("marker_answered") {
    visit("partition", partition);
    visit("offset", offset);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("coordinator_epoch", coordinator_epoch);
    visit("marker", marker);
    visit("error_code", error_code);
  }
};

// What a transaction committed of offsets is visible now in this partition of __consumer_offsets; or it never will be.
struct OffsetsEnded {
  PartitionKey partition;
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::string_view marker;  // "commit", "abort"
  VERDICT_EVENT("offsets_ended") {
    visit("partition", partition);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("marker", marker);
  }
};

// After batch_appended, of a batch that belongs to a transaction or ends one.
struct TransactionalAppended {
  PartitionKey partition;
  Offset base;
  Offset last;
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::string_view marker;  // "": records; "commit", "abort"
  VERDICT_EVENT("transactional_appended") {
    visit("partition", partition);
    visit("base", base);
    visit("last", last);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("marker", marker);
  }
};

struct LastStableServed {  // what a read_committed fetch may read is below it
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  Offset last_stable;
  VERDICT_EVENT("last_stable_served") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("last_stable", last_stable);
  }
};

// What a read_committed answer says beside its batches, each of which is a batch_delivered that follows at once.
struct CommittedRead {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  Offset last_stable;
  std::span<const ProducerId> aborted;   // of the list of aborted transactions
  std::span<const Offset> aborted_from;  // beside each, its first offset
  VERDICT_EVENT("committed_read") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("last_stable", last_stable);
    visit("aborted", aborted);
    visit("aborted_from", aborted_from);
  }
};

}  // namespace verdict::protocol::events
