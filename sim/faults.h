#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sim/types.h"

// The fault model of the simulated machine (SIMULATION.md, Faults). A counter counts outcomes that a fault changed
// (bytes destroyed, deliveries delayed, calls that failed), never the calls that asked for it.
namespace verdict::sim {

// name, what one count means
#define VERDICT_FAULTS(X)                                                                                \
  X(latency_tail, "latency-tail", "deliveries that drew the tail")                                       \
  X(partition_pair, "partition-pair", "deliveries held between two nodes")                               \
  X(partition_split, "partition-split", "deliveries held between two groups")                            \
  X(partition_one_way, "partition-one-way", "deliveries held in one direction")                          \
  X(partition_isolate, "partition-isolate", "deliveries held to or from an isolated node")               \
  X(partition_bridge, "partition-bridge", "deliveries held between groups that share a bridge node")     \
  X(partition_random, "partition-random", "deliveries held between two groups that were drawn")          \
  X(stream_timeout, "stream-timeout", "connections given up after unanswered retransmissions")           \
  X(partial_read, "partial-read", "reads that gave less than there was")                                 \
  X(partial_write, "partial-write", "frames or writes that left in pieces")                              \
  X(reset, "reset", "connections broken")                                                                \
  X(clog, "clog", "deliveries held by a clogged link")                                                   \
  X(swizzle, "swizzle", "deliveries held by a link that is clogged in its turn")                         \
  X(refused_connect, "refused-connect", "connects that a link refused")                                  \
  X(hanging_connect, "hanging-connect", "connects that nobody answered, tries counted")                  \
  X(half_open, "half-open", "connections whose peer went dark without a word")                           \
  X(slow_link, "slow-link", "deliveries delayed by a slow link")                                         \
  X(message_hold, "message-hold", "frames held by a message rule")                                       \
  X(message_delay, "message-delay", "frames delayed by a message rule")                                  \
  X(message_reset, "message-reset", "connections broken by a message rule")                              \
  X(kill, "kill", "processes that died with their page cache kept")                                      \
  X(power_loss, "power-loss", "machines that lost power")                                                \
  X(power_loss_bytes, "power-loss-bytes", "bytes of the page cache destroyed by power losses")           \
  X(doomed, "doomed", "processes that died at a disk call inside a turn")                                \
  X(doomed_in_sync, "doomed-in-sync", "processes that died while a sync was under way")                  \
  X(pause, "pause", "completions held while a process was paused")                                       \
  X(restart, "restart", "processes started on a machine that had run one before")                        \
  X(wipe, "wipe", "bytes of a wiped disk")                                                               \
  X(older_disk, "older-disk", "bytes that an older disk did not have, or had otherwise")                 \
  X(disk_latency, "disk-latency", "disk calls made slower")                                              \
  X(read_error, "read-error", "reads that failed")                                                       \
  X(write_error, "write-error", "appends, writes and truncations that failed")                           \
  X(sync_error, "sync-error", "pages left clean by a failed sync but never written")                     \
  X(full_disk, "full-disk", "writes cut short or refused for want of space")                             \
  X(bit_rot, "bit-rot", "stored bytes changed")                                                          \
  X(misdirected_write, "misdirected-write", "bytes that a write to the wrong place changed or left out") \
  X(reorder, "reorder", "events that ran after one scheduled later for the same instant")                \
  X(forced_yield, "forced-yield", "starts that could finish at once and did not")                        \
  X(scheduling_stall, "scheduling-stall", "turns that waited for a processor")                           \
  X(clock_offset, "clock-offset", "readings of a wall clock that was set off")                           \
  X(clock_drift, "clock-drift", "sleeps and wall readings at a wrong rate")                              \
  X(clock_jump, "clock-jump", "readings of a wall clock after it jumped")

#define VERDICT_ENUMERATOR(id, text, meaning) id,
enum class FaultKind : std::uint8_t { VERDICT_FAULTS(VERDICT_ENUMERATOR) };
#undef VERDICT_ENUMERATOR
#define VERDICT_COUNT(id, text, meaning) +1
constexpr std::size_t kFaultKindCount = 0 VERDICT_FAULTS(VERDICT_COUNT);
#undef VERDICT_COUNT

std::string_view name_of(FaultKind);
std::string_view meaning_of(FaultKind);
std::optional<FaultKind> find_fault(std::string_view name);

// What a power loss did to one file (or to the place of its name).
#define VERDICT_POWER_LOSS_EFFECTS(X)                                                               \
  X(kept, "kept")                           /* unsynced pages all reached the disk */               \
  X(dropped, "dropped")                     /* unsynced pages lost: cut, or holes */                \
  X(torn, "torn")                           /* a page of which only some 512-byte sectors did */    \
  X(reordered, "reordered")                 /* a later page reached the disk, an earlier did not */ \
  X(zero_tail, "zero-tail")                 /* the size reached the disk, the data did not */       \
  X(truncation_undone, "truncation-undone") /* the old tail is back */                              \
  X(creation_undone, "creation-undone")                                                             \
  X(removal_undone, "removal-undone")                                                               \
  X(rename_undone, "rename-undone")

#define VERDICT_ENUMERATOR(id, text) id,
enum class PowerLossEffect : std::uint8_t { VERDICT_POWER_LOSS_EFFECTS(VERDICT_ENUMERATOR) };
#undef VERDICT_ENUMERATOR
#define VERDICT_COUNT(id, text) +1
constexpr std::size_t kPowerLossEffectCount = 0 VERDICT_POWER_LOSS_EFFECTS(VERDICT_COUNT);
#undef VERDICT_COUNT

std::string_view name_of(PowerLossEffect);

struct FaultCounters {
  std::array<std::uint64_t, kFaultKindCount> faults{};
  std::array<std::uint64_t, kPowerLossEffectCount> effects{};  // files (or names) so affected

  std::uint64_t of(FaultKind kind) const { return faults[static_cast<std::size_t>(kind)]; }
  std::uint64_t of(PowerLossEffect effect) const { return effects[static_cast<std::size_t>(effect)]; }
  void add(FaultKind kind, std::uint64_t n = 1) { faults[static_cast<std::size_t>(kind)] += n; }
  void add(PowerLossEffect effect) { ++effects[static_cast<std::size_t>(effect)]; }
};

// Which effects a power loss may have; each file draws among them by itself. `kept` alone: nothing is lost.
class PowerLossPolicy {
 public:
  static constexpr PowerLossPolicy everything() { return PowerLossPolicy((1U << kPowerLossEffectCount) - 1); }
  static constexpr PowerLossPolicy nothing_lost() {
    return PowerLossPolicy(1U << static_cast<unsigned>(PowerLossEffect::kept));
  }
  // All that was not synced is gone, names included.
  static constexpr PowerLossPolicy all_unsynced_lost() {
    PowerLossPolicy policy(0);
    policy.lose_all_ = true;
    return policy.with(PowerLossEffect::dropped)
        .with(PowerLossEffect::truncation_undone)
        .with(PowerLossEffect::creation_undone)
        .with(PowerLossEffect::removal_undone)
        .with(PowerLossEffect::rename_undone);
  }
  // File data as `everything`, but names (creations, removals, renames) stay.
  static constexpr PowerLossPolicy data_only() {
    return everything()
        .without(PowerLossEffect::creation_undone)
        .without(PowerLossEffect::removal_undone)
        .without(PowerLossEffect::rename_undone);
  }
  constexpr PowerLossPolicy with(PowerLossEffect e) const {
    auto p = *this;
    p.bits_ |= 1U << static_cast<unsigned>(e);
    return p;
  }
  constexpr PowerLossPolicy without(PowerLossEffect e) const {
    auto p = *this;
    p.bits_ &= ~(1U << static_cast<unsigned>(e));
    return p;
  }
  constexpr bool allows(PowerLossEffect e) const { return (bits_ >> static_cast<unsigned>(e) & 1U) != 0; }
  constexpr bool lose_all() const { return lose_all_; }

 private:
  constexpr explicit PowerLossPolicy(std::uint32_t bits) : bits_(bits) {}
  std::uint32_t bits_;
  bool lose_all_ = false;
};

enum class LossCause : std::uint8_t {
  power_loss,
  name_undone,  // by a power loss: the file is back under an older name, or an older one under this
  bit_rot,
  wipe,
  older_disk,
  misdirected_write
};

// Bytes [from, to) of a file, as its process could last read them, that are now gone or differ. `path` is the name that
// the file had before the loss; a name that was undone loses the whole range. from == to: a file without bytes went
// with its name.
struct Loss {
  NodeIndex node;
  std::string_view path;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  LossCause cause = LossCause::power_loss;
};

class LossSink {
 public:
  virtual ~LossSink() = default;
  virtual void lost(const Loss&) = 0;
  // An older disk: what a power loss would surely bring back of the disk was kept aside, and later came back in place
  // of it. The losses reported after `restored` are those of the moment at which the image was taken.
  virtual void imaged(NodeIndex /*node*/, std::uint64_t /*image*/) {}
  virtual void restored(NodeIndex /*node*/, std::uint64_t /*image*/) {}
};

}  // namespace verdict::sim
