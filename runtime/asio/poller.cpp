#include "runtime/asio/poller.h"

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstddef>

#include "runtime/assert.h"

namespace verdict::real {
namespace {

namespace asio = boost::asio;

// Room for one of Asio's wait operations, so that arming allocates nothing.
struct Slot {
  static constexpr std::size_t kSize = 256;
  alignas(std::max_align_t) std::byte bytes[kSize];
  bool used = false;
};

template <class T>
struct SlotAllocator {
  using value_type = T;
  Slot* slot;

  explicit SlotAllocator(Slot* s) : slot(s) {}
  template <class U>
  SlotAllocator(const SlotAllocator<U>& other) : slot(other.slot) {}
  T* allocate(std::size_t n) {
    VERDICT_ASSERT(n * sizeof(T) <= Slot::kSize && !slot->used);
    slot->used = true;
    return reinterpret_cast<T*>(slot->bytes);
  }
  void deallocate(T*, std::size_t) { slot->used = false; }
  template <class U>
  friend bool operator==(const SlotAllocator& a, const SlotAllocator<U>& b) {
    return a.slot == b.slot;
  }
};

}  // namespace

struct Poller::Context {
  // Only the loop's thread touches descriptors; other threads only post.
  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::unique_ptr<asio::signal_set> signals;
  std::function<void(int)> on_signal;
  std::size_t watches = 0;

  void await_signal() {
    signals->async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      await_signal();
      on_signal(number);
    });
  }
};

struct Poller::AsioWatch final : Watch {
  struct Fired {
    AsioWatch* watch;
    bool write;

    using allocator_type = SlotAllocator<void>;
    allocator_type get_allocator() const noexcept {
      return allocator_type(write ? &watch->write_slot : &watch->read_slot);
    }
    void operator()(const boost::system::error_code&) const { watch->fired(write); }
  };

  explicit AsioWatch(Context& c) : context(&c), handle(c.io) { ++context->watches; }
  ~AsioWatch() { --context->watches; }

  void arm(bool write) {
    handle.async_wait(write ? asio::posix::descriptor_base::wait_write : asio::posix::descriptor_base::wait_read,
                      Fired{this, write});
  }
  void fired(bool write) {
    (write ? write_armed_ : read_armed_) = false;
    if (client_ == nullptr) {
      if (!read_armed_ && !write_armed_) delete this;
    } else if (write) {
      client_->on_writable();
    } else {
      client_->on_readable();
    }
  }

  using Watch::client_;
  using Watch::descriptor_;
  using Watch::read_armed_;
  using Watch::write_armed_;
  Context* context;
  Slot read_slot;
  Slot write_slot;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> handle;
};

void Watch::arm_read() {
  if (std::exchange(read_armed_, true)) return;
  static_cast<Poller::AsioWatch*>(this)->arm(false);
}

void Watch::arm_write() {
  if (std::exchange(write_armed_, true)) return;
  static_cast<Poller::AsioWatch*>(this)->arm(true);
}

void Watch::close() {
  auto* self = static_cast<Poller::AsioWatch*>(this);
  client_ = nullptr;
  descriptor_ = -1;
  boost::system::error_code ignored;
  self->handle.close(ignored);
  // What is armed comes back as aborted through the loop and deletes then.
  if (!read_armed_ && !write_armed_) delete self;
}

Poller::Poller() : context_(std::make_unique<Context>()) {}

Poller::~Poller() {
  if (context_->signals) context_->signals->cancel();
  while (context_->io.poll() != 0) {
  }
  VERDICT_ASSERT(context_->watches == 0, "a stream or listener outlives its runtime");
}

std::expected<Watch*, std::error_code> Poller::watch(int descriptor, Watch::Client* client) {
  auto* made = new AsioWatch(*context_);
  boost::system::error_code error;
  made->handle.assign(descriptor, error);
  if (error) {
    ::close(descriptor);
    delete made;
    return std::unexpected(std::error_code(error.value(), std::generic_category()));
  }
  made->descriptor_ = descriptor;
  made->client_ = client;
  return made;
}

bool Poller::run_one(Duration max_wait) {
  if (max_wait <= Duration::zero()) return context_->io.poll_one() != 0;
  if (max_wait == Duration::max()) return context_->io.run_one() != 0;
  return context_->io.run_one_for(max_wait) != 0;
}

void Poller::wake() {
  asio::post(context_->io, [] {});
}

void Poller::on_signal(std::function<void(int)> callback) {
  context_->on_signal = std::move(callback);
  if (context_->signals) return;
  context_->signals = std::make_unique<asio::signal_set>(context_->io, SIGTERM, SIGINT);
  context_->await_signal();
}

}  // namespace verdict::real
