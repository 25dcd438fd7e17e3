#pragma once

#include <cstdint>

#include "sim/types.h"

namespace verdict::sim {

// The head of one length-prefixed Kafka frame on a connection. A response carries the api of the request with its
// correlation id; both are -1 if that request was not seen.
struct FrameHead {
  NodeIndex from;
  NodeIndex to;
  std::uint64_t connection = 0;  // unique within a run
  bool response = false;         // written by the side that accepted
  std::int16_t api_key = -1;
  std::int16_t api_version = -1;
  std::int32_t correlation_id = 0;
  std::uint32_t size = 0;  // bytes after the size field
};

enum class FrameAction : std::uint8_t { deliver, hold, delay, reset };

struct FrameDecision {
  FrameAction action = FrameAction::deliver;
  Duration delay{};           // of delay
  std::uint32_t hold_id = 0;  // of hold: what World::release_messages names
};

// Sees each frame of the run once, when its head has been written (it may still be partly unwritten), and each again
// when its last byte has arrived at the peer's machine. A stream keeps its order: what follows a held or delayed frame
// on the same connection waits behind it. Must not call back into the run, but may ask World for kills, blocks and the
// like.
class MessageTap {
 public:
  virtual ~MessageTap() = default;
  virtual FrameDecision on_frame(const FrameHead& frame) = 0;
  virtual void on_delivered(const FrameHead& frame, VirtualTime sent) {
    static_cast<void>(frame), static_cast<void>(sent);
  }
};

}  // namespace verdict::sim
