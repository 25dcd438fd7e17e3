#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/client/coordinator.h"
#include "protocol/client/errors.h"
#include "protocol/client/group.h"
#include "protocol/client/metadata.h"
#include "runtime/signal.h"

namespace verdict::client {

struct ProducerIdentity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
};

// Hears of the requests that fence or end.
class TransactionWatch {
 public:
  enum class Call : std::uint8_t { init, commit, abort };
  virtual ~TransactionWatch() = default;
  // An attempt goes out; or it is known that it does nothing any more: it was answered, or never left.
  virtual void asked(Call call, const ProducerIdentity& identity, bool settled) = 0;
};

struct TransactionOptions {
  std::string id;          // transactional.id
  Duration timeout = 60s;  // transaction.timeout.ms
  // The highest transaction.version that the client speaks; what the cluster has finalized may be lower. In 2 (KIP-890)
  // partitions are added by producing to them, and each end brings a new epoch.
  std::int16_t highest_version = 2;
  TransactionWatch* watch = nullptr;  // outlives the producer
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
  const std::string& id() const { return options_.id; }
  // After init() and after each end: the next one's version is what the coordinator's connection told last.
  void begin() { version_two_ = options_.highest_version >= 2 && finalized_ >= 2; }
  bool version_two() const { return version_two_; }  // of the transaction under way

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
  Task<ErrorCode> ask(CoordinatorLink* link, int highest, Request request, ErrorOf error_of, MonoTime deadline,
                      std::optional<TransactionWatch::Call> watched = std::nullopt);
  void tell(std::optional<TransactionWatch::Call> watched, const ProducerIdentity& as, bool settled);
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
  bool version_two_ = false;
  std::int16_t finalized_ = 0;  // transaction.version, as the coordinator's node said
  Signal wake_;
};

}  // namespace verdict::client
