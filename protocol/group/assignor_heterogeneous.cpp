#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "protocol/group/assignors.h"

// Uniform, of members that subscribe to different topics: what each may keep, then the rest to who has the least, then
// topic by topic from who has the most to who has the least.
namespace verdict::group {
namespace {

constexpr std::size_t kNobody = static_cast<std::size_t>(-1);
constexpr int kMaxRounds = 16;

// The subscribers of one topic by how much they have, and two ranges of them of which each has equally much: those with
// the least, which grows to the right as its members are given one more each, and those with the most, which grows to
// the left as its members give one away.
class Balance {
 public:
  explicit Balance(const std::vector<std::size_t>& sizes) : sizes_(sizes) {}

  std::size_t begin(const std::vector<std::size_t>& members) {  // the difference between the most and the least
    sorted_ = members;
    std::ranges::sort(sorted_, {}, [this](std::size_t m) { return std::pair(sizes_[m], m); });
    const std::size_t least = sizes_[sorted_.front()];
    const std::size_t most = sizes_[sorted_.back()];
    low_end_ = 0;
    low_level_ = static_cast<std::int64_t>(least) - 1;
    next_low_ = 0;
    high_begin_ = high_end_ = static_cast<std::int64_t>(sorted_.size());
    high_level_ = static_cast<std::int64_t>(most) + 1;
    next_high_ = high_end_ - 1;
    return most - least;
  }

  std::size_t next_lowest() {
    if (next_low_ >= low_end_) {
      ++low_level_;
      while (low_end_ < sorted_.size() && size_at(low_end_) == low_level_) {
        ++low_end_;
      }
      next_low_ = 0;
    }
    return sorted_[next_low_++];
  }

  std::size_t next_highest() {  // kNobody: no more of them have anything to give
    if (next_high_ < high_begin_) {
      if (high_end_ <= high_begin_ && high_begin_ > 0) {  // all of the range were excluded
        high_level_ = size_at(static_cast<std::size_t>(high_begin_ - 1));
      } else {
        --high_level_;
      }
      while (high_begin_ > 0 && size_at(static_cast<std::size_t>(high_begin_ - 1)) == high_level_) {
        --high_begin_;
      }
      next_high_ = high_end_ - 1;
    }
    return next_high_ < 0 ? kNobody : sorted_[static_cast<std::size_t>(next_high_--)];
  }

  void exclude_highest() {  // the one that was just named
    std::swap(sorted_[static_cast<std::size_t>(next_high_ + 1)], sorted_[static_cast<std::size_t>(high_end_ - 1)]);
    --high_end_;
  }

  bool balanced() const { return high_level_ - low_level_ <= 1; }

 private:
  std::int64_t size_at(std::size_t i) const { return static_cast<std::int64_t>(sizes_[sorted_[i]]); }

  const std::vector<std::size_t>& sizes_;  // partitions of each member, as they change
  std::vector<std::size_t> sorted_;
  std::size_t low_end_ = 0;
  std::int64_t low_level_ = 0;
  std::size_t next_low_ = 0;
  std::int64_t high_begin_ = 0;
  std::int64_t high_end_ = 0;
  std::int64_t high_level_ = 0;
  std::int64_t next_high_ = 0;
};

// Kafka compares topic ids as two signed numbers.
std::pair<std::int64_t, std::int64_t> signed_order(const Uuid& id) {
  return {static_cast<std::int64_t>(id.high), static_cast<std::int64_t>(id.low)};
}

class Heterogeneous {
 public:
  explicit Heterogeneous(const AssignorInput& input) : input_(input), sizes_(input.members.size(), 0) {
    for (std::size_t m = 0; m < input.members.size(); ++m) {
      for (const Uuid& id : *input.members[m].topics) {
        Topic& topic = topics_[id];
        topic.subscribers.push_back(m);
        topic.owners.resize(static_cast<std::size_t>(input.partitions.at(id)), kNobody);
      }
    }
  }

  Assignments run() {
    if (topics_.empty()) {
      return {};
    }
    keep();
    give_rest();
    balance();
    Assignments out;
    for (const AssignorMember& member : input_.members) {
      out[member.id];
    }
    for (const auto& [id, topic] : topics_) {
      for (std::size_t p = 0; p < topic.owners.size(); ++p) {
        if (topic.owners[p] != kNobody) {
          out[input_.members[topic.owners[p]].id][id].insert(static_cast<std::int32_t>(p));
        }
      }
    }
    return out;
  }

 private:
  struct Topic {
    std::vector<std::size_t> subscribers;  // members
    std::vector<std::size_t> owners;       // of each partition
  };
  using Entry = std::map<Uuid, Topic>::value_type;

  void keep() {
    for (std::size_t m = 0; m < input_.members.size(); ++m) {
      const AssignorMember& member = input_.members[m];
      if (member.current == nullptr) {
        continue;
      }
      for (const auto& [id, indexes] : *member.current) {
        if (!std::ranges::binary_search(*member.topics, id)) {
          continue;
        }
        Topic& topic = topics_.at(id);
        for (const std::int32_t index : indexes) {
          if (index >= 0 && static_cast<std::size_t>(index) < topic.owners.size()) {
            own(topic, static_cast<std::size_t>(index), m);
          }
        }
      }
    }
  }

  void own(Topic& topic, std::size_t partition, std::size_t member) {
    if (topic.owners[partition] != kNobody) {
      --sizes_[topic.owners[partition]];
    }
    topic.owners[partition] = member;
    ++sizes_[member];
  }

  // Those with the most partitions for each subscriber first.
  std::vector<Entry*> sorted(std::size_t least_subscribers) {
    std::vector<Entry*> out;
    for (Entry& entry : topics_) {
      if (entry.second.subscribers.size() >= least_subscribers) {
        out.push_back(&entry);
      }
    }
    std::ranges::sort(out, [](const Entry* a, const Entry* b) {
      const std::size_t per_a = a->second.owners.size() * b->second.subscribers.size();
      const std::size_t per_b = b->second.owners.size() * a->second.subscribers.size();
      if (per_a != per_b) {
        return per_a > per_b;
      }
      if (a->second.subscribers.size() != b->second.subscribers.size()) {
        return a->second.subscribers.size() < b->second.subscribers.size();
      }
      return signed_order(a->first) < signed_order(b->first);
    });
    return out;
  }

  void give_rest() {
    Balance balance(sizes_);
    for (Entry* entry : sorted(1)) {
      Topic& topic = entry->second;
      if (std::ranges::find(topic.owners, kNobody) == topic.owners.end()) {
        continue;
      }
      balance.begin(topic.subscribers);
      for (std::size_t p = 0; p < topic.owners.size(); ++p) {
        if (topic.owners[p] == kNobody) {
          own(topic, p, balance.next_lowest());
        }
      }
    }
  }

  void balance() {
    const std::vector<Entry*> topics = sorted(2);
    std::optional<std::size_t> last_changed;  // once around it without a change: done
    for (int round = 0; round < kMaxRounds; ++round) {
      for (std::size_t t = 0; t < topics.size(); ++t) {
        if (last_changed == t) {
          return;
        }
        if (balance_topic(topics[t]->second) || !last_changed) {
          last_changed = t;
        }
      }
    }
  }

  bool balance_topic(Topic& topic) {
    Balance balance(sizes_);
    if (balance.begin(topic.subscribers) <= 1) {
      return false;
    }
    std::map<std::size_t, std::vector<std::size_t>> of_member;  // its partitions; the last is given away first
    for (std::size_t p = 0; p < topic.owners.size(); ++p) {
      of_member[topic.owners[p]].push_back(p);
    }
    bool changed = false;
    while (!balance.balanced()) {
      std::size_t giver = balance.next_highest();
      while (giver != kNobody && of_member[giver].empty()) {
        balance.exclude_highest();
        giver = balance.next_highest();
      }
      if (giver == kNobody) {
        break;
      }
      const std::size_t partition = of_member[giver].back();
      of_member[giver].pop_back();
      const std::size_t taker = balance.next_lowest();
      if (balance.balanced()) {
        break;
      }
      own(topic, partition, taker);
      changed = true;
    }
    return changed;
  }

  const AssignorInput& input_;
  std::vector<std::size_t> sizes_;
  std::map<Uuid, Topic> topics_;
};

}  // namespace

Assignments assign_uniform_heterogeneous(const AssignorInput& input) { return Heterogeneous(input).run(); }

}  // namespace verdict::group
