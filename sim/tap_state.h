#pragma once

#include <cstdint>
#include <vector>

#include "sim/message_tap.h"
#include "sim/ring.h"

namespace verdict::sim {

// How far a tapped pipe has been read as frames.
struct TapState {
  struct Sent {
    FrameHead head;
    std::uint64_t end = 0;
    VirtualTime at{};
  };
  struct Request {
    std::int32_t correlation_id = 0;
    std::int16_t api_key = -1;
    std::int16_t api_version = -1;
  };
  std::uint64_t frame_start = 0;
  std::uint64_t frame_end = 0;  // valid once decided
  bool decided = false;
  bool broken = false;
  bool asking = false;  // the tap decides about the frame at frame_start, which has not left
  FrameDecision decision;
  Ring<Sent> sent;
  std::vector<Request> requests;  // unanswered, oldest first; bounded
};

}  // namespace verdict::sim
