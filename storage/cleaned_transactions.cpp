#include "storage/cleaned_transactions.h"

#include <algorithm>
#include <functional>

namespace verdict::storage {

void CleanedTransactions::add_aborted(std::vector<AbortedTxn> transactions) {
  ahead_.insert(ahead_.end(), transactions.begin(), transactions.end());
  std::ranges::sort(ahead_, std::greater{}, &AbortedTxn::first);
}

// One that is there already keeps its place: a transaction over two segments is named for each of them.
void CleanedTransactions::begin_up_to(Offset offset) {
  for (; !ahead_.empty() && ahead_.back().first <= offset; ahead_.pop_back()) {
    aborted_.try_emplace(ahead_.back().producer_id, Open{.txn = ahead_.back()});
  }
}

bool CleanedTransactions::on_batch(const BatchHeader& header) {
  begin_up_to(header.last_offset());
  if (!header.transactional()) return false;
  const auto aborted = aborted_.find(header.producer_id);
  if (aborted == aborted_.end()) {
    committed_.insert(header.producer_id);
    return false;
  }
  aborted->second.met = true;
  return true;
}

bool CleanedTransactions::on_control(const BatchHeader& header, Bytes batch, TxnIndex* index) {
  begin_up_to(header.last_offset());
  if (header.count == 0) return true;  // cleaned before
  const auto marker = marker_of(header, batch);
  if (!marker) return false;
  if (marker->commit) return committed_.erase(header.producer_id) == 0;
  const auto aborted = aborted_.find(header.producer_id);
  if (aborted == aborted_.end()) return true;
  const Open ended = aborted->second;
  aborted_.erase(aborted);
  if (!ended.met) return true;
  if (index != nullptr) index->append(ended.txn);
  return false;
}

}  // namespace verdict::storage
