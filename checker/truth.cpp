#include <algorithm>

#include "checker/white_box_state.h"

namespace verdict::checker {
namespace {

constexpr std::size_t kDirectIds = 1024;

std::uint64_t hash(const PartitionKey& key) {
  return mix64(key.topic.high ^ (key.topic.low * 0x9e3779b97f4a7c15ULL) ^ static_cast<std::uint64_t>(key.index));
}

}  // namespace

NodeTruth& WhiteBoxState::node(NodeId id) {
  const auto direct = static_cast<std::size_t>(id.value());
  if (id.value() >= 0 && direct < node_index_.size() && node_index_[direct] != 0)
    return nodes_[node_index_[direct] - 1];
  const auto found = std::ranges::find(nodes_, id, &NodeTruth::id);
  if (found != nodes_.end()) return *found;
  nodes_.emplace_back().id = id;
  if (id.value() >= 0 && direct < kDirectIds) {
    if (direct >= node_index_.size()) node_index_.resize(direct + 1, 0);
    node_index_[direct] = static_cast<std::uint32_t>(nodes_.size());
  }
  return nodes_.back();
}

std::uint32_t WhiteBoxState::topic(const Uuid& id) {
  const auto found = std::ranges::find(topics, id, &TopicTruth::id);
  if (found != topics.end()) return static_cast<std::uint32_t>(found - topics.begin());
  topics.emplace_back().id = id;
  return static_cast<std::uint32_t>(topics.size() - 1);
}

PartitionTruth* WhiteBoxState::find(const PartitionKey& key) {
  if (partitions.empty()) return nullptr;
  if (partitions[last_].key != key) {
    const std::size_t mask = table_.size() - 1;
    std::size_t at = hash(key) & mask;
    while (table_[at] != 0 && partitions[table_[at] - 1].key != key) at = (at + 1) & mask;
    if (table_[at] == 0) return nullptr;
    last_ = table_[at] - 1;
  }
  return deleted(partitions[last_]) ? nullptr : &partitions[last_];
}

PartitionTruth& WhiteBoxState::partition(const PartitionKey& key) {
  if (PartitionTruth* known = find(key)) return *known;
  if (!partitions.empty() && partitions[last_].key == key) return partitions[last_];  // of a deleted topic
  PartitionTruth& p = partitions.emplace_back();
  p.key = key;
  p.topic = topic(key.topic);
  p.root = tree.add_root(0);
  p.main.push_back(p.root);
  last_ = static_cast<std::uint32_t>(partitions.size() - 1);
  if (2 * partitions.size() > table_.size()) {
    table_.assign(std::max<std::size_t>(16, 4 * partitions.size()), 0);
    table_.resize(std::bit_ceil(table_.size()), 0);
    for (std::size_t i = 0; i + 1 < partitions.size(); ++i) {
      std::size_t at = hash(partitions[i].key) & (table_.size() - 1);
      while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
      table_[at] = static_cast<std::uint32_t>(i + 1);
    }
  }
  std::size_t at = hash(key) & (table_.size() - 1);
  while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
  table_[at] = static_cast<std::uint32_t>(partitions.size());
  return p;
}

Slot WhiteBoxState::find_slot(const PartitionTruth& p, NodeId id) const {
  for (std::size_t i = 0; i < p.replicas.size(); ++i) {
    if (p.replicas[i].node == id) return static_cast<Slot>(i);
  }
  return kNoSlot;
}

Slot WhiteBoxState::slot(PartitionTruth& p, NodeId id) {
  const Slot known = find_slot(p, id);
  if (known != kNoSlot) return known;
  VERDICT_ASSERT(p.replicas.size() < 64, "a partition had over 64 replicas in one run");
  Replica& r = p.replicas.emplace_back();
  r.node = id;
  r.head = p.root;
  r.matched = p.root;
  node(id).partitions.push_back(index_of(p));
  return static_cast<Slot>(p.replicas.size() - 1);
}

SlotMask WhiteBoxState::mask(PartitionTruth& p, protocol::events::NodeSpan ids) {
  SlotMask result = 0;
  for (const NodeId id : ids) result |= bit(slot(p, id));
  return result;
}

std::string WhiteBoxState::name(const PartitionTruth& p) const {
  const std::string& topic_name = topics[p.topic].name;
  return (topic_name.empty() ? topics[p.topic].id.to_string() : topic_name) + "-" + std::to_string(p.key.index);
}

std::size_t WhiteBoxState::memory_bytes() const {
  std::size_t bytes = tree.memory_bytes() + floors_.memory_bytes() + pending_.memory_bytes() + sends_.memory_bytes() +
                      landed_.memory_bytes() + produced_.memory_bytes();
  for (const PartitionTruth& p : partitions) {
    bytes += sizeof p + p.main.size() * sizeof(BatchIndex) + p.forks.capacity() * sizeof(p.forks[0]) +
             p.notes.capacity() * sizeof(Note) + p.replicas.capacity() * sizeof(Replica);
    for (const Replica& r : p.replicas) {
      bytes += r.extents.capacity() * sizeof(Extent) + r.places.capacity() * sizeof(Place) + r.removed.memory_bytes();
    }
  }
  return bytes;
}

// ---- logs as paths ----

BatchIndex WhiteBoxState::meet(const PartitionTruth& p, BatchIndex i) const {
  while (!on_main(p, i)) i = tree[i].parent;
  return i;
}

BatchIndex WhiteBoxState::main_at(PartitionTruth& p, std::int64_t offset) {
  const auto holds = [&](std::size_t at) {
    return at > 0 && at < p.main.size() && end(p.main[at]) > offset && end(p.main[at - 1]) <= offset;
  };
  if (holds(p.hint)) return p.main[p.hint];
  if (holds(p.hint + 1)) return p.main[++p.hint];
  if (holds(p.main.size() - 1)) return p.main.back();
  std::size_t low = 1, high = p.main.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (end(p.main[middle]) > offset)
      high = middle;
    else
      low = middle + 1;
  }
  if (!holds(low)) return kNoBatch;
  p.hint = low;
  return p.main[low];
}

BatchIndex WhiteBoxState::batch_at(PartitionTruth& p, const Replica& r, std::int64_t offset) {
  if (offset >= log_end(r) || offset < 0) return kNoBatch;
  if (offset < matched_end(r)) return main_at(p, offset);
  BatchIndex i = r.head;
  while (tree.base(i) > offset) i = tree[i].parent;
  return i;
}

BatchIndex WhiteBoxState::ancestor(BatchIndex i, std::int64_t to) const {
  while (end(i) > to && tree[i].parent != kNoBatch) i = tree[i].parent;
  return i;
}

BatchIndex WhiteBoxState::common(BatchIndex a, BatchIndex b) const {
  while (a != b) {
    if (tree[a].depth >= tree[b].depth)
      a = tree[a].parent;
    else
      b = tree[b].parent;
  }
  return a;
}

BatchIndex WhiteBoxState::child(const PartitionTruth& p, BatchIndex parent, const BatchContent& content) const {
  const BatchIndex first = tree[parent].child;
  if (first == kNoBatch || tree.same(first, content)) return first;
  for (const auto& [from, to] : p.forks) {
    if (from == parent && tree.same(to, content)) return to;
  }
  return kNoBatch;
}

BatchIndex WhiteBoxState::unknown_child(const PartitionTruth& p, BatchIndex parent) const {
  const BatchIndex first = tree[parent].child;
  if (first == kNoBatch || tree[first].unknown) return first;
  for (const auto& [from, to] : p.forks) {
    if (from == parent && tree[to].unknown) return to;
  }
  return kNoBatch;
}

BatchIndex WhiteBoxState::grow(PartitionTruth& p, BatchIndex parent, const BatchContent& content) {
  const bool fork = tree[parent].child != kNoBatch;
  const BatchIndex made = tree.add(parent, content);
  if (fork) p.forks.emplace_back(parent, made);
  return made;
}

BatchIndex WhiteBoxState::place(PartitionTruth& p, std::int64_t to, std::int32_t epoch) {
  if (to == 0) return p.root;
  if (const BatchIndex i = main_at(p, to - 1); i != kNoBatch && end(i) == to && (epoch < 0 || tree[i].epoch == epoch))
    return i;
  for (const Replica& r : p.replicas) {
    const BatchIndex i = ancestor(r.head, to);
    if (end(i) == to && (epoch < 0 || tree[i].epoch == epoch)) return i;
  }
  const BatchIndex made = grow(p, p.root, BatchContent{.last = to - 1, .epoch = epoch});
  tree[made].unknown = true;
  return made;
}

void WhiteBoxState::set_main(PartitionTruth& p, BatchIndex head) {
  const BatchIndex fork = meet(p, head);
  while (p.main.size() - 1 > tree[fork].depth) p.main.pop_back();
  VERDICT_ASSERT(p.main.size() - 1 >= p.committed, "the ghost log is kept");
  const std::size_t from = p.main.size();
  p.main.resize(tree[head].depth + std::size_t{1});
  for (BatchIndex i = head; tree[i].depth >= from; i = tree[i].parent) p.main[tree[i].depth] = i;
  for (Replica& r : p.replicas) r.matched = meet(p, r.head);
}

void WhiteBoxState::trim_main(PartitionTruth& p) {
  const BatchIndex head = p.replicas[p.main_slot].head;
  const std::size_t keep = std::max<std::size_t>(p.committed, tree[meet(p, head)].depth);
  while (p.main.size() - 1 > keep) p.main.pop_back();
  if (tree[p.main.back()].depth < tree[head].depth && common(head, p.main.back()) == p.main.back()) {
    set_main(p, head);
    return;
  }
  for (Replica& r : p.replicas) r.matched = meet(p, r.head);
}

void WhiteBoxState::set_head(PartitionTruth& p, Slot s, BatchIndex head) {
  Replica& r = p.replicas[s];
  r.head = head;
  hold(head, s);
  r.matched = meet(p, head);
  if (s == p.main_slot) trim_main(p);
}

// ---- the true high watermark ----

// The lowest value that `reader` may legally still hold for the current one.
std::int32_t WhiteBoxState::effective_min(const PartitionTruth& p, const NodeTruth& reader) const {
  const auto& values = topics[p.topic].min_isr;
  std::int32_t lowest = 1;
  if (!values.empty()) {
    std::size_t i = values.size() - 1;
    lowest = values[i].value;
    while (i > 0 && values[i].known_from > reader.metadata_applied) lowest = std::min(lowest, values[--i].value);
  }
  return std::min(lowest, count(p.members));
}

void WhiteBoxState::raise_true_hw(PartitionTruth& p) {
  if (p.isr == 0 || p.main_slot == kNoSlot) return;
  // Frozen below the minimum; but a leader that has not heard of the decision yet works with its larger ISR.
  if (count(p.isr) < effective_min(p, node(p.replicas[p.main_slot].node))) {
    const bool unaware = std::ranges::any_of(p.replicas, [&](const Replica& r) {
      return r.view.leads && r.view.partition_epoch < p.partition_epoch &&
             count(r.view.isr) >= effective_min(p, node(r.node));
    });
    if (!unaware) return;
  }
  std::int64_t low = kNever;
  for (SlotMask rest = p.isr; rest != 0; rest &= rest - 1) {
    low = std::min(low, matched_end(p.replicas[static_cast<std::size_t>(std::countr_zero(rest))]));
  }
  set_true_hw(p, low);
}

void WhiteBoxState::set_true_hw(PartitionTruth& p, std::int64_t to) {
  if (to <= p.true_hw) return;
  p.true_hw = to;
  while (p.committed + std::size_t{1} < p.main.size() && end(p.main[p.committed + std::size_t{1}]) <= to) {
    ++p.committed;
    ++metrics.committed_batches;
  }
  if (!p.ahead.empty()) check_ahead(p);
}

void WhiteBoxState::lower_true_hw(PartitionTruth& p, std::int64_t to) {
  p.true_hw = to;
  p.lowest_reduction = std::min(p.lowest_reduction, to);
  ++p.reductions;
  while (p.committed > 0 && end(p.main[p.committed]) > to) {
    --p.committed;
    --metrics.committed_batches;
  }
}

void WhiteBoxState::check_candidates(PartitionTruth& p) {
  if (!p.decided || unsettled(p)) return;
  for (SlotMask rest = p.isr; rest != 0; rest &= rest - 1) {
    const Replica& r = p.replicas[static_cast<std::size_t>(std::countr_zero(rest))];
    if (!r.open || !node(r.node).active()) continue;
    if (r.log_start > p.removed && p.true_hw > p.removed) {
      violate("C2", &p, p.removed,
              broker(r.node) + " could lead " + name(p) + " but begins at " + std::to_string(r.log_start) +
                  ", and nobody has removed committed offset " + std::to_string(p.removed),
              broker(r.node) + " is in the ISR and unfenced with log start " + std::to_string(r.log_start));
      return;
    }
    if (matched_end(r) >= p.true_hw) continue;
    // With the ELR off the last ISR member stays usable whatever it lost.
    if (count(p.isr) == 1 && r.lost_from <= matched_end(r)) continue;
    const std::int64_t lacks = matched_end(r);
    const bool diverged = log_end(r) > lacks;
    violate("C2", &p, lacks,
            broker(r.node) + " could lead " + name(p) + " but " + (diverged ? "diverges from" : "lacks") +
                " committed offset " + std::to_string(lacks) + " (high watermark " + std::to_string(p.true_hw) + ")",
            broker(r.node) + " is in the ISR and unfenced with log end " + std::to_string(log_end(r)));
    return;
  }
}

}  // namespace verdict::checker
