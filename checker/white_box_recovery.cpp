#include <algorithm>
#include <charconv>

#include "checker/white_box_state.h"

// L4: what comes back after a stop is judged by the loss ledger, never by what the recovering node says.
namespace verdict::checker {
namespace {

constexpr std::string_view kLogSuffix = ".log";
constexpr std::size_t kCutTails = 4;  // remembered of a replica

struct SegmentPath {
  std::string_view folder;
  std::int64_t base = -1;
};

std::optional<SegmentPath> parse_path(std::string_view path) {
  if (!path.ends_with(kLogSuffix)) return std::nullopt;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view digits = path.substr(slash + 1, path.size() - slash - 1 - kLogSuffix.size());
  SegmentPath result{path.substr(0, slash), -1};
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.base);
  if (error != std::errc{} || stop != digits.data() + digits.size()) return std::nullopt;
  return result;
}

bool ends_with_folder(std::string_view path, std::string_view folder) {
  return path.ends_with(folder) &&
         (path.size() == folder.size() || path[path.size() - folder.size() - 1] == '/' || folder.starts_with('/'));
}

// The first batch that is destroyed, or rotten, in part at or above `floor`, and still is.
std::int64_t first_damage(const Replica& r, std::int64_t floor, bool rotten) {
  std::int64_t low = kNever;
  for (const Damage& d : r.damaged) {
    if (d.to > floor && !d.healed && d.rotten == rotten) low = std::min(low, d.from);
  }
  return low;
}

// The first of what neither a name took away nor the heal gave back, nor a swap's durable copy, which is never of the
// last segment.
std::int64_t first_gone(const Replica& r, std::int64_t floor) {
  const std::int64_t swappable = r.places.empty() ? 0 : r.places.back().segment;
  std::int64_t low = kNever;
  for (const Damage& d : r.damaged) {
    const bool copied = !d.rotten && d.to <= swappable;
    if (d.to > floor && !d.healed && !d.undone && !copied) low = std::min(low, d.from);
  }
  return low;
}

// The first rot that is healed, but that a recovery which nobody heard of may have cut before.
std::int64_t first_met(const Replica& r, std::int64_t floor) {
  std::int64_t low = kNever;
  for (const Damage& d : r.damaged) {
    if (d.to > floor && d.healed && d.met) low = std::min(low, d.from);
  }
  return low;
}

}  // namespace

void WhiteBoxState::started(NodeId id, std::uint32_t incarnation) {
  NodeTruth& n = node(id);
  n.running = true;
  n.incarnation = incarnation;
  n.metadata_applied = 0;
  for (const std::uint32_t i : n.partitions) {
    PartitionTruth& p = partitions[i];
    Replica& r = p.replicas[slot(p, id)];
    r.open = false;
    r.epoch = -1;
    r.high_watermark = 0;
    r.high_watermark_epoch = -1;
    r.view = LeaderView{};
    r.follows = -1;
    r.told = {};
    note(p, Note::Kind::started, id);
  }
}

void WhiteBoxState::stopped(NodeId id, StopKind kind) {
  NodeTruth& n = node(id);
  if (!n.running && kind == StopKind::power_loss) {
    n.power_lost = true;  // of a machine that is down
    return;
  }
  n.running = false;
  // An orderly stop before a log was opened again leaves what the crash before it left.
  const bool unopened = n.crashed && std::ranges::any_of(n.partitions, [&](std::uint32_t i) {
                          return partitions[i].replicas[slot(partitions[i], id)].unopened();
                        });
  n.crashed = kind != StopKind::orderly || unopened;
  n.power_lost = kind == StopKind::power_loss || (unopened && n.power_lost);
  const auto there = [id](const auto& coordinator) { return coordinator.first.first == id; };
  std::erase_if(transactions.active, there);
  std::erase_if(transactions.moving, there);
  for (const std::uint32_t i : n.partitions) {
    PartitionTruth& p = partitions[i];
    Replica& r = p.replicas[slot(p, id)];
    r.epoch = -1;
    r.view.leads = false;
    r.stable_epoch = -1;
    if (r.unopened()) meet_rot(r);
    note(p, Note::Kind::stopped, id, static_cast<std::int64_t>(kind));
  }
}

void WhiteBoxState::meet_rot(Replica& r) {
  for (Damage& d : r.damaged) d.met = d.met || (d.rotten && !d.healed);
}

void WhiteBoxState::heal_rot() {
  const auto heal = [](std::vector<Damage>& damaged) {
    for (Damage& d : damaged) d.healed = d.rotten;
  };
  for (PartitionTruth& p : partitions) {
    for (Replica& r : p.replicas) {
      // Its recovery is under way, and may have met it.
      if (r.unopened() && node(r.node).running) meet_rot(r);
      heal(r.damaged);
    }
  }
  for (auto& [key, image] : older_) heal(image.damaged);
}

void WhiteBoxState::bytes_lost(NodeId id, std::string_view path, std::int64_t from, std::int64_t to, LossCause cause) {
  const auto parsed = parse_path(path);
  if (!parsed || from > to) return;
  const Folder* folder = nullptr;
  if (const auto exact = folders_.find({id, std::string(parsed->folder)}); exact != folders_.end()) {
    folder = &exact->second;
  } else {
    for (const auto& [key, value] : folders_) {
      if (key.first == id &&
          (ends_with_folder(parsed->folder, key.second) || ends_with_folder(key.second, parsed->folder))) {
        folder = &value;
      }
    }
  }
  if (folder == nullptr) return;
  PartitionTruth& p = partitions[folder->partition];
  Replica& r = p.replicas[folder->slot];
  const auto older = older_.find({folder->partition, id});
  std::vector<Damage>& damaged = older == older_.end() ? r.damaged : older->second.damaged;
  const std::size_t before = damaged.size();
  if (from == to) {
    // A file without bytes: all that a log was that held nothing, but for its place.
    const std::int64_t start = older == older_.end() ? r.log_start : older->second.log_start;
    const BatchIndex head = older == older_.end() ? r.head : older->second.head;
    if (head != kNoBatch && end(head) == start && start == parsed->base) damaged.push_back({start, start + 1});
  } else if (older == older_.end()) {
    damage(r, parsed->base, from, to, damaged);
  } else {
    Replica then = r;
    then.head = older->second.head;
    then.extents = older->second.extents;
    then.places = older->second.places;
    damage(then, parsed->base, from, to, damaged);
  }
  for (std::size_t i = before; i < damaged.size(); ++i) {
    damaged[i].rotten = cause == LossCause::rotten;
    damaged[i].undone = cause == LossCause::undone;
  }
  if (damaged.size() > before && cause == LossCause::rotten) p.rotted = true;
  if (damaged.size() > before) note(p, Note::Kind::lost, id, damaged.back().from);
}

// Maps bytes [from, to) of a segment to the offsets of the batches that they touch.
void WhiteBoxState::damage(const Replica& r, std::int64_t segment, std::int64_t from, std::int64_t to,
                           std::vector<Damage>& damaged) const {
  if (r.extents.empty()) return damage_places(r, segment, from, to, damaged);
  for (std::size_t i = 0; i < r.extents.size(); ++i) {
    const Extent& x = r.extents[i];
    if (x.segment != segment) continue;
    const bool last = i + 1 == r.extents.size();
    const std::int64_t bytes_limit = last ? tree[r.head].bytes_end : r.extents[i + 1].bytes_start;
    // Past the known end of the extent may lie batches whose append was never announced, which count no bytes.
    const bool followed = !last && r.extents[i + 1].segment == segment;
    if (to <= x.position || (followed && from >= r.extents[i + 1].position)) continue;
    const std::int64_t low = std::min(x.bytes_start + std::max<std::int64_t>(0, from - x.position), bytes_limit);
    const std::int64_t high =
        to - x.position >= bytes_limit - x.bytes_start ? bytes_limit : x.bytes_start + (to - x.position);
    Damage range{kNever, -1};
    const std::int64_t offset_limit = last ? log_end(r) : r.extents[i + 1].first;
    for (BatchIndex b = r.head; tree[b].parent != kNoBatch && end(b) > x.first; b = tree[b].parent) {
      if (end(b) > offset_limit) continue;
      const std::int64_t start = tree[tree[b].parent].bytes_end, stop = tree[b].bytes_end;
      const bool touched = start == stop ? low <= start && start <= high : start < high && low < stop;
      if (!touched) continue;
      range.from = std::min(range.from, tree.base(b));
      range.to = std::max(range.to, end(b));
    }
    if (range.from < range.to) damaged.push_back(range);
  }
}

void WhiteBoxState::on(const protocol::events::LogOpened& e) {
  PartitionTruth& p = partition(e.partition);
  if (deleted(p)) return;
  const Slot s = slot(p, now.node);
  folders_[{now.node, std::string(e.directory)}] = Folder{index_of(p), s};
  Replica& r = p.replicas[s];
  take_older(index_of(p), r);
  const std::int64_t log_end_now = e.log_end.value();
  note(p, Note::Kind::opened, now.node, log_end_now, 0, e.last_epoch.value());
  BatchIndex head;
  if (!r.known) {
    head = place(p, log_end_now, log_end_now == e.log_start.value() ? -1 : e.last_epoch.value());
  } else {
    head = recovered(p, s, e);
    if (head == kNoBatch) return;
    if (forgets_epoch(r, head, e)) {
      violate("L4", &p, log_end_now,
              broker(now.node) + " recovers " + name(p) + " to offset " + std::to_string(log_end_now) +
                  " but has forgotten epoch " + std::to_string(tree[head].epoch) + ", of its last batch",
              "opens its log, whose epochs end with " + std::to_string(e.last_epoch.value()));
      return;
    }
    if (p.compacted && node(now.node).crashed && log_end_now < log_end(r))
      r.cut_tails.push_back({.head = r.head, .kept = log_end_now});
    if (r.cut_tails.size() > kCutTails) r.cut_tails.erase(r.cut_tails.begin());
    drop_after(r, log_end_now);
    std::erase_if(r.damaged, [&](const Damage& d) {  // what is there now is known
      return d.undone || (!d.rotten && !r.misled && d.from >= r.flushed);
    });
  }
  r.known = r.open = true;
  r.log_start = e.log_start.value();
  p.removed = std::max(p.removed, r.log_start);  // recovery judged it
  r.diverges_at = kNever;
  r.undone.clear();
  r.high_watermark = 0;
  r.high_watermark_epoch = -1;
  set_head(p, s, head);
  raise_true_hw(p);
  check_candidates(p);
}

// Who forgot the epoch of his last batch misplaces the end of the one before. (The latest epoch may be a younger one,
// that began without a record; rot in a batch's epoch passes every check.)
bool WhiteBoxState::forgets_epoch(const Replica& r, BatchIndex head, const protocol::events::LogOpened& e) const {
  return end(head) == e.log_end.value() && e.log_end > e.log_start && !tree[head].unknown &&
         e.last_epoch.value() < tree[head].epoch && std::ranges::none_of(r.damaged, &Damage::rotten);
}

// Where a log ends that is cut at the damage: after what is left before it, which in a compacted one may be in a hole.
std::int64_t WhiteBoxState::left_before(const PartitionTruth& p, const Replica& r, std::int64_t damage) const {
  if (!p.compacted || damage >= log_end(r)) return std::min(damage, log_end(r));
  return end(left_below(r, damage));
}

// Of the replica's log as far as `to`, where something else may have been if no batch ends there.
BatchIndex WhiteBoxState::head_ending(PartitionTruth& p, const Replica& r, std::int64_t to) {
  const BatchIndex head = ancestor(r.head, to);
  return end(head) == to ? head : place(p, to, -1);
}

// The head of the reopened log, or kNoBatch after a violation.
BatchIndex WhiteBoxState::recovered(PartitionTruth& p, Slot s, const protocol::events::LogOpened& e) {
  Replica& r = p.replicas[s];
  const NodeTruth& n = node(now.node);
  const std::int64_t to = e.log_end.value(), before = log_end(r);
  // Damage to what was synced is rot: recovery only checks from the segment of the recovery point on, so it may or may
  // not notice. Damage to the rest must end the log. After an orderly stop nothing is checked: all is synced then, but
  // only what is known to be rot has that excuse.
  const std::int64_t start = e.log_start.value();
  const std::int64_t unchecked = e.clean && !n.crashed ? before : r.flushed;
  const std::int64_t destroyed = first_damage(r, start, false), rotten = first_damage(r, start, true);
  const std::int64_t unsynced = std::min(std::max(r.flushed, first_damage(r, std::max(start, r.flushed), false)),
                                         std::max(unchecked, first_damage(r, std::max(start, unchecked), true)));
  const std::int64_t any = std::min({destroyed, rotten, first_met(r, start)});
  const std::int64_t most = std::min(before, unsynced);
  const std::int64_t least = left_before(p, r, any);
  // An epoch has no CRC: rot in it passes every check.
  const bool other_epoch = rotten < std::min(to, before) && e.last_epoch.value() != tree[ancestor(r.head, to)].epoch;
  const bool meets_rot =
      r.misled || other_epoch || destroyed < std::min(r.flushed, before) || rotten < std::min(unchecked, before);
  // What was removed below the log start needs no loss: with the first batch that was kept gone, the log starts anew,
  // there or, its checkpoint gone as well, earlier.
  // And segments that were removed, but not for good, may come back in part, in front of what was kept.
  const bool removed_is_back = n.power_lost && start < r.log_start && to < r.log_start && r.flushed <= r.log_start;
  const std::int64_t lost = first_damage(r, -1, false);
  const bool emptied = to == start && start <= r.log_start && lost != kNever && left_before(p, r, lost) <= r.log_start;
  if (any < before) r.lost_from = std::min(r.lost_from, to < most ? least : std::min(to, most));
  if (emptied || removed_is_back) {
    r.lost_from = std::min(r.lost_from, to);
    return head_ending(p, r, to);
  }
  if (n.crashed && to == start && to > before && may_have_begun_anew(p, r, to)) {
    drop_after(r, 0);
    return place(p, to, -1);
  }
  const std::string who = broker(now.node);
  if (meets_rot && (to > most || (to > least && end(ancestor(r.head, to)) != to))) return misled(p, r, least, e);
  if (to >= least && to <= most) {
    const BatchIndex head = ancestor(r.head, to);
    // Rot in an epoch: whoever leads knows of none that is as young.
    if (any < to && end(head) == to && e.last_epoch.value() != tree[head].epoch) r.misled = true;
    if (end(head) == to || e.log_start.value() == to) return end(head) == to ? head : place(p, to, -1);
    violate("L4", &p, end(head),
            who + " recovers " + name(p) + " to offset " + std::to_string(to) + " in the middle of a batch",
            "opens its log, which ends at " + std::to_string(to));
    return kNoBatch;
  }
  if (to > most) {
    const BatchIndex head = ancestor(r.head, most);
    const BatchIndex more = n.crashed ? recovered_more(p, s, head, e) : kNoBatch;
    if (more != kNoBatch) return more;
    violate("L4", &p, most,
            who + " recovers offset " + std::to_string(most) + " of " + name(p) +
                (most < before ? ", whose bytes were destroyed" : ", which it never appended"),
            "opens its log, which ends at " + std::to_string(to) + " instead of " + std::to_string(most));
    return kNoBatch;
  }
  if (n.crashed && may_have_truncated(p, r, to)) {
    if ((p.isr & bit(s)) != 0 && to < p.true_hw && to >= p.exposed) {  // as in a truncation that was told (C5)
      note(p, Note::Kind::lowered, now.node, to, 1);
      lower_true_hw(p, to);
    }
    return head_ending(p, r, to);
  }
  violate(
      "L4", &p, to,
      who + " loses offset " + std::to_string(to) + " of " + name(p) + " in recovery although no fault destroyed it",
      "opens its log, which ends at " + std::to_string(to) + " instead of " + std::to_string(least));
  return kNoBatch;
}

// No CRC covers a batch's base offset, length and leader epoch: recovery that meets rot there may take the batch for
// another one, and end anywhere behind it. From `least` on this log says nothing.
BatchIndex WhiteBoxState::misled(PartitionTruth& p, Replica& r, std::int64_t least,
                                 const protocol::events::LogOpened& e) {
  const std::int64_t to = e.log_end.value();
  r.misled = true;
  r.lost_from = std::min(r.lost_from, least);
  r.damaged.push_back({least, to});
  const BatchIndex made = grow(p, ancestor(r.head, least), BatchContent{.last = to - 1, .epoch = e.last_epoch.value()});
  tree[made].unknown = true;
  return made;
}

// The node may have died between a truncation and its announcement.
bool WhiteBoxState::may_have_truncated(const PartitionTruth& p, const Replica& r, std::int64_t to) const {
  if (r.diverges_at <= to) return true;
  return std::ranges::any_of(p.replicas, [&](const Replica& other) {
    return other.view.leads && other.node != r.node && other.log_start > log_end(r);
  });
}

// So it may have in a truncation that left nothing of a log that ended before its leader's began. (That leader may be
// down by now, and its log begin later.)
bool WhiteBoxState::may_have_begun_anew(const PartitionTruth& p, const Replica& r, std::int64_t at) const {
  return std::ranges::any_of(
      p.replicas, [&](const Replica& other) { return other.node != r.node && other.known && other.log_start >= at; });
}

// After a crash a log may hold more than was announced, or than its files' names say: truncations that a power loss
// undid, a swap that it undid in part, and an append whose announcement died with the node.
BatchIndex WhiteBoxState::recovered_more(PartitionTruth& p, Slot s, BatchIndex from,
                                         const protocol::events::LogOpened& e) {
  const Replica& r = p.replicas[s];
  const std::int64_t to = e.log_end.value();
  const BatchIndex old = node(now.node).power_lost ? resurrected(p, r, from, to) : kNoBatch;
  // A truncated tail and an append after the truncation may end alike: the last epoch tells which of them is back.
  if (old != kNoBatch && (tree[old].epoch == e.last_epoch.value() || end(from) < log_end(r))) return old;
  if (end(from) < log_end(r)) {
    const BatchIndex kept = ancestor(r.head, to);
    const bool there = end(kept) == to && to <= std::max(r.flushed, first_gone(r, e.log_start.value()));
    return there ? kept : kNoBatch;
  }
  for (const Replica& other : p.replicas) {
    if (other.node == r.node) continue;
    const BatchIndex copied = ancestor(other.head, to);
    if (end(copied) == to && tree[copied].epoch == e.last_epoch.value() && common(copied, from) == from) {
      for (BatchIndex i = copied; i != from; i = tree[i].parent) hold(i, s);
      return copied;
    }
  }
  if (old != kNoBatch) return old;
  const BatchIndex made = grow(p, from, BatchContent{.last = to - 1, .epoch = e.last_epoch.value()});
  tree[made].unknown = true;
  return made;
}

// Extends `from` by batches that earlier, truncated tails held at the same offsets; newest tail first.
BatchIndex WhiteBoxState::resurrected(PartitionTruth& p, const Replica& r, BatchIndex from, std::int64_t to) {
  if (end(from) == to) return from;
  for (auto tail = r.undone.rbegin(); tail != r.undone.rend(); ++tail) {
    BatchIndex old = *tail;
    while (tree[old].parent != kNoBatch && tree.base(old) > end(from)) old = tree[old].parent;
    if (tree[old].parent == kNoBatch || tree.base(old) != end(from) || end(old) > to) continue;
    BatchIndex next = old;
    if (tree[old].parent != from) {
      const Batch b = tree[old];
      const BatchContent content{b.end - 1, b.epoch, b.crc, b.identity,
                                 static_cast<std::uint32_t>(b.bytes_end - tree[b.parent].bytes_end)};
      next = child(p, from, content);
      if (next == kNoBatch || !tree.same(next, content)) next = grow(p, from, content);
    }
    if (const BatchIndex done = resurrected(p, r, next, to); done != kNoBatch) return done;
  }
  return kNoBatch;
}

void WhiteBoxState::on(const protocol::events::LogClosed& e) {
  if (PartitionTruth* p = find(e.partition)) p->replicas[slot(*p, now.node)].open = false;
  std::erase_if(folders_, [&](const auto& entry) {
    return entry.first.first == now.node && partitions[entry.second.partition].key == e.partition;
  });
}

}  // namespace verdict::checker
