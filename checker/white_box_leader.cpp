#include <algorithm>

#include "checker/white_box_state.h"

// C4 (high watermarks), C9 (maximal ISR), M1 (min ISR at an advance) and C8 (one leader), from what leaders announce.
namespace verdict::checker {

bool WhiteBoxState::claim_epoch(PartitionTruth& p, std::int32_t epoch, NodeId leader) {
  const auto at = std::ranges::lower_bound(p.leaders, epoch, {}, &std::pair<std::int32_t, NodeId>::first);
  if (at == p.leaders.end() || at->first != epoch) {
    p.leaders.insert(at, {epoch, leader});
    return true;
  }
  if (at->second == leader) return true;
  violate(
      "C8", &p, std::nullopt,
      broker(leader) + " and " + broker(at->second) + " both lead " + name(p) + " in epoch " + std::to_string(epoch),
      broker(leader) + " is leader of epoch " + std::to_string(epoch));
  return false;
}

void WhiteBoxState::check_superset(const PartitionTruth& p, const Replica& r) {
  const LeaderView& v = r.view;
  if (!p.decided || !v.leads || v.leader_epoch != p.leader_epoch) return;
  // A leader that forgot a proposal which nobody refused is judged by it all the same.
  if (v.partition_epoch != p.partition_epoch && !v.in_flight && !v.unanswered) return;
  const SlotMask missing = p.isr & ~v.maximal;
  if (missing == 0) return;
  const NodeId who = p.replicas[static_cast<std::size_t>(std::countr_zero(missing))].node;
  violate("C9", &p, std::nullopt,
          broker(r.node) + ", leader of " + name(p) + " in epoch " + std::to_string(v.leader_epoch) + ", leaves out " +
              broker(who) + ", which the controller counts in the ISR",
          "works with a maximal ISR without " + broker(who));
}

void WhiteBoxState::on(const protocol::events::BecameLeader& e) {
  PartitionTruth* found = find(e.partition);
  if (found == nullptr) return;
  PartitionTruth& p = *found;
  const Slot s = slot(p, now.node);
  const SlotMask isr = mask(p, e.isr);
  Replica& r = p.replicas[s];
  r.epoch = e.leader_epoch.value();
  note(p, Note::Kind::became_leader, now.node, e.epoch_start.value(), e.high_watermark.value(), e.leader_epoch.value());
  if (!claim_epoch(p, e.leader_epoch.value(), now.node)) return;
  if (r.high_watermark_epoch == e.leader_epoch.value() && e.high_watermark.value() < r.high_watermark) {
    violate("C4", &p, e.high_watermark.value(),
            "high watermark of " + name(p) + " on " + broker(now.node) + " goes back from " +
                std::to_string(r.high_watermark) + " to " + std::to_string(e.high_watermark.value()) + " in epoch " +
                std::to_string(e.leader_epoch.value()),
            "leads again with a lower high watermark");
    return;
  }
  // It may have been deposed, and what it counts as committed cut, before it heard that it leads.
  const bool cut = cut_away(p, e.leader_epoch.value(), e.high_watermark.value());
  r.high_watermark = cut ? p.cut_offset : e.high_watermark.value();
  r.high_watermark_epoch = e.leader_epoch.value();
  r.follows = -1;
  LeaderView& v = r.view;
  v.leads = true;
  v.in_flight = v.unanswered = false;
  v.leader_epoch = e.leader_epoch.value();
  v.partition_epoch = e.partition_epoch.value();
  v.isr = v.maximal = isr;
  if (p.election_pending && s == p.main_slot && e.leader_epoch.value() == p.leader_epoch) {
    conclude_election(p, p.election_inside);
    if (violation) return;
  }
  // Elected outside the ISR, as is configured, it may bring back what an earlier such election cut: its own high
  // watermark says how much of that was committed, frozen below the minimum or not.
  if (options.unclean_election_allowed && p.cut_epoch == p.leader_epoch && p.leader_epoch == e.leader_epoch.value() &&
      s == p.main_slot) {
    set_true_hw(p, std::min(r.high_watermark, matched_end(r)));
  }
  raise_true_hw(p);
  check_superset(p, r);
}

void WhiteBoxState::on(const protocol::events::BecameFollower& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  r.epoch = e.leader_epoch.value();
  r.view = LeaderView{};
  r.follows = e.leader_epoch.value();
}

void WhiteBoxState::on(const protocol::events::FollowerFetched& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Slot follower = slot(*p, e.follower);
  LeaderView& v = p->replicas[slot(*p, now.node)].view;
  if (follower >= v.fetched.size()) v.fetched.resize(follower + std::size_t{1});
  v.fetched[follower].offset = e.fetch_offset.value();
  v.fetched[follower].broker_epoch = e.broker_epoch.value();
}

void WhiteBoxState::on(const protocol::events::IsrProposed& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Slot s = slot(*p, now.node);
  const SlotMask isr = mask(*p, e.isr), maximal = mask(*p, e.maximal_isr), proposed = mask(*p, e.proposed);
  LeaderView& v = p->replicas[s].view;
  v.leader_epoch = e.leader_epoch.value();
  v.partition_epoch = e.partition_epoch.value();
  v.isr = isr;
  v.maximal = maximal;
  v.leads = v.in_flight = v.unanswered = true;
  for (std::size_t member = 0; member < v.fetched.size(); ++member) {
    if ((proposed & bit(static_cast<Slot>(member))) != 0) v.fetched[member].vouched = v.fetched[member].broker_epoch;
  }
  check_superset(*p, p->replicas[s]);
}

void WhiteBoxState::on(const protocol::events::IsrAdopted& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Slot s = slot(*p, now.node);
  const SlotMask isr = mask(*p, e.isr), maximal = mask(*p, e.maximal_isr);
  LeaderView& v = p->replicas[s].view;
  v.unanswered = e.in_flight || (v.unanswered && e.partition_epoch.value() <= v.partition_epoch);
  v.leader_epoch = e.leader_epoch.value();
  v.partition_epoch = e.partition_epoch.value();
  v.isr = isr;
  v.maximal = maximal;
  v.leads = true;
  v.in_flight = e.in_flight;
  raise_true_hw(*p);
  check_superset(*p, p->replicas[s]);
}

void WhiteBoxState::on(const protocol::events::DivergenceAnswered& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Slot leader = slot(*p, now.node), follower = slot(*p, e.follower);
  Replica& r = p->replicas[follower];
  // min(local end of that epoch or the next lower one, leader's end): PROTOCOL.md, Truncation.
  BatchIndex i = r.head;
  while (tree[i].parent != kNoBatch && tree[i].epoch > e.diverging_epoch.value()) i = tree[i].parent;
  r.diverges_at = std::min({r.diverges_at, end(i), e.end.value()});
  r.told = {e.leader_epoch.value(), end(common(r.head, p->replicas[leader].head))};
}

void WhiteBoxState::on(const protocol::events::HighWatermarkAdvanced& e) {
  PartitionTruth* found = find(e.partition);
  if (found == nullptr) return;
  PartitionTruth& p = *found;
  const Slot s = slot(p, now.node);
  const SlotMask maximal = mask(p, e.maximal_isr);
  Replica& r = p.replicas[s];
  const std::int64_t from = e.from.value(), to = e.to.value();
  const std::int32_t epoch = e.leader_epoch.value();
  const bool same_epoch = r.high_watermark_epoch == epoch;
  if (to < from || (same_epoch && (to < r.high_watermark || from < r.high_watermark))) {
    violate("C4", &p, to,
            "high watermark of " + name(p) + " on " + broker(now.node) + " goes back from " +
                std::to_string(std::max(from, same_epoch ? r.high_watermark : from)) + " to " +
                std::to_string(std::min(from, to)) + " in epoch " + std::to_string(epoch),
            "high watermark moves from " + std::to_string(from) + " to " + std::to_string(to));
    return;
  }
  const bool leads = e.role == protocol::events::Role::leader;
  if (leads) {
    if (!check_counted(p, s, e)) return;
    note(p, Note::Kind::high_watermark, now.node, to, 0, epoch);
  }
  // A misled follower takes its leader's word for offsets at which it holds something else.
  const bool cut = cut_away(p, epoch, to), excused = cut || (!leads && r.misled && rotten(r, to - 1, to));
  if (to > p.true_hw && !excused) {
    violate("C4", &p, p.true_hw,
            broker(now.node) + " advances the high watermark of " + name(p) + " to " + std::to_string(to) +
                " although offset " + std::to_string(p.true_hw) + " is not on all of the ISR",
            "high watermark moves from " + std::to_string(from) + " to " + std::to_string(to));
    return;
  }
  r.high_watermark = cut       ? std::min(to, p.cut_offset)
                     : excused ? std::max(r.high_watermark, std::min(to, p.true_hw))
                               : to;
  r.high_watermark_epoch = epoch;
  if (leads && !excused) p.exposed = std::max(p.exposed, to);
  check_agreement(p, s);
  if (leads) {
    r.view.maximal = maximal;
    check_superset(p, r);
  }
}

bool WhiteBoxState::check_counted(PartitionTruth& p, Slot s, const protocol::events::HighWatermarkAdvanced& e) {
  const std::int64_t to = e.to.value();
  const Replica& r = p.replicas[s];
  const std::int32_t minimum = effective_min(p, node(now.node));
  if (r.view.leads && count(r.view.isr) < minimum) {
    violate("M1", &p, to,
            "high watermark of " + name(p) + " advances to " + std::to_string(to) + " with " +
                std::to_string(count(r.view.isr)) + " in the ISR, below min.insync.replicas " + std::to_string(minimum),
            "high watermark advances with an ISR of " + std::to_string(count(r.view.isr)));
    return false;
  }
  const BatchIndex covering = to == 0 ? p.root : batch_at(p, r, to - 1);
  for (std::size_t i = 0; i < e.maximal_isr.size(); ++i) {
    const NodeId id = e.maximal_isr[i];
    const Slot member = find_slot(p, id);
    const bool self = member == s;
    const bool held = covering != kNoBatch &&
                      (self || member >= 16 || tree[covering].unknown || ((tree[covering].held >> member) & 1U) != 0);
    const std::int64_t counted = i < e.counted.size() ? e.counted[i].value() : to;
    const std::int64_t fetched = self                             ? log_end(r)
                                 : member < r.view.fetched.size() ? r.view.fetched[member].offset
                                                                  : -1;
    if (held && counted >= to && counted <= fetched) continue;
    violate("C4", &p, e.from.value(),
            broker(now.node) + " advances the high watermark of " + name(p) + " to " + std::to_string(to) +
                " although " + broker(id) +
                (counted < to        ? ", of its maximal ISR, is only at " + std::to_string(counted)
                 : counted > fetched ? " never fetched from " + std::to_string(counted)
                                     : " never held the leader's offset " + std::to_string(to - 1)),
            "high watermark advances to " + std::to_string(to));
    return false;
  }
  return true;
}

}  // namespace verdict::checker
