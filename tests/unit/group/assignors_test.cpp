#include "protocol/group/assignors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

// What Kafka 4.1's own assignors made of drawn groups (tests/interop/Assignors.java).
namespace verdict::group {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string one; std::getline(in, one, at);) {
    out.push_back(one);
  }
  return out;
}

std::vector<std::string> list(const std::string& text) { return split(text.substr(1, text.size() - 2), ','); }

ConsumerGroup::Targets targets_of(const std::string& text, const std::vector<Uuid>& topics) {
  ConsumerGroup::Targets out;
  for (const std::string& one : list(text)) {
    const auto equals = one.find('=');
    Assignment& its = out[one.substr(0, equals)];
    for (const std::string& topic : split(one.substr(equals + 1), ';')) {
      const auto numbers = split(topic, '/');
      for (std::size_t i = 1; i < numbers.size(); ++i) {
        its[topics[std::stoul(numbers[0])]].insert(std::stoi(numbers[i]));
      }
    }
  }
  return out;
}

struct Case {
  explicit Case(const std::string& line) {
    const auto fields = split(line, ' ');
    assignor = fields.at(0);
    std::vector<Uuid> topics;
    for (const std::string& one : list(fields.at(2))) {
      topics.push_back(*Uuid::parse(one.substr(0, 22)));
      partitions[topics.back()] = std::stoi(one.substr(23));
    }
    before = targets_of(fields.at(4), topics);
    after = targets_of(fields.at(5), topics);
    input.homogeneous = fields.at(1) == "same";
    input.targets = &before;
    for (const std::string& one : list(fields.at(3))) {
      const auto parts = split(one, ':');
      std::vector<Uuid>& its = subscriptions.emplace_back();
      for (const std::string& place : parts.size() > 2 ? split(parts[2], '/') : std::vector<std::string>{}) {
        its.push_back(topics[std::stoul(place)]);
        input.partitions[its.back()] = partitions[its.back()];
      }
      input.topic_order = its;
      std::ranges::sort(its);
      const auto current = before.find(parts[0]);
      input.members.push_back({.id = ids.emplace_back(parts[0]),
                               .instance_id = parts[1] == "-" ? nullptr : &ids.emplace_back(parts[1]),
                               .topics = &its,
                               .subscribed_names = its.size(),
                               .current = current == before.end() ? nullptr : &current->second});
    }
  }
  Case(const Case&) = delete;

  std::string assignor;
  std::map<Uuid, std::int32_t> partitions;
  ConsumerGroup::Targets before;
  ConsumerGroup::Targets after;
  std::deque<std::string> ids;
  std::deque<std::vector<Uuid>> subscriptions;
  AssignorInput input;
};

TEST(Assignors, GiveWhatKafkasGive) {
  std::ifstream file(std::string(VERDICT_SOURCE_DIR) + "/tests/data/interop/assignors.txt");
  std::size_t cases = 0;
  for (std::string line; std::getline(file, line);) {
    const Case one(line);
    ConsumerGroup::Targets made;
    for (const AssignorMember& member : one.input.members) {
      made[std::string(member.id)];
    }
    for (const auto& [member, assignment] : assign(one.assignor, one.input)) {
      made[std::string(member)] = assignment;
    }
    EXPECT_EQ(made, one.after) << "case " << cases << ": " << line;
    ++cases;
  }
  EXPECT_EQ(cases, 256U);
}

TEST(Assignors, OfNobodyGiveNothing) {
  const ConsumerGroup::Targets none;
  const AssignorInput input{.members = {}, .homogeneous = true, .partitions = {}, .targets = &none};
  EXPECT_TRUE(assign_range(input).empty());
  EXPECT_TRUE(assign_uniform(input).empty());
}

}  // namespace
}  // namespace verdict::group
