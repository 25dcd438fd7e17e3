#include "runtime/asio/asio_runtime.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>

#include "runtime/asio/disk.h"
#include "runtime/asio/logger.h"
#include "runtime/asio/network.h"
#include "runtime/random.h"

namespace verdict {
namespace {

// The kernel's generator, some numbers a call.
class KernelRandom {
 public:
  std::uint64_t next() {
    if (left_ == 0) refill();
    return numbers_[--left_];
  }

 private:
  void refill() {
    auto* bytes = reinterpret_cast<unsigned char*>(numbers_.data());
    for (std::size_t done = 0; done < sizeof numbers_;) {
      const ssize_t n = ::getrandom(bytes + done, sizeof numbers_ - done, 0);
      VERDICT_ASSERT(n > 0 || errno == EINTR);
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    left_ = numbers_.size();
  }
  std::array<std::uint64_t, 32> numbers_{};
  std::size_t left_ = 0;
};

}  // namespace

struct AsioRuntime::Parts {
  explicit Parts(AsioOptions given) : options(std::move(given)), loop(options.disk_workers) {
    if (!options.seed) return;
    for (std::size_t i = 0; i < kPurposeCount; ++i) seeded.emplace_back(mix64(*options.seed, i));
  }

  const AsioOptions options;
  const DefectSet no_defects;
  KernelRandom kernel_random;
  std::vector<KeyedRandom> seeded;  // by purpose; empty without a seed
  real::Loop loop;
  real::RealNetwork network{loop};
  real::RealDisk disk{loop};
};

AsioRuntime::AsioRuntime(AsioOptions options) : parts_(std::make_unique<Parts>(std::move(options))) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

AsioRuntime::~AsioRuntime() = default;

void AsioRuntime::run() { parts_->loop.run(); }
void AsioRuntime::stop() { parts_->loop.stop(); }
bool AsioRuntime::turn(Duration max_wait) { return parts_->loop.turn(max_wait); }
void AsioRuntime::on_signal(std::function<void(int)> callback) { parts_->loop.poller.on_signal(std::move(callback)); }

MonoTime AsioRuntime::now() const { return real::monotonic_now(); }

WallTime AsioRuntime::wall_now() const {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return WallTime(std::chrono::milliseconds(time.tv_sec * 1000 + time.tv_nsec / 1'000'000));
}

bool AsioRuntime::sleep_until(Op& op, MonoTime when) { return parts_->loop.sleep_until(op, when); }

void AsioRuntime::post(Op& op) {
  VERDICT_ASSERT(op.owner == nullptr);
  parts_->loop.defer(op, 0, {});
}

void AsioRuntime::cancel(Op& op) {
  if (op.owner != nullptr) static_cast<real::Driver*>(op.owner)->cancel(op);
}

Network& AsioRuntime::network() { return parts_->network; }
Disk& AsioRuntime::disk() { return parts_->disk; }

std::uint64_t AsioRuntime::random(Purpose purpose, std::uint64_t entity) {
  if (parts_->seeded.empty()) return parts_->kernel_random.next();
  return mix64(parts_->seeded[static_cast<std::size_t>(purpose)].next(), entity);
}

const DefectSet& AsioRuntime::defects() const { return parts_->no_defects; }

bool AsioRuntime::logs(LogLevel level) const { return level >= parts_->options.log_level; }

void AsioRuntime::log(LogLevel level, std::string_view logger, std::string_view message) {
  if (!logs(level)) return;
  real::write_log(parts_->options.log_descriptor, parts_->options.log_format, wall_now(), level, logger, message);
}

void AsioRuntime::halt(std::string_view reason) {
  log(LogLevel::error, "runtime", reason);
  if (!parts_->options.on_halt) ::_exit(1);
  parts_->options.on_halt(reason);
}

}  // namespace verdict
