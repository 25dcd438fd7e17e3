#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/group/consumer_harness.h"

// Members of the consumer protocol come, go, fall silent and hold on to what they should give up, topics come and grow,
// and the coordinator moves. What must hold all the same: no partition is owned by two who were told so and still live,
// a coordinator that loads the log knows the same, and once all behave, each partition has one owner and nobody has
// two more than another.
namespace verdict::group {
namespace {

class World {
 public:
  World() {
    topics_.create("t", 3);
    h_ = std::make_unique<ConsumerHarness>(topics_);
    for (std::size_t i = 0; i < 5; ++i) {
      clients_.push_back({.id = "m" + std::to_string(i), .topics = {"t", "u"}});
    }
  }

  void apply(std::uint32_t draw) {
    Client& client = clients_[draw / 16 % clients_.size()];
    const std::uint32_t more = draw / 256;
    switch (draw % 16) {
      case 0:
      case 1:
        h_->wait(more % 8 == 0 ? more % 70'000 : more % 3'000);
        break;
      case 2:
        leave(client);
        break;
      case 3:
        client.holds_on = !client.holds_on;
        break;
      case 4:
        change_topics(more);
        break;
      case 5:
        if (more % 4 == 0) {
          move();
        }
        break;
      case 6:
        beat(client, /*answer_lost=*/true);
        break;
      default:
        beat(client);
    }
    nobody_shares();
  }

  void finish() {
    for (Client& client : clients_) {
      client.holds_on = false;
    }
    for (int round = 0; round < 30; ++round) {
      for (Client& client : clients_) {
        beat(client);
        nobody_shares();
      }
      h_->wait(5'000);
    }
    std::set<std::pair<std::string, std::int32_t>> owned;
    std::size_t least = 1'000;
    std::size_t most = 0;
    for (const Client& client : clients_) {
      std::size_t size = 0;
      for (const auto& [topic, partitions] : client.owned) {
        size += partitions.size();
        for (const std::int32_t one : partitions) {
          RC_ASSERT(owned.emplace(topic, one).second);
        }
      }
      least = std::min(least, size);
      most = std::max(most, size);
    }
    std::size_t total = 0;
    for (const auto& [id, topic] : topics_.image.topics()) {
      total += topic.partitions.size();
    }
    RC_ASSERT(owned.size() == total);
    RC_ASSERT(most - least <= 1U);
    RC_ASSERT(std::string(h_->consumers().group_state) == "Stable");
    const std::string seen = h_->seen();
    move();
    RC_ASSERT(h_->seen() == seen);
  }

 private:
  struct Client {
    std::string id;
    std::vector<std::string> topics;
    std::int32_t epoch = 0;
    Named owned = {};
    Named held = {};  // was told to give up, and has not
    bool holds_on = false;
    bool in_doubt = false;  // an answer was lost: it says all of itself again
    MonoTime last{};
  };

  // Who is alone for the length of a session has to give up everything by itself.
  bool lives(const Client& client) const { return client.epoch > 0 && h_->now - client.last < from_ms(45'000); }

  void beat(Client& client, bool answer_lost = false) {
    if (!lives(client)) {
      begin_anew(client);
    }
    Named says = client.owned;
    for (const auto& [topic, partitions] : client.held) {
      says[topic].insert(partitions.begin(), partitions.end());
    }
    const bool joins = client.epoch == 0;
    const bool says_all = joins || client.in_doubt;
    const Beaten said = h_->beat({.member = client.id,
                                  .epoch = client.epoch,
                                  .topics = says_all ? std::optional(client.topics) : std::nullopt,
                                  .owned = joins ? Named{} : says,
                                  .rebalance_ms = says_all ? 30'000 : -1});
    client.last = h_->now;
    client.in_doubt = answer_lost;
    if (said.error != ErrorCode::NONE) {
      begin_anew(client);
      return;
    }
    if (answer_lost) {
      return;
    }
    client.epoch = said.epoch;
    if (!said.assignment) {
      return;
    }
    client.held.clear();
    for (const auto& [topic, partitions] : client.owned) {
      for (const std::int32_t one : partitions) {
        const auto kept = said.assignment->find(topic);
        if (client.holds_on && (kept == said.assignment->end() || !kept->second.contains(one))) {
          client.held[topic].insert(one);
        }
      }
    }
    client.owned = *said.assignment;
  }

  void begin_anew(Client& client) {
    client.epoch = 0;
    client.owned.clear();
    client.held.clear();
    client.in_doubt = false;
    client.id += "'";  // a restarted process draws a new id
  }

  void leave(Client& client) {
    if (client.epoch > 0) {
      h_->go(client.id);
    }
    begin_anew(client);
  }

  void change_topics(std::uint32_t more) {
    if (topics_.image.topic("u") == nullptr) {
      topics_.create("u", 1 + static_cast<std::int32_t>(more % 4));
      return h_->topics_changed({"u"}, true);
    }
    if (more % 3 == 0) {
      const auto partitions = static_cast<std::int32_t>(topics_.image.topic("t")->partitions.size());
      if (partitions < 8) {
        topics_.add("t", partitions);
      }
      h_->topics_changed({"t"});
    }
  }

  void move() { h_ = std::make_unique<ConsumerHarness>(topics_, GroupCoordinator::Options{}, h_->log, h_->now); }

  void nobody_shares() const {
    std::map<std::pair<std::string, std::int32_t>, std::string> owners;
    for (const Client& client : clients_) {
      if (!lives(client) || !is_member(client.id)) {
        continue;  // the latter was removed, and will hear of it with its next heartbeat
      }
      for (const Named* of : {&client.owned, &client.held}) {
        for (const auto& [topic, partitions] : *of) {
          for (const std::int32_t one : partitions) {
            const auto [at, added] = owners.try_emplace({topic, one}, client.id);
            RC_ASSERT(added || at->second == client.id);
          }
        }
      }
    }
  }

  bool is_member(const std::string& id) const {
    const auto& members = h_->consumers().members;
    return std::ranges::find(members, id, &wire::ConsumerGroupDescribeResponse::Member::member_id) != members.end();
  }

  Topics topics_;
  std::unique_ptr<ConsumerHarness> h_;
  std::vector<Client> clients_;
};

RC_GTEST_PROP(ConsumerGroups, SettleWhateverHappened, (const std::vector<std::uint32_t>& draws)) {
  World world;
  for (const std::uint32_t draw : draws) {
    world.apply(draw);
  }
  world.finish();
}

}  // namespace
}  // namespace verdict::group
