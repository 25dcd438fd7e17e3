#include "protocol/transaction/coordinator.h"

#include <algorithm>
#include <utility>

#include "protocol/transaction/state.h"
#include "runtime/assert.h"

namespace verdict::transaction {

Transaction* TransactionCoordinator::State::find(std::string_view id) {
  const auto found = transactions.find(id);
  return found == transactions.end() ? nullptr : &found->second;
}

// The one place where a transaction changes its state: checks the transition, keeps it and writes it down.
void TransactionCoordinator::State::put(const std::string& id, Transaction next, Times times, Effects& out,
                                        std::string_view cause) {
  Transaction& held = transactions[id];  // a new one is Empty
  const std::int16_t ended_epoch = held.producer_epoch;
  VERDICT_ASSERT(may_follow(held.state, next.state), "no such transition");
  VERDICT_ASSERT(next.producer_id >= 0 && next.producer_epoch >= 0, "a transaction without a producer");
  next.previous_producer_id = held.producer_id == kNoProducerId ? next.producer_id : held.producer_id;
  held = std::move(next);
  announce(id, held, held.state);
  const int version = options.transaction_version >= 1 ? 1 : 0;
  out.list.push_back(effects::Append{{{.key = encode_key(id), .value = encode_value(held, version)}}});
  if (held.prepared() && observer != nullptr) {
    out.list.push_back(effects::Decided{.transactional_id = id,
                                        .producer_id = held.producer_id,
                                        .producer_epoch = held.producer_epoch,
                                        .ended_epoch = ended_epoch,
                                        .commit = held.state == TransactionState::prepare_commit,
                                        .cause = cause,
                                        .open_ms = to_ms(times.wall) - held.start_ms,
                                        .timeout_ms = held.timeout_ms,
                                        .version = held.client_version});
  }
  if (held.state == TransactionState::ongoing && !abort_at) {
    abort_at = times.now + options.abort_timed_out_interval;
  }
  if (!expire_at) {
    expire_at = times.now + options.remove_expired_interval;
  }
}

void TransactionCoordinator::State::announce(std::string_view id, const Transaction& t, TransactionState state) {
  if (observer != nullptr) {
    observer->observe(protocol::events::TransactionMoved{.transactional_id = id,
                                                         .producer_id = t.producer_id,
                                                         .producer_epoch = t.producer_epoch,
                                                         .state = name_of(state),
                                                         .coordinator_epoch = options.coordinator_epoch,
                                                         .partitions = static_cast<std::int32_t>(t.partitions.size()),
                                                         .coordinator = options.partition});
  }
}

void TransactionCoordinator::State::announce_found(std::string_view id, const Transaction& t) {
  if (observer != nullptr) {
    observer->observe(protocol::events::TransactionFound{.coordinator = options.partition,
                                                         .transactional_id = id,
                                                         .producer_id = t.producer_id,
                                                         .producer_epoch = t.producer_epoch,
                                                         .state = name_of(t.state)});
  }
}

void TransactionCoordinator::State::allocate(const std::string& id, Waiting request, Effects& out) {
  const bool first = waiting.emplace(id, std::move(request)).second;
  VERDICT_ASSERT(first, "a transition while another waits for its producer id");
  out.list.push_back(effects::AllocateProducerId{id});
}

// One timer for all that time brings: time-outs, expiry, markers to send again. One that rings early finds nothing to
// do.
void TransactionCoordinator::State::arm(MonoTime now, Effects& out) {
  std::optional<MonoTime> first;
  const auto consider = [&](std::optional<MonoTime> when) {
    if (when && (!first || *when < *first)) {
      first = when;
    }
  };
  consider(abort_at);
  consider(expire_at);
  for (const auto& [id, markers] : unsent) {
    consider(markers.when);
  }
  if (first && (!armed || *armed <= now || *first < *armed)) {
    armed = std::max(*first, now);
    out.list.push_back(effects::ArmTimer{*armed});
  }
}

void TransactionCoordinator::State::tick(Times times, Effects& out) {
  armed.reset();
  std::vector<std::string> due;
  for (const auto& [id, markers] : unsent) {
    if (markers.when <= times.now) {
      due.push_back(id);
    }
  }
  for (const std::string& id : due) {
    const std::set<TopicPartition> partitions = std::move(unsent[id].partitions);
    unsent.erase(id);
    send_markers(id, *find(id), partitions, out);
  }
  if (abort_at && *abort_at <= times.now) {
    abort_timed_out(times, out);
  }
  if (expire_at && *expire_at <= times.now) {
    remove_expired(times, out);
  }
}

void TransactionCoordinator::State::abort_timed_out(Times times, Effects& out) {
  bool left = false;
  for (const auto& [id, t] : transactions) {
    if (t.state != TransactionState::ongoing) {
      continue;
    }
    if (t.start_ms + t.timeout_ms < to_ms(times.wall) && !waiting.contains(id)) {
      log(out, false, "transaction of " + id + " timed out after " + std::to_string(t.timeout_ms) + " ms");
      fence({.transactional_id = id, .token = std::nullopt}, std::nullopt, times, out);
    }
    left = left || t.state == TransactionState::ongoing;  // waits for a producer id, or not yet timed out
  }
  abort_at = left ? std::optional(times.now + options.abort_timed_out_interval) : std::nullopt;
}

// Ids that nobody used for so long, in batches that a log takes whatever its max.message.bytes.
void TransactionCoordinator::State::remove_expired(Times times, Effects& out) {
  constexpr std::size_t kBatchBytes = 16384;
  const std::int64_t limit = to_ms(times.wall) - to_ms(options.transactional_id_expiration);
  effects::Append batch;
  std::size_t bytes = 0;
  for (auto at = transactions.begin(); at != transactions.end();) {
    const auto& [id, t] = *at;
    if (!may_follow(t.state, TransactionState::dead) || t.last_update_ms > limit || waiting.contains(id)) {
      ++at;
      continue;
    }
    batch.records.push_back({.key = encode_key(id), .value = std::nullopt});
    bytes += batch.records.back().key.size();
    log(out, false, "transactional id " + id + " expired");
    announce(id, t, TransactionState::dead);
    at = transactions.erase(at);
    if (bytes >= kBatchBytes) {
      out.list.push_back(std::exchange(batch, {}));
      bytes = 0;
    }
  }
  if (!batch.records.empty()) {
    out.list.push_back(std::move(batch));
  }
  expire_at = transactions.empty() ? std::nullopt : std::optional(times.now + options.remove_expired_interval);
}

TransactionCoordinator::TransactionCoordinator(Options options, protocol::Observer* observer)
    : state_(std::make_unique<State>(std::move(options), observer)) {}
TransactionCoordinator::~TransactionCoordinator() = default;

std::expected<void, std::string> TransactionCoordinator::replay(std::span<const std::byte> key,
                                                                std::optional<std::span<const std::byte>> value,
                                                                WallTime) {
  VERDICT_ASSERT(!state_->loaded, "replay after loaded");
  auto id = decode_key(key);
  if (!id) {
    return std::unexpected(id.error());
  }
  if (!value) {
    state_->transactions.erase(*id);
    return {};
  }
  auto decoded = decode_value(*value);
  if (!decoded) {
    return std::unexpected("transactional id " + *id + ": " + decoded.error());
  }
  state_->transactions[*id] = std::move(*decoded);
  return {};
}

void TransactionCoordinator::loaded(MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(!s.loaded);
  s.loaded = true;
  for (const auto& [id, t] : s.transactions) {
    s.announce_found(id, t);
    if (t.prepared()) {
      s.mark_all(id, {now, wall}, out);
    } else if (t.state == TransactionState::ongoing) {
      s.abort_at = now + s.options.abort_timed_out_interval;
    }
  }
  if (!s.transactions.empty()) {
    s.expire_at = now + s.options.remove_expired_interval;
  }
  s.arm(now, out);
}

void TransactionCoordinator::step(const events_in::ProducerIdAllocated& event, MonoTime now, WallTime wall,
                                  Effects& out) {
  State& s = *state_;
  const auto found = s.waiting.find(event.transactional_id);
  if (found == s.waiting.end()) {
    return;  // asked for by an earlier coordinator of the partition; ids are plenty
  }
  const Waiting request = std::move(found->second);
  s.waiting.erase(found);
  if (const auto* init = std::get_if<Init>(&request)) {
    event.producer_id ? s.init_producer_id(*init, *event.producer_id, {now, wall}, out)
                      : s.answer_init(*init, event.producer_id.error(), nullptr, out);
  } else if (const auto* end = std::get_if<End>(&request)) {
    event.producer_id ? s.end_txn(*end, *event.producer_id, {now, wall}, out)
                      : s.answer_end(*end, event.producer_id.error(), {}, out);
  } else if (const auto& fence = std::get<Fence>(request); event.producer_id) {
    s.fence(fence, *event.producer_id, {now, wall}, out);
  } else if (fence.token) {
    s.answer_init({.token = *fence.token}, event.producer_id.error(), nullptr, out);
  }  // a transaction that timed out is found again when the next interval is over
  s.arm(now, out);
}

void TransactionCoordinator::step(const events_in::FeatureChanged& event, MonoTime, WallTime, Effects&) {
  state_->options.transaction_version = event.transaction_version;
}

void TransactionCoordinator::step(const events_in::Tick&, MonoTime now, WallTime wall, Effects& out) {
  VERDICT_ASSERT(state_->loaded);
  state_->tick({now, wall}, out);
  state_->arm(now, out);
}

const Transaction* TransactionCoordinator::find(std::string_view id) const { return state_->find(id); }

}  // namespace verdict::transaction
