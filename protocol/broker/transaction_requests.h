#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_set.h"
#include "protocol/broker/marker_sender.h"
#include "protocol/transaction/coordinator.h"

namespace verdict::broker {

// The machine of one partition of __transaction_state with its shell.
class TransactionPartition final : public CoordinatorPartition {
 public:
  // The machine's answer, or why there is none.
  using Answer = std::function<void(std::expected<transaction::Response, ErrorCode>)>;

  TransactionPartition(Context context, PartitionPtr partition, LeaderEpoch epoch,
                       transaction::TransactionCoordinator::Options options, MarkerSender& markers, ProducerIds& ids,
                       protocol::Observer* observer);

  // One event that a request makes; `make` gets the token that the answer will come under.
  template <class Make>
  void ask(Make make, Answer answer) {
    const transaction::Token token = ++tokens_;
    open_.emplace(token, std::move(answer));
    step(make(token));
  }
  void feature_changed(std::int16_t transaction_version);

 private:
  std::expected<void, std::string> replay(const storage::RecordView& record,
                                          const std::optional<CoordinatorProducer>& transactional) override;
  void replay_marker(const CoordinatorProducer&, bool) override {}
  void loaded() override;
  void tick() override;
  void marker(const CoordinatorProducer&, bool) override {}
  void answer_open(ErrorCode error) override;

  template <class Event>
  void step(const Event& event) {
    transaction::Effects effects;
    machine_.step(event, runtime().now(), runtime().wall_now(), effects);
    run(effects);
  }
  void run(transaction::Effects& effects);
  void run(const transaction::effects::Append& effect);
  void run(transaction::effects::Respond effect);
  void run(transaction::effects::SendMarkers effect);
  void run(const transaction::effects::AllocateProducerId& effect);
  void run(const transaction::effects::ArmTimer& effect) { arm(effect.when); }
  void run(const transaction::effects::Log& effect);
  void markers_answered(const transaction::effects::SendMarkers& sent, const MarkerSender::Results& results);
  std::shared_ptr<TransactionPartition> self() {
    return std::static_pointer_cast<TransactionPartition>(shared_from_this());
  }

  MarkerSender* markers_;
  ProducerIds* ids_;
  transaction::TransactionCoordinator machine_;
  transaction::Token tokens_ = 0;
  std::map<transaction::Token, Answer> open_;
};

// The requests that a transaction coordinator answers.
class TransactionRequests {
 public:
  explicit TransactionRequests(BrokerContext& context);
  TransactionRequests(const TransactionRequests&) = delete;
  TransactionRequests& operator=(const TransactionRequests&) = delete;

  void role_changed(const PartitionPtr& partition) { set_.role_changed(partition); }
  void features_changed();

  void init_producer_id(const ExchangePtr& exchange, const wire::InitProducerIdRequest& request);
  void add_partitions(const ExchangePtr& exchange);
  void add_offsets(const ExchangePtr& exchange);
  void end(const ExchangePtr& exchange);
  void describe(const ExchangePtr& exchange);
  void list(const ExchangePtr& exchange);

  void drop_all() { set_.drop_all(); }
  Task<void> stop();

 private:
  using Ptr = std::shared_ptr<TransactionPartition>;
  std::expected<Ptr, ErrorCode> coordinator_of(std::string_view transactional_id) const;
  void add_to_one(const ExchangePtr& exchange);
  void add_to_each(const ExchangePtr& exchange);

  BrokerContext* context_;
  MarkerSender markers_;
  CoordinatorSet set_;
};

}  // namespace verdict::broker
