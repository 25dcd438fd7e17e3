#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

// A clients' history: what each client asked and was told, one JSON object a line, in real-time order. The black box
// reads nothing else, so that a history of any Kafka cluster can be judged.
//
//   {"op":7,"process":2,"type":"invoke","f":"send","topic":"orders","partition":0,"acks":-1,"value":123,"key":"k",
//    "time_ns":1}
//   {"op":7,"process":2,"type":"ok","f":"send","topic":"orders","partition":0,"acks":-1,"value":123,"offset":41,
//    "time_ns":9}
//   {"op":8,"process":3,"type":"ok","f":"poll","topic":"orders","partition":0,"records":[[41,123],[42,124]],
//    "time_ns":12}
//   {"op":9,"process":3,"type":"ok","f":"assign","topic":"orders","partition":0,"offset":0,"time_ns":2}
//
// op: unique per operation; each has one invoke and at most one completion. process: one client, whose operations may
// be pipelined. value: an integer that no other send of the history carries. type: ok (done), fail (definitely not
// done), info (nobody knows: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT, disconnect,
// time-out after send). A poll is one partition's part of an answer. assign and seek move the process's position on a
// partition to `offset` (-1: unknown). Optional: "error" (Kafka's name), "idempotent":true, "ordered":true (one request
// in flight and no retry) on a send's invoke; "renewed":true on its completion, if its producer has taken another epoch
// by itself, in which it may send again what it had sent.
//
// Transactions: "txn", unique for each that began, on its sends and on its end, "f":"commit" or "abort". A commit that
// fails was never taken; what was never to be committed is aborted. "read_committed":true on the polls of such readers.
// "compacted":true on a send to a compacted topic: once a later record of its "key" is there it may be gone, and with
// "tombstone":true, without a value, in any case.
// "input" on a send: the value that it was made of, whose offset its transaction commits to the "group".
// commit_offsets: one partition's part of what a member of a group commits.
namespace verdict::checker {

enum class HistoryType : std::uint8_t { invoke, ok, fail, info };
enum class HistoryCall : std::uint8_t { send, poll, assign, seek, commit, abort, commit_offsets, other };

struct OffsetValue {
  std::int64_t offset;
  std::int64_t value;
  friend bool operator==(const OffsetValue&, const OffsetValue&) = default;
};

struct HistoryEntry {
  std::int64_t op = 0;
  std::int64_t process = 0;
  HistoryType type = HistoryType::invoke;
  HistoryCall call = HistoryCall::other;
  std::int16_t acks = -1;  // send
  std::int32_t partition = 0;
  std::int64_t offset = -1;  // send: base, when known; assign, seek
  std::int64_t value = -1;   // send
  std::int64_t time_ns = 0;
  bool idempotent = false;      // send
  bool ordered = false;         // send
  bool renewed = false;         // send
  bool read_committed = false;  // poll
  bool compacted = false;       // send
  bool tombstone = false;       // send
  std::int64_t txn = -1;        // send, commit, abort
  std::int64_t input = -1;      // send
  std::string group;            // send with an input, commit_offsets
  std::string topic;
  std::string key;
  std::string error;
  std::vector<OffsetValue> records;  // poll
};

// Appends one line, the newline included.
void write_history_line(const HistoryEntry& entry, std::string& out);

// Parses one line without its newline into `entry` (whose storage is reused). The error says what is wrong. Unknown
// members are skipped.
std::expected<void, std::string> parse_history_line(std::string_view line, HistoryEntry& entry);

}  // namespace verdict::checker
