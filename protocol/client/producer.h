#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/errors.h"
#include "protocol/client/metadata.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "storage/batch_builder.h"

namespace verdict::wire {
struct ProduceResponse;
}

namespace verdict::client {

struct ProducerOptions {
  std::int16_t acks = -1;              // 0, 1, -1 (all)
  Duration linger = 0ms;               // linger.ms
  std::size_t batch_bytes = 16 << 10;  // batch.size: plain bytes of one batch; a larger record has one of its own
  std::size_t max_request_bytes = 1 << 20;
  int max_in_flight = 5;                // max.in.flight.requests.per.connection; 1 keeps each partition's order
  int retries = 2147483647;             // 0: each batch is sent at most once
  Duration ack_timeout = 25s;           // the request's TimeoutMs: how long the leader may wait for its followers
  Duration delivery_timeout = 120s;     // delivery.timeout.ms: no new attempt after it
  std::size_t buffer_bytes = 32 << 20;  // buffer.memory: send() refuses beyond it
  storage::Codec codec = storage::Codec::none;  // none, lz4, zstd
  // enable.idempotence (KIP-98): brokers drop what a retry sends twice, and each partition keeps its order. Needs
  // acks=all, retries, and at most 5 requests in flight.
  bool idempotent = false;
  // Of an idempotent producer whose identity is given to it (use_identity): batches are marked as a transaction's, and
  // a sequence that is lost fails all that would follow it.
  bool transactional = false;
  std::string transactional_id;  // of such a producer; brokers ask its coordinator about it
};

enum class Delivery : std::uint8_t {
  acknowledged,
  failed,   // no attempt can have appended it
  unknown,  // some attempt may have
};

struct DeliveryReport {
  Delivery delivery = Delivery::failed;
  ErrorCode error = ErrorCode::NONE;  // of the last attempt
  Offset offset = kNoOffset;          // of this record; kNoOffset unless acknowledged with acks 1 or all
};

// One batch on its way out. `id` counts a producer's batches from 1.
struct BatchSent {
  std::uint64_t id = 0;
  std::string_view topic;
  Uuid topic_id;
  std::int32_t partition = 0;
  std::uint32_t crc = 0;
  std::int32_t records = 0;
  int attempt = 0;  // from 0
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = kNoProducerEpoch;
  std::int32_t base_sequence = -1;
  bool renumbered = false;  // its sequences are others than in the attempt before: the producer took another epoch
};

class DeliverySink {
 public:
  virtual ~DeliverySink() = default;
  // Each record's final outcome, once, in the order of the batch. May call send().
  virtual void delivered(std::uint64_t token, const DeliveryReport& report) = 0;
  virtual void batch_sending(const BatchSent&) {}       // right before each attempt
  virtual void batch_finished(std::uint64_t /*id*/) {}  // after the reports of its records: it will not be sent again
};

constexpr std::int32_t kAnyPartition = -1;

struct ProducerRecord {
  storage::NullableBytes key;
  storage::NullableBytes value;
  std::int64_t timestamp_ms = storage::kNoTimestamp;  // kNoTimestamp: now
  std::span<const storage::RecordHeaderInput> headers;
};

struct ProducerStats {
  std::uint64_t acknowledged = 0, failed = 0, unknown = 0;  // records
  std::uint64_t requests = 0, retried_batches = 0, bytes = 0;
  std::uint64_t epoch_bumps = 0;  // of an idempotent producer
};

// Sends records in batches, each to its partition's leader, and reports what became of each. Unless it is idempotent, a
// retry after an ambiguous attempt may append twice. Ends with close() on the real machine.
class Producer {
 public:
  Producer(Runtime& runtime, const ClientOptions& client, ProducerOptions options, DeliverySink& sink);
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;
  ~Producer();

  // The topic's number of partitions, 0 if it could not be learned by then. Needed before kAnyPartition alone.
  Task<std::int32_t> partitions(std::string topic, MonoTime deadline);

  // Copies the record into its partition's batch and returns; delivered() follows, never from inside. False: the buffer
  // is full (wait for room()), the producer is closed, or kAnyPartition of a topic whose partitions aren't known.
  bool send(std::string_view topic, std::int32_t partition, const ProducerRecord& record, std::uint64_t token);
  // Of a transactional producer: before the first send, and anew whenever nothing is pending. Sequences begin at 0.
  // `leaders_add`: the partitions' leaders make them part of the transaction (KIP-890).
  void use_identity(ProducerId id, ProducerEpoch epoch, bool leaders_add = false);
  Task<void> room(MonoTime deadline);   // until some of the buffer is free
  void flush_now();                     // what lingers may go
  Task<bool> flush(MonoTime deadline);  // until every record has its outcome; false: the deadline came first
  Task<void> close();                   // what is queued fails, what is in flight is unknown, all of it is reported

  std::size_t pending() const { return pending_records_; }  // records without an outcome
  std::size_t buffered_bytes() const { return buffered_; }
  const ProducerStats& stats() const { return stats_; }
  Metadata& metadata() { return metadata_; }
  Connections& connections() { return connections_; }

 private:
  struct Batch;
  struct Partition;
  struct Node;
  struct Request;
  using BatchPtr = std::unique_ptr<Batch>;

  // Queues.
  Partition& partition_of(std::string_view topic, std::int32_t index);
  std::int32_t choose_partition(std::string_view topic);
  BatchPtr new_batch(Partition& partition);
  void seal(Partition& partition);
  void activate(Partition& partition);
  bool may_go(const Partition& partition, MonoTime now, MonoTime& next) const;
  void expire(Partition& partition, MonoTime now, MonoTime& next);
  void wake();
  void connection_lost();

  // Sending.
  Task<void> run();
  MonoTime drain();
  bool collect(Partition& partition, MonoTime now, MonoTime& next);
  Task<void> refresh_task();
  Task<void> send_task(std::unique_ptr<Request> request);
  Task<void> attempt(Request* request);
  void announce(Request& request);

  // Idempotence (producer_idempotence.cpp).
  struct Identity {
    ProducerId id = kNoProducerId;
    ProducerEpoch epoch = kNoProducerEpoch;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  bool may_go_in_sequence(Partition& partition, MonoTime now, MonoTime& next);
  bool start_anew(Partition& partition);
  void give_sequence(Batch& batch);
  bool refused_in_sequence(const Batch& batch, ErrorCode error, std::int64_t log_start);
  Task<void> identify();
  Task<ErrorCode> ask_identity(std::shared_ptr<RpcChannel> channel);

  // Outcomes.
  void landed(Batch& batch);
  void take_answer(Request& request, const wire::ProduceResponse& response, bool by_id);
  void settle_all(Request& request, ErrorCode error, bool maybe);
  void attempt_failed(BatchPtr batch, ErrorCode error, bool maybe, bool retriable);
  void finish(BatchPtr batch, Delivery delivery, ErrorCode error, Offset base);
  void give_up(BatchPtr batch, ErrorCode error);

  Runtime* runtime_;
  ClientOptions client_;
  ProducerOptions options_;
  DeliverySink* sink_;
  storage::Compressor compressor_;
  Connections connections_;
  Metadata metadata_;
  std::map<std::string, std::vector<std::unique_ptr<Partition>>, std::less<>> topics_;
  std::map<std::string, std::uint32_t, std::less<>> round_robin_;
  std::vector<Partition*> active_;  // those with something queued
  std::map<NodeId, Node> nodes_;
  std::vector<BatchPtr> spare_;
  std::size_t first_active_ = 0;  // where the next round begins, so that a full request starves nobody
  std::size_t buffered_ = 0;
  std::size_t pending_records_ = 0;
  std::uint64_t next_batch_ = 1;
  std::uint64_t flush_below_ = 0;  // batches opened before this number don't linger
  bool closed_ = false;
  bool refreshing_ = false;
  bool woken_ = false;
  bool lost_ = false;                   // a connection, and no refresh has begun since
  std::uint64_t wants_generation_ = 0;  // of the metadata, before anything is sent or it is hold_until_
  MonoTime hold_until_{};
  Identity identity_;  // of batches that get their first sequence now
  bool leaders_add_ = false;
  bool identifying_ = false;
  ErrorCode no_identity_ = ErrorCode::NONE;  // why there will never be one
  ProducerStats stats_;
  Signal wake_;
  Signal progress_;
  Scope scope_;
};

}  // namespace verdict::client
