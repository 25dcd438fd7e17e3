#include "protocol/group/consumer_group.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/java_order.h"
#include "runtime/assert.h"

namespace verdict::group {
namespace {

constexpr int kCommitKnowsEpochs = 9;  // OffsetCommit

void count_topic(SubscribedTopics& topics, std::string_view topic, std::size_t SubscriptionCount::* what,
                 int difference) {
  auto at = topics.find(topic);
  if (difference > 0) {
    at = at == topics.end() ? topics.emplace(topic, SubscriptionCount{}).first : at;
    ++(at->second.*what);
  } else if (at != topics.end() && --(at->second.*what) == 0 && at->second.by_name + at->second.by_regex == 0) {
    topics.erase(at);
  }
}

void count_names(SubscribedTopics& topics, const MemberMetadata& metadata, int difference) {
  for (const std::string& topic : metadata.topics) {
    count_topic(topics, topic, &SubscriptionCount::by_name, difference);
  }
}

void count_topics(SubscribedTopics& topics, const ResolvedRegex& regex, int difference) {
  for (const std::string& topic : regex.topics) {
    count_topic(topics, topic, &SubscriptionCount::by_regex, difference);
  }
}

ErrorCode check_epoch(const ConsumerMember& member, std::int32_t epoch) {
  return epoch == member.current.epoch ? ErrorCode::NONE
         : member.classic()            ? ErrorCode::ILLEGAL_GENERATION
                                       : ErrorCode::STALE_MEMBER_EPOCH;
}

// Who has the most votes.
std::optional<std::string> winner(const Counts& votes) {
  std::vector<std::string> names;
  for (const auto& [name, votes_of] : votes) {
    names.push_back(name);
  }
  std::optional<std::string> best;
  for (const std::string& name : protocol::in_java_order(names, protocol::java_buckets(names.size()))) {
    if (!best || votes.at(name) > votes.at(*best)) {
      best = name;
    }
  }
  return best;
}

}  // namespace

bool has(const Assignment& assignment, const Uuid& topic, std::int32_t partition) {
  const auto at = assignment.find(topic);
  return at != assignment.end() && at->second.contains(partition);
}

void count(Counts& counts, std::string_view key, int difference) {
  if (key.empty()) {
    return;
  }
  const auto at = counts.find(key);
  if (difference > 0) {
    at == counts.end() ? void(counts.emplace(key, 1)) : void(++at->second);
  } else if (at != counts.end() && --at->second == 0) {
    counts.erase(at);
  }
}

void ConsumerGroup::apply(const ConsumerChange& change) {
  std::visit([this](const auto& one) { apply_one(one); }, change);
}

void ConsumerGroup::apply_one(const changes::Epoch& change) {
  epoch_ = change.value ? change.value->epoch : 0;
  metadata_hash_ = change.value ? change.value->metadata_hash : 0;
}

void ConsumerGroup::apply_one(const changes::TargetEpoch& change) { target_epoch_ = change.value.value_or(kLeftEpoch); }

void ConsumerGroup::apply_one(const changes::PartitionMetadata& change) { has_partition_metadata_ = change.present; }

void ConsumerGroup::apply_one(const changes::Target& change) {
  if (change.value) {
    targets_[change.member] = *change.value;
  } else {
    targets_.erase(change.member);
  }
}

void ConsumerGroup::apply_one(const changes::Regex& change) {
  if (const auto old = regexes_.find(change.pattern); old != regexes_.end()) {
    count_topics(subscribed_, old->second, -1);
    regexes_.erase(old);
  }
  if (change.value) {
    count_topics(subscribed_, *change.value, 1);
    regexes_.emplace(change.pattern, *change.value);
  }
}

ConsumerMember& ConsumerGroup::member(const std::string& id) {
  const auto [at, added] = members_.try_emplace(id, ConsumerMember{.id = id, .metadata = {}, .current = {}});
  return at->second;
}

void ConsumerGroup::apply_one(const changes::Metadata& change) {
  if (change.value) {
    ConsumerMember& changed = member(change.member);
    count(changed.metadata, -1);
    changed.metadata = *change.value;
    count(changed.metadata, 1);
    if (changed.metadata.instance_id) {
      static_members_[*changed.metadata.instance_id] = changed.id;
    }
    return;
  }
  const auto gone = members_.find(change.member);
  if (gone == members_.end()) {
    return;
  }
  const ConsumerMember& member = gone->second;
  disown(member, member.current.assigned);
  disown(member, member.current.revoking);
  count(member.metadata, -1);
  if (const auto& instance = member.metadata.instance_id; instance && static_members_[*instance] == member.id) {
    static_members_.erase(*instance);
  }
  targets_.erase(change.member);
  members_.erase(gone);
}

// What it no longer has, nobody has, until somebody else is given it.
void ConsumerGroup::apply_one(const changes::Current& change) {
  if (!change.value && !members_.contains(change.member)) {
    return;
  }
  ConsumerMember& changed = member(change.member);
  const MemberAssignment was =
      std::exchange(changed.current, change.value.value_or(MemberAssignment{.epoch = kLeftEpoch,
                                                                            .previous_epoch = kLeftEpoch,
                                                                            .state = changed.current.state,
                                                                            .assigned = {},
                                                                            .revoking = {}}));
  disown(changed, was.assigned);
  disown(changed, was.revoking);
  own(changed, changed.current.assigned);
  if (defects_.has(Defect::Kafka16147)) [[unlikely]]
    disown(changed, was.revoking);
  own(changed, changed.current.revoking);
}

void ConsumerGroup::own(const ConsumerMember& member, const Assignment& partitions) {
  for (const auto& [topic, indexes] : partitions) {
    for (const std::int32_t index : indexes) {
      owners_[topic][index] = {.member = member.id, .epoch = member.current.epoch};
    }
  }
}

// Compaction may have left out how a partition went from one member to another: the later record says whose it is.
void ConsumerGroup::disown(const ConsumerMember& member, const Assignment& partitions) {
  for (const auto& [topic, indexes] : partitions) {
    const auto of_topic = owners_.find(topic);
    if (of_topic == owners_.end()) {
      continue;
    }
    for (const std::int32_t index : indexes) {
      const auto at = of_topic->second.find(index);
      if (at != of_topic->second.end() && at->second.member == member.id) {
        of_topic->second.erase(at);
      }
    }
    if (of_topic->second.empty()) {
      owners_.erase(of_topic);
    }
  }
}

void ConsumerGroup::count(const MemberMetadata& metadata, int difference) {
  count_names(subscribed_, metadata, difference);
  group::count(patterns_, metadata.pattern(), difference);
  group::count(assignors_, metadata.assignor.value_or(""), difference);
  if (metadata.classic) {
    difference > 0 ? ++classic_members_ : --classic_members_;
    for (const MemberProtocol& protocol : metadata.classic->protocols) {
      group::count(classic_protocols_, protocol.name, difference);
    }
  }
}

std::string_view ConsumerGroup::state_name() const {
  if (members_.empty()) {
    return "Empty";
  }
  if (epoch_ > target_epoch_) {
    return "Assigning";
  }
  const bool done =
      std::ranges::all_of(members_, [this](const auto& one) { return one.second.reconciled_to(target_epoch_); });
  return done ? "Stable" : "Reconciling";
}

const ConsumerMember* ConsumerGroup::find(std::string_view member) const {
  const auto at = members_.find(member);
  return at == members_.end() ? nullptr : &at->second;
}

const ConsumerMember* ConsumerGroup::static_member(std::string_view instance) const {
  const auto at = static_members_.find(instance);
  return at == static_members_.end() ? nullptr : find(at->second);
}

const ConsumerMember* ConsumerGroup::static_member(const std::optional<std::string>& instance) const {
  return instance ? static_member(std::string_view(*instance)) : nullptr;
}

const Assignment* ConsumerGroup::target(std::string_view member) const {
  const auto at = targets_.find(member);
  return at == targets_.end() ? nullptr : &at->second;
}

const Assignment& ConsumerGroup::target_or_none(std::string_view member) const {
  static const Assignment kNone;
  const Assignment* there = target(member);
  return there == nullptr ? kNone : *there;
}

std::int32_t ConsumerGroup::partition_epoch(const Uuid& topic, std::int32_t partition) const {
  const auto of_topic = owners_.find(topic);
  if (of_topic == owners_.end()) {
    return -1;
  }
  const auto at = of_topic->second.find(partition);
  return at == of_topic->second.end() ? -1 : at->second.epoch;
}

bool ConsumerGroup::waits_for_others(const ConsumerMember& member) const {
  if (member.current.state != MemberState::unreleased) {
    return false;
  }
  return std::ranges::any_of(target_or_none(member.id), [&](const auto& topic) {
    return std::ranges::any_of(topic.second, [&](std::int32_t one) {
      return !has(member.current.assigned, topic.first, one) && partition_epoch(topic.first, one) != -1;
    });
  });
}

const ResolvedRegex* ConsumerGroup::regex(std::string_view pattern) const {
  const auto at = regexes_.find(pattern);
  return at == regexes_.end() ? nullptr : &at->second;
}

std::size_t ConsumerGroup::members_with(std::string_view pattern) const {
  const auto at = patterns_.find(pattern);
  return at == patterns_.end() ? 0 : at->second;
}

SubscribedTopics ConsumerGroup::subscribed_with(const ConsumerMember& from, const ConsumerMember& to) const {
  SubscribedTopics out = subscribed_;
  count_names(out, from.metadata, -1);
  count_names(out, to.metadata, 1);
  const std::string_view left = from.metadata.pattern();
  const bool last = !left.empty() && to.metadata.pattern() != left && members_with(left) == 1;
  if (const ResolvedRegex* gone = last ? regex(left) : nullptr) {
    count_topics(out, *gone, -1);
  }
  return out;
}

SubscribedTopics ConsumerGroup::subscribed_without(const std::vector<std::string>& members,
                                                   const std::vector<std::string>& patterns) const {
  SubscribedTopics out = subscribed_;
  for (const std::string& id : members) {
    count_names(out, find(id)->metadata, -1);
  }
  for (const std::string& pattern : patterns) {
    if (const ResolvedRegex* gone = regex(pattern)) {
      count_topics(out, *gone, -1);
    }
  }
  return out;
}

Counts ConsumerGroup::patterns_with(const ConsumerMember& from, const ConsumerMember& to) const {
  Counts out = patterns_;
  group::count(out, from.metadata.pattern(), -1);
  group::count(out, to.metadata.pattern(), 1);
  return out;
}

std::optional<std::string> ConsumerGroup::preferred_assignor() const { return winner(assignors_); }

std::optional<std::string> ConsumerGroup::preferred_assignor_with(const ConsumerMember& from,
                                                                  const ConsumerMember& to) const {
  Counts votes = assignors_;
  group::count(votes, from.metadata.assignor.value_or(""), -1);
  group::count(votes, to.metadata.assignor.value_or(""), 1);
  return winner(votes);
}

// Does each member want the same topics? By one way of saying so, as far as that can be told from the counts.
bool ConsumerGroup::homogeneous(const Counts& patterns, const SubscribedTopics& topics, std::size_t members) {
  if (patterns.empty()) {
    return std::ranges::all_of(topics, [&](const auto& topic) { return topic.second.by_name == members; });
  }
  return patterns.begin()->second == members && std::ranges::all_of(topics, [](const auto& topic) {
           return topic.second.by_regex == 1 && topic.second.by_name == 0;
         });
}

bool ConsumerGroup::supports_classic(std::string_view type, const std::vector<MemberProtocol>& protocols) const {
  if (type != kConsumerProtocolType) {
    return false;
  }
  return std::ranges::any_of(protocols, [this](const MemberProtocol& one) {
    const auto at = classic_protocols_.find(one.name);
    return (at == classic_protocols_.end() ? 0 : at->second) == classic_members_;
  });
}

ErrorCode ConsumerGroup::check_commit(std::string_view id, std::int32_t epoch, int version) const {
  if (epoch < 0 && empty()) {
    return ErrorCode::NONE;
  }
  const ConsumerMember* member = find(id);
  if (member == nullptr) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  if (!member->classic() && version < kCommitKnowsEpochs) {
    return ErrorCode::UNSUPPORTED_VERSION;
  }
  return check_epoch(*member, epoch);
}

ErrorCode ConsumerGroup::check_transactional_commit(std::string_view id, std::optional<std::string_view> instance,
                                                    std::int32_t epoch) const {
  if ((epoch < 0 && empty()) || (epoch == -1 && id.empty() && !instance)) {
    return ErrorCode::NONE;
  }
  const ConsumerMember* member = find(id);
  if (member == nullptr) {
    return ErrorCode::UNKNOWN_MEMBER_ID;
  }
  return epoch == member->current.epoch ? ErrorCode::NONE : ErrorCode::ILLEGAL_GENERATION;
}

ErrorCode ConsumerGroup::check_fetch(std::optional<std::string_view> id, std::int32_t epoch) const {
  if (!id && epoch < 0) {
    return ErrorCode::NONE;
  }
  if (!id) {
    return ErrorCode::UNKNOWN_SERVER_ERROR;  // as Kafka, which looks for a member without an id
  }
  const ConsumerMember* member = find(*id);
  return member == nullptr ? ErrorCode::UNKNOWN_MEMBER_ID : check_epoch(*member, epoch);
}

}  // namespace verdict::group
