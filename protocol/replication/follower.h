#pragma once

#include <cstdint>

#include "protocol/replication/types.h"

namespace verdict::replication {

enum class FollowerPhase : std::uint8_t {
  idle,            // no leader
  fetching,        // next_fetch() says what
  asking_offsets,  // the fetch offset was out of range; AskLeaderOffsets is out
  truncating,      // between TruncateTo and Truncated
  appending        // between AppendAsFollower and its outcome
};

// The follower's side, in the current leader epoch.
struct FollowerState {
  FollowerPhase phase = FollowerPhase::idle;
  // Of the answer whose batches are being appended: the leader's high watermark and log start.
  Offset leader_high_watermark = kNoOffset;
  Offset leader_log_start = kNoOffset;
  // Planted defects kip-101, no-truncation and kip-320-truncate fetch without asking for divergence.
  bool unchecked = false;
};

}  // namespace verdict::replication
