#include "protocol/broker/replica_fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/io.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "ReplicaFetcher";
constexpr int kVersion = 17;

bool same(const replication::FetchPosition& a, const replication::FetchPosition& b) {
  return a.current_leader_epoch == b.current_leader_epoch && a.fetch_offset == b.fetch_offset &&
         a.last_fetched_epoch == b.last_fetched_epoch && a.log_start == b.log_start;
}

// Calls visit(topic, first, end) for each run of keys of one topic.
template <class Keys, class Visit>
void for_each_topic(const Keys& keys, Visit visit) {
  for (auto at = keys.begin(); at != keys.end();) {
    auto end = at;
    while (end != keys.end() && end->topic == at->topic) ++end;
    visit(at->topic, at, end);
    at = end;
  }
}

}  // namespace

ReplicaFetcher::ReplicaFetcher(Runtime& runtime, FetcherOptions options, Endpoint leader,
                               std::function<BrokerEpoch()> broker_epoch)
    : runtime_(&runtime),
      options_(std::move(options)),
      broker_epoch_(std::move(broker_epoch)),
      channel_(runtime, std::move(leader),
               {.client_id = options_.client_id, .connect_timeout = options_.connect_timeout}),
      wake_(runtime),
      scope_(runtime) {
  scope_.spawn(run());
}

void ReplicaFetcher::add(PartitionPtr partition) {
  const PartitionKey key = partition->key();
  Followed& followed = followed_[key];
  followed.partition = std::move(partition);
  followed.delayed_until.reset();
  delayed_.erase(key);
  changed_.insert(key);
  wake_.notify();
}

void ReplicaFetcher::remove(const PartitionKey& key) {
  const auto found = followed_.find(key);
  if (found == followed_.end()) return;
  if (found->second.sent) forgotten_.insert(key);
  followed_.erase(found);
  changed_.erase(key);
  delayed_.erase(key);
  wake_.notify();
}

void ReplicaFetcher::delay(const PartitionKey& key) {
  const auto found = followed_.find(key);
  if (found == followed_.end()) return;
  found->second.delayed_until = runtime_->now() + options_.backoff;
  delayed_.insert(key);
  changed_.insert(key);
}

Task<void> ReplicaFetcher::stop() {
  stopping_ = true;
  wake_.notify();
  co_await channel_.close();
  co_await scope_.join();
}

void ReplicaFetcher::reset_session() {
  session_id_ = session_epoch_ = 0;
  forgotten_.clear();
  for (auto& [key, followed] : followed_) {
    followed.sent.reset();
    changed_.insert(key);
  }
}

// The time at which the next delay ends.
MonoTime ReplicaFetcher::release_delayed(MonoTime now) {
  MonoTime next = MonoTime::max();
  for (auto at = delayed_.begin(); at != delayed_.end();) {
    Followed& followed = followed_.at(*at);
    if (*followed.delayed_until <= now) {
      followed.delayed_until.reset();
      changed_.insert(*at);
      at = delayed_.erase(at);
    } else {
      next = std::min(next, *followed.delayed_until);
      ++at;
    }
  }
  return next;
}

Task<void> ReplicaFetcher::run() {
  while (!stopping_) {
    const MonoTime next_release = release_delayed(runtime_->now());
    const bool anything = std::ranges::any_of(followed_, [](const auto& entry) {
      return !entry.second.delayed_until && entry.second.partition->replica().next_fetch().has_value();
    });
    if (!anything) {
      co_await wake_.wait_until(next_release);
      continue;
    }
    if (runtime_->maybe(Site::LateFetch)) {
      co_await wake_.wait_until(runtime_->now() + options_.backoff);
      if (stopping_) break;
    }
    const bool answered = co_await fetch_once();
    if (!answered && !stopping_) {
      reset_session();
      co_await wake_.wait_until(runtime_->now() + options_.backoff);
    }
  }
}

void ReplicaFetcher::list_wanted(wire::Arena& arena, Request& request) {
  std::vector<PartitionKey> wanted;
  for (const PartitionKey& key : std::exchange(changed_, {})) {
    const auto found = followed_.find(key);
    if (found == followed_.end()) continue;
    Followed& followed = found->second;
    const auto position = followed.delayed_until ? std::nullopt : followed.partition->replica().next_fetch();
    if (!position) {
      if (std::exchange(followed.sent, std::nullopt)) forgotten_.insert(key);
    } else if (!followed.sent || !same(*followed.sent, *position)) {
      followed.sent = position;
      forgotten_.erase(key);
      wanted.push_back(key);
    }
  }
  std::vector<Request::FetchTopic> topics;
  for_each_topic(wanted, [&](const Uuid& topic, auto first, auto end) {
    Request::FetchTopic& out = topics.emplace_back();
    out.topic_id = topic;
    out.partitions = arena.make_span<Request::FetchPartition>(static_cast<std::size_t>(end - first));
    for (std::size_t i = 0; first != end; ++first, ++i) {
      const replication::FetchPosition& position = *followed_.at(*first).sent;
      Request::FetchPartition& data = out.partitions[i];
      data.partition = first->index;
      data.current_leader_epoch = position.current_leader_epoch.value();
      data.fetch_offset = position.fetch_offset.value();
      data.last_fetched_epoch = position.last_fetched_epoch.value();
      data.log_start_offset = position.log_start.value();
      data.partition_max_bytes = options_.partition_bytes;
    }
  });
  request.topics = arena.copy_span<Request::FetchTopic>(topics);
}

void ReplicaFetcher::list_forgotten(wire::Arena& arena, Request& request) {
  if (session_id_ == 0) {
    forgotten_.clear();
    return;
  }
  std::vector<Request::ForgottenTopic> topics;
  for_each_topic(std::exchange(forgotten_, {}), [&](const Uuid& topic, auto first, auto end) {
    Request::ForgottenTopic& out = topics.emplace_back();
    out.topic_id = topic;
    out.partitions = arena.make_span<std::int32_t>(static_cast<std::size_t>(std::distance(first, end)));
    for (std::size_t i = 0; first != end; ++first, ++i) out.partitions[i] = first->index;
  });
  request.forgotten_topics_data = arena.copy_span<Request::ForgottenTopic>(topics);
}

ReplicaFetcher::Request ReplicaFetcher::build(wire::Arena& arena) {
  if (session_id_ == 0) reset_session();
  Request request;
  request.replica_state = {.replica_id = options_.self.value(), .replica_epoch = broker_epoch_().value()};
  request.max_wait_ms = static_cast<std::int32_t>(to_ms(options_.wait_max));
  request.min_bytes = options_.min_bytes;
  request.max_bytes = options_.max_bytes;
  request.session_id = session_id_;
  request.session_epoch = session_epoch_;
  list_wanted(arena, request);
  list_forgotten(arena, request);
  return request;
}

Task<bool> ReplicaFetcher::fetch_once() {
  wire::Arena arena;
  const Request request = build(arena);
  // Planted defect kafka-18991: Kafka looked up what the request had asked, whatever had become of the partition since.
  std::map<PartitionKey, replication::FetchPosition> asked;
  if (runtime_->defects().has(Defect::Kafka18991)) [[unlikely]] {
    for (const auto& [key, followed] : followed_) {
      if (followed.sent) asked.emplace(key, *followed.sent);
    }
  }
  auto answer = co_await channel_.call<Response>(kVersion, request, runtime_->now() + options_.socket_timeout);
  if (!answer || stopping_) co_return false;
  const Response& response = answer->value;
  const auto error = static_cast<ErrorCode>(response.error_code);
  if (error != ErrorCode::NONE) {
    runtime_->log(LogLevel::info, kLogger,
                  fmt::format("fetch from {}:{} refused: {}", leader().host, leader().port, wire::to_string(error)));
    const bool session_lost =
        error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND || error == ErrorCode::INVALID_FETCH_SESSION_EPOCH;
    reset_session();
    co_return session_lost;
  }
  if (session_id_ == 0) session_id_ = response.session_id;
  if (session_id_ != 0)
    session_epoch_ = session_epoch_ == std::numeric_limits<std::int32_t>::max() ? 1 : session_epoch_ + 1;
  for (const auto& [key, position] : asked) {
    const auto found = followed_.find(key);
    if (found != followed_.end() && !found->second.sent) found->second.sent = position;
  }
  process(response);
  co_return true;
}

void ReplicaFetcher::process(const Response& response) {
  for (const Response::FetchableTopicResponse& topic : response.responses) {
    for (const Response::PartitionData& data : topic.partitions) {
      const PartitionKey key{.topic = topic.topic_id, .index = data.partition_index};
      const auto found = followed_.find(key);
      if (found == followed_.end() || !found->second.sent) continue;
      const replication::FetchPosition sent = *found->second.sent;
      const PartitionPtr partition = found->second.partition;
      changed_.insert(key);
      replication::FetchAnswered answer;
      answer.leader_epoch = sent.current_leader_epoch;
      answer.fetch_offset = sent.fetch_offset;
      answer.error = static_cast<ErrorCode>(data.error_code);
      if (data.diverging_epoch.epoch >= 0) {
        answer.diverging = {.epoch = LeaderEpoch(data.diverging_epoch.epoch),
                            .end = Offset(data.diverging_epoch.end_offset)};
      }
      answer.high_watermark = Offset(data.high_watermark);
      answer.log_start = Offset(data.log_start_offset);
      partition->fetch_answered(answer, data.records.bytes());
    }
  }
}

}  // namespace verdict::broker
