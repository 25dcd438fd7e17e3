#include "protocol/controller/controller.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/controller/state.h"
#include "runtime/assert.h"

namespace verdict::controller {
namespace {

// NOT_CONTROLLER in the shape of each API: at the top where it has a place for it, else once for each topic asked for.
wire::BrokerRegistrationResponse refusal(const wire::BrokerRegistrationRequest&, wire::Arena&) {
  return {.error_code = code(ErrorCode::NOT_CONTROLLER)};
}
wire::BrokerHeartbeatResponse refusal(const wire::BrokerHeartbeatRequest&, wire::Arena&) {
  return {.error_code = code(ErrorCode::NOT_CONTROLLER)};
}
wire::AlterPartitionResponse refusal(const wire::AlterPartitionRequest&, wire::Arena&) {
  return {.error_code = code(ErrorCode::NOT_CONTROLLER)};
}
wire::CreateTopicsResponse refusal(const wire::CreateTopicsRequest& request, wire::Arena& arena) {
  const auto topics = arena.make_span<wire::CreateTopicsResponse::CreatableTopicResult>(request.topics.size());
  for (std::size_t i = 0; i < topics.size(); ++i) {
    topics[i].name = request.topics[i].name;
    topics[i].error_code = code(ErrorCode::NOT_CONTROLLER);
  }
  return {.topics = topics};
}
wire::DeleteTopicsResponse refusal(const wire::DeleteTopicsRequest& request, wire::Arena& arena) {
  const auto out = arena.make_span<wire::DeleteTopicsResponse::DeletableTopicResult>(request.topics.size() +
                                                                                     request.topic_names.size());
  std::size_t n = 0;
  for (const auto& topic : request.topics) {
    out[n] = {.name = topic.name, .topic_id = topic.topic_id};
    out[n++].error_code = code(ErrorCode::NOT_CONTROLLER);
  }
  for (const auto& name : request.topic_names) {
    out[n] = {.name = name};
    out[n++].error_code = code(ErrorCode::NOT_CONTROLLER);
  }
  return {.responses = out};
}
wire::AllocateProducerIdsResponse refusal(const wire::AllocateProducerIdsRequest&, wire::Arena&) {
  return {.error_code = code(ErrorCode::NOT_CONTROLLER)};
}
wire::UpdateFeaturesResponse refusal(const wire::UpdateFeaturesRequest&, wire::Arena&) {
  return {.error_code = code(ErrorCode::NOT_CONTROLLER)};
}

// What `decide` answers, once it is committed; the refusal if this controller doesn't lead, now or by then.
template <class State, class Event, class Decide>
void answer(State& state, const Event& event, Effects& out, Decide decide) {
  wire::Arena arena;
  if (!state.active) {
    state.respond_now(event.token, refusal(event.request, arena), out);
    return;
  }
  const auto decided = decide(arena);
  state.respond(event.token, decided, refusal(event.request, arena), out);
}

}  // namespace

Controller::State::State(Options o, protocol::Observer* watcher)
    : options(std::move(o)), observer(watcher), announcements(watcher, options.config, image) {
  const auto& config = options.config;
  session_timeout = config.duration_ms("broker.session.timeout.ms");
  idle_interval = config.duration_ms("metadata.max.idle.interval.ms");
  unclean_interval = config.duration_ms("unclean.leader.election.interval.ms");
  balance_interval = config.boolean("auto.leader.rebalance.enable")
                         ? std::chrono::seconds(config.integer("leader.imbalance.check.interval.seconds"))
                         : Duration::zero();
}

void Controller::State::append(std::vector<MetadataRecord> records, Effects& out, bool clean_registration) {
  VERDICT_ASSERT(active);
  if (records.empty()) {
    return;
  }
  const Offset base = next_offset;
  for (const MetadataRecord& record : records) {
    announcements.before(record, next_offset, clean_registration);
    const auto done = image.apply(record, next_offset);
    VERDICT_ASSERT(done.has_value(), done.has_value() ? std::string_view{} : std::string_view(done.error()));
    announcements.after(record, next_offset);
    ++next_offset;
  }
  if (!out.list.empty()) {  // one step, one batch where nothing stands between
    auto* last = std::get_if<effects::Append>(&out.list.back());
    if (last != nullptr && last->base + std::ssize(last->records) == base) {
      std::ranges::move(records, std::back_inserter(last->records));
      return;
    }
  }
  out.list.push_back(effects::Append{.base = base, .records = std::move(records)});
}

// One timer for all that time brings: the next session to end, the idle record, elections to try again.
void Controller::State::arm(MonoTime now, Effects& out) {
  std::optional<MonoTime> first;
  const auto consider = [&](MonoTime when) { first = first ? std::min(*first, when) : when; };
  for (const auto& [id, session] : sessions) {
    if (session.last_contact && image.broker(id) != nullptr && !image.broker(id)->fenced) {
      consider(*session.last_contact + session_timeout);
    }
  }
  if (idle_interval > Duration::zero()) {
    consider(idle_at);
  }
  if (balance_interval > Duration::zero()) {
    consider(balance_at);
  }
  consider(unclean_at);
  // Contacts only push deadlines back: a timer that rings early finds nothing to do and is set anew.
  if (armed == MonoTime{} || armed <= now || *first < armed) {
    armed = std::max(*first, now);
    out.list.push_back(effects::ArmTimer{.when = armed});
  }
}

Controller::Controller(Options options, protocol::Observer* observer)
    : state_(std::make_unique<State>(std::move(options), observer)) {}
Controller::~Controller() = default;

std::expected<void, std::string> Controller::replay(const MetadataRecord& record, Offset offset) {
  State& s = *state_;
  VERDICT_ASSERT(!s.active, "an active controller applies what it writes itself");
  s.announcements.before(record, offset, /*clean=*/false);
  if (auto done = s.image.apply(record, offset); !done) {
    return std::unexpected("metadata log, offset " + std::to_string(offset.value()) + ": " + done.error());
  }
  s.announcements.after(record, offset);
  return {};
}

void Controller::step(const events_in::BecameLeader& event, MonoTime now, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(!s.active);
  VERDICT_ASSERT(event.next_offset >= s.image.applied_to(), "the log ends before what was replayed");
  s.active = true;
  s.epoch = event.epoch;
  s.next_offset = event.next_offset;
  s.committed = event.next_offset;
  s.armed = {};
  s.idle_at = now + s.idle_interval;
  s.unclean_at = now + s.unclean_interval;
  s.balance_at = now + s.balance_interval;
  s.sessions.clear();
  for (const auto& [id, broker] : s.image.brokers()) {
    // Nobody is fenced for what happened while there was no controller.
    s.sessions[id] = {.epoch = broker.epoch, .last_contact = broker.fenced ? std::nullopt : std::optional(now)};
  }
  s.announcements.committed(event.next_offset);
  if (s.image.features().empty()) {
    s.append(protocol::bootstrap_records(), out);
  }
  s.arm(now, out);
}

void Controller::step(const events_in::LostLeadership&, MonoTime, Effects& out) {
  State& s = *state_;
  for (State::Deferred& one : s.deferred) {
    out.list.push_back(effects::Respond{.token = one.token, .response = std::move(one.refusal)});
  }
  // What it decided ahead of the commit may never have happened: a new life replays the log.
  auto fresh = std::make_unique<State>(s.options, s.observer);
  state_ = std::move(fresh);
}

void Controller::step(const events_in::Committed& event, MonoTime, Effects& out) {
  State& s = *state_;
  if (!s.active) {
    return;
  }
  VERDICT_ASSERT(event.to <= s.next_offset, "committed beyond the end");
  s.committed = std::max(s.committed, event.to);
  s.announcements.committed(s.committed);
  while (!s.deferred.empty() && s.deferred.front().until <= s.committed) {
    out.list.push_back(
        effects::Respond{.token = s.deferred.front().token, .response = std::move(s.deferred.front().response)});
    s.deferred.pop_front();
  }
}

void Controller::step(const events_in::RegisterBroker& event, MonoTime now, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena&) { return s.register_broker(event, now, out); });
  if (s.active) {
    s.arm(now, out);
  }
}

void Controller::step(const events_in::Heartbeat& event, MonoTime now, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena&) { return s.heartbeat(event, now, out); });
  if (s.active) {
    s.arm(now, out);
  }
}

void Controller::step(const events_in::AlterPartition& event, MonoTime, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena& arena) { return s.alter_partition(event, arena, out); });
}

void Controller::step(const events_in::CreateTopics& event, MonoTime, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena& arena) { return s.create_topics(event, arena, out); });
}

void Controller::step(const events_in::DeleteTopics& event, MonoTime, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena& arena) { return s.delete_topics(event, arena, out); });
}

void Controller::step(const events_in::AllocateProducerIds& event, MonoTime, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena&) { return s.allocate_producer_ids(event, out); });
}

void Controller::step(const events_in::UpdateFeatures& event, MonoTime, Effects& out) {
  State& s = *state_;
  answer(s, event, out, [&](wire::Arena& arena) { return s.update_features(event, arena, out); });
}

void Controller::step(const events_in::Tick&, MonoTime now, Effects& out) {
  State& s = *state_;
  if (!s.active) {
    return;
  }
  const Offset before = s.next_offset;
  s.fence_expired(now, out);
  if (s.unclean_at <= now) {
    s.unclean_at = now + s.unclean_interval;
    std::vector<MetadataRecord> records;
    s.elect_leaderless(kNoNode, records, out);
    s.append(std::move(records), out);
  }
  if (s.balance_interval > Duration::zero() && s.balance_at <= now) {
    s.balance_at = now + s.balance_interval;
    s.balance_leaders(out);
  }
  if (s.idle_interval > Duration::zero() && s.idle_at <= now) {
    s.idle_at = now + s.idle_interval;
    if (s.next_offset == before && s.committed == s.next_offset) {  // keeps the high watermark and the observers alive
      s.append({protocol::records::NoOp{}}, out);
    }
  }
  s.arm(now, out);
}

bool Controller::active() const { return state_->active; }
Offset Controller::next_offset() const { return state_->next_offset; }
const protocol::MetadataImage& Controller::image() const { return state_->image; }

}  // namespace verdict::controller
