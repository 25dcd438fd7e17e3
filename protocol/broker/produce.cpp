#include "protocol/broker/produce.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "protocol/broker/coordinators.h"
#include "protocol/broker/leader_endpoints.h"
#include "protocol/broker/produce_errors.h"
#include "protocol/wire/gen/produce.h"

namespace verdict::broker {
namespace {

using Request = wire::ProduceRequest;
using Response = wire::ProduceResponse;
using PartAnswer = Response::PartitionProduceResponse;

constexpr int kIdsFrom = 13;
constexpr int kCurrentLeaderFrom = 10;
constexpr int kZstdFrom = 7;
constexpr int kAbortableFrom = 11;
constexpr int kAddsFrom = 12;  // transactions of version two
constexpr std::int16_t kAll = -1;
constexpr std::string_view kAdminClient = "__admin_client";
constexpr std::string_view kNotAdded = "Partition was not added to the transaction";

// Kafka drops bytes behind the batch that are no whole batch themselves.
bool begins_batch(storage::Bytes rest) {
  constexpr std::size_t kLengthAt = 8;
  constexpr std::size_t kMagicEnd = 17;
  if (rest.size() < kMagicEnd) return false;
  const auto length = storage::load_be<std::int32_t>(rest.data() + kLengthAt);
  return length < 0 || rest.size() >= static_cast<std::size_t>(length) + storage::kBatchOverhead;
}

// One request on its way; lives in the handler's frame.
struct Job {
  BrokerContext& context;
  Exchange& exchange;
  Request request;
  Response response;
  ProduceWait wait;
  std::vector<PartAnswer*> answers;  // beside wait.parts
  bool failed = false;
  std::vector<NodeId> leaders_named;
  // Partitions whose first batch of a transaction this is: what the coordinator says, and how many markers of the
  // producer the partition had met when it was asked.
  struct Verified {
    PartitionPtr partition;
    ProducerId producer_id;
    ErrorCode error = ErrorCode::NONE;
    std::uint32_t markers = 0;
  };
  std::map<TopicPartition, Verified> verified;

  Job(BrokerContext& of, Exchange& from) : context(of), exchange(from), wait(of.runtime) {}
  void refuse(PartAnswer& answer, ErrorCode error, std::optional<std::string_view> why);
  void refuse_batch(PartAnswer& answer, Partition& partition, storage::BatchError fault, storage::Bytes batch);
  void name_leader(PartAnswer& answer, const PartitionKey& key);
  bool by_id() const { return exchange.version() >= kIdsFrom; }
  bool is_kept_from_clients(std::string_view topic) const;
  void refuse_unfound(const Request::TopicProduceData& topic, PartAnswer& answer, ErrorCode error);
  std::vector<TopicPartition> unverified(TransactionClaim& claim);
  ErrorCode verdict_on(const Partition& partition, const storage::BatchHeader& header) const;
  void append(const Request::TopicProduceData& topic, const Request::PartitionProduceData& data, PartAnswer& answer);
  void append_all();
  void refuse_all(ErrorCode error);
  bool transactional() const;
  void settle(std::size_t part);
  void answer();
};

void Job::refuse(PartAnswer& answer, ErrorCode error, std::optional<std::string_view> why) {
  failed = true;
  answer.error_code = static_cast<std::int16_t>(error);
  answer.base_offset = -1;
  answer.log_append_time_ms = -1;
  answer.log_start_offset = -1;
  answer.error_message = why;
}

void Job::refuse_batch(PartAnswer& answer, Partition& partition, storage::BatchError fault, storage::Bytes batch) {
  wire::Arena& arena = exchange.arena();
  const BatchRefusal why =
      refusal_of(fault, batch, partition.name(), partition.rules(), context.replicas.decompressor());
  refuse(answer, why.error, why.message ? std::optional(arena.copy(*why.message)) : std::nullopt);
  if (why.names_log_start) answer.log_start_offset = partition.log().log_start().value();
  answer.record_errors = arena.make_span<Response::BatchIndexAndErrorMessage>(why.records.size());
  for (std::size_t i = 0; i < why.records.size(); ++i) {
    answer.record_errors[i] = {.batch_index = why.records[i].first,
                               .batch_index_error_message = arena.copy(why.records[i].second)};
  }
}

// KIP-951: who leads instead.
void Job::name_leader(PartAnswer& answer, const PartitionKey& key) {
  const protocol::PartitionRegistration* registration = context.image.partition(key);
  if (registration == nullptr || exchange.version() < kCurrentLeaderFrom) return;
  answer.current_leader = {.leader_id = registration->leader.value(),
                           .leader_epoch = registration->leader_epoch.value()};
  leaders_named.push_back(registration->leader);
}

// Internal topics are the brokers' own; Kafka makes an exception of its admin client.
bool Job::is_kept_from_clients(std::string_view topic) const {
  return is_internal_topic(topic) && exchange.client_id() != kAdminClient;
}

// Of a partition that is not here.
void Job::refuse_unfound(const Request::TopicProduceData& topic, PartAnswer& answer, ErrorCode error) {
  const protocol::TopicImage* known = by_id() ? context.image.topic(topic.topic_id) : context.image.topic(topic.name);
  if (known != nullptr && known->partitions.contains(answer.index) && is_kept_from_clients(known->name))
    return refuse(answer, ErrorCode::INVALID_TOPIC_EXCEPTION, std::nullopt);
  refuse(answer, error, std::nullopt);
  if (error == ErrorCode::NOT_LEADER_OR_FOLLOWER && known != nullptr)
    name_leader(answer, {.topic = known->id, .index = answer.index});
}

void Job::append(const Request::TopicProduceData& topic, const Request::PartitionProduceData& data,
                 PartAnswer& answer) {
  answer.index = data.index;
  const auto found = locate(context, topic.name, topic.topic_id, data.index, by_id());
  if (!found) return refuse_unfound(topic, answer, found.error());
  if (is_kept_from_clients((*found)->topic())) return refuse(answer, ErrorCode::INVALID_TOPIC_EXCEPTION, std::nullopt);
  storage::Bytes records = data.records.bytes();
  const auto header = storage::parse_header(records);
  if (header && header->codec() == storage::Codec::zstd && exchange.version() < kZstdFrom) {
    refuse(answer, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, std::nullopt);
    return;
  }
  if (records.empty()) {
    refuse(answer, ErrorCode::INVALID_RECORD, std::nullopt);
    return;
  }
  if (const ErrorCode error = header ? verdict_on(**found, *header) : ErrorCode::NONE; error != ErrorCode::NONE) {
    const bool unknown = error == ErrorCode::INVALID_TXN_STATE;
    return refuse(answer, error, unknown ? std::optional(kNotAdded) : std::nullopt);
  }
  if (header && records.size() > header->size() && !begins_batch(records.subspan(header->size())))
    records = records.first(header->size());
  // The frame is this exchange's own: its batches are stamped where they lie.
  const auto offset = static_cast<std::size_t>(records.data() - exchange.frame().data());
  const std::span<std::byte> batch = exchange.frame().subspan(offset, records.size());

  ProduceWait::Part& part = context.replicas.begin_wait(wait, *found);
  answers.push_back(&answer);
  const ProduceOutcome outcome = (*found)->produce(batch, request.acks, part.waiter);
  if (!outcome.waits) {
    wait.refuse(part, outcome.error);
    if (outcome.invalid) {
      refuse_batch(answer, **found, *outcome.invalid, batch);
    } else {
      refuse(answer, outcome.error, std::nullopt);
      if (outcome.error == ErrorCode::NOT_ENOUGH_REPLICAS) {
        answer.log_start_offset = (*found)->log().log_start().value();
      } else {
        answer.log_start_offset = outcome.log_start.value();
      }
    }
    if (outcome.error == ErrorCode::NOT_LEADER_OR_FOLLOWER) name_leader(answer, (*found)->key());
    return;
  }
  answer.log_append_time_ms = outcome.append_time_ms;
}

// Of transactional batches those whose partition has no open transaction of their producer.
std::vector<TopicPartition> Job::unverified(TransactionClaim& claim) {
  std::vector<TopicPartition> partitions;
  for (const Request::TopicProduceData& topic : request.topic_data) {
    for (const Request::PartitionProduceData& data : topic.partition_data) {
      const auto header = storage::parse_header(data.records.bytes());
      if (!header || !header->transactional() || header->producer_id <= kNoProducerId) continue;
      const auto found = locate(context, topic.name, topic.topic_id, data.index, by_id());
      if (!found) continue;
      if ((*found)->in_transaction(header->producer_id, header->producer_epoch)) continue;
      claim.producer_id = header->producer_id.value();
      claim.producer_epoch = header->producer_epoch.value();
      const TopicPartition at{.topic = (*found)->topic(), .partition = data.index};
      (*found)->verifying(*header, claim.adds);
      verified[at] = {.partition = *found, .producer_id = header->producer_id, .error = ErrorCode::INVALID_TXN_STATE};
      partitions.push_back(at);
    }
  }
  return partitions;
}

// A transaction that was ended since the coordinator was asked is over (KAFKA-14884).
ErrorCode Job::verdict_on(const Partition& partition, const storage::BatchHeader& header) const {
  if (verified.empty() || !header.transactional()) return ErrorCode::NONE;
  const auto at = verified.find({.topic = partition.topic(), .partition = partition.key().index});
  if (at == verified.end()) return ErrorCode::NONE;
  if (at->second.error == ErrorCode::NONE && partition.markers_of(header.producer_id) != at->second.markers) {
    context.runtime.mark(Mark::VerificationOutlived);
    if (!context.runtime.defects().has(Defect::Kafka14884)) [[likely]]
      return ErrorCode::INVALID_TXN_STATE;
    context.runtime.mark(Mark::DefectKafka14884);
  }
  if (at->second.error == ErrorCode::INVALID_PRODUCER_EPOCH) context.runtime.mark(Mark::LateTransactionalBatch);
  return at->second.error;
}

void Job::append_all() {
  // Of a partition that is named twice the last batch counts, and it is answered once.
  std::set<std::tuple<std::string_view, Uuid, std::int32_t>> seen;
  std::vector<std::vector<const Request::PartitionProduceData*>> chosen(request.topic_data.size());
  for (std::size_t i = request.topic_data.size(); i-- > 0;) {
    const Request::TopicProduceData& topic = request.topic_data[i];
    for (std::size_t k = topic.partition_data.size(); k-- > 0;) {
      const Request::PartitionProduceData& data = topic.partition_data[k];
      if (seen.emplace(topic.name, topic.topic_id, data.index).second) chosen[i].push_back(&data);
    }
    std::ranges::reverse(chosen[i]);
  }
  response.responses = exchange.arena().make_span<Response::TopicProduceResponse>(request.topic_data.size());
  wait.parts.reserve(seen.size());
  answers.reserve(seen.size());
  for (std::size_t i = 0; i < request.topic_data.size(); ++i) {
    const Request::TopicProduceData& topic = request.topic_data[i];
    Response::TopicProduceResponse& out = response.responses[i];
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    out.partition_responses = exchange.arena().make_span<PartAnswer>(chosen[i].size());
    for (std::size_t k = 0; k < chosen[i].size(); ++k) append(topic, *chosen[i][k], out.partition_responses[k]);
  }
}

void Job::refuse_all(ErrorCode error) {
  response.responses = exchange.arena().make_span<Response::TopicProduceResponse>(request.topic_data.size());
  for (std::size_t i = 0; i < request.topic_data.size(); ++i) {
    const Request::TopicProduceData& topic = request.topic_data[i];
    Response::TopicProduceResponse& out = response.responses[i];
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    out.partition_responses = exchange.arena().make_span<PartAnswer>(topic.partition_data.size());
    for (std::size_t k = 0; k < topic.partition_data.size(); ++k) {
      out.partition_responses[k].index = topic.partition_data[k].index;
      refuse(out.partition_responses[k], error, std::nullopt);
    }
  }
}

bool Job::transactional() const {
  for (const Request::TopicProduceData& topic : request.topic_data) {
    for (const Request::PartitionProduceData& data : topic.partition_data) {
      const auto header = storage::parse_header(data.records.bytes());
      if (header && header->transactional()) return true;
    }
  }
  return false;
}

void Job::settle(std::size_t index) {
  const ProduceWait::Part& part = wait.parts[index];
  context.replicas.end_wait(part.waiter);
  PartAnswer& answer = *answers[index];
  if (answer.error_code != 0) return;
  if (part.error != ErrorCode::NONE) {
    refuse(answer, part.error, std::nullopt);
    if (part.error == ErrorCode::NOT_LEADER_OR_FOLLOWER) name_leader(answer, part.partition->key());
    return;
  }
  answer.base_offset = part.base.value();
  answer.log_start_offset = part.log_start.value();
}

// With acks=0 a client learns of a refusal by its connection's end.
void Job::answer() {
  if (request.acks == 0)
    return failed ? exchange.close("a produce request with acks=0 failed") : exchange.finish_silently();
  const auto endpoints = leader_endpoints<Response::NodeEndpoint>(std::move(leaders_named), context.image,
                                                                  exchange.connection().listener());
  response.node_endpoints = exchange.arena().copy_span<Response::NodeEndpoint>(endpoints);
  exchange.respond(response);
}

}  // namespace

Task<void> handle_produce(BrokerContext* context, ExchangePtr exchange) {
  Job job(*context, *exchange);
  if (!exchange->decode(job.request)) co_return;
  const std::int16_t acks = job.request.acks;
  const MonoTime deadline = context->runtime.now() + from_ms(std::max(job.request.timeout_ms, 0));
  if (acks < kAll || acks > 1) {
    job.refuse_all(ErrorCode::INVALID_REQUIRED_ACKS);
    co_return job.answer();
  }
  if (!job.request.transactional_id && job.transactional()) {
    job.refuse_all(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    co_return job.answer();
  }
  TransactionClaim claim{.transactional_id = std::string(job.request.transactional_id.value_or(std::string_view())),
                         .adds = exchange->version() >= kAddsFrom,
                         .knows_abortable = exchange->version() >= kAbortableFrom};
  const bool in_line = job.request.transactional_id && context->verifier.wanted(claim);
  const std::uint64_t ticket = in_line ? context->verifier.enter(claim.transactional_id) : 0;
  if (in_line) {
    co_await context->verifier.turn(claim.transactional_id, ticket, deadline);
    const std::vector<TopicPartition> partitions = job.unverified(claim);
    if (!partitions.empty()) {
      const auto asks = [&] {
        for (auto& [at, one] : job.verified) one.markers = one.partition->markers_of(one.producer_id);
      };
      const auto results = co_await context->verifier.verify(claim, partitions, deadline, asks);
      for (const auto& [at, error] : results) job.verified[at].error = error;
    }
  }
  job.append_all();
  if (in_line) context->verifier.leave(claim.transactional_id, ticket);
  while (job.wait.unfinished != 0) {
    const bool notified = co_await job.wait.done.wait_until(deadline);
    if (notified || job.wait.unfinished == 0) continue;
    for (std::size_t i = 0; i < job.wait.parts.size(); ++i) {
      const ProduceWait::Part part = job.wait.parts[i];
      if (!part.finished) part.partition->expire(part.waiter);
    }
  }
  for (std::size_t i = 0; i < job.wait.parts.size(); ++i) job.settle(i);
  job.answer();
}

}  // namespace verdict::broker
