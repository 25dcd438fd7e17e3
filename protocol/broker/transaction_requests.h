#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_set.h"
#include "protocol/broker/machine_partition.h"
#include "protocol/broker/marker_sender.h"
#include "protocol/transaction/coordinator.h"

namespace verdict::broker {

// The machine of one partition of __transaction_state with its shell.
class TransactionPartition final : public MachinePartition<TransactionPartition, transaction::TransactionCoordinator,
                                                           transaction::Effects, transaction::Response> {
 public:
  TransactionPartition(Context context, PartitionPtr partition, LeaderEpoch epoch,
                       transaction::TransactionCoordinator::Options options, MarkerSender& markers, ProducerIds& ids,
                       protocol::Observer* observer)
      : MachinePartition(std::move(context), std::move(partition), epoch, std::move(options), observer),
        markers_(&markers),
        ids_(&ids) {}

  void feature_changed(std::int16_t transaction_version);

 private:
  friend MachinePartition;
  std::expected<void, std::string> replay(const storage::RecordView& record,
                                          const std::optional<CoordinatorProducer>& transactional) override;
  void replay_marker(const CoordinatorProducer&, bool) override {}
  void tick() override { step(transaction::events_in::Tick{}); }
  void marker(const CoordinatorProducer&, bool) override {}

  void run(const transaction::effects::Append& effect);
  void run(transaction::effects::Respond effect) { respond(effect.token, std::move(effect.response)); }
  void run(transaction::effects::SendMarkers effect);
  void run(const transaction::effects::AllocateProducerId& effect);
  void run(const transaction::effects::ArmTimer& effect) { arm(effect.when); }
  void run(const transaction::effects::Log& effect);
  void run(const transaction::effects::Decided& effect);
  void markers_answered(const transaction::effects::SendMarkers& sent, const MarkerSender::Results& results);
  std::shared_ptr<TransactionPartition> self() {
    return std::static_pointer_cast<TransactionPartition>(shared_from_this());
  }

  MarkerSender* markers_;
  ProducerIds* ids_;
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
  void add_to_one(const ExchangePtr& exchange);
  void add_to_each(const ExchangePtr& exchange);

  BrokerContext* context_;
  MarkerSender markers_;
  Coordinators<TransactionPartition> set_;
};

}  // namespace verdict::broker
