#include "protocol/client/rpc.h"

#include <algorithm>
#include <array>

#include "protocol/wire/errors.h"
#include "protocol/wire/gen/api_versions.h"
#include "runtime/io.h"
#include "runtime/random.h"

namespace verdict::client {

struct RpcChannel::Call {
  explicit Call(Runtime& runtime) : done(runtime) {}
  Signal done;
  bool finished = false;
  Exchanged answer = std::unexpected(RpcFault::disconnected);

  void finish(Exchanged result) {
    answer = std::move(result);
    finished = true;
    done.notify();
  }
};

struct RpcChannel::Link {
  Link(Runtime& runtime, std::unique_ptr<Stream> connected, std::size_t limit)
      : stream(std::move(connected)), reader(*stream, limit), wake_writer(runtime) {}
  std::unique_ptr<Stream> stream;
  protocol::FrameReader reader;
  std::deque<Call*> waiting;  // in the order of their requests
  std::vector<std::vector<std::byte>> outgoing;
  Signal wake_writer;
  bool dead = false;
};

namespace {

constexpr std::size_t kMaxGather = 32;
constexpr std::string_view kSoftwareName = "verdict";
constexpr std::string_view kSoftwareVersion = "1";
constexpr int kMaxDoublings = 16;

// connect() as an awaitable whose Op can be found for a cancel.
class Connecting : public Op {
 public:
  Connecting(Network& network, const Endpoint& to, std::unique_ptr<Stream>& into, Op*& registered)
      : network_(&network), to_(&to), into_(&into), registered_(&registered) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    complete = [](Op* op) {
      auto* self = static_cast<Connecting*>(op);
      *self->registered_ = nullptr;
      self->waiter_.resume();
    };
    if (network_->connect(*this, *to_, *into_)) return false;
    *registered_ = this;
    return true;
  }
  IoResult await_resume() const noexcept { return {bytes, error}; }

 private:
  Network* network_;
  const Endpoint* to_;
  std::unique_ptr<Stream>* into_;
  Op** registered_;
  std::coroutine_handle<> waiter_;
};

}  // namespace

Duration backoff(Duration base, Duration max, int failures, std::uint64_t draw) {
  const int doublings = std::min(failures, kMaxDoublings);
  const std::int64_t full = std::min(base.count() << doublings, max.count());
  const std::int64_t fifth = full / 5;
  const auto jitter = static_cast<std::int64_t>(scale_to(draw, static_cast<std::uint64_t>(2 * fifth + 1)));
  return Duration(full - fifth + jitter);
}

RpcChannel::RpcChannel(Runtime& runtime, Endpoint to, RpcOptions options)
    : runtime_(&runtime),
      to_(std::move(to)),
      options_(std::move(options)),
      connect_done_(runtime),
      idle_(runtime),
      scope_(runtime) {}

void RpcChannel::drop(Link& link, RpcFault fault) {
  if (link.dead) return;
  link.dead = true;
  link.stream->close();
  link.wake_writer.notify();
  for (Call* call : std::exchange(link.waiting, {})) call->finish(std::unexpected(fault));
  if (link_.get() == &link) {
    link_.reset();
    hold_back(0);
    if (options_.on_lost && !closed_) options_.on_lost();
  }
}

void RpcChannel::disconnect() {
  if (const std::shared_ptr<Link> link = link_) drop(*link, RpcFault::disconnected);
}

void RpcChannel::give_up_connecting() {
  if (connect_op_ != nullptr) runtime_->cancel(*std::exchange(connect_op_, nullptr));
  if (negotiating_ != nullptr) negotiating_->stream->close();
}

void RpcChannel::hold_back(int failures) {
  if (options_.reconnect_backoff <= Duration::zero()) return;
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, options_.entity);
  not_before_ = runtime_->now() + backoff(options_.reconnect_backoff, options_.reconnect_backoff_max, failures, draw);
}

void RpcChannel::end_call() {
  VERDICT_ASSERT(calls_ != 0);
  if (--calls_ == 0) idle_.notify();
}

Task<void> RpcChannel::close() {
  closed_ = true;
  disconnect();
  give_up_connecting();
  connect_done_.notify();
  co_await scope_.join();
  while (calls_ != 0) co_await idle_.wait();
}

Task<void> RpcChannel::retire() {
  while (calls_ != 0) co_await idle_.wait();
  co_await close();
}

std::optional<int> RpcChannel::version(wire::ApiKey api, int lowest, int highest) const {
  VERDICT_ASSERT(options_.negotiate);
  const auto key = static_cast<std::int16_t>(api);
  const auto served = std::ranges::lower_bound(versions_, key, {}, &ServedVersions::api);
  if (served == versions_.end() || served->api != key) return std::nullopt;
  const int version = std::min<int>(highest, served->highest);
  if (version < std::max<int>(lowest, served->lowest)) return std::nullopt;
  return version;
}

std::int16_t RpcChannel::feature(std::string_view name) const {
  const auto found = std::ranges::find(features_, name, &std::pair<std::string, std::int16_t>::first);
  return found == features_.end() ? std::int16_t{0} : found->second;
}

// The version to ask in again, -1 if `versions_` is filled in, none if the answer is of no use.
std::optional<int> RpcChannel::take_versions(int version, std::int32_t correlation, protocol::Frame frame) {
  constexpr std::size_t kErrorCodeAt = 4;  // after the correlation id: the header is v0 whatever the version
  if (frame.size() < kErrorCodeAt + 2) return std::nullopt;
  const int code = std::to_integer<int>(frame[kErrorCodeAt]) << 8 | std::to_integer<int>(frame[kErrorCodeAt + 1]);
  const bool unknown_version = code == wire::code(wire::ErrorCode::UNSUPPORTED_VERSION);
  std::int32_t echoed = 0;
  const auto answer =
      wire::decode_response<wire::ApiVersionsResponse>(unknown_version ? 0 : version, std::move(frame), &echoed);
  if (!answer || echoed != correlation || (code != 0 && !unknown_version)) return std::nullopt;
  versions_.clear();
  for (const auto& api : (*answer)->api_keys) versions_.push_back({api.api_key, api.min_version, api.max_version});
  std::ranges::sort(versions_, {}, &ServedVersions::api);
  features_.clear();
  for (const auto& known : (*answer)->finalized_features)
    features_.emplace_back(std::string(known.name), known.max_version_level);
  if (!unknown_version) return -1;
  const std::optional<int> again = this->version(wire::ApiKey::ApiVersions, 0, version - 1);
  return again.value_or(0);  // a broker that lists nothing speaks 0
}

Task<bool> RpcChannel::negotiate(std::shared_ptr<Link> link) {
  int version = wire::ApiVersionsRequest::highest_version;
  for (;;) {
    const std::int32_t correlation = next_correlation();
    const wire::ApiVersionsRequest request{.client_software_name = kSoftwareName,
                                           .client_software_version = kSoftwareVersion};
    const Encoded encoded = wire::encode_request(version, correlation, options_.client_id, request);
    if (!encoded) co_return false;
    const std::array<ConstBuffer, 1> buffer{ConstBuffer{encoded->data(), encoded->size()}};
    const IoResult written = co_await write_all(*link->stream, buffer);
    if (!written.ok()) co_return false;
    std::expected<protocol::Frame, protocol::FrameError> frame = co_await link->reader.next();
    if (!frame) co_return false;
    const std::optional<int> again = take_versions(version, correlation, std::move(*frame));
    if (!again || *again >= version) co_return false;
    if (*again < 0) co_return true;
    version = *again;
  }
}

Task<void> RpcChannel::connect_task() {
  std::unique_ptr<Stream> stream;
  const IoResult connected = co_await Connecting(runtime_->network(), to_, stream, connect_op_);
  bool usable = connected.ok() && !closed_;
  std::shared_ptr<Link> link;
  if (usable) link = std::make_shared<Link>(*runtime_, std::move(stream), options_.max_response_bytes);
  if (usable && options_.negotiate) {
    negotiating_ = link.get();
    usable = co_await negotiate(link);
    negotiating_ = nullptr;
  }
  connecting_ = false;
  if (usable && !closed_) {
    failures_ = 0;
    link_ = link;
    scope_.spawn(read_task(link));
  } else {
    hold_back(failures_++);
  }
  connect_done_.notify();
}

Task<bool> RpcChannel::ensure_connected(MonoTime deadline) {
  bool attempted = false;
  for (;;) {
    if (closed_) co_return false;
    if (link_ != nullptr) co_return true;
    const MonoTime now = runtime_->now();
    if (now >= deadline) co_return false;
    if (connecting_) {
      attempted = true;
      if (now >= connect_deadline_) {
        give_up_connecting();
        co_return false;
      }
      co_await connect_done_.wait_until(std::min(deadline, connect_deadline_));
    } else if (attempted) {
      co_return false;
    } else if (now < not_before_) {
      co_await connect_done_.wait_until(std::min(deadline, not_before_));
    } else {
      connecting_ = true;
      attempted = true;
      connect_deadline_ = now + options_.connect_timeout;
      scope_.spawn(connect_task());
    }
  }
}

Task<bool> RpcChannel::ready(MonoTime deadline) {
  ++calls_;
  const bool connected = co_await ensure_connected(deadline);
  end_call();
  co_return connected;
}

Task<void> RpcChannel::read_task(std::shared_ptr<Link> link) {
  scope_.spawn(write_task(link));
  while (!link->dead) {
    std::expected<protocol::Frame, protocol::FrameError> frame = co_await link->reader.next();
    if (link->dead) break;
    if (!frame || link->waiting.empty()) {
      drop(*link, RpcFault::disconnected);
      break;
    }
    Call* call = link->waiting.front();
    link->waiting.pop_front();
    call->finish(std::move(*frame));
  }
}

Task<void> RpcChannel::write_task(std::shared_ptr<Link> link) {
  std::vector<std::vector<std::byte>> batch;  // takes turns with link->outgoing
  while (!link->dead) {
    batch.clear();
    batch.swap(link->outgoing);
    if (batch.empty()) {
      co_await link->wake_writer.wait();
      continue;
    }
    for (std::size_t first = 0; first < batch.size() && !link->dead; first += kMaxGather) {
      std::array<ConstBuffer, kMaxGather> buffers;
      const std::size_t count = std::min(kMaxGather, batch.size() - first);
      for (std::size_t i = 0; i < count; ++i) buffers[i] = {batch[first + i].data(), batch[first + i].size()};
      const IoResult written = co_await write_all(*link->stream, std::span(buffers).first(count));
      if (!written.ok()) drop(*link, RpcFault::disconnected);
    }
  }
}

Task<RpcChannel::Exchanged> RpcChannel::exchange(Encoded request, MonoTime deadline) {
  if (!request) co_return std::unexpected(RpcFault::not_encodable);
  ++calls_;
  const bool connected = co_await ensure_connected(deadline);
  Exchanged result = std::unexpected(RpcFault::not_connected);
  if (connected && link_ != nullptr) {
    const std::shared_ptr<Link> link = link_;
    Call call(*runtime_);
    link->waiting.push_back(&call);
    link->outgoing.push_back(std::move(*request));
    link->wake_writer.notify();
    while (!call.finished) {
      const bool notified = co_await call.done.wait_until(deadline);
      if (!notified && !call.finished) {
        std::erase(link->waiting, &call);
        call.finish(std::unexpected(RpcFault::timed_out));
        drop(*link, RpcFault::disconnected);
      }
    }
    result = std::move(call.answer);
  }
  end_call();
  co_return result;
}

Task<std::expected<void, RpcFault>> RpcChannel::one_way(Encoded request, MonoTime deadline) {
  if (!request) co_return std::unexpected(RpcFault::not_encodable);
  ++calls_;
  const bool connected = co_await ensure_connected(deadline);
  const bool sent = connected && link_ != nullptr;
  if (sent) {
    link_->outgoing.push_back(std::move(*request));
    link_->wake_writer.notify();
  }
  end_call();
  if (!sent) co_return std::unexpected(RpcFault::not_connected);
  co_return std::expected<void, RpcFault>();
}

}  // namespace verdict::client
