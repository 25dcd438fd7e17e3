#include "protocol/client/coordinator.h"

#include <optional>
#include <utility>

#include "protocol/wire/gen/find_coordinator.h"

namespace verdict::client {
namespace {

constexpr int kKeysFrom = 4;

}  // namespace

CoordinatorLink::CoordinatorLink(Connections& connections, Metadata& metadata, CoordinatorKind kind, std::string key)
    : connections_(&connections), metadata_(&metadata), kind_(kind), key_(std::move(key)) {}

Task<std::shared_ptr<RpcChannel>> CoordinatorLink::get(MonoTime deadline) {
  if (node_ == kNoNode) {
    const bool found = co_await find(deadline);
    if (!found) co_return nullptr;
  }
  std::shared_ptr<RpcChannel> channel = connections_->node(node_);
  if (channel == nullptr) metadata_->make_stale();  // its node is newer than what is known of the cluster
  const bool ready = channel != nullptr && co_await channel->ready(deadline);
  if (ready) co_return channel;
  forget();
  co_return nullptr;
}

Task<bool> CoordinatorLink::find(MonoTime deadline) {
  if (connections_->known_nodes() == 0 || metadata_->stale()) {
    const ErrorCode refreshed = co_await metadata_->refresh(deadline);
    if (refreshed != ErrorCode::NONE) co_return false;
  }
  const std::shared_ptr<RpcChannel> any = connections_->any(failures_++);
  const bool ready = any != nullptr && co_await any->ready(deadline);
  if (!ready) co_return false;
  const std::optional<int> version = any->version_of<wire::FindCoordinatorRequest>();
  if (!version) co_return false;
  wire::Arena arena;
  wire::FindCoordinatorRequest request{.key_type = static_cast<std::int8_t>(kind_)};
  if (*version < kKeysFrom) {
    request.key = key_;
  } else {
    request.coordinator_keys = arena.make_span<std::string_view>(1);
    request.coordinator_keys[0] = key_;
  }
  const auto answer = co_await any->call<wire::FindCoordinatorResponse>(*version, request, deadline);
  if (!answer) co_return false;
  const wire::FindCoordinatorResponse& response = answer->value;
  if (*version < kKeysFrom) {
    if (response.error_code != 0) co_return false;
    node_ = NodeId(response.node_id);
  } else {
    if (response.coordinators.empty() || response.coordinators[0].error_code != 0) co_return false;
    node_ = NodeId(response.coordinators[0].node_id);
  }
  failures_ = 0;
  co_return true;
}

}  // namespace verdict::client
