#include <map>
#include <optional>
#include <string>

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
  for (const auto& [id, group] : groups) announce(group);
  for (const auto& [id, group] : consumers) announce(group);
}

void GroupCoordinator::State::moved(const ClassicGroup& group) const {
  if (observer == nullptr) return;
  observer->observe(GroupMoved{.partition = options.partition,
                               .group = group.id(),
                               .state = name_of(group.state()),
                               .generation = group.generation(),
                               .members = static_cast<std::int32_t>(group.members().size())});
}

void GroupCoordinator::State::removed(std::string_view group, std::int32_t generation,
                                      std::string_view protocol) const {
  if (observer == nullptr) return;
  observer->observe(GroupMoved{.partition = options.partition,
                               .group = group,
                               .state = "Dead",
                               .generation = generation,
                               .members = 0,
                               .protocol = protocol});
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

void GroupCoordinator::State::removed(const std::string& group) const {
  if (const ClassicGroup* classic = find(group)) removed(group, classic->generation());
  if (const ConsumerGroup* consumer = find_consumers(group)) removed(group, consumer->epoch(), "consumer");
}

// ---- consumer groups ----

void GroupCoordinator::State::moved(const ConsumerGroup& group) const {
  if (observer == nullptr) return;
  observer->observe(GroupMoved{.partition = options.partition,
                               .group = group.id(),
                               .state = group.state_name(),
                               .generation = group.epoch(),
                               .members = static_cast<std::int32_t>(group.members().size()),
                               .protocol = "consumer"});
}

void GroupCoordinator::State::member_moved(const ConsumerGroup& group, const ConsumerMember& member,
                                           std::string_view change, std::string_view replaces) const {
  if (observer == nullptr) return;
  Assignment has;
  if (!member.classic() && change != "removed") {
    has = member.current.assigned;
    for (const auto& [topic, indexes] : member.current.revoking) has[topic].insert(indexes.begin(), indexes.end());
  }
  const std::string assignment = assignment_text(has, options.image);
  const auto& instance = member.metadata.instance_id;
  observer->observe(GroupMemberMoved{.partition = options.partition,
                                     .group = group.id(),
                                     .generation = member.current.epoch,
                                     .member = member.id,
                                     .instance = instance ? std::string_view(*instance) : "",
                                     .change = change,
                                     .replaces = replaces,
                                     .assignment = assignment});
}

GroupCoordinator::State::Seen GroupCoordinator::State::seen(const ConsumerGroup& group, const Work& work) const {
  Seen out;
  if (observer == nullptr) return out;
  out = {.state = group.state_name(), .epoch = group.epoch(), .members = group.members().size(), .touched = {}};
  const auto touch = [&](const std::string& id) {
    const ConsumerMember* member = group.find(id);
    out.touched.emplace(id, member == nullptr ? std::nullopt : std::optional(*member));
  };
  for (const ConsumerChange& change : work.changes) {
    if (const auto* metadata = std::get_if<changes::Metadata>(&change)) touch(metadata->member);
    if (const auto* current = std::get_if<changes::Current>(&change)) touch(current->member);
  }
  return out;
}

void GroupCoordinator::State::changed(const ConsumerGroup& group, const Seen& before) const {
  if (observer == nullptr) return;
  if (group.state_name() != before.state || group.epoch() != before.epoch || group.members().size() != before.members)
    moved(group);
  std::map<std::string_view, std::string_view> older;  // by its successor
  for (const auto& [id, was] : before.touched) {
    if (!was || group.find(id) != nullptr) continue;
    const ConsumerMember* successor = group.static_member(was->metadata.instance_id);
    if (successor == nullptr) {
      member_moved(group, *was, "removed");
    } else {
      older.emplace(successor->id, id);
    }
  }
  for (const auto& [id, was] : before.touched) {
    const ConsumerMember* is = group.find(id);
    if (is == nullptr || (was && was->current == is->current)) continue;
    const auto replaced = older.find(id);
    if (replaced != older.end()) {
      member_moved(group, *is, "replaced", replaced->second);
    } else {
      member_moved(group, *is, was ? "moved" : "joined");
    }
  }
}

void GroupCoordinator::State::heartbeat_decided(const wire::ConsumerGroupHeartbeatRequest& request,
                                                const ConsumerMember& member, const ClientAssignment& owned) const {
  if (observer == nullptr) return;
  const std::string text = owned ? assignment_text(*owned, options.image) : std::string();
  observer->observe(ConsumerHeartbeatDecided{.partition = options.partition,
                                             .group = request.group_id,
                                             .member = member.id,
                                             .asked_epoch = request.member_epoch,
                                             .epoch = member.current.epoch,
                                             .tells = owned.has_value(),
                                             .owned = text});
}

// ---- commits ----

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
