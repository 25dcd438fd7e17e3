#include "protocol/broker/fetch_session.h"

#include <algorithm>
#include <limits>

namespace verdict::broker {
namespace {

constexpr std::int32_t kFinalEpoch = -1;   // a whole request, no session after it
constexpr std::int32_t kInitialEpoch = 0;  // a whole request that asks for a session
constexpr Duration kEvictAfter = 120s;

bool same_partition(const FetchWish& wish, const Uuid& id, std::string_view name, std::int32_t index) {
  return wish.key.index == index && wish.key.topic == id && wish.topic_name == name;
}

FetchWish wish_of(const wire::FetchRequest::FetchTopic& topic, const wire::FetchRequest::FetchPartition& partition) {
  FetchWish wish;
  wish.key = {.topic = topic.topic_id, .index = partition.partition};
  wish.topic_name = std::string(topic.topic);
  wish.fetch_offset = Offset(partition.fetch_offset);
  wish.current_leader_epoch = LeaderEpoch(partition.current_leader_epoch);
  wish.last_fetched_epoch = LeaderEpoch(partition.last_fetched_epoch);
  wish.log_start = Offset(partition.log_start_offset);
  wish.max_bytes = partition.partition_max_bytes;
  return wish;
}

void add_all(FetchSession& session, const wire::FetchRequest& request) {
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) session.wishes.push_back(wish_of(topic, partition));
  }
}

void update(FetchSession& session, const wire::FetchRequest& request) {
  for (const auto& topic : request.forgotten_topics_data) {
    for (const std::int32_t index : topic.partitions) {
      std::erase_if(session.wishes,
                    [&](const FetchWish& wish) { return same_partition(wish, topic.topic_id, topic.topic, index); });
    }
  }
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      const auto known = std::ranges::find_if(session.wishes, [&](const FetchWish& wish) {
        return same_partition(wish, topic.topic_id, topic.topic, partition.partition);
      });
      FetchWish wish = wish_of(topic, partition);
      if (known == session.wishes.end()) {
        session.wishes.push_back(std::move(wish));
      } else {
        // Who asks again from no further on, or in another epoch, may have taken nothing from the last answer but a
        // truncation, or have dropped it as stale: it must hear the high watermark again.
        const bool went_on =
            wish.current_leader_epoch == known->current_leader_epoch && wish.fetch_offset > known->fetch_offset;
        if (went_on) {
          wish.told_high_watermark = known->told_high_watermark;
          wish.told_last_stable = known->told_last_stable;
          wish.told_log_start = known->told_log_start;
        }
        *known = std::move(wish);
      }
    }
  }
}

std::int32_t next_epoch(std::int32_t epoch) {
  return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

}  // namespace

std::int32_t FetchSessions::new_id() {
  for (;;) {
    const auto id = static_cast<std::int32_t>(runtime_->random(Purpose::FetchSession, 0) & 0x7fffffff);
    if (id != 0 && !sessions_.contains(id)) return id;
  }
}

bool FetchSessions::make_room(bool follower, MonoTime now) {
  if (runtime_->maybe(Site::FetchSessionRefused)) return false;
  if (sessions_.size() < slots_) return true;
  const auto oldest =
      std::ranges::min_element(sessions_, {}, [](const auto& entry) { return entry.second->last_used; });
  if (oldest != sessions_.end() && now - oldest->second->last_used > kEvictAfter) {
    sessions_.erase(oldest);
    return true;
  }
  if (!follower) return false;
  const auto consumer = std::ranges::find_if(sessions_, [](const auto& entry) { return !entry.second->follower; });
  if (consumer == sessions_.end()) return false;
  sessions_.erase(consumer);
  return true;
}

std::expected<FetchContext, wire::ErrorCode> FetchSessions::begin(const wire::FetchRequest& request, int version,
                                                                  bool follower) {
  const MonoTime now = runtime_->now();
  const bool whole = version < 7 || request.session_epoch == kFinalEpoch || request.session_epoch == kInitialEpoch;
  if (whole) {
    if (request.session_id != 0) sessions_.erase(request.session_id);
    auto session = std::make_shared<FetchSession>();
    session->follower = follower;
    session->created = session->last_used = now;
    add_all(*session, request);
    if (version >= 7 && request.session_epoch == kInitialEpoch && !session->wishes.empty() &&
        make_room(follower, now)) {
      session->id = new_id();
      session->epoch = 1;
      sessions_.emplace(session->id, session);
    }
    return FetchContext{.session = std::move(session), .incremental = false};
  }
  if (runtime_->maybe(Site::FetchSessionEvicted)) sessions_.erase(request.session_id);
  const auto found = sessions_.find(request.session_id);
  if (found == sessions_.end()) return std::unexpected(wire::ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
  const std::shared_ptr<FetchSession> session = found->second;
  if (session->epoch != request.session_epoch) return std::unexpected(wire::ErrorCode::INVALID_FETCH_SESSION_EPOCH);
  update(*session, request);
  session->last_used = now;
  session->epoch = next_epoch(session->epoch);
  return FetchContext{.session = session, .incremental = true};
}

}  // namespace verdict::broker
