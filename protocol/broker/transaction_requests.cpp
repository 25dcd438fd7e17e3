#include "protocol/broker/transaction_requests.h"

#include <fmt/format.h>

#include <type_traits>
#include <utility>

#include "protocol/broker/coordinators.h"
#include "protocol/metadata_records.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "TransactionCoordinator";

// Answers an exchange with what the machine says, or with an answer that holds an error alone.
template <class Response>
TransactionPartition::Answer answer_to(const ExchangePtr& exchange) {
  return [exchange](std::expected<transaction::Response, ErrorCode> answer) {
    if (answer) return exchange->respond(std::get<wire::Message<Response>>(*answer).value);
    Response response;
    response.error_code = code(answer.error());
    if constexpr (std::is_same_v<Response, wire::InitProducerIdResponse>) response.producer_epoch = -1;
    exchange->respond(response);
  };
}

}  // namespace

// ---- one partition ----

std::expected<void, std::string> TransactionPartition::replay(const storage::RecordView& record,
                                                              const std::optional<CoordinatorProducer>&) {
  if (!record.key) return std::unexpected(std::string("a record without a key"));
  return machine().replay(*record.key, record.value, WallTime(std::chrono::milliseconds(record.timestamp)));
}

void TransactionPartition::feature_changed(std::int16_t transaction_version) {
  if (state() == State::active) step(transaction::events_in::FeatureChanged{transaction_version});
}

void TransactionPartition::run(const transaction::effects::Append& effect) { append(effect.records, std::nullopt); }

void TransactionPartition::run(transaction::effects::SendMarkers effect) {
  const auto sent = std::make_shared<transaction::effects::SendMarkers>(std::move(effect));
  when_committed([this, sent] {
    const storage::TxnMarker marker{.producer_id = ProducerId(sent->producer_id),
                                    .producer_epoch = ProducerEpoch(sent->producer_epoch),
                                    .coordinator_epoch = sent->coordinator_epoch,
                                    .commit = sent->commit};
    const auto partition = self();
    markers_->send(marker, sent->partitions, [partition, sent](const MarkerSender::Results& results) {
      partition->markers_answered(*sent, results);
    });
  });
}

void TransactionPartition::markers_answered(const transaction::effects::SendMarkers& sent,
                                            const MarkerSender::Results& results) {
  if (state() != State::active) return;
  transaction::events_in::MarkersWritten written{.transactional_id = sent.transactional_id,
                                                 .producer_id = sent.producer_id,
                                                 .producer_epoch = sent.producer_epoch,
                                                 .partitions = {}};
  for (const auto& [at, error] : results) {
    written.partitions.push_back({.partition = at,
                                  .outcome = error == MarkerSender::kGone ? transaction::MarkerOutcome::gone
                                                                          : transaction::marker_outcome(error)});
  }
  step_after(std::move(written));
}

void TransactionPartition::run(const transaction::effects::AllocateProducerId& effect) {
  step_after(transaction::events_in::ProducerIdAllocated{.transactional_id = effect.transactional_id,
                                                         .producer_id = ids_->next()});
}

void TransactionPartition::run(const transaction::effects::Log& effect) {
  runtime().log(effect.warning ? LogLevel::warn : LogLevel::info, kLogger, effect.text);
}

void TransactionPartition::run(const transaction::effects::Decided& effect) {
  if (state() != State::active) return;  // its record could not be appended
  partition()->announce(protocol::events::TransactionDecided{.coordinator = partition()->key(),
                                                             .offset = partition()->log_end() - 1,
                                                             .transactional_id = effect.transactional_id,
                                                             .producer_id = effect.producer_id,
                                                             .producer_epoch = effect.producer_epoch,
                                                             .ended_epoch = effect.ended_epoch,
                                                             .commit = effect.commit,
                                                             .cause = effect.cause,
                                                             .open_ms = effect.open_ms,
                                                             .timeout_ms = effect.timeout_ms,
                                                             .version = effect.version});
}

// ---- requests ----

TransactionRequests::TransactionRequests(BrokerContext& context)
    : context_(&context),
      markers_(context.runtime, context.config, context.image),
      set_(context, CoordinatorType::transaction,
           [this](CoordinatorPartition::Context shell, PartitionPtr partition, LeaderEpoch epoch) {
             transaction::TransactionCoordinator::Options options;
             const protocol::BrokerConfig& config = context_->config;
             options.transaction_max_timeout = config.duration_ms("transaction.max.timeout.ms");
             options.transactional_id_expiration = config.duration_ms("transactional.id.expiration.ms");
             options.abort_timed_out_interval =
                 config.duration_ms("transaction.abort.timed.out.transaction.cleanup.interval.ms");
             options.remove_expired_interval =
                 config.duration_ms("transaction.remove.expired.transaction.cleanup.interval.ms");
             options.coordinator_epoch = epoch.value();
             options.transaction_version = protocol::feature_level(context_->image, protocol::kTransactionFeature);
             options.defects = context_->runtime.defects();
             options.partition = partition->key();
             return std::make_shared<TransactionPartition>(std::move(shell), std::move(partition), epoch,
                                                           std::move(options), markers_, context_->producer_ids,
                                                           context_->observer);
           }) {}

Task<void> TransactionRequests::stop() {
  set_.drop_all();
  co_await markers_.stop();
  co_await set_.stop();
}

void TransactionRequests::features_changed() {
  const std::int16_t version = protocol::feature_level(context_->image, protocol::kTransactionFeature);
  set_.each([&](TransactionPartition& partition) { partition.feature_changed(version); });
}

void TransactionRequests::init_producer_id(const ExchangePtr& exchange, const wire::InitProducerIdRequest& request) {
  const auto answer = answer_to<wire::InitProducerIdResponse>(exchange);
  set_.ask(
      request.transactional_id.value_or(std::string_view()),
      [&](transaction::Token token) {
        return transaction::events_in::InitProducerId{
            .token = token, .version = exchange->version(), .request = request};
      },
      answer);
}

void TransactionRequests::add_offsets(const ExchangePtr& exchange) {
  wire::AddOffsetsToTxnRequest request;
  if (!exchange->decode(request)) return;
  const auto answer = answer_to<wire::AddOffsetsToTxnResponse>(exchange);
  const auto found = set_.of(request.transactional_id);
  if (!found) return answer(std::unexpected(found.error()));
  const auto group = broker::coordinator_of(CoordinatorType::group, request.group_id, context_->image);
  if (!group) return answer(std::unexpected(ErrorCode::COORDINATOR_NOT_AVAILABLE));
  (*found)->ask(
      [&](transaction::Token token) {
        return transaction::events_in::AddOffsetsToTxn{
            .token = token, .version = exchange->version(), .request = request, .offsets_partition = group->index};
      },
      answer);
}

void TransactionRequests::end(const ExchangePtr& exchange) {
  wire::EndTxnRequest request;
  if (!exchange->decode(request)) return;
  const auto answer = answer_to<wire::EndTxnResponse>(exchange);
  set_.ask(
      request.transactional_id,
      [&](transaction::Token token) {
        return transaction::events_in::EndTxn{.token = token, .version = exchange->version(), .request = request};
      },
      answer);
}

}  // namespace verdict::broker
