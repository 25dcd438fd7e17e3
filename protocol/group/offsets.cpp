#include "protocol/group/offsets.h"

#include <utility>

namespace verdict::group {

const CommittedOffset* OffsetStore::find(const ByGroup& in, std::string_view group, std::string_view topic,
                                         std::int32_t partition) {
  const auto topics = in.find(group);
  if (topics == in.end()) {
    return nullptr;
  }
  const auto partitions = topics->second.find(topic);
  if (partitions == topics->second.end()) {
    return nullptr;
  }
  const auto found = partitions->second.find(partition);
  return found == partitions->second.end() ? nullptr : &found->second;
}

CommittedOffset& OffsetStore::slot(ByGroup& in, std::string_view group, std::string_view topic,
                                   std::int32_t partition) {
  auto topics = in.find(group);
  if (topics == in.end()) {
    topics = in.emplace(group, GroupOffsets{}).first;
  }
  auto partitions = topics->second.find(topic);
  if (partitions == topics->second.end()) {
    partitions = topics->second.emplace(topic, PartitionOffsets{}).first;
  }
  return partitions->second[partition];
}

void OffsetStore::erase(ByGroup& in, std::string_view group, std::string_view topic, std::int32_t partition) {
  const auto topics = in.find(group);
  if (topics == in.end()) {
    return;
  }
  const auto partitions = topics->second.find(topic);
  if (partitions == topics->second.end()) {
    return;
  }
  partitions->second.erase(partition);
  if (partitions->second.empty()) {
    topics->second.erase(partitions);
  }
  if (topics->second.empty()) {
    in.erase(topics);
  }
}

void OffsetStore::put(std::string_view group, std::string_view topic, std::int32_t partition, CommittedOffset offset) {
  slot(committed_, group, topic, partition) = std::move(offset);
}

void OffsetStore::put_pending(std::int64_t producer, std::string_view group, std::string_view topic,
                              std::int32_t partition, CommittedOffset offset) {
  slot(pending_[producer], group, topic, partition) = std::move(offset);
  auto open = open_.find(group);
  if (open == open_.end()) {
    open = open_.emplace(group, std::set<std::int64_t>{}).first;
  }
  open->second.insert(producer);
}

void OffsetStore::remove(std::string_view group, std::string_view topic, std::int32_t partition) {
  erase(committed_, group, topic, partition);
  if (const auto open = open_.find(group); open != open_.end()) {
    for (const std::int64_t producer : open->second) {
      erase(pending_.find(producer)->second, group, topic, partition);
    }
  }
}

std::vector<std::string> OffsetStore::end(std::int64_t producer, bool committed) {
  auto ended = pending_.extract(producer);
  if (ended.empty()) {
    return {};
  }
  for (auto open = open_.begin(); open != open_.end();) {
    open->second.erase(producer);
    open = open->second.empty() ? open_.erase(open) : std::next(open);
  }
  if (!committed) {
    return {};
  }
  std::vector<std::string> touched;
  for (auto& [group, topics] : ended.mapped()) {
    touched.push_back(group);
    for (auto& [topic, partitions] : topics) {
      for (auto& [partition, offset] : partitions) {
        const CommittedOffset* now = find(group, topic, partition);
        if (now == nullptr || now->record < offset.record) {
          put(group, topic, partition, std::move(offset));
        }
      }
    }
  }
  return touched;
}

const GroupOffsets* OffsetStore::of(std::string_view group) const {
  const auto found = committed_.find(group);
  return found == committed_.end() ? nullptr : &found->second;
}

const CommittedOffset* OffsetStore::find(std::string_view group, std::string_view topic, std::int32_t partition) const {
  return find(committed_, group, topic, partition);
}

bool OffsetStore::has_pending(std::string_view group, std::string_view topic, std::int32_t partition) const {
  const auto open = open_.find(group);
  if (open == open_.end()) {
    return false;
  }
  for (const std::int64_t producer : open->second) {
    if (find(pending_.find(producer)->second, group, topic, partition) != nullptr) {
      return true;
    }
  }
  return false;
}

std::set<OffsetStore::Place> OffsetStore::places(std::string_view group, std::optional<std::string_view> topic) const {
  std::set<Place> out;
  const auto collect = [&](const ByGroup& in) {
    const auto topics = in.find(group);
    if (topics == in.end()) {
      return;
    }
    for (const auto& [name, partitions] : topics->second) {
      if (topic && name != *topic) {
        continue;
      }
      for (const auto& [partition, offset] : partitions) {
        out.insert({name, partition});
      }
    }
  };
  collect(committed_);
  if (const auto open = open_.find(group); open != open_.end()) {
    for (const std::int64_t producer : open->second) {
      collect(pending_.find(producer)->second);
    }
  }
  return out;
}

std::set<std::string> OffsetStore::groups() const {
  std::set<std::string> out;
  for (const auto& [group, topics] : committed_) {
    out.insert(group);
  }
  for (const auto& [group, producers] : open_) {
    out.insert(group);
  }
  return out;
}

}  // namespace verdict::group
