#include "protocol/client/connections.h"

#include <algorithm>

#include "runtime/assert.h"
#include "runtime/random.h"

namespace verdict::client {

Connections::Connections(Runtime& runtime, const ClientOptions& options, std::function<void()> on_lost)
    : runtime_(&runtime),
      rpc_{.client_id = options.client_id,
           .connect_timeout = options.connect_timeout,
           .max_response_bytes = options.max_response_bytes,
           .negotiate = true,
           .reconnect_backoff = options.reconnect_backoff,
           .reconnect_backoff_max = options.reconnect_backoff_max,
           .on_lost = std::move(on_lost)},
      entity_(options.entity),
      scope_(runtime) {
  VERDICT_ASSERT(!options.bootstrap.empty(), "a client needs a bootstrap server");
  for (const Endpoint& endpoint : options.bootstrap) bootstrap_.push_back({endpoint, nullptr});
  turn_ = static_cast<std::size_t>(scale_to(runtime.random(Purpose::Backoff, entity_), bootstrap_.size()));
}

Connections::~Connections() = default;

std::shared_ptr<RpcChannel> Connections::make(const Endpoint& to, std::uint64_t entity) {
  RpcOptions options = rpc_;
  options.entity = mix64(entity_, entity);
  return std::make_shared<RpcChannel>(*runtime_, to, std::move(options));
}

Task<void> Connections::retire_task(std::shared_ptr<RpcChannel> channel) { co_await channel->retire(); }

void Connections::retire(std::shared_ptr<RpcChannel> channel) {
  if (channel == nullptr) return;
  std::erase_if(retired_, [](const std::weak_ptr<RpcChannel>& old) { return old.expired(); });
  retired_.push_back(channel);
  scope_.spawn(retire_task(std::move(channel)));
}

void Connections::set_nodes(std::span<const std::pair<NodeId, Endpoint>> nodes) {
  if (closed_) return;
  std::map<NodeId, Node> now;
  for (const auto& [id, endpoint] : nodes) {
    const auto known = nodes_.find(id);
    const bool same = known != nodes_.end() && known->second.endpoint == endpoint;
    now.emplace(id, same ? std::move(known->second) : Node{endpoint, nullptr});
    if (same) nodes_.erase(known);
  }
  const std::map<NodeId, Node> gone = std::exchange(nodes_, std::move(now));
  for (const auto& [id, node] : gone) retire(node.channel);
}

std::shared_ptr<RpcChannel> Connections::node(NodeId id) {
  const auto known = nodes_.find(id);
  if (closed_ || known == nodes_.end()) return nullptr;
  Node& node = known->second;
  if (node.channel == nullptr) node.channel = make(node.endpoint, static_cast<std::uint64_t>(id.value()) + 1);
  return node.channel;
}

std::shared_ptr<RpcChannel> Connections::any(int attempt) {
  if (closed_) return nullptr;
  const std::size_t turn = turn_++;
  if (attempt == 0) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      auto candidate = std::next(nodes_.begin(), static_cast<std::ptrdiff_t>((turn + i) % nodes_.size()));
      if (candidate->second.channel != nullptr && candidate->second.channel->connected())
        return candidate->second.channel;
    }
  }
  const std::size_t round = nodes_.size() + 1;
  if (static_cast<std::size_t>(attempt) % round != nodes_.size()) {
    return node(std::next(nodes_.begin(), static_cast<std::ptrdiff_t>(turn % nodes_.size()))->first);
  }
  const std::size_t at = turn % bootstrap_.size();
  if (bootstrap_[at].channel == nullptr) bootstrap_[at].channel = make(bootstrap_[at].endpoint, ~std::uint64_t{at});
  return bootstrap_[at].channel;
}

Task<void> Connections::close() {
  closed_ = true;
  std::vector<std::shared_ptr<RpcChannel>> channels;
  for (const auto& [id, node] : nodes_) channels.push_back(node.channel);
  for (const Node& node : bootstrap_) channels.push_back(node.channel);
  for (const std::weak_ptr<RpcChannel>& old : retired_) channels.push_back(old.lock());
  std::erase(channels, nullptr);
  for (const std::shared_ptr<RpcChannel>& channel : channels) channel->disconnect();
  for (const std::shared_ptr<RpcChannel>& channel : channels) co_await channel->close();
  co_await scope_.join();
}

}  // namespace verdict::client
