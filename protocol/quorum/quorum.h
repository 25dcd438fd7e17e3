#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/events.h"
#include "protocol/types.h"
#include "runtime/time.h"

// The controllers' log (KRaft) as a step machine: who leads, what is appended, what is committed, what is served to
// those that pull it. It holds no file: the shell keeps the log (a storage log of __cluster_metadata-0) and the
// quorum-state file, does what the effects say in their order, and reports durability by token.
namespace verdict::quorum {

using QuorumEpoch = LeaderEpoch;  // the term of a quorum leader, stamped on its batches as their leader epoch

struct Voter {
  NodeId id;
  Uuid directory;  // zero: unknown (a static quorum)
  friend bool operator==(const Voter&, const Voter&) = default;
};

// The file quorum-state, Kafka's data_version 0 (static voters).
struct QuorumState {
  std::string cluster_id;
  NodeId leader = kNoNode;
  QuorumEpoch epoch{0};
  NodeId voted = kNoNode;
  std::vector<NodeId> voters;
  friend bool operator==(const QuorumState&, const QuorumState&) = default;
};
std::string format_quorum_state(const QuorumState&);
std::expected<QuorumState, std::string> parse_quorum_state(std::string_view json);  // data_version 0 or 1

struct EpochStart {
  QuorumEpoch epoch;
  Offset start;
};

// One record to write. Data records have a value only; control records (LeaderChange) both.
struct LogRecord {
  std::optional<std::vector<std::byte>> key;
  std::vector<std::byte> value;
};

using Token = std::uint64_t;

namespace events_in {

struct Start {                       // once, first: what the disk holds
  std::optional<QuorumState> state;  // none: no file yet
  Offset log_start{0};
  Offset log_end{0};
  std::vector<EpochStart> epochs;  // of the log, ascending (its leader-epoch checkpoint)
};
struct Append {  // by the leader's client only; one atomic batch. base is what the caller takes for log_end()
  Offset base;
  std::vector<LogRecord> records;
};
struct Durable {  // the persist with this token, and all before it, are on the disk
  Token token = 0;
};
// Fetch of __cluster_metadata-0 by a replica (a broker or, later, a voter); fields as in the request.
struct Fetch {
  Token request = 0;  // the caller's; the answer carries it
  NodeId replica;
  QuorumEpoch current_leader_epoch;  // -1: unknown to the replica
  Offset fetch_offset;
  QuorumEpoch last_fetched_epoch;   // -1: it has nothing yet
  Offset known_high_watermark{-1};  // what an earlier answer told it (its state, or the request's field); -1: nothing
  Duration max_wait{};
};
struct Tick {};

}  // namespace events_in

using Input = std::variant<events_in::Start, events_in::Append, events_in::Durable, events_in::Fetch, events_in::Tick>;

namespace effects {

// Write quorum-state (aside, sync, rename, sync directory), then Durable{token}.
struct PersistState {
  Token token = 0;
  std::string json;
};
// Append one batch at `base` with leader epoch `epoch`, sync the log, then Durable{token}. If either fails, the process
// must stop: what is on the disk is unknown.
struct Persist {
  Token token = 0;
  Offset base;
  QuorumEpoch epoch;
  bool control = false;
  std::vector<LogRecord> records;
};
struct Committed {  // everything below `to` is decided
  Offset to;
  QuorumEpoch epoch;
};
// This node leads, and all of the log before its own LeaderChange record (which is next_offset - 1) is committed: feed
// the log to the state machine, then let it append from next_offset on.
struct BecameLeader {
  QuorumEpoch epoch;
  Offset next_offset;
};
struct AnswerFetch {
  Token request = 0;
  std::int16_t error = 0;  // Kafka's code
  NodeId leader = kNoNode;
  QuorumEpoch epoch;
  Offset high_watermark;
  Offset log_start;
  std::optional<EpochStart> diverging;  // truncate to its end (`start`) and ask again; nothing else is answered
  Offset read_from;                     // batches of [read_from, read_to) go into the answer; empty if equal
  Offset read_to;
};
struct ArmTimer {  // one timer: replaces the one before
  MonoTime when;
};

}  // namespace effects

using Effect = std::variant<effects::PersistState, effects::Persist, effects::Committed, effects::BecameLeader,
                            effects::AnswerFetch, effects::ArmTimer>;
using Effects = std::vector<Effect>;  // to be done in order, before the next event

class Quorum {
 public:
  virtual ~Quorum() = default;
  virtual void step(events_in::Start, MonoTime now, Effects&) = 0;
  virtual void step(events_in::Append, MonoTime now, Effects&) = 0;
  virtual void step(events_in::Durable, MonoTime now, Effects&) = 0;
  virtual void step(events_in::Fetch, MonoTime now, Effects&) = 0;
  virtual void step(events_in::Tick, MonoTime now, Effects&) = 0;
  void step(Input input, MonoTime now, Effects& out) {
    std::visit([&](auto&& event) { step(std::move(event), now, out); }, std::move(input));
  }

  virtual bool is_leader() const = 0;  // and its LeaderChange record is committed
  virtual NodeId leader() const = 0;   // kNoNode: unknown
  virtual QuorumEpoch epoch() const = 0;
  virtual Offset high_watermark() const = 0;
  virtual Offset log_end() const = 0;
};

}  // namespace verdict::quorum
