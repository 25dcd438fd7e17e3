#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "protocol/types.h"
#include "protocol/wire/errors.h"
#include "runtime/time.h"
#include "storage/types.h"

// What a Replica is told and what it answers. Spans are valid during the step only.
namespace verdict::replication {

using wire::ErrorCode;

// An epoch and where it ends: the next epoch's first offset, or the log end for the newest. kNoEpoch: not known.
struct EpochEnd {
  LeaderEpoch epoch = kNoEpoch;
  Offset end = kNoOffset;
  bool known() const { return epoch != kNoEpoch; }
  friend bool operator==(const EpochEnd&, const EpochEnd&) = default;
};

// The replica's log as numbers, always as of now. No call does I/O.
class LogView {
 public:
  virtual ~LogView() = default;
  virtual Offset log_start() const = 0;
  virtual Offset log_end() const = 0;
  // The newest entry of the leader-epoch checkpoint, also when no record of that epoch was appended yet.
  virtual LeaderEpoch last_epoch() const = 0;
  // The largest own epoch <= `epoch` and its end. An epoch older than all: {epoch, start of the oldest}. An epoch newer
  // than all, kNoEpoch, or an empty checkpoint: {kNoEpoch, kNoOffset}.
  virtual EpochEnd end_offset_for(LeaderEpoch epoch) const = 0;
  // The epoch of the record at `offset`; kNoEpoch if it is outside [log start, log end).
  virtual LeaderEpoch epoch_at(Offset offset) const = 0;
};

// Names a produce request that waits for acks; chosen by the shell, never reused while it waits.
using WaiterId = Strong<struct WaiterIdTag, std::uint64_t>;
// Names one AlterPartition sent; an answer to another one than the newest is out of date.
using ProposalId = Strong<struct ProposalIdTag, std::uint64_t>;

// One batch that a producer sent, as it stands in the log. It is identified by (epoch, offset).
struct ProducedBatch {
  Offset base;
  Offset last;
  LeaderEpoch epoch;  // that it was appended in
  std::uint32_t crc = 0;
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = kNoProducerEpoch;
  std::int32_t base_sequence = -1;
};

struct BatchSummary {  // one batch of a fetch answer
  Offset base;
  Offset last;
  LeaderEpoch epoch;
};

struct ReplicaBroker {
  NodeId id;
  BrokerEpoch epoch = kNoBrokerEpoch;  // of its registration; kNoBrokerEpoch: not registered
  bool fenced = true;
  bool shutting_down = false;
};

// A member of a proposed ISR.
struct IsrMember {
  NodeId id;
  BrokerEpoch epoch = kNoBrokerEpoch;  // of the fetch that its place rests on (KIP-903); kNoBrokerEpoch: not known
};

// ---- events ----

// The log was opened or created; comes first, once. The checkpointed high watermark is clamped to the log.
struct LogOpened {
  Offset high_watermark_checkpoint;
};

// The registration of the partition as of the applied metadata, the brokers of `replicas`, and the effective topic
// configuration. Repeating it is harmless. The partition part is ignored if its partition epoch is older than the
// replica's; brokers and min_insync_replicas always count.
struct MetadataChanged {
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::span<const NodeId> replicas;
  std::span<const NodeId> isr;
  std::span<const ReplicaBroker> brokers;
  BrokerEpoch local_broker_epoch;  // this incarnation's registration
  std::int32_t min_insync_replicas = 1;
};

// A replica's broker was registered, fenced, unfenced or began to shut down; brokers not named are unchanged.
struct BrokersChanged {
  std::span<const ReplicaBroker> brokers;
};

struct MinIsrChanged {
  std::int32_t min_insync_replicas = 1;
};

// shutting_down: the node stops in order and the log stays its own; whoever waits has to ask the next leader.
enum class RemovedReason : std::uint8_t { topic_deleted, reassigned, log_directory_failed, shutting_down };

// The replica is no longer hosted here. Everything asked of it afterwards is refused; waiters are answered.
struct Removed {
  RemovedReason reason;
};

// Admission check; the shell appends only after NONE. acks: 0, 1 or -1 (all).
struct ProduceRequested {
  std::int16_t acks;
};

// The leader's storage appended what was admitted (or, later, recognised a duplicate: then the older batch). Answered
// by CompleteProduce, at once unless acks is -1.
struct ProduceAppended {
  ProducedBatch batch;
  std::int16_t acks;
  WaiterId waiter;
};

// request.timeout of the produce request passed. Unknown waiters are fine: it was answered in the meantime.
struct WaiterExpired {
  WaiterId waiter;
};

enum class Progress : std::uint8_t {
  record,  // the fetch as it arrived
  ignore   // the same fetch looked at again after waiting for data
};

struct FollowerFetch {
  NodeId replica;
  BrokerEpoch broker_epoch = kNoBrokerEpoch;
  LeaderEpoch current_leader_epoch = kNoEpoch;  // kNoEpoch: not checked
  Offset fetch_offset;                          // the follower's log end
  LeaderEpoch last_fetched_epoch = kNoEpoch;    // kNoEpoch: no divergence check
  Offset log_start = kNoOffset;                 // the follower's; kNoOffset: not told
  Progress progress = Progress::record;
};

struct ConsumerFetch {
  LeaderEpoch current_leader_epoch = kNoEpoch;
  Offset fetch_offset;
  LeaderEpoch last_fetched_epoch = kNoEpoch;
  bool leader_only = true;  // false: a follower may answer (KIP-392)
};

struct OffsetForLeaderEpoch {
  LeaderEpoch current_leader_epoch = kNoEpoch;
  LeaderEpoch epoch;
};

struct ListOffsets {
  LeaderEpoch current_leader_epoch = kNoEpoch;
  bool from_replica = false;  // replica_id >= 0: LATEST is the log end
  bool latest = false;        // timestamp -1
};

// error NONE: what the controller decided.
struct AlterPartitionAnswered {
  ProposalId proposal;
  ErrorCode error = ErrorCode::NONE;  // transport failures and time-outs: NETWORK_EXCEPTION, REQUEST_TIMED_OUT
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = kNoPartitionEpoch;
  std::span<const NodeId> isr;
};

// Every replica.lag.time.max.ms / 2, for each partition led here.
struct IsrTick {};

// A fetch's answer for this partition, with the leader epoch and the offset that were asked.
struct FetchAnswered {
  LeaderEpoch leader_epoch;
  Offset fetch_offset;
  ErrorCode error = ErrorCode::NONE;
  EpochEnd diverging;  // not known(): no divergence
  Offset high_watermark = kNoOffset;
  Offset log_start = kNoOffset;
  std::span<const BatchSummary> batches;  // whole, valid batches in order
};

// Answers AskLeaderOffsets: ListOffsets EARLIEST and LATEST as a replica.
struct LeaderOffsetsAnswered {
  LeaderEpoch leader_epoch;  // as asked
  ErrorCode error = ErrorCode::NONE;
  Offset log_start = kNoOffset;
  Offset log_end = kNoOffset;
};

// The outcomes of effects, fed in the same turn. The LogView shows the new state already.
struct Truncated {};         // of TruncateTo and TruncateFullyAndStartAt
struct FollowerAppended {};  // of AppendAsFollower: all of it
struct AppendFailed {};      // of AppendAsFollower or of an admitted produce: cut back to a batch boundary

using Event =
    std::variant<LogOpened, MetadataChanged, BrokersChanged, MinIsrChanged, Removed, ProduceRequested, ProduceAppended,
                 WaiterExpired, FollowerFetch, ConsumerFetch, OffsetForLeaderEpoch, ListOffsets, AlterPartitionAnswered,
                 IsrTick, FetchAnswered, LeaderOffsetsAnswered, Truncated, FollowerAppended, AppendFailed>;

// ---- answers ----

// error != NONE: nothing else is set. diverging.known(): no data. Else read from the fetch offset, below read_limit; an
// offset at or above read_limit gets an empty answer.
struct FetchDecision {
  ErrorCode error = ErrorCode::NONE;
  EpochEnd diverging;
  Offset high_watermark = kNoOffset;
  Offset log_start = kNoOffset;
  Offset read_limit = kNoOffset;  // followers: log end; consumers: high watermark
};

struct OffsetForLeaderEpochDecision {
  ErrorCode error = ErrorCode::NONE;
  EpochEnd end;  // not known(): UNDEFINED_EPOCH and UNDEFINED_EPOCH_OFFSET
};

struct ListOffsetsDecision {
  ErrorCode error = ErrorCode::NONE;
  LeaderEpoch leader_epoch = kNoEpoch;
  Offset log_start = kNoOffset;
  Offset latest = kNoOffset;  // the bound of what may be told: high watermark, or log end for replicas
  // The new leader's high watermark has not reached its epoch's start: a look-up by time that finds nothing below
  // `latest` is answered OFFSET_NOT_AVAILABLE.
  bool latest_lags = false;
};

// What a follower asks its leader next.
struct FetchPosition {
  NodeId leader;
  LeaderEpoch current_leader_epoch;
  Offset fetch_offset;
  LeaderEpoch last_fetched_epoch;
  Offset log_start;
};

}  // namespace verdict::replication
