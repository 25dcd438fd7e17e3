#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "protocol/group/assignors.h"
#include "protocol/group/state.h"
#include "protocol/group/topic_hash.h"
#include "protocol/java_order.h"
#include "protocol/metadata_image.h"

// What the members of a consumer group shall have, and how each comes there: it gives up first what it shall not have,
// and gets what it shall have once nobody else has it.
namespace verdict::group {
namespace {

bool any_of(const Assignment& some, const Assignment& in) {
  return std::ranges::any_of(some, [&](const auto& topic) {
    return std::ranges::any_of(topic.second, [&](std::int32_t one) { return has(in, topic.first, one); });
  });
}

// Does it still have what it was told to give up? If it does not say what it has, it does.
bool keeps_any(const ClientAssignment& owned, const Assignment& revoking) { return !owned || any_of(revoking, *owned); }

class Reconciliation {
 public:
  // hands_back: the planted kafka-16147.
  Reconciliation(const ConsumerGroup& group, std::int32_t target_epoch, const Assignment& target,
                 const ClientAssignment& owned, bool hands_back)
      : group_(group), target_epoch_(target_epoch), target_(target), owned_(owned), hands_back_(hands_back) {}

  MemberAssignment next(const MemberAssignment& now) const {
    switch (now.state) {
      case MemberState::stable:
        return now.epoch == target_epoch_ ? now : towards_target(now, now.epoch);
      case MemberState::unrevoked:
        if (!keeps_any(owned_, now.revoking)) return towards_target(now, now.epoch + 1);
        return hands_back_ ? handed_back(now) : now;
      case MemberState::unreleased:
        return towards_target(now, now.epoch);
      case MemberState::unknown:  // the caller refused whoever has anything
        return towards_target(now, target_epoch_);
    }
    return now;
  }

 private:
  // What it shall have it keeps, the rest it is to give up.
  void split(const Assignment& from, MemberAssignment& into) const {
    for (const auto& [topic, indexes] : from) {
      for (const std::int32_t index : indexes) {
        (has(target_, topic, index) ? into.assigned : into.revoking)[topic].insert(index);
      }
    }
  }

  MemberAssignment towards_target(const MemberAssignment& now, std::int32_t epoch) const {
    MemberAssignment next{.epoch = target_epoch_, .previous_epoch = now.epoch, .assigned = {}, .revoking = {}};
    split(now.assigned, next);
    if (!next.revoking.empty() && keeps_any(owned_, next.revoking)) {
      next.epoch = epoch;
      next.state = MemberState::unrevoked;
      return next;
    }
    next.revoking.clear();
    for (const auto& [topic, indexes] : target_) {
      for (const std::int32_t index : indexes) {
        if (has(next.assigned, topic, index)) {
          continue;
        }
        if (group_.partition_epoch(topic, index) == -1) {
          next.assigned[topic].insert(index);
        } else {
          next.state = MemberState::unreleased;
        }
      }
    }
    return next;
  }

  // With what it was to give up and is to have again.
  MemberAssignment handed_back(const MemberAssignment& now) const {
    MemberAssignment next = now;
    next.revoking.clear();
    split(now.revoking, next);
    return next.revoking.empty() ? towards_target(next, now.epoch) : next;
  }

  const ConsumerGroup& group_;
  std::int32_t target_epoch_;
  const Assignment& target_;
  const ClientAssignment& owned_;
  bool hands_back_;
};

// The members as an assignor sees them.
class AssignorView {
 public:
  AssignorView(const ConsumerGroup& group, const protocol::MetadataImage* image) : group_(group), image_(image) {
    input_.targets = &group.targets();
  }

  void add(const ConsumerMember& member, const Assignment* current) {
    const bool same =
        last_ != nullptr && last_->topics == member.metadata.topics && last_->pattern() == member.metadata.pattern();
    if (!same) {
      resolve(member.metadata);
      last_ = &member.metadata;
    }
    input_.members.push_back({.id = member.id,
                              .instance_id = member.metadata.instance_id ? &*member.metadata.instance_id : nullptr,
                              .topics = &topics_.back(),
                              .subscribed_names = names_,
                              .current = current});
  }

  AssignorInput& input() { return input_; }

 private:
  void resolve(const MemberMetadata& metadata) {
    std::set<std::string_view> names(metadata.topics.begin(), metadata.topics.end());
    if (const ResolvedRegex* regex = metadata.pattern().empty() ? nullptr : group_.regex(metadata.pattern())) {
      names.insert(regex->topics.begin(), regex->topics.end());
    }
    names_ = names.size();
    std::vector<Uuid>& ids = topics_.emplace_back();
    for (const std::string_view name : protocol::in_java_order(names, protocol::java_buckets_of_copy(names_))) {
      const protocol::TopicImage* topic = image_ == nullptr ? nullptr : image_->topic(name);
      if (topic != nullptr) {
        ids.push_back(topic->id);
        input_.partitions[topic->id] = static_cast<std::int32_t>(topic->partitions.size());
      }
    }
    input_.topic_order = ids;
    std::ranges::sort(ids);
  }

  const ConsumerGroup& group_;
  const protocol::MetadataImage* image_;
  AssignorInput input_;
  std::deque<std::vector<Uuid>> topics_;  // members with the same subscription share one
  const MemberMetadata* last_ = nullptr;
  std::size_t names_ = 0;
};

}  // namespace

std::int64_t GroupCoordinator::State::hash_of(const SubscribedTopics& topics) const {
  return options.image == nullptr ? 0 : metadata_hash(topics, *options.image);
}

GroupCoordinator::State::Subscriptions GroupCoordinator::State::update_subscriptions(Work& work,
                                                                                     const ConsumerMember& from,
                                                                                     const ConsumerMember& to,
                                                                                     bool bump, Turn& turn) {
  const ConsumerGroup& group = work.group();
  const SubscribedTopics topics = group.subscribed_with(from, to);
  const bool there = group.find(to.id) != nullptr || group.static_member(to.metadata.instance_id) != nullptr;
  Subscriptions out{.epoch = group.epoch(),
                    .homogeneous = ConsumerGroup::homogeneous(group.patterns_with(from, to), topics,
                                                              group.members().size() + (there ? 0 : 1))};
  const std::int64_t hash = hash_of(topics);
  if (bump || hash != group.metadata_hash()) {
    ++out.epoch;
    work.changes.emplace_back(changes::Epoch{{{.epoch = out.epoch, .metadata_hash = hash}}});
    log(turn, fmt::format("group {}: epoch {}", work.id, out.epoch));
  }
  if (group.has_partition_metadata()) {
    work.changes.emplace_back(changes::PartitionMetadata{.present = false});
  }
  work.looked_at_metadata = true;
  return out;
}

Assignment GroupCoordinator::State::update_target(Work& work, const ConsumerMember& from, const ConsumerMember& to,
                                                  const Subscriptions& subscriptions) {
  const ConsumerGroup& group = work.group();
  const ConsumerMember* replaced = group.static_member(to.metadata.instance_id);
  const Assignment* current = group.target(replaced == nullptr ? to.id : replaced->id);
  AssignorView view(group, options.image);
  for (const auto& [id, member] : group.members()) {
    if (id != to.id && (replaced == nullptr || id != replaced->id)) {
      view.add(member, group.target(id));
    }
  }
  view.add(to, current);
  view.input().homogeneous = subscriptions.homogeneous;
  const std::string assignor = group.preferred_assignor_with(from, to).value_or(options.consumer_assignors.front());
  Assignments targets = assign(assignor, view.input());
  for (const AssignorMember& member : view.input().members) {
    Assignment& target = targets[member.id];
    const Assignment* before = group.target(member.id);
    if (before == nullptr || *before != target) {
      work.changes.emplace_back(changes::Target{.member = std::string(member.id), .value = target});
    }
  }
  work.changes.emplace_back(changes::TargetEpoch{subscriptions.epoch});
  return std::move(targets[to.id]);
}

void GroupCoordinator::State::settle(Work& work, const ConsumerMember& from, ConsumerMember& to, bool bump,
                                     const ClientAssignment& owned, Turn& turn) {
  const ConsumerGroup& group = work.group();
  std::optional<Subscriptions> updated;
  if (bump || group.metadata_expired(turn.now)) {
    updated = update_subscriptions(work, from, to, bump, turn);
  }
  if ((updated ? updated->epoch : group.epoch()) > group.target_epoch()) {
    const Subscriptions subscriptions =
        updated ? *updated : Subscriptions{.epoch = group.epoch(), .homogeneous = group.homogeneous()};
    const Assignment target = update_target(work, from, to, subscriptions);
    return reconcile(work, to, subscriptions.epoch, target, owned, turn);
  }
  const ConsumerMember* fixed = group.static_member(to.metadata.instance_id);
  const bool new_instance = to.metadata.instance_id && fixed == nullptr;
  const Assignment nothing;
  const Assignment& target = new_instance ? nothing : group.target_or_none(fixed == nullptr ? to.id : fixed->id);
  reconcile(work, to, group.target_epoch(), target, owned, turn);
}

void GroupCoordinator::State::reconcile(Work& work, ConsumerMember& member, std::int32_t target_epoch,
                                        const Assignment& target, const ClientAssignment& owned, Turn& turn) {
  if (member.reconciled_to(target_epoch)) {
    return;
  }
  const bool hands_back = options.defects.has(Defect::Kafka16147);
  MemberAssignment next = Reconciliation(work.group(), target_epoch, target, owned, hands_back).next(member.current);
  if (hands_back && any_of(member.current.revoking, next.assigned)) [[unlikely]] {
    turn.out.marks.push_back(Mark::DefectKafka16147);
  }
  if (next != member.current) {
    member.current = std::move(next);
    work.changes.emplace_back(changes::Current{.member = member.id, .value = member.current});
  }
}

}  // namespace verdict::group
