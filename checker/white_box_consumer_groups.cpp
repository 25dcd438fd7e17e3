#include <algorithm>
#include <iterator>

#include "checker/white_box_state.h"

// G1 in groups of the consumer protocol (KIP-848). A partition may go to a member when nobody may be using it any more:
// whoever was told that it has it says in a heartbeat that it hasn't, or is given up itself.
namespace verdict::checker {
namespace {

constexpr std::int32_t kWillBeBack = -2;  // member epoch

// Empty: nobody, but for `member` itself. What a deposed coordinator heard to be given up may be so for the next one.
std::string other_holder(HoldersTruth& holders, std::string_view member, std::string_view partition) {
  for (auto& [id, holder] : holders) {
    const auto held = holder.held.find(partition);
    if (id == member || !holder.member || held == holder.held.end()) continue;
    if (!holder.given_up.contains(partition)) return id;
    holder.held.erase(held);
  }
  return {};
}

void now_holds(HolderTruth& holder, std::string_view partition) {
  holder.held.emplace(partition);
  if (const auto back = holder.given_up.find(partition); back != holder.given_up.end()) holder.given_up.erase(back);
}

std::set<std::string, std::less<>> partitions_in(std::string_view list) {
  std::set<std::string, std::less<>> all;
  each_partition(list, [&](std::string_view partition) { all.emplace(partition); });
  return all;
}

}  // namespace

HoldersTruth* WhiteBoxState::holders_of(const PartitionTruth& p, std::string_view group) {
  GroupsTruth* groups = coordinated(p);
  return groups == nullptr ? nullptr : &entry(groups->holders, group);
}

// Null: no coordinator but a deposed one knows of it.
HolderTruth* WhiteBoxState::holder_of_deposed(const PartitionTruth& p, std::string_view group,
                                              std::string_view member) {
  GroupsTruth* groups = groups_of(p);
  if (groups == nullptr) return nullptr;
  const auto holders = groups->holders.find(group);
  if (holders == groups->holders.end()) return nullptr;
  const auto holder = holders->second.find(member);
  return holder == holders->second.end() ? nullptr : &holder->second;
}

void WhiteBoxState::member_moved(const PartitionTruth& p, const protocol::events::GroupMemberMoved& e) {
  HoldersTruth* holders = holders_of(p, e.group);
  if (holders == nullptr) {
    HolderTruth* holder = e.change == "removed" ? holder_of_deposed(p, e.group, e.member) : nullptr;
    if (holder != nullptr) holder->given_up = holder->held;
    return;
  }
  HolderTruth& holder = entry(*holders, e.member);
  if (!e.replaces.empty()) {
    HolderTruth& older = entry(*holders, e.replaces);
    holder.held = std::move(older.held);
    older = {.member = false, .epoch = 0, .unanswered = older.unanswered, .client = {}, .held = {}};
  }
  if (e.change == "loaded") judge_loaded_member(p, *holders, holder, e);
  holder.member = e.change != "removed";
  if (!holder.member) {
    holder.held.clear();
    holder.epoch = 0;
  }
  // A static member that leaves for a while (KIP-848) uses nothing any more; its place keeps what is still its own.
  if (e.generation == kWillBeBack) {
    const auto kept = partitions_in(e.assignment);
    std::erase_if(holder.held, [&](const std::string& partition) { return !kept.contains(partition); });
  }
}

// What a coordinator goes on with is what members were told.
void WhiteBoxState::judge_loaded_member(const PartitionTruth& p, HoldersTruth& holders, HolderTruth& holder,
                                        const protocol::events::GroupMemberMoved& e) {
  const std::string epoch = std::to_string(e.generation);
  const std::string who = broker(now.node) + " loads member " + std::string(e.member) + " of group " +
                          std::string(e.group) + " in epoch " + epoch;
  if (holder.member && e.generation > 0 && e.generation < holder.epoch) {
    violate("G1", &p, std::nullopt, who + ", but it was told that it is in epoch " + std::to_string(holder.epoch),
            "goes on in an older epoch");
  }
  each_partition(e.assignment, [&](std::string_view partition) {
    const std::string other = other_holder(holders, e.member, partition);
    if (other.empty()) {
      now_holds(holder, partition);
      return;
    }
    violate("G1", &p, std::nullopt,
            who + " with " + std::string(partition) + ", but " + other + " was told that it is its own",
            "knows another owner of " + std::string(partition));
  });
}

void WhiteBoxState::on(const protocol::events::ConsumerHeartbeatDecided& e) {
  PartitionTruth* p = find(e.partition);
  HoldersTruth* holders = p == nullptr ? nullptr : holders_of(*p, e.group);
  const auto owned = partitions_in(e.owned);
  if (holders == nullptr) {
    HolderTruth* holder = p == nullptr || !e.tells ? nullptr : holder_of_deposed(*p, e.group, e.member);
    if (holder != nullptr)
      std::ranges::set_difference(holder->held, owned, std::inserter(holder->given_up, holder->given_up.end()));
    return;
  }
  HolderTruth& holder = entry(*holders, e.member);
  ++holder.unanswered;
  if (!e.tells) return;
  std::erase_if(holder.held, [&](const std::string& partition) { return !owned.contains(partition); });
}

void WhiteBoxState::on(const protocol::events::ConsumerHeartbeatAnswered& e) {
  PartitionTruth* p = find(e.partition);
  HoldersTruth* holders = p == nullptr ? nullptr : holders_of(*p, e.group);
  if (holders == nullptr || e.epoch < 0) return;  // it leaves
  HolderTruth& holder = entry(*holders, e.member);
  if (holder.unanswered > 0) --holder.unanswered;
  if (!holder.member || holder.unanswered > 0) return;
  const std::string member(e.member);
  const auto where = [&] { return " in group " + std::string(e.group); };
  if (!holder.client.empty() && holder.client != e.client) {
    violate("G1", p, std::nullopt,
            "both " + holder.client + " and " + std::string(e.client) + " are told that they are member " + member +
                where(),
            "answers " + std::string(e.client) + " as " + member);
    return;
  }
  holder.client = e.client;
  holder.epoch = std::max(holder.epoch, e.epoch);
  each_partition(e.assignment, [&](std::string_view partition) {
    const std::string other = other_holder(*holders, member, partition);
    if (!other.empty()) {
      violate("G1", p, std::nullopt,
              member + " is told in epoch " + std::to_string(e.epoch) + " that " + std::string(partition) +
                  " is its own" + where() + ", but " + other + " was told so and has not given it up",
              "gives " + std::string(partition) + " to " + member);
    }
    now_holds(holder, partition);
  });
}

}  // namespace verdict::checker
