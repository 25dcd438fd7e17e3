#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/group/harness.h"

// Clients of all kinds do anything in any order, time passes, and the coordinator moves. What must hold all the same:
// a generation has one leader, and its members only what that leader gave them; member ids are unique; what was
// appended, replayed into another coordinator, gives the same offsets and groups; nobody waits for ever.
namespace verdict::group {
namespace {

class World {
 public:
  explicit World(std::size_t max_size) {
    options_.group_max_size = static_cast<std::int32_t>(max_size);
    h_ = std::make_unique<Harness>(options_);
  }

  // One number says all: what is done, who does it and with what.
  void apply(std::uint32_t draw) {
    const std::uint32_t kind = draw % 16;
    const std::size_t who = draw / 16 % clients_.size();
    const std::uint32_t more = draw / 256;
    switch (kind) {
      case 0:
        join(clients_[who], who, more);
        break;
      case 1:
        sync(who, more);
        break;
      case 2:
      case 3:
        behave(who, more);
        break;
      case 4:
      case 5:
      case 6:
      case 7:  // some of them go on, as clients do
        for (std::size_t i = 0; i < clients_.size(); ++i) {
          if ((more >> i) % 4 != 0) {
            behave(i, more);
          }
        }
        h_->wait(3'000);
        break;
      case 8:
        h_->heartbeat(clients_[who].id, clients_[who].generation, clients_[who].instance);
        break;
      case 9:
        h_->leave({{more % 4 == 0 ? "" : clients_[who].id, clients_[who].instance}});
        break;
      case 10:
        h_->commit(topic(more), 0, more % 1000, {.member = clients_[who].id, .generation = clients_[who].generation});
        break;
      case 11:
        h_->txn_commit(more % 3, topic(more / 3), 0, more % 1000);
        break;
      case 12:
        h_->marker(more % 3, more / 3 % 2 == 0);
        break;
      case 13:
        h_->wait(more % 8 == 0 ? more % 40'000 : more % 4'000);
        break;
      case 14:
        rare(more);
        break;
      default:
        h_->commit(topic(more), 0, more % 1000);
    }
    look();
  }

  void finish() {
    h_->wait(4'000'000);
    look();
    for (const auto& [token, request] : joins_) {
      RC_ASSERT(h_->answered(token));
    }
    for (const auto& [token, request] : syncs_) {
      RC_ASSERT(h_->answered(token));
    }
    RC_ASSERT(h_->state() == "Empty" || h_->state() == "Dead");
  }

  int followed() const { return followed_; }  // how often a follower heard its assignment

  // What a new coordinator makes of the log.
  void compare_with_replay() {
    Harness other(options_, h_->log, h_->now);
    for (const bool stable : {false, true}) {
      RC_ASSERT(other.fetch_all(stable) == h_->fetch_all(stable));
    }
    const auto& now = h_->describe();
    const std::string state(now.group_state);
    if (state == "Stable" || state == "Empty") {
      RC_ASSERT(wire::to_json(wire::DescribeGroupsResponse{.groups = one(now)}, 6) ==
                wire::to_json(wire::DescribeGroupsResponse{.groups = one(other.describe())}, 6));
    }
    if (state == "Stable" && !moved_) {  // else nobody knows its generation yet
      RC_ASSERT(other.heartbeat(std::string(now.members[0].member_id), generation_, instance_of(now.members[0])) ==
                ErrorCode::NONE);
    }
    RC_ASSERT((state == "Dead") == (other.state() == "Dead"));
  }

 private:
  enum class Stage : std::uint8_t { out, joining, joined, syncing, in };
  struct Client {
    std::optional<std::string> instance;
    Stage stage = Stage::out;
    std::string id;
    std::int32_t generation = -1;
    std::string leader;
  };
  struct Joined {
    std::size_t who;
  };
  struct Synced {
    std::size_t who;
    std::string member;
    std::int32_t generation;
  };

  static std::string topic(std::uint32_t n) { return "t" + std::to_string(n % 3); }
  static std::optional<std::string> instance_of(const wire::DescribeGroupsResponse::DescribedGroupMember& member) {
    return member.group_instance_id ? std::optional<std::string>(*member.group_instance_id) : std::nullopt;
  }
  std::span<wire::DescribeGroupsResponse::DescribedGroup> one(
      const wire::DescribeGroupsResponse::DescribedGroup& group) {
    described_ = group;
    return {&described_, 1};
  }

  // What a client does next that does as it should.
  void behave(std::size_t who, std::uint32_t more) {
    Client& client = clients_[who];
    look();
    switch (client.stage) {
      case Stage::out:
        return join(client, who, more | 1);
      case Stage::joined:
        return sync(who, more);
      case Stage::in:
        if (h_->heartbeat(client.id, client.generation, client.instance) != ErrorCode::NONE) {
          client.stage = Stage::out;
        }
        return;
      case Stage::joining:
      case Stage::syncing:
        return;
    }
  }

  void join(Client& client, std::size_t who, std::uint32_t more) {
    const std::vector<std::vector<std::pair<std::string, std::string>>> offers{
        {{"range", "a"}}, {{"range", "b"}, {"sticky", "b"}}, {{"sticky", "c"}, {"range", "c"}}};
    if (more % 8 == 0) {
      client.id.clear();  // starts anew
    }
    const Token token = h_->join({.member = client.id,
                                  .instance = client.instance,
                                  .protocols = offers[more / 8 % offers.size()],
                                  .version = client.instance || more / 32 % 2 == 0 ? 9 : 3,
                                  .session_ms = 10'000,
                                  .rebalance_ms = 20'000});
    joins_.emplace(token, Joined{.who = who});
    client.stage = Stage::joining;
  }

  void sync(std::size_t who, std::uint32_t more) {
    Client& client = clients_[who];
    std::vector<std::pair<std::string, std::string>> assignments;
    const bool leads = !client.id.empty() && client.leader == client.id;
    if (leads) {
      for (const auto& member : h_->describe().members) {
        assignments.emplace_back(member.member_id, std::to_string(client.generation) + " of " + client.leader +
                                                       " for " + std::string(member.member_id) + " " +
                                                       std::to_string(more));
      }
    }
    const bool completes = leads && h_->state() == "CompletingRebalance" && client.generation == generation_;
    const Token token = h_->sync({.member = client.id,
                                  .generation = client.generation,
                                  .assignments = assignments,
                                  .type = std::nullopt,
                                  .protocol = std::nullopt,
                                  .instance = client.instance,
                                  .version = 4});
    syncs_.emplace(token, Synced{.who = who, .member = client.id, .generation = client.generation});
    client.stage = Stage::syncing;
    if (completes && h_->state() == "Stable") {
      given_.clear();
      for (const auto& [member, text] : assignments) {
        given_[member] = text;
      }
      given_generation_ = client.generation;
    }
  }

  void restart() {
    const Token last = h_->last;  // tokens are the test's random numbers: none comes twice
    h_ = std::make_unique<Harness>(options_, h_->log, h_->now);
    h_->last = last;
  }

  void rare(std::uint32_t more) {
    switch (more % 5) {
      case 0:
        h_->delete_group();
        break;
      case 1:
        h_->delete_offset(topic(more / 5), 0);
        break;
      case 2: {
        const std::vector<std::string> names{topic(more / 5)};
        h_->step(events_in::TopicsDeleted{.names = names});
        break;
      }
      case 3:
        h_->wait(700'000'000);
        break;
      default:  // the coordinator moves: what waited is answered by the shell
        compare_with_replay();
        joins_.clear();
        syncs_.clear();
        for (Client& client : clients_) {
          client.stage = client.stage == Stage::in ? Stage::in : Stage::out;
        }
        restart();
        // What was not yet in the log never happened; a group that is Stable now is of the last record's generation.
        moved_ = true;
    }
  }

  // Reads what was answered since.
  void look() {
    for (auto one = joins_.begin(); one != joins_.end();) {
      if (!h_->answered(one->first)) {
        ++one;
        continue;
      }
      joined(clients_[one->second.who], h_->joined(one->first));
      one = joins_.erase(one);
    }
    for (auto one = syncs_.begin(); one != syncs_.end();) {
      if (!h_->answered(one->first)) {
        ++one;
        continue;
      }
      const auto& answer = h_->synced(one->first);
      const auto& [who, member, generation] = one->second;
      clients_[who].stage = answer.error_code == 0 ? Stage::in : Stage::out;
      if (answer.error_code == 0 && !moved_) {
        RC_ASSERT(generation == given_generation_);
        const std::string text = text_of(answer.assignment);
        RC_ASSERT(text.empty() || text == given_[member]);
        followed_ += !text.empty() && member != leader_ ? 1 : 0;
      }
      one = syncs_.erase(one);
    }
    std::set<std::string> ids;
    for (const auto& member : h_->describe().members) {
      RC_ASSERT(ids.insert(std::string(member.member_id)).second);
    }
    RC_ASSERT(h_->timer_at.has_value());
    if (h_->state() == "Dead") {  // another one may come under its name
      generation_ = 0;
      leader_.clear();
      given_.clear();
      given_generation_ = -1;
    }
  }

  void joined(Client& client, const wire::JoinGroupResponse& answer) {
    client.stage = answer.error_code == 0 ? Stage::joined : Stage::out;
    if (answer.error_code == code(ErrorCode::MEMBER_ID_REQUIRED)) {
      client.id = std::string(answer.member_id);
      return;
    }
    if (answer.error_code != 0) {
      if (answer.error_code == code(ErrorCode::UNKNOWN_MEMBER_ID) ||
          answer.error_code == code(ErrorCode::FENCED_INSTANCE_ID)) {
        client.id.clear();
      }
      return;
    }
    RC_ASSERT(moved_ || answer.generation_id >= generation_);
    if (answer.generation_id != generation_ || moved_) {
      moved_ = false;
      generation_ = answer.generation_id;
      leader_ = std::string(answer.leader);
    } else if (leader_ != answer.leader) {
      // Only a leader's newer self leads the same generation.
      RC_ASSERT(answer.leader == answer.member_id && client.instance.has_value());
      leader_ = std::string(answer.leader);
    }
    // A newer self has what its older one was given.
    if (client.instance && !client.id.empty() && client.id != answer.member_id && given_.contains(client.id)) {
      given_[std::string(answer.member_id)] = given_[client.id];
    }
    if (client.instance && given_generation_ == answer.generation_id) {
      const std::string prefix = *client.instance + "-";
      for (const auto& [member, text] : std::map(given_)) {
        if (member.starts_with(prefix)) {
          given_[std::string(answer.member_id)] = text;
        }
      }
    }
    std::set<std::string> ids;
    for (const auto& member : answer.members) {
      RC_ASSERT(ids.insert(std::string(member.member_id)).second);
    }
    RC_ASSERT(answer.members.empty() || ids.contains(std::string(answer.member_id)));
    RC_ASSERT(answer.members.empty() == (answer.leader != answer.member_id));
    client.id = std::string(answer.member_id);
    client.generation = answer.generation_id;
    client.leader = std::string(answer.leader);
  }

  GroupCoordinator::Options options_;
  std::unique_ptr<Harness> h_;
  std::vector<Client> clients_{{}, {}, {}, {}, {.instance = "i0"}, {.instance = "i1"}, {.instance = "i1"}};
  std::map<Token, Joined> joins_;
  std::map<Token, Synced> syncs_;
  std::int32_t generation_ = 0;
  std::string leader_;
  std::map<std::string, std::string> given_;
  std::int32_t given_generation_ = -1;
  bool moved_ = false;
  int followed_ = 0;
  wire::DescribeGroupsResponse::DescribedGroup described_;
};

RC_GTEST_PROP(GroupProperty, HoldsWhateverClientsDo, ()) {
  const auto draws = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 1U << 30));
  World world(*rc::gen::element<std::size_t>(2, 4, 100));
  for (const std::uint32_t draw : draws) {
    world.apply(draw);
  }
  world.compare_with_replay();
  world.finish();
  world.compare_with_replay();
}

// The property would hold of clients that never get anywhere.
TEST(GroupProperty, LongRunsGetSomewhere) {
  World world(100);
  std::uint64_t state = 1;
  for (int i = 0; i < 8'000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    world.apply(static_cast<std::uint32_t>(state >> 34));
    if (i % 500 == 0) {
      world.compare_with_replay();
    }
  }
  EXPECT_GT(world.followed(), 500);
}

}  // namespace
}  // namespace verdict::group
