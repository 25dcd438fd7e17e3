#include <algorithm>

#include "checker/white_box_state.h"

// G1 (owners), G2 and G4 (committed offsets), G3 (fencing), G5 (where consumers go on). Everything that a coordinator
// says is judged against its own log, which C1-C9 judge: one that was deposed without knowing may still answer what it
// knows.
namespace verdict::checker {
namespace {

std::string said(std::string_view group, std::string_view topic, std::int32_t index) {
  return std::string("group ").append(group).append("'s offset of ").append(topic).append("-") + std::to_string(index);
}

}  // namespace

GroupsTruth* WhiteBoxState::groups_of(const PartitionTruth& p) {
  const auto found = groups_.find(index_of(p));
  return found == groups_.end() ? nullptr : &found->second;
}

// Null: this broker coordinates nothing there, as far as is known, or what it says can't be judged.
CoordinatorTruth* WhiteBoxState::coordinator(const PartitionTruth& p) {
  GroupsTruth* groups = groups_of(p);
  if (groups == nullptr || p.rotted) return nullptr;  // rot may have changed what it read, where no CRC tells
  const auto found = groups->brokers.find(now.node);
  return found == groups->brokers.end() || found->second.epoch < 0 ? nullptr : &found->second;
}

// Null: so here too, or a later coordinator has succeeded this one: what it still does and says is of the past.
GroupsTruth* WhiteBoxState::coordinated(const PartitionTruth& p) {
  const CoordinatorTruth* here = coordinator(p);
  GroupsTruth* groups = groups_of(p);
  return here == nullptr || here->epoch < groups->newest_epoch ? nullptr : groups;
}

// C1's excuse holds for what the lost records said.
void WhiteBoxState::forgive_groups(const PartitionTruth& p) {
  if (GroupsTruth* groups = groups_of(p)) {
    groups->told.clear();
    groups->holders.clear();
    groups->acknowledged.clear();
  }
}

// ---- the log ----

void WhiteBoxState::on(const protocol::events::GroupRecordAppended& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Replica& r = p->replicas[slot(*p, now.node)];
  const BatchIndex batch = batch_at(*p, r, e.at.value());
  if (batch == kNoBatch) return;
  GroupRecordTruth record{.at = e.at.value(), .removed = e.kind == "offset_removed", .producer = e.producer_id.value()};
  if (e.kind == "offset" || e.kind == "offset_removed") {
    record.key = offset_key(e.group, e.topic, e.index);
    record.committed = e.committed;
  }
  CoordinatorTruth* here = coordinator(*p);
  if (here != nullptr && e.kind == "offset" && record.producer < 0)
    here->unanswered[record.key].push_back({.at = record.at, .committed = record.committed});
  std::vector<GroupRecordTruth>& records = group_records_[batch];
  if (records.empty() || records.back().at < record.at) records.push_back(std::move(record));
}

// From where it stood; from the beginning, if the log was cut below that.
void WhiteBoxState::fold_offsets(const Replica& r, OffsetFold& fold) {
  std::vector<BatchIndex> path;
  BatchIndex i = r.head;
  for (; i != fold.head && tree[i].parent != kNoBatch; i = tree[i].parent) path.push_back(i);
  if (i != fold.head) fold = {};
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    const Produced* batch = produced(*at);
    if (batch != nullptr && batch->marker != Produced::Marker::none) {
      fold.end(batch->producer, batch->marker == Produced::Marker::commit);
      continue;
    }
    const std::vector<GroupRecordTruth>* records = group_records_.find(*at);
    const std::int64_t count = end(*at) - tree.base(*at);
    if (records == nullptr || static_cast<std::int64_t>(records->size()) != count) fold.unknown_below = end(*at);
    if (records == nullptr) continue;
    for (const GroupRecordTruth& record : *records) fold.take(record);
  }
  fold.head = r.head;
}

// ---- who coordinates ----

void WhiteBoxState::on(const protocol::events::GroupsLoaded& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  GroupsTruth& groups = groups_[index_of(*p)];
  CoordinatorTruth& here = groups.brokers[now.node];
  here.epoch = e.leader_epoch.value();
  here.groups.clear();
  here.unanswered.clear();
  groups.newest_epoch = std::max(groups.newest_epoch, here.epoch);
  if (here.epoch < groups.newest_epoch) return;
  for (auto& [group, holders] : groups.holders) {
    std::erase_if(holders, [](const auto& one) { return one.second.epoch == 0; });  // what it led to may be forgotten
    for (auto& [id, holder] : holders) holder.unanswered = 0;
  }
}

void WhiteBoxState::on(const protocol::events::GroupMoved& e) {
  PartitionTruth* p = find(e.partition);
  CoordinatorTruth* here = p == nullptr ? nullptr : coordinator(*p);
  if (here == nullptr) return;
  if (e.state == "Dead") {
    const std::string dead(e.group);
    here->groups.erase(dead);
    if (GroupsTruth* groups = coordinated(*p)) {
      groups->told.erase(dead);
      groups->holders.erase(dead);
    }
    return;
  }
  CoordinatedGroup& group = entry(here->groups, e.group);
  group.consumer = e.protocol == "consumer";
  group.state = e.state;
  group.generation = e.generation;
}

void WhiteBoxState::on(const protocol::events::GroupMemberMoved& e) {
  PartitionTruth* p = find(e.partition);
  CoordinatorTruth* here = p == nullptr ? nullptr : coordinator(*p);
  if (here == nullptr) return;
  CoordinatedGroup& group = entry(here->groups, e.group);
  if (!group.consumer) group.generation = e.generation;
  group.members.erase(std::string(e.replaces));
  if (!e.replaces.empty()) groups_of(*p)->older_selves[std::string(e.member)] = e.replaces;
  if (e.change == "removed") {
    group.members.erase(std::string(e.member));
  } else {
    CoordinatedGroup::Member& member = group.members[std::string(e.member)];
    member.instance = e.instance;
    member.epoch = e.generation;
  }
  if (group.consumer) return member_moved(*p, e);
  if (e.change == "loaded") judge_loaded(*p, e);
}

bool WhiteBoxState::took_the_place_of(const GroupsTruth& groups, std::string_view member, std::string_view older) {
  for (auto at = groups.older_selves.find(member); at != groups.older_selves.end();
       at = groups.older_selves.find(at->second)) {
    if (at->second == older) return true;
  }
  return false;
}

// What a coordinator goes on with is what members were told last, or who took the place of one and had not heard so
// yet.
void WhiteBoxState::judge_loaded(const PartitionTruth& p, const protocol::events::GroupMemberMoved& e) {
  GroupsTruth* groups = coordinated(p);
  if (groups == nullptr) return;
  const auto told = groups->told.find(e.group);
  if (told == groups->told.end()) return;
  const std::string generation = std::to_string(e.generation);
  const std::string who = broker(now.node) + " loads group " + std::string(e.group) + " in generation " + generation;
  if (e.generation < told->second.generation) {
    violate("G1", &p, std::nullopt,
            who + ", but members have partitions of generation " + std::to_string(told->second.generation),
            "goes on in an older generation");
  }
  if (e.generation != told->second.generation) return;
  if (!e.instance.empty()) told->second.statics[std::string(e.instance)] = e.member;
  each_partition(e.assignment, [&](std::string_view partition) {
    const auto owner = told->second.owners.find(partition);
    if (owner == told->second.owners.end() || owner->second == e.member) return;
    if (took_the_place_of(*groups, e.member, owner->second)) {
      owner->second = e.member;
      return;
    }
    violate("G1", &p, std::nullopt,
            who + " with " + std::string(partition) + " of member " + std::string(e.member) + ", but " + owner->second +
                " was told that it is its own",
            "knows another owner of " + std::string(partition));
  });
}

// ---- what members are told ----

OwnersTruth* WhiteBoxState::owners_told(const PartitionTruth& p, std::string_view group, std::int32_t generation) {
  GroupsTruth* groups = coordinated(p);
  if (groups == nullptr) return nullptr;
  OwnersTruth& told = entry(groups->told, group);
  if (generation < told.generation) return nullptr;
  if (generation > told.generation) told = {.generation = generation, .owners = {}, .clients = {}, .statics = {}};
  return &told;
}

void WhiteBoxState::on(const protocol::events::GroupJoined& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  if (CoordinatorTruth* here = coordinator(*p)) {
    CoordinatedGroup& group = entry(here->groups, e.group);
    group.told = e.generation;
    if (const auto member = group.members.find(e.member); member != group.members.end())
      member->second.told = e.generation;
  }
  // A static member that came anew has what its older self had.
  if (e.instance.empty() || !e.asked_as.empty()) return;
  GroupsTruth* groups = coordinated(*p);
  if (groups == nullptr) return;
  const auto told = groups->told.find(e.group);
  if (told == groups->told.end() || told->second.generation != e.generation) return;
  const auto self = told->second.statics.find(e.instance);
  if (self == told->second.statics.end() || self->second == e.member) return;
  for (auto& [partition, owner] : told->second.owners) {
    if (owner == self->second) owner = e.member;
  }
  self->second = e.member;
}

void WhiteBoxState::on(const protocol::events::GroupSynced& e) {
  PartitionTruth* p = find(e.partition);
  OwnersTruth* told = p == nullptr ? nullptr : owners_told(*p, e.group, e.generation);
  if (told == nullptr) return;
  const std::string member(e.member);
  const auto where = [&] {
    return " in generation " + std::to_string(e.generation) + " of group " + std::string(e.group);
  };
  const auto [client, first] = told->clients.try_emplace(member, e.client);
  if (!first && client->second != e.client) {
    violate("G1", p, std::nullopt,
            "both " + client->second + " and " + std::string(e.client) + " are told that they are member " + member +
                where(),
            "gives the assignment of " + member + " to " + std::string(e.client));
    return;
  }
  if (!e.instance.empty()) told->statics[std::string(e.instance)] = member;
  each_partition(e.assignment, [&](std::string_view partition) {
    const auto [owner, fresh] = told->owners.try_emplace(std::string(partition), member);
    if (fresh || owner->second == member) return;
    violate("G1", p, std::nullopt,
            "both " + owner->second + " and " + member + " are told that " + std::string(partition) + " is their own" +
                where(),
            "gives " + std::string(partition) + " to " + member);
  });
}

void WhiteBoxState::on(const protocol::events::GroupCommitDecided& e) {
  PartitionTruth* p = find(e.partition);
  const CoordinatorTruth* here = p == nullptr ? nullptr : coordinator(*p);
  if (here == nullptr || e.error_code != 0 || e.generation < 0) return;
  const auto group = here->groups.find(e.group);
  if (group == here->groups.end()) return;
  const CoordinatedGroup& is = group->second;
  const auto member = is.members.find(e.member);
  std::string why;
  if (!is.consumer && e.generation != is.generation) {
    why = "the group is in generation " + std::to_string(is.generation);
  } else if (member == is.members.end()) {
    why = "it is no member any more";
  } else if (is.consumer && e.generation != member->second.epoch) {
    why = "it is in epoch " + std::to_string(member->second.epoch);
  } else if (!e.instance.empty() && member->second.instance != e.instance) {
    why = "it is not " + std::string(e.instance);
  }
  if (why.empty()) {
    if (!is.consumer && is.told == e.generation && member->second.told != e.generation) ++metrics.misplaced_commits;
    return;
  }
  violate("G3", p, std::nullopt,
          broker(now.node) + " takes a commit of member " + std::string(e.member) +
              (is.consumer ? " in epoch " : " in generation ") + std::to_string(e.generation) + " of group " +
              std::string(e.group) + ", but " + why,
          "takes the commit of " + std::string(e.member));
}

// ---- committed offsets ----

void WhiteBoxState::on(const protocol::events::OffsetFetched& e) {
  const std::string key = offset_key(e.group, e.topic, e.index);
  AnswersTruth& answers = answers_[key];
  answers.latest.push_back({.time = now.time, .committed = e.committed});
  if (answers.latest.size() > kAnswersKept) {
    answers.forgotten = answers.latest.front().time;
    answers.latest.pop_front();
  }
  PartitionTruth* p = find(e.partition);
  CoordinatorTruth* here = p == nullptr ? nullptr : coordinator(*p);
  if (here == nullptr) return;
  fold_offsets(p->replicas[slot(*p, now.node)], here->fold);
  const auto found = here->fold.offsets.find(key);
  const OffsetTruth none;
  const OffsetTruth& truth = found == here->fold.offsets.end() ? none : found->second;
  const OffsetTruth::Written& latest = truth.latest();
  if (e.committed == latest.committed || latest.at < here->fold.unknown_below - 1) return;
  // When those of transactions become visible is T9's.
  if (!truth.transactional.empty() &&
      (e.committed == truth.plain.committed || truth.transactional.contains(e.committed)))
    return;
  const auto acknowledged = groups_of(*p)->acknowledged.find(key);
  const bool promised = acknowledged != groups_of(*p)->acknowledged.end() && acknowledged->second == latest.at;
  violate(promised ? "G4" : "G2", p, latest.at < 0 ? std::nullopt : std::optional(latest.at),
          broker(now.node) + " answers " + std::to_string(e.committed) + " as " + said(e.group, e.topic, e.index) +
              ", whose latest record commits " + std::to_string(latest.committed) +
              (promised ? ", as its client was told" : ""),
          "answers " + std::to_string(e.committed));
}

void WhiteBoxState::on(const protocol::events::OffsetCommitted& e) {
  PartitionTruth* p = find(e.partition);
  CoordinatorTruth* here = p == nullptr ? nullptr : coordinator(*p);
  if (here == nullptr || e.error_code != 0) return;
  const std::string key = offset_key(e.group, e.topic, e.index);
  const auto what = [&] {
    return broker(now.node) + " acknowledges " + std::to_string(e.committed) + " as " +
           said(e.group, e.topic, e.index) + ", but ";
  };
  std::deque<OffsetTruth::Written>& unanswered = here->unanswered[key];
  if (unanswered.empty() || unanswered.front().committed != e.committed) {
    violate("G4", p, std::nullopt, what() + "has written no such record", "acknowledges a commit");
    return;
  }
  const OffsetTruth::Written written = unanswered.front();
  unanswered.pop_front();
  if (cut_away(*p, here->epoch, written.at + 1)) return;
  if (written.at >= p->true_hw) {
    violate("G4", p, written.at,
            what() + "its record is not committed (high watermark " + std::to_string(p->true_hw) + ")",
            "acknowledges a commit at offset " + std::to_string(written.at));
    return;
  }
  std::int64_t& place = groups_of(*p)->acknowledged[key];
  place = std::max(place, written.at);
}

void WhiteBoxState::offsets_asked(std::uint64_t client) { asked_[client] = now.time; }

void WhiteBoxState::consumption_resumed(std::uint64_t client, std::string_view group, std::string_view topic,
                                        std::int32_t index, std::int64_t position) {
  const auto asked = asked_.find(client);
  if (asked == asked_.end()) return;
  const auto answers = answers_.find(offset_key(group, topic, index));
  if (answers != answers_.end()) {
    if (asked->second <= answers->second.forgotten) return;
    for (const AnswersTruth::Answer& answer : answers->second.latest) {
      if (answer.time >= asked->second && answer.committed == position) return;
    }
  }
  violate("G5", nullptr, std::nullopt,
          "client " + std::to_string(client) + " goes on reading " + std::string(topic) + "-" + std::to_string(index) +
              " at " + std::to_string(position) + ", which no coordinator of group " + std::string(group) +
              " told it to be committed",
          "goes on at " + std::to_string(position));
}

std::vector<GroupStatus> WhiteBoxState::group_status() const {
  std::vector<GroupStatus> all;
  for (const auto& [number, groups] : groups_) {
    const PartitionTruth& p = partitions[number];
    const auto here = groups.brokers.find(p.leader);
    if (here == groups.brokers.end() || here->second.epoch != p.leader_epoch) continue;
    for (const auto& [name, group] : here->second.groups) {
      all.push_back({.group = name,
                     .partition = p.key,
                     .coordinator = p.leader,
                     .state = group.state,
                     .generation = group.generation,
                     .members = group.members.size()});
    }
  }
  return all;
}

}  // namespace verdict::checker
