#include "checker/black_box.h"

#include <algorithm>
#include <cstring>
#include <istream>
#include <tuple>
#include <utility>

#include "checker/black_box_state.h"

namespace verdict::checker {

std::uint32_t BlackBox::State::transaction(const HistoryEntry& e) {
  if (e.txn < 0) return 0;
  if (transactions.empty()) transactions.emplace_back();
  std::uint32_t& number = transaction_of[static_cast<std::uint64_t>(e.txn)];
  if (number == 0) {
    number = static_cast<std::uint32_t>(transactions.size());
    transactions.emplace_back().id = e.txn;
  }
  return number;
}

std::uint32_t BlackBox::State::log(const HistoryEntry& e) {
  if (!logs.empty() && logs[last_log].partition == e.partition && logs[last_log].topic == e.topic) return last_log;
  const auto [at, fresh] = log_of.try_emplace({e.topic, e.partition}, static_cast<std::uint32_t>(logs.size()));
  if (fresh) {
    Log& made = logs.emplace_back();
    made.topic = e.topic;
    made.partition = e.partition;
  }
  return last_log = at->second;
}

std::uint32_t BlackBox::State::process(std::int64_t id) {
  if (!processes.empty() && processes[last_process].id == id) return last_process;
  std::uint32_t& number = process_of[static_cast<std::uint64_t>(id)];
  if (number == 0) {
    processes.emplace_back().id = id;
    number = static_cast<std::uint32_t>(processes.size());
  }
  return last_process = number - 1;
}

std::uint32_t BlackBox::State::group_log(const HistoryEntry& e) {
  const std::uint32_t on = log(e);
  const auto [at, fresh] = group_log_of.try_emplace({e.group, on}, static_cast<std::uint32_t>(group_logs.size()));
  if (fresh) group_logs.push_back({e.group, on});
  return at->second;
}

BlackBox::State::Reader& BlackBox::State::reader(const HistoryEntry& e) {
  return readers[static_cast<std::uint64_t>(process(e.process)) << 32 | log(e)];
}

void BlackBox::State::report(std::string_view what, const Log& l, std::int64_t offset, std::vector<std::int64_t> ops,
                             std::string sentence, bool allowed) {
  if (disregarded.contains(l.topic)) return;
  for (Anomaly& a : result.anomalies) {
    if (a.name != what || a.allowed != allowed) continue;
    ++a.count;
    return;
  }
  result.anomalies.push_back({what, allowed, std::move(sentence), l.topic, l.partition, offset, std::move(ops), 1});
}

bool BlackBox::State::reported(std::string_view what, const Log& l) const {
  return disregarded.contains(l.topic) ||
         std::ranges::any_of(result.anomalies, [&](const Anomaly& a) { return a.name == what && !a.allowed; });
}

void BlackBox::State::send(const HistoryEntry& e) {
  std::uint32_t& index = under_way[static_cast<std::uint64_t>(e.op)];
  if (index == 0) {
    ++result.operations;
    Send& made = sends.emplace_back();
    made = {.value = e.value,
            .op = e.op,
            .offset = -1,
            .ended_ns = 0,
            .process = process(e.process),
            .log = log(e),
            .began = line(),
            .ended = kNever,
            .txn = transaction(e),
            .acks = e.acks,
            .result = HistoryType::invoke,
            .exact = e.idempotent || e.ordered};
    index = static_cast<std::uint32_t>(sends.size());
    if (e.compacted) {
      made.may_go = e.tombstone;
      const auto key = keys.try_emplace(e.key, static_cast<std::uint32_t>(keys.size())).first->second;
      compacted.push_back({.send = index - 1, .key = key});
    }
    if (e.input >= 0) {
      const auto group = groups.try_emplace(e.group, static_cast<std::uint32_t>(groups.size())).first->second;
      made_of.push_back({.input = e.input, .group = group, .send = index - 1});
    }
  }
  if (e.renewed) processes[process(e.process)].renewed = true;
  if (e.type == HistoryType::invoke) return;
  Send& s = sends[index - 1];
  s.result = e.type;
  s.ended = line();
  s.ended_ns = e.time_ns;
  if (e.type == HistoryType::ok) s.offset = e.offset;
  under_way.erase(static_cast<std::uint64_t>(e.op));
}

void BlackBox::State::commit(const HistoryEntry& e) {
  const std::uint32_t number = transaction(e);
  if (number == 0) return;
  Transaction& t = transactions[number];
  if (e.type == HistoryType::invoke || t.asked == kNever) ++result.operations;
  t.asked = std::min(t.asked, line());
  t.commit_op = e.op;
  if (e.type == HistoryType::fail) t.refused = true;
  if (e.type != HistoryType::ok) return;
  t.told = line();
  t.told_ns = e.time_ns;
}

void BlackBox::State::place(const HistoryEntry& e) {
  if (!e.group.empty()) {
    std::uint32_t& index = under_way[static_cast<std::uint64_t>(e.op)];
    if (e.type == HistoryType::invoke) {
      index = line();  // an assign has no table of its own: when it began is all that is to be known
      return;
    }
    const std::uint32_t began = index == 0 ? line() : index;
    under_way.erase(static_cast<std::uint64_t>(e.op));
    if (e.type == HistoryType::ok) {
      offset_reads.push_back({.offset = e.offset,
                              .op = e.op,
                              .group_log = group_log(e),
                              .process = process(e.process),
                              .began = began,
                              .ended = line()});
    }
  }
  if (e.type != HistoryType::ok) return;
  ++result.operations;
  Reader& moved = reader(e);
  moved = {.next = e.offset, .since_ns = e.time_ns, .placed = true, .at = moved.at};
}

void BlackBox::State::commit_offsets(const HistoryEntry& e) {
  std::uint32_t& index = under_way[static_cast<std::uint64_t>(e.op)];
  if (index == 0) {
    ++result.operations;
    commits.push_back({.offset = e.offset,
                       .op = e.op,
                       .group_log = group_log(e),
                       .process = process(e.process),
                       .began = line(),
                       .ended = kNever,
                       .txn = transaction(e),
                       .result = HistoryType::invoke});
    index = static_cast<std::uint32_t>(commits.size());
  }
  if (e.type == HistoryType::invoke) return;
  OffsetCommit& c = commits[index - 1];
  c.result = e.type;
  if (e.type == HistoryType::ok) c.ended = line();
  under_way.erase(static_cast<std::uint64_t>(e.op));
}

void BlackBox::State::end(const HistoryEntry& e) {
  std::uint32_t& began = under_way[static_cast<std::uint64_t>(e.op)];
  if (began == 0) began = line();
  if (e.type == HistoryType::invoke) return;
  if (e.type == HistoryType::ok) {
    ++result.operations;
    ends.push_back({.offset = e.offset, .op = e.op, .log = log(e), .began = began});
  }
  under_way.erase(static_cast<std::uint64_t>(e.op));
}

// What several readers, or one that came back, saw alike is there once, for the first of them.
void BlackBox::State::take(Log& l, Reader& reader, const Read& read) {
  if (l.reads.empty() || read.offset > l.reads.back().offset) {
    l.reads.push_back(read);
    reader.at = l.reads.size();
    return;
  }
  reader.at = at_or_after(l.reads, reader.at, read.offset);
  Read& found = l.reads[reader.at];
  if (found.offset != read.offset || found.value != read.value) {
    l.loose.push_back(read);
    return;
  }
  found.committed_poll = std::min(found.committed_poll, read.committed_poll);
  ++reader.at;
}

void BlackBox::State::poll(const HistoryEntry& e) {
  if (e.records.empty()) return;
  ++result.operations;
  const std::uint32_t number = log(e);
  Reader& reader = this->reader(e);
  Log& l = logs[number];
  result.records_polled += e.records.size();
  const auto poll = static_cast<std::uint32_t>(polls.size());
  const std::uint32_t who = process(e.process);
  if (!e.read_committed) processes[who].reads_all = true;
  const std::int64_t first = e.records.front().offset;
  if (reader.next >= 0 && first < reader.next) {
    report("nonmonotonic-poll", l, first, {e.op},
           "process " + std::to_string(e.process) + " polls offset " + std::to_string(first) + " of " + name(l) +
               " after " + std::to_string(reader.next - 1) + " without a seek");
  }
  if (reader.next >= 0 && first > reader.next) l.gaps.push_back({reader.next, first, poll});
  std::int64_t highest = first;
  for (std::size_t i = 0; i < e.records.size(); ++i) {
    const OffsetValue& r = e.records[i];
    take(l, reader, {r.offset, r.value, poll, e.read_committed ? poll : kNever, kNever});
    highest = std::max(highest, r.offset);
    if (i == 0) continue;
    const std::int64_t before = e.records[i - 1].offset;
    if (r.offset <= before) {
      report("int-nonmonotonic-poll", l, r.offset, {e.op},
             "one poll of " + name(l) + " has offset " + std::to_string(r.offset) + " after " + std::to_string(before));
    } else if (r.offset > before + 1) {
      l.inner_gaps.push_back({before + 1, r.offset, poll});
    }
  }
  const std::int64_t from = reader.next >= 0 ? std::min(reader.next, first) : first;
  std::vector<Range>& covered = e.read_committed ? l.covered_committed : l.covered;
  if (!covered.empty() && covered.back().to == from)
    covered.back().to = highest + 1;
  else
    covered.push_back({from, highest + 1, poll});
  reader.next = e.records.back().offset + 1;
  polls.push_back({.op = e.op,
                   .time_ns = e.time_ns,
                   .since_ns = reader.placed ? reader.since_ns : e.time_ns,
                   .from = from,
                   .next = reader.next,
                   .process = who,
                   .log = number,
                   .line = line(),
                   .read_committed = e.read_committed});
  if (!std::exchange(reader.placed, true)) reader.since_ns = e.time_ns;
}

BlackBox::BlackBox() : state_(std::make_unique<State>()) {}
BlackBox::~BlackBox() = default;

void BlackBox::add(const HistoryEntry& e) {
  ++state_->result.entries;
  switch (e.call) {
    case HistoryCall::send:
      return state_->send(e);
    case HistoryCall::poll:
      if (e.type == HistoryType::ok) state_->poll(e);
      return;
    case HistoryCall::assign:
    case HistoryCall::seek:
      return state_->place(e);
    case HistoryCall::commit:
      return state_->commit(e);
    case HistoryCall::commit_offsets:
      return state_->commit_offsets(e);
    case HistoryCall::end:
      return state_->end(e);
    case HistoryCall::abort:
    case HistoryCall::other:
      if (e.type == HistoryType::invoke) ++state_->result.operations;
      return;
  }
}

void BlackBox::disregard(std::string_view topic) { state_->disregarded.emplace(topic); }

void BlackBox::forget_positions(std::string_view topic) { state_->positions_forgotten.emplace(topic); }

HistoryResult BlackBox::finish() {
  State& s = *state_;
  s.under_way = {};
  s.own.resize(s.logs.size());
  for (std::uint32_t i = 0; i < s.sends.size(); ++i) {
    Send& send = s.sends[i];
    send.exact = send.exact && !s.processes[send.process].renewed;
    s.own[send.log].push_back(i);
  }
  for (std::uint32_t i = 0; i < s.logs.size(); ++i) s.match_reads(i);
  s.judge_transactions();
  s.judge_inputs();
  s.excuse_compacted();
  for (std::uint32_t i = 0; i < s.logs.size(); ++i) s.judge_log(i);
  s.judge_cycles();
  s.judge_groups();
  s.measure_lag();
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
      ",\"operations\":" + std::to_string(operations) + ",\"sends_ok\":" + std::to_string(sends_ok) +
      ",\"sends_failed\":" + std::to_string(sends_failed) + ",\"sends_unknown\":" + std::to_string(sends_unknown) +
      ",\"unknown_read\":" + std::to_string(unknown_read) + ",\"unknown_unread\":" + std::to_string(unknown_unread) +
      ",\"unseen\":" + std::to_string(unseen) + ",\"records_polled\":" + std::to_string(records_polled) +
      ",\"worst_lag_ms\":" + std::to_string(worst_lag_ns / 1'000'000) + ",\"anomalies\":[";
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
  std::vector<char> block(std::size_t{1} << 20);
  std::size_t held = 0;  // bytes of a line that goes on
  std::uint64_t number = 0;
  for (bool more = true; more;) {
    if (held == block.size()) block.resize(2 * block.size());
    in.read(block.data() + held, static_cast<std::streamsize>(block.size() - held));
    const std::size_t filled = held + static_cast<std::size_t>(in.gcount());
    more = !in.eof() && in.gcount() > 0;
    std::size_t begin = 0;
    while (begin < filled) {
      const void* found = std::memchr(block.data() + begin, '\n', filled - begin);
      const bool torn = found == nullptr;
      if (torn && more) break;
      const std::size_t end = torn ? filled : static_cast<std::size_t>(static_cast<const char*>(found) - block.data());
      const std::string_view line(block.data() + begin, end - begin);
      begin = torn ? filled : end + 1;
      ++number;
      if (number >= kNever) return std::unexpected("more than " + std::to_string(kNever) + " lines");
      if (line.empty()) continue;
      if (const auto parsed = parse_history_line(line, entry); parsed) {
        box.add(entry);
      } else if (!torn) {
        return std::unexpected("line " + std::to_string(number) + ": " + parsed.error());
      }
    }
    held = begin < filled ? filled - begin : 0;
    std::memmove(block.data(), block.data() + begin, held);
  }
  return box.finish();
}

}  // namespace verdict::checker
