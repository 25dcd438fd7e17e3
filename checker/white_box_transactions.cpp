#include <algorithm>

#include "checker/white_box_state.h"

// T1, T2, T4, T5 (what readers of committed records get), T7 and T8 (what producers may append).
namespace verdict::checker {
namespace {

// After the largest sequence comes 0.
std::int32_t sequence_after(std::int32_t first, std::int64_t records) {
  constexpr std::int64_t kSequences = std::int64_t{1} << 31;
  return static_cast<std::int32_t>((first + records) % kSequences);
}

Produced::Marker outcome_of(std::string_view word) {
  return word == "commit"  ? Produced::Marker::commit
         : word == "abort" ? Produced::Marker::abort
                           : Produced::Marker::none;
}

}  // namespace

// The producer's newest batch on the path that ends with `from`, above the offset `floor`; kNoBatch: none. With `blind`
// the walk also ends at a batch whose append was never announced; there, and at the floor, nobody knows.
BatchIndex WhiteBoxState::newest_of(std::int64_t producer, BatchIndex from, std::int64_t floor, bool* blind) {
  for (BatchIndex i = from; tree[i].parent != kNoBatch; i = tree[i].parent) {
    if (end(i) <= floor || (blind != nullptr && tree[i].unknown)) {
      if (blind != nullptr) *blind = true;
      return kNoBatch;
    }
    const Produced* batch = produced(i);
    if (batch != nullptr && batch->producer == producer) return i;
  }
  return kNoBatch;
}

// The first marker of the batch's producer behind it in the replica's log, below the offset `limit`; kNoBatch: none.
// `blind` as above.
BatchIndex WhiteBoxState::marker_after(PartitionTruth& p, const Replica& r, BatchIndex batch, std::int64_t limit,
                                       bool* blind) {
  const std::int64_t producer = produced(batch)->producer;
  for (std::int64_t offset = end(batch); offset < limit;) {
    const BatchIndex next = batch_at(p, r, offset);
    if (next == kNoBatch || (blind != nullptr && tree[next].unknown)) {
      if (blind != nullptr) *blind = true;
      return kNoBatch;
    }
    const Produced* found = produced(next);
    if (found != nullptr && found->producer == producer && found->marker != Produced::Marker::none) return next;
    offset = end(next);
  }
  return kNoBatch;
}

// A leader's append, judged against what its own log holds of the producer: there its state comes from. Below a batch
// whose append was never announced nothing is known, nor below what was forgotten of the producer.
void WhiteBoxState::judge_sequence(const PartitionTruth& p, const Replica& r, BatchIndex made,
                                   const protocol::events::BatchAppended& e) {
  const std::int64_t id = e.producer_id.value();
  std::optional<std::int32_t> expected;
  bool known = false, blind = false;
  const auto older = [&](BatchIndex i) { return newest_of(id, tree[i].parent, r.log_start, &blind); };
  for (BatchIndex i = older(made); i != kNoBatch; i = older(i)) {
    const Produced* before = produced(i);
    if (forgotten(p, r, id, i)) {
      const bool follows = e.base_sequence == sequence_after(before->base_sequence, end(i) - tree.base(i));
      if (!known && before->epoch == e.producer_epoch.value() && !follows) ++metrics.forgotten_sends;
      break;
    }
    if (!known && before->epoch > e.producer_epoch.value()) {
      violate("T7", &p, e.base.value(),
              broker(now.node) + " appends offset " + std::to_string(e.base.value()) + " of " + name(p) + " in epoch " +
                  std::to_string(e.producer_epoch.value()) + " of producer " + std::to_string(id) + ", whose epoch " +
                  std::to_string(before->epoch) + " the log holds",
              "appends a batch of an older producer epoch");
      return;
    }
    known = true;
    if (e.base_sequence < 0) return;
    if (before->epoch < e.producer_epoch.value()) {
      expected = 0;
    } else if (before->base_sequence >= 0) {
      expected = sequence_after(before->base_sequence, end(i) - tree.base(i));
    }
    if (expected) break;
  }
  const auto first_here = [&] { return newest_of(id, tree[made].parent, r.began_anew, nullptr) == kNoBatch; };
  if (blind && !known && r.began_anew >= 0 && e.base_sequence > 0 && first_here()) ++metrics.forgotten_sends;
  if (blind || !known || e.base_sequence == expected.value_or(0)) return;
  violate("T8", &p, e.base.value(),
          broker(now.node) + " appends sequence " + std::to_string(e.base_sequence) + " of producer " +
              std::to_string(id) + " in epoch " + std::to_string(e.producer_epoch.value()) + " to " + name(p) +
              ", where " + std::to_string(expected.value_or(0)) + " is next",
          "appends offset " + std::to_string(e.base.value()));
}

void WhiteBoxState::appended_of_producer(const PartitionTruth& p, const Replica& r, BatchIndex made,
                                         const protocol::events::BatchAppended& e) {
  if (e.producer_id.value() < 0) return;
  Produced& batch = produced_[made];
  batch.producer = e.producer_id.value();
  batch.epoch = e.producer_epoch.value();
  batch.base_sequence = e.base_sequence;
  batch.transactional = !e.transaction.empty();
  batch.marker = outcome_of(e.transaction);
  if (e.role == protocol::events::Role::leader) judge_sequence(p, r, made, e);
  judge_send(p, r, made, e);
}

void WhiteBoxState::on(const protocol::events::TransactionalAppended& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Replica& r = p->replicas[slot(*p, now.node)];
  if (end(r.head) != e.last.value() + 1) return;
  Produced& batch = produced_[r.head];
  if (batch.marker == Produced::Marker::none && appended_as_ == protocol::events::Role::leader)
    judge_fence(*p, r, r.head);
  if (!r.view.leads) return;
  if (batch.marker == Produced::Marker::none) {
    if (batch.begin == 0) bind(*p, r, batch);
  } else {
    judge_marker(*p, r, e);
  }
}

void WhiteBoxState::on(const protocol::events::LastStableServed& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  if (!r.view.leads) return;
  const std::int64_t served = e.last_stable.value();
  if (r.stable_epoch == e.leader_epoch.value() && served < r.stable) {
    violate("T5", p, served,
            broker(now.node) + " serves last stable offset " + std::to_string(served) + " of " + name(*p) + " after " +
                std::to_string(r.stable) + " in epoch " + std::to_string(r.stable_epoch),
            "serves last stable offset " + std::to_string(served));
    return;
  }
  r.stable_epoch = e.leader_epoch.value();
  r.stable = served;
}

void WhiteBoxState::on(const protocol::events::CommittedRead& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  r.answered_stable = e.last_stable.value();
  r.answered_aborted.clear();
  for (std::size_t i = 0; i < e.aborted.size(); ++i)
    r.answered_aborted.emplace_back(e.aborted[i].value(), e.aborted_from[i].value());
}

// Whether a reader that takes the answer's list in order drops the batch: an entry holds from its first offset up to
// the producer's next marker.
bool WhiteBoxState::listed_as_aborted(const Replica& r, BatchIndex batch) {
  const std::int64_t producer = produced(batch)->producer;
  const std::int64_t base = tree.base(batch);
  std::int64_t since = -1;
  for (const auto& [of, from] : r.answered_aborted) {
    if (of == producer && from <= base) since = std::max(since, from);
  }
  if (since < 0) return false;
  for (BatchIndex i = tree[batch].parent; tree[i].parent != kNoBatch && tree.base(i) >= since; i = tree[i].parent) {
    const Produced* before = produced(i);
    if (before != nullptr && before->producer == producer && before->marker != Produced::Marker::none) return false;
  }
  return true;
}

// Decided is what has its marker below the high watermark, not the last stable offset: another transaction may have
// begun between the two.
void WhiteBoxState::judge_read_committed(PartitionTruth& p, const Replica& r, BatchIndex own,
                                         std::int64_t high_watermark) {
  const Produced* batch = own == kNoBatch ? nullptr : produced(own);
  if (batch == nullptr || !batch->transactional || batch->marker != Produced::Marker::none) return;
  const std::int64_t base = tree.base(own);
  const auto breaks = [&](std::string_view rule, const std::string& why) {
    violate(
        rule, &p, base,
        broker(now.node) + " delivers offset " + std::to_string(base) + " of " + name(p) + " to read_committed, " + why,
        "delivers offset " + std::to_string(base));
  };
  if (base >= r.answered_stable) {
    breaks("T2", "at or above the last stable offset " + std::to_string(r.answered_stable));
    return;
  }
  bool blind = false;
  const BatchIndex marker = marker_after(p, r, own, high_watermark, &blind);
  if (blind) return;
  const auto producer = [&] { return "producer " + std::to_string(batch->producer); };
  if (marker == kNoBatch) {
    breaks("T2", "whose transaction of " + producer() + " has no marker below the high watermark " +
                     std::to_string(high_watermark));
    return;
  }
  const bool listed = listed_as_aborted(r, own);
  const bool aborted = produced(marker)->marker == Produced::Marker::abort;
  if (aborted && !listed) {
    breaks("T1", "which " + producer() + "'s transaction aborted, and doesn't list it as aborted");
  } else if (!aborted && listed) {
    breaks("T4", "which " + producer() + "'s transaction committed, and lists it as aborted");
  }
}

}  // namespace verdict::checker
