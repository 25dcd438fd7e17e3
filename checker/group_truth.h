#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checker/batch_tree.h"
#include "protocol/types.h"
#include "runtime/time.h"

// What the white box knows of groups. Their log is a partition's like others; beside it are kept the records of its
// batches, what they come to, what each broker that coordinates decided on, and what members were told.
namespace verdict::checker {

// As map[key], without a string where the key is known.
template <class Map>
Map::mapped_type& entry(Map& map, std::string_view key) {
  const auto known = map.find(key);
  return known != map.end() ? known->second : map[std::string(key)];
}

// A group's place for a partition's offset; no group's or topic's name holds a line's end.
inline std::string offset_key(std::string_view group, std::string_view topic, std::int32_t index) {
  return std::string(group).append("\n").append(topic).append("-").append(std::to_string(index));
}

// Of an assignment as the feed has it.
template <class Visit>
void each_partition(std::string_view assignment, Visit visit) {
  while (!assignment.empty()) {
    const std::size_t comma = std::min(assignment.find(','), assignment.size());
    visit(assignment.substr(0, comma));
    assignment.remove_prefix(std::min(comma + 1, assignment.size()));
  }
}

struct GroupRecordTruth {
  std::int64_t at = -1;
  std::string key;  // empty: no offset's record
  bool removed = false;
  std::int64_t committed = -1;
  std::int64_t producer = -1;  // of the transaction that decides on it
};

// One offset as a log has it.
struct OffsetTruth {
  struct Written {
    std::int64_t at = -1;
    std::int64_t committed = -1;  // -1: none, or removed
  };
  Written plain;                         // the last one of no transaction
  Written decided;                       // of those of committed transactions the one latest in the log
  std::map<std::int64_t, Written> open;  // by producer
  std::set<std::int64_t> transactional;  // values that transactions wrote, ended or not

  const Written& latest() const { return decided.at > plain.at ? decided : plain; }
};

// The offsets that the log up to `head` comes to.
struct OffsetFold {
  BatchIndex head = kNoBatch;
  std::map<std::string, OffsetTruth, std::less<>> offsets;
  std::map<std::int64_t, std::set<std::string>> open;  // producer -> keys
  std::int64_t unknown_below = 0;                      // some record below it was never announced: its node died before

  void take(const GroupRecordTruth& record) {
    if (record.key.empty()) return;
    OffsetTruth& offset = offsets[record.key];
    if (record.removed) {
      offset.plain = {.at = record.at};
      offset.open.clear();
    } else if (record.producer < 0) {
      offset.plain = {.at = record.at, .committed = record.committed};
    } else {
      offset.open[record.producer] = {.at = record.at, .committed = record.committed};
      offset.transactional.insert(record.committed);
      open[record.producer].insert(record.key);
    }
  }
  void end(std::int64_t producer, bool committed) {
    const auto keys = open.find(producer);
    if (keys == open.end()) return;
    for (const std::string& key : keys->second) {
      OffsetTruth& offset = offsets[key];
      const auto written = offset.open.find(producer);
      if (written == offset.open.end()) continue;
      if (committed && written->second.at > offset.decided.at) offset.decided = written->second;
      offset.open.erase(written);
    }
    open.erase(keys);
  }
};

// A group as one broker coordinates it, decided ahead of the commit.
struct CoordinatedGroup {
  bool consumer = false;  // KIP-848: its members have epochs of their own
  std::string state;
  std::int32_t generation = -1;
  struct Member {
    std::string instance;     // group.instance.id
    std::int32_t epoch = -1;  // KIP-848; otherwise the group's generation
    std::int32_t told = -1;   // the generation that its JoinGroup was answered with here
  };
  std::map<std::string, Member, std::less<>> members;  // by id
  std::int32_t told = -1;                              // the latest of these
};

struct CoordinatorTruth {
  std::int32_t epoch = -1;  // it has loaded in; -1: never
  OffsetFold fold;
  std::map<std::string, CoordinatedGroup, std::less<>> groups;
  std::map<std::string, std::deque<OffsetTruth::Written>, std::less<>> unanswered;  // commits, by key
};

// Who owns what in the latest generation in which somebody was told so.
struct OwnersTruth {
  std::int32_t generation = -1;
  std::map<std::string, std::string, std::less<>> owners;   // partition -> member id
  std::map<std::string, std::string, std::less<>> clients;  // member id -> client.id
  std::map<std::string, std::string, std::less<>> statics;  // group.instance.id -> member id
};

// What a member of a consumer group may be using: what it was told that it has, until it says that it hasn't, or its
// coordinator has given it up.
struct HolderTruth {
  bool member = false;
  std::int32_t epoch = 0;       // that it was told; 0: none yet
  std::int32_t unanswered = 0;  // heartbeats: an answer to one before its latest is nothing to it any more
  std::string client;           // client.id
  std::set<std::string, std::less<>> held;
  // Of these, what a deposed coordinator took from it or heard that it has not. That counts once a later one has loaded
  // the deposed one's records.
  std::set<std::string, std::less<>> given_up;
};
using HoldersTruth = std::map<std::string, HolderTruth, std::less<>>;  // by member id

// One partition of __consumer_offsets.
struct GroupsTruth {
  std::int32_t newest_epoch = -1;  // that somebody has loaded in
  std::map<NodeId, CoordinatorTruth> brokers;
  std::map<std::string, OwnersTruth, std::less<>> told;           // by group
  std::map<std::string, HoldersTruth, std::less<>> holders;       // by consumer group
  std::map<std::string, std::string, std::less<>> older_selves;   // of static members, by member id
  std::map<std::string, std::int64_t, std::less<>> acknowledged;  // offset's key -> place of its record
};

// What coordinators answered of one offset lately.
struct AnswersTruth {
  struct Answer {
    MonoTime time;
    std::int64_t committed = -1;
  };
  std::deque<Answer> latest;
  MonoTime forgotten = MonoTime::min();  // older ones were dropped
};
constexpr std::size_t kAnswersKept = 64;

}  // namespace verdict::checker
