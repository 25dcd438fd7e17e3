#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <variant>

#include "protocol/event_fields.h"
#include "protocol/transaction_events.h"
#include "protocol/types.h"
#include "runtime/time.h"

// The feed of protocol events: what the core did, announced after the change of state and before any effect of it
// leaves the node. Checker, trace, report, metrics and triggers all hang on it.
//
// Each event is a plain struct with a name and fields(visit), which calls visit("field_name", value) for each member in
// order: the one source for JSON, hashing and matching. Views and spans are valid during the call only.
namespace verdict::protocol::events {

using NodeSpan = std::span<const NodeId>;

enum class Role : std::uint8_t { leader, follower };
enum class TruncateReason : std::uint8_t {
  divergence,    // a follower cut to what its leader holds
  full,          // a follower starts anew at the leader's log start offset
  append_failed  // a failed or partial append was cut back
};
enum class StartReason : std::uint8_t { retention, delete_records, leader };

// ---- one replica's log (emitted by the node that holds it) ----

// A log was opened at start (recovered or not) or created. All that the replica holds is below log_end.
struct LogOpened {
  PartitionKey partition;
  std::string_view directory;  // path of the partition's folder, e.g. "data/orders-0"
  Offset log_start;
  Offset log_end;
  LeaderEpoch last_epoch;
  bool clean;              // the clean-shutdown file was there: nothing was checked
  std::int64_t cut_bytes;  // what recovery removed
  VERDICT_EVENT("log_opened") {
    visit("partition", partition);
    visit("directory", directory);
    visit("log_start", log_start);
    visit("log_end", log_end);
    visit("last_epoch", last_epoch);
    visit("clean", clean);
    visit("cut_bytes", cut_bytes);
  }
};

struct LogClosed {  // the topic was deleted, or the replica moved away
  PartitionKey partition;
  VERDICT_EVENT("log_closed") { visit("partition", partition); }
};

struct BatchAppended {
  PartitionKey partition;
  Offset base;
  Offset last;
  LeaderEpoch epoch;  // of the batch
  Role role;
  std::uint32_t crc;
  std::int32_t records;
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::int32_t base_sequence;
  std::int64_t max_timestamp_ms;
  Offset segment;          // base offset of the segment file
  std::uint64_t position;  // byte in that file
  std::uint32_t length;    // bytes
  // "open": records of a transaction; "commit", "abort": its marker; else empty. TransactionalAppended tells it again,
  // with the same append, but a node may die before that.
  std::string_view transaction;
  VERDICT_EVENT("batch_appended") {
    visit("partition", partition);
    visit("base", base);
    visit("last", last);
    visit("epoch", epoch);
    visit("role", role);
    visit("crc", crc);
    visit("records", records);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("base_sequence", base_sequence);
    visit("max_timestamp_ms", max_timestamp_ms);
    visit("segment", segment);
    visit("position", position);
    visit("length", length);
    visit("transaction", transaction);
  }
};

struct LogTruncated {  // log end is now `to`
  PartitionKey partition;
  Offset from;
  Offset to;
  TruncateReason reason;
  VERDICT_EVENT("log_truncated") {
    visit("partition", partition);
    visit("from", from);
    visit("to", to);
    visit("reason", reason);
  }
};

struct LogStartMoved {
  PartitionKey partition;
  Offset from;
  Offset to;
  StartReason reason;
  VERDICT_EVENT("log_start_moved") {
    visit("partition", partition);
    visit("from", from);
    visit("to", to);
    visit("reason", reason);
  }
};

// Everything below `to` reached the disk (a sync that covers it succeeded).
struct LogFlushed {
  PartitionKey partition;
  Offset to;
  VERDICT_EVENT("log_flushed") {
    visit("partition", partition);
    visit("to", to);
  }
};

// producer.id.expiration.ms: who wrote nothing since is not known here any more, as one that never wrote.
struct ProducersForgotten {
  PartitionKey partition;
  std::span<const ProducerId> producers;
  VERDICT_EVENT("producers_forgotten") {
    visit("partition", partition);
    visit("producers", producers);
  }
};

// ---- one replica's role ----

struct BecameLeader {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  Offset epoch_start;  // log end at election
  Offset high_watermark;
  NodeSpan isr;
  VERDICT_EVENT("became_leader") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("epoch_start", epoch_start);
    visit("high_watermark", high_watermark);
    visit("isr", isr);
  }
};

struct BecameFollower {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  NodeId leader;  // kNoNode: none
  VERDICT_EVENT("became_follower") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("leader", leader);
  }
};

// The leader's replication state after it counted a follower's fetch as progress.
struct FollowerFetched {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  NodeId follower;
  BrokerEpoch broker_epoch;  // as the fetch said
  Offset fetch_offset;       // the follower's log end when it sent the fetch
  LeaderEpoch last_fetched_epoch;
  VERDICT_EVENT("follower_fetched") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("follower", follower);
    visit("broker_epoch", broker_epoch);
    visit("fetch_offset", fetch_offset);
    visit("last_fetched_epoch", last_fetched_epoch);
  }
};

struct HighWatermarkAdvanced {
  PartitionKey partition;
  Role role;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  Offset from;
  Offset to;
  NodeSpan maximal_isr;             // leader only; the followers and the leader itself
  std::span<const Offset> counted;  // leader only: beside each of maximal_isr, the log end that was counted
  VERDICT_EVENT("high_watermark_advanced") {
    visit("partition", partition);
    visit("role", role);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("from", from);
    visit("to", to);
    visit("maximal_isr", maximal_isr);
    visit("counted", counted);
  }
};

struct IsrProposed {  // AlterPartition is about to be sent
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  NodeSpan isr;  // committed
  NodeSpan proposed;
  NodeSpan maximal_isr;  // while in flight
  VERDICT_EVENT("isr_proposed") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("isr", isr);
    visit("proposed", proposed);
    visit("maximal_isr", maximal_isr);
  }
};

struct IsrAdopted {  // the leader's view of the committed ISR changed (an answer or metadata), or a proposal was
                     // dropped
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  NodeSpan isr;
  NodeSpan maximal_isr;
  bool in_flight;
  VERDICT_EVENT("isr_adopted") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("isr", isr);
    visit("maximal_isr", maximal_isr);
    visit("in_flight", in_flight);
  }
};

struct DivergenceAnswered {
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  NodeId follower;
  LeaderEpoch diverging_epoch;
  Offset end;
  VERDICT_EVENT("divergence_answered") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("follower", follower);
    visit("diverging_epoch", diverging_epoch);
    visit("end", end);
  }
};

// ---- what clients were told ----

struct ProduceAcknowledged {  // error_code 0 is success; announced before the answer leaves
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  std::int16_t acks;
  std::int16_t error_code;
  Offset base;
  Offset last;
  std::uint32_t crc;
  ProducerId producer_id;
  ProducerEpoch producer_epoch;
  std::int32_t base_sequence;
  NodeSpan maximal_isr;  // at the time
  VERDICT_EVENT("produce_acknowledged") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("acks", acks);
    visit("error_code", error_code);
    visit("base", base);
    visit("last", last);
    visit("crc", crc);
    visit("producer_id", producer_id);
    visit("producer_epoch", producer_epoch);
    visit("base_sequence", base_sequence);
    visit("maximal_isr", maximal_isr);
  }
};

struct BatchDelivered {  // one whole batch in the answer to a consumer's fetch
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  Offset base;
  Offset last;
  LeaderEpoch epoch;
  std::uint32_t crc;
  Offset high_watermark;
  bool read_committed;
  VERDICT_EVENT("batch_delivered") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
    visit("base", base);
    visit("last", last);
    visit("epoch", epoch);
    visit("crc", crc);
    visit("high_watermark", high_watermark);
    visit("read_committed", read_committed);
  }
};

// ---- the controller's decisions, announced by the active controller when they are committed ----
// `offset` is that of the deciding record in the metadata log. A controller that starts again announces what its log
// holds anew, in order: skip what is not above the last offset seen.

struct TopicCreated {
  Uuid topic;
  std::string_view topic_name;
  std::int32_t partitions;
  Offset offset = kNoOffset;
  VERDICT_EVENT("topic_created") {
    visit("topic", topic);
    visit("topic_name", topic_name);
    visit("partitions", partitions);
    visit("offset", offset);
  }
};

struct TopicDeleted {
  Uuid topic;
  Offset offset = kNoOffset;
  VERDICT_EVENT("topic_deleted") {
    visit("topic", topic);
    visit("offset", offset);
  }
};

struct MinIsrConfigured {  // effective min.insync.replicas of the topic, at creation and at each change
  Uuid topic;
  std::int32_t min_isr;
  Offset offset = kNoOffset;
  VERDICT_EVENT("min_isr_configured") {
    visit("topic", topic);
    visit("min_isr", min_isr);
    visit("offset", offset);
  }
};

struct PartitionDecided {  // at creation and at each change
  PartitionKey partition;
  NodeSpan replicas;
  NodeSpan isr;
  NodeId leader;  // kNoNode: offline
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  bool unclean;  // the leader came from outside the ISR
  Offset offset = kNoOffset;
  VERDICT_EVENT("partition_decided") {
    visit("partition", partition);
    visit("replicas", replicas);
    visit("isr", isr);
    visit("leader", leader);
    visit("leader_epoch", leader_epoch);
    visit("partition_epoch", partition_epoch);
    visit("unclean", unclean);
    visit("offset", offset);
  }
};

struct BrokerRegistered {
  NodeId broker;
  BrokerEpoch epoch;
  Uuid incarnation;
  bool clean;  // PreviousBrokerEpoch matched: its logs are what they were
  Offset offset = kNoOffset;
  VERDICT_EVENT("broker_registered") {
    visit("broker", broker);
    visit("epoch", epoch);
    visit("incarnation", incarnation);
    visit("clean", clean);
    visit("offset", offset);
  }
};

struct BrokerFencing {  // fenced or unfenced, or in controlled shutdown
  NodeId broker;
  BrokerEpoch epoch;
  bool fenced;
  bool shutting_down;
  Offset offset = kNoOffset;
  VERDICT_EVENT("broker_fencing") {
    visit("broker", broker);
    visit("epoch", epoch);
    visit("fenced", fenced);
    visit("shutting_down", shutting_down);
    visit("offset", offset);
  }
};

// ---- the quorum ----

struct QuorumLeader {
  std::int32_t epoch;
  VERDICT_EVENT("quorum_leader") { visit("epoch", epoch); }
};

struct QuorumCommitted {  // everything below `to` is decided
  Offset to;
  std::int32_t epoch;
  VERDICT_EVENT("quorum_committed") {
    visit("to", to);
    visit("epoch", epoch);
  }
};

struct MetadataApplied {  // a broker published all records below `to` to its parts
  Offset to;
  VERDICT_EVENT("metadata_applied") { visit("to", to); }
};

// ---- groups: what a coordinator decides (from its loading on), writes, and tells ----
// `partition`: of __consumer_offsets. An assignment is written "orders-0,orders-1".

struct GroupsLoaded {  // a coordinator has read its log and answers from now on; its groups and members follow
  PartitionKey partition;
  LeaderEpoch leader_epoch;
  VERDICT_EVENT("groups_loaded") {
    visit("partition", partition);
    visit("leader_epoch", leader_epoch);
  }
};

struct GroupMoved {
  PartitionKey partition;
  std::string_view group;
  std::string_view state;   // Kafka's name; Dead: removed
  std::int32_t generation;  // of a consumer group (KIP-848) its epoch
  std::int32_t members;
  std::string_view protocol = "classic";  // or consumer
  VERDICT_EVENT("group_moved") {
    visit("partition", partition);
    visit("group", group);
    visit("state", state);
    visit("generation", generation);
    visit("members", members);
    visit("protocol", protocol);
  }
};

struct GroupMemberMoved {
  PartitionKey partition;
  std::string_view group;
  std::int32_t generation;  // of the group; of a consumer group's member its own epoch
  std::string_view member;
  std::string_view instance;    // "": a dynamic member
  std::string_view change;      // loaded, joined, replaced, removed; in a consumer group moved: another epoch
  std::string_view replaces;    // the older self's id
  std::string_view assignment;  // loaded; of a consumer group's member with what it is to give up
  VERDICT_EVENT("group_member_moved") {
    visit("partition", partition);
    visit("group", group);
    visit("generation", generation);
    visit("member", member);
    visit("instance", instance);
    visit("change", change);
    visit("replaces", replaces);
    visit("assignment", assignment);
  }
};

struct GroupCommitDecided {  // whether a commit's member data were taken, before anything of it is written
  PartitionKey partition;
  std::string_view group;
  std::string_view member;
  std::string_view instance;
  std::int32_t generation;  // -1: none
  ProducerId producer_id;   // of a transactional one
  std::int16_t error_code;
  VERDICT_EVENT("group_commit_decided") {
    visit("partition", partition);
    visit("group", group);
    visit("member", member);
    visit("instance", instance);
    visit("generation", generation);
    visit("producer_id", producer_id);
    visit("error_code", error_code);
  }
};

// After batch_appended, each record that a coordinator wrote with it.
struct GroupRecordAppended {
  PartitionKey partition;
  Offset at;
  std::string_view kind;  // offset, offset_removed, group, group_removed, other
  std::string_view group;
  std::string_view topic;  // offset, offset_removed
  std::int32_t index;
  std::int64_t committed;   // offset
  ProducerId producer_id;   // of a transaction that decides on it
  std::int32_t generation;  // group
  VERDICT_EVENT("group_record_appended") {
    visit("partition", partition);
    visit("at", at);
    visit("kind", kind);
    visit("group", group);
    visit("topic", topic);
    visit("index", index);
    visit("committed", committed);
    visit("producer_id", producer_id);
    visit("generation", generation);
  }
};

struct OffsetFetched {  // what a group has committed, as a coordinator is about to answer
  PartitionKey partition;
  std::string_view group;
  std::string_view topic;
  std::int32_t index;
  std::int64_t committed;  // -1: none
  VERDICT_EVENT("offset_fetched") {
    visit("partition", partition);
    visit("group", group);
    visit("topic", topic);
    visit("index", index);
    visit("committed", committed);
  }
};

struct GroupJoined {  // an answer to JoinGroup that names a generation leaves
  PartitionKey partition;
  std::string_view group;
  std::int32_t generation;
  std::string_view member;
  std::string_view instance;
  std::string_view client;    // client.id
  std::string_view asked_as;  // the member id of the request; "": a new process
  VERDICT_EVENT("group_joined") {
    visit("partition", partition);
    visit("group", group);
    visit("generation", generation);
    visit("member", member);
    visit("instance", instance);
    visit("client", client);
    visit("asked_as", asked_as);
  }
};

struct GroupSynced {  // an answer to SyncGroup that gives an assignment leaves
  PartitionKey partition;
  std::string_view group;
  std::int32_t generation;
  std::string_view member;
  std::string_view instance;
  std::string_view client;
  std::string_view assignment;
  VERDICT_EVENT("group_synced") {
    visit("partition", partition);
    visit("group", group);
    visit("generation", generation);
    visit("member", member);
    visit("instance", instance);
    visit("client", client);
    visit("assignment", assignment);
  }
};

// A heartbeat of a member of the consumer protocol was taken; it is answered when what it led to is committed.
struct ConsumerHeartbeatDecided {
  PartitionKey partition;
  std::string_view group;
  std::string_view member;
  std::int32_t asked_epoch;  // 0: it joins, and has nothing
  std::int32_t epoch;        // the member's from now on
  bool tells;                // it says what it has
  std::string_view owned;
  VERDICT_EVENT("consumer_heartbeat_decided") {
    visit("partition", partition);
    visit("group", group);
    visit("member", member);
    visit("asked_epoch", asked_epoch);
    visit("epoch", epoch);
    visit("tells", tells);
    visit("owned", owned);
  }
};

struct ConsumerHeartbeatAnswered {  // such an answer leaves
  PartitionKey partition;
  std::string_view group;
  std::string_view member;
  std::string_view instance;
  std::string_view client;
  std::int32_t epoch;
  bool gives;  // it says what the member has
  std::string_view assignment;
  VERDICT_EVENT("consumer_heartbeat_answered") {
    visit("partition", partition);
    visit("group", group);
    visit("member", member);
    visit("instance", instance);
    visit("client", client);
    visit("epoch", epoch);
    visit("gives", gives);
    visit("assignment", assignment);
  }
};

struct OffsetCommitted {  // an answer to OffsetCommit leaves
  PartitionKey partition;
  std::string_view group;
  std::string_view topic;
  std::int32_t index;
  std::int64_t committed;
  std::int16_t error_code;
  VERDICT_EVENT("offset_committed") {
    visit("partition", partition);
    visit("group", group);
    visit("topic", topic);
    visit("index", index);
    visit("committed", committed);
    visit("error_code", error_code);
  }
};

// What a batch of a compacted topic holds, announced before the batch_appended or batch_delivered that it is about: of
// each append by a leader, and of batches that compaction has written anew.
struct BatchRecords {
  PartitionKey partition;
  Offset base;
  Offset last;
  std::span<const Offset> offsets;
  std::span<const RecordHash> keys;      // beside each; of its key
  std::span<const RecordHash> contents;  // beside each; of timestamp, key, value and headers
  VERDICT_EVENT("batch_records") {
    visit("partition", partition);
    visit("base", base);
    visit("last", last);
    visit("offsets", offsets);
    visit("keys", keys);
    visit("contents", contents);
  }
};

// Compaction put one segment file in the place of those that held [from, to): what it holds.
struct LogCleaned {
  PartitionKey partition;
  Offset from;                    // the file's base offset
  Offset to;                      // that of the next segment
  Offset clean_to;                // later values of keys were looked for below it
  Offset last_stable;             // as it was when the pass began; nothing at or above it may count
  std::span<const Offset> bases;  // of its batches
  std::span<const Offset> lasts;
  std::span<const FilePosition> positions;
  FilePosition size;
  std::span<const Offset> records;  // those that are left
  VERDICT_EVENT("log_cleaned") {
    visit("partition", partition);
    visit("from", from);
    visit("to", to);
    visit("clean_to", clean_to);
    visit("last_stable", last_stable);
    visit("bases", bases);
    visit("lasts", lasts);
    visit("positions", positions);
    visit("size", size);
    visit("records", records);
  }
};

}  // namespace verdict::protocol::events

namespace verdict::protocol {

using Event =
    std::variant<events::LogOpened, events::LogClosed, events::BatchAppended, events::LogTruncated,
                 events::LogStartMoved, events::LogFlushed, events::BecameLeader, events::BecameFollower,
                 events::FollowerFetched, events::HighWatermarkAdvanced, events::IsrProposed, events::IsrAdopted,
                 events::DivergenceAnswered, events::ProduceAcknowledged, events::BatchDelivered, events::TopicCreated,
                 events::TopicDeleted, events::MinIsrConfigured, events::PartitionDecided, events::BrokerRegistered,
                 events::BrokerFencing, events::QuorumLeader, events::QuorumCommitted, events::MetadataApplied,
                 events::TransactionMoved, events::TransactionalAppended, events::LastStableServed,
                 events::CommittedRead, events::TransactionDecided, events::CoordinatorChanged,
                 events::TransactionFound, events::MarkerAnswered, events::OffsetsEnded, events::ProducersForgotten,
                 events::GroupsLoaded, events::GroupMoved, events::GroupMemberMoved, events::GroupCommitDecided,
                 events::GroupRecordAppended, events::OffsetFetched, events::GroupJoined, events::GroupSynced,
                 events::OffsetCommitted, events::BatchRecords, events::LogCleaned, events::ConsumerHeartbeatDecided,
                 events::ConsumerHeartbeatAnswered>;

// One a node; the node's id and incarnation are the observer's to know. Events of a dead incarnation never arrive.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void observe(const Event& event) = 0;
};

}  // namespace verdict::protocol
