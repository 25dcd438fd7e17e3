#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/client/transactional_producer.h"
#include "sim/group_workload.h"
#include "sim/workload.h"

// A client whose records become visible in transactions, over any Runtime.
namespace verdict::sim {

struct TransactionalLoad {
  std::int64_t process = 0;
  client::ClientOptions client;
  client::ProducerOptions producer;
  client::TransactionOptions transaction;
  std::vector<client::TopicPartition> partitions;  // drawn from at random
  std::uint32_t burst = 2;                         // records of a transaction
  Duration interval = 25ms;                        // mean time between transactions
  std::uint32_t abort_one_in = 0;                  // transactions that are aborted, drawn; 0: none
  std::uint32_t lives = 0;  // after an error that ends a producer's life another begins; so many in all; 0: no limit
  std::uint32_t value_bytes = 32;
  KeySpace keys;
  std::uint64_t records = ~std::uint64_t{0};
  Duration time = Duration::max();
  // Consume, transform, produce: with a group each record is made of one that its member read, and the transaction
  // commits how far it has read.
  client::GroupOptions group;
  client::ConsumerOptions consumer;
};

// Runs from construction; destroyed at any time in a simulation, after close() on the real machine.
class TransactionalProcess final : private client::DeliverySink, private client::TransactionWatch {
 public:
  TransactionalProcess(Runtime& runtime, TransactionalLoad load, HistorySink* sink);
  ~TransactionalProcess() override;

  void stop();  // after the transaction under way
  bool finished() const { return finished_; }
  std::size_t pending() const { return producer_ ? producer_->producer().pending() : 0; }
  Task<void> close();
  const LoadStats& stats() const { return stats_; }

 private:
  struct Sent {
    std::size_t place = 0;  // in partitions
    std::int64_t value = 0;
    std::int64_t input = -1;
    RecordKey key;
  };
  enum class Next : std::uint8_t { go_on, another_life };

  Task<void> run();
  Task<void> live();
  Task<Next> transact();
  Task<bool> fill(client::GroupMembership member, client::OffsetsToCommit offsets);
  Task<Next> finish(bool commit);
  Task<void> pause(Duration mean);
  Task<void> read_inputs();
  bool over() const;
  void plan();
  void send(const Sent& one);
  std::uint64_t draw() { return runtime_->random(Purpose::Workload, static_cast<std::uint64_t>(load_.process)); }
  std::int64_t txn() const { return load_.process << 32 | transactions_; }  // the one under way
  ClientOp describe(OpCall call);
  void report_end(OpCall call, std::int64_t op, const client::TransactionEnd& end);
  void delivered(std::uint64_t token, const client::DeliveryReport& report) override;
  void batch_sending(const client::BatchSent& batch) override;
  void batch_finished(std::uint64_t id) override;
  void asked(TransactionWatch::Call call, const client::ProducerIdentity&, bool settled) override;

  Runtime* runtime_;
  TransactionalLoad load_;
  HistorySink* sink_;
  ReaderLog log_;
  LoadStats stats_;
  MonoTime end_{};
  std::vector<char> value_;
  KeyWriter key_;
  std::vector<Sent> sent_;            // of the transaction under way
  std::vector<std::int64_t> inputs_;  // read, and to be transformed
  std::int64_t operations_ = 0;
  std::uint32_t sequence_ = 0;
  std::int64_t transactions_ = 0;
  std::uint64_t batches_before_ = 0;  // of earlier lives
  std::uint64_t last_batch_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
  Signal wake_;
  std::optional<client::TransactionalProducer> producer_;
  std::optional<GroupReader> reader_;
  Scope scope_;
};

}  // namespace verdict::sim
