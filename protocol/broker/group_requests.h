#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "protocol/broker/context.h"
#include "protocol/broker/coordinator_set.h"
#include "protocol/broker/machine_partition.h"
#include "protocol/group/coordinator.h"

namespace verdict::broker {

// The machine of one partition of __consumer_offsets with its shell.
class GroupPartition final
    : public MachinePartition<GroupPartition, group::GroupCoordinator, group::Effects, group::Response> {
 public:
  GroupPartition(Context context, PartitionPtr partition, LeaderEpoch epoch, group::GroupCoordinator::Options options,
                 protocol::Observer* observer)
      : MachinePartition(std::move(context), std::move(partition), epoch, std::move(options), observer),
        observer_(observer) {}

  void topics_deleted(std::span<const std::string> names);
  void topics_changed(std::span<const std::string> names, bool any_created);

 private:
  friend MachinePartition;
  std::expected<void, std::string> replay(const storage::RecordView& record,
                                          const std::optional<CoordinatorProducer>& transactional) override;
  void replay_marker(const CoordinatorProducer& producer, bool committed) override;
  void tick() override { step(group::events_in::Tick{}); }
  void marker(const CoordinatorProducer& producer, bool committed) override;

  void run(const group::effects::Append& effect);
  void run(group::effects::Respond effect);
  void run(const group::effects::ArmTimer& effect) { arm(effect.when); }
  void run(const group::effects::Log& effect);
  void announce(const group::LogRecord& record, Offset at, ProducerId producer) const;
  void announce(const wire::OffsetFetchResponse& answer) const;

  protocol::Observer* observer_;
};

// Bits of AclOperation, without an authorizer: all that a group knows.
constexpr std::int32_t kGroupOperations = 0x0d48;

std::string host_of(Exchange& exchange);  // Kafka's form of a client's address

// The requests that a group coordinator answers.
class GroupRequests {
 public:
  explicit GroupRequests(BrokerContext& context);
  GroupRequests(const GroupRequests&) = delete;
  GroupRequests& operator=(const GroupRequests&) = delete;

  void role_changed(const PartitionPtr& partition) { set_.role_changed(partition); }
  void topics_changed(const protocol::MetadataDelta& delta);
  CoordinatorSet& coordinators() { return set_; }

  bool handle(const ExchangePtr& exchange);  // false: not one of these requests

  void drop_all() { set_.drop_all(); }
  Task<void> stop();

 private:
  // The coordinator's answer, or refuse(why there is none), to the feed and to the client.
  template <class Response, class Request, class Refuse>
  GroupPartition::Answer passing_on(const ExchangePtr& exchange, const Request& request, Refuse refuse) const {
    return [this, exchange, request, refuse](std::expected<group::Response, ErrorCode> said) {
      if (!said) return exchange->respond(refuse(said.error()));
      const Response& response = std::get<wire::Message<Response>>(*said).value;
      told(*exchange, request, response);
      exchange->respond(response);
    };
  }
  Uuid draw_member_id() const;
  template <class Event, class Request, class Response>
  void one_group(const ExchangePtr& exchange);
  void join(const ExchangePtr& exchange);
  void commit(const ExchangePtr& exchange);
  void delete_offsets(const ExchangePtr& exchange);
  Task<void> commit_in_transaction(ExchangePtr exchange);
  Task<ErrorCode> verify(std::shared_ptr<GroupPartition> group, const wire::TxnOffsetCommitRequest* request,
                         int version);
  void fetch_offsets(const ExchangePtr& exchange);
  void describe(const ExchangePtr& exchange);
  void remove(const ExchangePtr& exchange);
  void list(const ExchangePtr& exchange);
  bool serves_consumer_protocol() const;
  void consumer_heartbeat(const ExchangePtr& exchange);
  void describe_consumers(const ExchangePtr& exchange);
  // For the feed, as an answer leaves (group_announcements.cpp).
  template <class Request, class Response>
  void told(const Exchange&, const Request&, const Response&) const {}
  void told(Exchange& exchange, const wire::JoinGroupRequest& asked, const wire::JoinGroupResponse& answer) const;
  void told(Exchange& exchange, const wire::SyncGroupRequest& asked, const wire::SyncGroupResponse& answer) const;
  void told(Exchange& exchange, const wire::ConsumerGroupHeartbeatRequest& asked,
            const wire::ConsumerGroupHeartbeatResponse& answer) const;
  GroupPartition::Answer telling_commits(const ExchangePtr& exchange, const wire::OffsetCommitRequest& asked,
                                         GroupPartition::Answer answer) const;

  BrokerContext* context_;
  bool names_consumer_protocol_;  // group.coordinator.rebalance.protocols does
  std::vector<std::string> assignors_;
  Scope scope_;
  Coordinators<GroupPartition> set_;
};

}  // namespace verdict::broker
