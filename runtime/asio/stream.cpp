#include "runtime/asio/stream.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace verdict::real {
namespace {

constexpr std::size_t kMaxBuffers = 64;
constexpr std::size_t kSendFileStep = 1024 * 1024;
constexpr int kSendFileStepsATurn = 8;
constexpr unsigned kMaxVainTries = 4;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

RealStream::RealStream(Loop& loop, Watch& watch, std::string peer)
    : loop_(loop), watch_(&watch), peer_(std::move(peer)) {
  watch.set_client(*this);
  ++loop_.users;
  warm_op_.stream = this;
  warm_op_.complete = [](Op* op) {
    RealStream& stream = *static_cast<WarmOp*>(op)->stream;
    if (stream.write_canceled_) {
      stream.finish_write({true, stream.write_done_, canceled_error()});
    } else if (op->error) {
      stream.finish_write({true, stream.write_done_, op->error});
    } else {
      stream.sending_.warm_end = stream.sending_.offset + std::min(stream.sending_.left, kSendFileStep);
      stream.on_writable();
    }
  };
}

RealStream::~RealStream() {
  VERDICT_ASSERT(read_op_ == nullptr && write_op_ == nullptr, "a stream died with an operation in flight");
  close();
  --loop_.users;
}

RealStream::Result RealStream::try_read() {
  std::byte peeked{};
  for (;;) {
    const ssize_t n = into_.empty() ? ::recv(watch_->descriptor(), &peeked, 1, MSG_DONTWAIT | MSG_PEEK)
                                    : ::recv(watch_->descriptor(), into_.data(), into_.size(), MSG_DONTWAIT);
    if (n >= 0) return {true, into_.empty() ? 0 : static_cast<std::size_t>(n)};
    if (would_block(errno)) return {};
    if (errno != EINTR) return {true, 0, last_error()};
  }
}

bool RealStream::read_some(Op& op, std::span<std::byte> into) {
  VERDICT_ASSERT(read_op_ == nullptr && !into.empty());
  if (watch_ == nullptr) return loop_.finish(op, 0, errno_code(EBADF));
  into_ = into;
  if (skip_tries_ > 0) {
    --skip_tries_;
  } else if (const Result result = try_read(); result.done) {
    vain_tries_ = 0;
    return loop_.finish(op, result.bytes, result.error);
  } else {
    vain_tries_ = std::min(vain_tries_ + 1, kMaxVainTries);
    skip_tries_ = (1U << vain_tries_) - 1;
  }
  read_op_ = &op;
  op.owner = static_cast<Driver*>(this);
  watch_->arm_read();
  return false;
}

bool RealStream::wait_readable(Op& op) {
  VERDICT_ASSERT(read_op_ == nullptr);
  if (watch_ == nullptr) return loop_.finish(op, 0, errno_code(EBADF));
  into_ = {};
  if (try_read().done) return loop_.finish(op, 0, {});
  read_op_ = &op;
  op.owner = static_cast<Driver*>(this);
  watch_->arm_read();
  return false;
}

void RealStream::on_readable() {
  if (read_op_ == nullptr) {
    skip_tries_ = 0;
    return;
  }
  const Result result = try_read();
  if (!result.done) {
    watch_->arm_read();
    return;
  }
  // A full buffer: there may be more.
  if (result.bytes == into_.size()) skip_tries_ = 0;
  Op& op = *std::exchange(read_op_, nullptr);
  loop_.complete(op, result.bytes, into_.empty() ? std::error_code{} : result.error);
}

// Writes from `vectors` on, keeping what is left at their place.
RealStream::Result RealStream::try_write(iovec* vectors, std::size_t count) {
  std::size_t first = 0;
  while (first < count && vectors[first].iov_len == 0) ++first;
  while (first < count) {
    msghdr message{};
    message.msg_iov = vectors + first;
    message.msg_iovlen = count - first;
    const ssize_t n = ::sendmsg(watch_->descriptor(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (!would_block(errno)) return {true, write_done_, last_error()};
      break;
    }
    write_done_ += static_cast<std::size_t>(n);
    auto rest = static_cast<std::size_t>(n);
    while (first < count && rest >= vectors[first].iov_len) rest -= vectors[first++].iov_len;
    if (first == count) break;
    vectors[first] = {static_cast<std::byte*>(vectors[first].iov_base) + rest, vectors[first].iov_len - rest};
    break;  // the socket's buffer is full
  }
  first_vector_ = first;
  return {first == count, write_done_};
}

bool RealStream::write(Op& op, std::span<const ConstBuffer> buffers) {
  VERDICT_ASSERT(write_op_ == nullptr && buffers.size() <= kMaxBuffers);
  if (watch_ == nullptr) return loop_.finish(op, 0, errno_code(EBADF));
  std::array<iovec, kMaxBuffers> vectors;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    vectors[i] = {const_cast<std::byte*>(buffers[i].data), buffers[i].size};
  }
  sending_ = {};
  write_done_ = 0;
  const Result result = try_write(vectors.data(), buffers.size());
  if (!result.done) {
    if (!vectors_) vectors_ = std::make_unique_for_overwrite<iovec[]>(kMaxBuffers);
    vector_count_ = buffers.size() - first_vector_;
    std::copy_n(vectors.data() + first_vector_, vector_count_, vectors_.get());
    first_vector_ = 0;
  }
  return start_write(op, result);
}

bool RealStream::start_write(Op& op, Result result) {
  if (result.done) return loop_.finish(op, result.bytes, result.error);
  write_op_ = &op;
  op.owner = static_cast<Driver*>(this);
  if (warm_op_.owner == nullptr) watch_->arm_write();
  return false;
}

bool RealStream::send_file(Op& op, File& file, std::uint64_t offset, std::size_t size) {
  VERDICT_ASSERT(write_op_ == nullptr);
  if (watch_ == nullptr) return loop_.finish(op, 0, errno_code(EBADF));
  sending_ = {static_cast<RealFile*>(&file), offset, offset, size};
  write_done_ = 0;
  return start_write(op, try_send_file());
}

// Not done means: waits for the socket, or (warm_op_ in flight) for the disk.
RealStream::Result RealStream::try_send_file() {
  for (int step = 0; step < kSendFileStepsATurn; ++step) {
    if (sending_.left == 0) return {true, write_done_};
    if (sending_.offset >= sending_.warm_end) {
      const std::size_t size = std::min(sending_.left, kSendFileStep);
      if (!sending_.file->resident(sending_.offset, size)) {
        sending_.file->warm(warm_op_, sending_.offset, size);
        return {};
      }
      sending_.warm_end = sending_.offset + size;
    }
    auto offset = static_cast<off_t>(sending_.offset);
    const std::size_t size = std::min<std::size_t>(sending_.left, sending_.warm_end - sending_.offset);
    const ssize_t n = ::sendfile(watch_->descriptor(), sending_.file->descriptor(), &offset, size);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (would_block(errno)) return {};
      return {true, write_done_, last_error()};
    }
    if (n == 0) return {true, write_done_, errno_code(EIO)};  // the file ends before the range
    sending_.offset += static_cast<std::uint64_t>(n);
    sending_.left -= static_cast<std::size_t>(n);
    write_done_ += static_cast<std::size_t>(n);
  }
  return {sending_.left == 0, write_done_};  // others' turn
}

void RealStream::on_writable() {
  if (write_op_ == nullptr || warm_op_.owner != nullptr) return;
  Result result;
  if (sending_.file != nullptr) {
    result = try_send_file();
  } else {
    iovec* const rest = vectors_.get() + first_vector_;
    const std::size_t before = first_vector_;
    result = try_write(rest, vector_count_ - before);
    first_vector_ += before;
  }
  if (result.done) {
    finish_write(result);
  } else if (warm_op_.owner == nullptr) {
    watch_->arm_write();
  }
}

void RealStream::finish_write(Result result) {
  Op& op = *std::exchange(write_op_, nullptr);
  write_canceled_ = false;
  loop_.complete(op, result.bytes, result.error);
}

void RealStream::cancel(Op& op) {
  if (&op == read_op_) {
    read_op_ = nullptr;
    loop_.defer(op, 0, canceled_error());
  } else if (&op == write_op_) {
    if (warm_op_.owner != nullptr) {
      write_canceled_ = true;
      return;
    }
    write_op_ = nullptr;
    loop_.defer(op, write_done_, canceled_error());
  }
}

void RealStream::shutdown_write() {
  if (watch_ != nullptr) ::shutdown(watch_->descriptor(), SHUT_WR);
}

void RealStream::close() {
  if (watch_ == nullptr) return;
  if (read_op_ != nullptr) cancel(*read_op_);
  if (write_op_ != nullptr) cancel(*write_op_);
  std::exchange(watch_, nullptr)->close();
}

}  // namespace verdict::real
