#include <algorithm>

#include "checker/white_box_state.h"

// T1, T2, T4, T5 (what readers of committed records get), T7 and T8 (what producers may append).
namespace verdict::checker {
namespace {

std::string broker(NodeId id) { return "broker " + std::to_string(id.value()); }

// After the largest sequence comes 0.
std::int32_t sequence_after(std::int32_t first, std::int64_t records) {
  constexpr std::int64_t kSequences = std::int64_t{1} << 31;
  return static_cast<std::int32_t>((first + records) % kSequences);
}

}  // namespace

const Produced* WhiteBoxState::produced(BatchIndex i) {
  const std::uint32_t* place = produced_of_.find(i);
  return place == nullptr ? nullptr : &produced_[*place - 1];
}

Produced& WhiteBoxState::make_produced(BatchIndex i) {
  std::uint32_t& place = produced_of_[i];
  if (place == 0) {
    produced_.emplace_back();
    place = static_cast<std::uint32_t>(produced_.size());
  }
  return produced_[place - 1];
}

// A leader's append, judged against what its own log holds of the producer: there its state comes from. Below a batch
// whose append was never announced nothing is known, nor below what was forgotten of the producer.
void WhiteBoxState::judge_sequence(const PartitionTruth& p, const Replica& r, BatchIndex made,
                                   const protocol::events::BatchAppended& e) {
  const std::int64_t id = e.producer_id.value();
  std::optional<std::int32_t> expected;
  bool known = false;
  for (BatchIndex i = tree[made].parent; !expected && tree[i].parent != kNoBatch; i = tree[i].parent) {
    if (tree[i].unknown || end(i) <= r.log_start) return;
    const Produced* before = produced(i);
    if (before == nullptr || before->producer != id) continue;
    if (forgotten(r, id, i)) break;
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
  }
  if (!known || e.base_sequence == expected.value_or(0)) return;
  violate("T8", &p, e.base.value(),
          broker(now.node) + " appends sequence " + std::to_string(e.base_sequence) + " of producer " +
              std::to_string(id) + " in epoch " + std::to_string(e.producer_epoch.value()) + " to " + name(p) +
              ", where " + std::to_string(expected.value_or(0)) + " is next",
          "appends offset " + std::to_string(e.base.value()));
}

void WhiteBoxState::appended_of_producer(const PartitionTruth& p, const Replica& r, BatchIndex made,
                                         const protocol::events::BatchAppended& e) {
  if (e.producer_id.value() < 0) return;
  Produced& batch = make_produced(made);
  batch.producer = e.producer_id.value();
  batch.epoch = e.producer_epoch.value();
  batch.base_sequence = e.base_sequence;
  if (e.role == protocol::events::Role::leader) judge_sequence(p, r, made, e);
  judge_send(p, r, made, e);
}

void WhiteBoxState::on(const protocol::events::TransactionalAppended& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Replica& r = p->replicas[slot(*p, now.node)];
  if (end(r.head) != e.last.value() + 1) return;
  Produced& batch = make_produced(r.head);
  batch.producer = e.producer_id.value();
  batch.epoch = e.producer_epoch.value();
  batch.transactional = true;
  batch.marker = e.marker == "commit"  ? Produced::Marker::commit
                 : e.marker == "abort" ? Produced::Marker::abort
                                       : Produced::Marker::none;
  if (batch.marker == Produced::Marker::none && appended_as_ == protocol::events::Role::leader)
    judge_fence(*p, r, r.head);
  if (!r.view.leads) return;
  if (batch.marker == Produced::Marker::none) {
    if (batch.begin == 0) bind(*p, batch);
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
  const std::string what =
      broker(now.node) + " delivers offset " + std::to_string(base) + " of " + name(p) + " to read_committed, ";
  if (base >= r.answered_stable) {
    violate("T2", &p, base, what + "at or above the last stable offset " + std::to_string(r.answered_stable),
            "delivers offset " + std::to_string(base));
    return;
  }
  const Produced* marker = nullptr;
  for (std::int64_t at = end(own); marker == nullptr && at < high_watermark;) {
    const BatchIndex next = batch_at(p, r, at);
    if (next == kNoBatch || tree[next].unknown) return;
    const Produced* found = produced(next);
    if (found != nullptr && found->producer == batch->producer && found->marker != Produced::Marker::none)
      marker = found;
    at = end(next);
  }
  if (marker == nullptr) {
    violate("T2", &p, base,
            what + "whose transaction of producer " + std::to_string(batch->producer) +
                " has no marker below the high watermark " + std::to_string(high_watermark),
            "delivers offset " + std::to_string(base));
    return;
  }
  const bool listed = listed_as_aborted(r, own);
  if (marker->marker == Produced::Marker::abort && !listed) {
    violate("T1", &p, base,
            what + "which producer " + std::to_string(batch->producer) +
                "'s transaction aborted, and doesn't list it as aborted",
            "delivers offset " + std::to_string(base));
  } else if (marker->marker == Produced::Marker::commit && listed) {
    violate("T4", &p, base,
            what + "which producer " + std::to_string(batch->producer) +
                "'s transaction committed, and lists it as aborted",
            "delivers offset " + std::to_string(base));
  }
}

}  // namespace verdict::checker
