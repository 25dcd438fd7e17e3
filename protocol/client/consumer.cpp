#include "protocol/client/consumer.h"

#include <algorithm>

#include "protocol/client/consumer_parts.h"

namespace verdict::client {

Consumer::Consumer(Runtime& runtime, const ClientOptions& client, ConsumerOptions options)
    : runtime_(&runtime),
      client_(client),
      options_(options),
      connections_(runtime, client_),
      metadata_(runtime, connections_, client_),
      ready_(runtime),
      scope_(runtime) {}

Consumer::~Consumer() = default;

void Consumer::wake() {
  woken_ = true;
  ready_.notify();
}

// What was found of the position before is nobody's news any more.
void Consumer::forget_events(const State& state) {
  std::erase_if(events_, [&](const PolledPartition& event) { return event.partition == state.name; });
}

void Consumer::put(State& state, StartAt start) {
  forget_events(state);
  ++state.seeks;
  state.start = start;
  state.phase = start.kind == StartAt::Kind::offset ? State::Phase::fetch : State::Phase::locate;
  state.position = start.kind == StartAt::Kind::offset ? start.offset : kNoOffset;
  state.read_epoch = start.kind == StartAt::Kind::offset ? start.epoch : kNoEpoch;
  state.checked_epoch = kNoEpoch;
  state.failures = 0;
  state.not_before = MonoTime::min();
  wake();
}

void Consumer::assign(const TopicPartition& partition, StartAt start) {
  StatePtr& state = states_[partition];
  if (state == nullptr) {
    state = std::make_shared<State>();
    state->name = partition;
    metadata_.want(partition.topic);
  }
  put(*state, start);
}

void Consumer::unassign(const TopicPartition& partition) {
  const auto known = states_.find(partition);
  if (known == states_.end()) return;
  forget_events(*known->second);
  ++known->second->seeks;
  known->second->gone = true;
  states_.erase(known);
}

bool Consumer::seek(const TopicPartition& partition, StartAt start) {
  const auto known = states_.find(partition);
  if (known == states_.end()) return false;
  put(*known->second, start);
  return true;
}

Offset Consumer::position(const TopicPartition& partition) const {
  const auto known = states_.find(partition);
  return known == states_.end() ? kNoOffset : known->second->position;
}

MonoTime Consumer::next_retry() const {
  MonoTime next = MonoTime::max();
  const MonoTime now = runtime_->now();
  for (const auto& [name, state] : states_) {
    if (state->not_before > now) next = std::min(next, state->not_before);
  }
  return next;
}

Task<Polled> Consumer::poll(MonoTime deadline) {
  for (;;) {
    Polled out;
    woken_ = false;
    out.partitions = std::exchange(events_, {});
    if (!answers_.empty()) {
      const std::unique_ptr<Answer> answer = std::move(answers_.front());
      answers_.erase(answers_.begin());
      nodes_[answer->node]->busy = false;
      take(*answer, out);
    }
    const MonoTime now = runtime_->now();
    start_work(now);
    if (!out.partitions.empty() || closed_ || std::exchange(interrupted_, false)) co_return out;
    if (!answers_.empty() || !events_.empty()) continue;
    if (now >= deadline) co_return out;
    if (!woken_) co_await ready_.wait_until(std::min(deadline, next_retry()));
  }
}

void Consumer::interrupt() {
  interrupted_ = true;
  wake();
}

Task<void> Consumer::close() {
  closed_ = true;
  wake();
  metadata_.close();
  co_await connections_.close();
  co_await scope_.join();
}

void Consumer::refresh_metadata() {
  if (refreshing_ || !metadata_.stale()) return;
  refreshing_ = true;
  scope_.spawn(metadata_task());
}

Task<void> Consumer::metadata_task() {
  co_await metadata_.refresh(runtime_->now() + client_.request_timeout);
  refreshing_ = false;
  wake();
}

// A new leader may have cut what was read: its epochs are asked before anything is read from it.
bool Consumer::needs_check(State& state, LeaderEpoch leader) const {
  if (state.phase != State::Phase::fetch || leader == state.checked_epoch) return false;
  if (leader == kNoEpoch || state.read_epoch == kNoEpoch || leader <= state.checked_epoch) {
    state.checked_epoch = std::max(state.checked_epoch, leader);
    return false;
  }
  return true;
}

void Consumer::start_work(MonoTime now) {
  if (closed_) return;
  std::map<NodeId, Group> locates;
  std::map<NodeId, Group> checks;
  std::map<NodeId, Group> fetches;
  for (const auto& [name, state] : states_) {
    if (state->busy || state->phase == State::Phase::failed || state->not_before > now) continue;
    State::Known& known = state->known;
    if (known.generation != metadata_.generation()) {
      const TopicInfo* topic = metadata_.topic(name.topic);
      known = {.generation = metadata_.generation(),
               .leader = metadata_.leader(name.topic, name.partition),
               .topic_id = topic == nullptr ? Uuid{} : topic->id};
    }
    const std::optional<Leader>& leader = known.leader;
    if (!leader || connections_.node(leader->node) == nullptr) {
      metadata_.make_stale();
      continue;
    }
    // Another topic of that name counts its epochs anew.
    if (state->topic_id != Uuid{} && state->topic_id != known.topic_id) state->read_epoch = kNoEpoch;
    state->topic_id = known.topic_id;
    if (state->phase == State::Phase::fetch && leader->epoch != kNoEpoch && leader->epoch < state->read_epoch) {
      metadata_.make_stale();  // of before what is known of the partition
      continue;
    }
    state->leader_epoch = leader->epoch;
    if (needs_check(*state, leader->epoch)) state->phase = State::Phase::check;
    switch (state->phase) {
      case State::Phase::locate:
        locates[leader->node].push_back(state);
        break;
      case State::Phase::check:
        checks[leader->node].push_back(state);
        break;
      case State::Phase::fetch:
        if (const auto node = nodes_.find(leader->node); node != nodes_.end() && node->second->busy) break;
        fetches[leader->node].push_back(state);
        break;
      case State::Phase::failed:
        break;
    }
  }
  refresh_metadata();
  for (auto& [node, group] : locates) {
    for (const StatePtr& state : group) state->busy = true;
    scope_.spawn(locate_task(node, std::move(group)));
  }
  for (auto& [node, group] : checks) {
    for (const StatePtr& state : group) state->busy = true;
    scope_.spawn(check_task(node, std::move(group)));
  }
  for (auto& [id, group] : fetches) {
    std::unique_ptr<Node>& node = nodes_[id];
    if (node == nullptr) node = std::make_unique<Node>();
    node->busy = true;
    scope_.spawn(fetch_task(id, std::move(group)));
  }
}

void Consumer::retry_later(State& state, ErrorCode error) {
  if (metadata_may_cure(error)) metadata_.make_stale();
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
  state.not_before =
      runtime_->now() + backoff(client_.retry_backoff, client_.retry_backoff_max, state.failures++, draw);
}

void Consumer::report_error(State& state, ErrorCode error, std::vector<PolledPartition>& out) {
  if (metadata_may_cure(error)) {  // temporary by nature, and frequent: not worth a report
    retry_later(state, error);
    return;
  }
  if (wire::is_retriable(error)) {
    retry_later(state, error);
  } else {
    state.phase = State::Phase::failed;
  }
  PolledPartition event{.event = PolledPartition::Event::error, .partition = state.name, .error = error};
  event.from = event.next = state.position;
  out.push_back(std::move(event));
}

void Consumer::out_of_range(State& state, Offset from, std::vector<PolledPartition>& out) {
  ++stats_.resets;
  if (options_.reset == OffsetReset::none) {
    state.phase = State::Phase::failed;
    PolledPartition event{
        .event = PolledPartition::Event::error, .partition = state.name, .error = ErrorCode::OFFSET_OUT_OF_RANGE};
    event.from = event.next = from;
    out.push_back(std::move(event));
    return;
  }
  put(state, options_.reset == OffsetReset::earliest ? StartAt::earliest() : StartAt::latest());
}

}  // namespace verdict::client
