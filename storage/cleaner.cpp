#include "storage/cleaner.h"

#include <algorithm>

#include "runtime/io.h"

namespace verdict::storage {
namespace {

constexpr std::size_t kSlice = 64 << 10;  // bytes between two turns of others: below a millisecond
constexpr Duration kWindow = 300ms;       // over which the rate is measured, as Kafka does

auto yield(Runtime& runtime) {
  return Awaited([&runtime](Op& op) {
    runtime.post(op);
    return false;
  });
}

}  // namespace

Cleaner::Cleaner(Runtime& runtime, const CleanerOptions& options)
    : runtime_(runtime),
      options_(options),
      map_(options.dedupe_bytes, options.load_percent, runtime.random(Purpose::CleanerHash, 0)),
      wake_(runtime) {}

Task<void> Cleaner::pace(std::size_t bytes) {
  since_yield_ += bytes;
  if (since_yield_ < kSlice || stopping_) co_return;
  window_bytes_ += static_cast<std::int64_t>(since_yield_);
  since_yield_ = 0;
  if (options_.bytes_per_second == std::numeric_limits<std::int64_t>::max()) {
    co_await yield(runtime_);
    co_return;
  }
  const MonoTime now = runtime_.now();
  if (now - window_start_ > kWindow) {
    window_start_ = now;
    window_bytes_ = 0;
  }
  const auto due = static_cast<std::int64_t>(static_cast<double>(window_bytes_) * 1e9 /
                                             static_cast<double>(std::max<std::int64_t>(options_.bytes_per_second, 1)));
  const MonoTime until = window_start_ + Duration(due);
  while (!stopping_ && runtime_.now() < until) co_await wake_.wait_until(until);
  if (until <= now) co_await yield(runtime_);
}

}  // namespace verdict::storage
