#pragma once

#include <deque>
#include <expected>
#include <string>
#include <vector>

#include "protocol/config_keys.h"
#include "protocol/quorum/quorum.h"

namespace verdict::quorum {

// The quorum of one voter: it elects itself. Each start is a new epoch, durable before it is used; a batch is committed
// when it is synced, never before. Observers are served committed records only (Kafka serves up to the log end), so an
// observer never has to truncate unless the voter lost its disk.
class SingleVoter final : public Quorum {
 public:
  struct Options {
    NodeId self;
    std::string cluster_id;
    std::size_t max_waiting_fetches = 1000;  // beyond it a fetch is answered at once
  };
  SingleVoter(Options options, protocol::Observer* observer) : options_(std::move(options)), observer_(observer) {}

  using Quorum::step;
  void step(events_in::Start, MonoTime now, Effects&) override;
  void step(events_in::Append, MonoTime now, Effects&) override;
  void step(events_in::Durable, MonoTime now, Effects&) override;
  void step(events_in::Fetch, MonoTime now, Effects&) override;
  void step(events_in::Tick, MonoTime now, Effects&) override;

  bool is_leader() const override { return phase_ == Phase::leading; }
  NodeId leader() const override { return phase_ == Phase::leading ? options_.self : kNoNode; }
  QuorumEpoch epoch() const override { return epoch_; }
  Offset high_watermark() const override { return high_watermark_; }
  Offset log_end() const override { return log_end_; }

 private:
  enum class Phase { idle, electing, opening, leading };  // opening: its LeaderChange record isn't durable yet
  struct Pending {
    Token token;
    Offset end;
  };
  struct Waiting {
    events_in::Fetch fetch;
    MonoTime deadline;
  };
  void persist(std::vector<LogRecord> records, bool control, Effects&);
  void open_epoch(Effects&);
  void commit(Offset to, Effects&);
  effects::AnswerFetch answer(const events_in::Fetch&) const;
  std::optional<EpochStart> divergence(const events_in::Fetch&) const;
  bool worth_answering(const events_in::Fetch&, const effects::AnswerFetch&) const;
  void arm(Effects&);

  Options options_;
  protocol::Observer* observer_;
  Phase phase_ = Phase::idle;
  QuorumEpoch epoch_{0};
  Offset log_start_{0};
  Offset log_end_{0};
  Offset high_watermark_{-1};
  Token next_token_ = 1;
  Token state_token_ = 0;
  std::deque<Pending> pending_;
  std::vector<EpochStart> epochs_;
  std::vector<Waiting> waiting_;
  MonoTime armed_{};
};

// The record with which a leader opens its epoch: Kafka's LeaderChange control record.
LogRecord leader_change_record(NodeId leader, const std::vector<NodeId>& voters);

// controller.quorum.voters must name one voter, and a controller must be it. The error is one line.
std::expected<void, std::string> check_voters(const protocol::BrokerConfig& config);

}  // namespace verdict::quorum
