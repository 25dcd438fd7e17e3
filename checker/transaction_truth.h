#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checker/batch_tree.h"
#include "checker/id_map.h"
#include "protocol/types.h"
#include "runtime/time.h"

// What the white box knows of transactions: what their clients began and asked, what the coordinators decided, and
// which of it partitions hold. A ghost is one begin, whatever producer id and epoch it shares with others.
namespace verdict::checker {

constexpr std::string_view kTransactionLog = "__transaction_state";
constexpr std::string_view kOffsetsLog = "__consumer_offsets";

enum class Outcome : std::uint8_t { none, commit, abort };

// Places are counted from 1; 0: unknown.
using BeginPlace = std::uint32_t;
using DecisionPlace = std::uint32_t;
using MovePlace = std::uint32_t;

// A transaction as its client tells of it.
struct Begin {
  std::int64_t txn = -1;  // the client's own number
  std::int64_t producer = -1;
  bool version_two = false;
  bool commit_asked = false;
  bool abort_asked = false;
  bool decided = false;
  std::int32_t commits_open = 0;  // requests that may still be under way
  std::int32_t aborts_open = 0;
  MonoTime begun;
  BeginPlace before = 0;  // of the same producer id and epoch

  bool asked_to(bool commit) const { return commit ? commit_asked : abort_asked; }
};

struct Decision {
  bool commit = false;
  std::int16_t ended_epoch = -1;
  std::int16_t version = 0;
  std::uint32_t partition = 0;   // of the coordinator
  BatchIndex record = kNoBatch;  // kNoBatch: a coordinator found it in its log
  std::uint32_t ghost = 0;
  BeginPlace begin = 0;
  bool asked = false;        // for that begin, or time-out or fence
  DecisionPlace before = 0;  // of the same producer id and marker epoch
};

// What a record of a coordinator's log makes of its transactional id. It holds in the logs that have the record: what a
// deposed coordinator still appends is mostly lost, but a later leader may have copied it before it was elected.
struct Move {
  enum class Stand : std::uint8_t { over, ongoing, prepared };
  BatchIndex record = kNoBatch;  // kNoBatch: not appended yet, or never
  Stand stand = Stand::over;
  std::uint32_t ghost = 0;
  MovePlace before = 0;  // of the same id, in whatever log
};

// A transactional id as the newest of its coordinators tells of it.
struct TransactionalId {
  std::string name;
  std::string state;  // Kafka's name; "": its coordinator's log has none
  std::int64_t producer = -1;
  std::uint32_t partition = 0;  // of the coordinator
  MovePlace moves = 0;          // the latest of all coordinators
  MonoTime last_init{};         // an InitProducerId went out
  bool init_asked = false;
  std::int32_t inits_open = 0;

  bool open() const { return state == "Ongoing" || prepared(); }
  bool prepared() const { return state == "PrepareCommit" || state == "PrepareAbort"; }
};

// A coordinator that answers for its partition on one node, and whose log it knew below `from` when it began to.
struct ActiveCoordinator {
  std::int64_t from = 0;
  std::map<std::int64_t, std::int64_t> applied;  // producer -> offset of its latest marker that took effect on offsets
};

// The open transactions of a partition's main path, up to the batch at `head`.
struct OpenScan {
  struct Open {
    std::int64_t first = 0;  // offset
    BeginPlace begin = 0;
    bool late = false;  // appended when its transaction was decided already
  };
  BatchIndex head = kNoBatch;
  std::map<std::int64_t, Open> open;  // by producer
};

struct TransactionTruth {
  std::vector<Begin> begins;
  std::vector<Decision> decisions;
  std::vector<TransactionalId> ids;
  std::vector<Move> moves;
  std::map<std::string, std::uint32_t, std::less<>> id_of;               // place of each name, from 1
  IdMap<std::uint32_t> id_of_producer;                                   // place of who has, or had, the producer id
  IdMap<BeginPlace> begin_of;                                            // the latest, by producer id and epoch
  IdMap<DecisionPlace> decision_of;                                      // the latest, by producer id and marker epoch
  IdMap<BeginPlace> begin_of_batch;                                      // by partition and batch_identity
  IdMap<BeginPlace> current;                                             // what each client began last
  std::map<std::uint32_t, Outcome> marked;                               // by ghost: its markers' outcome
  std::map<std::pair<NodeId, std::uint32_t>, ActiveCoordinator> active;  // by node and partition
  std::map<std::pair<NodeId, std::uint32_t>, std::vector<MovePlace>> moving;  // announced, to be appended; the same
  std::map<std::uint32_t, OpenScan> scans;                                    // by partition
  std::map<std::uint32_t, std::int32_t> coordinator_epochs;  // by partition: the newest that moved or loaded
  std::uint32_t ghosts = 0;                                  // counts begins

  static std::uint64_t key(std::int64_t producer, std::int16_t epoch) {
    return static_cast<std::uint64_t>(producer) << 16 | static_cast<std::uint16_t>(epoch);
  }
  TransactionalId& id(std::string_view name) {
    const auto known = id_of.find(name);
    if (known != id_of.end()) return ids[known->second - 1];
    ids.emplace_back().name = name;
    id_of.emplace(name, static_cast<std::uint32_t>(ids.size()));
    return ids.back();
  }
};

}  // namespace verdict::checker
