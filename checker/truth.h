#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checker/batch_tree.h"
#include "checker/offset_set.h"
#include "protocol/events.h"
#include "protocol/types.h"
#include "runtime/time.h"

// What the white box knows to be true, apart from what it judges.
namespace verdict::checker {

using Slot = std::uint32_t;      // a replica's place in its partition's truth; given at first sight, never reused
using SlotMask = std::uint64_t;  // bit s: slot s
constexpr Slot kNoSlot = ~Slot{0};
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

constexpr SlotMask bit(Slot slot) { return SlotMask{1} << slot; }
inline std::int32_t count(SlotMask mask) { return std::popcount(mask); }

// Bytes of one segment file that hold consecutive batches of the replica's path.
struct Extent {
  std::int64_t segment;      // base offset in the file's name
  std::int64_t position;     // of the first batch
  std::int64_t bytes_start;  // bytes_end of the batch before the first
  std::int64_t first;        // base offset of the first batch
};

// Where one batch is, in a partition that is compacted: there a path of batches says nothing of bytes.
struct Place {
  std::int64_t base;
  std::int64_t end;
  std::int64_t segment;
  std::int64_t position;
  std::int64_t length;
};

// Offsets whose bytes a fault destroyed.
struct Damage {
  std::int64_t from;
  std::int64_t to;
  bool undone = false;  // or may have left under another name: recovery may find them, or what a swap made of them
  bool rotten = false;  // they come back with the heal
  bool healed = false;  // and did: recovery finds them again, but what was read or copied in between may be spoilt
  bool met = false;     // by a life that died before it opened the log: its recovery may have cut there
};

// A leader's belief about its partition, as it announced it.
struct LeaderView {
  bool leads = false;
  bool in_flight = false;   // as the leader says
  bool unanswered = false;  // a proposal was announced, and no newer partition epoch adopted since
  std::int32_t leader_epoch = -1;
  std::int32_t partition_epoch = -1;
  SlotMask isr = 0;
  SlotMask maximal = 0;
  struct Fetched {
    std::int64_t offset = -1;
    std::int64_t broker_epoch = -1;
    std::int64_t vouched = -1;  // the broker epoch when the leader last proposed this member; -1: it didn't
  };
  std::vector<Fetched> fetched;  // by slot; the last fetch that was counted
};

// A crash that took a log's tail. What it took may have justified what a swap took before: nobody heard of the swap,
// and the next start completed it.
struct CutTail {
  BatchIndex head;         // before the crash
  std::int64_t kept;       // the log's end after it
  std::int64_t swept = 0;  // below this, passes since have told what is left
};

struct Replica {
  NodeId node = kNoNode;
  std::int32_t epoch = -1;  // leader epoch of the running incarnation's latest role; -1: it has none
  bool known = false;       // its log was opened once
  bool open = false;
  bool unopened() const { return known && !open; }  // the latest incarnation has not opened its log yet
  bool misled = false;  // recovery met rot where no CRC covers it: its end may lie within a batch of the others
  BatchIndex head = kNoBatch;
  BatchIndex matched = kNoBatch;  // deepest batch of its path that is on the partition's main path
  std::int64_t log_start = 0;
  std::int64_t began_anew = -1;  // the offset at which it did last: what it has of producers is from there on
  std::int64_t flushed = 0;
  std::int64_t high_watermark = 0;  // announced by the running incarnation
  std::int32_t high_watermark_epoch = -1;
  std::int64_t lost_from = kNever;    // faults destroyed its copies from here on, and it has not caught up since
  std::int64_t diverges_at = kNever;  // lowest end that a leader told it to truncate to, not done yet
  std::int32_t follows = -1;          // the leader epoch in which it follows
  struct Told {                       // the last divergence that a leader answered it
    std::int32_t epoch = -1;          // the leader's
    std::int64_t shared = 0;          // below this both logs were the same then, whatever the answer says
  };
  Told told;
  std::vector<Extent> extents;  // until the partition is known to be compacted; then places, by offset
  std::vector<Place> places;
  OffsetSet removed;               // of records that compaction took here, or at whom it copied from
  std::vector<Damage> damaged;     // still within the path
  std::vector<BatchIndex> undone;  // heads before the latest truncations: a power loss may bring them back
  std::vector<CutTail> cut_tails;  // of a compacted log, the latest
  LeaderView view;
  std::int32_t stable_epoch = -1;  // of the running incarnation: what it served to read_committed last, as leader
  std::int64_t stable = 0;
  std::int64_t answered_stable = 0;  // the answer to read_committed whose batches are being delivered
  std::vector<std::pair<std::int64_t, std::int64_t>> answered_aborted;  // its list: producer, first offset
  std::map<std::int64_t, BatchIndex> forgotten;  // by producer: its head when it forgot what it knew of it
};

// A compact memory of what a witness may need.
struct Note {
  enum class Kind : std::uint8_t {
    decided,
    became_leader,
    truncated,
    opened,
    lost,
    stopped,
    started,
    registered,
    fencing,
    high_watermark,
    cut,
    lowered,
    cleaned
  };
  Kind kind;
  MonoTime time;
  NodeId node;
  std::uint32_t incarnation;
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int32_t epoch = -1;
};

struct TopicTruth {
  Uuid id;
  std::string name;
  bool deleted = false;
  // Values of min.insync.replicas, oldest first. A broker surely knows one once it applied all metadata below
  // `known_from` (kNever: not committed yet as far as we know).
  struct MinIsr {
    std::int32_t value;
    std::int64_t known_from;
  };
  std::vector<MinIsr> min_isr;
};

struct PartitionTruth {
  PartitionKey key;
  bool rotted = false;  // a replica's copy did, healed since or not
  std::uint32_t topic = 0;
  std::vector<Replica> replicas;
  BatchIndex root = kNoBatch;
  std::vector<std::pair<BatchIndex, BatchIndex>> forks;  // (parent, a child that is not its first)

  // The main path by depth: the ghost log of committed batches, then the uncommitted tail of the committed leader (the
  // last one, while there is none).
  std::deque<BatchIndex> main;
  std::size_t hint = 1;  // into main: last look-up
  Slot main_slot = kNoSlot;

  // The true high watermark. `exposed` is the highest that a leader legally announced. A record between the two is on
  // all of the ISR, but nobody was told, so it may still go: a leader may admit a follower that lacks it, and
  // a member that has not heard of the latest epoch yet may still cut what the leader of its own doesn't have: no
  // leader of the latest has counted its copy, since a fetch counts in its own epoch only.
  std::int64_t true_hw = 0;
  std::int64_t exposed = 0;
  std::uint32_t committed = 0;  // depth of the last committed batch
  std::uint32_t reductions = 0;
  std::int64_t lowest_reduction = kNever;
  std::int32_t cut_epoch = -1;  // leader epoch of the latest excused loss
  std::int64_t cut_offset = kNever;
  std::int64_t acknowledged = 0;  // end of the highest acks=all success
  // Somebody may have removed all below this (retention, DeleteRecords), in the history that is left after the latest
  // excused loss: who begins above it lacks what lies between.
  std::int64_t removed = 0;
  // It leads by what it knows, but is deposed, and has not heard so.
  bool deposed(const Replica& r) const { return r.epoch < leader_epoch; }
  // With an excuse: what is left may be open for ever.
  bool lost_records() const { return cut_epoch >= 0 || rotted; }

  // The controller's latest decision.
  bool decided = false;
  bool election_pending = false;  // the elected leader was down: judged when it leads
  bool election_inside = false;   // and it was in the ISR
  NodeId leader = kNoNode;
  std::int32_t leader_epoch = -1;
  std::int32_t partition_epoch = -1;
  SlotMask members = 0;  // replicas
  SlotMask isr = 0;
  std::vector<std::pair<std::int32_t, NodeId>> leaders;  // by leader epoch, ascending

  std::uint64_t abstract_state = 0;  // the last that was seen, where they are asked for

  bool compacted = false;
  std::map<std::int64_t, std::vector<std::pair<std::int64_t, BatchIndex>>> of_key;  // offsets, in the order of appends

  std::vector<BatchIndex> ahead;  // delivered before they were committed
  std::vector<Note> notes;        // a ring of kNotes
  std::size_t next_note = 0;
};
constexpr std::size_t kNotes = 24;

struct NodeTruth {
  NodeId id = kNoNode;
  bool running = false;
  bool crashed = false;     // the last stop was not orderly
  bool power_lost = false;  // the last stop was a power loss
  std::uint32_t incarnation = 0;
  bool registered = false;
  std::uint32_t registered_incarnation = 0;  // running when the controller committed the registration
  std::int64_t broker_epoch = -1;
  bool fenced = true;
  bool shutting_down = false;
  std::int64_t metadata_applied = 0;
  std::vector<std::uint32_t> partitions;  // that it has a slot in

  bool current() const { return running && registered && registered_incarnation == incarnation; }
  bool active() const { return current() && !fenced && !shutting_down; }
};

}  // namespace verdict::checker
