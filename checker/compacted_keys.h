#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checker/history.h"
#include "checker/id_map.h"

namespace verdict::checker {

// What clients' histories tell of compacted topics: which values compaction may have taken, though they were
// acknowledged or read before. `log`: a partition's number.
class CompactedKeys {
 public:
  // A send's invoke or completion; of another topic it changes nothing.
  void send(std::uint32_t log, const HistoryEntry& entry);
  // The value, not one of an aborted transaction, is or was at the offset. Of all, before the question below.
  void stands(std::int64_t value, std::int64_t offset);
  // A later value of its key stood in the log; or it is a tombstone, which goes by itself; or one of its key may have
  // been written, and gone, without anybody's having heard of it.
  bool may_be_gone(std::int64_t value, std::int64_t offset);
  bool known(std::int64_t value);  // of a compacted topic

 private:
  struct Key {
    std::int64_t newest = -1;
    bool unknown_tombstone = false;
  };
  struct Value {
    std::uint32_t key = 0;  // number + 1; 0: of no compacted topic
    bool tombstone = false;
  };
  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> key_of_;  // number + 1
  std::vector<Key> keys_;
  IdMap<Value> values_;
};

}  // namespace verdict::checker
