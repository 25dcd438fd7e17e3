#include "protocol/broker/broker_channels.h"

#include <fmt/format.h>

#include <utility>

#include "protocol/broker/replica_manager.h"

namespace verdict::broker {
namespace {

constexpr Duration kConnectTimeout = 2s;

}  // namespace

BrokerChannels::BrokerChannels(Runtime& runtime, const protocol::BrokerConfig& config,
                               const protocol::MetadataImage& image, std::string purpose)
    : runtime_(&runtime), config_(&config), image_(&image), purpose_(std::move(purpose)), scope_(runtime) {}

std::shared_ptr<client::RpcChannel> BrokerChannels::to(NodeId node) {
  const auto at = listener_of(*image_, node, config_->inter_broker_listener_name());
  if (!at || stopping_) return nullptr;
  std::shared_ptr<client::RpcChannel>& channel = channels_[node];
  if (channel != nullptr && channel->endpoint() != *at) scope_.spawn(retire(std::exchange(channel, nullptr)));
  if (channel == nullptr) {
    channel = std::make_shared<client::RpcChannel>(
        *runtime_, *at,
        client::RpcOptions{.client_id = fmt::format("broker-{}-{}", config_->node_id().value(), purpose_),
                           .connect_timeout = kConnectTimeout});
  }
  return channel;
}

Task<void> BrokerChannels::retire(std::shared_ptr<client::RpcChannel> channel) { co_await channel->retire(); }

Task<void> BrokerChannels::stop() {
  stopping_ = true;
  for (const auto& [node, channel] : std::exchange(channels_, {})) co_await channel->close();
  co_await scope_.join();
}

}  // namespace verdict::broker
