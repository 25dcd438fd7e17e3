#include "protocol/group/assignment.h"
#include "protocol/group/state.h"
#include "protocol/wire/gen/offset_commit.h"
#include "protocol/wire/gen/txn_offset_commit.h"

// What a coordinator decided, as events of the feed.
namespace verdict::group {
namespace {

using namespace protocol::events;  // tidy: allow using-namespace: a list of events

}  // namespace

void GroupCoordinator::State::announce_loaded() const {
  if (observer == nullptr) return;
  observer->observe(GroupsLoaded{.partition = options.partition, .leader_epoch = options.leader_epoch});
  for (const auto& [id, group] : groups) {
    moved(group);
    for (const auto& [member_id, member] : group.members()) member_moved(group, member, "loaded");
  }
}

void GroupCoordinator::State::moved(const ClassicGroup& group) const {
  if (observer == nullptr) return;
  observer->observe(GroupMoved{.partition = options.partition,
                               .group = group.id(),
                               .state = name_of(group.state()),
                               .generation = group.generation(),
                               .members = static_cast<std::int32_t>(group.members().size())});
}

void GroupCoordinator::State::removed(std::string_view group, std::int32_t generation) const {
  if (observer == nullptr) return;
  observer->observe(GroupMoved{
      .partition = options.partition, .group = group, .state = "Dead", .generation = generation, .members = 0});
}

void GroupCoordinator::State::member_moved(const ClassicGroup& group, const Member& member, std::string_view change,
                                           std::string_view replaces) const {
  if (observer == nullptr) return;
  const std::string assignment =
      change == "loaded" ? assignment_text(group.protocol_type(), member.assignment) : std::string();
  observer->observe(GroupMemberMoved{.partition = options.partition,
                                     .group = group.id(),
                                     .generation = group.generation(),
                                     .member = member.id,
                                     .instance = member.instance_id ? std::string_view(*member.instance_id) : "",
                                     .change = change,
                                     .replaces = replaces,
                                     .assignment = assignment});
}

template <class Request>
void GroupCoordinator::State::commit_decided(const Request& request, std::int32_t generation, ProducerId producer,
                                             ErrorCode error) const {
  if (observer == nullptr) return;
  observer->observe(GroupCommitDecided{.partition = options.partition,
                                       .group = request.group_id,
                                       .member = request.member_id,
                                       .instance = request.group_instance_id.value_or(std::string_view()),
                                       .generation = generation,
                                       .producer_id = producer,
                                       .error_code = code(error)});
}

template void GroupCoordinator::State::commit_decided(const wire::OffsetCommitRequest&, std::int32_t, ProducerId,
                                                      ErrorCode) const;
template void GroupCoordinator::State::commit_decided(const wire::TxnOffsetCommitRequest&, std::int32_t, ProducerId,
                                                      ErrorCode) const;

}  // namespace verdict::group
