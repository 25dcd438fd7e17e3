#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <vector>

#include "storage/batch.h"
#include "storage/txn_index.h"
#include "storage/txn_marker.h"
#include "storage/types.h"

// What a partition knows of its producers (KIP-98), by the rules of Kafka's ProducerStateManager: what makes a retry a
// duplicate, which batch may come next, and which transactions are open.
namespace verdict::storage {

enum class AppendOrigin : std::uint8_t {
  client,      // every batch with a producer id has sequences, which are checked
  coordinator  // of transactions or groups: control batches, and transactional ones without sequences
};

// Why a leader refuses a batch; each is Kafka's error of that name.
enum class ProducerFault : std::uint8_t {
  out_of_order_sequence,   // OUT_OF_ORDER_SEQUENCE_NUMBER
  invalid_producer_epoch,  // INVALID_PRODUCER_EPOCH
  invalid_txn_state,       // INVALID_TXN_STATE
  coordinator_fenced       // TRANSACTION_COORDINATOR_FENCED
};

// The sequence `count` places on: after INT32_MAX comes 0.
std::int32_t advance_sequence(std::int32_t sequence, std::int32_t count);

struct SequencedBatch {
  std::int32_t last_sequence = -1;  // -1: a coordinator's, without sequences
  std::int32_t offset_delta = 0;
  Offset last;
  std::int64_t timestamp = kNoTimestamp;  // ms, the batch's largest
  std::uint32_t crc = 0;                  // 0: not known (a snapshot doesn't hold it)

  Offset base() const { return last - offset_delta; }
  std::int32_t first_sequence() const;
};

struct ProducerEntry {
  static constexpr std::size_t kKept = 5;  // max.in.flight.requests.per.connection of an idempotent producer

  ProducerEpoch epoch = kNoProducerEpoch;
  std::int32_t coordinator_epoch = -1;
  std::int64_t last_timestamp = kNoTimestamp;  // ms, of the newest batch or marker
  Offset txn_first = kNoOffset;                // of the open transaction; kNoOffset: none is open
  std::uint32_t markers = 0;                   // that were met since the state was loaded

  std::size_t batch_count() const { return count_; }  // of the newest batches of this epoch
  const SequencedBatch& batch(std::size_t index) const { return batches_[(first_ + index) % kKept]; }  // oldest first
  std::int32_t last_sequence() const { return count_ == 0 ? -1 : batch(count_ - 1).last_sequence; }
  const SequencedBatch* find(std::int32_t first_sequence, std::int32_t last_sequence) const;  // null: not kept

  void begin_epoch(ProducerEpoch newest);  // forgets the batches of another one
  void add(const SequencedBatch& batch);

 private:
  std::array<SequencedBatch, kKept> batches_{};
  std::uint8_t first_ = 0;
  std::uint8_t count_ = 0;
};

// As a .txnindex has it if it was aborted. Its last stable offset is the first record of the oldest transaction of
// others that is open, or what follows the marker.
struct CompletedTxn : AbortedTxn {
  bool aborted = false;
};

class ProducerState {
 public:
  // What a leader has to know before it appends the batch that will be at header.base_offset. `marker`: what it holds,
  // if it is a control batch. Not null: it is a duplicate of that one, and is not appended.
  std::expected<const SequencedBatch*, ProducerFault> admit(const BatchHeader& header,
                                                            const std::optional<TxnMarker>& marker,
                                                            AppendOrigin origin) const;
  // The batch is in the log; what comes is believed. Not none: it ended a transaction that had records here.
  std::optional<CompletedTxn> append(const BatchHeader& header, const std::optional<TxnMarker>& marker);

  // producer.id.expiration.ms: forgets who wrote nothing since, unless a transaction is open; returns whom.
  std::vector<ProducerId> expire(std::int64_t now_ms, std::int64_t expiration_ms);
  void clear();

  bool empty() const { return producers_.empty() && unreplicated_.empty(); }
  const std::map<ProducerId, ProducerEntry>& producers() const { return producers_; }
  const ProducerEntry* find(ProducerId id) const;

  // A transaction counts as undecided until its marker is below the high watermark. The high watermark goes back only
  // with a truncation, to or below the new log end.
  void on_high_watermark(Offset high_watermark);
  std::optional<Offset> first_unstable() const;
  std::optional<Offset> first_open() const;  // of the transactions without a marker

  // Of transactions with markers that are not known to be below the high watermark: first offset and marker.
  using Unreplicated = std::map<Offset, Offset>;
  const Unreplicated& unreplicated() const { return unreplicated_; }
  // Takes over those whose markers are below `end`: after a truncation to `end` they are what they were.
  void keep_unreplicated(const Unreplicated& before, Offset end);

  // Kafka's .snapshot file. decode() leaves nothing of what was there; false: not one, or damaged.
  std::vector<std::byte> encode() const;
  bool decode(Bytes bytes);

 private:
  std::map<ProducerId, ProducerEntry> producers_;
  std::map<Offset, ProducerId> open_;  // transactions, by their first offset
  Unreplicated unreplicated_;
};

}  // namespace verdict::storage
