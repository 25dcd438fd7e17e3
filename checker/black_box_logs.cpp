// What is judged of each partition: by offset, and by value.
#include <algorithm>
#include <limits>
#include <utility>

#include "checker/black_box_state.h"
#include "checker/runs.h"

namespace verdict::checker {
namespace {

struct KeyAndIndex {
  std::int64_t key;
  std::uint32_t index;
};

void sort_by_key(std::vector<KeyAndIndex>& items) {
  sort_runs(items, [](const KeyAndIndex& a, const KeyAndIndex& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  });
}

// Finds the first read at or after an offset. Fast where one is asked for after the other, as they ascend.
class ReadFinder {
 public:
  explicit ReadFinder(const std::vector<Read>& reads) : reads_(&reads) {}
  std::size_t at_or_after(std::int64_t offset) { return at_ = checker::at_or_after(*reads_, at_, offset); }
  // The read of this offset, or null.
  const Read* at(std::int64_t offset) {
    const std::size_t found = at_or_after(offset);
    return found < reads_->size() && (*reads_)[found].offset == offset ? &(*reads_)[found] : nullptr;
  }

 private:
  const std::vector<Read>* reads_;
  std::size_t at_ = 0;
};

void merge_ranges(std::vector<Range>& ranges) {
  std::ranges::sort(ranges, {}, &Range::from);
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && range.from <= merged.back().to)
      merged.back().to = std::max(merged.back().to, range.to);
    else
      merged.push_back(range);
  }
  ranges = std::move(merged);
}

const Range* range_with(const std::vector<Range>& ranges, std::int64_t offset) {
  const auto at = std::ranges::upper_bound(ranges, offset, {}, &Range::to);
  return at == ranges.end() || at->from > offset ? nullptr : &*at;
}

}  // namespace

void BlackBox::State::put_loose(Log& l) {
  if (l.loose.empty()) return;
  l.reads.insert(l.reads.end(), l.loose.begin(), l.loose.end());
  l.loose = {};
  sort_runs(l.reads, [](const Read& a, const Read& b) {
    if (a.offset != b.offset) return a.offset < b.offset;
    return a.value != b.value ? a.value < b.value : a.poll < b.poll;
  });
  std::size_t kept = 0;
  for (const Read& r : l.reads) {
    if (kept > 0 && l.reads[kept - 1].offset == r.offset && l.reads[kept - 1].value == r.value) {
      l.reads[kept - 1].committed_poll = std::min(l.reads[kept - 1].committed_poll, r.committed_poll);
    } else {
      l.reads[kept++] = r;
    }
  }
  l.reads.resize(kept);
}

void BlackBox::State::match_reads(std::uint32_t number) {
  Log& l = logs[number];
  put_loose(l);
  std::vector<KeyAndIndex> sent, seen;
  sent.reserve(own[number].size());
  for (const std::uint32_t i : own[number]) sent.push_back({sends[i].value, i});
  seen.reserve(l.reads.size());
  for (std::uint32_t i = 0; i < l.reads.size(); ++i) seen.push_back({l.reads[i].value, i});
  sort_by_key(sent);
  sort_by_key(seen);
  std::size_t next = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    own[number][i] = sent[i].index;
    Send& s = sends[sent[i].index];
    while (next < seen.size() && seen[next].key < sent[i].key) ++next;
    for (const Read* first = nullptr; next < seen.size() && seen[next].key == sent[i].key; ++next) {
      Read& r = l.reads[seen[next].index];
      r.send = sent[i].index;
      s.is_read = true;
      if (s.offset < 0) s.offset = r.offset;
      if (first != nullptr && s.exact) {
        report("duplicate", l, r.offset, {s.op, polls[first->poll].op, polls[r.poll].op},
               "value " + text(s.value) + " is read at offsets " + text(first->offset) + " and " + text(r.offset) +
                   " of " + name(l));
      }
      first = &r;
    }
  }
}

const BlackBox::State::Keyed* BlackBox::State::keyed(std::uint32_t send) const {
  const auto found = std::ranges::lower_bound(compacted, send, {}, &Keyed::send);
  return found == compacted.end() || found->send != send ? nullptr : &*found;
}

// One copy of it; another may be the last of its key.
bool BlackBox::State::may_go(const Read& read) const {
  if (read.send == kNever || compacted.empty()) return false;
  const Keyed* one = keyed(read.send);
  return one != nullptr && (sends[read.send].may_go || read.offset < one->last);
}

// Of a compacted topic the last record of each key stays, unless its transaction was aborted. One that may be later,
// though nobody was told, takes the earlier ones with it too.
void BlackBox::State::excuse_compacted() {
  if (compacted.empty()) return;
  constexpr std::int64_t kAnywhere = std::numeric_limits<std::int64_t>::max();
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> last_of;  // log and key
  const auto stands = [&](const Keyed& one, std::int64_t offset) {
    const Send& s = sends[one.send];
    if (s.txn != 0 && transactions[s.txn].aborted()) return;
    std::int64_t& last = last_of.try_emplace({s.log, one.key}, -1).first->second;
    last = std::max(last, offset);
  };
  for (const Keyed& one : compacted) {
    const Send& s = sends[one.send];
    if (s.result != HistoryType::fail) stands(one, s.offset < 0 ? kAnywhere : s.offset);
  }
  for (const Log& l : logs) {
    for (const Read& read : l.reads) {
      const Keyed* one = read.send == kNever ? nullptr : keyed(read.send);
      if (one != nullptr) stands(*one, read.offset);
    }
  }
  for (Keyed& one : compacted) {
    Send& s = sends[one.send];
    if (s.txn != 0 && !transactions[s.txn].committed()) s.may_go = true;
    const auto last = last_of.find({s.log, one.key});
    if (last == last_of.end()) continue;
    one.last = last->second;
    if (s.offset < one.last) s.may_go = true;
  }
}

void BlackBox::State::judge_gaps(Log& l, const std::vector<Range>& gaps, std::string_view what) {
  ReadFinder finder(l.reads);
  for (const Range& gap : gaps) {
    const bool committed = polls[gap.poll].read_committed;
    std::size_t at = finder.at_or_after(gap.from);
    while (at < l.reads.size() && l.reads[at].offset < gap.to &&
           (may_go(l.reads[at]) || (committed && may_be_invisible(l.reads[at]))))
      ++at;
    if (at == l.reads.size() || l.reads[at].offset >= gap.to) continue;
    report(what, l, l.reads[at].offset, {polls[gap.poll].op, polls[l.reads[at].poll].op},
           "a poll of " + name(l) + " passes over offset " + text(l.reads[at].offset) + ", which another reads");
  }
}

void BlackBox::State::judge_log(std::uint32_t number) {
  Log& l = logs[number];
  for (std::size_t i = 1; i < l.reads.size(); ++i) {
    const Read &a = l.reads[i - 1], &b = l.reads[i];
    if (a.offset != b.offset) continue;
    report("inconsistent-offsets", l, a.offset, {polls[a.poll].op, polls[b.poll].op},
           "offset " + text(a.offset) + " of " + name(l) + " is read as " + text(a.value) + " and as " + text(b.value));
  }
  judge_gaps(l, l.gaps, "poll-skip");
  judge_gaps(l, l.inner_gaps, "int-poll-skip");
  merge_ranges(l.covered);
  merge_ranges(l.covered_committed);
  judge_sends(number);
  judge_order(number);
  judge_ends(number);
}

// Whose reader came past the offset first.
std::int64_t BlackBox::State::passing_poll(std::uint32_t number, std::int64_t offset, bool committed) const {
  const auto found = std::ranges::find_if(polls, [&](const Poll& p) {
    return p.log == number && p.read_committed == committed && p.from <= offset && offset < p.next;
  });
  return found == polls.end() ? -1 : found->op;
}

void BlackBox::State::judge_sends(std::uint32_t number) {
  Log& l = logs[number];
  const std::int64_t highest = l.reads.empty() ? -1 : l.reads.back().offset;
  ReadFinder finder(l.reads);
  for (const std::uint32_t i : own[number]) {
    const Send& s = sends[i];
    if (s.result == HistoryType::fail) ++result.sends_failed;
    if (s.result == HistoryType::info || s.result == HistoryType::invoke) {
      ++result.sends_unknown;
      ++(s.is_read ? result.unknown_read : result.unknown_unread);
    }
    if (s.result != HistoryType::ok) continue;
    ++result.sends_ok;
    if (s.acks != -1 || s.offset < 0) continue;
    if (const Read* there = finder.at(s.offset); there != nullptr && there->value != s.value) {
      report("inconsistent-offsets", l, s.offset, {s.op, polls[there->poll].op},
             "offset " + text(s.offset) + " of " + name(l) + " was acknowledged for " + text(s.value) +
                 " but is read as " + text(there->value));
    }
    if (s.is_read || s.may_go) continue;
    if (s.offset > highest) ++result.unseen;
    const bool by_all = range_with(l.covered, s.offset) != nullptr;
    const bool told = s.txn == 0 || transactions[s.txn].committed();
    if (!by_all && (!told || range_with(l.covered_committed, s.offset) == nullptr)) continue;
    const std::string_view what = s.txn != 0 && transactions[s.txn].seen ? "G1b" : "lost-write";
    std::vector<std::int64_t> ops{s.op};
    if (!reported(what, l)) ops.push_back(passing_poll(number, s.offset, !by_all));
    report(what, l, s.offset, std::move(ops),
           "acknowledged value " + text(s.value) + " at offset " + text(s.offset) + " of " + name(l) +
               " is never read, though readers passed it");
  }
}

void BlackBox::State::judge_order(std::uint32_t number) {
  const Log& l = logs[number];
  ReadFinder finder(l.reads);
  // Below acks=all a success may be a deposed leader's, and is lost with its log: what was read is committed.
  const auto stands = [&](const Send& s) {
    if (s.acks == -1) return true;
    const Read* there = finder.at(s.offset);
    return there != nullptr && there->value == s.value;
  };
  std::vector<KeyAndIndex> ordered;  // by process, each in its order
  for (const std::uint32_t i : own[number]) {
    const Send& s = sends[i];
    if (s.result == HistoryType::ok && s.offset >= 0 && s.acks != 0) ordered.push_back({s.process, i});
  }
  sort_by_key(ordered);
  const Send* top = nullptr;  // the highest offset so far of this process
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    const Send& s = sends[ordered[i].index];
    const Send* before = i > 0 && ordered[i - 1].key == ordered[i].key ? &sends[ordered[i - 1].index] : nullptr;
    if (before == nullptr) top = nullptr;
    const bool counts = s.exact && stands(s);
    if (counts && top != nullptr && s.offset < top->offset) {
      report(top->ended < s.began ? "nonmonotonic-send" : "int-nonmonotonic-send", l, s.offset, {top->op, s.op},
             "process " + text(processes[s.process].id) + " sends value " + text(top->value) + " to offset " +
                 text(top->offset) + " of " + name(l) + ", then value " + text(s.value) + " to offset " +
                 text(s.offset));
    } else if (before != nullptr && before->ended > s.began && s.offset > before->offset + 1) {
      const std::size_t between = finder.at_or_after(before->offset + 1);
      if (between < l.reads.size() && l.reads[between].offset < s.offset) {
        report("int-send-skip", l, l.reads[between].offset, {before->op, s.op},
               "another record lies between two pipelined sends", true);
      }
    }
    if (counts && (top == nullptr || s.offset > top->offset)) top = &s;
  }
}

// Somebody was told that the partition ends before what had been acknowledged.
void BlackBox::State::judge_ends(std::uint32_t number) {
  std::vector<End> said;
  for (const End& end : ends) {
    if (end.log == number) said.push_back(end);
  }
  if (said.empty()) return;
  // Of those that began behind a line, the lowest.
  std::ranges::sort(said, {}, &End::began);
  for (std::size_t i = said.size() - 1; i-- > 0;) {
    if (said[i + 1].offset < said[i].offset) {
      said[i].offset = said[i + 1].offset;
      said[i].op = said[i + 1].op;
    }
  }
  const Log& l = logs[number];
  for (const std::uint32_t i : own[number]) {
    const Send& s = sends[i];
    if (s.result != HistoryType::ok || s.acks != -1 || s.offset < 0 || s.may_go) continue;
    const auto after = std::ranges::upper_bound(said, s.ended, {}, &End::began);
    if (after == said.end() || after->offset > s.offset) continue;
    report(s.is_read ? "lost-write" : "unseen", l, s.offset, {s.op, after->op},
           "acknowledged value " + text(s.value) + " at offset " + text(s.offset) + " of " + name(l) +
               (s.is_read ? " was read, but" : " was never read:") + " the partition ends at " + text(after->offset));
  }
}

// For how long a record lay there, acknowledged, when a poll's answer came that did not reach it: since it was
// acknowledged, or since its reader began.
void BlackBox::State::measure_lag() {
  std::vector<std::vector<std::uint32_t>> of_log(logs.size());
  for (std::uint32_t i = 0; i < polls.size(); ++i) of_log[polls[i].log].push_back(i);
  for (std::uint32_t number = 0; number < logs.size(); ++number) {
    struct Known {
      std::int64_t offset, since_ns;
    };
    std::vector<Known> known;
    for (const std::uint32_t i : own[number]) {
      const Send& s = sends[i];
      if (s.result != HistoryType::ok || s.offset < 0 || (s.acks != -1 && !s.is_read)) continue;
      if (s.txn == 0) known.push_back({s.offset, s.ended_ns});
      if (s.txn != 0 && transactions[s.txn].told != kNever) known.push_back({s.offset, transactions[s.txn].told_ns});
    }
    sort_runs(known, [](const Known& a, const Known& b) { return a.offset < b.offset; });
    for (std::size_t i = known.size(); i-- > 1;)
      known[i - 1].since_ns = std::min(known[i - 1].since_ns, known[i].since_ns);
    for (const std::uint32_t i : of_log[number]) {
      const Poll& p = polls[i];
      const auto beyond = std::ranges::lower_bound(known, p.next, {}, &Known::offset);
      if (beyond == known.end()) continue;
      const std::int64_t lag = p.time_ns - std::max(beyond->since_ns, p.since_ns);
      if (lag <= result.worst_lag_ns) continue;
      result.worst_lag_ns = lag;
      result.worst_lag_of = "process " + text(processes[p.process].id) + " on " + name(logs[number]);
    }
  }
}

}  // namespace verdict::checker
