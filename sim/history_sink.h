#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/uuid.h"

// What simulated (and live) clients report of themselves, in plain numbers and views, so that whoever wires a run can
// write a checker's history from it. Views are valid during the call only.
namespace verdict::sim {

enum class OpType : std::uint8_t { invoke, ok, fail, info };  // info: nobody knows
// commit, abort: of a transaction. commit_offsets: of a group's member, one partition's part of it. end: where a
// partition was said to end.
enum class OpCall : std::uint8_t { send, poll, assign, seek, commit, abort, commit_offsets, end };

struct OffsetAndValue {
  std::int64_t offset;
  std::int64_t value;
};

// One line of a history. op: unique in the run, one invoke and at most one completion each. A poll (one partition's
// part of an answer), an assign and a seek have an `ok` alone, at the time when the client learns of it; an assign to
// where a group has committed to has an invoke too, when the group is asked.
struct ClientOp {
  std::int64_t op = 0;
  std::int64_t process = 0;
  OpType type = OpType::invoke;
  OpCall call = OpCall::send;
  std::int16_t acks = -1;  // send
  std::int32_t partition = 0;
  std::int64_t offset = -1;  // send ok: the record's, -1 with acks=0; assign, seek: the new position, -1
                             // unknown; commit_offsets, end
  std::int64_t value = -1;   // send
  std::int64_t time_ns = 0;  // of the client's monotonic clock
  bool idempotent = false;   // send
  bool ordered = false;      // send: one request in flight and no retry
  bool renewed = false;      // send: the producer took another epoch by itself, in which it may send again what it sent
  bool read_committed = false;  // poll: isolation.level
  std::int64_t txn = -1;        // send, commit, abort, commit_offsets: the transaction, unique in the run
  bool compacted = false;       // send: to a topic that is compacted by the record's key
  bool tombstone = false;       // send: a record without a value
  std::int64_t input = -1;      // send: the value that this one was made of, whose offset the transaction commits
  std::string_view group;       // commit_offsets, an assign to its committed offset, send with an input
  std::string_view topic;
  std::string_view key;
  std::string_view error;                   // Kafka's name of the error, of fail and info
  std::span<const OffsetAndValue> records;  // poll
};

// A transaction as its client begins it. `txn` as in ClientOp.
struct TransactionBegun {
  std::int64_t process = 0;
  std::int64_t txn = 0;
  std::string_view transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  bool version_two = false;  // KIP-890
};

enum class TransactionCall : std::uint8_t { init, commit, abort };

// A request of a transactional client goes out; or the client knows that this attempt of it does nothing any more.
struct TransactionAsked {
  std::int64_t process = 0;
  std::string_view transactional_id;
  TransactionCall call = TransactionCall::init;
  bool settled = false;
};

class HistorySink {
 public:
  virtual ~HistorySink() = default;
  virtual void report(const ClientOp& op) = 0;
  // The white box's floor (C7): `process` is about to send its batch number `batch` for the first time, and: it will
  // not be sent again.
  virtual void produce_sent(std::int64_t /*process*/, std::uint64_t /*batch*/, std::string_view /*topic*/,
                            const Uuid& /*topic_id*/, std::int32_t /*partition*/, std::uint32_t /*crc*/) {}
  // A batch that was sent before goes again with other sequences, in an epoch that its producer took by itself.
  virtual void produce_renumbered(std::int64_t /*process*/, std::uint64_t /*batch*/, const Uuid& /*topic_id*/,
                                  std::int32_t /*partition*/, std::uint32_t /*crc*/) {}
  virtual void produce_finished(std::int64_t /*process*/, std::uint64_t /*batch*/) {}
  // The white box's ghost of each transaction (T3, T11); a batch that is sent first belongs to the one begun last.
  virtual void transaction_begun(const TransactionBegun&) {}
  virtual void transaction_asked(const TransactionAsked&) {}
  virtual void transactional_sent(std::int64_t /*process*/, const Uuid& /*topic_id*/, std::int32_t /*partition*/,
                                  std::int64_t /*producer_id*/, std::int16_t /*producer_epoch*/,
                                  std::int32_t /*base_sequence*/) {}
  // G5: `process` is about to ask where its group stands, and: of this partition it goes on at `position` (-1: nothing
  // is committed, and it begins where it was told to).
  virtual void offsets_asked(std::int64_t /*process*/) {}
  virtual void consumption_resumed(std::int64_t /*process*/, std::string_view /*group*/, std::string_view /*topic*/,
                                   std::int32_t /*partition*/, std::int64_t /*position*/) {}
};

}  // namespace verdict::sim
