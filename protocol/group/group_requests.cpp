#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/group/records.h"
#include "protocol/group/state.h"

// DescribeGroups, ListGroups, DeleteGroups.
namespace verdict::group {
namespace {

constexpr std::string_view kDead = "Dead";  // what a group that isn't there is called
constexpr std::string_view kClassic = "classic";
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

}  // namespace

void GroupCoordinator::State::describe(const events_in::DescribeGroup& event, Turn& turn) {
  wire::DescribeGroupsResponse::DescribedGroup out{.group_id = event.group_id, .group_state = kDead};
  std::vector<wire::DescribeGroupsResponse::DescribedGroupMember> members;
  const ClassicGroup* group = find(event.group_id);
  const std::string missing = fmt::format("Group {} not found.", event.group_id);
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
  std::vector<wire::ListGroupsResponse::ListedGroup> listed;
  for (const auto& [id, group] : groups) {
    if (names(event.request.states_filter, name_of(group.state())) && names(event.request.types_filter, kClassic)) {
      listed.push_back({.group_id = id,
                        .protocol_type = group.protocol_type() ? std::string_view(*group.protocol_type()) : "",
                        .group_state = name_of(group.state()),
                        .group_type = kClassic});
    }
  }
  respond(event.token, wire::ListGroupsResponse{.groups = listed}, turn);
}

ErrorCode GroupCoordinator::State::delete_group(std::string_view id, Turn& turn) {
  const ClassicGroup* group = find(id);
  if (group == nullptr) {
    return ErrorCode::GROUP_ID_NOT_FOUND;
  }
  if (!group->is(GroupState::empty)) {
    return ErrorCode::NON_EMPTY_GROUP;
  }
  std::vector<LogRecord> records;
  for (const auto& place : offsets.places(id)) {
    remove_offset(id, place.topic, place.partition, records);
  }
  log(turn, fmt::format("group {} was deleted with {} offsets", id, records.size()));
  records.push_back(group_tombstone(id));
  removed(id, group->generation());
  forget(id);
  append_in_parts(std::move(records), turn);
  return ErrorCode::NONE;
}

}  // namespace verdict::group
