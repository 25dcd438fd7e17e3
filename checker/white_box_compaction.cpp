#include <algorithm>

#include "checker/white_box_state.h"

// L2: what compaction may take. The truth keeps all batches that were ever appended; a replica keeps in mind which of
// their records compaction took from it. A record may be gone if its transaction was aborted, if a later value of its
// key is decided, if it never had a key, or if it is a tombstone with nothing left to delete; a marker once nothing of
// its transaction is left. When a tombstone may go, the tests of the log say.
namespace verdict::checker {
namespace {

std::string at(std::int64_t offset) { return "offset " + std::to_string(offset); }

}  // namespace

// Valid until the next batch's records are told; nullptr: they were not of this batch.
WhiteBoxState::Records* WhiteBoxState::take_told(const PartitionKey& key, std::int64_t base, std::int64_t last) {
  if (told_.taken || told_.partition != key || told_.node != now.node || told_.base != base || told_.last != last)
    return nullptr;
  told_.taken = true;
  return &told_.records;
}

void WhiteBoxState::on(const protocol::events::BatchRecords& e) {
  PartitionTruth& p = partition(e.partition);
  if (deleted(p)) return;
  compact(p);
  told_.taken = false;
  told_.partition = e.partition;
  told_.node = now.node;
  told_.base = e.base.value();
  told_.last = e.last.value();
  told_.records.clear();
  for (std::size_t i = 0; i < e.offsets.size(); ++i)
    told_.records.push_back({e.offsets[i].value(), e.keys[i].value(), e.contents[i].value()});
}

// Until now each replica's bytes were where its path says.
void WhiteBoxState::compact(PartitionTruth& p) {
  if (p.compacted) return;
  p.compacted = true;
  for (Replica& r : p.replicas) {
    for (BatchIndex i = r.head; i != kNoBatch && tree[i].parent != kNoBatch; i = tree[i].parent) {
      const auto after = std::ranges::upper_bound(r.extents, tree.base(i), {}, &Extent::first);
      if (tree[i].unknown || after == r.extents.begin()) continue;
      const Extent& x = *std::prev(after);
      const std::int64_t start = tree[tree[i].parent].bytes_end;
      r.places.push_back(
          {tree.base(i), end(i), x.segment, x.position + (start - x.bytes_start), tree[i].bytes_end - start});
    }
    std::ranges::reverse(r.places);
    r.extents.clear();
  }
}

void WhiteBoxState::attach_records(PartitionTruth& p, BatchIndex i, Records told) {
  if (records(i) != nullptr) return;
  for (const RecordTruth& record : told) {
    if (record.key != 0) p.of_key[record.key].emplace_back(record.offset, i);
  }
  records_[i] = std::move(told);
}

bool WhiteBoxState::same_records(BatchIndex i, const Records& told) {
  const Records* known = records(i);
  if (known == nullptr) return true;
  auto from = known->begin();
  return std::ranges::all_of(told, [&](const RecordTruth& record) {
    from = std::find(from, known->end(), record);
    return from != known->end();
  });
}

bool WhiteBoxState::has_place(const Replica& r, BatchIndex i) const {
  return std::ranges::binary_search(r.places, tree.base(i), {}, &Place::base);
}

// ---- what may be gone ----

// Of the transaction that a batch belongs to, by its marker in the replica's log; none: it is undecided there.
Produced::Marker WhiteBoxState::outcome(PartitionTruth& p, const Replica& r, BatchIndex i) {
  const BatchIndex marker = marker_after(p, r, i, log_end(r));
  if (marker == kNoBatch) return Produced::Marker::none;
  // Its log may still hold what an excused loss has cut, and its high watermark may have been there.
  const bool cut = p.cut_epoch >= 0 && end(marker) > p.cut_offset;
  const bool decided = end(marker) <= p.true_hw || cut || options.unclean_election_allowed;
  return decided ? produced(marker)->marker : Produced::Marker::none;
}

// Below the log's end no batch whose records nobody was told of: one of them might be the later value.
bool WhiteBoxState::knows_all(PartitionTruth& p, const Replica& r, std::int64_t from) {
  for (std::int64_t offset = from; offset < log_end(r);) {
    const BatchIndex i = batch_at(p, r, offset);
    if (i == kNoBatch || tree[i].unknown || records(i) == nullptr) return false;
    offset = end(i);
  }
  return true;
}

// Why the marker in the batch has to stay; empty: it need not.
std::string WhiteBoxState::marker_kept_for(const Replica& r, BatchIndex marker) {
  const std::int64_t producer = produced(marker)->producer;
  const auto older = [&](BatchIndex i) { return newest_of(producer, tree[i].parent, r.log_start); };
  for (BatchIndex i = older(marker); i != kNoBatch; i = older(i)) {
    if (produced(i)->marker != Produced::Marker::none) break;
    const Records* held = produced(i)->transactional ? records(i) : nullptr;
    if (held == nullptr) continue;
    for (const RecordTruth& record : *held) {
      if (!r.removed.contains(record.offset))
        return "it ends the transaction of " + at(record.offset) + ", which stays";
    }
  }
  return {};
}

// The same of a record of data.
std::string WhiteBoxState::kept_for(PartitionTruth& p, const Replica& r, BatchIndex i, const RecordTruth& record) {
  const Produced* made = produced(i);
  if (made != nullptr && made->marker != Produced::Marker::none) return marker_kept_for(r, i);
  if (made != nullptr && made->transactional) {
    const Produced::Marker decided = outcome(p, r, i);
    if (decided == Produced::Marker::abort) return {};
    if (decided == Produced::Marker::none) return "its transaction is undecided";
  }
  if (record.key == 0) return {};
  std::string later;
  bool older = false;
  for (const auto& [offset, batch] : p.of_key[record.key]) {
    // What justified it may have been cut by an excused loss before anybody heard that the record is gone: the node
    // died in the swap, and its next start completed it.
    if (p.cut_epoch >= 0 && offset > record.offset && offset >= p.cut_offset) return {};
    const bool concerns = offset > record.offset || (offset < record.offset && record.content < 0);
    if (!concerns || offset >= log_end(r) || batch_at(p, r, offset) != batch) continue;
    const Produced* other = produced(batch);
    const bool transactional = other != nullptr && other->transactional;
    if (transactional && other->marker != Produced::Marker::none) continue;
    const Produced::Marker decided = transactional ? outcome(p, r, batch) : Produced::Marker::commit;
    if (offset > record.offset) {
      if (decided == Produced::Marker::commit) return {};
      later = decided == Produced::Marker::abort ? "the later value at " + at(offset) + " is aborted"
                                                 : "the later value at " + at(offset) + " is undecided";
    } else if (decided != Produced::Marker::abort && offset >= r.log_start && !r.removed.contains(offset)) {
      older = true;
      later = "the value at " + at(offset) + " that it deletes stays";
    }
  }
  if (record.content < 0 && !older) return {};
  return later.empty() ? "no later value of its key is there" : later;
}

// The last batch that ends at or before `offset` and that compaction left on the replica, or the log's beginning. A
// batch that was never announced has no place.
BatchIndex WhiteBoxState::left_below(const Replica& r, std::int64_t offset) const {
  BatchIndex i = ancestor(r.head, offset);
  while (tree[i].parent != kNoBatch && end(i) > r.log_start && !tree[i].unknown && !has_place(r, i)) i = tree[i].parent;
  return i;
}

// Why the record ought to be there; empty: it may be gone.
std::string WhiteBoxState::wrongly_gone(PartitionTruth& p, const Replica& r, BatchIndex i, const RecordTruth& record) {
  const auto needed = [&](const Replica& log) {
    const std::string why = kept_for(p, log, i, record);
    return knows_all(p, log, record.offset) ? why : std::string();
  };
  std::string why = needed(r);
  if (why.empty()) return why;
  for (const CutTail& tail : r.cut_tails) {
    if (record.offset < tail.swept || record.offset >= tail.kept || !on_path(p, tail.head, i)) continue;
    Replica then = r;
    then.head = tail.head;
    then.matched = meet(p, tail.head);
    if (needed(then).empty()) return {};
  }
  return why;
}

// ---- a pass ----

// From now on the replica holds of the batch what `kept` says, which is sorted.
void WhiteBoxState::take_away(PartitionTruth& p, Slot s, BatchIndex i, const std::vector<std::int64_t>& kept) {
  const Records* all = records(i);
  if (all == nullptr) return;
  Replica& r = p.replicas[s];
  for (const RecordTruth& record : *all) {
    if (std::ranges::binary_search(kept, record.offset))
      r.removed.erase(record.offset);
    else
      r.removed.insert(record.offset);
  }
}

void WhiteBoxState::on(const protocol::events::LogCleaned& e) {
  PartitionTruth* found = find(e.partition);
  if (found == nullptr) return;
  PartitionTruth& p = *found;
  compact(p);
  const Slot s = slot(p, now.node);
  Replica& r = p.replicas[s];
  if (!r.known) return;
  const bool spoilt = !r.damaged.empty() || r.misled;
  const std::int64_t from = e.from.value(), to = std::min(e.to.value(), log_end(r));
  note(p, Note::Kind::cleaned, now.node, from, to);
  for (std::size_t i = 0; i < e.bases.size() && !spoilt; ++i) {
    const BatchIndex there = batch_at(p, r, e.bases[i].value());
    if (there != kNoBatch && tree[there].unknown) continue;
    if (there != kNoBatch && tree.base(there) == e.bases[i].value() && end(there) == e.lasts[i].value() + 1) continue;
    violate("L2", &p, e.bases[i].value(),
            broker(now.node) + " compacts " + name(p) + " and writes a batch of offsets " +
                std::to_string(e.bases[i].value()) + ".." + std::to_string(e.lasts[i].value()) +
                ", which its log never held",
            "compacts offsets " + std::to_string(from) + ".." + std::to_string(to - 1));
    return;
  }
  std::vector<std::int64_t> kept;
  for (const Offset offset : e.records) kept.push_back(offset.value());
  std::vector<std::pair<BatchIndex, RecordTruth>> taken;
  for (std::int64_t offset = from; offset < to;) {
    const BatchIndex i = batch_at(p, r, offset);
    if (i == kNoBatch) break;
    offset = end(i);
    const Records* all = records(i);
    if (all == nullptr) continue;
    for (const RecordTruth& record : *all) {
      if (!r.removed.contains(record.offset) && !std::ranges::binary_search(kept, record.offset))
        taken.emplace_back(i, record);
    }
    take_away(p, s, i, kept);
  }
  std::erase_if(r.places, [&](const Place& place) { return place.base >= from && place.base < to; });
  std::vector<Place> made;
  for (std::size_t i = 0; i < e.bases.size(); ++i) {
    const std::uint64_t stop = i + 1 < e.bases.size() ? e.positions[i + 1].value() : e.size.value();
    made.push_back({e.bases[i].value(), e.lasts[i].value() + 1, from, static_cast<std::int64_t>(e.positions[i].value()),
                    static_cast<std::int64_t>(stop - e.positions[i].value())});
  }
  r.places.insert(std::ranges::lower_bound(r.places, from, {}, &Place::base), made.begin(), made.end());
  if (spoilt) return;
  for (const auto& [i, record] : taken) {
    const std::string why = wrongly_gone(p, r, i, record);
    if (why.empty()) continue;
    const bool marker = produced(i) != nullptr && produced(i)->marker != Produced::Marker::none;
    violate("L2", &p, record.offset,
            broker(now.node) + " compacts " + (marker ? "the marker at " : "") + at(record.offset) + " of " + name(p) +
                " away, although " + why,
            "compacts offsets " + std::to_string(from) + ".." + std::to_string(to - 1));
    return;
  }
  for (CutTail& tail : r.cut_tails) tail.swept = std::max(tail.swept, to);
  std::erase_if(r.cut_tails, [](const CutTail& tail) { return tail.kept <= tail.swept; });
}

// ---- a follower that copies what was compacted ----

// The batch of the truth that the follower's is a copy of, by the log that it follows.
BatchIndex WhiteBoxState::source_of(PartitionTruth& p, const Replica& r, const protocol::events::BatchAppended& e,
                                    Slot* from) {
  const auto same = [&](BatchIndex i) {
    return i != kNoBatch && tree.base(i) == e.base.value() && end(i) == e.last.value() + 1 &&
           tree[i].epoch == e.epoch.value() &&
           (tree[i].unknown ||
            tree[i].identity == batch_identity(e.producer_id.value(), e.producer_epoch.value(), e.base_sequence));
  };
  const auto led = std::ranges::find(p.leaders, r.follows, &std::pair<std::int32_t, NodeId>::first);
  *from = led == p.leaders.end() ? kNoSlot : find_slot(p, led->second);
  if (*from != kNoSlot) {
    const BatchIndex there = batch_at(p, p.replicas[*from], e.base.value());
    if (same(there)) return there;
  }
  for (Slot other = 0; other < p.replicas.size(); ++other) {
    const BatchIndex there = batch_at(p, p.replicas[other], e.base.value());
    if (!same(there)) continue;
    if (*from == kNoSlot) *from = other;
    return there;
  }
  return kNoBatch;
}

// A batch behind a hole, or one that compaction has written anew: the follower's path goes on as if it held what is
// missing. kNoBatch: it is neither.
BatchIndex WhiteBoxState::copied_compacted(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e,
                                           const Records* told) {
  Replica& r = p.replicas[s];
  const std::int64_t base = e.base.value(), before = log_end(r);
  if (!p.compacted || e.role != protocol::events::Role::follower || base < before ||
      (base == before && told == nullptr))
    return kNoBatch;
  Slot from = kNoSlot;
  const BatchIndex there = source_of(p, r, e, &from);
  if (there == kNoBatch || common(r.head, tree[there].parent) != r.head) return kNoBatch;
  if (told != nullptr ? !same_records(there, *told) : tree[there].crc != e.crc && !tree[there].unknown) return kNoBatch;
  const Replica& source = p.replicas[from];
  std::vector<std::int64_t> kept;
  if (told != nullptr) {
    for (const RecordTruth& record : *told) kept.push_back(record.offset);
  }
  for (BatchIndex i = there; i != r.head; i = tree[i].parent) {
    hold(i, s);
    const Records* all = records(i);
    if (all == nullptr || (i == there && told == nullptr)) continue;
    for (const RecordTruth& record : *all) {
      if (i == there && std::ranges::binary_search(kept, record.offset)) continue;
      r.removed.insert(record.offset);
      if (source.removed.contains(record.offset)) continue;
      const std::string why = wrongly_gone(p, source, i, record);
      if (why.empty()) continue;
      violate("L1", &p, record.offset,
              broker(now.node) + " copies offsets " + std::to_string(base) + ".." + std::to_string(e.last.value()) +
                  " of " + name(p) + " to a log that ends at " + std::to_string(before) + " without " +
                  at(record.offset) + ", although " + why,
              "appends at " + at(base));
      return kNoBatch;
    }
  }
  set_head(p, s, tree[there].parent);
  return there;
}

// ---- bytes ----

void WhiteBoxState::damage_places(const Replica& r, std::int64_t segment, std::int64_t from, std::int64_t to,
                                  std::vector<Damage>& damaged) const {
  for (const Place& place : r.places) {
    if (place.segment == segment && from < place.position + place.length && place.position < to)
      damaged.push_back({place.base, place.end});
  }
  // A batch whose append was never announced has no place: it lies between those of the others.
  for (BatchIndex i = r.head; i != kNoBatch && tree[i].parent != kNoBatch; i = tree[i].parent) {
    if (!tree[i].unknown) continue;
    const auto after = std::ranges::lower_bound(r.places, tree.base(i), {}, &Place::base);
    const bool first = after == r.places.begin();
    const bool before_here = !first && std::prev(after)->segment == segment;
    const bool after_here = after != r.places.end() && after->segment == segment;
    const bool alone = segment <= tree.base(i) && (after == r.places.end() || segment < after->segment) &&
                       (first || std::prev(after)->segment < segment);
    if (!before_here && !after_here && !alone) continue;
    const std::int64_t low = before_here ? std::prev(after)->position + std::prev(after)->length : 0;
    const std::int64_t high = after_here ? after->position : kNever;
    if (from < high && low < to) damaged.push_back({tree.base(i), end(i)});
  }
}

}  // namespace verdict::checker
