#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/errors.h"
#include "protocol/client/metadata.h"
#include "protocol/topic_partition.h"
#include "protocol/wire/codec.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "storage/batch.h"

namespace verdict::wire {
struct FetchRequest;
struct FetchResponse;
namespace parts::fetch_response {
struct PartitionData;
}
}  // namespace verdict::wire

namespace verdict::client {

using verdict::TopicPartition;

enum class OffsetReset : std::uint8_t { earliest, latest, none };  // auto.offset.reset

struct ConsumerOptions {
  std::int32_t min_bytes = 1;                  // fetch.min.bytes
  std::int32_t max_bytes = 50 << 20;           // fetch.max.bytes
  std::int32_t max_partition_bytes = 1 << 20;  // max.partition.fetch.bytes
  Duration max_wait = 500ms;                   // fetch.max.wait.ms
  bool read_committed = false;                 // isolation.level
  bool sessions = true;                        // KIP-227
  bool check_crcs = true;                      // check.crcs
  OffsetReset reset = OffsetReset::earliest;   // of an offset out of range, or cut away
  std::size_t max_batch_bytes = storage::kDefaultDecompressedLimit;
};

// Where to read from.
struct StartAt {
  enum class Kind : std::uint8_t { offset, earliest, latest };
  Kind kind = Kind::earliest;
  Offset offset;
  LeaderEpoch epoch = kNoEpoch;
  // `epoch`: of the record before it, as it was committed (KIP-320). A leader of an older epoch is not asked, and one
  // of a newer epoch whether its log still holds what was read.
  static StartAt at(Offset offset, LeaderEpoch epoch = kNoEpoch) { return {Kind::offset, offset, epoch}; }
  static StartAt earliest() { return {Kind::earliest, Offset{}}; }
  static StartAt latest() { return {Kind::latest, Offset{}}; }
};

// One partition's part of a poll.
struct PolledPartition {
  enum class Event : std::uint8_t {
    records,    // maybe none, if only control batches or aborted records were passed
    located,    // a position was found by earliest, latest or the reset policy: it is `next`
    truncated,  // what was read before is gone (KIP-320): the position went back from `from` to `next`
    error,      // see `error`; the partition is left alone until seek() if it isn't retriable
  };
  Event event = Event::records;
  TopicPartition partition;
  ErrorCode error = ErrorCode::NONE;
  Offset from;                        // the position asked for
  Offset next;                        // the position now
  LeaderEpoch next_epoch = kNoEpoch;  // of the record before that, of Event::records
  Offset high_watermark = kNoOffset;
  Offset last_stable = kNoOffset;
  Offset log_start = kNoOffset;
  std::vector<storage::RecordView> records;  // ascending offsets >= from; point into the Polled
};

// What one poll found. Owns the bytes that its records point into.
struct Polled {
  std::vector<PolledPartition> partitions;
  std::size_t records() const {
    std::size_t n = 0;
    for (const PolledPartition& partition : partitions) n += partition.records.size();
    return n;
  }
  std::vector<std::byte> frame;
  wire::Arena arena;
  std::vector<std::vector<std::byte>> plain;  // decompressed batches
};

struct ConsumerStats {
  std::uint64_t fetches = 0, records = 0, bytes = 0, truncations = 0, resets = 0, session_errors = 0;
};

// Reads assigned partitions. One fetch a node is in flight at a time; the next one is begun as soon as a poll has taken
// the last one's answer. Ends with close() on the real machine.
class Consumer {
 public:
  Consumer(Runtime& runtime, const ClientOptions& client, ConsumerOptions options);
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;
  ~Consumer();

  void assign(const TopicPartition& partition, StartAt start);  // adds it, or seeks
  void unassign(const TopicPartition& partition);
  bool seek(const TopicPartition& partition, StartAt start);  // false: not assigned; answers under way are dropped
  Offset position(const TopicPartition& partition) const;     // kNoOffset: not assigned, or not found out yet

  // Returns when something happened, or empty at the deadline. One poll at a time.
  Task<Polled> poll(MonoTime deadline);
  void interrupt();  // the poll under way, or else the next, returns at once
  Task<void> close();

  const ConsumerStats& stats() const { return stats_; }
  Metadata& metadata() { return metadata_; }

 private:
  struct State;   // of one partition
  struct Node;    // session and fetch in flight
  struct Asked;   // one partition of a fetch
  struct Answer;  // a fetch that was answered, not yet polled
  using StatePtr = std::shared_ptr<State>;
  using Group = std::vector<StatePtr>;

  void start_work(MonoTime now);
  void refresh_metadata();
  bool needs_check(State& state, LeaderEpoch leader) const;
  MonoTime next_retry() const;
  void wake();
  void forget_events(const State& state);
  void put(State& state, StartAt start);
  void retry_later(State& state, ErrorCode error);
  void out_of_range(State& state, Offset from, std::vector<PolledPartition>& out);
  void report_error(State& state, ErrorCode error, std::vector<PolledPartition>& out);

  Task<void> metadata_task();
  Task<void> locate_task(NodeId leader, Group group);
  Task<ErrorCode> locate(NodeId leader, const Group* group, std::vector<std::uint64_t> seeks);
  Task<void> check_task(NodeId leader, Group group);
  Task<ErrorCode> check(NodeId leader, const Group* group, std::vector<std::uint64_t> seeks);
  void located(State& state, Offset offset, LeaderEpoch epoch);
  void checked(State& state, Offset end, LeaderEpoch epoch);

  Task<void> fetch_task(NodeId leader, Group group);
  Task<std::unique_ptr<Answer>> fetch(NodeId leader, const Group* group);
  void build_fetch(Node& node, const Group& group, bool by_id, wire::Arena& arena, wire::FetchRequest& request);
  void take(Answer& answer, Polled& out);
  bool take_session(Node& node, const wire::FetchResponse& response);
  void read_partition(State& state, const wire::parts::fetch_response::PartitionData& data, Polled& out,
                      PolledPartition& into);

  Runtime* runtime_;
  ClientOptions client_;
  ConsumerOptions options_;
  Connections connections_;
  Metadata metadata_;
  std::map<TopicPartition, StatePtr> states_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Answer>> answers_;
  std::vector<PolledPartition> events_;  // found outside of fetches
  storage::Decompressor decompressor_;
  bool refreshing_ = false;
  bool closed_ = false;
  bool interrupted_ = false;
  bool woken_ = false;
  ConsumerStats stats_;
  Signal ready_;
  Scope scope_;
};

}  // namespace verdict::client
