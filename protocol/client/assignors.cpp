#include "protocol/client/assignors.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace verdict::client {
namespace {

bool wants(const Subscription& member, const std::string& topic) {
  return std::ranges::find(member.topics, topic) != member.topics.end();
}

// Static members keep their place whatever member id they have now.
auto place_of(const Subscription& member) {
  return std::tuple(member.instance.empty(), member.instance.empty() ? member.member : member.instance, member.member);
}

std::vector<TopicPartition> wanted_partitions(const std::vector<Subscription>& members, const PartitionCounts& topics) {
  std::vector<TopicPartition> all;
  for (const auto& [topic, count] : topics) {
    if (!std::ranges::any_of(members, [&](const Subscription& member) { return wants(member, topic); })) continue;
    for (std::int32_t index = 0; index < count; ++index) all.push_back({.topic = topic, .partition = index});
  }
  return all;
}

void assign_range(const std::vector<Subscription>& members, const PartitionCounts& topics, Assignment& into) {
  for (const auto& [topic, count] : topics) {
    std::vector<const Subscription*> who;
    for (const Subscription& member : members) {
      if (wants(member, topic)) who.push_back(&member);
    }
    if (who.empty()) continue;
    const auto partitions = static_cast<std::size_t>(count);
    const std::size_t each = partitions / who.size(), extra = partitions % who.size();
    std::size_t next = 0;
    for (std::size_t place = 0; place < who.size(); ++place) {
      const std::size_t end = next + each + (place < extra ? 1 : 0);
      for (; next < end; ++next)
        into[who[place]->member].push_back({.topic = topic, .partition = static_cast<std::int32_t>(next)});
    }
  }
}

void assign_in_turn(const std::vector<Subscription>& members, const PartitionCounts& topics, Assignment& into) {
  std::size_t turn = 0;
  for (const TopicPartition& partition : wanted_partitions(members, topics)) {
    while (!wants(members[turn % members.size()], partition.topic)) ++turn;
    into[members[turn++ % members.size()].member].push_back(partition);
  }
}

// Who has which partition for sure: of two that say so the one of the later generation, of one generation nobody.
std::map<TopicPartition, std::string> owners_of(const std::vector<Subscription>& members) {
  struct Claim {
    std::string member;
    std::int32_t generation = -1;
  };
  std::map<TopicPartition, Claim> claims;
  for (const Subscription& member : members) {
    for (const TopicPartition& partition : member.owned) {
      const auto [at, first] = claims.try_emplace(partition, member.member, member.generation);
      if (first || at->second.generation > member.generation) continue;
      const bool same = at->second.generation == member.generation;
      at->second = {.member = same ? std::string() : member.member, .generation = member.generation};
    }
  }
  std::map<TopicPartition, std::string> owners;
  for (const auto& [partition, claim] : claims) {
    if (!claim.member.empty()) owners.emplace(partition, claim.member);
  }
  return owners;
}

// Everyone keeps what it has up to its share, and what is left goes to who has least.
void assign_sticky(const std::vector<Subscription>& members, const PartitionCounts& topics, Assignment& into) {
  const std::vector<TopicPartition> all = wanted_partitions(members, topics);
  const std::map<TopicPartition, std::string> owners = owners_of(members);
  std::map<std::string, const Subscription*> by_id;
  for (const Subscription& member : members) by_id.emplace(member.member, &member);
  const std::size_t share = all.size() / members.size();
  std::size_t with_one_more = all.size() % members.size();
  std::vector<TopicPartition> free;
  for (const TopicPartition& partition : all) {
    const auto owner = owners.find(partition);
    if (owner == owners.end() || !wants(*by_id.at(owner->second), partition.topic)) {
      free.push_back(partition);
      continue;
    }
    std::vector<TopicPartition>& kept = into[owner->second];
    if (kept.size() < share || (kept.size() == share && with_one_more > 0)) {
      if (kept.size() == share) --with_one_more;
      kept.push_back(partition);
    } else {
      free.push_back(partition);
    }
  }
  for (const TopicPartition& partition : free) {
    const Subscription* least = nullptr;
    for (const Subscription& member : members) {
      if (wants(member, partition.topic) &&
          (least == nullptr || into[member.member].size() < into[least->member].size()))
        least = &member;
    }
    into[least->member].push_back(partition);
  }
  // What another one still has it must give up first: nobody is given it in this generation.
  for (auto& [member, partitions] : into) {
    std::erase_if(partitions, [&](const TopicPartition& partition) {
      const auto owner = owners.find(partition);
      return owner != owners.end() && owner->second != member;
    });
    std::ranges::sort(partitions);
  }
}

}  // namespace

std::string_view name_of(Assignor assignor) {
  switch (assignor) {
    case Assignor::range:
      return "range";
    case Assignor::round_robin:
      return "roundrobin";
    case Assignor::cooperative_sticky:
      return "cooperative-sticky";
  }
  return {};
}

Assignment assign(Assignor assignor, std::vector<Subscription> members, const PartitionCounts& topics) {
  std::ranges::sort(members, {}, place_of);
  Assignment assignment;
  for (const Subscription& member : members) assignment[member.member];
  if (members.empty()) return assignment;
  switch (assignor) {
    case Assignor::range:
      assign_range(members, topics, assignment);
      break;
    case Assignor::round_robin:
      assign_in_turn(members, topics, assignment);
      break;
    case Assignor::cooperative_sticky:
      assign_sticky(members, topics, assignment);
      break;
  }
  return assignment;
}

}  // namespace verdict::client
