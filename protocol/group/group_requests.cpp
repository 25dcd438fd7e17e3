#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"
#include "protocol/metadata_image.h"

// DescribeGroups, ConsumerGroupDescribe, ListGroups, DeleteGroups.
namespace verdict::group {
namespace {

constexpr std::string_view kDead = "Dead";  // what a group that isn't there is called
constexpr std::string_view kClassic = "classic";
constexpr std::string_view kConsumer = "consumer";
constexpr int kDescribeNamesMissingGroup = 6;  // KIP-1043

std::string lower_trimmed(std::string_view text) {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && blank(text.back())) {
    text.remove_suffix(1);
  }
  std::string out(text);
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

bool names(std::span<const std::string_view> filter, std::string_view value) {
  return filter.empty() ||
         std::ranges::any_of(filter, [&](auto one) { return lower_trimmed(one) == lower_trimmed(value); });
}

using Described = wire::ConsumerGroupDescribeResponse;

// Of topics that are gone nothing is said.
std::span<Described::TopicPartitions> with_names(wire::Arena& arena, const Assignment& assignment,
                                                 const protocol::MetadataImage* image) {
  std::vector<Described::TopicPartitions> topics;
  for (const auto& [id, indexes] : assignment) {
    const protocol::TopicImage* topic = image == nullptr ? nullptr : image->topic(id);
    if (topic == nullptr) {
      continue;
    }
    const auto partitions = arena.make_span<std::int32_t>(indexes.size());
    std::ranges::copy(indexes, partitions.begin());
    topics.push_back({.topic_id = id, .topic_name = topic->name, .partitions = partitions});
  }
  return arena.copy_span<Described::TopicPartitions>(topics);
}

Described::Member described(wire::Arena& arena, const ConsumerMember& member, const Assignment& target,
                            const protocol::MetadataImage* image) {
  const auto names = arena.make_span<std::string_view>(member.metadata.topics.size());
  std::ranges::copy(member.metadata.topics, names.begin());
  return {.member_id = member.id,
          .instance_id = member.metadata.instance_id,
          .rack_id = member.metadata.rack_id,
          .member_epoch = member.current.epoch,
          .client_id = member.metadata.client_id,
          .client_host = member.metadata.client_host,
          .subscribed_topic_names = names,
          .subscribed_topic_regex = member.metadata.regex,
          .assignment = {.topic_partitions = with_names(arena, member.current.assigned, image)},
          .target_assignment = {.topic_partitions = with_names(arena, target, image)},
          .member_type = static_cast<std::int8_t>(member.classic() ? 0 : 1)};
}

}  // namespace

std::string GroupCoordinator::State::why_no_consumers(std::string_view id) const {
  return find(id) == nullptr ? fmt::format("Group {} not found.", id)
                             : fmt::format("Group {} is not a consumer group.", id);
}

void GroupCoordinator::State::describe(const events_in::DescribeConsumerGroup& event, Turn& turn) {
  Described::DescribedGroup out{.group_id = event.group_id};
  wire::Arena arena;
  const ConsumerGroup* group = find_consumers(event.group_id);
  std::string text;  // that `out` points to
  if (group == nullptr) {
    text = why_no_consumers(event.group_id);
    out.error_code = code(ErrorCode::GROUP_ID_NOT_FOUND);
    out.error_message = text;
  } else {
    std::vector<Described::Member> members;
    for (const auto& [id, member] : group->members()) {
      members.push_back(described(arena, member, group->target_or_none(id), options.image));
    }
    text = group->preferred_assignor().value_or(options.consumer_assignors.front());
    out.group_state = group->state_name();
    out.group_epoch = group->epoch();
    out.assignment_epoch = group->target_epoch();
    out.assignor_name = text;
    out.members = arena.copy_span<Described::Member>(members);
  }
  respond(event.token, Described{.groups = std::span(&out, 1)}, turn);
}

void GroupCoordinator::State::describe(const events_in::DescribeGroup& event, Turn& turn) {
  wire::DescribeGroupsResponse::DescribedGroup out{.group_id = event.group_id, .group_state = kDead};
  std::vector<wire::DescribeGroupsResponse::DescribedGroupMember> members;
  const ClassicGroup* group = find(event.group_id);
  const std::string missing =
      fmt::format("Group {} {}.", event.group_id,
                  find_consumers(event.group_id) == nullptr ? "not found" : "is not a classic group");
  if (group == nullptr) {
    if (event.version >= kDescribeNamesMissingGroup) {
      out.error_code = code(ErrorCode::GROUP_ID_NOT_FOUND);
      out.error_message = missing;
    }
  } else {
    out.group_state = name_of(group->state());
    out.protocol_type = group->protocol_type() ? std::string_view(*group->protocol_type()) : std::string_view{};
    const bool stable = group->is(GroupState::stable);
    out.protocol_data = stable ? std::string_view(*group->protocol()) : std::string_view{};
    for (const auto& [id, member] : group->members()) {
      members.push_back({.member_id = id,
                         .group_instance_id = member.instance_id,
                         .client_id = member.client_id,
                         .client_host = member.client_host,
                         .member_assignment = member.assignment});
      if (stable) members.back().member_metadata = member.metadata(*group->protocol());
    }
    out.members = members;
  }
  respond(event.token, wire::DescribeGroupsResponse{.groups = std::span(&out, 1)}, turn);
}

void GroupCoordinator::State::list(const events_in::ListGroups& event, Turn& turn) {
  const auto& request = event.request;
  std::vector<wire::ListGroupsResponse::ListedGroup> listed;
  const bool lists_classic = names(request.types_filter, kClassic);
  for (const auto& [id, group] : groups) {
    if (lists_classic && names(request.states_filter, name_of(group.state()))) {
      listed.push_back({.group_id = id,
                        .protocol_type = group.protocol_type() ? std::string_view(*group.protocol_type()) : "",
                        .group_state = name_of(group.state()),
                        .group_type = kClassic});
    }
  }
  const bool lists_consumers = names(request.types_filter, kConsumer);
  for (const auto& [id, group] : consumers) {
    const std::string_view state = group.state_name();
    if (lists_consumers && names(request.states_filter, state)) {
      listed.push_back(
          {.group_id = id, .protocol_type = kConsumerProtocolType, .group_state = state, .group_type = kConsumer});
    }
  }
  respond(event.token, wire::ListGroupsResponse{.groups = listed}, turn);
}

ErrorCode GroupCoordinator::State::delete_group(std::string_view id, Turn& turn) {
  const ClassicGroup* group = find(id);
  const ConsumerGroup* consumer = find_consumers(id);
  if (group == nullptr && consumer == nullptr) {
    return ErrorCode::GROUP_ID_NOT_FOUND;
  }
  if (group != nullptr ? !group->is(GroupState::empty) : !consumer->empty()) {
    return ErrorCode::NON_EMPTY_GROUP;
  }
  std::vector<LogRecord> records;
  for (const auto& place : offsets.places(id)) {
    remove_offset(id, place.topic, place.partition, records);
  }
  log(turn, fmt::format("group {} was deleted with {} offsets", id, records.size()));
  removed(std::string(id));
  if (consumer == nullptr) {
    records.push_back(group_tombstone(id));
  } else {
    std::ranges::move(tombstones(*consumer), std::back_inserter(records));
  }
  forget(id);
  forget_consumers(id);
  append_in_parts(std::move(records), turn);
  return ErrorCode::NONE;
}

}  // namespace verdict::group
