// InitProducerId: who may write for a transactional id from now on (KIP-98, 360), and the fencing of who may not.
#include <utility>

#include "protocol/transaction/state.h"
#include "runtime/assert.h"

namespace verdict::transaction {
namespace {

using enum TransactionState;

// A producer that names what it had (KIP-360) goes on only if nobody came after it. Of the previous producer id only
// the last epoch can: the answer that told of the new id was lost.
bool names_this_producer(const Transaction& t, const std::optional<ProducerIdAndEpoch>& expected) {
  return !expected || t.producer_epoch == kNoProducerEpoch || expected->producer_id == t.producer_id ||
         (expected->producer_id == t.previous_producer_id && expected->epoch >= kMaxProducerEpoch - 1);
}

}  // namespace

void TransactionCoordinator::State::answer_init(const Init& call, ErrorCode error, const Transaction* t, Effects& out) {
  error = for_version(error, call.version, 4);
  wire::InitProducerIdResponse response{.error_code = wire::code(error), .producer_epoch = kNoProducerEpoch};
  if (t != nullptr) {
    response.producer_id = t->producer_id;
    response.producer_epoch = t->producer_epoch;
  }
  respond(call.token, response, out);
}

void TransactionCoordinator::State::init_producer_id(const Init& call, MaybeId fresh, Times times, Effects& out) {
  const std::string& id = call.transactional_id;
  if (waiting.contains(id)) {
    answer_init(call, ErrorCode::CONCURRENT_TRANSACTIONS, nullptr, out);
    return;
  }
  const Transaction* known = find(id);
  if (known == nullptr && !fresh) {
    allocate(id, call, out);
    return;
  }
  const Transaction t = known != nullptr ? *known : Transaction{.producer_id = *fresh};
  if (!names_this_producer(t, call.expected)) {
    answer_init(call, ErrorCode::PRODUCER_FENCED, nullptr, out);
    return;
  }
  if (t.prepared()) {
    answer_init(call, ErrorCode::CONCURRENT_TRANSACTIONS, nullptr, out);
    return;
  }
  if (t.state == ongoing) {  // the epoch of the fence goes to nobody: the client asks again, and gets the next one
    fence({.transactional_id = id, .token = call.token}, std::nullopt, times, out);
    return;
  }
  if (t.epoch_exhausted() && !fresh && (!call.expected || call.expected->epoch == t.producer_epoch)) {
    allocate(id, call, out);
    return;
  }
  auto next = initialized(call, t, fresh, times);
  if (!next) {
    answer_init(call, next.error(), nullptr, out);
    return;
  }
  log(out, false,
      "transactional id " + id + ": producer id " + std::to_string(next->producer_id) + ", epoch " +
          std::to_string(next->producer_epoch));
  put(id, std::move(*next), times, out);
  answer_init(call, ErrorCode::NONE, find(id), out);
}

// The producer after its InitProducerId, from a state without anything open.
std::expected<Transaction, ErrorCode> TransactionCoordinator::State::initialized(const Init& call, const Transaction& t,
                                                                                 MaybeId fresh, Times times) const {
  Transaction next = t;
  next.state = empty;
  next.timeout_ms = call.timeout_ms;
  next.start_ms = -1;
  next.last_update_ms = to_ms(times.wall);
  if (t.epoch_exhausted() && fresh) {
    next.producer_id = *fresh;
    next.producer_epoch = 0;
    next.last_producer_epoch = call.expected ? t.producer_epoch : kNoProducerEpoch;
    return next;
  }
  const bool continues =
      !call.expected || t.producer_epoch == kNoProducerEpoch || call.expected->epoch == t.producer_epoch;
  if (continues) {
    VERDICT_ASSERT(!t.epoch_exhausted(), "a new producer id was to be allocated");
    next.producer_epoch = t.bumped_epoch();
    next.last_producer_epoch = call.expected ? t.producer_epoch : kNoProducerEpoch;
    return next;
  }
  if (call.expected->epoch == t.last_producer_epoch) {  // a retry, or after its own end: the epoch is bumped already
    VERDICT_ASSERT(t.producer_epoch != kMaxProducerEpoch, "nobody is told the highest epoch");
    return next;
  }
  return std::unexpected(ErrorCode::PRODUCER_FENCED);
}

// Aborts what is open, at an epoch above its producer's (PrepareEpochFence). At version 2 the last epoch leads on to a
// new producer id, as after an EndTxn: the producer may be told of it when it retries, and of the highest epoch never.
void TransactionCoordinator::State::fence(const Fence& request, MaybeId fresh, Times times, Effects& out) {
  const std::string& id = request.transactional_id;
  const Transaction& t = *find(id);
  VERDICT_ASSERT(may_follow(t.state, prepare_epoch_fence));
  const bool bumps = options.transaction_version >= 2;
  if (bumps && t.epoch_exhausted() && !fresh) {
    allocate(id, request, out);
    return;
  }
  Transaction next = t;
  next.state = prepare_abort;
  next.producer_epoch = t.bumped_epoch();
  next.last_producer_epoch = bumps ? t.producer_epoch : kNoProducerEpoch;
  next.next_producer_id = fresh.value_or(kNoProducerId);
  next.last_update_ms = to_ms(times.wall);
  next.client_version = bumps ? 2 : 0;
  put(id, std::move(next), times, out, request.token ? "fence" : "timeout");
  if (request.token) {
    answer_init({.token = *request.token}, ErrorCode::CONCURRENT_TRANSACTIONS, nullptr, out);
  }
  mark_all(id, times, out);
}

void TransactionCoordinator::step(const events_in::InitProducerId& event, MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  const wire::InitProducerIdRequest& request = event.request;
  Init call{.token = event.token,
            .version = event.version,
            .transactional_id = std::string(request.transactional_id.value_or(std::string_view{})),
            .timeout_ms = request.transaction_timeout_ms};
  const bool has_id = request.producer_id != kNoProducerId;
  const bool has_epoch = request.producer_epoch != kNoProducerEpoch;
  if (has_id) {
    call.expected = {.producer_id = request.producer_id, .epoch = request.producer_epoch};
  }
  if (call.transactional_id.empty() || has_id != has_epoch) {
    s.answer_init(call, ErrorCode::INVALID_REQUEST, nullptr, out);
  } else if (call.timeout_ms <= 0 || call.timeout_ms > to_ms(s.options.transaction_max_timeout)) {
    s.answer_init(call, ErrorCode::INVALID_TRANSACTION_TIMEOUT, nullptr, out);
  } else {
    s.init_producer_id(call, std::nullopt, {now, wall}, out);
  }
  s.arm(now, out);
}

}  // namespace verdict::transaction
