#include "storage/producer_state.h"

#include <algorithm>

#include "runtime/assert.h"
#include "storage/crc32c.h"

namespace verdict::storage {
namespace {

constexpr std::int32_t kNoSequence = -1;

// The snapshot's format: head, then one entry a producer.
constexpr std::int16_t kSnapshotVersion = 1;
constexpr std::size_t kSnapshotCrcAt = 2;
constexpr std::size_t kSnapshotCoveredAt = 6;
constexpr std::size_t kSnapshotHead = 10;
constexpr std::size_t kSnapshotEntry = 46;

bool in_sequence(std::int32_t last, std::int32_t next) { return last == INT32_MAX ? next == 0 : next == last + 1; }

std::int32_t last_sequence_of(const BatchHeader& header) {
  return header.base_sequence == kNoSequence ? kNoSequence
                                             : advance_sequence(header.base_sequence, header.last_offset_delta);
}

void put_entry(std::byte* at, ProducerId id, const ProducerEntry& entry) {
  const std::size_t count = entry.batch_count();
  const SequencedBatch none{.last = kNoOffset};
  const SequencedBatch& newest = count == 0 ? none : entry.batch(count - 1);
  store_be(at, id.value());
  store_be(at + 8, entry.epoch.value());
  store_be(at + 10, newest.last_sequence);
  store_be(at + 14, newest.last.value());
  store_be(at + 22, newest.offset_delta);
  store_be(at + 26, entry.last_timestamp);
  store_be(at + 34, entry.coordinator_epoch);
  store_be(at + 38, entry.txn_first.value());
}

ProducerEntry take_entry(const std::byte* at) {
  ProducerEntry entry;
  entry.epoch = ProducerEpoch(load_be<std::int16_t>(at + 8));
  entry.last_timestamp = load_be<std::int64_t>(at + 26);
  entry.coordinator_epoch = load_be<std::int32_t>(at + 34);
  entry.txn_first = std::max(Offset(load_be<std::int64_t>(at + 38)), kNoOffset);
  const Offset last(load_be<std::int64_t>(at + 14));
  if (last >= Offset(0)) {
    entry.add({.last_sequence = load_be<std::int32_t>(at + 10),
               .offset_delta = load_be<std::int32_t>(at + 22),
               .last = last,
               .timestamp = entry.last_timestamp});
  }
  return entry;
}

}  // namespace

std::int32_t advance_sequence(std::int32_t sequence, std::int32_t count) {
  const std::int64_t sum = std::int64_t{sequence} + count;
  return static_cast<std::int32_t>(sum > INT32_MAX ? sum - INT32_MAX - 1 : sum);
}

std::int32_t SequencedBatch::first_sequence() const {
  if (last_sequence == kNoSequence) return kNoSequence;
  const std::int64_t first = std::int64_t{last_sequence} - offset_delta;
  return static_cast<std::int32_t>(first < 0 ? first + INT32_MAX + 1 : first);
}

const SequencedBatch* ProducerEntry::find(std::int32_t first_sequence, std::int32_t last_sequence) const {
  for (std::size_t i = 0; i < count_; ++i) {
    const SequencedBatch& kept = batch(i);
    if (kept.last_sequence == last_sequence && kept.first_sequence() == first_sequence) return &kept;
  }
  return nullptr;
}

void ProducerEntry::begin_epoch(ProducerEpoch newest) {
  if (epoch == newest) return;
  epoch = newest;
  first_ = count_ = 0;
}

void ProducerEntry::add(const SequencedBatch& batch) {
  batches_[(first_ + count_) % kKept] = batch;
  if (count_ < kKept) {
    ++count_;
  } else {
    first_ = static_cast<std::uint8_t>((first_ + 1) % kKept);
  }
}

const ProducerEntry* ProducerState::find(ProducerId id) const {
  const auto found = producers_.find(id);
  return found == producers_.end() ? nullptr : &found->second;
}

std::expected<const SequencedBatch*, ProducerFault> ProducerState::admit(const BatchHeader& header,
                                                                         const std::optional<TxnMarker>& marker,
                                                                         AppendOrigin origin) const {
  const ProducerEntry* entry = find(header.producer_id);
  // Of who is not known, any first sequence is taken: its records may have been removed, and it expired.
  if (entry == nullptr) return nullptr;
  const bool sequenced = origin == AppendOrigin::client && !header.control();
  if (sequenced && header.producer_epoch == entry->epoch) {
    if (const SequencedBatch* kept = entry->find(header.base_sequence, last_sequence_of(header))) return kept;
  }
  if (header.producer_epoch < entry->epoch) return std::unexpected(ProducerFault::invalid_producer_epoch);
  if (header.control()) {
    if (marker && marker->coordinator_epoch < entry->coordinator_epoch)
      return std::unexpected(ProducerFault::coordinator_fenced);
    return nullptr;
  }
  if (sequenced) {
    const std::int32_t before = header.producer_epoch == entry->epoch ? entry->last_sequence() : kNoSequence;
    if (!in_sequence(before, header.base_sequence)) return std::unexpected(ProducerFault::out_of_order_sequence);
  }
  if (entry->txn_first != kNoOffset && !header.transactional())
    return std::unexpected(ProducerFault::invalid_txn_state);
  return nullptr;
}

std::optional<CompletedTxn> ProducerState::append(const BatchHeader& header, const std::optional<TxnMarker>& marker) {
  VERDICT_ASSERT(header.producer_id > kNoProducerId);
  // Compaction has left the batch of a marker for the epoch that fences.
  const bool emptied = header.control() && header.count == 0;
  if (header.control() && !marker && !emptied) return std::nullopt;
  ProducerEntry& entry = producers_[header.producer_id];
  if (emptied) {
    if (header.producer_epoch > entry.epoch) entry.begin_epoch(header.producer_epoch);
    entry.last_timestamp = std::max(entry.last_timestamp, header.max_timestamp);
    return std::nullopt;
  }
  entry.begin_epoch(header.producer_epoch);
  entry.last_timestamp = header.max_timestamp;
  if (!marker) {
    entry.add({.last_sequence = last_sequence_of(header),
               .offset_delta = header.last_offset_delta,
               .last = header.last_offset(),
               .timestamp = header.max_timestamp,
               .crc = header.crc});
    if (header.transactional() && entry.txn_first == kNoOffset) {
      entry.txn_first = header.base_offset;
      open_.emplace(header.base_offset, header.producer_id);
    }
    return std::nullopt;
  }
  entry.coordinator_epoch = marker->coordinator_epoch;
  ++entry.markers;
  if (entry.txn_first == kNoOffset) return std::nullopt;
  CompletedTxn done{{.producer_id = header.producer_id,
                     .first = entry.txn_first,
                     .last = header.base_offset,
                     .last_stable_offset = header.next_offset()},
                    !marker->commit};
  open_.erase(entry.txn_first);
  if (!open_.empty()) done.last_stable_offset = open_.begin()->first;
  entry.txn_first = kNoOffset;
  unreplicated_.emplace(done.first, done.last);
  return done;
}

void ProducerState::expire(std::int64_t now_ms, std::int64_t expiration_ms) {
  std::erase_if(producers_, [&](const auto& known) {
    const ProducerEntry& entry = known.second;
    return entry.txn_first == kNoOffset && now_ms - entry.last_timestamp >= expiration_ms;
  });
}

void ProducerState::clear() {
  producers_.clear();
  open_.clear();
  unreplicated_.clear();
}

void ProducerState::on_high_watermark(Offset high_watermark) {
  std::erase_if(unreplicated_, [&](const auto& txn) { return txn.second < high_watermark; });
}

std::optional<Offset> ProducerState::first_open() const {
  return open_.empty() ? std::nullopt : std::optional(open_.begin()->first);
}

std::optional<Offset> ProducerState::first_unstable() const {
  const std::optional<Offset> undecided = first_open();
  if (unreplicated_.empty()) return undecided;
  const Offset unreplicated = unreplicated_.begin()->first;
  return undecided ? std::min(*undecided, unreplicated) : unreplicated;
}

void ProducerState::keep_unreplicated(const Unreplicated& before, Offset end) {
  for (const auto& [first, last] : before) {
    if (last < end) unreplicated_.emplace(first, last);
  }
}

std::vector<std::byte> ProducerState::encode() const {
  std::vector<std::byte> file(kSnapshotHead + producers_.size() * kSnapshotEntry);
  store_be(file.data(), kSnapshotVersion);
  store_be(file.data() + kSnapshotCoveredAt, static_cast<std::int32_t>(producers_.size()));
  std::byte* at = file.data() + kSnapshotHead;
  for (const auto& [id, entry] : producers_) {
    put_entry(at, id, entry);
    at += kSnapshotEntry;
  }
  store_be(file.data() + kSnapshotCrcAt, crc32c(Bytes(file).subspan(kSnapshotCoveredAt)));
  return file;
}

bool ProducerState::decode(Bytes bytes) {
  clear();
  if (bytes.size() < kSnapshotHead || load_be<std::int16_t>(bytes.data()) != kSnapshotVersion) return false;
  if (load_be<std::uint32_t>(bytes.data() + kSnapshotCrcAt) != crc32c(bytes.subspan(kSnapshotCoveredAt))) return false;
  const auto count = load_be<std::int32_t>(bytes.data() + kSnapshotCoveredAt);
  const Bytes entries = bytes.subspan(kSnapshotHead);
  if (count < 0 || entries.size() != static_cast<std::size_t>(count) * kSnapshotEntry) return false;
  for (const std::byte* at = entries.data(); at != entries.data() + entries.size(); at += kSnapshotEntry) {
    const ProducerId id(load_be<std::int64_t>(at));
    const ProducerEntry entry = take_entry(at);
    if (entry.txn_first != kNoOffset) open_.emplace(entry.txn_first, id);
    producers_.emplace_hint(producers_.end(), id, entry);
  }
  return true;
}

}  // namespace verdict::storage
