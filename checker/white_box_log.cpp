#include <algorithm>

#include "checker/white_box_state.h"

// L1 (dense offsets), C3 (logs agree) and C5 (no truncation of what is committed), from what a replica does to its log.
namespace verdict::checker {
namespace {
constexpr std::ptrdiff_t kRemovedExtents = 64;  // remembered below a replica's log start
}

void WhiteBoxState::on(const protocol::events::BatchAppended& e) {
  appended_as_ = e.role;
  PartitionTruth* found = find(e.partition);
  if (found == nullptr) {
    PartitionTruth& made = partition(e.partition);
    if (deleted(made)) return;
    found = &made;
  }
  PartitionTruth& p = *found;
  const Slot s = slot(p, now.node);
  Replica& r = p.replicas[s];
  if (!r.known) {
    r.known = r.open = true;
    r.head = r.matched = place(p, e.base.value(), -1);
    r.log_start = e.base.value();
    if (!on_main(p, r.head)) r.matched = meet(p, r.head);
  }
  const BatchIndex head = r.head;
  const std::int64_t base = e.base.value(), last = e.last.value();
  Records* const told = take_told(e.partition, base, last);
  const BatchIndex copied = copied_compacted(p, s, e, told);
  if (violation) return;
  if (copied != kNoBatch) {
    append(p, s, copied, e);
    raise_true_hw(p);  // past the hole as well
    return;
  }
  if (const BatchIndex rotten = copied_rot(p, s, e); rotten != kNoBatch) {
    append(p, s, rotten, e);
    set_head(p, s, rotten);
    return;
  }
  if (base != tree[head].end || last < base || e.records != last - base + 1) {
    violate("L1", &p, base,
            broker(now.node) + " appends offsets " + std::to_string(base) + ".." + std::to_string(last) + " (" +
                std::to_string(e.records) + " records) to " + name(p) + " whose log ends at " +
                std::to_string(tree[head].end),
            "appends at offset " + std::to_string(base));
    return;
  }
  const BatchContent content{last, e.epoch.value(), e.crc,
                             batch_identity(e.producer_id.value(), e.producer_epoch.value(), e.base_sequence),
                             e.length};
  const BatchIndex first = tree[head].child;
  BatchIndex made;
  if (first == kNoBatch && e.role == protocol::events::Role::leader) {
    made = tree.add(head, content);
  } else if (first != kNoBatch && tree.same(first, content)) {
    made = first;
  } else {
    made = append_apart(p, s, e, content);
    if (made == kNoBatch) return;
  }
  append(p, s, made, e);
  if (told != nullptr && e.role == protocol::events::Role::leader) attach_records(p, made, std::move(*told));
  appended_of_producer(p, p.replicas[s], made, e);
  if (e.role != protocol::events::Role::leader) return;
  note_fences(p, made);
  place_moves(p, made, e.records);
}

void WhiteBoxState::append(PartitionTruth& p, Slot s, BatchIndex made, const protocol::events::BatchAppended& e) {
  Replica& r = p.replicas[s];
  const BatchIndex before = tree[made].parent;
  const std::int64_t start = tree[before].bytes_end;
  const auto position = static_cast<std::int64_t>(e.position);
  if (p.compacted) {
    r.places.push_back({e.base.value(), e.last.value() + 1, e.segment.value(), position, e.length});
  } else if (r.extents.empty() || r.extents.back().segment != e.segment.value() ||
             r.extents.back().position + (start - r.extents.back().bytes_start) != position) {
    r.extents.push_back(Extent{e.segment.value(), position, start, e.base.value()});
  }
  hold(made, s);
  r.head = made;
  const std::int64_t matched_before = matched_end(r);
  if (s == p.main_slot && p.main.back() == before) {
    p.main.push_back(made);
    r.matched = made;
    const auto holders = static_cast<std::uint16_t>(tree[made].held & ~(s < 16 ? 1U << s : 0U));
    if (holders != 0 || p.replicas.size() > 16) {
      for (Replica& other : p.replicas) {
        if (other.matched == before && other.head != before) other.matched = meet(p, other.head);
      }
    }
  } else if (r.matched == before && on_main(p, made)) {
    r.matched = made;
  }
  // A member that was ahead of the true high watermark did not hold it back.
  if ((p.isr & bit(s)) != 0 && matched_before <= p.true_hw && matched_end(r) > p.true_hw) raise_true_hw(p);
  if (r.lost_from != kNever && matched_end(r) >= p.true_hw && (p.isr & bit(s)) == 0) r.lost_from = kNever;
}

// A leader that rot misled to a later end hands its rotten batch on, and with it a hole: L1's excuse, for its followers
// and up to that end. Whoever took it is misled as well.
BatchIndex WhiteBoxState::copied_rot(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e) {
  Replica& r = p.replicas[s];
  if (e.role != protocol::events::Role::follower || e.base.value() <= log_end(r)) return kNoBatch;
  const auto led = std::ranges::find(p.leaders, r.follows, &std::pair<std::int32_t, NodeId>::first);
  if (led == p.leaders.end() || led->second == r.node) return kNoBatch;
  const Slot leader = find_slot(p, led->second);
  if (leader == kNoSlot) return kNoBatch;
  Replica& source = p.replicas[leader];
  // A leader that rot has not misled yet hands on what it holds there, under another offset.
  const BatchIndex held = batch_at(p, source, log_end(r));
  if (held != kNoBatch && tree.base(held) == log_end(r) && tree[held].crc == e.crc &&
      rotten(source, log_end(r), end(held))) {
    r.misled = true;
    r.damaged.push_back({.from = log_end(r), .to = e.last.value() + 1, .rotten = true});
    const BatchIndex made = grow(p, r.head, BatchContent{.last = e.last.value(), .epoch = e.epoch.value()});
    tree[made].unknown = true;
    return made;
  }
  const BatchIndex there = source.misled ? batch_at(p, source, e.base.value()) : kNoBatch;
  if (there == kNoBatch || !tree[there].unknown || end(there) != e.last.value() + 1) return kNoBatch;
  r.misled = true;
  r.damaged.push_back({.from = std::min(log_end(r), tree.base(there)), .to = end(there), .rotten = true});
  return there;
}

// An append that is not what the others hold at this place: legal for a new leader, and where the others hold nothing.
BatchIndex WhiteBoxState::append_apart(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e,
                                       const BatchContent& content) {
  Replica& r = p.replicas[s];
  const std::int64_t base = e.base.value();
  if (const BatchIndex known = child(p, r.head, content); known != kNoBatch && tree.same(known, content)) return known;
  if (const BatchIndex unknown = unknown_child(p, r.head); unknown != kNoBatch && tree[unknown].unknown &&
                                                           tree[unknown].end > content.last &&
                                                           e.role == protocol::events::Role::follower) {
    resolve(p, unknown, content);
    return unknown;
  }
  for (Slot o = 0; o < p.replicas.size(); ++o) {
    const Replica& other = p.replicas[o];
    if (o == s || !other.known) continue;
    const BatchIndex there = batch_at(p, other, base);
    if (there == kNoBatch || tree.base(there) != base || tree[there].epoch != content.epoch || tree[there].unknown)
      continue;
    const bool excused = cut_away(p, content.epoch, content.last + 1);
    const std::int64_t both_hold = std::max(r.log_start, other.log_start);
    if (!tree.same(there, content)) {
      if (content.last < both_hold || excused) continue;
      violate("C3", &p, base,
              "brokers " + std::to_string(now.node.value()) + " and " + std::to_string(other.node.value()) +
                  " hold different batches at offset " + std::to_string(base) + " of " + name(p) +
                  " in the same epoch " + std::to_string(content.epoch),
              "appends another batch at offset " + std::to_string(base));
      return kNoBatch;
    }
    const BatchIndex fork = common(r.head, tree[there].parent);
    if (base > both_hold && end(fork) < base) {
      if (excused) continue;
      violate("C3", &p, end(fork),
              broker(now.node) + " appends offset " + std::to_string(base) + " of epoch " +
                  std::to_string(content.epoch) + " to " + name(p) + " although its log differs from broker " +
                  std::to_string(other.node.value()) + "'s at offset " + std::to_string(end(fork)),
              "appends at offset " + std::to_string(base) + " on a log that diverged at " + std::to_string(end(fork)));
      return kNoBatch;
    }
    // They differ only in what one of them has deleted since: from here on the logs are the same.
    set_head(p, s, tree[there].parent);
    return there;
  }
  return grow(p, r.head, content);
}

// An unknown batch is learnt when another replica copies it, perhaps as the first of several.
void WhiteBoxState::resolve(PartitionTruth& p, BatchIndex unknown, const BatchContent& content) {
  const std::int64_t rest_end = end(unknown);
  const std::int32_t rest_epoch = tree[unknown].epoch;
  Batch& b = tree[unknown];
  b.end = content.last + 1;
  b.identity = content.identity;
  b.crc = content.crc;
  b.epoch = content.epoch;
  b.unknown = false;  // its bytes stay 0: the holder's extents were recorded without them
  if (b.end == rest_end) return;
  const BatchIndex old_child = b.child;
  tree[unknown].child = kNoBatch;
  const BatchIndex rest = tree.add(unknown, BatchContent{.last = rest_end - 1, .epoch = rest_epoch});
  tree[rest].unknown = true;
  tree[rest].held = tree[unknown].held;
  tree[rest].child = old_child;
  if (old_child != kNoBatch) tree[old_child].parent = rest;
  for (auto& [from, to] : p.forks) {
    if (from == unknown) {
      from = rest;
      tree[to].parent = rest;
    }
  }
  const std::uint32_t depth = tree[unknown].depth;
  const bool main = on_main(p, unknown);
  deepen(p, rest);
  if (main && (p.main.size() > depth + std::size_t{1} || p.true_hw >= rest_end || p.main.back() == unknown)) {
    p.main.insert(p.main.begin() + depth + 1, rest);
    if (p.committed >= depth && p.true_hw >= rest_end) ++p.committed;
  }
  for (Replica& r : p.replicas) {
    if (r.head == unknown && r.node != now.node) r.head = rest;
    for (BatchIndex& i : r.undone) i = i == unknown ? rest : i;
    for (CutTail& tail : r.cut_tails) tail.head = tail.head == unknown ? rest : tail.head;
  }
  resolve_images(p, unknown, rest);
  for (Replica& r : p.replicas) r.matched = meet(p, r.head);
}

// Everything below `from` is one batch deeper than it says.
void WhiteBoxState::deepen(PartitionTruth& p, BatchIndex from) {
  std::vector<BatchIndex> todo{tree[from].child};
  for (const auto& [parent, to] : p.forks) {
    if (parent == from) todo.push_back(to);
  }
  while (!todo.empty()) {
    const BatchIndex i = todo.back();
    todo.pop_back();
    if (i == kNoBatch) continue;
    ++tree[i].depth;
    todo.push_back(tree[i].child);
    for (const auto& [parent, to] : p.forks) {
      if (parent == i) todo.push_back(to);
    }
  }
}

void WhiteBoxState::drop_after(Replica& r, std::int64_t to) {
  while (!r.extents.empty() && r.extents.back().first >= to) r.extents.pop_back();
  while (!r.places.empty() && r.places.back().base >= to) r.places.pop_back();
  r.removed.erase_from(to);
  std::erase_if(r.damaged, [&](const Damage& d) { return d.from >= to; });
  for (Damage& d : r.damaged) d.to = std::min(d.to, to);
  for (CutTail& tail : r.cut_tails) tail.kept = std::min(tail.kept, to);
  std::erase_if(r.cut_tails, [](const CutTail& tail) { return tail.kept <= tail.swept; });
  r.flushed = std::min(r.flushed, to);
}

// C5's excuse (PartitionTruth::exposed): a member that still follows a deposed leader cuts what nobody was told of and
// that leader did not hold when it said so. In office a leader follows nobody.
bool WhiteBoxState::may_go(const PartitionTruth& p, const Replica& r, std::int64_t to) const {
  return r.told.epoch >= 0 && r.told.epoch == r.follows && r.follows < p.leader_epoch && to >= r.told.shared &&
         to >= p.exposed;
}

void WhiteBoxState::on(const protocol::events::LogTruncated& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Slot s = slot(*p, now.node);
  Replica& r = p->replicas[s];
  const std::int64_t to = e.to.value(), before = log_end(r);
  const bool full = e.reason == protocol::events::TruncateReason::full;
  if (to < before) ++metrics.truncations;
  note(*p, Note::Kind::truncated, now.node, before, to);
  const bool shortens = full ? to != before || r.log_start != to : to < before;
  const bool replication = e.reason != protocol::events::TruncateReason::append_failed;
  if (replication && shortens && (p->isr & bit(s)) != 0 && to < p->true_hw) {
    if (!may_go(*p, r, to)) {
      violate("C5", p, to,
              broker(now.node) + ", in the ISR, truncates " + name(*p) + " to offset " + std::to_string(to) +
                  ", below the committed " + std::to_string(p->true_hw),
              "truncates to " + std::to_string(to));
      return;
    }
    note(*p, Note::Kind::lowered, now.node, to, 1);
    lower_true_hw(*p, to);
  }
  if (r.undone.empty() || r.undone.back() != r.head) r.undone.push_back(r.head);
  if (r.undone.size() > 4) r.undone.erase(r.undone.begin());
  r.diverges_at = kNever;
  r.told = {};
  r.high_watermark = std::min(r.high_watermark, to);
  drop_after(r, full ? 0 : to);
  if (full) r.log_start = r.began_anew = to;
  // A log that holds nothing is of no history but that of its place.
  set_head(*p, s, full || to <= r.log_start ? place(*p, to, -1) : ancestor(r.head, to));
  check_candidates(*p);
}

void WhiteBoxState::on(const protocol::events::LogStartMoved& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  // What was to go before is gone by now; of what is to go now a life may die and leave some.
  std::erase_if(r.damaged, [&](const Damage& d) { return d.to <= r.log_start; });
  r.log_start = e.to.value();
  if (e.reason != protocol::events::StartReason::leader) p->removed = std::max(p->removed, r.log_start);
  const auto first_kept = std::ranges::find_if(r.extents, [&](const Extent& x) { return x.first > r.log_start; });
  // A crash may lower the start again: the bytes below it are then there, or were lost as well.
  if (first_kept - r.extents.begin() > kRemovedExtents)
    r.extents.erase(r.extents.begin(), first_kept - kRemovedExtents);
  const auto kept = std::ranges::find_if(r.places, [&](const Place& x) { return x.end > r.log_start; });
  if (kept - r.places.begin() > kRemovedExtents) r.places.erase(r.places.begin(), kept - kRemovedExtents);
}

void WhiteBoxState::on(const protocol::events::LogFlushed& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  r.flushed = std::max(r.flushed, std::min(e.to.value(), log_end(r)));
}

// C3 below both high watermarks, on offsets that both still hold.
void WhiteBoxState::check_agreement(PartitionTruth& p, Slot s) {
  const Replica& r = p.replicas[s];
  for (Slot o = 0; o < p.replicas.size(); ++o) {
    const Replica& other = p.replicas[o];
    if (o == s || !other.open) continue;
    const std::int64_t limit = std::min({r.high_watermark, other.high_watermark, log_end(r), log_end(other)});
    if (matched_end(r) >= limit && matched_end(other) >= limit) continue;
    const BatchIndex fork = common(r.head, other.head);
    if (end(fork) >= limit) continue;
    if (limit <= std::max(r.log_start, other.log_start)) continue;
    const BatchIndex mine = batch_at(p, r, limit - 1), theirs = batch_at(p, other, limit - 1);
    if (mine == theirs) continue;  // the prefix that differs was deleted
    if (rotten(r, end(fork), end(fork) + 1) || rotten(other, end(fork), end(fork) + 1)) continue;
    violate("C3", &p, end(fork),
            "brokers " + std::to_string(r.node.value()) + " and " + std::to_string(other.node.value()) +
                " disagree on offset " + std::to_string(end(fork)) + " of " + name(p) +
                ", below both high watermarks (" + std::to_string(r.high_watermark) + ", " +
                std::to_string(other.high_watermark) + ")",
            "has high watermark " + std::to_string(r.high_watermark) + " on a log that diverged at " +
                std::to_string(end(fork)));
    return;
  }
}

}  // namespace verdict::checker
