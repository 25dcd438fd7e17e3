#include "protocol/quorum/single_voter.h"

#include <algorithm>
#include <utility>

#include "protocol/wire/codec.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/data_records.h"
#include "runtime/assert.h"

namespace verdict::quorum {
namespace {

constexpr std::int16_t kLeaderChangeType = 2;  // of a control record's key
constexpr int kLeaderChangeVersion = 0;

}  // namespace

LogRecord leader_change_record(NodeId leader, const std::vector<NodeId>& voters) {
  wire::Arena arena;
  const auto to_wire = [&] {
    const auto out = arena.make_span<wire::LeaderChangeMessage::Voter>(voters.size());
    std::ranges::transform(voters, out.begin(),
                           [](NodeId id) { return wire::LeaderChangeMessage::Voter{.voter_id = id.value()}; });
    return out;
  };
  const wire::LeaderChangeMessage message{
      .version = kLeaderChangeVersion, .leader_id = leader.value(), .voters = to_wire(), .granting_voters = to_wire()};
  auto value = wire::encode(message, kLeaderChangeVersion);
  VERDICT_ASSERT(value.has_value());
  const auto key = std::vector<std::byte>{std::byte{0}, std::byte{0}, std::byte{0}, std::byte{kLeaderChangeType}};
  return {.key = key, .value = std::move(*value)};
}

std::expected<void, std::string> check_voters(const protocol::BrokerConfig& config) {
  const auto voters = config.quorum_voters();
  if (voters.size() > 1) {
    return std::unexpected("controller.quorum.voters=" + config.text("controller.quorum.voters") +
                           ": a replicated quorum is not implemented yet (allowed: exactly one voter, id@host:port)");
  }
  if (voters.empty()) {
    return std::unexpected(std::string("controller.quorum.voters is empty (allowed: exactly one voter, id@host:port)"));
  }
  if (config.is_controller() && voters.front().id != config.node_id()) {
    return std::unexpected("controller.quorum.voters=" + config.text("controller.quorum.voters") +
                           ": this controller is node " + std::to_string(config.node_id().value()) +
                           " (allowed: a controller that is the voter)");
  }
  return {};
}

void SingleVoter::step(events_in::Start start, MonoTime, Effects& out) {
  VERDICT_ASSERT(phase_ == Phase::idle, "a quorum starts once");
  VERDICT_ASSERT(start.log_start <= start.log_end);
  log_start_ = start.log_start;
  log_end_ = start.log_end;
  epochs_ = std::move(start.epochs);
  std::int32_t last = start.state ? start.state->epoch.value() : 0;
  if (!epochs_.empty()) {
    last = std::max(last, epochs_.back().epoch.value());
  }
  // An epoch is led by one process only: what an earlier one wrote but never synced must not come back in it.
  epoch_ = QuorumEpoch(last + 1);
  phase_ = Phase::electing;
  state_token_ = next_token_++;
  const QuorumState state{
      .cluster_id = options_.cluster_id, .leader = options_.self, .epoch = epoch_, .voters = {options_.self}};
  out.push_back(effects::PersistState{.token = state_token_, .json = format_quorum_state(state)});
}

void SingleVoter::open_epoch(Effects& out) {
  phase_ = Phase::opening;
  if (observer_ != nullptr) {
    observer_->observe(protocol::events::QuorumLeader{.epoch = epoch_.value()});
  }
  epochs_.push_back({.epoch = epoch_, .start = log_end_});
  std::vector<LogRecord> records;
  records.push_back(leader_change_record(options_.self, {options_.self}));
  persist(std::move(records), /*control=*/true, out);
}

void SingleVoter::persist(std::vector<LogRecord> records, bool control, Effects& out) {
  const Offset base = log_end_;
  log_end_ = log_end_ + std::ssize(records);
  pending_.push_back({.token = next_token_, .end = log_end_});
  out.push_back(effects::Persist{
      .token = next_token_++, .base = base, .epoch = epoch_, .control = control, .records = std::move(records)});
}

void SingleVoter::step(events_in::Append append, MonoTime, Effects& out) {
  VERDICT_ASSERT(phase_ == Phase::leading, "only a leader appends");
  VERDICT_ASSERT(append.base == log_end_, "the client and the log disagree about the next offset");
  VERDICT_ASSERT(!append.records.empty());
  persist(std::move(append.records), /*control=*/false, out);
}

void SingleVoter::step(events_in::Durable durable, MonoTime, Effects& out) {
  if (phase_ == Phase::electing) {
    VERDICT_ASSERT(durable.token == state_token_);
    open_epoch(out);
    return;
  }
  // A sync covers all that was appended before it.
  Offset end = high_watermark_;
  while (!pending_.empty() && pending_.front().token <= durable.token) {
    end = pending_.front().end;
    pending_.pop_front();
  }
  if (end > high_watermark_) {
    commit(end, out);
  }
}

void SingleVoter::commit(Offset to, Effects& out) {
  VERDICT_ASSERT(to <= log_end_);
  high_watermark_ = to;
  if (observer_ != nullptr) {
    observer_->observe(protocol::events::QuorumCommitted{.to = to, .epoch = epoch_.value()});
  }
  out.push_back(effects::Committed{.to = to, .epoch = epoch_});
  if (phase_ == Phase::opening) {
    phase_ = Phase::leading;
    out.push_back(effects::BecameLeader{.epoch = epoch_, .next_offset = log_end_});
  }
  auto waiting = std::exchange(waiting_, {});
  for (Waiting& one : waiting) {
    const auto reply = answer(one.fetch);
    if (worth_answering(one.fetch, reply)) {
      out.push_back(reply);
    } else {
      waiting_.push_back(one);
    }
  }
}

std::optional<EpochStart> SingleVoter::divergence(const events_in::Fetch& fetch) const {
  if (fetch.last_fetched_epoch.value() < 0) {
    return std::nullopt;  // nothing fetched yet
  }
  // The largest own epoch that isn't newer than the replica's, and where it ends.
  const auto next = std::ranges::upper_bound(epochs_, fetch.last_fetched_epoch, {}, &EpochStart::epoch);
  if (next == epochs_.begin()) {
    const Offset first = epochs_.empty() ? log_end_ : epochs_.front().start;
    return EpochStart{.epoch = fetch.last_fetched_epoch, .start = std::max(first, log_start_)};
  }
  const QuorumEpoch found = std::prev(next)->epoch;
  const Offset end = next == epochs_.end() ? log_end_ : next->start;
  if (found < fetch.last_fetched_epoch || end < fetch.fetch_offset) {
    return EpochStart{.epoch = found, .start = end};
  }
  return std::nullopt;
}

effects::AnswerFetch SingleVoter::answer(const events_in::Fetch& fetch) const {
  using enum wire::ErrorCode;
  effects::AnswerFetch out{.request = fetch.request,
                           .leader = leader(),
                           .epoch = epoch_,
                           .high_watermark = high_watermark_,
                           .log_start = log_start_,
                           .read_from = fetch.fetch_offset,
                           .read_to = fetch.fetch_offset};
  if (phase_ != Phase::leading) {
    out.error = code(NOT_LEADER_OR_FOLLOWER);
  } else if (fetch.current_leader_epoch.value() >= 0 && fetch.current_leader_epoch < epoch_) {
    out.error = code(FENCED_LEADER_EPOCH);
  } else if (fetch.current_leader_epoch > epoch_) {
    out.error = code(UNKNOWN_LEADER_EPOCH);
  } else if (fetch.fetch_offset.value() < 0 || fetch.last_fetched_epoch.value() < -1 ||
             fetch.last_fetched_epoch > epoch_) {
    out.error = code(INVALID_REQUEST);
  } else if (fetch.fetch_offset < log_start_) {
    out.error = code(OFFSET_OUT_OF_RANGE);  // snapshots come with a later issue: the log keeps all
  } else if ((out.diverging = divergence(fetch))) {
  } else if (fetch.fetch_offset > log_end_) {
    out.error = code(OFFSET_OUT_OF_RANGE);
  } else {
    out.read_to = std::max(fetch.fetch_offset, high_watermark_);
  }
  return out;
}

bool SingleVoter::worth_answering(const events_in::Fetch& fetch, const effects::AnswerFetch& reply) const {
  return reply.error != 0 || reply.diverging || reply.read_from < reply.read_to ||
         high_watermark_ > fetch.known_high_watermark;
}

void SingleVoter::step(events_in::Fetch fetch, MonoTime now, Effects& out) {
  auto reply = answer(fetch);
  if (fetch.max_wait <= Duration::zero() || worth_answering(fetch, reply) ||
      waiting_.size() >= options_.max_waiting_fetches) {
    out.push_back(std::move(reply));
    return;
  }
  const MonoTime deadline = now + fetch.max_wait;
  waiting_.push_back({.fetch = std::move(fetch), .deadline = deadline});
  arm(out);
}

void SingleVoter::step(events_in::Tick, MonoTime now, Effects& out) {
  armed_ = {};
  auto waiting = std::exchange(waiting_, {});
  for (Waiting& one : waiting) {
    if (one.deadline <= now) {
      out.push_back(answer(one.fetch));
    } else {
      waiting_.push_back(one);
    }
  }
  arm(out);
}

void SingleVoter::arm(Effects& out) {
  if (waiting_.empty()) {
    return;
  }
  const MonoTime first = std::ranges::min(waiting_, {}, &Waiting::deadline).deadline;
  if (armed_ == MonoTime{} || first < armed_) {
    armed_ = first;
    out.push_back(effects::ArmTimer{.when = first});
  }
}

}  // namespace verdict::quorum
