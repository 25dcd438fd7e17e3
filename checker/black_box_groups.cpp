// How far a group has come on a partition is a register: each commit writes it, a member that takes the partition reads
// it. Which commit was the last is known where one had ended before the next began.
#include <algorithm>
#include <map>
#include <utility>

#include "checker/black_box_state.h"

namespace verdict::checker {
namespace {

// A commit with the time from which on it is there for sure; kNever: perhaps never.
struct Write {
  const OffsetCommit* commit;
  std::uint32_t ended;
};

// The commits of one group on one partition that may have been taken, and who read there.
struct Register {
  std::vector<Write> writes;             // by when they began
  std::vector<const OffsetRead*> reads;  // by when they ended
};

// Of commits that are there for sure, by when they ended: the latest that any of them began, up to each.
class Settled {
 public:
  explicit Settled(const std::vector<Write>& writes) {
    for (const Write& w : writes) {
      if (w.ended != kNever) by_end_.push_back({w.ended, w.commit});
    }
    std::ranges::sort(by_end_, {}, &Entry::ended);
    for (std::size_t i = 1; i < by_end_.size(); ++i) {
      if (by_end_[i].latest->began < by_end_[i - 1].latest->began) by_end_[i].latest = by_end_[i - 1].latest;
    }
  }
  // Null: none had ended by then.
  const OffsetCommit* before(std::uint32_t line) const {
    const auto at = std::ranges::lower_bound(by_end_, line, {}, &Entry::ended);
    return at == by_end_.begin() ? nullptr : std::prev(at)->latest;
  }

 private:
  struct Entry {
    std::uint32_t ended;
    const OffsetCommit* latest;
  };
  std::vector<Entry> by_end_;
};

// A member commits less than what another one has committed since it took the partition itself: it does not own it any
// more, and its commit was to be refused. Commits as they were accepted, whatever became of their transactions' ends.
std::vector<std::pair<const OffsetCommit*, const OffsetCommit*>> overwritten(const Register& r) {
  struct Event {
    std::uint32_t line;
    const OffsetRead* taken;
    const OffsetCommit* commit;
  };
  std::vector<Event> events;
  for (const OffsetRead* read : r.reads) events.push_back({read->ended, read, nullptr});
  for (const Write& w : r.writes) {
    if (w.commit->result != HistoryType::ok) continue;
    events.push_back({w.commit->began, nullptr, w.commit});
    if (w.commit->ended != w.commit->began) events.push_back({w.commit->ended, nullptr, w.commit});
  }
  std::ranges::sort(events, {}, &Event::line);
  std::vector<std::pair<const OffsetCommit*, const OffsetCommit*>> found;
  std::map<std::uint32_t, std::uint32_t> taken;  // by whom, when last
  std::vector<const OffsetCommit*> done;  // later ones are lower; one that began earlier and is no higher is gone
  for (const Event& event : events) {
    if (event.taken != nullptr) {
      taken[event.taken->process] = event.line;
      continue;
    }
    const OffsetCommit& c = *event.commit;
    const auto mine = taken.find(c.process);
    if (mine == taken.end()) continue;  // of one that never asked the group, as no member does
    if (event.line == c.began) {
      const auto later = std::ranges::upper_bound(done, mine->second, {}, &OffsetCommit::began);
      if (later != done.end() && (*later)->offset > c.offset && (*later)->process != c.process)
        found.emplace_back(*later, &c);
    }
    if (event.line == c.ended) {
      auto at = std::ranges::upper_bound(done, c.began, {}, &OffsetCommit::began);
      if (at != done.end() && (*at)->offset >= c.offset) continue;
      while (at != done.begin() && (*std::prev(at))->offset <= c.offset) at = done.erase(std::prev(at));
      done.insert(at, &c);
    }
  }
  return found;
}

}  // namespace

void BlackBox::State::judge_groups() {
  std::vector<Register> registers(group_logs.size());
  for (const OffsetCommit& c : commits) {
    if (c.result == HistoryType::fail || (c.txn != 0 && transactions[c.txn].aborted())) continue;
    std::uint32_t ended = c.ended;
    // A transaction's is there when its commit is answered: who asks waits for what is pending.
    if (c.txn != 0 && ended != kNever)
      ended = transactions[c.txn].told == kNever ? kNever : std::max(ended, transactions[c.txn].told);
    registers[c.group_log].writes.push_back({&c, ended});
  }
  for (const OffsetRead& read : offset_reads) registers[read.group_log].reads.push_back(&read);

  for (std::uint32_t number = 0; number < registers.size(); ++number) {
    const Register& r = registers[number];
    const Log& l = logs[group_logs[number].log];
    if (positions_forgotten.contains(l.topic)) continue;
    const std::string who = "group " + group_logs[number].group + " on " + name(l);
    const Settled settled(r.writes);
    std::map<std::int64_t, std::uint32_t> last_of;  // offset -> until when a commit of it may have been taken
    std::int64_t highest = -1;
    // What was there before the history began, if somebody read it.
    const bool known =
        !r.reads.empty() && (r.writes.empty() || r.reads.front()->ended < r.writes.front().commit->began);
    if (known) {
      last_of[r.reads.front()->offset] = 0;
      highest = r.reads.front()->offset;
    }
    std::size_t next = 0;
    for (const OffsetRead* read : r.reads) {
      for (; next < r.writes.size() && r.writes[next].commit->began < read->ended; ++next) {
        const Write& w = r.writes[next];
        std::uint32_t& until = last_of[w.commit->offset];
        until = std::max(until, w.ended);
        highest = std::max(highest, w.commit->offset);
      }
      const OffsetCommit* last = settled.before(read->began);
      if (last == nullptr && !known) continue;
      const auto found = last_of.find(read->offset);
      if (found != last_of.end() && (last == nullptr || found->second >= last->began)) continue;
      std::vector<std::int64_t> ops{read->op};
      if (last != nullptr) ops.insert(ops.begin(), last->op);
      if (read->offset > highest) {
        report("committed-too-far", l, read->offset, std::move(ops),
               who + " goes on at offset " + text(read->offset) + ", though nobody has committed more than " +
                   text(highest));
      } else {
        report("lost-update", l, read->offset, std::move(ops),
               who + " goes on at offset " + text(read->offset) + ", though " +
                   (last == nullptr ? "nobody has committed that" : text(last->offset) + " is committed"));
      }
    }
    for (const auto& [lost, by] : overwritten(r)) {
      report("lost-update", l, by->offset, {lost->op, by->op},
             who + ": process " + text(processes[by->process].id) + " commits offset " + text(by->offset) + " over " +
                 text(lost->offset) + ", which process " + text(processes[lost->process].id) +
                 " has committed since it took the partition");
    }
  }
}

}  // namespace verdict::checker
