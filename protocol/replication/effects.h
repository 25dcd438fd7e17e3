#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "protocol/replication/types.h"
#include "runtime/names.h"

// What a Replica wants done. The shell runs effects in their order, before the next event; those that change the log
// come last in their step and are answered in the same turn (Truncated, FollowerAppended, AppendFailed).
namespace verdict::replication {

// Record {epoch, start} in the leader-epoch checkpoint, before anything is appended or answered.
struct AssignEpochStart {
  LeaderEpoch epoch;
  Offset start;
};

// Cut the log, and the epoch checkpoint also when `to` is the log end already. Then Truncated.
struct TruncateTo {
  Offset to;
};

// Drop everything and start at `offset`. Then Truncated.
struct TruncateFullyAndStartAt {
  Offset offset;
  // Known from then on as the epoch that lasts there, without a record; kNoEpoch: none is.
  LeaderEpoch epoch = kNoEpoch;
};

// Append the first `batches` batches of the fetch answer being stepped, none of the rest. Then FollowerAppended or
// AppendFailed.
struct AppendAsFollower {
  std::uint32_t batches;
};

struct AdvanceLogStart {  // the leader's log starts there; at most the own high watermark
  Offset to;
};

// After a failure (retry) the shell waits its retry back-off first. The members are Effects::members(effect).
struct SendAlterPartition {
  ProposalId proposal;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::uint32_t first_member;
  std::uint32_t member_count;
  bool retry;
};

struct CompleteProduce {
  WaiterId waiter;
  ErrorCode error;
  Offset base;        // kNoOffset on errors
  LeaderEpoch epoch;  // of the batch
  Offset log_start;   // log start offset of the answer
};

enum class WakeReason : std::uint8_t {
  appended,        // log end moved
  high_watermark,  // moved
  role,            // leadership or leader epoch changed, or the replica went away: look again and answer the error
  truncated        // the log was cut
};

// Look again at the fetches that wait for this partition.
struct WakeFetchers {
  WakeReason reason;
};

// Fetch from `leader` from now on (ask next_fetch() when a request is built); replaces an older one.
struct StartFetching {
  NodeId leader;
  LeaderEpoch leader_epoch;
};

struct StopFetching {};

// The leader refused or the append failed: leave this partition out for replica.fetch.backoff.ms.
struct DelayFetch {
  ErrorCode error;
};

// The fetch offset is out of the leader's range: ask ListOffsets EARLIEST and LATEST as a replica with this leader
// epoch, then LeaderOffsetsAnswered, in success and failure. Until then next_fetch() is empty.
struct AskLeaderOffsets {
  NodeId leader;
  LeaderEpoch leader_epoch;
};

using Effect = std::variant<AssignEpochStart, TruncateTo, TruncateFullyAndStartAt, AppendAsFollower, AdvanceLogStart,
                            SendAlterPartition, CompleteProduce, WakeFetchers, StartFetching, StopFetching, DelayFetch,
                            AskLeaderOffsets>;

// Reused from step to step: it allocates only while it grows. Steps append; the shell clears.
class Effects {
 public:
  template <class T>
  void emit(const T& effect) {
    list_.emplace_back(effect);
  }
  std::uint32_t add_member(IsrMember member) {
    members_.push_back(member);
    return static_cast<std::uint32_t>(members_.size() - 1);
  }
  void mark(Mark mark) {
    const auto bit = static_cast<unsigned>(mark);
    marks_[bit / 64] |= std::uint64_t{1} << bit % 64;
  }

  // By index while the shell runs them: a step of an outcome may append more.
  std::size_t size() const { return list_.size(); }
  const Effect& operator[](std::size_t index) const { return list_[index]; }
  std::span<const IsrMember> members(const SendAlterPartition& effect) const {
    return std::span(members_).subspan(effect.first_member, effect.member_count);
  }
  // Calls visit(Mark) for each rare branch reached since clear().
  template <class Visit>
  void for_each_mark(Visit&& visit) const {
    for (unsigned word = 0; word < marks_.size(); ++word) {
      for (std::uint64_t left = marks_[word]; left != 0; left &= left - 1) {
        visit(static_cast<Mark>(word * 64 + static_cast<unsigned>(std::countr_zero(left))));
      }
    }
  }
  bool marked() const { return marks_ != Marks{}; }
  void clear() {
    list_.clear();
    members_.clear();
    marks_ = {};
  }

 private:
  using Marks = std::array<std::uint64_t, (kMarkCount + 63) / 64>;  // one bit a mark
  std::vector<Effect> list_;
  std::vector<IsrMember> members_;
  Marks marks_{};
};

}  // namespace verdict::replication
