#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "storage/batch.h"

namespace verdict::storage {

// What ends a transaction in one partition: one control record in a batch of its own (KIP-98).
struct TxnMarker {
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::int32_t coordinator_epoch = 0;  // of the transaction coordinator: an older one's marker is refused
  bool commit = false;
  friend bool operator==(const TxnMarker&, const TxnMarker&) = default;
};

// The batch, with base offset 0 and no leader epoch, as a client's would come.
std::vector<std::byte> build_marker(const TxnMarker& marker, std::int64_t timestamp_ms);

// None: no control batch, another control record, or none in it (compaction left the batch without its record).
std::optional<TxnMarker> parse_marker(const BatchView& batch);
// The same where the header is at hand; `batch` is all its bytes if it is a control batch.
std::optional<TxnMarker> marker_of(const BatchHeader& header, Bytes batch);

}  // namespace verdict::storage
