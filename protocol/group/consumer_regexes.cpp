#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "protocol/group/regex.h"
#include "protocol/group/state.h"
#include "protocol/metadata_image.h"

// Subscriptions by regular expressions: a group keeps what they mean as records of its own, and looks anew from time to
// time. All of a group's are resolved together, and not more often than every ten seconds.
namespace verdict::group {
namespace {

constexpr std::int64_t kLeastIntervalMs = 10'000;

struct LastRefresh {
  std::int64_t at_ms = std::numeric_limits<std::int64_t>::min() / 2;
  std::int64_t version = 0;
};

LastRefresh last_refresh(const ConsumerGroup& group) {
  if (group.regexes().empty()) {
    return {};
  }
  const ResolvedRegex& any = group.regexes().begin()->second;
  return {.at_ms = any.timestamp_ms, .version = any.version};
}

std::int64_t version_of(const protocol::MetadataImage* image) {
  return image == nullptr ? 0 : image->applied_to().value() - 1;
}

}  // namespace

// A pattern that nobody in the group had is looked at first: it may be none.
GroupCoordinator::State::Or<GroupCoordinator::State::RegexUpdate> GroupCoordinator::State::update_regexes(
    Work& work, const ConsumerMember& from, const ConsumerMember& to, Turn& turn) {
  const ConsumerGroup& group = work.group();
  RegexUpdate out;
  bool wanted = false;
  const std::string_view left = from.metadata.pattern();
  const std::string_view taken = to.metadata.pattern();
  if (from.metadata.regex != to.metadata.regex) {
    if (!left.empty() && group.members_with(left) == 1) {
      work.changes.emplace_back(changes::Regex{.pattern = std::string(left), .value = std::nullopt});
    }
    if (!taken.empty() && group.members_with(taken) > 0) {
      out.bump = group.regex(taken) != nullptr;
    } else if (!taken.empty()) {
      if (const auto compiled = TopicRegex::compile(taken); !compiled) {
        return refuse(
            ErrorCode::INVALID_REGULAR_EXPRESSION,
            fmt::format("SubscribedTopicRegex `{}` is not a valid regular expression: {}.", taken, compiled.error()));
      }
      wanted = true;
    }
  }
  if (!wanted && group.patterns().empty()) {
    return out;
  }
  const LastRefresh last = last_refresh(group);
  const std::int64_t now_ms = to_ms(turn.wall);
  if (now_ms <= last.at_ms + kLeastIntervalMs) {
    return out;
  }
  const Counts changed = left == taken ? Counts{} : group.patterns_with(from, to);
  const Counts& patterns = left == taken ? group.patterns() : changed;
  wanted |= patterns.size() != group.regexes().size() || last.version < new_topics_at ||
            now_ms > last.at_ms + options.consumer_regex_refresh_ms;
  if (wanted) {
    for (const auto& [pattern, members] : patterns) {
      out.refresh.push_back(pattern);
    }
  }
  return out;
}

// Its own batch of records, behind the answer to whose heartbeat it was: the members hear of a new epoch with their
// next heartbeats.
void GroupCoordinator::State::refresh_regexes(const std::string& id, const std::vector<std::string>& patterns,
                                              Turn& turn) {
  const ConsumerGroup* group = find_consumers(id);
  if (patterns.empty() || group == nullptr || options.image == nullptr) {
    return;
  }
  Work work(*group);
  ConsumerGroup::Regexes resolved = group->regexes();
  bool changed = false;
  for (const std::string& pattern : patterns) {
    const auto regex = TopicRegex::compile(pattern);
    ResolvedRegex now{.topics = {}, .version = version_of(options.image), .timestamp_ms = to_ms(turn.wall)};
    for (const auto& [topic, topic_id] : options.image->topics_by_name()) {
      if (regex && regex->matches(topic)) {
        now.topics.insert(topic);
      }
    }
    const ResolvedRegex* before = group->regex(pattern);
    changed |= now.topics != (before == nullptr ? decltype(now.topics){} : before->topics);
    resolved[pattern] = now;
    work.changes.emplace_back(changes::Regex{.pattern = pattern, .value = std::move(now)});
  }
  SubscribedTopics topics;
  for (const auto& [topic, count] : group->subscribed()) {
    if (count.by_name > 0) {
      topics[topic];
    }
  }
  for (const auto& [pattern, regex] : resolved) {
    for (const std::string& topic : regex.topics) {
      topics[topic];
    }
  }
  const std::int64_t hash = hash_of(topics);
  if (changed || hash != group->metadata_hash()) {
    work.changes.emplace_back(changes::Epoch{{{.epoch = group->epoch() + 1, .metadata_hash = hash}}});
    work.looked_at_metadata = true;
    log(turn, fmt::format("group {}: epoch {}, as regular expressions mean other topics", id, group->epoch() + 1));
  }
  if (!commit(work, turn)) {
    log(turn, fmt::format("group {}: the topics of its regular expressions don't fit into one batch", id));
  }
}

void GroupCoordinator::State::note_new_topics() { new_topics_at = version_of(options.image); }

// Groups look at their topics when a member comes next.
void GroupCoordinator::State::topics_changed(const events_in::TopicsChanged& event) {
  if (event.any_created) {
    note_new_topics();
  }
  for (auto& [id, group] : consumers) {
    if (std::ranges::any_of(event.names, [&](const std::string& name) { return group.is_subscribed(name); })) {
      group.request_metadata_refresh();
    }
  }
}

}  // namespace verdict::group
