#include <algorithm>

#include "checker/white_box_state.h"

// C1 (no committed record lost), C2, C8 and M2, from what the controller decides.
namespace verdict::checker {

void WhiteBoxState::on(const protocol::events::TopicCreated& e) {
  topics[topic(e.topic)].name = std::string(e.topic_name);
}

void WhiteBoxState::on(const protocol::events::TopicDeleted& e) { topics[topic(e.topic)].deleted = true; }

void WhiteBoxState::on(const protocol::events::MinIsrConfigured& e) {
  auto& values = topics[topic(e.topic)].min_isr;
  if (!values.empty() && values.back().value == e.min_isr) return;
  values.push_back({e.min_isr, kNever});
}

void WhiteBoxState::on(const protocol::events::QuorumCommitted& e) {
  if (e.to.value() <= quorum_committed_) return;
  quorum_committed_ = e.to.value();
  for (TopicTruth& t : topics) {
    for (auto& value : t.min_isr) value.known_from = std::min(value.known_from, quorum_committed_);
  }
}

void WhiteBoxState::on(const protocol::events::MetadataApplied& e) {
  node(now.node).metadata_applied = std::max(node(now.node).metadata_applied, e.to.value());
}

void WhiteBoxState::on(const protocol::events::BrokerRegistered& e) {
  NodeTruth& n = node(e.broker);
  if (e.epoch.value() <= n.broker_epoch) return;  // told again by a restarted controller
  n.registered = true;
  n.registered_incarnation = n.incarnation;
  n.broker_epoch = e.epoch.value();
  n.fenced = true;
  n.shutting_down = false;
  for (const std::uint32_t i : n.partitions) {
    note(partitions[i], Note::Kind::registered, e.broker, e.epoch.value(), e.clean ? 1 : 0);
  }
}

void WhiteBoxState::on(const protocol::events::BrokerFencing& e) {
  NodeTruth& n = node(e.broker);
  if (e.epoch.value() != n.broker_epoch) return;
  n.fenced = e.fenced;
  n.shutting_down = e.shutting_down;
  settle_elections(Settle::excused);
  for (const std::uint32_t i : n.partitions) {
    note(partitions[i], Note::Kind::fencing, e.broker, e.fenced ? 1 : 0, e.shutting_down ? 1 : 0);
    if (!deleted(partitions[i])) check_candidates(partitions[i]);
  }
}

void WhiteBoxState::on(const protocol::events::PartitionDecided& e) {
  PartitionTruth& p = partition(e.partition);
  if (deleted(p)) return;
  if (unsettled(p)) settle_elections(Settle::all);
  if (violation) return;
  const SlotMask members = mask(p, e.replicas), isr = mask(p, e.isr);
  const std::int32_t epoch = e.leader_epoch.value();
  note(p, Note::Kind::decided, now.node, e.leader.value(), e.partition_epoch.value(), epoch);
  if (e.leader != kNoNode && !claim_epoch(p, epoch, e.leader)) return;
  if (p.decided && e.partition_epoch.value() <= p.partition_epoch) return;  // told again by a restarted controller
  const bool leader_inside = e.leader == kNoNode || (isr & bit(slot(p, e.leader))) != 0;
  if ((isr & ~members) != 0 || !leader_inside) {
    violate("C8", &p, std::nullopt,
            leader_inside ? "the ISR of " + name(p) + " has a broker that is not a replica"
                          : broker(e.leader) + " is made leader of " + name(p) + " in epoch " + std::to_string(epoch) +
                                " but is not in the ISR",
            "partition epoch " + std::to_string(e.partition_epoch.value()) + " is decided");
    return;
  }
  const SlotMask old_isr = p.decided ? p.isr : isr;
  const SlotMask admitted = p.decided ? isr & ~p.isr : isr;
  if (!check_admitted(p, admitted, e)) return;
  const bool elected = e.leader != kNoNode && (!p.decided || e.leader != p.leader || epoch != p.leader_epoch);
  const std::int32_t old_epoch = p.leader_epoch;
  p.decided = true;
  p.leader = e.leader;
  p.leader_epoch = epoch;
  p.partition_epoch = e.partition_epoch.value();
  p.members = members;
  p.isr = isr;
  if (elected) {
    if (old_epoch >= 0) ++metrics.elections;
    elect(p, old_isr);
    if (violation || unsettled(p)) return;
  }
  adopt_decision(p, old_isr);
}

// What follows of the new ISR and the leader, once the leader's log is judged.
void WhiteBoxState::adopt_decision(PartitionTruth& p, SlotMask old_isr) {
  if (old_isr != p.isr) {
    for (SlotMask rest = p.isr & ~old_isr; rest != 0; rest &= rest - 1) {
      const Replica& r = p.replicas[static_cast<std::size_t>(std::countr_zero(rest))];
      // Nobody was told of what it lacks: see PartitionTruth::exposed.
      if (r.matched != r.head || log_end(r) >= p.true_hw || log_end(r) < p.exposed) continue;
      note(p, Note::Kind::lowered, r.node, log_end(r));
      lower_true_hw(p, log_end(r));
    }
  }
  raise_true_hw(p);
  check_candidates(p);
  if (const Slot s = find_slot(p, p.leader); s != kNoSlot) check_superset(p, p.replicas[s]);
}

bool WhiteBoxState::unsettled(const PartitionTruth& p) const {
  return std::ranges::any_of(unsettled_, [&](const Unsettled& u) { return &partitions[u.partition] == &p; });
}

bool WhiteBoxState::any_active(const PartitionTruth& p, SlotMask members) {
  for (SlotMask rest = members; rest != 0; rest &= rest - 1) {
    if (node(p.replicas[static_cast<std::size_t>(std::countr_zero(rest))].node).active()) return true;
  }
  return false;
}

// The records of one decision come one by one, and a broker's fencing after the elections that it causes: an election
// outside the ISR is judged when all of its batch was told, which is at the first event that is no decision.
void WhiteBoxState::settle_elections(Settle which) {
  if (unsettled_.empty()) return;
  const Now present = now;
  for (std::size_t i = 0; i < unsettled_.size() && !violation;) {
    PartitionTruth& p = partitions[unsettled_[i].partition];
    if (which == Settle::excused && !deleted(p) && any_active(p, unsettled_[i].old_isr)) {
      ++i;
      continue;
    }
    const Unsettled u = unsettled_[i];
    unsettled_.erase(unsettled_.begin() + static_cast<std::ptrdiff_t>(i));
    if (deleted(p)) continue;
    now = u.when;
    judge_election(p, u.old_isr);
    if (!violation) adopt_decision(p, u.old_isr);
  }
  now = present;
}

bool WhiteBoxState::check_admitted(PartitionTruth& p, SlotMask admitted, const protocol::events::PartitionDecided& e) {
  for (SlotMask rest = admitted; rest != 0; rest &= rest - 1) {
    const auto s = static_cast<Slot>(std::countr_zero(rest));
    const Replica& r = p.replicas[s];
    const NodeTruth& n = node(r.node);
    std::string why;
    if (!n.registered || n.fenced || n.shutting_down) {
      why = !n.registered ? " although it is not registered"
            : n.fenced    ? " although it is fenced"
                          : " although it is shutting down";
    } else if (p.decided && p.leader == e.leader && r.node != e.leader && e.leader != kNoNode) {
      const auto& fetched = p.replicas[slot(p, e.leader)].view.fetched;
      // What it fetches after the proposal doesn't vouch for it. Not every history tells of proposals.
      std::int64_t vouched = -1;
      if (s < fetched.size()) vouched = fetched[s].vouched >= 0 ? fetched[s].vouched : fetched[s].broker_epoch;
      if (vouched != n.broker_epoch) {
        // A leader that crashed since has taken its memory along: its proposal was good when it was sent.
        if (node(e.leader).running && p.replicas[slot(p, e.leader)].view.leads)
          why = " on a fetch by an earlier incarnation";
      }
    }
    if (why.empty()) continue;
    violate("M2", &p, std::nullopt, broker(r.node) + " is admitted to the ISR of " + name(p) + why,
            "partition epoch " + std::to_string(e.partition_epoch.value()) + " is decided");
    return false;
  }
  return true;
}

// Judges what the elected leader lacks of the ghost log.
void WhiteBoxState::elect(PartitionTruth& p, SlotMask old_isr) {
  const Slot s = slot(p, p.leader);
  const Replica& r = p.replicas[s];
  const bool configured = options.unclean_election_allowed && (old_isr & bit(s)) == 0;
  p.main_slot = s;
  p.election_pending = false;
  if (configured) {
    // A deposed leader that has not heard of it goes on with an ISR that nobody shares, whatever will be lost.
    p.cut_epoch = p.leader_epoch;
    p.cut_offset = std::min(p.cut_offset, p.true_hw);
    p.removed = std::max(p.removed, r.log_start);
  }
  if (matched_end(r) >= p.true_hw) {
    set_main(p, r.head);
    return;
  }
  if (configured && any_active(p, old_isr)) {
    unsettled_.push_back({index_of(p), old_isr, now});
    return;
  }
  judge_election(p, old_isr);
}

// The elected leader lacks a part of the ghost log, as far as is known.
void WhiteBoxState::judge_election(PartitionTruth& p, SlotMask old_isr) {
  const Slot s = slot(p, p.leader);
  const Replica& r = p.replicas[s];
  const bool inside = (old_isr & bit(s)) != 0;
  const bool nobody_else = !inside && (old_isr == 0 || (options.unclean_election_allowed && !any_active(p, old_isr)));
  const bool down = !r.open || (!node(r.node).current() && !r.view.leads);
  if (nobody_else) {
    // What it had is the truth from now on, also while it is down.
    cut(p, matched_end(r));
    set_main(p, r.head);
  } else if (down) {
    // What it will bring back is not known yet.
    p.election_pending = true;
    p.election_inside = inside;
  } else {
    conclude_election(p, inside);
  }
}

// The elected leader's log is open, and others could have been elected.
void WhiteBoxState::conclude_election(PartitionTruth& p, bool inside) {
  const Replica& r = p.replicas[slot(p, p.leader)];
  const std::int64_t kept = matched_end(r);
  p.election_pending = false;
  if (kept >= p.true_hw) {
    set_main(p, r.head);
    return;
  }
  if (inside && count(p.isr) == 1 && r.lost_from <= kept) {
    cut(p, kept);
    set_main(p, r.head);
    return;
  }
  std::int32_t before = -1;
  for (const auto& [epoch, leader] : p.leaders) {
    if (epoch < p.leader_epoch) before = epoch;
  }
  violate("C1", &p, kept,
          (kept < p.acknowledged ? "acknowledged offset " : "committed offset ") + std::to_string(kept) + " of " +
              name(p) + " lost when epoch " + std::to_string(before) + " became " + std::to_string(p.leader_epoch),
          broker(p.leader) + " is elected with log end " + std::to_string(log_end(r)) +
              (inside ? "" : " from outside the ISR"));
}

void WhiteBoxState::cut(PartitionTruth& p, std::int64_t to) {
  ++metrics.excused_losses;
  forgive_groups(p);
  note(p, Note::Kind::cut, p.leader, to, 0, p.leader_epoch);
  lower_true_hw(p, to);
  p.exposed = std::min(p.exposed, to);
  p.acknowledged = std::min(p.acknowledged, to);
  p.cut_epoch = p.leader_epoch;
  p.cut_offset = std::min(p.cut_offset, to);
  p.ahead.clear();
  p.removed = std::max(std::min(p.removed, to), p.replicas[slot(p, p.leader)].log_start);
  for (Replica& r : p.replicas) r.high_watermark = std::min(r.high_watermark, to);
}

}  // namespace verdict::checker
