#include <algorithm>
#include <limits>

#include "protocol/client/producer.h"
#include "protocol/client/producer_parts.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/crc32c.h"

// Producer ids, epochs and sequences (KIP-98, KIP-360). Rules of Kafka's sender:
// - A batch gets its sequence when it goes out first, and keeps it in its retries.
// - While a batch waits for its retry nothing new goes out, and of several the first one goes first, alone.
// - A sequence that can't be delivered any more leaves a gap that no broker would accept: when all that is under way
//   has its outcome, the producer takes the next epoch, and the partition's queue begins at sequence 0 again. Other
//   partitions finish what they have begun in the old epoch.
namespace verdict::client {
namespace {

constexpr std::size_t kMostInFlight = 5;  // of a partition: as many batches as brokers remember of a producer
// In a batch's header; the CRC covers what follows it.
constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kCoveredAt = 21;
constexpr std::size_t kProducerIdAt = 43;
constexpr std::size_t kProducerEpochAt = 51;
constexpr std::size_t kBaseSequenceAt = 53;

}  // namespace

std::int32_t sequence_after(std::int32_t first, std::int64_t records) {
  constexpr std::int64_t kSequences = std::int64_t{1} << 31;
  return static_cast<std::int32_t>((first + records) % kSequences);
}

void Producer::use_identity(ProducerId id, ProducerEpoch epoch, bool leaders_add) {
  VERDICT_ASSERT(options_.transactional && pending_records_ == 0);
  leaders_add_ = leaders_add;
  identity_ = {.id = id, .epoch = epoch};
  for (auto& [topic, partitions] : topics_) {
    for (const std::unique_ptr<Partition>& partition : partitions) {
      if (partition != nullptr) partition->gap = false;
    }
  }
}

bool Producer::may_go_in_sequence(Partition& partition, MonoTime now, MonoTime& next) {
  if (partition.sealed.empty() && partition.open != nullptr) seal(partition);
  const ErrorCode hopeless = no_identity_ != ErrorCode::NONE           ? no_identity_
                             : partition.gap && options_.transactional ? ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                                                                       : ErrorCode::NONE;
  if (hopeless != ErrorCode::NONE) {
    if (partition.open != nullptr) seal(partition);
    for (BatchPtr& batch : std::exchange(partition.sealed, {})) give_up(std::move(batch), hopeless);
    return false;
  }
  if (partition.gap && !start_anew(partition)) return false;
  if (identity_.id == kNoProducerId) {
    if (!std::exchange(identifying_, true)) scope_.spawn(identify());
    const MonoTime end = partition.sealed.front()->created + options_.delivery_timeout;
    if (end > now) next = std::min(next, end);
    return false;
  }
  const Batch& first = *partition.sealed.front();
  if (first.base_sequence >= 0) return partition.flying.empty() || partition.flying.begin()->first > first.id;
  if (partition.identity != identity_) {
    if (!partition.flying.empty()) return false;
    partition.identity = identity_;
    partition.next_sequence = 0;
    partition.expected_sequence = 0;
  }
  // Where the next leader knows nothing of the producer, it takes what comes first.
  const auto elsewhere = [&](const auto& batch) { return batch.second != partition.leader->node; };
  if (std::ranges::any_of(partition.flying, elsewhere)) return false;
  return partition.flying.size() < kMostInFlight;
}

// False: not yet.
bool Producer::start_anew(Partition& partition) {
  if (!partition.flying.empty()) return false;
  if (partition.identity == identity_ && identity_.id != kNoProducerId) {
    ++stats_.epoch_bumps;
    if (identity_.epoch.value() == std::numeric_limits<std::int16_t>::max()) {
      identity_ = {};  // the epochs are used up: another id
    } else {
      identity_.epoch = ProducerEpoch(static_cast<std::int16_t>(identity_.epoch.value() + 1));
    }
  }
  partition.gap = false;
  partition.identity = {};
  for (const BatchPtr& batch : partition.sealed) {
    batch->base_sequence = -1;
    batch->renumbered = batch->attempts != 0;
  }
  return true;
}

void Producer::give_sequence(Batch& batch) {
  if (batch.base_sequence >= 0) return;
  Partition& partition = *batch.partition;
  batch.base_sequence = partition.next_sequence;
  partition.next_sequence = sequence_after(batch.base_sequence, std::ssize(batch.tokens));
  std::byte* at = batch.bytes.data();
  storage::store_be(at + kProducerIdAt, partition.identity.id.value());
  storage::store_be(at + kProducerEpochAt, partition.identity.epoch.value());
  storage::store_be(at + kBaseSequenceAt, batch.base_sequence);
  batch.crc = storage::crc32c(storage::Bytes(batch.bytes).subspan(kCoveredAt));
  storage::store_be(at + kCrcAt, batch.crc);
}

// What brokers say of sequences. True: the batch is to be sent again, now or in another epoch.
bool Producer::refused_in_sequence(const Batch& batch, ErrorCode error, std::int64_t log_start) {
  Partition& partition = *batch.partition;
  if (error == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) {
    // An earlier batch failed, and goes again before this one; but if this is the first, the broker's log has lost
    // some.
    if (batch.base_sequence == partition.expected_sequence) partition.gap = true;
    return true;
  }
  if (error == ErrorCode::UNKNOWN_PRODUCER_ID && log_start != -1) {
    partition.gap = true;
    return true;
  }
  return false;
}

Task<void> Producer::identify() {
  for (int failures = 0; !closed_ && identity_.id == kNoProducerId && no_identity_ == ErrorCode::NONE; ++failures) {
    const ErrorCode error = co_await ask_identity(connections_.any(failures));
    if (error == ErrorCode::NONE || closed_) break;
    if (!wire::is_retriable(error)) {
      no_identity_ = error;
      break;
    }
    const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
    co_await sleep_until(*runtime_,
                         runtime_->now() + backoff(client_.retry_backoff, client_.retry_backoff_max, failures, draw));
  }
  identifying_ = false;
  wake();
}

Task<ErrorCode> Producer::ask_identity(std::shared_ptr<RpcChannel> channel) {
  if (channel == nullptr) co_return ErrorCode::NETWORK_EXCEPTION;
  constexpr int kHighestVersion = 5;
  const MonoTime deadline = runtime_->now() + client_.request_timeout;
  const bool ready = co_await channel->ready(deadline);
  if (!ready) co_return ErrorCode::NETWORK_EXCEPTION;
  const std::optional<int> version = channel->version_of<wire::InitProducerIdRequest>(0, kHighestVersion);
  if (!version) co_return ErrorCode::UNSUPPORTED_VERSION;
  const wire::InitProducerIdRequest request{.transactional_id = std::nullopt, .transaction_timeout_ms = 0};
  const auto answer = co_await channel->call<wire::InitProducerIdResponse>(*version, request, deadline);
  if (!answer) {
    const ErrorCode error = to_error(answer.error());
    co_return wire::is_retriable(error) ? error : ErrorCode::NETWORK_EXCEPTION;
  }
  const ErrorCode error = wire::error_from_code((*answer)->error_code);
  if (error == ErrorCode::NONE) {
    identity_ = {.id = ProducerId((*answer)->producer_id), .epoch = ProducerEpoch((*answer)->producer_epoch)};
  }
  co_return error;
}

}  // namespace verdict::client
