#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checker/black_box.h"
#include "checker/id_map.h"

// What the black box remembers of a history. Entries are told apart by their number in it ("line"), which is their
// time.
namespace verdict::checker {

constexpr std::uint32_t kNever = ~std::uint32_t{0};  // a line; likewise: none of a table's indexes

// One of them stays in memory for each record that was sent.
struct Send {
  std::int64_t value, op;
  std::int64_t offset;  // as acknowledged, or as it was read
  std::int64_t ended_ns;
  std::uint32_t process, log;
  std::uint32_t began, ended;  // lines
  std::uint32_t txn;           // number; 0: none
  std::int16_t acks;
  HistoryType result;        // invoke: never completed
  bool exact : 1 = false;    // duplicates and reordering are the system's fault
  bool is_read : 1 = false;  // by anyone
  bool may_go : 1 = false;   // the cleaner may have taken it
};
static_assert(sizeof(Send) <= 56);

struct Poll {
  std::int64_t op, time_ns;
  std::int64_t since_ns;    // when its reader's position was set
  std::int64_t from, next;  // the positions before and behind it
  std::uint32_t process, log, line;
  bool read_committed;
};

// An offset and a value, by whomever they were read.
struct Read {
  std::int64_t offset, value;
  std::uint32_t poll;            // the first
  std::uint32_t committed_poll;  // the first of a reader of committed records; kNever: none
  std::uint32_t send;            // kNever: not of this history
};
struct Range {
  std::int64_t from, to;  // offsets [from, to)
  std::uint32_t poll;
};

// The index of the first read at or after an offset. Fast where it is not far behind `near`, as readers go on.
inline std::size_t at_or_after(const std::vector<Read>& reads, std::size_t near, std::int64_t offset) {
  std::size_t low = near > 0 && near <= reads.size() && reads[near - 1].offset < offset ? near : 0;
  std::size_t high = low;
  for (std::size_t step = 1; high < reads.size() && reads[high].offset < offset; step *= 2) {
    low = high + 1;
    high += step;
  }
  const auto begin = reads.begin();
  const auto found = std::ranges::lower_bound(begin + static_cast<std::ptrdiff_t>(low),
                                              begin + static_cast<std::ptrdiff_t>(std::min(high, reads.size())), offset,
                                              {}, &Read::offset);
  return static_cast<std::size_t>(found - begin);
}

struct Log {
  std::string topic;
  std::int32_t partition = 0;
  std::vector<Read> reads;  // by offset, each once
  std::vector<Read> loose;  // what fits there only when all is known: another value, or passed over by those before
  std::vector<Range> covered, gaps, inner_gaps;  // covered: by readers of all records
  std::vector<Range> covered_committed;          // by readers of committed ones
};

struct Transaction {
  std::int64_t id = -1;
  std::int64_t commit_op = -1;
  std::int64_t told_ns = 0;
  std::uint32_t asked = kNever;  // when its commit was
  std::uint32_t told = kNever;   // when its commit was answered
  bool refused = false;          // its commit was, for good
  bool seen = false;             // by a reader of committed records
  bool aborted() const { return asked == kNever || refused; }
  // A reader of committed records was given one of it, though its client may never have been told.
  bool committed() const { return told != kNever || (seen && !aborted()); }
};

// A member of a group writes, or is told, how far the group has come on one partition.
struct OffsetCommit {
  std::int64_t offset, op;
  std::uint32_t group_log, process, began, ended, txn;
  HistoryType result;
};
struct OffsetRead {
  std::int64_t offset, op;  // -1: none is committed
  std::uint32_t group_log, process, began, ended;
};
struct GroupLog {
  std::string group;
  std::uint32_t log;
};

struct End {
  std::int64_t offset, op;
  std::uint32_t log, began;
};

// A record that was made of another.
struct MadeOf {
  std::int64_t input;
  std::uint32_t group, send;  // group: a number
};

struct BlackBox::State {
  HistoryResult result;
  std::deque<Send> sends;
  IdMap<std::uint32_t> under_way;  // operations -> index + 1 in their calls' table
  std::deque<Poll> polls;
  std::vector<Log> logs;
  std::map<std::pair<std::string, std::int32_t>, std::uint32_t> log_of;
  std::uint32_t last_log = 0;
  struct Process {
    std::int64_t id = 0;
    bool renewed = false;    // its producer took another epoch by itself
    bool reads_all = false;  // and not only what is committed
  };
  std::vector<Process> processes;
  IdMap<std::uint32_t> process_of;  // id -> number + 1
  std::uint32_t last_process = 0;
  struct Reader {
    std::int64_t next = -1;  // -1: unknown
    std::int64_t since_ns = 0;
    bool placed = false;
    std::size_t at = 0;  // in its log's reads, where it goes on
  };
  IdMap<Reader> readers;                                   // by process << 32 | log, numbers
  std::set<std::string, std::less<>> disregarded;          // topics
  std::set<std::string, std::less<>> positions_forgotten;  // likewise, of groups
  std::vector<Transaction> transactions;                   // the first is none
  IdMap<std::uint32_t> transaction_of;                     // id -> number
  std::map<std::string, std::uint32_t, std::less<>> groups;
  std::vector<MadeOf> made_of;
  std::map<std::pair<std::string, std::uint32_t>, std::uint32_t> group_log_of;
  std::vector<GroupLog> group_logs;
  std::vector<OffsetCommit> commits;
  std::vector<OffsetRead> offset_reads;
  std::vector<End> ends;
  struct Keyed {
    std::uint32_t send, key;  // key: a number
    std::int64_t last = -1;   // where the last of its key stands; kAnywhere: nobody knows
  };
  std::map<std::string, std::uint32_t, std::less<>> keys;  // of compacted topics
  std::vector<Keyed> compacted;                            // by send
  std::vector<std::vector<std::uint32_t>> own;             // of each log its sends, by value

  std::uint32_t line() const { return static_cast<std::uint32_t>(result.entries); }
  std::uint32_t transaction(const HistoryEntry& e);
  std::uint32_t log(const HistoryEntry& e);
  std::uint32_t process(std::int64_t id);
  std::uint32_t group_log(const HistoryEntry& e);
  Reader& reader(const HistoryEntry& e);
  static std::string text(std::int64_t n) { return std::to_string(n); }
  static std::string name(const Log& l) { return l.topic + "-" + std::to_string(l.partition); }
  void report(std::string_view what, const Log& l, std::int64_t offset, std::vector<std::int64_t> ops,
              std::string sentence, bool allowed = false);
  bool reported(std::string_view what, const Log& l) const;  // as a failure, or it is not to be

  void take(Log& l, Reader& reader, const Read& read);
  void send(const HistoryEntry& e);
  void commit(const HistoryEntry& e);
  void poll(const HistoryEntry& e);
  void place(const HistoryEntry& e);
  void commit_offsets(const HistoryEntry& e);
  void end(const HistoryEntry& e);

  const Transaction* transaction_of_read(const Read& read) const {
    const std::uint32_t txn = read.send == kNever ? 0 : sends[read.send].txn;
    return txn == 0 ? nullptr : &transactions[txn];
  }
  const Keyed* keyed(std::uint32_t send) const;
  bool may_go(const Read& read) const;
  // Whether readers of committed records may pass over it.
  bool may_be_invisible(const Read& read) const {
    const Transaction* txn = transaction_of_read(read);
    return txn != nullptr && !txn->committed();
  }

  // black_box_logs.cpp
  static void put_loose(Log& l);
  void match_reads(std::uint32_t number);  // with their sends
  void excuse_compacted();
  void judge_log(std::uint32_t number);
  void judge_gaps(Log& l, const std::vector<Range>& gaps, std::string_view what);
  void judge_sends(std::uint32_t number);
  std::int64_t passing_poll(std::uint32_t number, std::int64_t offset, bool committed) const;
  void judge_order(std::uint32_t number);
  void judge_ends(std::uint32_t number);
  void measure_lag();
  // black_box_transactions.cpp
  void judge_transactions();
  void judge_inputs();
  void judge_cycles();
  // black_box_groups.cpp
  void judge_groups();
};

}  // namespace verdict::checker
