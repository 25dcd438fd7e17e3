#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/broker/broker_channels.h"
#include "protocol/topic_partition.h"
#include "protocol/wire/errors.h"
#include "runtime/signal.h"

namespace verdict::broker {

// Who wants to write into a transaction, as it says.
struct TransactionClaim {
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  // Its producer leaves it to the leaders to add partitions (transaction version two: Produce 12, TxnOffsetCommit 5).
  bool adds = false;
  bool knows_abortable = false;  // TRANSACTION_ABORTABLE: Produce 11, TxnOffsetCommit 4
};

// Asks the coordinator whether partitions are part of a transaction that goes on, before its first records reach them
// (KIP-890): else a late batch would open a transaction that nobody ends.
class TransactionVerifier {
 public:
  using Results = std::map<TopicPartition, wire::ErrorCode>;

  TransactionVerifier(Runtime& runtime, const protocol::BrokerConfig& config, const protocol::MetadataImage& image);

  // One result a partition, as a producer is told it. NONE: it may write. The coordinator is asked again while the
  // transaction before is being ended; `asks` is called before each time, so that what its word is held against
  // (markers that came since) is of that moment.
  Task<Results> verify(TransactionClaim claim, std::vector<TopicPartition> partitions, MonoTime deadline,
                       std::function<void()> asks);
  // Of one id's requests each is verified and appended before the next one is looked at, in the order in which they
  // came, as where a connection has one request at a time (Kafka): else a later one may overtake one whose coordinator
  // was asked twice. enter() gives the place in the line, which leave() gives back; turn() waits for it, or the
  // deadline.
  std::uint64_t enter(const std::string& transactional_id);
  Task<void> turn(std::string transactional_id, std::uint64_t ticket, MonoTime deadline);
  void leave(const std::string& transactional_id, std::uint64_t ticket);
  // transaction.partition.verification.enable; those that add are always asked about.
  bool wanted(const TransactionClaim& claim) const;
  Task<void> stop();

 private:
  Task<Results> ask(const TransactionClaim* claim, const std::vector<TopicPartition>* partitions, MonoTime deadline);

  Runtime* runtime_;
  const protocol::BrokerConfig* config_;
  const protocol::MetadataImage* image_;
  BrokerChannels channels_;
  bool stopping_ = false;
  Signal stop_;
  std::map<std::string, std::deque<std::uint64_t>> lines_;  // tickets, by transactional id
  std::uint64_t tickets_ = 0;
  Signal turns_;
};

}  // namespace verdict::broker
