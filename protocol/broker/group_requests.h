#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_set.h"
#include "protocol/group/coordinator.h"

namespace verdict::broker {

// The machine of one partition of __consumer_offsets with its shell.
class GroupPartition final : public CoordinatorPartition {
 public:
  using Answer = std::function<void(std::expected<group::Response, ErrorCode>)>;  // or why there is none

  GroupPartition(Context context, PartitionPtr partition, LeaderEpoch epoch, group::GroupCoordinator::Options options,
                 protocol::Observer* observer);

  // One event that a request makes; `make` gets the token that the answer will come under.
  template <class Make>
  void ask(Make make, Answer answer) {
    const group::Token token = ++tokens_;
    open_.emplace(token, std::move(answer));
    step(make(token));
  }
  void topics_deleted(std::span<const std::string> names);

 private:
  std::expected<void, std::string> replay(const storage::RecordView& record,
                                          const std::optional<CoordinatorProducer>& transactional) override;
  void replay_marker(const CoordinatorProducer& producer, bool committed) override;
  void loaded() override;
  void tick() override { step(group::events_in::Tick{}); }
  void marker(const CoordinatorProducer& producer, bool committed) override;
  void answer_open(ErrorCode error) override;

  template <class Event>
  void step(const Event& event) {
    group::Effects effects;
    machine_.step(event, runtime().now(), runtime().wall_now(), effects);
    run(effects);
  }
  void run(group::Effects& effects);
  void run(const group::effects::Append& effect);
  void run(group::effects::Respond effect);
  void run(const group::effects::ArmTimer& effect) { arm(effect.when); }
  void run(const group::effects::Log& effect);

  group::GroupCoordinator machine_;
  group::Token tokens_ = 0;
  std::map<group::Token, Answer> open_;
};

// The requests that a group coordinator answers.
class GroupRequests {
 public:
  explicit GroupRequests(BrokerContext& context);
  GroupRequests(const GroupRequests&) = delete;
  GroupRequests& operator=(const GroupRequests&) = delete;

  void role_changed(const PartitionPtr& partition) { set_.role_changed(partition); }
  void topics_deleted(const std::vector<std::string>& names);
  CoordinatorSet& coordinators() { return set_; }

  bool serves(wire::ApiKey api) const;
  void handle(const ExchangePtr& exchange);

  void drop_all() { set_.drop_all(); }
  Task<void> stop();

 private:
  using Ptr = std::shared_ptr<GroupPartition>;
  std::expected<Ptr, ErrorCode> coordinator_of(std::string_view group) const;
  template <class Event, class Request, class Response>
  void one_group(const ExchangePtr& exchange);
  void join(const ExchangePtr& exchange);
  void leave(const ExchangePtr& exchange);
  void commit(const ExchangePtr& exchange);
  void delete_offsets(const ExchangePtr& exchange);
  Task<void> commit_in_transaction(ExchangePtr exchange);
  Task<ErrorCode> verify(Ptr group, const wire::TxnOffsetCommitRequest* request, int version);
  void fetch_offsets(const ExchangePtr& exchange);
  void describe(const ExchangePtr& exchange);
  void remove(const ExchangePtr& exchange);
  void list(const ExchangePtr& exchange);

  BrokerContext* context_;
  Scope scope_;
  CoordinatorSet set_;
};

}  // namespace verdict::broker
