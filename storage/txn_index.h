#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/bytes.h"
#include "storage/types.h"

namespace verdict::storage {

// A transaction that ended with an abort marker, as a line of Kafka's .txnindex. Offsets are inclusive.
struct AbortedTxn {
  ProducerId producer_id;
  Offset first;               // of its first record
  Offset last;                // of the marker
  Offset last_stable_offset;  // once the marker was there: no transaction that ended later has records below it
  friend bool operator==(const AbortedTxn&, const AbortedTxn&) = default;
};

// The aborted transactions whose markers are in one segment, by their markers.
class TxnIndex {
 public:
  static constexpr std::size_t kEntrySize = 34;  // bytes: version i16 (0) and the four numbers, i64 each

  void append(const AbortedTxn& txn);
  void truncate(Offset end);  // drops those whose markers are at or after `end`
  void clear() { entries_.clear(); }

  // Adds those that have records in [from, upper_bound). False: later segments can hold no more of them.
  bool collect(Offset from, Offset upper_bound, std::vector<AbortedTxn>& into) const;

  // From entry `first` on, appended to `out`.
  void encode(std::size_t first, std::vector<std::byte>& out) const;
  // A file of the segment [base, end). None: it can't be one.
  static std::optional<TxnIndex> parse(Bytes bytes, Offset base, Offset end);

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  const std::vector<AbortedTxn>& entries() const { return entries_; }

 private:
  std::vector<AbortedTxn> entries_;
};

}  // namespace verdict::storage
