#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/transaction/coordinator.h"

namespace verdict::transaction {

using wire::ErrorCode;

struct Producer {
  std::int64_t id = kNoProducerId;
  std::int16_t epoch = kNoProducerEpoch;
  friend bool operator==(const Producer&, const Producer&) = default;
};
struct Answer {
  ErrorCode error = ErrorCode::NONE;
  Producer producer;  // of InitProducerId and EndTxn
  friend bool operator==(const Answer&, const Answer&) = default;
};
inline void PrintTo(const Answer& a, std::ostream* out) {
  *out << to_string(a.error) << " " << a.producer.id << "/" << a.producer.epoch;
}
inline void PrintTo(const Producer& p, std::ostream* out) { *out << p.id << "/" << p.epoch; }

struct Feed final : protocol::Observer {
  void observe(const protocol::Event& event) override {
    if (const auto* there = std::get_if<protocol::events::TransactionFound>(&event)) {
      found.push_back(std::string(there->transactional_id) + " " + std::string(there->state) + " " +
                      std::to_string(there->producer_id) + "/" + std::to_string(there->producer_epoch));
      return;
    }
    const auto& e = std::get<protocol::events::TransactionMoved>(event);
    seen.push_back(std::string(e.transactional_id) + " " + std::string(e.state) + " " + std::to_string(e.producer_id) +
                   "/" + std::to_string(e.producer_epoch) + " by " + std::to_string(e.coordinator_epoch) + " with " +
                   std::to_string(e.partitions));
  }
  std::vector<std::string> seen;
  std::vector<std::string> found;
};

// A coordinator with a log whose appends are committed at once, a source of producer ids and a queue of markers that
// are written when told.
class Harness {
 public:
  explicit Harness(std::int16_t transaction_version);
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  // Requests; an answer that waits for a producer id is in later_answers, by token.
  std::optional<Answer> init(const std::string& id, std::optional<Producer> expected = std::nullopt, int version = 5,
                             std::int32_t timeout_ms = 60000);
  ErrorCode add(const std::string& id, Producer, std::vector<TopicPartition>, int version = 3);
  // AddPartitionsToTxn of a broker: the error of each partition.
  std::vector<ErrorCode> from_broker(const std::string& id, Producer, std::vector<TopicPartition>, bool verify_only,
                                     int version = 5);
  ErrorCode add_offsets(const std::string& id, Producer, std::int32_t partition, int version = 4);
  std::optional<Answer> end(const std::string& id, Producer, bool commit, int version);
  wire::Message<wire::DescribeTransactionsResponse> describe(const std::string& id);
  wire::Message<wire::ListTransactionsResponse> list(const wire::ListTransactionsRequest&, int version = 2);

  void allocated(std::string id, std::expected<std::int64_t, ErrorCode>);
  // The oldest SendMarkers: what came of its partitions (the last outcome repeats).
  void mark(std::vector<MarkerOutcome> outcomes = {MarkerOutcome::done});
  void marked(const events_in::MarkersWritten&);
  void mark_all();
  void wait(Duration);  // rings the timer whenever it is due
  void feature(std::int16_t transaction_version);
  // The coordinator's broker dies: a new machine replays the log, under the next leader epoch.
  void fail_over();

  const Transaction* find(const std::string& id) const { return coordinator_->find(id); }
  TransactionState state(const std::string& id) const { return find(id)->state; }

  bool allocate_at_once = true;
  std::int64_t next_producer_id = 1000;
  TransactionCoordinator::Options options;
  Feed feed;
  std::vector<LogRecord> log;
  std::vector<std::size_t> batches;  // sizes of the appends
  std::deque<effects::SendMarkers> markers;
  std::deque<std::string> allocations;
  std::map<Token, Answer> later_answers;
  std::optional<MonoTime> timer;
  std::vector<effects::Log> lines;
  std::vector<effects::Decided> decided;
  std::vector<Mark> marks;
  MonoTime now{1000s};
  WallTime wall{std::chrono::milliseconds(1'700'000'000'000)};

  // Puts the log into a state that would take long to reach.
  void rewrite(const std::string& id, Transaction);

 private:
  template <class Event>
  void step(const Event&);
  void carry_out(Effects&);
  std::optional<Answer> answer_of(Token);
  // The answer to the request of token_.
  template <class T>
  wire::Message<T> take();

  std::unique_ptr<TransactionCoordinator> coordinator_;
  std::map<Token, Response> responses_;
  Token token_ = 0;
};

inline const TopicPartition kA0{"a", 0};
inline const TopicPartition kA1{"a", 1};
inline const TopicPartition kB0{"b", 0};

}  // namespace verdict::transaction
