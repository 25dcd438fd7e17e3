#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/coordinator.h"
#include "protocol/client/errors.h"
#include "protocol/client/group.h"
#include "protocol/client/metadata.h"
#include "runtime/signal.h"

namespace verdict::client {

struct TransactionOptions {
  std::string id;          // transactional.id
  Duration timeout = 60s;  // transaction.timeout.ms
  // KIP-890: transaction.version 2. Partitions are added by producing to them, and each end brings a new epoch.
  bool version_two = false;
};

struct ProducerIdentity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
};

// What a transactional producer says to coordinators, one call at a time. An error that is neither retriable nor
// abortable (PRODUCER_FENCED, INVALID_PRODUCER_EPOCH, ...) ends the producer's life: its caller's to obey.
class Transaction {
 public:
  Transaction(Runtime& runtime, const ClientOptions& client, Connections& connections, Metadata& metadata,
              TransactionOptions options);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // InitProducerId: fences what had the id before, and waits for its transaction to end.
  Task<ErrorCode> init(MonoTime deadline);
  const ProducerIdentity& identity() const { return identity_; }
  bool version_two() const { return options_.version_two; }

  // Before the first batch to a partition; not with version two.
  Task<ErrorCode> add_partitions(std::vector<TopicPartition> partitions, MonoTime deadline);
  // The group's position becomes part of the transaction.
  Task<ErrorCode> commit_offsets(GroupMembership member, OffsetsToCommit offsets, MonoTime deadline);
  Task<ErrorCode> end(bool commit, MonoTime deadline);
  // After a call that failed: some attempt may have been taken all the same, whatever the last one was told.
  bool maybe_taken() const { return maybe_taken_; }
  void close();

 private:
  template <class Response, class Request, class ErrorOf>
  Task<ErrorCode> ask(CoordinatorLink* link, int highest, Request request, ErrorOf error_of, MonoTime deadline);
  Task<bool> pause(int failures, MonoTime deadline);
  Task<ErrorCode> add_offsets(std::string group, MonoTime deadline);

  Runtime* runtime_;
  ClientOptions client_;
  Connections* connections_;
  Metadata* metadata_;
  TransactionOptions options_;
  CoordinatorLink link_;
  ProducerIdentity identity_;
  bool closed_ = false;
  bool maybe_taken_ = false;
  Signal wake_;
};

}  // namespace verdict::client
