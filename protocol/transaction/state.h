#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/transaction/coordinator.h"
#include "protocol/wire/errors.h"

namespace verdict::transaction {

using wire::ErrorCode;

struct ProducerIdAndEpoch {
  std::int64_t producer_id = kNoProducerId;
  std::int16_t epoch = kNoProducerEpoch;
};
using MaybeId = std::optional<std::int64_t>;  // a fresh producer id, once it was asked for

// Clients before version `since` (KIP-588) know one error only for both kinds of fencing.
inline ErrorCode for_version(ErrorCode error, int version, int since) {
  return error == ErrorCode::PRODUCER_FENCED && version < since ? ErrorCode::INVALID_PRODUCER_EPOCH : error;
}

// Requests as they are kept while a producer id is allocated.
struct Init {
  Token token = 0;
  int version = 0;
  std::string transactional_id;
  std::int32_t timeout_ms = 0;
  std::optional<ProducerIdAndEpoch> expected;  // KIP-360
};
struct End {
  Token token = 0;
  int version = 0;
  std::string transactional_id;
  ProducerIdAndEpoch producer;
  bool commit = false;
};
struct Fence {  // by the coordinator itself
  std::string transactional_id;
  std::optional<Token> token;  // of the InitProducerId that fences; none: the transaction timed out
};
using Waiting = std::variant<Init, End, Fence>;

struct TransactionCoordinator::State {
  State(Options o, protocol::Observer* watcher) : options(std::move(o)), observer(watcher) {}

  struct Times {
    MonoTime now;
    WallTime wall;
  };
  struct Unsent {  // markers to be sent again
    std::set<TopicPartition> partitions;
    MonoTime when;
  };

  // ---- state and timers (coordinator.cpp) ----
  Transaction* find(std::string_view id);
  // `cause`, of one that is decided: the feed's word for why.
  void put(const std::string& id, Transaction next, Times, Effects&, std::string_view cause = {});
  void announce(std::string_view id, const Transaction&, TransactionState);
  void announce_found(std::string_view id, const Transaction&);
  template <class T>
  void respond(Token token, const T& value, Effects& out) {
    out.list.push_back(effects::Respond{.token = token, .response = wire::Message<T>::copy(value)});
  }
  void log(Effects& out, bool warning, std::string text) { out.list.push_back(effects::Log{warning, std::move(text)}); }
  void allocate(const std::string& id, Waiting request, Effects&);
  void arm(MonoTime now, Effects&);
  void tick(Times, Effects&);
  void abort_timed_out(Times, Effects&);
  void remove_expired(Times, Effects&);

  // ---- producers (producers.cpp) ----
  void init_producer_id(const Init&, MaybeId fresh, Times, Effects&);
  std::expected<Transaction, ErrorCode> initialized(const Init&, const Transaction&, MaybeId fresh, Times) const;
  void answer_init(const Init&, ErrorCode, const Transaction*, Effects&);
  void fence(const Fence&, MaybeId fresh, Times, Effects&);

  // ---- partitions (partitions.cpp) ----
  ErrorCode add_partitions(std::string_view id, ProducerIdAndEpoch, const std::set<TopicPartition>&,
                           std::int16_t client_version, Times, Effects&);
  ErrorCode check_producer(std::string_view id, ProducerIdAndEpoch) const;
  ErrorCode check_writer(std::string_view id, ProducerIdAndEpoch, Effects&) const;

  // ---- ends of transactions (ends.cpp) ----
  void end_txn(const End&, MaybeId fresh, Times, Effects&);
  void answer_end(const End&, ErrorCode, ProducerIdAndEpoch, Effects&);
  void send_markers(const std::string& id, const Transaction&, const std::set<TopicPartition>&, Effects&);
  void mark_all(const std::string& id, Times, Effects&);
  void finish_if_marked(const std::string& id, Times, Effects&);
  void markers_written(const events_in::MarkersWritten&, Times, Effects&);

  Options options;
  protocol::Observer* observer;
  bool loaded = false;
  std::map<std::string, Transaction, std::less<>> transactions;
  std::map<std::string, Waiting, std::less<>> waiting;  // for a producer id; nothing else moves the transaction then
  std::map<std::string, Unsent, std::less<>> unsent;
  std::optional<MonoTime> abort_at;   // none: no transaction is ongoing
  std::optional<MonoTime> expire_at;  // none: there are no transactional ids
  std::optional<MonoTime> armed;
};

}  // namespace verdict::transaction
