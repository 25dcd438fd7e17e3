#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/broker/replica_manager.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "storage/batch.h"
#include "storage/batch_builder.h"
#include "storage/compression.h"

namespace verdict::broker {

struct CoordinatorProducer {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
};

// The shell around the machine of one partition of __consumer_offsets or __transaction_state, for as long as this
// broker leads it in one leader epoch: it feeds the machine the log, lets it append, and holds what it says until all
// that it has appended is committed. A machine may therefore decide at once, ahead of the commit; what it decided on
// and could not append, or may have lost with the leadership, dies with it: a new one is made from the log.
class CoordinatorPartition : public std::enable_shared_from_this<CoordinatorPartition> {
 public:
  enum class State : std::uint8_t {
    loading,
    active,
    failed,  // its log holds a record that can't be read: nobody is served from it
    gone,    // the leadership is lost, or an append failed: see Context::lost
  };
  struct Context {
    Runtime* runtime;
    ReplicaManager* replicas;
    Scope* scope;  // of its tasks; outlives it
    // An append failed, or was not committed: this one answers nothing any more, and if this broker still leads,
    // another one is to be loaded. Called in the middle of a turn of it.
    std::function<void(CoordinatorPartition&)> lost;
  };

  CoordinatorPartition(Context context, PartitionPtr partition, LeaderEpoch epoch);
  virtual ~CoordinatorPartition() = default;
  CoordinatorPartition(const CoordinatorPartition&) = delete;
  CoordinatorPartition& operator=(const CoordinatorPartition&) = delete;

  State state() const { return state_; }
  LeaderEpoch epoch() const { return epoch_; }
  std::int32_t index() const { return partition_->key().index; }
  const PartitionPtr& partition() const { return partition_; }
  // What a request is told instead of being served; NONE: it is served.
  ErrorCode refusal() const;

  void start();  // loads; once
  void drop();   // the leadership is lost or the broker stops: open requests are answered
  void marker_appended(const CoordinatorProducer& producer, bool committed);  // by WriteTxnMarkers, in this turn

 protected:
  // The machine, while it loads: every record of the log in order.
  virtual std::expected<void, std::string> replay(const storage::RecordView& record,
                                                  const std::optional<CoordinatorProducer>& transactional) = 0;
  virtual void replay_marker(const CoordinatorProducer& producer, bool committed) = 0;
  virtual void loaded() = 0;  // from now on it is asked
  virtual void tick() = 0;    // the alarm that was armed last
  virtual void marker(const CoordinatorProducer& producer, bool committed) = 0;
  virtual void answer_open(ErrorCode error) = 0;  // all requests that have no answer yet

  // For the machine's effects, in their order. A record has a key, and a value or, as a tombstone, none.
  template <class Records>
  void append(const Records& records, const std::optional<CoordinatorProducer>& transactional) {
    if (state_ != State::active || records.empty()) return;
    begin_batch(transactional);
    const std::int64_t now = to_ms(runtime().wall_now());
    for (const auto& record : records) builder_.add(now, record.key, record.value);
    append_batch();
  }
  void when_committed(std::function<void()> action);  // at once where nothing is uncommitted
  void arm(MonoTime when);
  Runtime& runtime() const { return *context_.runtime; }

 private:
  struct Held {
    std::uint64_t appends = 0;  // that must be committed first
    std::function<void()> action;
  };
  using Self = std::shared_ptr<CoordinatorPartition>;

  Task<void> load(Self self);
  Task<Offset> read_log(Offset at, Offset end);
  bool replay_batch(const storage::BatchView& batch);
  void begin_batch(const std::optional<CoordinatorProducer>& transactional);
  void append_batch();
  Task<void> await_commit(Self self, std::unique_ptr<ProduceWait> wait, std::uint64_t number);
  Task<void> timer(Self self);
  void committed(std::uint64_t appends);
  void announce_change(bool active);
  void lose(std::string_view why);
  void fail(std::string_view why);

  Context context_;
  PartitionPtr partition_;
  LeaderEpoch epoch_;
  State state_ = State::loading;
  storage::Compressor compressor_;
  storage::BatchBuilder builder_;
  std::uint64_t appended_ = 0;   // batches
  std::uint64_t committed_ = 0;  // of them
  std::deque<Held> held_;
  std::optional<MonoTime> alarm_;
  FetchWatcher watcher_;
  Signal alarm_changed_;
};

}  // namespace verdict::broker
