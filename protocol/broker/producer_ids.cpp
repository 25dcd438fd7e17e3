#include "protocol/broker/producer_ids.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "protocol/wire/gen/allocate_producer_ids.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "ProducerIdManager";
constexpr int kVersion = 0;
constexpr Duration kRetryBackoff = 50ms;     // Kafka's RETRY_BACKOFF_MS
constexpr std::int64_t kPrefetchShare = 10;  // a tenth of the block is left

}  // namespace

std::expected<std::int64_t, wire::ErrorCode> ProducerIds::next() {
  if (block_.left() == 0) block_ = std::exchange(next_block_, Block{});
  if (block_.left() == 0) {
    want_block();
    return std::unexpected(wire::ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
  }
  const std::int64_t id = block_.first + block_.given++;
  if (block_.left() <= block_.size / kPrefetchShare) want_block();
  return id;
}

void ProducerIds::want_block() {
  if (fetching_ || next_block_.left() > 0 || runtime_->now() < not_before_) return;
  fetching_ = true;
  scope_.spawn(fetch_block());
}

Task<void> ProducerIds::fetch_block() {
  wire::AllocateProducerIdsRequest request;
  request.broker_id = self_.value();
  request.broker_epoch = epoch_().value();
  const MonoTime deadline = runtime_->now() + timeout_;
  auto answer = co_await controller_->call<wire::AllocateProducerIdsResponse>(kVersion, request, deadline);
  fetching_ = false;
  not_before_ = runtime_->now() + kRetryBackoff;
  if (!answer) co_return;  // the ids are lost if the request was carried out
  const wire::AllocateProducerIdsResponse& given = (*answer).value;
  if (const auto error = static_cast<wire::ErrorCode>(given.error_code); error != wire::ErrorCode::NONE) {
    runtime_->log(LogLevel::warn, kLogger, fmt::format("no producer ids: {}, asking again", wire::to_string(error)));
    co_return;
  }
  const std::int64_t first = given.producer_id_start;
  const std::int64_t size = given.producer_id_len;
  if (first <= highest_ || size <= 0 || first > std::numeric_limits<std::int64_t>::max() - size) {
    runtime_->log(LogLevel::error, kLogger,
                  fmt::format("the controller's block of {} producer ids from {} on can't be one", size, first));
    co_return;
  }
  not_before_ = MonoTime::min();
  highest_ = first + size - 1;
  next_block_ = {.first = first, .size = size};
}

Task<void> ProducerIds::stop() { co_await scope_.join(); }

}  // namespace verdict::broker
