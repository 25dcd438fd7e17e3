#include "protocol/group/assignors.h"

#include <algorithm>
#include <utility>

#include "protocol/java_order.h"
#include "runtime/assert.h"

namespace verdict::group {
namespace {

constexpr std::string_view kUniform = "uniform";
constexpr std::string_view kRange = "range";

struct RangeTopic {
  std::int32_t partitions = 0;
  std::int32_t members = 0;
  std::int32_t given = 0;  // partitions
  std::int32_t members_done = 0;

  // The first members get one more each where it does not come out even.
  std::pair<std::int32_t, std::int32_t> next() {
    const std::int32_t size = partitions / members + (members_done++ < partitions % members ? 1 : 0);
    const std::int32_t begin = given;
    given += size;
    return {begin, given};
  }
};

// Static members first, by instance; then the others.
bool before(const AssignorMember* a, const AssignorMember* b) {
  if (a->instance_id != nullptr && b->instance_id != nullptr) {
    return *a->instance_id < *b->instance_id;
  }
  if (a->instance_id != nullptr || b->instance_id != nullptr) {
    return a->instance_id != nullptr;
  }
  return a->id < b->id;
}

using TopicPartition = std::pair<Uuid, std::int32_t>;

std::vector<Uuid> topics_in_order(const Assignment& assignment) {
  std::vector<Uuid> ids;
  for (const auto& [id, indexes] : assignment) {
    ids.push_back(id);
  }
  return protocol::in_java_order(ids, protocol::java_buckets(ids.size()));
}

class Homogeneous {
 public:
  explicit Homogeneous(const AssignorInput& input) : input_(input) {
    const std::size_t names = input.members.front().subscribed_names;
    topics_ = protocol::in_java_order(input.topic_order, protocol::java_buckets_of_copy(names));
  }

  Assignments run() {
    if (topics_.empty()) {
      return {};
    }
    std::set<TopicPartition> taken;
    for (const auto& [member, target] : *input_.targets) {
      for (const auto& [topic, indexes] : target) {
        for (const std::int32_t index : indexes) {
          taken.emplace(topic, index);
        }
      }
    }
    std::size_t total = 0;
    for (const Uuid& topic : topics_) {
      const std::int32_t partitions = input_.partitions.at(topic);
      total += static_cast<std::size_t>(partitions);
      for (std::int32_t i = 0; i < partitions; ++i) {
        if (!taken.contains({topic, i})) {
          free_.emplace_back(topic, i);
        }
      }
    }
    quota_ = total / input_.members.size();
    extra_ = total % input_.members.size();
    for (std::size_t i = 0; i < input_.members.size(); ++i) {
      keep(input_.members[i], input_.members.size() - i);
    }
    give_rest();
    return std::move(out_);
  }

 private:
  struct Unfilled {
    std::string_view member;
    std::size_t room = 0;
  };

  bool subscribed(const Uuid& topic) const { return input_.partitions.contains(topic); }

  // What it had, up to its quota. Whoever has less leaves the one more to others, as long as enough of them follow.
  void keep(const AssignorMember& member, std::size_t left) {
    Assignment kept;
    std::size_t room = quota_ + (extra_ > 0 ? 1 : 0);
    bool takes_extra = extra_ > 0;
    if (member.current != nullptr) {
      for (const Uuid& topic : topics_in_order(*member.current)) {
        if (subscribed(topic)) {
          room -= keep_topic(topic, member.current->at(topic), room, kept);
        }
      }
    }
    if (room > 0 && takes_extra && left > extra_) {
      --room;
      takes_extra = false;
    }
    if (room > 0) {
      unfilled_.push_back({.member = member.id, .room = room});
    }
    extra_ -= takes_extra ? 1 : 0;
    out_.emplace(member.id, std::move(kept));
  }

  std::size_t keep_topic(const Uuid& topic, const std::set<std::int32_t>& had, std::size_t room, Assignment& kept) {
    if (had.size() <= room) {
      kept[topic] = had;
      return had.size();
    }
    std::size_t taken = 0;
    for (const std::int32_t index : protocol::in_java_order(had, protocol::java_buckets_of_copy(had.size()))) {
      if (taken < room) {
        kept[topic].insert(index);
        ++taken;
      } else {
        free_.emplace_back(topic, index);
      }
    }
    return taken;
  }

  void give_rest() {
    std::size_t next = 0;
    for (const Unfilled& one : unfilled_) {
      for (std::size_t i = 0; i < one.room && next < free_.size(); ++i, ++next) {
        out_.find(one.member)->second[free_[next].first].insert(free_[next].second);
      }
    }
  }

  const AssignorInput& input_;
  std::vector<Uuid> topics_;
  std::vector<TopicPartition> free_;
  std::size_t quota_ = 0;
  std::size_t extra_ = 0;  // members that get one more
  std::vector<Unfilled> unfilled_;
  Assignments out_;
};

}  // namespace

bool is_assignor(std::string_view name) { return name == kUniform || name == kRange; }

Assignments assign(std::string_view assignor, const AssignorInput& input) {
  VERDICT_ASSERT(is_assignor(assignor), assignor);
  return assignor == kRange ? assign_range(input) : assign_uniform(input);
}

Assignments assign_range(const AssignorInput& input) {
  std::vector<const AssignorMember*> members;
  std::map<Uuid, RangeTopic> topics;
  for (const AssignorMember& member : input.members) {
    members.push_back(&member);
    for (const Uuid& topic : *member.topics) {
      topics[topic].partitions = input.partitions.at(topic);
      ++topics[topic].members;
    }
  }
  std::ranges::sort(members, before);
  Assignments out;
  for (const AssignorMember* member : members) {
    Assignment& its = out[member->id];
    for (const Uuid& topic : *member->topics) {
      const auto [begin, end] = topics[topic].next();
      for (std::int32_t i = begin; i < end; ++i) {
        its[topic].insert(i);
      }
    }
  }
  return out;
}

Assignments assign_uniform_homogeneous(const AssignorInput& input) { return Homogeneous(input).run(); }

// Kafka walks over a hash map of the members.
Assignments assign_uniform(AssignorInput input) {
  if (input.members.empty()) {
    return {};
  }
  std::vector<std::int32_t> hashes;
  for (const AssignorMember& member : input.members) {
    hashes.push_back(protocol::java_hash(member.id));
  }
  std::vector<AssignorMember> members;
  for (const std::size_t i : protocol::java_order(hashes, protocol::java_buckets(hashes.size()))) {
    members.push_back(std::move(input.members[i]));
  }
  input.members = std::move(members);
  return input.homogeneous ? assign_uniform_homogeneous(input) : assign_uniform_heterogeneous(input);
}

}  // namespace verdict::group
