#include "checker/abstract_state.h"

#include <algorithm>
#include <array>

#include "checker/white_box_state.h"

namespace verdict::checker {
namespace {

constexpr std::size_t kMost = 16;  // replicas that count; a partition of a drawn scenario has five at most

// 0 below, 1 equal, 2 above.
std::uint64_t relation(std::int64_t a, std::int64_t b) { return a < b ? 0 : a == b ? 1 : 2; }

std::uint64_t epoch_relation(std::int32_t own, std::int32_t decided) {
  if (own < 0) return 0;
  if (own > decided) return 1;
  return own == decided ? 2 : own + 1 == decided ? 3 : 4;
}

}  // namespace

std::uint64_t WhiteBoxState::abstract_state(const PartitionTruth& p) const {
  SlotMask maximal = 0;
  for (const Replica& r : p.replicas) {
    if (r.view.leads) maximal |= r.view.maximal;
  }
  const std::int64_t leader_end = p.main_slot == kNoSlot ? -1 : log_end(p.replicas[p.main_slot]);
  std::array<std::uint64_t, kMost> words{};
  const std::size_t replicas = std::min(p.replicas.size(), kMost);
  for (std::size_t s = 0; s < replicas; ++s) {
    const Replica& r = p.replicas[s];
    const std::int64_t own_end = log_end(r);
    std::uint64_t word = r.epoch < 0 ? 0 : r.view.leads ? 2 : 1;
    word = word * 8 + epoch_relation(r.epoch, p.leader_epoch);
    word = word * 4 + relation(own_end, p.true_hw);
    word = word * 4 + relation(own_end, leader_end);
    word = word * 4 + ((p.isr & bit(static_cast<Slot>(s))) != 0     ? 2
                       : (maximal & bit(static_cast<Slot>(s))) != 0 ? 1
                                                                    : 0);
    word = word * 2 + (r.matched != r.head ? 1 : 0);
    word = word * 2 + (r.node == p.leader ? 1 : 0);
    word = word * 2 + (r.view.leads && r.view.in_flight ? 1 : 0);
    word = word * 2 + (r.view.leads && r.view.partition_epoch < p.partition_epoch ? 1 : 0);
    words[s] = word;
  }
  std::ranges::sort(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(replicas));
  std::uint64_t hash = replicas;
  for (std::size_t s = 0; s < replicas; ++s) hash = mix64(hash * 0x9e3779b97f4a7c15ULL + words[s]);
  return hash;
}

void WhiteBoxState::see(PartitionTruth& p) {
  if (!p.decided) return;
  const std::uint64_t state = abstract_state(p);
  if (state == p.abstract_state) return;
  p.abstract_state = state;
  states.add(state);
}

void WhiteBoxState::see_partitions_of(NodeId id) {
  if (!options.abstract_states) return;
  for (const std::uint32_t i : node(id).partitions) see(partitions[i]);
}

}  // namespace verdict::checker
