// EndTxn and the markers: Prepare* decides, Complete* follows when each partition has its marker.
#include <algorithm>
#include <utility>

#include "protocol/transaction/state.h"
#include "runtime/assert.h"

namespace verdict::transaction {
namespace {

using enum TransactionState;

// What an EndTxn comes to: an error (NONE: it was done before), or the way to Prepare*.
struct Decision {
  ErrorCode error = ErrorCode::NONE;
  bool prepare = false;
};
constexpr Decision kPrepare{.prepare = true};
constexpr Decision kDoneBefore{};

Decision repeated(const Transaction& t, bool commit) {  // for a transaction that was ended already
  switch (t.state) {
    case prepare_commit:
      return {commit ? ErrorCode::CONCURRENT_TRANSACTIONS : ErrorCode::INVALID_TXN_STATE};
    case prepare_abort:
      return {commit ? ErrorCode::INVALID_TXN_STATE : ErrorCode::CONCURRENT_TRANSACTIONS};
    case complete_commit:
      return commit ? kDoneBefore : Decision{ErrorCode::INVALID_TXN_STATE};
    case complete_abort:
      return commit ? Decision{ErrorCode::INVALID_TXN_STATE} : kDoneBefore;
    default:
      return {ErrorCode::INVALID_TXN_STATE};
  }
}

// Versions 0 and 1: the epoch says who asks, not for which transaction; the state alone tells a retry.
Decision decide_same_epoch(const Transaction& t, const End& call, bool waits) {
  if (waits) {
    return {ErrorCode::CONCURRENT_TRANSACTIONS};
  }
  return t.state == ongoing ? kPrepare : repeated(t, call.commit);
}

// Version 2: each end bumps the epoch, so the epoch below the current one (or the last one of the previous producer id)
// is a retry, and the current one means the next transaction, of which nothing need have been written.
Decision decide_bumped_epoch(const Transaction& t, const End& call, bool waits) {
  const bool after_bump = t.producer_epoch == call.producer.epoch + 1 && t.producer_id == call.producer.producer_id;
  const bool after_overflow = t.previous_producer_id == call.producer.producer_id &&
                              t.producer_id != call.producer.producer_id &&
                              call.producer.epoch == kMaxProducerEpoch - 1 && t.producer_epoch == 0;
  if (t.producer_id != call.producer.producer_id && !after_overflow) {
    return {ErrorCode::INVALID_PRODUCER_ID_MAPPING};
  }
  const bool current = t.producer_epoch == call.producer.epoch;
  const bool complete = t.state == complete_commit || t.state == complete_abort;
  // At the highest epoch, without a new id to tell: a fence before version 2, or Kafka 4.1 lost it with its
  // coordinator.
  const bool untold = complete && t.producer_epoch == kMaxProducerEpoch;
  const bool retry = !untold && ((t.prepared() && after_bump) || (complete && (after_bump || after_overflow)));
  if (!retry && (t.prepared() || !current || after_overflow)) {
    return {ErrorCode::PRODUCER_FENCED};
  }
  if (waits) {
    return {ErrorCode::CONCURRENT_TRANSACTIONS};
  }
  if (retry) {
    return repeated(t, call.commit);
  }
  return t.state == ongoing || !call.commit ? kPrepare : Decision{ErrorCode::INVALID_TXN_STATE};
}

// Planted (endtxn-retry): the end of one transaction comes again when the next one is under way.
bool ends_next(const Transaction& t, const End& call) {
  return t.state == ongoing && t.producer_id == call.producer.producer_id &&
         t.producer_epoch == call.producer.epoch + 1;
}

// Planted (kafka-9600): of an earlier instance of the producer, which was fenced.
bool lags(const Transaction& t, const End& call) {
  return t.state == ongoing && t.producer_id == call.producer.producer_id && t.producer_epoch > call.producer.epoch &&
         call.producer.epoch >= 0;
}

}  // namespace

MarkerOutcome marker_outcome(ErrorCode error) {
  switch (error) {
    case ErrorCode::NONE:
      return MarkerOutcome::done;
    case ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT:  // no transactional record can be in that log
    case ErrorCode::UNSUPPORTED_VERSION:
      return MarkerOutcome::gone;
    case ErrorCode::INVALID_PRODUCER_EPOCH:
    case ErrorCode::TRANSACTION_COORDINATOR_FENCED:
      return MarkerOutcome::fenced;
    default:
      return MarkerOutcome::retry_later;
  }
}

void TransactionCoordinator::State::answer_end(const End& call, ErrorCode error, ProducerIdAndEpoch producer,
                                               Effects& out) {
  respond(call.token,
          wire::EndTxnResponse{.error_code = wire::code(for_version(error, call.version, 2)),
                               .producer_id = producer.producer_id,
                               .producer_epoch = producer.epoch},
          out);
}

void TransactionCoordinator::State::end_txn(const End& call, MaybeId fresh, Times times, Effects& out) {
  const std::string& id = call.transactional_id;
  const bool bumps = call.version >= 5;
  Transaction* const held = find(id);
  const bool may_be_retry = bumps && !id.empty() && held != nullptr;  // of who is not the current producer any more
  if (options.defects.has(Defect::Kafka9600) && held != nullptr && lags(*held, call)) [[unlikely]] {
    out.marks.push_back(Mark::DefectKafka9600);
    End current = call;
    current.producer.epoch = held->producer_epoch;
    end_txn(current, fresh, times, out);
    return;
  }
  if (const ErrorCode error = check_producer(id, call.producer); error != ErrorCode::NONE && !may_be_retry) {
    if (error == ErrorCode::PRODUCER_FENCED) out.marks.push_back(Mark::EndTxnFenced);
    answer_end(call, error, {}, out);
    return;
  }
  const bool waits = waiting.contains(id);
  Decision decision = bumps ? decide_bumped_epoch(*held, call, waits) : decide_same_epoch(*held, call, waits);
  if (bumps && options.defects.has(Defect::EndtxnRetry) && ends_next(*held, call)) [[unlikely]] {
    out.marks.push_back(Mark::DefectEndtxnRetry);
    decision = kPrepare;
  }
  if (!decision.prepare) {
    if (decision.error == ErrorCode::NONE) out.marks.push_back(Mark::EndTxnRepeated);
    if (decision.error == ErrorCode::PRODUCER_FENCED) out.marks.push_back(Mark::EndTxnFenced);
    const bool tells = bumps && decision.error == ErrorCode::NONE;
    answer_end(call, decision.error,
               tells ? ProducerIdAndEpoch{held->producer_id, held->producer_epoch} : ProducerIdAndEpoch{}, out);
    return;
  }
  if (bumps && held->epoch_exhausted() && !fresh) {
    allocate(id, call, out);
    return;
  }
  Transaction next = *held;
  next.state = call.commit ? prepare_commit : prepare_abort;
  next.last_update_ms = to_ms(times.wall);
  next.client_version = bumps ? 2 : 0;
  next.next_producer_id = fresh.value_or(kNoProducerId);
  if (held->state != ongoing) {  // an abort of what no partition was added to: it begins and ends now
    next.start_ms = next.last_update_ms;
  }
  const bool forgets = bumps && options.defects.has(Defect::Kip890);
  if (forgets) [[unlikely]] {
    out.marks.push_back(Mark::DefectKip890);
  } else if (bumps) {
    next.producer_epoch = held->bumped_epoch();
    next.last_producer_epoch = held->producer_epoch;
  }
  put(id, std::move(next), times, out, "end");
  ProducerIdAndEpoch told;
  if (bumps) {
    told = fresh ? ProducerIdAndEpoch{*fresh, 0} : ProducerIdAndEpoch{held->producer_id, held->producer_epoch};
  }
  answer_end(call, ErrorCode::NONE, told, out);
  mark_all(id, times, out);
}

// To those of `partitions` that still lack theirs.
void TransactionCoordinator::State::send_markers(const std::string& id, const Transaction& t,
                                                 const std::set<TopicPartition>& partitions, Effects& out) {
  VERDICT_ASSERT(t.prepared(), "markers for what is not decided");
  effects::SendMarkers markers{.transactional_id = id,
                               .producer_id = t.producer_id,
                               .producer_epoch = t.producer_epoch,
                               .commit = t.state == prepare_commit,
                               .coordinator_epoch = options.coordinator_epoch,
                               .transaction_version = t.client_version};
  std::ranges::set_intersection(partitions, t.partitions, std::back_inserter(markers.partitions));
  if (!markers.partitions.empty()) {
    out.list.push_back(std::move(markers));
  }
}

void TransactionCoordinator::State::mark_all(const std::string& id, Times times, Effects& out) {
  const Transaction& t = *find(id);
  send_markers(id, t, t.partitions, out);
  finish_if_marked(id, times, out);
}

void TransactionCoordinator::State::finish_if_marked(const std::string& id, Times times, Effects& out) {
  const Transaction& t = *find(id);
  if (!t.prepared() || !t.partitions.empty()) {
    return;
  }
  unsent.erase(id);
  Transaction next = t;
  next.state = t.state == prepare_commit ? complete_commit : complete_abort;
  next.last_update_ms = to_ms(times.wall);
  if (t.next_producer_id != kNoProducerId) {
    next.producer_id = t.next_producer_id;
    next.producer_epoch = 0;
    next.next_producer_id = kNoProducerId;
  }
  put(id, std::move(next), times, out);
}

void TransactionCoordinator::State::markers_written(const events_in::MarkersWritten& event, Times times, Effects& out) {
  const std::string& id = event.transactional_id;
  Transaction* const t = find(id);
  if (t == nullptr || !t->prepared() || t->producer_id != event.producer_id ||
      t->producer_epoch != event.producer_epoch) {
    return;  // of an earlier transaction
  }
  for (const auto& [partition, outcome] : event.partitions) {
    if (!t->partitions.contains(partition)) {
      continue;
    }
    switch (outcome) {
      case MarkerOutcome::gone:
        log(out, false,
            id + ": " + partition.topic + "-" + std::to_string(partition.partition) +
                " does not exist any more and gets no marker");
        [[fallthrough]];
      case MarkerOutcome::done:
        t->partitions.erase(partition);
        break;
      case MarkerOutcome::retry_later:
        if (unsent[id].partitions.empty()) {
          unsent[id].when = times.now + options.marker_retry_backoff;
        }
        unsent[id].partitions.insert(partition);
        break;
      case MarkerOutcome::fenced:
        log(out, true,
            id + ": the marker for " + partition.topic + "-" + std::to_string(partition.partition) +
                " was refused for good and is not sent again under coordinator epoch " +
                std::to_string(options.coordinator_epoch));
        unsent.erase(id);
        return;
    }
  }
  finish_if_marked(id, times, out);
}

void TransactionCoordinator::step(const events_in::EndTxn& event, MonoTime now, WallTime wall, Effects& out) {
  VERDICT_ASSERT(state_->loaded);
  const wire::EndTxnRequest& request = event.request;
  state_->end_txn({.token = event.token,
                   .version = event.version,
                   .transactional_id = std::string(request.transactional_id),
                   .producer = {request.producer_id, request.producer_epoch},
                   .commit = request.committed},
                  std::nullopt, {now, wall}, out);
  state_->arm(now, out);
}

void TransactionCoordinator::step(const events_in::MarkersWritten& event, MonoTime now, WallTime wall, Effects& out) {
  VERDICT_ASSERT(state_->loaded);
  state_->markers_written(event, {now, wall}, out);
  state_->arm(now, out);
}

}  // namespace verdict::transaction
