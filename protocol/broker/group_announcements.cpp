#include <utility>

#include "protocol/broker/coordinators.h"
#include "protocol/broker/group_requests.h"
#include "protocol/group/assignment.h"
#include "protocol/group/records.h"

// What group coordinators write and say, as events of the feed.
namespace verdict::broker {
namespace {

using namespace protocol::events;  // tidy: allow using-namespace: a list of events

std::string_view or_empty(std::optional<std::string_view> text) { return text.value_or(std::string_view()); }

}  // namespace

void GroupPartition::announce(const group::LogRecord& record, Offset at, ProducerId producer) const {
  GroupRecordAppended event{.partition = partition()->key(), .at = at, .kind = "other", .producer_id = producer};
  const auto read = group::read_record(record.key, record.value);
  if (!read) return observer_->observe(event);
  if (const auto* offset = std::get_if<group::OffsetRecord>(&*read)) {
    event.kind = offset->value ? "offset" : "offset_removed";
    event.group = offset->group;
    event.topic = offset->topic;
    event.index = offset->partition;
    event.committed = offset->value ? offset->value->offset : -1;
  } else if (const auto* group = std::get_if<group::GroupRecord>(&*read)) {
    event.kind = group->value ? "group" : "group_removed";
    event.group = group->group;
    event.generation = group->value ? group->value->generation() : -1;
  }
  observer_->observe(event);
}

void GroupPartition::announce(const wire::OffsetFetchResponse& answer) const {
  for (const auto& group : answer.groups) {
    for (const auto& topic : group.topics) {
      for (const auto& at : topic.partitions) {
        if (at.error_code != 0) continue;
        observer_->observe(OffsetFetched{.partition = partition()->key(),
                                         .group = group.group_id,
                                         .topic = topic.name,
                                         .index = at.partition_index,
                                         .committed = at.committed_offset});
      }
    }
  }
}

void GroupRequests::told(Exchange& exchange, const wire::JoinGroupRequest& asked,
                         const wire::JoinGroupResponse& answer) const {
  if (context_->observer == nullptr || answer.error_code != 0) return;
  const auto key = coordinator_of(CoordinatorType::group, asked.group_id, context_->image);
  if (!key) return;
  context_->observer->observe(GroupJoined{.partition = *key,
                                          .group = asked.group_id,
                                          .generation = answer.generation_id,
                                          .member = answer.member_id,
                                          .instance = or_empty(asked.group_instance_id),
                                          .client = exchange.client_id(),
                                          .asked_as = asked.member_id});
}

void GroupRequests::told(Exchange& exchange, const wire::SyncGroupRequest& asked,
                         const wire::SyncGroupResponse& answer) const {
  if (context_->observer == nullptr || answer.error_code != 0) return;
  const auto key = coordinator_of(CoordinatorType::group, asked.group_id, context_->image);
  if (!key) return;
  const std::string assignment = group::assignment_text(answer.protocol_type, answer.assignment);
  context_->observer->observe(GroupSynced{.partition = *key,
                                          .group = asked.group_id,
                                          .generation = asked.generation_id,
                                          .member = asked.member_id,
                                          .instance = or_empty(asked.group_instance_id),
                                          .client = exchange.client_id(),
                                          .assignment = assignment});
}

void GroupRequests::told(Exchange& exchange, const wire::ConsumerGroupHeartbeatRequest& asked,
                         const wire::ConsumerGroupHeartbeatResponse& answer) const {
  if (context_->observer == nullptr || answer.error_code != 0) return;
  const auto key = coordinator_of(CoordinatorType::group, asked.group_id, context_->image);
  if (!key) return;
  std::string assignment;
  if (answer.assignment) {
    const group::Assignment given = group::assignment_of(answer.assignment->topic_partitions);
    assignment = group::assignment_text(given, &context_->image);
  }
  context_->observer->observe(ConsumerHeartbeatAnswered{.partition = *key,
                                                        .group = asked.group_id,
                                                        .member = or_empty(answer.member_id),
                                                        .instance = or_empty(asked.instance_id),
                                                        .client = exchange.client_id(),
                                                        .epoch = answer.member_epoch,
                                                        .gives = answer.assignment.has_value(),
                                                        .assignment = assignment});
}

GroupPartition::Answer GroupRequests::telling_commits(const ExchangePtr& exchange,
                                                      const wire::OffsetCommitRequest& asked,
                                                      GroupPartition::Answer answer) const {
  protocol::Observer* const observer = context_->observer;
  if (observer == nullptr) return answer;
  const auto key = coordinator_of(CoordinatorType::group, asked.group_id, context_->image);
  if (!key) return answer;
  // `exchange` holds what `asked` points into.
  return [exchange, asked, answer = std::move(answer), key = *key,
          observer](std::expected<group::Response, ErrorCode> said) {
    if (said) {
      const auto& topics = std::get<wire::Message<wire::OffsetCommitResponse>>(*said).value.topics;
      for (std::size_t t = 0; t < topics.size(); ++t) {
        for (std::size_t p = 0; p < topics[t].partitions.size(); ++p) {
          observer->observe(OffsetCommitted{.partition = key,
                                            .group = asked.group_id,
                                            .topic = topics[t].name,
                                            .index = topics[t].partitions[p].partition_index,
                                            .committed = asked.topics[t].partitions[p].committed_offset,
                                            .error_code = topics[t].partitions[p].error_code});
        }
      }
    }
    answer(std::move(said));
  };
}

}  // namespace verdict::broker
