#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "protocol/topic_partition.h"

// What the coordinator knows of one transactional id (Kafka's TransactionMetadata). KIP-98, 360, 890.
namespace verdict::transaction {

constexpr std::int64_t kNoProducerId = -1;
constexpr std::int16_t kNoProducerEpoch = -1;
constexpr std::int16_t kMaxProducerEpoch = std::numeric_limits<std::int16_t>::max();

// The numbers are those of TransactionLogValue. Dead (a tombstone is written) and PrepareEpochFence (an older producer
// is fenced, its transaction about to be aborted) are passed through within one step and never stored.
enum class TransactionState : std::int8_t {
  empty = 0,
  ongoing = 1,
  prepare_commit = 2,
  prepare_abort = 3,
  complete_commit = 4,
  complete_abort = 5,
  dead = 6,
  prepare_epoch_fence = 7,
};

std::string_view name_of(TransactionState);  // Kafka's: "PrepareCommit"
std::optional<TransactionState> find_state(std::string_view name);
bool may_follow(TransactionState from, TransactionState to);

struct Transaction {
  std::int64_t producer_id = kNoProducerId;
  std::int64_t previous_producer_id = kNoProducerId;  // before the latest change; tells a retry across a new id
  std::int64_t next_producer_id = kNoProducerId;      // Prepare* at the last epoch: what Complete* goes on with
  std::int16_t producer_epoch = kNoProducerEpoch;
  std::int16_t last_producer_epoch = kNoProducerEpoch;  // in memory only: what a retried InitProducerId may name
  std::int32_t timeout_ms = 0;
  TransactionState state = TransactionState::empty;
  std::set<TopicPartition> partitions;  // Prepare*: those without their marker yet
  std::int64_t start_ms = -1;           // wall clock; -1: none begun
  std::int64_t last_update_ms = 0;
  std::int16_t client_version = 0;  // transaction version of the client that made the latest change
  friend bool operator==(const Transaction&, const Transaction&) = default;

  // No client gets the highest epoch: it stays for fencing.
  bool epoch_exhausted() const { return producer_epoch >= kMaxProducerEpoch - 1; }
  bool prepared() const {
    return state == TransactionState::prepare_commit || state == TransactionState::prepare_abort;
  }
  std::int16_t bumped_epoch() const {
    return producer_epoch == kMaxProducerEpoch ? producer_epoch : static_cast<std::int16_t>(producer_epoch + 1);
  }
};

}  // namespace verdict::transaction
