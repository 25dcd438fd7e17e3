#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/uuid.h"

// What simulated (and live) clients report of themselves, in plain numbers and views, so that whoever wires a run can
// write a checker's history from it. Views are valid during the call only.
namespace verdict::sim {

enum class OpType : std::uint8_t { invoke, ok, fail, info };  // info: nobody knows
// commit, abort: of a transaction. commit_offsets: of a group's member, one partition's part of it.
enum class OpCall : std::uint8_t { send, poll, assign, seek, commit, abort, commit_offsets };

struct OffsetAndValue {
  std::int64_t offset;
  std::int64_t value;
};

// One line of a history. op: unique in the run, one invoke and at most one completion each. A poll (one partition's
// part of an answer), an assign and a seek have an `ok` alone, at the time when the client learns of it.
struct ClientOp {
  std::int64_t op = 0;
  std::int64_t process = 0;
  OpType type = OpType::invoke;
  OpCall call = OpCall::send;
  std::int16_t acks = -1;  // send
  std::int32_t partition = 0;
  std::int64_t offset = -1;  // send ok: the record's, -1 with acks=0; assign, seek: the new position, -1 unknown
  std::int64_t value = -1;   // send
  std::int64_t time_ns = 0;  // of the client's monotonic clock
  bool idempotent = false;   // send
  bool ordered = false;      // send: one request in flight and no retry
  bool renewed = false;      // send: the producer took another epoch by itself, in which it may send again what it sent
  bool read_committed = false;  // poll: isolation.level
  std::int64_t txn = -1;        // send, commit, abort: the transaction, unique in the run; -1: none
  bool compacted = false;       // send: to a topic that is compacted by the record's key
  bool tombstone = false;       // send: a record without a value
  std::int64_t input = -1;      // send: the value that this one was made of, whose offset the transaction commits
  std::string_view group;       // commit_offsets, and send with an input
  std::string_view topic;
  std::string_view key;
  std::string_view error;                   // Kafka's name of the error, of fail and info
  std::span<const OffsetAndValue> records;  // poll
};

class HistorySink {
 public:
  virtual ~HistorySink() = default;
  virtual void report(const ClientOp& op) = 0;
  // The white box's floor (C7): `process` is about to send its batch number `batch` for the first time, and: it will
  // not be sent again.
  virtual void produce_sent(std::int64_t /*process*/, std::uint64_t /*batch*/, std::string_view /*topic*/,
                            const Uuid& /*topic_id*/, std::int32_t /*partition*/, std::uint32_t /*crc*/) {}
  virtual void produce_finished(std::int64_t /*process*/, std::uint64_t /*batch*/) {}
};

}  // namespace verdict::sim
