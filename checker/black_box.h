#pragma once

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checker/history.h"

// The checker that sees only what clients saw. Near-linear in the history; offsets give the order.
namespace verdict::checker {

struct Anomaly {
  std::string_view name;  // Jepsen's: lost-write, duplicate, inconsistent-offsets, nonmonotonic-poll, poll-skip,
                          // int-nonmonotonic-poll, int-poll-skip, nonmonotonic-send, int-nonmonotonic-send,
                          // int-send-skip, unseen, G0, G1a, G1b, G1c, precommitted-read, dirty-update, lost-update,
                          // committed-too-far; ours: input-twice
  bool allowed;           // seen and counted, no failure
  std::string sentence;   // "acknowledged value 123 at offset 41 of orders-0 is never read, though 57 beyond it is"
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = -1;
  std::vector<std::int64_t> operations;  // op ids of the witnesses
  std::uint64_t count = 1;               // how many more of this name there were; the first is described
};

struct HistoryResult {
  std::vector<Anomaly> anomalies;  // one for each name found, failures first (G1c may be both)
  std::uint64_t entries = 0;
  std::uint64_t operations = 0;  // an invoke and its completion are one; polls count that brought something
  std::uint64_t sends_ok = 0, sends_failed = 0;
  std::uint64_t sends_unknown = 0;   // info, or never completed
  std::uint64_t unknown_read = 0;    // of these, read by someone
  std::uint64_t unknown_unread = 0;  // of these, never read
  std::uint64_t unseen = 0;  // acknowledged at or above the highest offset read of their partition: nobody looked
  std::uint64_t records_polled = 0;
  // The longest time that an acknowledged record (of a transaction: since its commit was answered) had been there, and
  // its reader too, when a poll did not reach it.
  std::int64_t worst_lag_ns = 0;
  std::string worst_lag_of;     // "process 3 on orders-0"
  bool valid() const;           // no anomaly but allowed ones
  std::string to_json() const;  // one object, one line
};

class BlackBox {
 public:
  BlackBox();
  ~BlackBox();
  void add(const HistoryEntry& entry);  // in the order of the history
  // Nothing that is found from now on in the topic counts: there was another one of its name before.
  void disregard(std::string_view topic);
  // Groups' positions in the topic don't count: they go with a topic that is deleted.
  void forget_positions(std::string_view topic);
  HistoryResult finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads JSON lines. An error names the line; a torn last line (no newline) is dropped, as a crash leaves one.
std::expected<HistoryResult, std::string> check_history(std::istream& in);

}  // namespace verdict::checker
