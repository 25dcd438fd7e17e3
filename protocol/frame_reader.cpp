#include "protocol/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "protocol/wire/framing.h"
#include "runtime/io.h"

namespace verdict::protocol {
namespace {

constexpr std::size_t kFirstBufferBytes = 4 << 10;
constexpr std::size_t kMaxBufferBytes = 64 << 10;
constexpr std::size_t kFirstLargeBytes = 1 << 20;

}  // namespace

std::int32_t FrameReader::claimed_size() const {
  return wire::read_size_prefix(
      std::span<const std::byte, wire::kSizePrefixBytes>(&buffer_[begin_], wire::kSizePrefixBytes));
}

bool FrameReader::has_buffered_frame() const {
  if (buffered() < wire::kSizePrefixBytes) return false;
  const std::int32_t size = claimed_size();
  return size < 0 || buffered() - wire::kSizePrefixBytes >= static_cast<std::size_t>(size);
}

// Cuts what is here of a frame of `size` bytes into a buffer of its own.
Frame FrameReader::take(std::size_t size) {
  const std::byte* from = buffer_.data() + begin_ + wire::kSizePrefixBytes;
  const std::size_t here = std::min(size, buffered() - wire::kSizePrefixBytes);
  Frame frame(from, from + here);
  begin_ += wire::kSizePrefixBytes + here;
  if (begin_ == end_) begin_ = end_ = 0;
  return frame;
}

void FrameReader::make_room(std::size_t wanted) {
  if (begin_ != 0) {
    std::memmove(buffer_.data(), &buffer_[begin_], buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  const std::size_t grown = end_ == buffer_.size() ? buffer_.size() * 2 : buffer_.size();
  const std::size_t size = std::min(std::max({grown, kFirstBufferBytes, wanted}), kMaxBufferBytes);
  if (size > buffer_.size()) buffer_.resize(size);
}

Task<std::expected<Frame, FrameError>> FrameReader::next() {
  for (;;) {
    std::size_t wanted = wire::kSizePrefixBytes;
    if (buffered() >= wire::kSizePrefixBytes) {
      const std::int32_t claimed = claimed_size();
      if (claimed < 0 || static_cast<std::size_t>(claimed) > limit_bytes_) {
        co_return std::unexpected(FrameError{.fault = FrameFault::too_large, .size = claimed, .error = {}});
      }
      const auto size = static_cast<std::size_t>(claimed);
      if (buffered() - wire::kSizePrefixBytes >= size) co_return take(size);
      wanted = wire::kSizePrefixBytes + size;
      if (wanted > kMaxBufferBytes) {
        Frame frame = take(size);
        std::size_t filled = frame.size();
        frame.resize(std::min(size, kFirstLargeBytes));
        while (filled < size) {
          // A claim costs a peer four bytes: memory follows what it really sends.
          if (filled == frame.size()) frame.resize(std::min(size, 2 * filled));
          const IoResult read = co_await read_some(*stream_, std::span(frame).subspan(filled));
          if (!read.ok()) co_return std::unexpected(FrameError{.fault = FrameFault::io, .error = read.error});
          if (read.bytes == 0) co_return std::unexpected(FrameError{.fault = FrameFault::truncated, .error = {}});
          filled += read.bytes;
        }
        co_return frame;
      }
    }
    make_room(wanted);
    const IoResult read = co_await read_some(*stream_, std::span(buffer_).subspan(end_));
    if (!read.ok()) co_return std::unexpected(FrameError{.fault = FrameFault::io, .error = read.error});
    if (read.bytes == 0) {
      co_return std::unexpected(
          FrameError{.fault = buffered() == 0 ? FrameFault::end : FrameFault::truncated, .error = {}});
    }
    end_ += read.bytes;
  }
}

}  // namespace verdict::protocol
