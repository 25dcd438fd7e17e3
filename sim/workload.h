#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/consumer.h"
#include "protocol/client/producer.h"
#include "runtime/scope.h"
#include "sim/history_sink.h"

// Clients that produce and consume, over any Runtime: on a simulated machine of their own or against a live cluster.
// All they do is a function of the runtime's time and of its draws for Purpose::Workload.
namespace verdict::sim {

// Keys that records are given. A record without a value, a tombstone, names its value in the header "value".
struct KeySpace {
  std::uint32_t keys = 0;              // distinct ones; 0: none
  bool numbers = false;                // 4 bytes, big-endian, as those of control records are; else "key-N"
  std::uint32_t tombstone_one_in = 0;  // 0: none
  bool compacted = false;              // the topics are, by them
};
constexpr std::string_view kValueHeader = "value";

// Values name themselves, so that a history can be checked: process << 32 | sequence, in 16 or more decimal digits,
// padded with dots to the size wanted. Below 2^53 for processes below 2^21.
constexpr std::int64_t make_value(std::int64_t process, std::uint32_t sequence) { return process << 32 | sequence; }
constexpr std::size_t kValueDigits = 16;
void format_value(std::int64_t value, std::span<char> into);  // at least kValueDigits
std::optional<std::int64_t> parse_value(std::string_view text);

MonoTime end_of(MonoTime start, Duration time);  // the latest time there is, where the sum is beyond it
constexpr std::int64_t to_ns(MonoTime t) { return t.time_since_epoch().count(); }
OpType type_of(client::Delivery delivery);

// Operation numbers of a process: process << 32 | its own count, unique in a run without anything shared.

struct ProducerLoad {
  std::int64_t process = 0;  // unique in the run, also among incarnations; 0 to 2^21 - 1
  client::ClientOptions client;
  client::ProducerOptions producer;
  std::vector<client::TopicPartition> partitions;  // drawn from at random; kAnyPartition: round robin over the topic
  std::uint32_t burst = 1;                         // records sent at once
  Duration interval = 1ms;                         // between bursts; zero: as fast as outcomes allow
  bool jitter = true;                              // an interval is drawn from [0, 2 * interval) and not constant
  std::uint32_t max_pending = 1000;                // records without an outcome: beyond it bursts wait
  std::uint32_t value_bytes = 32;                  // at least kValueDigits
  KeySpace keys;
  std::uint64_t records = ~std::uint64_t{0};  // stop after as many
  Duration time = Duration::max();            // stop after this time
};

struct ConsumerLoad {
  std::int64_t process = 0;
  client::ClientOptions client;
  client::ConsumerOptions consumer;
  std::vector<client::TopicPartition> partitions;
  client::StartAt start = client::StartAt::earliest();
  std::vector<client::StartAt> starts;  // of each of `partitions`, in place of `start`
  Duration poll_interval = 0ms;         // pause between polls
  std::uint32_t seek_one_in = 0;        // polls after which a partition goes back to some earlier offset; 0: never
  std::uint64_t records = ~std::uint64_t{0};  // stop after as many
  Duration time = Duration::max();
};

struct LoadStats {
  std::uint64_t sent = 0, acknowledged = 0, failed = 0, unknown = 0;  // records
  std::uint64_t polls = 0, delivered = 0, foreign = 0;                // foreign: records without a value of ours
  std::uint64_t truncations = 0, errors = 0;

  void count(client::Delivery delivery);
};

// What was drawn for one record.
struct RecordKey {
  std::uint32_t number = 0;  // below KeySpace::keys
  bool tombstone = false;
};

// One record's key and value from what was drawn. What a record points to is valid until the next fill(), what an
// operation points to until the next call.
class KeyWriter {
 public:
  explicit KeyWriter(const KeySpace& space) : space_(space) {}
  RecordKey draw(Runtime& runtime, std::int64_t process) const;  // without keys no draw
  // `value`: its text.
  void fill(client::ProducerRecord& record, RecordKey key, std::span<const char> value);
  void describe(RecordKey key, ClientOp& op);

 private:
  std::string_view name(std::uint32_t number);

  KeySpace space_;
  std::string bytes_;
  std::string name_;
  storage::RecordHeaderInput header_;
};

// A producing process. Runs from construction; destroyed at any time in a simulation, after close() on the real
// machine.
class ProducerProcess final : private client::DeliverySink {
 public:
  ProducerProcess(Runtime& runtime, ProducerLoad load, HistorySink* sink);  // sink: may be null, outlives it
  ~ProducerProcess() override;

  void stop() {
    stopping_ = true;
    wake_.notify();
  }  // no new records; those sent get their outcomes
  bool finished() const { return finished_; }  // stopped, and every record has its outcome
  Task<void> close();                          // at once: what is in flight becomes unknown
  const LoadStats& stats() const { return stats_; }
  client::Producer& producer() { return producer_; }
  std::size_t pending() const { return producer_.pending(); }

 private:
  struct InFlight {
    bool used = false;
    std::uint32_t place = 0;  // in partitions
    RecordKey key;
    std::int32_t partition = 0;
  };

  Task<void> run();
  Task<void> learn_partitions();
  bool may_send() const;
  void send_one();
  std::int32_t next_partition(const std::string& topic);
  ClientOp describe(std::uint64_t sequence, const InFlight& slot);
  void delivered(std::uint64_t token, const client::DeliveryReport& report) override;
  void batch_sending(const client::BatchSent& batch) override;
  void batch_finished(std::uint64_t id) override;

  Runtime* runtime_;
  ProducerLoad load_;
  HistorySink* sink_;
  LoadStats stats_;
  std::vector<char> value_;
  KeyWriter key_;
  std::vector<InFlight> in_flight_;  // by sequence modulo its size
  bool ordered_;
  bool waiting_ = false;  // run() goes on at an outcome
  std::uint32_t turn_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
  Signal wake_;
  client::Producer producer_;
  Scope scope_;
};

// What consuming processes say of their polls.
class ReaderLog {
 public:
  // `first`: of its operations' numbers, where the process has others.
  ReaderLog(Runtime& runtime, std::int64_t process, bool read_committed, HistorySink* sink, std::uint32_t first = 0)
      : runtime_(&runtime), process_(process), read_committed_(read_committed), sink_(sink), operations_(first) {}
  // `values`, if given, gets what was read, in its order.
  void take(const client::Polled& polled, LoadStats& stats, std::vector<std::int64_t>* values = nullptr);
  void report_position(OpCall call, const client::TopicPartition& partition, std::int64_t offset);
  // A member of a group asks it where to go on: the operation's number; then it is told.
  std::int64_t ask_position(const client::TopicPartition& partition, std::string_view group);
  void told_position(std::int64_t op, const client::TopicPartition& partition, std::string_view group,
                     std::int64_t offset);
  ClientOp describe(OpCall call, const client::TopicPartition& partition);  // a new operation, done
  ClientOp describe_again(std::int64_t op, OpCall call, const client::TopicPartition& partition) const;
  HistorySink* sink() { return sink_; }
  std::int64_t process() const { return process_; }

 private:
  Runtime* runtime_;
  std::int64_t process_;
  bool read_committed_;
  HistorySink* sink_;
  std::vector<OffsetAndValue> records_;
  std::uint64_t operations_ = 0;
};

// A consuming process; likewise.
class ConsumerProcess {
 public:
  ConsumerProcess(Runtime& runtime, ConsumerLoad load, HistorySink* sink);
  ~ConsumerProcess();

  void stop();
  bool finished() const { return finished_; }
  Task<void> close();
  const LoadStats& stats() const { return stats_; }
  client::Consumer& consumer() { return consumer_; }

 private:
  Task<void> run();
  void maybe_seek();

  Runtime* runtime_;
  ConsumerLoad load_;
  ReaderLog log_;
  LoadStats stats_;
  bool stopping_ = false;
  bool finished_ = false;
  Signal wake_;
  client::Consumer consumer_;
  Scope scope_;
};

}  // namespace verdict::sim
