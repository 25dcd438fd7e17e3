#include <algorithm>

#include "checker/white_box_state.h"

// T12 (one send, at most one record) and T7's fences: what a coordinator put an end to.
namespace verdict::checker {

// ---- what a replica doesn't know any more ----

void WhiteBoxState::on(const protocol::events::ProducersForgotten& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  Replica& r = p->replicas[slot(*p, now.node)];
  for (const ProducerId id : e.producers) r.forgotten[id.value()] = r.head;
}

// Whether the replica has forgotten what the batch, which is on its path, told of the producer. Compaction leaves the
// last batch of each: where the last one is gone, there was a later one, and a cut took it.
bool WhiteBoxState::forgotten(const PartitionTruth& p, const Replica& r, std::int64_t producer,
                              BatchIndex batch) const {
  if (end(batch) <= r.log_start || (p.compacted && !has_place(r, batch))) return true;
  const auto mark = r.forgotten.find(producer);
  return mark != r.forgotten.end() && mark->second != kNoBatch && tree[batch].depth <= tree[mark->second].depth;
}

// ---- T12 ----

bool WhiteBoxState::on_path(const PartitionTruth& p, BatchIndex head, BatchIndex batch) const {
  if (on_main(p, batch)) return tree[meet(p, head)].depth >= tree[batch].depth;
  BatchIndex at = head;
  while (tree[at].depth > tree[batch].depth) at = tree[at].parent;
  return at == batch;
}

// A send is known by the batch as its client made it: with other sequences, or in another epoch, it is the same one.
void WhiteBoxState::judge_send(const PartitionTruth& p, const Replica& r, BatchIndex made,
                               const protocol::events::BatchAppended& e) {
  const std::uint64_t* send = sends_.find(send_key(p, e.crc));
  if (send == nullptr) return;
  std::uint32_t& place = landed_[*send];
  const BatchIndex before = place - 1;  // kNoBatch: nowhere yet
  const bool leads = e.role == protocol::events::Role::leader;
  if (leads || before == kNoBatch) place = made + 1;
  if (!leads || before == kNoBatch || before == made) return;
  if (!on_path(p, made, before)) {  // cut; or removed, and the log began anew behind it
    if (end(before) <= r.log_start) ++metrics.forgotten_sends;
    return;
  }
  const Produced& first = *produced(before);
  if (first.producer != e.producer_id.value() || first.epoch != e.producer_epoch.value()) {
    ++metrics.own_duplicates;
    return;
  }
  if (forgotten(p, r, first.producer, before)) {
    ++metrics.forgotten_sends;
    return;
  }
  violate("T12", &p, e.base.value(),
          broker(now.node) + " appends at offset " + std::to_string(e.base.value()) + " of " + name(p) +
              " what producer " + std::to_string(first.producer) + " sent in epoch " + std::to_string(first.epoch) +
              " and its log holds at " + std::to_string(tree.base(before)),
          "appends offset " + std::to_string(e.base.value()));
}

void WhiteBoxState::produce_renumbered(std::uint64_t client, std::uint64_t operation, const PartitionKey& key,
                                       std::uint32_t crc) {
  sends_[send_key(partition(key), crc)] = operation_key(client, operation);
}

// ---- T7: after the fence ----

// Where nothing is open any more, each partition that the fenced transaction had been told of has its marker; a record
// of it elsewhere would stay there for ever, or become part of its successor's transaction.
void WhiteBoxState::see_fence(const protocol::events::TransactionMoved& e) {
  if (e.state != "Empty" && e.state != "CompleteCommit" && e.state != "CompleteAbort") return;
  const PartitionTruth* log = find(e.coordinator);
  if (e.producer_epoch <= 0 || log == nullptr) return;
  if (fencing_when_.node != now.node || fencing_when_.time != now.time) fencing_.clear();  // never appended
  fencing_when_ = now;
  fencing_.push_back({.producer = e.producer_id, .epoch = e.producer_epoch, .partition = index_of(*log)});
}

// A coordinator appends what it has announced in the same turn.
void WhiteBoxState::note_fences(const PartitionTruth& p, BatchIndex record) {
  if (fencing_.empty() || fencing_when_.node != now.node) return;
  if (fencing_when_.time != now.time) return fencing_.clear();
  const std::uint32_t here = index_of(p);
  for (Fence& fence : fencing_) {
    if (fence.partition != here) continue;
    std::vector<Fence>& all = fences_[fence.producer];
    if (!all.empty() && all.back().epoch == fence.epoch) {
      if (on_main(partitions[all.back().partition], all.back().record)) continue;
      all.pop_back();  // that record was lost with its leader
    }
    if (all.size() == kFences) all.erase(all.begin());
    fence.record = record;
    all.push_back(fence);
  }
  std::erase_if(fencing_, [here](const Fence& fence) { return fence.partition == here; });
}

void WhiteBoxState::judge_fence(const PartitionTruth& p, const Replica& r, BatchIndex made) {
  if (p.deposed(r)) return;
  const Produced batch = *produced(made);
  const auto known = fences_.find(batch.producer);
  if (known == fences_.end()) return;
  std::int16_t fenced_by = -1;
  for (const Fence& fence : known->second) {
    const PartitionTruth& log = partitions[fence.partition];
    if (on_main(log, fence.record) && end(fence.record) <= log.true_hw) fenced_by = std::max(fenced_by, fence.epoch);
  }
  if (fenced_by <= batch.epoch) return;
  bool blind = false;
  const BatchIndex newest = newest_of(batch.producer, tree[made].parent, r.log_start, &blind);
  if (blind) return;
  const Produced* before = newest == kNoBatch ? nullptr : produced(newest);
  if (before != nullptr && before->transactional && before->marker == Produced::Marker::none)
    return;  // it goes on, for its marker
  violate("T7", &p, tree.base(made),
          broker(now.node) + " appends offset " + std::to_string(tree.base(made)) + " of " + name(p) +
              ", the first there of a transaction of producer " + std::to_string(batch.producer) + " in epoch " +
              std::to_string(batch.epoch) + ", after its coordinator fenced all epochs below " +
              std::to_string(fenced_by),
          "appends a batch of a fenced producer epoch");
}

}  // namespace verdict::checker
