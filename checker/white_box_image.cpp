#include <algorithm>

#include "checker/white_box_state.h"

// The ledger of an older disk: each replica of the node is again what it was when the image was taken. Until it opens
// its log nothing else changes: what its leader counted, it held when it was counted.
namespace verdict::checker {

void WhiteBoxState::imaged(NodeId id, std::uint64_t image) {
  const NodeTruth& n = node(id);
  DiskImage& disk = images_[{id, image}];
  disk.in_order = !n.running && !n.crashed;
  std::vector<ReplicaImage>& images = disk.replicas;
  for (const std::uint32_t i : n.partitions) {
    const Replica& r = partitions[i].replicas[slot(partitions[i], id)];
    if (!r.known || deleted(partitions[i])) continue;
    if (const auto older = older_.find({i, id}); older != older_.end())
      images.push_back(older->second);  // came back already, and nobody has opened it yet
    else
      images.push_back(
          {i, r.head, r.log_start, r.flushed, r.extents, r.damaged, r.undone, r.places, r.removed, r.cut_tails});
  }
}

void WhiteBoxState::restored(NodeId id, std::uint64_t image) {
  NodeTruth& n = node(id);
  const DiskImage& disk = images_[{id, image}];
  const std::vector<ReplicaImage>& images = disk.replicas;
  n.crashed = !disk.in_order;
  n.power_lost = true;
  for (const std::uint32_t i : n.partitions) {
    PartitionTruth& p = partitions[i];
    Replica& r = p.replicas[slot(p, id)];
    if (!r.known || deleted(p)) continue;
    const std::int64_t before = log_end(r);
    const auto old = std::ranges::find(images, i, &ReplicaImage::partition);
    std::int64_t kept = 0;
    if (old == images.end()) {  // this log did not exist then
      ReplicaImage& none = older_[{i, id}] = {i, r.head, r.log_start, 0, r.extents, {}, {}, r.places, r.removed, {}};
      if (before > 0) none.damaged = {{0, before}};
    } else {
      kept = end(common(r.head, old->head));
      older_[{i, id}] = *old;
    }
    if (kept >= before) continue;
    r.lost_from = std::min(r.lost_from, kept);
    note(p, Note::Kind::lost, id, kept);
  }
}

// The replica's log is about to be judged: it is the older one.
void WhiteBoxState::take_older(std::uint32_t partition, Replica& r) {
  const auto found = older_.find({partition, r.node});
  if (found == older_.end()) return;
  ReplicaImage& old = found->second;
  r.head = old.head;
  r.log_start = old.log_start;
  r.flushed = old.flushed;
  r.extents = std::move(old.extents);
  r.damaged = std::move(old.damaged);
  r.undone = std::move(old.undone);
  r.places = std::move(old.places);
  r.removed = std::move(old.removed);
  r.cut_tails = std::move(old.cut_tails);
  older_.erase(found);
}

// A batch of which only the end was known is two by now.
void WhiteBoxState::resolve_images(const PartitionTruth& p, BatchIndex unknown, BatchIndex rest) {
  const auto resolve_in = [&](ReplicaImage& image) {
    if (&partitions[image.partition] != &p) return;
    if (image.head == unknown) image.head = rest;
    for (BatchIndex& i : image.undone) i = i == unknown ? rest : i;
    for (CutTail& tail : image.cut_tails) tail.head = tail.head == unknown ? rest : tail.head;
  };
  for (auto& [of, images] : images_) std::ranges::for_each(images.replicas, resolve_in);
  for (auto& [of, image] : older_) resolve_in(image);
}

}  // namespace verdict::checker
