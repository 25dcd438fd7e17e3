#include <algorithm>

#include "checker/white_box_state.h"

// C7 (acknowledged means committed), M1 (an acknowledgement's ISR), L3 and C6 (what readers get).
namespace verdict::checker {

void WhiteBoxState::produce_sent(std::uint64_t client, std::uint64_t operation, const PartitionKey& key,
                                 std::uint32_t crc) {
  const PartitionTruth& p = partition(key);
  const std::uint64_t floor_key = send_key(p, crc);
  Floor& floor = floors_[floor_key];
  if (floor.senders++ == 0) {
    floor.offset = p.true_hw;
    floor.reductions = p.reductions;
  }
  std::uint64_t& pending = pending_[operation_key(client, operation)];
  pending = floor_key + 1;
  sends_[floor_key] = operation_key(client, operation);
}

void WhiteBoxState::produce_finished(std::uint64_t client, std::uint64_t operation) {
  const std::uint64_t key = operation_key(client, operation);
  const std::uint64_t* pending = pending_.find(key);
  if (pending == nullptr) return;
  const std::uint64_t floor_key = *pending - 1;
  pending_.erase(key);
  if (landed_.find(key) == nullptr) sends_.erase(floor_key);  // T12's: it has no producer id, or was not appended
  if (Floor* floor = floors_.find(floor_key); floor != nullptr && --floor->senders == 0) floors_.erase(floor_key);
}

std::int64_t WhiteBoxState::floor_of(const PartitionTruth& p, std::uint32_t crc) {
  const Floor* floor = floors_.find(send_key(p, crc));
  if (floor == nullptr) return 0;
  return floor->reductions == p.reductions ? floor->offset : std::min(floor->offset, p.lowest_reduction);
}

void WhiteBoxState::on(const protocol::events::ProduceAcknowledged& e) {
  PartitionTruth* found = find(e.partition);
  if (found == nullptr || e.error_code != 0) return;
  PartitionTruth& p = *found;
  const std::int64_t base = e.base.value(), last = e.last.value();
  const auto records = static_cast<std::uint64_t>(std::max<std::int64_t>(0, last - base + 1));
  if (e.acks != 0) metrics.acknowledged += records;
  if (e.acks != -1) return;
  metrics.acknowledged_all += records;
  const auto members = static_cast<std::int32_t>(e.maximal_isr.size());
  if (const std::int32_t minimum = effective_min(p, node(now.node)); members < minimum) {
    violate("M1", &p, base,
            "offset " + std::to_string(base) + " of " + name(p) + " is acknowledged with acks=all and " +
                std::to_string(members) + " in sync, below min.insync.replicas " + std::to_string(minimum),
            "acknowledges offset " + std::to_string(base));
    return;
  }
  if (cut_away(p, e.leader_epoch.value(), last + 1)) {
    ++metrics.excused_losses;  // a deposed leader's: nobody will read it
    return;
  }
  const BatchIndex there = last < p.true_hw ? main_at(p, base) : kNoBatch;
  const std::int64_t floor = floor_of(p, e.crc);
  std::string why;
  if (last >= p.true_hw) {
    why = "it is not committed (high watermark " + std::to_string(p.true_hw) + ")";
  } else if (there == kNoBatch || tree.base(there) != base || end(there) != last + 1 ||
             (!tree[there].unknown &&
              ((tree[there].crc != e.crc && (!p.compacted || tree[there].identity == 0)) ||
               tree[there].epoch > e.leader_epoch.value() ||
               tree[there].identity !=
                   batch_identity(e.producer_id.value(), e.producer_epoch.value(), e.base_sequence)))) {
    why = "the committed batch at that offset is another one";
  } else if (base < floor) {
    why = "offsets below " + std::to_string(floor) + " were committed before the batch was first sent";
  }
  if (!why.empty()) {
    violate("C7", &p, base,
            "offset " + std::to_string(base) + " of " + name(p) + " is acknowledged with acks=all but " + why,
            "acknowledges offset " + std::to_string(base) + " in epoch " + std::to_string(e.leader_epoch.value()));
    return;
  }
  p.acknowledged = std::max(p.acknowledged, last + 1);
}

void WhiteBoxState::on(const protocol::events::BatchDelivered& e) {
  PartitionTruth* found = find(e.partition);
  if (found == nullptr) return;
  PartitionTruth& p = *found;
  const std::int64_t base = e.base.value(), last = e.last.value();
  metrics.delivered += static_cast<std::uint64_t>(std::max<std::int64_t>(0, last - base + 1));
  const Slot s = slot(p, now.node);
  const Replica& r = p.replicas[s];
  const BatchIndex own = batch_at(p, r, base);
  const Records* const told = take_told(e.partition, base, last);
  const auto differs = [&](BatchIndex i) {
    return tree.base(i) != base || end(i) != last + 1 ||
           (!tree[i].unknown &&
            ((told != nullptr ? !same_records(i, *told) : tree[i].crc != e.crc) || tree[i].epoch != e.epoch.value()));
  };
  const bool spoilt = rotten(r, base, last + 1) || delivers_rot(p, r, e.crc);
  if (!spoilt && (own == kNoBatch || differs(own))) {
    violate("L3", &p, base,
            broker(now.node) + " delivers offset " + std::to_string(base) + " of " + name(p) +
                " with other content than it appended",
            "delivers offsets " + std::to_string(base) + ".." + std::to_string(last));
    return;
  }
  if (spoilt) return;
  // A deposed leader's, or a follower's that has yet to cut what an election took.
  if (cut_away(p, e.leader_epoch.value(), last + 1) || (!r.view.leads && cut_away(p, e.epoch.value(), last + 1))) {
    ++metrics.excused_losses;
    return;
  }
  if (e.read_committed && !(told != nullptr && told->empty()))
    judge_read_committed(p, r, own, e.high_watermark.value());
  if (last >= p.true_hw) {
    for (const BatchIndex other : p.ahead) {
      if (other == own || tree.base(other) > last || end(other) <= base) continue;
      violate("C6", &p, base, "offset " + std::to_string(base) + " of " + name(p) + " was delivered with two contents",
              "delivers offset " + std::to_string(base));
      return;
    }
    if (std::ranges::find(p.ahead, own) == p.ahead.end() && p.ahead.size() < 1000) p.ahead.push_back(own);
    return;
  }
  const BatchIndex committed = main_at(p, base);
  if (committed == kNoBatch || differs(committed)) {
    violate("C6", &p, base,
            broker(now.node) + " delivers offset " + std::to_string(base) + " of " + name(p) +
                " with other content than the committed log holds",
            "delivers offset " + std::to_string(base) + " of epoch " + std::to_string(e.epoch.value()));
  }
}

bool WhiteBoxState::rotten(const Replica& r, std::int64_t from, std::int64_t to) const {
  return std::ranges::any_of(r.damaged, [&](const Damage& d) { return d.from < to && from < d.to; });
}

// A batch whose base offset rotted is delivered elsewhere, with its own CRC.
bool WhiteBoxState::delivers_rot(PartitionTruth& p, const Replica& r, std::uint32_t crc) {
  return std::ranges::any_of(r.damaged, [&](const Damage& d) {
    for (std::int64_t at = d.from; at < d.to;) {
      const BatchIndex i = batch_at(p, r, at);
      if (i == kNoBatch) return false;
      if (tree[i].crc == crc) return true;
      at = end(i);
    }
    return false;
  });
}

// What was delivered early must be what got committed.
void WhiteBoxState::check_ahead(PartitionTruth& p) {
  for (const BatchIndex i : p.ahead) {
    if (end(i) > p.true_hw || on_main(p, i)) continue;
    violate("C6", &p, tree.base(i),
            "offset " + std::to_string(tree.base(i)) + " of " + name(p) +
                " was delivered to a reader, but another batch was committed there",
            "another batch at offset " + std::to_string(tree.base(i)) + " is committed");
    return;
  }
  std::erase_if(p.ahead, [&](BatchIndex i) { return end(i) <= p.true_hw; });
}

}  // namespace verdict::checker
