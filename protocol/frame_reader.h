#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <system_error>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/task.h"

namespace verdict::protocol {

enum class FrameFault : std::uint8_t {
  end,        // orderly, between frames
  truncated,  // the peer ended within a frame
  too_large,  // the size is negative or over the limit (socket.request.max.bytes)
  io,         // reset, canceled, ...
};

struct FrameError {
  FrameFault fault;
  std::int32_t size = 0;  // too_large: what the frame claimed
  std::error_code error;  // io
};

using Frame = std::vector<std::byte>;  // without the size prefix

// Cuts a stream into size-prefixed frames. Memory follows the bytes that arrive, not the sizes that frames claim: a
// large frame gets a buffer of its own, which grows by doubling up to the claim.
class FrameReader {
 public:
  FrameReader(Stream& stream, std::size_t limit_bytes) : stream_(&stream), limit_bytes_(limit_bytes) {}

  // The next frame, without suspending if it is here already.
  Task<std::expected<Frame, FrameError>> next();
  bool has_buffered_frame() const;

 private:
  std::size_t buffered() const { return end_ - begin_; }
  std::int32_t claimed_size() const;
  Frame take(std::size_t size);
  void make_room(std::size_t wanted);

  Stream* stream_;
  std::size_t limit_bytes_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace verdict::protocol
