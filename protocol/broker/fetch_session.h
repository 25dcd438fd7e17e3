#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/types.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/fetch.h"
#include "runtime/runtime.h"

namespace verdict::broker {

// What a fetcher wants of one partition, and what it was last told of it.
struct FetchWish {
  PartitionKey key;
  std::string topic_name;  // versions up to 12 name topics; empty with ids
  Offset fetch_offset{0};
  LeaderEpoch current_leader_epoch = kNoEpoch;
  LeaderEpoch last_fetched_epoch = kNoEpoch;
  Offset log_start = kNoOffset;  // a follower's own
  std::int32_t max_bytes = 0;

  Offset told_high_watermark = kNoOffset;
  Offset told_last_stable = kNoOffset;
  Offset told_log_start = kNoOffset;
};

struct FetchSession {
  std::int32_t id = 0;     // 0: for one request only
  std::int32_t epoch = 0;  // that the next request must name; wraps from MAX to 1
  bool follower = false;
  MonoTime last_used{};
  MonoTime created{};
  std::size_t first = 0;  // where the next answer begins to fill, so that no partition starves
  std::vector<FetchWish> wishes;
};

struct FetchContext {
  std::shared_ptr<FetchSession> session;
  bool incremental = false;  // answer only what is new
};

// KIP-227, the broker's side. A session lives until it is closed, replaced, or evicted: a new one takes the place of
// one that was unused for two minutes, and a follower's the place of a consumer's
// (max.incremental.fetch.session.cache.slots). Without room the answer carries session id 0 and the client goes on with
// whole requests.
class FetchSessions {
 public:
  FetchSessions(Runtime& runtime, std::size_t slots) : runtime_(&runtime), slots_(slots) {}

  // FETCH_SESSION_ID_NOT_FOUND or INVALID_FETCH_SESSION_EPOCH.
  std::expected<FetchContext, wire::ErrorCode> begin(const wire::FetchRequest& request, int version, bool follower);
  std::size_t size() const { return sessions_.size(); }

 private:
  bool make_room(bool follower, MonoTime now);
  std::int32_t new_id();

  Runtime* runtime_;
  std::size_t slots_;
  std::map<std::int32_t, std::shared_ptr<FetchSession>> sessions_;
};

}  // namespace verdict::broker
