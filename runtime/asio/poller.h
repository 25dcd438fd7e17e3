#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <system_error>

#include "runtime/time.h"

namespace verdict::real {

// Readiness of one descriptor, which it owns. Edges are remembered by the kernel: arming is right whether the
// descriptor became ready before or after.
class Watch {
 public:
  class Client {
   public:
    virtual void on_readable() = 0;
    virtual void on_writable() = 0;

   protected:
    ~Client() = default;
  };

  int descriptor() const { return descriptor_; }
  // The client is called once, from the loop, when the descriptor is readable (writable) or broken.
  void arm_read();
  void arm_write();
  void set_client(Client& client) { client_ = &client; }
  // Closes the descriptor; the client is not called any more. Ends the life of this object.
  void close();

 protected:
  Watch() = default;
  ~Watch() = default;

  Client* client_ = nullptr;
  int descriptor_ = -1;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

// The reactor: the only part of the project that names Boost.Asio.
class Poller {
 public:
  Poller();
  ~Poller();  // every watch must be closed

  // Takes over the descriptor, also on failure (then it is closed).
  std::expected<Watch*, std::error_code> watch(int descriptor, Watch::Client* client);
  // Runs one ready callback, waiting at most max_wait (Duration::max(): for ever) for it. False if none ran.
  bool run_one(Duration max_wait);
  void wake();  // from any thread: run_one returns
  void on_signal(std::function<void(int)> callback);

 private:
  friend class Watch;
  struct Context;
  struct AsioWatch;
  std::unique_ptr<Context> context_;
};

}  // namespace verdict::real
