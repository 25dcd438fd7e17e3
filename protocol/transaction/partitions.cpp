// What a transaction writes to: partitions are added before (clients to version 3) or while (KIP-890) they are written.
#include <algorithm>
#include <utility>

#include "protocol/transaction/state.h"
#include "runtime/assert.h"

namespace verdict::transaction {
namespace {

using enum TransactionState;
using TopicResult = wire::AddPartitionsToTxnResponse::AddPartitionsToTxnTopicResult;
using PartitionResult = wire::AddPartitionsToTxnResponse::AddPartitionsToTxnPartitionResult;
using Topics = std::span<wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic>;

constexpr std::string_view kOffsetsTopic = "__consumer_offsets";
constexpr int kTwoFencings = 2;  // of AddPartitionsToTxn and AddOffsetsToTxn alike

std::set<TopicPartition> partitions_of(Topics topics) {
  std::set<TopicPartition> out;
  for (const auto& topic : topics) {
    for (const std::int32_t partition : topic.partitions) {
      out.insert({std::string(topic.name), partition});
    }
  }
  return out;
}

// One result for each partition asked for, in the order of the request.
template <class ErrorOf>
std::span<TopicResult> results(Topics topics, wire::Arena& arena, ErrorOf error_of) {
  const auto out = arena.make_span<TopicResult>(topics.size());
  for (std::size_t i = 0; i < topics.size(); ++i) {
    out[i].name = topics[i].name;
    out[i].results_by_partition = arena.make_span<PartitionResult>(topics[i].partitions.size());
    for (std::size_t j = 0; j < topics[i].partitions.size(); ++j) {
      const std::int32_t partition = topics[i].partitions[j];
      out[i].results_by_partition[j] = {.partition_index = partition,
                                        .partition_error_code = wire::code(error_of(topics[i].name, partition))};
    }
  }
  return out;
}

}  // namespace

ErrorCode TransactionCoordinator::State::check_producer(std::string_view id, ProducerIdAndEpoch producer) const {
  if (id.empty()) {
    return ErrorCode::INVALID_REQUEST;
  }
  const auto found = transactions.find(id);
  if (found == transactions.end() || found->second.producer_id != producer.producer_id) {
    return ErrorCode::INVALID_PRODUCER_ID_MAPPING;
  }
  return found->second.producer_epoch == producer.epoch ? ErrorCode::NONE : ErrorCode::PRODUCER_FENCED;
}

// Of who adds or verifies partitions.
ErrorCode TransactionCoordinator::State::check_writer(std::string_view id, ProducerIdAndEpoch producer,
                                                      Effects& out) const {
  const ErrorCode error = check_producer(id, producer);
  if (error == ErrorCode::PRODUCER_FENCED && options.defects.has(Defect::InitNoFence)) [[unlikely]] {
    if (producer.epoch > transactions.find(id)->second.producer_epoch) return error;
    out.marks.push_back(Mark::DefectInitNoFence);
    return ErrorCode::NONE;
  }
  return error;
}

ErrorCode TransactionCoordinator::State::add_partitions(std::string_view id, ProducerIdAndEpoch producer,
                                                        const std::set<TopicPartition>& added,
                                                        std::int16_t client_version, Times times, Effects& out) {
  if (const ErrorCode error = check_writer(id, producer, out); error != ErrorCode::NONE) {
    return error;
  }
  const Transaction& t = *find(id);
  if (waiting.contains(id) || t.prepared()) {
    return ErrorCode::CONCURRENT_TRANSACTIONS;
  }
  if (t.state == ongoing && std::ranges::includes(t.partitions, added)) {
    return ErrorCode::NONE;
  }
  Transaction next = t;
  if (t.state != ongoing) {
    next.state = ongoing;
    next.start_ms = to_ms(times.wall);
  }
  next.partitions.insert(added.begin(), added.end());
  next.last_update_ms = to_ms(times.wall);
  next.client_version = client_version;
  put(std::string(id), std::move(next), times, out);
  return ErrorCode::NONE;
}

void TransactionCoordinator::step(const events_in::AddPartitionsToTxn& event, MonoTime now, WallTime wall,
                                  Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  VERDICT_ASSERT(event.version <= 3, "later versions come as VerifyPartitions");
  const auto& request = event.request;
  const ErrorCode error =
      for_version(s.add_partitions(request.v3_and_below_transactional_id,
                                   {request.v3_and_below_producer_id, request.v3_and_below_producer_epoch},
                                   partitions_of(request.v3_and_below_topics), /*client_version=*/0, {now, wall}, out),
                  event.version, kTwoFencings);
  wire::Arena arena;
  const wire::AddPartitionsToTxnResponse response{
      .results_by_topic_v3_and_below =
          results(request.v3_and_below_topics, arena, [&](std::string_view, std::int32_t) { return error; })};
  s.respond(event.token, response, out);
  s.arm(now, out);
}

void TransactionCoordinator::step(const events_in::VerifyPartitions& event, MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  const auto& asked = event.transaction;
  const ProducerIdAndEpoch producer{asked.producer_id, asked.producer_epoch};
  wire::Arena arena;
  const auto transactions = arena.make_span<wire::AddPartitionsToTxnResponse::AddPartitionsToTxnResult>(1);
  transactions[0].transactional_id = asked.transactional_id;
  ErrorCode error = ErrorCode::NONE;
  if (!asked.verify_only) {
    error = s.add_partitions(asked.transactional_id, producer, partitions_of(asked.topics),
                             /*client_version=*/event.version > 4 ? 2 : 0, {now, wall}, out);
  } else if (error = s.check_writer(asked.transactional_id, producer, out);
             error == ErrorCode::NONE && s.find(asked.transactional_id)->prepared()) {
    error = ErrorCode::CONCURRENT_TRANSACTIONS;
  }
  transactions[0].topic_results = results(asked.topics, arena, [&](std::string_view topic, std::int32_t partition) {
    if (error != ErrorCode::NONE || !asked.verify_only) {
      return error;
    }
    const auto& added = s.find(asked.transactional_id)->partitions;
    return added.contains({std::string(topic), partition}) ? ErrorCode::NONE : ErrorCode::TRANSACTION_ABORTABLE;
  });
  s.respond(event.token, wire::AddPartitionsToTxnResponse{.results_by_transaction = transactions}, out);
  s.arm(now, out);
}

void TransactionCoordinator::step(const events_in::AddOffsetsToTxn& event, MonoTime now, WallTime wall, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  const auto& request = event.request;
  const ErrorCode error =
      s.add_partitions(request.transactional_id, {request.producer_id, request.producer_epoch},
                       {{std::string(kOffsetsTopic), event.offsets_partition}}, /*client_version=*/0, {now, wall}, out);
  s.respond(event.token,
            wire::AddOffsetsToTxnResponse{.error_code = wire::code(for_version(error, event.version, kTwoFencings))},
            out);
  s.arm(now, out);
}

}  // namespace verdict::transaction
