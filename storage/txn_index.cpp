#include "storage/txn_index.h"

#include <algorithm>

#include "runtime/assert.h"

namespace verdict::storage {
namespace {

constexpr std::int16_t kVersion = 0;

}  // namespace

void TxnIndex::append(const AbortedTxn& txn) {
  VERDICT_ASSERT(entries_.empty() || entries_.back().last < txn.last);
  entries_.push_back(txn);
}

void TxnIndex::truncate(Offset end) {
  while (!entries_.empty() && entries_.back().last >= end) entries_.pop_back();
}

bool TxnIndex::collect(Offset from, Offset upper_bound, std::vector<AbortedTxn>& into) const {
  for (auto entry = std::ranges::lower_bound(entries_, from, {}, &AbortedTxn::last); entry != entries_.end(); ++entry) {
    if (entry->first < upper_bound) into.push_back(*entry);
    if (entry->last_stable_offset >= upper_bound) return false;
  }
  return true;
}

void TxnIndex::encode(std::size_t first, std::vector<std::byte>& out) const {
  VERDICT_ASSERT(first <= entries_.size());
  std::size_t at = out.size();
  out.resize(at + (entries_.size() - first) * kEntrySize);
  for (std::size_t i = first; i < entries_.size(); ++i, at += kEntrySize) {
    std::byte* to = out.data() + at;
    store_be(to, kVersion);
    store_be(to + 2, entries_[i].producer_id.value());
    store_be(to + 10, entries_[i].first.value());
    store_be(to + 18, entries_[i].last.value());
    store_be(to + 26, entries_[i].last_stable_offset.value());
  }
}

std::optional<TxnIndex> TxnIndex::parse(Bytes bytes, Offset base, Offset end) {
  if (bytes.size() % kEntrySize != 0) return std::nullopt;
  TxnIndex index;
  index.entries_.reserve(bytes.size() / kEntrySize);
  for (const std::byte* at = bytes.data(); at != bytes.data() + bytes.size(); at += kEntrySize) {
    const AbortedTxn txn{.producer_id = ProducerId(load_be<std::int64_t>(at + 2)),
                         .first = Offset(load_be<std::int64_t>(at + 10)),
                         .last = Offset(load_be<std::int64_t>(at + 18)),
                         .last_stable_offset = Offset(load_be<std::int64_t>(at + 26))};
    const bool sound = load_be<std::int16_t>(at) == kVersion && txn.producer_id > kNoProducerId &&
                       txn.first >= Offset(0) && txn.first < txn.last && txn.last >= base && txn.last < end &&
                       txn.last_stable_offset >= Offset(0) && txn.last_stable_offset <= txn.last + 1 &&
                       (index.entries_.empty() || index.entries_.back().last < txn.last);
    if (!sound) return std::nullopt;
    index.entries_.push_back(txn);
  }
  return index;
}

}  // namespace verdict::storage
