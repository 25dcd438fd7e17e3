// Writes a healthy clients' history of about so many operations to standard output, as a busy cluster's clients would
// tell it: idempotent and transactional producers, readers of all and of committed records, a group that commits.
//
//   bench_history OPERATIONS >history.jsonl;  /usr/bin/time -v taskset -c 0 verdict check history.jsonl
#include "checker/history.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "runtime/random.h"

namespace verdict {
namespace {

using checker::HistoryCall;
using checker::HistoryEntry;
using checker::HistoryType;

constexpr int kPartitions = 12;
constexpr int kProducers = 6;  // the first half without transactions
constexpr int kReaders = 4;    // of each partition: the first half of all records
constexpr int kInFlight = 5;   // records that a producer sends before it hears of the first
constexpr int kOfATransaction = 8;
constexpr int kOfAPoll = 100;

class Writer {
 public:
  explicit Writer(std::int64_t operations) : left_(operations) {
    logs_.resize(kPartitions);
    for (Log& log : logs_) log.read.resize(kReaders);
    entry_.topic = "orders";
  }

  void run() {
    for (std::int64_t round = 0; left_ > 0; ++round) {
      for (int producer = 0; producer < kProducers; ++producer) {
        if (producer < kProducers / 2) {
          burst(producer, kInFlight, -1);
        } else {
          transaction(producer);
        }
      }
      if (round % 2 == 0) read(kOfAPoll);
    }
    for (int i = 0; i < 1000; ++i) read(100 * kOfAPoll);
    flush();
  }

 private:
  struct Record {
    std::int64_t offset, value;
    bool committed;
  };
  struct Log {
    std::int64_t end = 0;
    std::deque<Record> records;  // those that somebody has yet to read
    std::int64_t first = 0;      // how many are gone
    std::vector<std::int64_t> read;
  };

  void begin(std::int64_t process, HistoryType type, HistoryCall call) {
    now_ += 1000 + static_cast<std::int64_t>(draw_.below(2000));
    entry_.op = ops_++;
    entry_.process = process;
    entry_.type = type;
    entry_.call = call;
    entry_.acks = -1;
    entry_.offset = entry_.value = entry_.txn = -1;
    entry_.idempotent = entry_.read_committed = false;
    entry_.group.clear();
    entry_.records.clear();
  }

  void line() {
    entry_.time_ns = now_;
    checker::write_history_line(entry_, text_);
    if (text_.size() > (1 << 20)) flush();
  }

  void flush() {
    std::fwrite(text_.data(), 1, text_.size(), stdout);
    text_.clear();
  }

  void burst(int producer, int records, std::int64_t txn, bool committed = true) {
    struct Sent {
      std::int64_t op, value;
    };
    std::vector<Sent> sent;
    entry_.partition = static_cast<std::int32_t>(draw_.below(kPartitions));
    for (int i = 0; i < records; ++i) {
      begin(producer, HistoryType::invoke, HistoryCall::send);
      entry_.value = static_cast<std::int64_t>(producer) << 32 | sequence_[producer]++;
      entry_.txn = txn;
      entry_.idempotent = true;
      sent.push_back({entry_.op, entry_.value});
      line();
      --left_;
    }
    Log& log = logs_[static_cast<std::size_t>(entry_.partition)];
    for (const Sent& one : sent) {
      begin(producer, HistoryType::ok, HistoryCall::send);
      entry_.op = one.op;
      entry_.value = one.value;
      entry_.txn = txn;
      entry_.offset = log.end++;
      log.records.push_back({entry_.offset, one.value, committed});
      line();
    }
    if (txn >= 0) marked_.push_back(&log);
  }

  void transaction(int producer) {
    const bool commit = draw_.below(10) != 0;
    const std::int64_t txn = static_cast<std::int64_t>(producer) << 32 | transactions_++;
    burst(producer, kOfATransaction / 2, txn, commit);
    burst(producer, kOfATransaction / 2, txn, commit);
    begin(producer, HistoryType::invoke, commit ? HistoryCall::commit : HistoryCall::abort);
    entry_.txn = txn;
    line();
    entry_.type = HistoryType::ok;
    now_ += 1000;
    line();
    --left_;
    for (Log* log : marked_) ++log->end;  // its marker
    marked_.clear();
  }

  // Each reader the next records of some partition; the last one commits how far it has come.
  void read(int most) {
    for (int reader = 0; reader < kReaders; ++reader) {
      const auto partition = draw_.below(kPartitions);
      Log& log = logs_[partition];
      const bool committed = reader >= kReaders / 2;
      std::int64_t& next = log.read[static_cast<std::size_t>(reader)];
      const std::int64_t process = 100 + reader;
      entry_.partition = static_cast<std::int32_t>(partition);
      begin(process, HistoryType::ok, HistoryCall::poll);
      entry_.read_committed = committed;
      for (; next < log.first + static_cast<std::int64_t>(log.records.size()); ++next) {
        const Record& record = log.records[static_cast<std::size_t>(next - log.first)];
        if (static_cast<int>(entry_.records.size()) == most) break;
        if (!committed || record.committed) entry_.records.push_back({record.offset, record.value});
      }
      if (entry_.records.empty()) continue;
      line();
      --left_;
      if (reader + 1 == kReaders) commit(process, entry_.records.back().offset + 1);
      std::int64_t lowest = next;
      for (const std::int64_t other : log.read) lowest = std::min(lowest, other);
      for (; log.first < lowest; ++log.first) log.records.pop_front();
    }
  }

  void commit(std::int64_t process, std::int64_t offset) {
    begin(process, HistoryType::invoke, HistoryCall::commit_offsets);
    entry_.offset = offset;
    entry_.group = "readers";
    line();
    entry_.type = HistoryType::ok;
    line();
    --left_;
  }

  std::int64_t left_;
  std::vector<Log> logs_;
  std::vector<Log*> marked_;
  HistoryEntry entry_;
  std::string text_;
  std::int64_t ops_ = 0, now_ = 0, transactions_ = 0;
  std::int64_t sequence_[kProducers] = {};
  KeyedRandom draw_{1};
};

}  // namespace
}  // namespace verdict

int main(int argc, char** argv) {
  const long long operations = argc == 2 ? std::atoll(argv[1]) : 0;
  if (operations <= 0) {
    std::fputs("usage: bench_history OPERATIONS >history.jsonl\n", stderr);
    return 64;
  }
  verdict::Writer(operations).run();
  return 0;
}
