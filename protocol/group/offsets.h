#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/uuid.h"

// What the groups committed, and what open transactions will have committed.
namespace verdict::group {

struct CommittedOffset {
  std::int64_t offset = -1;
  std::int32_t leader_epoch = -1;  // -1: none
  std::string metadata;
  std::int64_t commit_timestamp_ms = -1;
  std::optional<std::int64_t> expire_timestamp_ms;  // of clients that set a retention time (OffsetCommit 2-4)
  Uuid topic_id;                                    // zero: none
  std::uint64_t record = 0;                         // its place among the records of the log
};

using PartitionOffsets = std::map<std::int32_t, CommittedOffset>;
using GroupOffsets = std::map<std::string, PartitionOffsets, std::less<>>;  // by topic

class OffsetStore {
 public:
  // By group. The later record wins, also among the offsets of transactions that commit in another order.
  void put(std::string_view group, std::string_view topic, std::int32_t partition, CommittedOffset offset);
  void put_pending(std::int64_t producer, std::string_view group, std::string_view topic, std::int32_t partition,
                   CommittedOffset offset);
  void remove(std::string_view group, std::string_view topic, std::int32_t partition);  // pending ones as well
  // The transaction ended. Returns the groups that it committed offsets for.
  std::vector<std::string> end(std::int64_t producer, bool committed);

  const GroupOffsets* of(std::string_view group) const;  // null: none
  const CommittedOffset* find(std::string_view group, std::string_view topic, std::int32_t partition) const;
  bool has_pending(std::string_view group, std::string_view topic, std::int32_t partition) const;
  bool has_open_transaction(std::string_view group) const { return open_.contains(group); }

  struct Place {
    std::string topic;
    std::int32_t partition = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  // All of a group, committed or pending; `topic`: of that topic only.
  std::set<Place> places(std::string_view group, std::optional<std::string_view> topic = std::nullopt) const;
  std::set<std::string> groups() const;  // that have any, committed or pending

 private:
  using ByGroup = std::map<std::string, GroupOffsets, std::less<>>;
  static const CommittedOffset* find(const ByGroup&, std::string_view group, std::string_view topic,
                                     std::int32_t partition);
  static CommittedOffset& slot(ByGroup&, std::string_view group, std::string_view topic, std::int32_t partition);
  static void erase(ByGroup&, std::string_view group, std::string_view topic, std::int32_t partition);

  ByGroup committed_;
  std::map<std::int64_t, ByGroup> pending_;                          // by producer id
  std::map<std::string, std::set<std::int64_t>, std::less<>> open_;  // group -> producers
};

}  // namespace verdict::group
