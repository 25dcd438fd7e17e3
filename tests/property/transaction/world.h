#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/transaction/coordinator.h"

namespace verdict::transaction {

struct Producer {
  std::int64_t id = kNoProducerId;
  std::int16_t epoch = kNoProducerEpoch;
  friend auto operator<=>(const Producer&, const Producer&) = default;  // fresh ids rise, so later is greater
};

// Two instances of one transactional id against a coordinator that dies at any effect, with markers that are late or
// refused. The model reads nothing but requests, answers, the log's records and the markers; it knows transactions by
// their beginning, not by producer id and epoch.
class World {
 public:
  explicit World(std::int16_t feature, std::int16_t first_epoch = 0);
  void act(std::uint32_t command);
  void settle();  // everything that is late arrives, nothing dies; then all must be at rest
  const std::optional<std::string>& violation() const { return violation_; }

  std::size_t commits = 0;
  std::size_t aborts = 0;
  std::size_t fences = 0;  // of an open transaction
  std::size_t fail_overs = 0;
  std::size_t refused = 0;    // requests of a producer that is not the current one
  std::size_t rotations = 0;  // new producer ids in the place of an old one

 private:
  struct Instance {
    Producer producer;
    bool told = false;  // it may go on from there (KIP-360)
  };
  enum class Kind : std::uint8_t { init, add, end };
  struct Request {
    Kind kind = Kind::init;
    std::size_t instance = 0;
    Producer producer;  // none: InitProducerId without what it had
    bool commit = false;
  };
  struct Begun {  // one transaction
    Producer producer;
    std::optional<bool> commit;  // once decided
    std::set<TopicPartition> partitions;
    std::set<TopicPartition> unmarked;
  };

  template <class Event>
  void step(const Event&);
  void carry_out(Effects&, std::size_t until);
  void fail_over();
  void tick();
  void init(std::size_t instance, bool goes_on);
  void add(std::size_t instance, std::uint32_t which);
  void end(const Request&);
  void markers(std::uint32_t draw, bool well);
  void allocate(std::uint32_t draw, bool well);

  void appended(const LogRecord&);
  void prepared(const Transaction& old, const Transaction&);
  void answered(const Request&, const Response&);
  void init_answered(const Request&, const wire::InitProducerIdResponse&);
  void end_answered(const Request&, const wire::EndTxnResponse&);
  void sent(const effects::SendMarkers&);
  void compare_with_log();
  void expect(bool right, const std::string& what);
  void grant(Instance&, Producer);

  std::int16_t feature_;
  TransactionCoordinator::Options options_;
  std::unique_ptr<TransactionCoordinator> coordinator_;
  MonoTime now_{1000s};
  WallTime wall_{std::chrono::milliseconds(1'700'000'000'000)};
  std::optional<MonoTime> timer_;
  std::optional<std::size_t> dies_at_;  // effect of the next step

  std::vector<LogRecord> log_;
  std::optional<Transaction> stored_;  // what the log says
  std::deque<effects::SendMarkers> markers_;
  bool wants_producer_id_ = false;
  std::int64_t next_producer_id_ = 1;

  std::array<Instance, 2> instances_;
  std::size_t other_ = 0;
  std::vector<Request> ended_;  // every EndTxn that was sent: any may come again
  std::map<Token, Request> open_;
  Token token_ = 0;
  std::optional<Request> deciding_;  // whose step it is; the coordinator's own: none

  std::vector<Begun> begun_;
  bool in_transaction_ = false;  // begun_.back() is not at rest yet
  std::optional<Producer> granted_;
  std::optional<std::string> violation_;
};

}  // namespace verdict::transaction
