#include "protocol/client/rpc.h"

#include <algorithm>

#include "runtime/io.h"

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
  if (link_.get() == &link) link_.reset();
}

void RpcChannel::disconnect() {
  if (const std::shared_ptr<Link> link = link_) drop(*link, RpcFault::disconnected);
}

Task<void> RpcChannel::close() {
  closed_ = true;
  disconnect();
  if (connect_op_ != nullptr) runtime_->cancel(*connect_op_);
  co_await scope_.join();
  while (calls_ != 0) co_await idle_.wait();
}

Task<void> RpcChannel::connect_task() {
  std::unique_ptr<Stream> stream;
  const IoResult connected = co_await Connecting(runtime_->network(), to_, stream, connect_op_);
  connecting_ = false;
  if (connected.ok() && !closed_) {
    link_ = std::make_shared<Link>(*runtime_, std::move(stream), options_.max_response_bytes);
    scope_.spawn(read_task(link_));
  }
  connect_done_.notify();
}

Task<bool> RpcChannel::ensure_connected(MonoTime deadline) {
  if (closed_) co_return false;
  if (link_ != nullptr) co_return true;
  if (!connecting_) {
    connecting_ = true;
    scope_.spawn(connect_task());
  }
  const MonoTime give_up = std::min(deadline, runtime_->now() + options_.connect_timeout);
  while (connecting_) {
    const bool notified = co_await connect_done_.wait_until(give_up);
    if (!notified && connecting_) {
      if (connect_op_ != nullptr) runtime_->cancel(*connect_op_);
      co_return false;
    }
  }
  co_return link_ != nullptr;
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
  while (!link->dead) {
    if (link->outgoing.empty()) {
      co_await link->wake_writer.wait();
      continue;
    }
    const std::vector<std::vector<std::byte>> batch = std::exchange(link->outgoing, {});
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
  if (--calls_ == 0) idle_.notify();
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
  if (--calls_ == 0) idle_.notify();
  if (!sent) co_return std::unexpected(RpcFault::not_connected);
  co_return std::expected<void, RpcFault>();
}

}  // namespace verdict::client
