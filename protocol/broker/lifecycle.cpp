#include "protocol/broker/lifecycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/metadata_records.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/broker_heartbeat.h"
#include "protocol/wire/gen/broker_registration.h"
#include "runtime/io.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "BrokerLifecycleManager";
constexpr int kRegistrationVersion = 4;
constexpr int kHeartbeatVersion = 1;
constexpr std::int16_t kPlaintext = 0;
constexpr Duration kFirstRetry = 5ms;  // doubled from one failure to the next
constexpr Duration kMaxRetry = 100ms;
constexpr int kEagerRetries = 20;          // not doubled, while no controller leads yet: nodes often start together
constexpr Duration kRefusedRetry = 500ms;  // at most, while an older incarnation's session lasts
constexpr Duration kGoneLimit = 3s;        // how long a stop waits for a controller that isn't there to come back

}  // namespace

Lifecycle::Lifecycle(Runtime& runtime, client::RpcChannel& controller, LifecycleOptions options,
                     std::function<Offset()> metadata_end)
    : runtime_(&runtime),
      controller_(&controller),
      options_(std::move(options)),
      metadata_end_(std::move(metadata_end)),
      changed_(runtime),
      wake_(runtime),
      scope_(runtime) {}

void Lifecycle::start() { scope_.spawn(run()); }

Task<void> Lifecycle::stop() {
  stopping_ = true;
  wake_.notify();
  co_await scope_.join();
}

Task<bool> Lifecycle::controlled_shutdown(MonoTime deadline) {
  want_shut_down_ = true;
  heard_at_ = std::max(heard_at_, runtime_->now());
  wake_.notify();
  while (!let_go_ && registered()) {
    const MonoTime until = std::min(deadline, patience_ends());
    if (runtime_->now() >= until) break;
    co_await changed_.wait_until(until);
  }
  co_return let_go_;
}

// A controller that is silent for a session has fenced this broker, or has nobody to tell.
MonoTime Lifecycle::patience_ends() const {
  const MonoTime silent = heard_at_ + options_.session_timeout;
  return gone_at_ ? std::min(silent, *gone_at_ + kGoneLimit) : silent;
}

void Lifecycle::heard(const std::optional<client::RpcFault>& fault) {
  if (!fault) {
    heard_at_ = runtime_->now();
    gone_at_.reset();
    return;
  }
  const bool nobody = *fault == client::RpcFault::not_connected || *fault == client::RpcFault::disconnected;
  if (!nobody || !want_shut_down_ || gone_at_) return;
  gone_at_ = runtime_->now();
  changed_.notify();
}

Task<void> Lifecycle::run() {
  Duration retry = kFirstRetry;
  int eager = kEagerRetries;
  while (!stopping_ && !let_go_) {
    Duration pause = retry;
    bool good = false;
    const bool registers = !registered() || displaced_;
    if (registers) {
      good = co_await register_once();
    } else {
      good = co_await beat_once();
      if (good && !want_shut_down_) pause = options_.heartbeat_interval;
    }
    const Duration longest = refused_ == wire::ErrorCode::DUPLICATE_BROKER_REGISTRATION ? kRefusedRetry : kMaxRetry;
    const bool no_leader = registers && refused_ == wire::ErrorCode::NOT_CONTROLLER;
    const bool keep = good || (no_leader && eager-- > 0);
    retry = keep ? kFirstRetry : std::min(retry * 2, longest);
    if (runtime_->maybe(Site::EarlyHeartbeat)) pause /= 8;
    if (!stopping_ && !let_go_) co_await wake_.wait_until(runtime_->now() + pause);
  }
}

Task<bool> Lifecycle::register_once() {
  wire::BrokerRegistrationRequest request;
  wire::Arena arena;
  request.broker_id = options_.id.value();
  request.cluster_id = options_.cluster_id;
  request.incarnation_id = options_.incarnation;
  request.listeners = arena.make_span<wire::BrokerRegistrationRequest::Listener>(options_.advertised.size());
  for (std::size_t i = 0; i < options_.advertised.size(); ++i) {
    const ListenerAddress& from = options_.advertised[i];
    request.listeners[i] = {
        .name = from.name, .host = from.at.host, .port = from.at.port, .security_protocol = kPlaintext};
  }
  const std::vector<protocol::FeatureRange> features = protocol::supported_features();
  request.features = arena.make_span<wire::BrokerRegistrationRequest::Feature>(features.size());
  for (std::size_t i = 0; i < features.size(); ++i) {
    const protocol::FeatureRange& one = features[i];
    request.features[i] = {.name = one.name, .min_supported_version = one.min, .max_supported_version = one.max};
  }
  request.rack = options_.rack ? std::optional<std::string_view>(*options_.rack) : std::nullopt;
  request.log_dirs = options_.directories;
  request.previous_broker_epoch = (displaced_ ? kNoBrokerEpoch : options_.previous_epoch).value();
  const MonoTime deadline = runtime_->now() + options_.session_timeout / 2;
  auto answer = co_await controller_->call<wire::BrokerRegistrationResponse>(kRegistrationVersion, request, deadline);
  if (!answer) co_return false;
  const auto error = static_cast<wire::ErrorCode>((*answer)->error_code);
  if (error != wire::ErrorCode::NONE) {
    if (std::exchange(refused_, error) != error) {
      runtime_->log(LogLevel::info, kLogger,
                    fmt::format("the controller refuses the registration of broker {}, which asks again: {}",
                                options_.id.value(), wire::to_string(error)));
    }
    co_return false;
  }
  refused_ = wire::ErrorCode::NONE;
  displaced_ = false;
  epoch_ = BrokerEpoch((*answer)->broker_epoch);
  runtime_->log(LogLevel::info, kLogger,
                fmt::format("registered broker {} with epoch {}", options_.id.value(), epoch_.value()));
  changed_.notify();
  co_return true;
}

Task<bool> Lifecycle::beat_once() {
  wire::BrokerHeartbeatRequest request;
  request.broker_id = options_.id.value();
  request.broker_epoch = epoch_.value();
  request.current_metadata_offset = metadata_end_().value() - 1;
  request.want_fence = false;
  request.want_shut_down = want_shut_down_;
  const MonoTime deadline = runtime_->now() + options_.session_timeout / 2;
  auto answer = co_await controller_->call<wire::BrokerHeartbeatResponse>(kHeartbeatVersion, request, deadline);
  heard(answer ? std::nullopt : std::optional(answer.error()));
  if (!answer) co_return false;
  const auto error = static_cast<wire::ErrorCode>((*answer)->error_code);
  if (error != wire::ErrorCode::NONE) {
    runtime_->log(LogLevel::info, kLogger, fmt::format("heartbeat refused: {}", wire::to_string(error)));
    if (error == wire::ErrorCode::STALE_BROKER_EPOCH) {
      runtime_->log(LogLevel::warn, kLogger,
                    fmt::format("another registration took the place of broker {} with epoch {}, which registers anew",
                                options_.id.value(), epoch_.value()));
      displaced_ = true;
      fenced_ = true;
      changed_.notify();
    }
    co_return false;
  }
  const bool was_fenced = std::exchange(fenced_, (*answer)->is_fenced);
  if (was_fenced != fenced_) {
    runtime_->log(LogLevel::info, kLogger, fenced_ ? "this broker is fenced" : "this broker is unfenced and serves");
  }
  if ((*answer)->should_shut_down) let_go_ = true;
  if (was_fenced != fenced_ || let_go_) changed_.notify();
  // Fenced because the metadata is behind: ask again as soon as it has moved.
  co_return !fenced_;
}

}  // namespace verdict::broker
