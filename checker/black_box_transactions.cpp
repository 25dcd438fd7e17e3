// What is judged of transactions: by what readers of committed records were given, by inputs, and by cycles.
#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "checker/black_box_state.h"
#include "checker/runs.h"

namespace verdict::checker {
namespace {

// `from` comes before `to`: it wrote the record before one of `to` (ww), or what `to` was made of (wr).
struct Edge {
  std::uint32_t from, to, log;
};

class Graph {
 public:
  Graph(std::size_t nodes, std::vector<Edge> edges) : nodes_(nodes), edges_(std::move(edges)), first_(nodes + 1) {
    std::ranges::sort(edges_, {}, [](const Edge& e) { return std::tuple(e.from, e.to); });
    const auto same = std::ranges::unique(edges_, {}, [](const Edge& e) { return std::pair(e.from, e.to); });
    edges_.erase(same.begin(), same.end());
    for (const Edge& e : edges_) ++first_[e.from + 1];
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  }

  // Of each node its strongly connected component: Tarjan's algorithm, without recursion.
  std::vector<std::uint32_t> components() const {
    constexpr std::uint32_t kNone = kNever;
    std::vector<std::uint32_t> component(nodes_, kNone), order(nodes_, kNone), low(nodes_), next(nodes_), stack, path;
    std::uint32_t count = 0, components = 0;
    for (std::uint32_t root = 0; root < nodes_; ++root) {
      if (order[root] != kNone || first_[root] == first_[root + 1]) continue;
      path.push_back(root);
      while (!path.empty()) {
        const std::uint32_t node = path.back();
        if (order[node] == kNone) {
          order[node] = low[node] = count++;
          next[node] = first_[node];
          stack.push_back(node);
        }
        std::uint32_t deeper = kNone;
        while (next[node] < first_[node + 1] && deeper == kNone) {
          const std::uint32_t to = edges_[next[node]].to;
          if (order[to] == kNone) {
            deeper = to;
            break;
          }
          if (component[to] == kNone) low[node] = std::min(low[node], low[to]);
          ++next[node];
        }
        if (deeper != kNone) {
          path.push_back(deeper);
          continue;
        }
        path.pop_back();
        if (low[node] != order[node]) continue;
        for (std::uint32_t member = kNone; member != node; stack.pop_back())
          component[member = stack.back()] = components;
        ++components;
      }
    }
    return component;
  }

  // The shortest way from one node to another within a component, both included.
  std::vector<std::uint32_t> way(std::uint32_t from, std::uint32_t to,
                                 const std::vector<std::uint32_t>& component) const {
    IdMap<std::uint32_t> came_from;  // node + 1
    std::vector<std::uint32_t> queue{from};
    for (std::size_t i = 0; i < queue.size() && queue[i] != to; ++i) {
      for (std::uint32_t e = first_[queue[i]]; e < first_[queue[i] + 1]; ++e) {
        const std::uint32_t node = edges_[e].to;
        if (node == from || component[node] != component[from] || came_from.find(node) != nullptr) continue;
        came_from[node] = queue[i] + 1;
        queue.push_back(node);
      }
    }
    std::vector<std::uint32_t> nodes{to};
    while (nodes.back() != from) {
      const std::uint32_t* before = came_from.find(nodes.back());
      if (before == nullptr) break;
      nodes.push_back(*before - 1);
    }
    std::ranges::reverse(nodes);
    return nodes;
  }
  const std::vector<Edge>& edges() const { return edges_; }

 private:
  std::size_t nodes_;
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> first_;
};

}  // namespace

// G1a, precommitted reads, and of what transactions are known to be committed though their clients were never told.
void BlackBox::State::judge_transactions() {
  for (const Log& l : logs) {
    for (const Read& read : l.reads) {
      const Transaction* txn = read.committed_poll == kNever ? nullptr : transaction_of_read(read);
      if (txn != nullptr) transactions[sends[read.send].txn].seen = true;
    }
  }
  for (const Log& l : logs) {
    for (const Read& read : l.reads) {
      if (read.committed_poll == kNever) continue;
      const Transaction* t = transaction_of_read(read);
      if (t == nullptr) continue;
      const Poll& poll = polls[read.committed_poll];
      if (t->aborted()) {
        report("G1a", l, read.offset, {poll.op},
               "value " + text(read.value) + " at offset " + text(read.offset) + " of " + name(l) +
                   " is read by a reader of committed records, though its transaction " + text(t->id) +
                   (t->refused ? " was refused its commit" : " was never to be committed"));
      } else if (poll.line < t->asked) {
        report("precommitted-read", l, read.offset, {poll.op},
               "value " + text(read.value) + " at offset " + text(read.offset) + " of " + name(l) +
                   " is read by a reader of committed records before its transaction " + text(t->id) +
                   " was to be committed");
      }
    }
  }
}

// A value whose offset a transaction committed to a group is not another's input, but for one that was written more
// often than once: each copy is an input of its own.
void BlackBox::State::judge_inputs() {
  std::erase_if(made_of, [this](const MadeOf& one) {
    const Send& s = sends[one.send];
    return s.txn == 0 || !transactions[s.txn].committed();
  });
  const auto key = [](const MadeOf& one) { return std::tuple(one.group, one.input, one.send); };
  sort_runs(made_of, [key](const MadeOf& a, const MadeOf& b) { return key(a) < key(b); });
  const auto same_input = [this](std::size_t i) {
    return i > 0 && made_of[i].group == made_of[i - 1].group && made_of[i].input == made_of[i - 1].input;
  };
  const auto repeats = [&](std::size_t i) {
    return same_input(i) && sends[made_of[i].send].txn != sends[made_of[i - 1].send].txn;
  };
  std::map<std::int64_t, std::size_t> copies;  // of those in question
  for (std::size_t i = 1; i < made_of.size(); ++i) {
    if (repeats(i)) copies.try_emplace(made_of[i].input);
  }
  if (copies.empty()) return;
  for (const Log& l : logs) {
    for (const Read& read : l.reads) {
      if (const auto found = copies.find(read.value); found != copies.end()) ++found->second;
    }
  }
  std::size_t uses = 1;  // of one input in one group, so far
  for (std::size_t i = 1; i < made_of.size(); ++i) {
    if (!same_input(i)) uses = 1;
    if (!repeats(i) || ++uses <= copies.at(made_of[i].input)) continue;
    const Send &a = sends[made_of[i - 1].send], &b = sends[made_of[i].send];
    const auto group = std::ranges::find(groups, made_of[i].group, [](const auto& named) { return named.second; });
    report("input-twice", logs[b.log], b.offset, {a.op, b.op},
           "value " + text(made_of[i].input) + " is the input of two committed transactions of group " + group->first +
               ", " + text(transactions[a.txn].id) + " and " + text(transactions[b.txn].id));
  }
}

// Who wrote what transactions were made of; then what went round in circles.
void BlackBox::State::judge_cycles() {
  if (transactions.empty()) return;
  std::vector<Edge> ww, wr;
  struct Write {
    std::int64_t offset;
    std::uint32_t txn;
  };
  for (std::uint32_t number = 0; number < logs.size(); ++number) {
    if (disregarded.contains(logs[number].topic)) continue;
    std::vector<Write> writes;
    for (const std::uint32_t i : own[number]) {
      const Send& s = sends[i];
      if (s.txn != 0 && s.offset >= 0 && transactions[s.txn].committed()) writes.push_back({s.offset, s.txn});
    }
    sort_runs(writes, [](const Write& a, const Write& b) { return a.offset < b.offset; });
    for (std::size_t i = 1; i < writes.size(); ++i) {
      if (writes[i].txn != writes[i - 1].txn) ww.push_back({writes[i - 1].txn, writes[i].txn, number});
    }
  }
  std::vector<std::pair<std::int64_t, std::uint32_t>> written;  // values of transactions, and their sends
  if (!made_of.empty()) {
    for (std::uint32_t i = 0; i < sends.size(); ++i) {
      if (sends[i].txn != 0) written.emplace_back(sends[i].value, i);
    }
    sort_runs(written, [](const auto& a, const auto& b) { return a < b; });
  }
  sort_runs(made_of, [](const MadeOf& a, const MadeOf& b) { return a.input < b.input; });
  std::size_t at = 0;
  for (const MadeOf& one : made_of) {
    while (at < written.size() && written[at].first < one.input) ++at;
    if (at == written.size() || written[at].first != one.input) continue;
    const Send &source = sends[written[at].second], &made = sends[one.send];
    const Transaction& t = transactions[source.txn];
    if (t.aborted() && !processes[made.process].reads_all) {
      report("dirty-update", logs[made.log], made.offset, {source.op, made.op},
             "the committed transaction " + text(transactions[made.txn].id) + " made value " + text(made.value) +
                 " of value " + text(one.input) + ", whose transaction " + text(t.id) + " is aborted");
    }
    if (t.committed() && source.txn != made.txn) wr.push_back({source.txn, made.txn, made.log});
  }
  const auto judge = [this](const Graph& graph, const std::vector<Edge>& needed, std::string_view what, bool allowed) {
    const std::vector<std::uint32_t> component = graph.components();
    std::set<std::uint32_t> told;  // components
    for (const Edge& e : needed) {
      if (component[e.from] != component[e.to] || component[e.from] == kNever) continue;
      if (!told.insert(component[e.from]).second) continue;
      std::string round;
      std::vector<std::int64_t> ops;
      if (told.size() == 1) {  // the others are counted
        for (const std::uint32_t node : graph.way(e.to, e.from, component)) {
          round += text(transactions[node].id) + " -> ";
          if (transactions[node].commit_op >= 0) ops.push_back(transactions[node].commit_op);
        }
        round += text(transactions[e.to].id);
      }
      report(what, logs[e.log], -1, std::move(ops), "committed transactions depend on each other: " + round, allowed);
    }
    return !told.empty();
  };
  judge(Graph(transactions.size(), ww), ww, "G0", true);
  if (wr.empty() || judge(Graph(transactions.size(), wr), wr, "G1c", false)) return;
  std::vector<Edge> both = ww;
  both.insert(both.end(), wr.begin(), wr.end());
  judge(Graph(transactions.size(), std::move(both)), wr, "G1c", true);
}

}  // namespace verdict::checker
