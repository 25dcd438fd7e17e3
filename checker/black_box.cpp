#include "checker/black_box.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <istream>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "checker/compacted_keys.h"
#include "checker/id_map.h"

namespace verdict::checker {
namespace {

// One of them stays in memory for each record that was sent.
struct Send {
  std::int64_t value, process, op, offset;
  std::uint32_t partition;
  std::uint32_t began, ended;  // line numbers
  std::int16_t acks;
  HistoryType result;  // invoke: never completed
  bool exact;          // duplicates and reordering are the system's fault
  std::uint32_t txn;   // number; 0: none
};
static_assert(sizeof(Send) <= 56);
constexpr std::uint32_t kNotEnded = ~std::uint32_t{0};

struct Read {
  std::int64_t offset, value, op;
};
struct Range {
  std::int64_t from, to, op;
  bool read_committed = false;
};  // offsets [from, to)

struct Transaction {
  std::int64_t id = -1;
  bool asked = false;      // its commit was
  bool committed = false;  // its commit was answered, or a reader of committed records was given one of it
  bool refused = false;    // its commit was, for good
  bool seen = false;       // by a reader of committed records
  bool aborted() const { return !asked || refused; }
};
// What a reader of committed records was given before the transaction's commit was asked for.
struct Early {
  std::uint32_t txn, log;
  std::int64_t offset, value, op;
};

struct Log {
  std::string topic;
  std::int32_t partition;
  std::vector<Read> reads;
  std::vector<Range> covered, gaps, inner_gaps;  // covered: by readers of all records
  std::vector<Range> covered_committed;          // by readers of committed ones
  std::vector<Read> committed_reads;             // theirs
};

struct Reader {
  std::int64_t next = -1;  // -1: unknown
};

constexpr std::size_t kMostEarly = 1000;

std::string text(std::int64_t n) { return std::to_string(n); }

}  // namespace

struct BlackBox::State {
  HistoryResult result;
  std::deque<Send> sends;
  IdMap<std::uint32_t> send_of;  // operations under way -> index + 1
  std::vector<Log> logs;
  std::map<std::pair<std::string, std::int32_t>, std::uint32_t> log_of;
  std::map<std::pair<std::int64_t, std::uint32_t>, Reader> readers;
  std::set<std::string, std::less<>> disregarded;  // topics
  std::uint32_t last = 0;
  std::vector<Transaction> transactions;  // the first is none
  IdMap<std::uint32_t> transaction_of;    // id -> number
  IdMap<std::uint32_t> txn_of_value;      // of values that transactions sent
  std::vector<Early> early;
  CompactedKeys keys;
  std::set<std::int64_t> renewed;                                             // processes
  std::vector<std::tuple<std::string, std::int64_t, std::uint32_t>> made_of;  // group, input, number of the send

  std::uint32_t transaction(const HistoryEntry& e) {
    if (e.txn < 0) return 0;
    if (transactions.empty()) transactions.emplace_back();
    std::uint32_t& number = transaction_of[static_cast<std::uint64_t>(e.txn)];
    if (number == 0) {
      number = static_cast<std::uint32_t>(transactions.size());
      transactions.push_back({.id = e.txn});
    }
    return number;
  }

  void commit(const HistoryEntry& e) {
    const std::uint32_t number = transaction(e);
    if (number == 0) return;
    Transaction& t = transactions[number];
    t.asked = true;
    if (e.type == HistoryType::ok) t.committed = true;
    if (e.type == HistoryType::fail) t.refused = true;
  }

  std::uint32_t log(const HistoryEntry& e) {
    if (!logs.empty() && logs[last].partition == e.partition && logs[last].topic == e.topic) return last;
    const auto [at, fresh] = log_of.try_emplace({e.topic, e.partition}, static_cast<std::uint32_t>(logs.size()));
    if (fresh) logs.push_back(Log{e.topic, e.partition, {}, {}, {}, {}, {}, {}});
    return last = at->second;
  }

  std::string name(const Log& l) const { return l.topic + "-" + text(l.partition); }

  void report(std::string_view what, const Log& l, std::int64_t offset, std::vector<std::int64_t> ops,
              std::string sentence, bool allowed = false) {
    if (disregarded.contains(l.topic)) return;
    for (Anomaly& a : result.anomalies) {
      if (a.name != what) continue;
      ++a.count;
      return;
    }
    result.anomalies.push_back({what, allowed, std::move(sentence), l.topic, l.partition, offset, std::move(ops), 1});
  }

  void send(const HistoryEntry& e) {
    const auto op = static_cast<std::uint64_t>(e.op);
    std::uint32_t& index = send_of[op];
    if (index == 0) {
      sends.push_back({.value = e.value,
                       .process = e.process,
                       .op = e.op,
                       .offset = -1,
                       .partition = log(e),
                       .began = static_cast<std::uint32_t>(result.entries),
                       .ended = kNotEnded,
                       .acks = e.acks,
                       .result = HistoryType::invoke,
                       .exact = e.idempotent || e.ordered,
                       .txn = transaction(e)});
      index = static_cast<std::uint32_t>(sends.size());
      if (e.input >= 0) made_of.emplace_back(e.group, e.input, index - 1);
      if (sends.back().txn != 0) txn_of_value[static_cast<std::uint64_t>(e.value)] = sends.back().txn;
    }
    if (e.renewed) renewed.insert(e.process);
    if (e.compacted) keys.send(sends[index - 1].partition, e);
    if (e.type == HistoryType::invoke) return;
    Send& s = sends[index - 1];
    s.result = e.type;
    s.ended = static_cast<std::uint32_t>(result.entries);
    if (e.type == HistoryType::ok) s.offset = e.offset;
    send_of.erase(op);
  }

  void poll(const HistoryEntry& e) {
    if (e.records.empty()) return;
    const std::uint32_t number = log(e);
    Log& l = logs[number];
    Reader& reader = readers[{e.process, number}];
    result.records_polled += e.records.size();
    const std::int64_t first = e.records.front().offset;
    if (reader.next >= 0 && first < reader.next) {
      report("nonmonotonic-poll", l, first, {e.op},
             "process " + text(e.process) + " polls offset " + text(first) + " of " + name(l) + " after " +
                 text(reader.next - 1) + " without a seek");
    }
    if (reader.next >= 0 && first > reader.next) l.gaps.push_back({reader.next, first, e.op, e.read_committed});
    std::int64_t highest = first;
    for (std::size_t i = 0; i < e.records.size(); ++i) {
      const OffsetValue& r = e.records[i];
      l.reads.push_back({r.offset, r.value, e.op});
      if (e.read_committed) read_committed(number, l.reads.back());
      highest = std::max(highest, r.offset);
      if (i == 0) continue;
      const std::int64_t before = e.records[i - 1].offset;
      if (r.offset <= before) {
        report("int-nonmonotonic-poll", l, r.offset, {e.op},
               "one poll of " + name(l) + " has offset " + text(r.offset) + " after " + text(before));
      } else if (r.offset > before + 1) {
        l.inner_gaps.push_back({before + 1, r.offset, e.op, e.read_committed});
      }
    }
    const std::int64_t from = reader.next >= 0 ? std::min(reader.next, first) : first;
    std::vector<Range>& covered = e.read_committed ? l.covered_committed : l.covered;
    if (!covered.empty() && covered.back().to == from)
      covered.back().to = highest + 1;
    else
      covered.push_back({from, highest + 1, e.op});
    reader.next = e.records.back().offset + 1;
  }

  void read_committed(std::uint32_t number, const Read& read) {
    const std::uint32_t* txn = txn_of_value.find(static_cast<std::uint64_t>(read.value));
    if (txn == nullptr) return;
    if (!transactions[*txn].asked && early.size() < kMostEarly)
      early.push_back({*txn, number, read.offset, read.value, read.op});
    transactions[*txn].seen = true;
    logs[number].committed_reads.push_back(read);
  }

  // Whether readers of committed records may pass over the value.
  bool may_be_invisible(std::int64_t value) {
    const std::uint32_t* txn = txn_of_value.find(static_cast<std::uint64_t>(value));
    return txn != nullptr && !transactions[*txn].committed;
  }

  // Compaction also takes what was aborted, from all readers.
  bool may_be_gone(std::int64_t value, std::int64_t offset) {
    return keys.may_be_gone(value, offset) || (keys.known(value) && may_be_invisible(value));
  }

  // All values that were seen or acknowledged, but for those of aborted transactions.
  void note_standing() {
    const auto aborted = [this](std::int64_t value) {
      const std::uint32_t* txn = txn_of_value.find(static_cast<std::uint64_t>(value));
      return txn != nullptr && transactions[*txn].aborted();
    };
    for (const Log& l : logs) {
      for (const Read& read : l.reads) {
        if (!aborted(read.value)) keys.stands(read.value, read.offset);
      }
    }
    for (const Send& s : sends) {
      if (s.result == HistoryType::ok && s.acks == -1 && !aborted(s.value)) keys.stands(s.value, s.offset);
    }
  }

  void judge_transactions();
  void judge_inputs();
  void judge_log(std::uint32_t number);
  void judge_duplicates(std::uint32_t number, const std::vector<Read>& by_value);
  void judge_gaps(Log& l, const std::vector<Range>& gaps, std::string_view what);
  void judge_sends(std::uint32_t number, std::span<const Send* const> own, const std::vector<Read>& by_value);
  void judge_order(std::uint32_t number, std::vector<const Send*> own);
};

namespace {

// By `major`, then `minor`, then operation. As a rule a few ascending sequences are interleaved (one of each reader, of
// each producer): taking them apart and merging them beats comparing all with all.
void sort_reads(std::vector<Read>& reads, std::int64_t Read::* major, std::int64_t Read::* minor) {
  constexpr std::size_t kRunsAtMost = 16;
  const auto before = [=](const Read& a, const Read& b) {
    if (a.*major != b.*major) return a.*major < b.*major;
    return a.*minor != b.*minor ? a.*minor < b.*minor : a.op < b.op;
  };
  std::vector<std::vector<Read>> runs;
  for (const Read& read : reads) {
    std::vector<Read>* best = nullptr;  // of those that it can follow, the one that ends highest
    for (std::vector<Read>& run : runs) {
      if (!before(read, run.back()) && (best == nullptr || before(best->back(), run.back()))) best = &run;
    }
    if (best == nullptr) {
      if (runs.size() == kRunsAtMost) {
        std::ranges::sort(reads, before);
        return;
      }
      best = &runs.emplace_back();
    }
    best->push_back(read);
  }
  while (runs.size() > 1) {
    std::vector<std::vector<Read>> merged((runs.size() + 1) / 2);
    for (std::size_t i = 0; i < merged.size(); ++i) {
      if (2 * i + 1 == runs.size()) {
        merged[i] = std::move(runs[2 * i]);
        continue;
      }
      merged[i].resize(runs[2 * i].size() + runs[2 * i + 1].size());
      std::ranges::merge(runs[2 * i], runs[2 * i + 1], merged[i].begin(), before);
    }
    runs = std::move(merged);
  }
  if (!runs.empty()) reads = std::move(runs.front());
}

bool reads_value(const std::vector<Read>& by_value, std::int64_t value) {
  const auto at = std::ranges::lower_bound(by_value, value, {}, &Read::value);
  return at != by_value.end() && at->value == value;
}

// The read at or after `offset`, or the end.
auto at_or_after(const std::vector<Read>& by_offset, std::int64_t offset) {
  return std::ranges::lower_bound(by_offset, offset, {}, &Read::offset);
}

}  // namespace

void BlackBox::State::judge_gaps(Log& l, const std::vector<Range>& gaps, std::string_view what) {
  for (const Range& gap : gaps) {
    auto at = at_or_after(l.reads, gap.from);
    const auto may_be_passed = [&](const Read& read) {
      return (gap.read_committed && may_be_invisible(read.value)) || may_be_gone(read.value, read.offset);
    };
    while (at != l.reads.end() && at->offset < gap.to && may_be_passed(*at)) ++at;
    if (at == l.reads.end() || at->offset >= gap.to) continue;
    report(what, l, at->offset, {gap.op, at->op},
           "a poll of " + name(l) + " passes over offset " + text(at->offset) + ", which another reads");
  }
}

void BlackBox::State::judge_log(std::uint32_t number) {
  Log& l = logs[number];
  sort_reads(l.reads, &Read::offset, &Read::value);
  // What several readers, or one that came back, saw alike counts once, for the first of them.
  const auto repeated = std::ranges::unique(
      l.reads, [](const Read& a, const Read& b) { return a.offset == b.offset && a.value == b.value; });
  l.reads.erase(repeated.begin(), repeated.end());
  for (std::size_t i = 1; i < l.reads.size(); ++i) {
    const Read &a = l.reads[i - 1], &b = l.reads[i];
    if (a.offset != b.offset || a.value == b.value) continue;
    report("inconsistent-offsets", l, a.offset, {a.op, b.op},
           "offset " + text(a.offset) + " of " + name(l) + " is read as " + text(a.value) + " and as " + text(b.value));
  }
  judge_gaps(l, l.gaps, "poll-skip");
  judge_gaps(l, l.inner_gaps, "int-poll-skip");
  for (std::vector<Range>* covered : {&l.covered, &l.covered_committed}) {
    std::ranges::sort(*covered, {}, &Range::from);
    std::vector<Range> merged;
    for (const Range& c : *covered) {
      if (!merged.empty() && c.from <= merged.back().to)
        merged.back().to = std::max(merged.back().to, c.to);
      else
        merged.push_back(c);
    }
    *covered = std::move(merged);
  }
}

// G1a, precommitted reads, and of what transactions are known to be committed though their clients were never told.
void BlackBox::State::judge_transactions() {
  for (Transaction& t : transactions) {
    if (t.seen && !t.aborted()) t.committed = true;
  }
  for (const Early& e : early) {
    const Transaction& t = transactions[e.txn];
    if (t.aborted()) continue;  // G1a
    report("precommitted-read", logs[e.log], e.offset, {e.op},
           "value " + text(e.value) + " at offset " + text(e.offset) + " of " + name(logs[e.log]) +
               " is read by a reader of committed records before its transaction " + text(t.id) +
               " was to be committed");
  }
  for (Log& l : logs) {
    for (const Read& read : l.committed_reads) {
      const Transaction& t = transactions[*txn_of_value.find(static_cast<std::uint64_t>(read.value))];
      if (!t.aborted()) continue;
      report("G1a", l, read.offset, {read.op},
             "value " + text(read.value) + " at offset " + text(read.offset) + " of " + name(l) +
                 " is read by a reader of committed records, though its transaction " + text(t.id) +
                 (t.asked ? " was refused its commit" : " was never to be committed"));
    }
  }
}

// A value whose offset a transaction committed to a group is not another's input. Sends are still in their order.
void BlackBox::State::judge_inputs() {
  std::erase_if(made_of, [this](const auto& one) {
    const Send& s = sends[std::get<2>(one)];
    return s.txn == 0 || !transactions[s.txn].committed;
  });
  std::ranges::sort(made_of);
  for (std::size_t i = 1; i < made_of.size(); ++i) {
    const auto& [group, input, second] = made_of[i];
    const auto& [group_before, input_before, first] = made_of[i - 1];
    const Send &a = sends[first], &b = sends[second];
    if (group != group_before || input != input_before || a.txn == b.txn) continue;
    report("input-twice", logs[b.partition], b.offset, {a.op, b.op},
           "value " + text(input) + " is the input of two committed transactions of group " + group + ", " +
               text(transactions[a.txn].id) + " and " + text(transactions[b.txn].id));
  }
}

void BlackBox::State::judge_duplicates(std::uint32_t number, const std::vector<Read>& by_value) {
  for (std::size_t i = 1; i < by_value.size(); ++i) {
    const Read &a = by_value[i - 1], &b = by_value[i];
    if (a.value != b.value || a.offset == b.offset) continue;
    const auto sent = std::ranges::lower_bound(sends, a.value, {}, &Send::value);
    if (sent == sends.end() || sent->value != a.value || !sent->exact) continue;
    report("duplicate", logs[number], b.offset, {sent->op, a.op, b.op},
           "value " + text(a.value) + " is read at offsets " + text(a.offset) + " and " + text(b.offset) + " of " +
               name(logs[number]));
  }
}

void BlackBox::State::judge_sends(std::uint32_t number, std::span<const Send* const> own,
                                  const std::vector<Read>& by_value) {
  Log& l = logs[number];
  const std::int64_t highest = l.reads.empty() ? -1 : l.reads.back().offset;
  for (const Send* s : own) {
    const bool read = reads_value(by_value, s->value);
    if (s->result == HistoryType::fail) ++result.sends_failed;
    if (s->result == HistoryType::info || s->result == HistoryType::invoke) {
      ++result.sends_unknown;
      ++(read ? result.unknown_read : result.unknown_unread);
    }
    if (s->result != HistoryType::ok) continue;
    ++result.sends_ok;
    if (s->acks != -1 || s->offset < 0) continue;
    const auto there = at_or_after(l.reads, s->offset);
    if (there != l.reads.end() && there->offset == s->offset && there->value != s->value) {
      report("inconsistent-offsets", l, s->offset, {s->op, there->op},
             "offset " + text(s->offset) + " of " + name(l) + " was acknowledged for " + text(s->value) +
                 " but is read as " + text(there->value));
    }
    if (read) continue;
    if (s->offset > highest) ++result.unseen;
    const auto passer = [&](const std::vector<Range>& covered) -> const Range* {
      const auto at = std::ranges::upper_bound(covered, s->offset, {}, &Range::to);
      return at == covered.end() || at->from > s->offset ? nullptr : &*at;
    };
    const Range* passed = passer(l.covered);
    if (passed == nullptr && (s->txn == 0 || transactions[s->txn].committed)) passed = passer(l.covered_committed);
    if (passed == nullptr || may_be_gone(s->value, s->offset)) continue;
    report(s->txn != 0 && transactions[s->txn].seen ? "G1b" : "lost-write", l, s->offset, {s->op, passed->op},
           "acknowledged value " + text(s->value) + " at offset " + text(s->offset) + " of " + name(l) +
               " is never read, though readers passed it");
  }
}

void BlackBox::State::judge_order(std::uint32_t number, std::vector<const Send*> own) {
  const Log& l = logs[number];
  // Below acks=all a success may be a deposed leader's, and is lost with its log: what was read is committed.
  const auto stands = [&](const Send& s) {
    if (s.acks == -1) return true;
    const auto there = at_or_after(l.reads, s.offset);
    return there != l.reads.end() && there->offset == s.offset && there->value == s.value;
  };
  std::erase_if(own, [](const Send* s) { return s->result != HistoryType::ok || s->offset < 0 || s->acks == 0; });
  std::ranges::sort(own, {}, [](const Send* s) { return std::tuple(s->process, s->began); });
  const Send* top = nullptr;  // the highest offset so far of this process
  for (std::size_t i = 0; i < own.size(); ++i) {
    const Send& s = *own[i];
    const Send* before = i > 0 && own[i - 1]->process == s.process ? own[i - 1] : nullptr;
    if (before == nullptr) top = nullptr;
    const bool counts = s.exact && stands(s);
    if (counts && top != nullptr && s.offset < top->offset) {
      report(top->ended < s.began ? "nonmonotonic-send" : "int-nonmonotonic-send", l, s.offset, {top->op, s.op},
             "process " + text(s.process) + " sends value " + text(top->value) + " to offset " + text(top->offset) +
                 " of " + name(l) + ", then value " + text(s.value) + " to offset " + text(s.offset));
    } else if (before != nullptr && before->ended > s.began && s.offset > before->offset + 1) {
      const auto between = at_or_after(l.reads, before->offset + 1);
      if (between != l.reads.end() && between->offset < s.offset) {
        report("int-send-skip", l, between->offset, {before->op, s.op},
               "another record lies between two pipelined sends", true);
      }
    }
    if (counts && (top == nullptr || s.offset > top->offset)) top = &s;
  }
}

BlackBox::BlackBox() : state_(std::make_unique<State>()) {}
BlackBox::~BlackBox() = default;

void BlackBox::add(const HistoryEntry& e) {
  ++state_->result.entries;
  if (e.call == HistoryCall::send) state_->send(e);
  if (e.call == HistoryCall::commit) state_->commit(e);
  if (e.type != HistoryType::ok) return;
  if (e.call == HistoryCall::poll) state_->poll(e);
  if (e.call == HistoryCall::assign || e.call == HistoryCall::seek) {
    state_->readers[{e.process, state_->log(e)}].next = e.offset;
  }
}

void BlackBox::disregard(std::string_view topic) { state_->disregarded.emplace(topic); }

HistoryResult BlackBox::finish() {
  State& s = *state_;
  for (Send& send : s.sends) send.exact = send.exact && !s.renewed.contains(send.process);
  s.judge_transactions();
  s.note_standing();
  s.judge_inputs();
  std::ranges::sort(s.sends, {}, [](const Send& x) { return std::tuple(x.value, x.op); });
  std::vector<std::vector<const Send*>> own(s.logs.size());
  for (const Send& send : s.sends) own[send.partition].push_back(&send);
  for (std::uint32_t i = 0; i < s.logs.size(); ++i) {
    s.judge_log(i);
    std::vector<Read> by_value = s.logs[i].reads;
    sort_reads(by_value, &Read::value, &Read::offset);
    s.judge_duplicates(i, by_value);
    s.judge_sends(i, own[i], by_value);
    s.judge_order(i, std::move(own[i]));
  }
  std::ranges::sort(s.result.anomalies, {}, [](const Anomaly& a) { return std::tuple(a.allowed, a.name); });
  return s.result;
}

bool HistoryResult::valid() const {
  return std::ranges::all_of(anomalies, [](const Anomaly& a) { return a.allowed; });
}

std::string HistoryResult::to_json() const {
  const auto quoted = [](const std::string& s) {
    std::string out = "\"";
    for (const char c : s) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
    }
    return out + "\"";
  };
  std::string out =
      std::string("{\"valid\":") + (valid() ? "true" : "false") + ",\"entries\":" + std::to_string(entries) +
      ",\"sends_ok\":" + std::to_string(sends_ok) + ",\"sends_failed\":" + std::to_string(sends_failed) +
      ",\"sends_unknown\":" + std::to_string(sends_unknown) + ",\"unknown_read\":" + std::to_string(unknown_read) +
      ",\"unknown_unread\":" + std::to_string(unknown_unread) + ",\"unseen\":" + std::to_string(unseen) +
      ",\"records_polled\":" + std::to_string(records_polled) + ",\"anomalies\":[";
  for (std::size_t i = 0; i < anomalies.size(); ++i) {
    const Anomaly& a = anomalies[i];
    if (i > 0) out += ",";
    out += "{\"name\":" + quoted(std::string(a.name)) + ",\"allowed\":" + (a.allowed ? "true" : "false") +
           ",\"count\":" + std::to_string(a.count) + ",\"topic\":" + quoted(a.topic) +
           ",\"partition\":" + std::to_string(a.partition) + ",\"offset\":" + std::to_string(a.offset) +
           ",\"sentence\":" + quoted(a.sentence) + ",\"operations\":[";
    for (std::size_t k = 0; k < a.operations.size(); ++k) out += (k > 0 ? "," : "") + std::to_string(a.operations[k]);
    out += "]}";
  }
  return out + "]}";
}

std::expected<HistoryResult, std::string> check_history(std::istream& in) {
  BlackBox box;
  HistoryEntry entry;
  std::string line;
  for (std::uint64_t number = 1; std::getline(in, line); ++number) {
    const bool torn = in.eof();
    if (line.empty()) continue;
    if (const auto parsed = parse_history_line(line, entry); parsed) {
      box.add(entry);
    } else if (!torn) {
      return std::unexpected("line " + std::to_string(number) + ": " + parsed.error());
    }
  }
  return box.finish();
}

}  // namespace verdict::checker
