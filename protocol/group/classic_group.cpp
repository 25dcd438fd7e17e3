#include "protocol/group/classic_group.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "protocol/group/record_codec.h"
#include "protocol/wire/gen/data_records.h"
#include "runtime/assert.h"

namespace verdict::group {

std::string_view name_of(GroupState state) {
  switch (state) {
    case GroupState::empty:
      return "Empty";
    case GroupState::preparing_rebalance:
      return "PreparingRebalance";
    case GroupState::completing_rebalance:
      return "CompletingRebalance";
    case GroupState::stable:
      return "Stable";
  }
  VERDICT_ASSERT(false);
  return {};
}

const MemberProtocol* Member::find(std::string_view protocol) const {
  const auto found = std::ranges::find(protocols, protocol, &MemberProtocol::name);
  return found == protocols.end() ? nullptr : &*found;
}

wire::Bytes Member::metadata(std::string_view protocol) const {
  const MemberProtocol* found = find(protocol);
  return found == nullptr ? wire::Bytes{} : wire::Bytes(found->metadata);
}

std::vector<MemberProtocol> protocols_of(const wire::JoinGroupRequest& request) {
  std::vector<MemberProtocol> out;
  std::set<std::string_view> seen;
  for (const auto& one : request.protocols) {
    if (seen.insert(one.name).second) {
      out.push_back({.name = std::string(one.name), .metadata = Blob(one.metadata.begin(), one.metadata.end())});
    }
  }
  return out;
}

ClassicGroup::ClassicGroup(std::string id, std::int32_t generation, std::optional<std::string> protocol_type,
                           std::optional<std::string> protocol, std::optional<std::string> leader,
                           std::optional<std::int64_t> state_timestamp_ms, std::vector<Member> members)
    : id_(std::move(id)),
      state_(members.empty() ? GroupState::empty : GroupState::stable),
      previous_(state_),
      state_timestamp_ms_(state_timestamp_ms),
      generation_(generation),
      protocol_type_(std::move(protocol_type)),
      protocol_(std::move(protocol)),
      leader_(std::move(leader)) {
  for (Member& one : members) {
    add(std::move(one), protocol_type_.value_or(""));
  }
}

std::vector<std::string> ClassicGroup::member_ids() const {
  std::vector<std::string> out;
  out.reserve(members_.size());
  for (const auto& [id, member] : members_) {
    out.push_back(id);
  }
  return out;
}

Member& ClassicGroup::member(std::string_view id) {
  const auto found = members_.find(id);
  VERDICT_ASSERT(found != members_.end(), "no such member");
  return found->second;
}

const Member& ClassicGroup::member(std::string_view id) const {
  const auto found = members_.find(id);
  VERDICT_ASSERT(found != members_.end(), "no such member");
  return found->second;
}

const std::string* ClassicGroup::static_member(std::string_view instance) const {
  const auto found = static_members_.find(instance);
  return found == static_members_.end() ? nullptr : &found->second;
}

void ClassicGroup::count(const Member& member, int difference) {
  for (const MemberProtocol& protocol : member.protocols) {
    if (difference > 0) {
      ++supported_[protocol.name];
    } else if (const auto found = supported_.find(protocol.name); --found->second == 0) {
      supported_.erase(found);
    }
  }
}

void ClassicGroup::add(Member member, std::string_view protocol_type) {
  VERDICT_ASSERT(!has(member.id), "two members with one id");
  if (members_.empty()) {
    protocol_type_ = std::string(protocol_type);
  }
  VERDICT_ASSERT(protocol_type_ == protocol_type, "members of two protocol types");
  if (member.instance_id) {
    VERDICT_ASSERT(static_members_.emplace(*member.instance_id, member.id).second, "two members with one instance id");
  }
  if (!leader_) {
    leader_ = member.id;
  }
  count(member, 1);
  awaiting_joins_ += member.join ? 1 : 0;
  pending_joins.erase(member.id);
  std::string key = member.id;
  members_.emplace(std::move(key), std::move(member));
}

Member ClassicGroup::remove(std::string_view id) {
  const auto found = members_.find(id);
  VERDICT_ASSERT(found != members_.end(), "no such member");
  Member out = std::move(found->second);
  members_.erase(found);
  count(out, -1);
  awaiting_joins_ -= out.join ? 1 : 0;
  if (out.instance_id) {
    static_members_.erase(*out.instance_id);
  }
  if (is_leader(out.id)) {
    leader_ = members_.empty() ? std::nullopt : std::optional(members_.begin()->first);
  }
  pending_joins.erase(out.id);
  pending_syncs.erase(out.id);
  return out;
}

Member ClassicGroup::replace_static(std::string_view instance, std::string new_id) {
  const std::string* old_id = static_member(instance);
  VERDICT_ASSERT(old_id != nullptr, "no such static member");
  const auto found = members_.find(*old_id);
  Member old = std::move(found->second);
  members_.erase(found);
  awaiting_joins_ -= old.join ? 1 : 0;
  if (is_leader(old.id)) {
    leader_ = new_id;
  }
  // Who replaces a member that owed its SyncGroup owes it as well: it has the assignment to hear of.
  if (pending_syncs.erase(old.id) > 0) {
    pending_syncs.insert(new_id);
  }
  Member fresh = old;
  fresh.id = new_id;
  fresh.join.reset();
  fresh.sync.reset();
  fresh.is_new = false;
  static_members_.find(instance)->second = new_id;
  members_.emplace(std::move(new_id), std::move(fresh));
  return old;
}

void ClassicGroup::update(Member& member, std::vector<MemberProtocol> protocols, std::int32_t rebalance_timeout_ms,
                          std::int32_t session_timeout_ms) {
  count(member, -1);
  member.protocols = std::move(protocols);
  count(member, 1);
  member.rebalance_timeout_ms = rebalance_timeout_ms;
  member.session_timeout_ms = session_timeout_ms;
}

std::optional<Waiting> ClassicGroup::hold_join(Member& member, Waiting request) {
  awaiting_joins_ += member.join ? 0 : 1;
  return std::exchange(member.join, request);
}

std::optional<Waiting> ClassicGroup::take_join(Member& member) {
  awaiting_joins_ -= member.join ? 1 : 0;
  return std::exchange(member.join, std::nullopt);
}

std::int32_t ClassicGroup::rebalance_timeout_ms() const {
  std::int32_t longest = 0;
  for (const auto& [id, member] : members_) {
    longest = std::max(longest, member.rebalance_timeout_ms);
  }
  return longest;
}

bool ClassicGroup::supports(std::string_view type, std::span<const MemberProtocol> protocols) const {
  if (is(GroupState::empty)) {
    return !type.empty() && !protocols.empty();
  }
  if (!protocol_type_ || *protocol_type_ != type) {
    return false;
  }
  return std::ranges::any_of(protocols, [&](const MemberProtocol& one) {
    const auto found = supported_.find(one.name);
    return (found == supported_.end() ? 0 : found->second) == members_.size();
  });
}

std::string ClassicGroup::select_protocol() const {
  VERDICT_ASSERT(!members_.empty());
  std::map<std::string_view, std::size_t> votes;
  for (const auto& [id, member] : members_) {
    for (const MemberProtocol& one : member.protocols) {
      const auto found = supported_.find(one.name);
      if (found->second == members_.size()) {
        ++votes[one.name];
        break;
      }
    }
  }
  VERDICT_ASSERT(!votes.empty(), "no protocol that all members have");
  const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  return std::string(most->first);
}

bool ClassicGroup::elect_joined_leader() {
  if (!leader_) {
    return false;
  }
  if (const auto now = members_.find(*leader_); now != members_.end() && now->second.join) {
    return true;
  }
  for (const auto& [id, member] : members_) {
    if (member.join) {
      leader_ = id;
      return true;
    }
  }
  return false;
}

void ClassicGroup::transition(GroupState to, WallTime wall) {
  using enum GroupState;
  const bool allowed = to == preparing_rebalance    ? state_ != preparing_rebalance
                       : to == completing_rebalance ? state_ == preparing_rebalance
                       : to == stable               ? state_ == completing_rebalance
                                                    : state_ == preparing_rebalance;
  VERDICT_ASSERT(allowed, name_of(state_));
  previous_ = std::exchange(state_, to);
  set_state_timestamp(wall);
}

void ClassicGroup::next_generation(WallTime wall) {
  generation_ = generation_ == std::numeric_limits<std::int32_t>::max() ? 0 : generation_ + 1;
  if (members_.empty()) {
    protocol_.reset();
    transition(GroupState::empty, wall);
  } else {
    protocol_ = select_protocol();
    transition(GroupState::completing_rebalance, wall);
  }
  read_subscriptions();
  pending_syncs.clear();
}

void ClassicGroup::read_subscriptions() {
  subscribed_.reset();
  if (!uses_consumer_protocol() || (!members_.empty() && !protocol_)) {
    return;
  }
  std::set<std::string, std::less<>> topics;
  for (const auto& [id, member] : members_) {
    const wire::Bytes metadata = member.metadata(*protocol_);
    wire::Arena arena;
    wire::ConsumerProtocolSubscription subscription;
    if (!decode_said(arena, metadata, 0, subscription)) {
      return;
    }
    for (const std::string_view topic : subscription.topics) {
      topics.emplace(topic);
    }
  }
  subscribed_ = std::move(topics);
}

bool ClassicGroup::is_subscribed(std::string_view topic) const {
  return subscribed_ ? subscribed_->contains(topic) : uses_consumer_protocol();
}

ErrorCode ClassicGroup::check_member(std::string_view member, std::optional<std::string_view> instance) const {
  if (instance) {
    const std::string* current = static_member(*instance);
    if (current == nullptr) {
      return ErrorCode::UNKNOWN_MEMBER_ID;
    }
    if (*current != member) {
      return ErrorCode::FENCED_INSTANCE_ID;
    }
  }
  return has(member) ? ErrorCode::NONE : ErrorCode::UNKNOWN_MEMBER_ID;
}

// A commit without a generation is an administrator's, or of a consumer that assigns its partitions itself: taken while
// nobody is a member. Transactional ones may come without member data at any time (before KIP-447), and in any state.
ErrorCode ClassicGroup::check_commit(std::string_view member, std::optional<std::string_view> instance,
                                     std::int32_t generation, bool transactional) const {
  if (generation < 0 && is(GroupState::empty)) {
    return ErrorCode::NONE;
  }
  if (generation >= 0 || !member.empty() || instance) {
    if (const ErrorCode error = check_member(member, instance); error != ErrorCode::NONE) {
      return error;
    }
    if (generation != generation_) {
      return ErrorCode::ILLEGAL_GENERATION;
    }
  } else if (!transactional) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  return !transactional && is(GroupState::completing_rebalance) ? ErrorCode::REBALANCE_IN_PROGRESS : ErrorCode::NONE;
}

}  // namespace verdict::group
