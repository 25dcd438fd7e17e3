#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/group/consumer_protocol.h"
#include "protocol/group/records.h"
#include "protocol/group/state.h"
#include "protocol/group/topic_hash.h"

// Groups that go from one protocol to the other while they have members (group.consumer.migration.policy): a classic
// group of consumers becomes a consumer group when the first member of that protocol comes, and a classic one again
// when the last of them is gone. Nobody loses what it has.
namespace verdict::group {
namespace {

std::unexpected<Refusal> refuse(const ClassicGroup& group, std::string_view why) {
  return std::unexpected(
      Refusal{.error = ErrorCode::GROUP_ID_NOT_FOUND,
              .message = fmt::format("Cannot upgrade classic group {} to consumer group because {}", group.id(), why)});
}

ConsumerMember from_classic(const Member& member, const Subscription& subscription, Assignment assigned,
                            std::int32_t epoch) {
  return {.id = member.id,
          .metadata = {.instance_id = member.instance_id,
                       .rack_id = subscription.rack_id,
                       .client_id = member.client_id,
                       .client_host = member.client_host,
                       .topics = subscription.topics,
                       .rebalance_timeout_ms = member.rebalance_timeout_ms,
                       .assignor = std::nullopt,
                       .classic = ClassicMembership{.session_timeout_ms = member.session_timeout_ms,
                                                    .protocols = member.protocols}},
          .current = {.epoch = epoch, .previous_epoch = epoch, .assigned = std::move(assigned), .revoking = {}}};
}

Member to_classic(const ConsumerMember& member) {
  return {.id = member.id,
          .instance_id = member.metadata.instance_id,
          .client_id = member.metadata.client_id,
          .client_host = member.metadata.client_host,
          .rebalance_timeout_ms = member.metadata.rebalance_timeout_ms,
          .session_timeout_ms = member.metadata.classic->session_timeout_ms,
          .protocols = member.metadata.classic->protocols,
          .assignment = {},
          .join = std::nullopt,
          .sync = std::nullopt};
}

// The changes that make a group of these members, all of which have what they shall have.
std::vector<ConsumerChange> making(const std::vector<ConsumerMember>& members, std::int32_t epoch, std::int64_t hash) {
  std::vector<ConsumerChange> out;
  for (const ConsumerMember& member : members) {
    out.emplace_back(changes::Metadata{.member = member.id, .value = member.metadata});
  }
  out.emplace_back(changes::Epoch{{{.epoch = epoch, .metadata_hash = hash}}});
  for (const ConsumerMember& member : members) {
    out.emplace_back(changes::Target{.member = member.id, .value = member.current.assigned});
  }
  out.emplace_back(changes::TargetEpoch{epoch});
  for (const ConsumerMember& member : members) {
    out.emplace_back(changes::Current{.member = member.id, .value = member.current});
  }
  return out;
}

}  // namespace

GroupCoordinator::State::Or<Work> GroupCoordinator::State::upgrade(const ClassicGroup& group) const {
  if (!options.consumer_upgrade) {
    return refuse(group, "online upgrade is disabled.");
  }
  if (!group.uses_consumer_protocol()) {
    return refuse(group, "the group does not use the consumer embedded protocol.");
  }
  if (group.members().size() > static_cast<std::size_t>(options.consumer_max_size)) {
    return refuse(group, "the group size exceeds the consumer group maximum size.");
  }
  const std::string protocol = group.protocol() ? *group.protocol() : group.select_protocol();
  std::vector<ConsumerMember> members;
  SubscribedTopics topics;
  for (const auto& [id, member] : group.members()) {
    const auto subscription = read_subscription(member.metadata(protocol), options.image);
    auto assignment = read_assignment(member.assignment, options.image);
    if (!subscription || !assignment) {
      return refuse(group, "the embedded consumer protocol is malformed.");
    }
    if (assignment->has_user_data) {
      return refuse(group,
                    "an unsupported custom assignor is in use. Please refer to the documentation or switch to a "
                    "default assignor before re-attempting the upgrade.");
    }
    for (const std::string& topic : subscription->topics) {
      topics[topic];
    }
    members.push_back(from_classic(member, *subscription, std::move(assignment->partitions), group.generation()));
  }
  Work work(ConsumerGroup(group.id(), options.defects));
  work.records.push_back(group_tombstone(group.id()));
  for (const ConsumerChange& change : making(members, group.generation(), hash_of(topics))) {
    work.made->apply(change);
    work.records.push_back(consumer_record(group.id(), change));
  }
  return work;
}

// Its classic members are told to join again, and have the time that they asked for.
void GroupCoordinator::State::begin_upgraded(const ConsumerGroup& made, Turn& turn) {
  if (ClassicGroup* old = find(made.id())) {
    log(turn,
        fmt::format("classic group {} with generation {} becomes a consumer group", old->id(), old->generation()));
    for (const std::string& id : old->member_ids()) {
      Member& member = old->member(id);
      if (const auto call = old->take_join(member)) {
        refuse_join(*call, ErrorCode::REBALANCE_IN_PROGRESS, id, turn);
      }
      if (const auto call = std::exchange(member.sync, std::nullopt)) {
        refuse_sync(*call, ErrorCode::REBALANCE_IN_PROGRESS, turn);
      }
    }
  }
  for (const auto& [id, member] : made.members()) {
    if (member.classic()) {
      set_timer(TimerKind::consumer_session, made.id(), id, member.metadata.classic->session_timeout_ms, turn);
    }
  }
}

// `left`: members that it will have.
bool GroupCoordinator::State::may_downgrade(const ConsumerGroup& group, std::size_t left, std::size_t left_classic,
                                            Turn& turn) {
  if (left == 0 || left_classic != left) {
    return false;
  }
  if (!options.consumer_downgrade || left > static_cast<std::size_t>(options.group_max_size)) {
    log(turn, fmt::format("consumer group {} stays one, of classic members: {}", group.id(),
                          options.consumer_downgrade ? "it is larger than group.max.size allows"
                                                     : "group.consumer.migration.policy forbids to downgrade it"));
    return false;
  }
  return true;
}

void GroupCoordinator::State::downgrade(const std::string& id, const std::vector<std::string>& leaving, Turn& turn) {
  const ConsumerGroup& group = consumers.find(id)->second;
  std::vector<Member> members;
  for (const auto& [member_id, member] : group.members()) {
    const ConsumerMember* fixed = group.static_member(member.metadata.instance_id);
    if (std::ranges::find(leaving, member_id) == leaving.end() && (fixed == nullptr || fixed == &member)) {
      members.push_back(to_classic(member));
    }
  }
  ClassicGroup joined(id, group.epoch(), std::string(kConsumerProtocolType), std::nullopt, std::nullopt,
                      to_ms(turn.wall), std::move(members));
  if (!joined.supports(kConsumerProtocolType, joined.members().begin()->second.protocols)) {
    return log(turn, fmt::format("consumer group {} can't become a classic one: its members share no protocol", id));
  }
  const std::string protocol = joined.select_protocol();
  members.clear();
  for (const auto& [member_id, member] : joined.members()) {
    const auto subscription = read_subscription(member.metadata(protocol), options.image);
    members.push_back(member);
    members.back().assignment = write_assignment(group.target_or_none(member_id),
                                                 subscription ? subscription->version : std::int16_t{0}, options.image);
  }
  ClassicGroup classic(id, group.epoch(), std::string(kConsumerProtocolType), protocol, joined.leader(),
                       to_ms(turn.wall), std::move(members));
  std::vector<LogRecord> records = tombstones(group);
  records.push_back(group_record(classic));
  if (!fits(records)) {
    return log(turn, fmt::format("consumer group {} is too large for the record of a classic group", id));
  }
  log(turn, fmt::format("consumer group {} with epoch {} becomes a classic group", id, group.epoch()));
  removed(id);
  forget_consumers(id);
  ClassicGroup& now = groups.insert_or_assign(id, std::move(classic)).first->second;
  now.read_subscriptions();
  append(std::move(records), turn);
  moved(now);
  for (const auto& [member_id, member] : now.members()) {
    rearm_session(now, member, turn);
    member_moved(now, member, "joined");
  }
  if (!leaving.empty()) {
    prepare_rebalance(now, "the last member of the consumer protocol left", turn);
  }
}

}  // namespace verdict::group
