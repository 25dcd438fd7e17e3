#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/events.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/consumer_group_describe.h"
#include "protocol/wire/gen/consumer_group_heartbeat.h"
#include "protocol/wire/gen/delete_groups.h"
#include "protocol/wire/gen/describe_groups.h"
#include "protocol/wire/gen/heartbeat.h"
#include "protocol/wire/gen/join_group.h"
#include "protocol/wire/gen/leave_group.h"
#include "protocol/wire/gen/list_groups.h"
#include "protocol/wire/gen/offset_commit.h"
#include "protocol/wire/gen/offset_delete.h"
#include "protocol/wire/gen/offset_fetch.h"
#include "protocol/wire/gen/sync_group.h"
#include "protocol/wire/gen/txn_offset_commit.h"
#include "runtime/names.h"
#include "runtime/time.h"
#include "runtime/uuid.h"

// The group coordinator of one partition of __consumer_offsets: members, generations and assignments of the classic
// protocol, members and assignments of the consumer protocol (KIP-848), groups that go from one to the other, committed
// offsets, those of open transactions, and their expiry. What Kafka's GroupCoordinatorShard decides.
//
// It decides on its own state at once, ahead of the commit. Whoever carries out its effects sends an answer only when
// all that was appended before it is committed; if an append fails or leadership is lost, this object is dropped, its
// open tokens are answered NOT_COORDINATOR from outside, and a new one replays the log.
namespace verdict::protocol {
class MetadataImage;
}

namespace verdict::group {

using wire::ErrorCode;
using Token = std::uint64_t;  // the shell's name for a request

// The request belongs to the caller and must live through step() only. client_host in Kafka's form: "/127.0.0.1".
template <class Request>
struct Call {
  Token token = 0;
  int version = 0;
  std::string_view client_id;
  std::string_view client_host;
  const Request& request;
};

struct LogRecord {
  std::vector<std::byte> key;
  std::optional<std::vector<std::byte>> value;  // none: a tombstone
  friend bool operator==(const LogRecord&, const LogRecord&) = default;
};

struct Producer {  // of a transactional batch
  std::int64_t id = -1;
  std::int16_t epoch = -1;
};

namespace events_in {

struct JoinGroup {
  Token token = 0;
  int version = 0;
  std::string_view client_id;
  std::string_view client_host;
  const wire::JoinGroupRequest& request;
  Uuid random;  // a new member's id is made of it
};
using SyncGroup = Call<wire::SyncGroupRequest>;
using Heartbeat = Call<wire::HeartbeatRequest>;
using LeaveGroup = Call<wire::LeaveGroupRequest>;
// Topics that don't exist are the caller's to refuse (UNKNOWN_TOPIC_OR_PARTITION), here and in TxnOffsetCommit.
using OffsetCommit = Call<wire::OffsetCommitRequest>;
using TxnOffsetCommit = Call<wire::TxnOffsetCommitRequest>;  // of a producer whose transaction was verified
using OffsetDelete = Call<wire::OffsetDeleteRequest>;
using ListGroups = Call<wire::ListGroupsRequest>;  // answered with this partition's groups

// One group of a request that may name several: the answer is a response with this one group.
struct OffsetFetch {
  Token token = 0;
  bool require_stable = false;
  const wire::OffsetFetchRequest::OffsetFetchRequestGroup& group;  // topics none: all
};
struct DescribeGroup {
  Token token = 0;
  int version = 0;
  std::string_view group_id;
};
struct DeleteGroup {
  Token token = 0;
  std::string_view group_id;
};
struct ConsumerHeartbeat {  // one that check_heartbeat() has nothing against
  Token token = 0;
  int version = 0;
  std::string_view client_id;
  std::string_view client_host;
  const wire::ConsumerGroupHeartbeatRequest& request;
  Uuid random;  // the id of a member that brings none
};
struct DescribeConsumerGroup {
  Token token = 0;
  std::string_view group_id;
};

struct TopicsDeleted {
  std::span<const std::string> names;
};
struct TopicsChanged {  // Options::image has changed: partitions, replicas, or there is no such topic any more
  std::span<const std::string> names;
  bool any_created = false;
};
struct Marker {  // the end of a transaction was appended to this partition
  Producer producer;
  bool committed = false;
};
struct Tick {};

}  // namespace events_in

// OffsetFetch: exactly one element in `groups`, whatever the version. DescribeGroup and DeleteGroup: one as well.
using Response =
    std::variant<wire::Message<wire::JoinGroupResponse>, wire::Message<wire::SyncGroupResponse>,
                 wire::Message<wire::HeartbeatResponse>, wire::Message<wire::LeaveGroupResponse>,
                 wire::Message<wire::OffsetCommitResponse>, wire::Message<wire::TxnOffsetCommitResponse>,
                 wire::Message<wire::OffsetFetchResponse>, wire::Message<wire::OffsetDeleteResponse>,
                 wire::Message<wire::DescribeGroupsResponse>, wire::Message<wire::DeleteGroupsResponse>,
                 wire::Message<wire::ListGroupsResponse>, wire::Message<wire::ConsumerGroupHeartbeatResponse>,
                 wire::Message<wire::ConsumerGroupDescribeResponse>>;

namespace effects {

struct Append {  // one atomic batch
  std::vector<LogRecord> records;
  std::optional<Producer> transactional;
};
struct Respond {
  Token token = 0;
  Response response;
};
struct ArmTimer {  // one timer: replaces the one before; answered by Tick
  MonoTime when;
};
struct Log {
  bool warning = false;
  std::string text;
};

}  // namespace effects

using Effect = std::variant<effects::Append, effects::Respond, effects::ArmTimer, effects::Log>;
struct Effects {
  std::vector<Effect> list;  // to be done in order, before the next event
  std::vector<Mark> marks;   // for Runtime::mark
};

struct Refusal {
  ErrorCode error = ErrorCode::NONE;
  std::string message;  // empty: none
};
// What Kafka refuses before it looks for a coordinator.
std::optional<Refusal> check_heartbeat(const wire::ConsumerGroupHeartbeatRequest& request, int version,
                                       std::span<const std::string> assignors);

class GroupCoordinator {
 public:
  struct Options {  // by Kafka's properties, with its defaults
    std::int32_t group_min_session_timeout_ms = 6'000;
    std::int32_t group_max_session_timeout_ms = 1'800'000;
    std::int32_t group_initial_rebalance_delay_ms = 3'000;
    std::int32_t group_max_size = std::numeric_limits<std::int32_t>::max();
    std::int32_t offset_metadata_max_bytes = 4'096;
    std::int64_t offsets_retention_ms = 604'800'000;
    std::int64_t offsets_retention_check_interval_ms = 600'000;
    std::size_t max_batch_bytes = 1'048'588;  // of __consumer_offsets (max.message.bytes): larger ones are refused
    // Of the consumer protocol.
    std::int32_t consumer_session_timeout_ms = 45'000;
    std::int32_t consumer_heartbeat_interval_ms = 5'000;
    std::int32_t consumer_max_size = std::numeric_limits<std::int32_t>::max();
    std::vector<std::string> consumer_assignors = {"uniform", "range"};  // the first where members name none
    bool consumer_upgrade = true;    // a classic group becomes a consumer group when such a member comes
    bool consumer_downgrade = true;  // and a classic one again when its last goes
    std::int32_t consumer_regex_refresh_ms = 600'000;
    // The cluster's topics. It may be ahead of the TopicsChanged that says so; null: there are none.
    const protocol::MetadataImage* image = nullptr;
    DefectSet defects;
    // Who it is, for the feed.
    PartitionKey partition;
    LeaderEpoch leader_epoch;
  };
  // `observer` may be null.
  GroupCoordinator(Options options, protocol::Observer* observer);
  ~GroupCoordinator();
  GroupCoordinator(const GroupCoordinator&) = delete;
  GroupCoordinator& operator=(const GroupCoordinator&) = delete;

  // Before loaded(): all records of the log in order, then loaded(). Records of types that Kafka 4.1 has for share and
  // streams groups, and unknown ones, are skipped. An error is a sentence: the log is damaged, and this object of no
  // use.
  std::expected<void, std::string> replay(std::span<const std::byte> key,
                                          std::optional<std::span<const std::byte>> value,
                                          std::int64_t record_timestamp_ms, std::optional<Producer> transactional);
  void replay_marker(Producer producer, bool committed);
  void loaded(MonoTime now, WallTime wall, Effects& out);

  void step(const events_in::JoinGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::SyncGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::Heartbeat&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::LeaveGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::OffsetCommit&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::TxnOffsetCommit&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::OffsetFetch&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::OffsetDelete&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::DescribeGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::DeleteGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::ListGroups&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::ConsumerHeartbeat&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::DescribeConsumerGroup&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::TopicsDeleted&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::TopicsChanged&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::Marker&, MonoTime now, WallTime wall, Effects&);
  void step(const events_in::Tick&, MonoTime now, WallTime wall, Effects&);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace verdict::group
