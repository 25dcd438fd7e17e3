#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "runtime/time.h"

namespace verdict::group {

enum class TimerKind : std::uint8_t {
  retention,  // offsets to expire, of all groups
  join,       // who has not joined by then is not waited for
  sync,       // who has not synced by then is removed
  session,    // a member, or a member id that was given away
  // Of members of consumer groups:
  consumer_session,  // it was silent for too long
  revocation,        // it did not give up in time what it was to
  classic_join,      // it speaks the classic protocol, and did not join again in time
  classic_sync       // the same, SyncGroup
};

struct TimerKey {
  TimerKind kind = TimerKind::retention;
  std::string group;
  std::string member;
  friend auto operator<=>(const TimerKey&, const TimerKey&) = default;
};

// Deadlines by what they are of; at equal times in the order of the keys.
class Timers {
 public:
  void set(const TimerKey& key, MonoTime when) {
    const auto [at, added] = at_.try_emplace(key, when);
    if (added) {
      order_.emplace(when, key);
      return;
    }
    auto node = order_.extract({std::exchange(at->second, when), key});
    node.value().first = when;
    order_.insert(std::move(node));
  }
  bool has(const TimerKey& key) const { return at_.contains(key); }
  void cancel(const TimerKey& key) {
    if (const auto found = at_.find(key); found != at_.end()) {
      order_.erase({found->second, key});
      at_.erase(found);
    }
  }
  std::optional<MonoTime> first() const { return order_.empty() ? std::nullopt : std::optional(order_.begin()->first); }
  std::optional<TimerKey> take_due(MonoTime now) {
    if (order_.empty() || order_.begin()->first > now) {
      return std::nullopt;
    }
    TimerKey key = order_.begin()->second;
    cancel(key);
    return key;
  }

 private:
  std::map<TimerKey, MonoTime> at_;
  std::set<std::pair<MonoTime, TimerKey>> order_;
};

}  // namespace verdict::group
