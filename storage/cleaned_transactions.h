#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "storage/batch.h"
#include "storage/txn_index.h"
#include "storage/txn_marker.h"

namespace verdict::storage {

// The transactions that a cleaning pass walks through, by the rules of Kafka's CleanedTransactionMetadata: which
// batches are an aborted one's, and which markers end a transaction of which nothing is left.
class CleanedTransactions {
 public:
  // Those of a range that is walked next.
  void add_aborted(std::vector<AbortedTxn> transactions);

  // Of a batch of records, in the order of the log. True: its transaction was aborted.
  bool on_batch(const BatchHeader& header);
  // Of a control batch; `batch`: all its bytes. True: none of its transaction's batches was met, it may go.
  // An abort marker that stays for a batch that was met keeps its line in `index`, if that is given.
  bool on_control(const BatchHeader& header, Bytes batch, TxnIndex* index);

 private:
  struct Open {
    AbortedTxn txn;
    bool met = false;  // a batch of it
  };
  void begin_up_to(Offset offset);

  std::set<ProducerId> committed_;      // of which a batch was met, and no marker yet
  std::map<ProducerId, Open> aborted_;  // begun
  std::vector<AbortedTxn> ahead_;       // by first offset, the lowest last
};

}  // namespace verdict::storage
