#pragma once

#include <sys/uio.h>

#include <memory>

#include "runtime/asio/disk.h"

namespace verdict::real {

// A connected TCP socket. A start tries the system call first and waits for readiness only if it would block.
class RealStream final : public Stream, private Driver, private Watch::Client {
 public:
  RealStream(Loop& loop, Watch& watch, std::string peer);
  ~RealStream() override;

  bool read_some(Op&, std::span<std::byte> into) override;
  bool wait_readable(Op&) override;
  bool write(Op&, std::span<const ConstBuffer> buffers) override;
  bool can_send_file() const override { return true; }
  bool send_file(Op&, File& file, std::uint64_t offset, std::size_t size) override;
  void cancel(Op&) override;
  void shutdown_write() override;
  void close() override;
  std::string peer() const override { return peer_; }

 private:
  struct Result {
    bool done = false;
    std::size_t bytes = 0;
    std::error_code error{};
  };
  struct Sending {
    RealFile* file = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t warm_end = 0;  // up to here the file is known to be in memory
    std::size_t left = 0;
  };
  struct WarmOp : Op {
    RealStream* stream = nullptr;
  };

  void on_readable() override;
  void on_writable() override;
  Result try_read();
  Result try_write(iovec* vectors, std::size_t count);
  Result try_send_file();
  bool start_write(Op& op, Result result);
  void finish_write(Result result);

  Loop& loop_;
  Watch* watch_;  // null once closed
  const std::string peer_;

  Op* read_op_ = nullptr;
  std::span<std::byte> into_;  // empty for wait_readable
  // After a read that left nothing a try is mostly in vain: so many starts wait at once. Doubles with each vain try.
  unsigned skip_tries_ = 0;
  unsigned vain_tries_ = 0;

  Op* write_op_ = nullptr;
  std::size_t write_done_ = 0;
  std::unique_ptr<iovec[]> vectors_;  // what is left of a write that would block; allocated at the first one
  std::size_t first_vector_ = 0;
  std::size_t vector_count_ = 0;
  Sending sending_;
  WarmOp warm_op_;
  bool write_canceled_ = false;  // while the worker reads for send_file
};

}  // namespace verdict::real
