#include <algorithm>
#include <utility>

#include "protocol/broker/gather.h"
#include "protocol/broker/transaction_requests.h"

// Requests of several partitions or transactions: what each coordinator says, put together.
namespace verdict::broker {
namespace {

// ---- AddPartitionsToTxn ----

constexpr int kBrokersFrom = 4;

using AddRequest = wire::AddPartitionsToTxnRequest;
using AddResponse = wire::AddPartitionsToTxnResponse;
using AddTopics = std::span<AddRequest::AddPartitionsToTxnTopic>;
using AddResults = std::span<AddResponse::AddPartitionsToTxnTopicResult>;

// One error for every partition, or `of` each.
template <class ErrorOf>
AddResults results_with(wire::Arena& arena, const AddTopics& topics, ErrorOf of) {
  const AddResults results = arena.make_span<AddResponse::AddPartitionsToTxnTopicResult>(topics.size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    results[t].name = topics[t].name;
    results[t].results_by_partition =
        arena.make_span<AddResponse::AddPartitionsToTxnPartitionResult>(topics[t].partitions.size());
    for (std::size_t p = 0; p < topics[t].partitions.size(); ++p) {
      results[t].results_by_partition[p] = {.partition_index = topics[t].partitions[p],
                                            .partition_error_code = code(of(topics[t].name, topics[t].partitions[p]))};
    }
  }
  return results;
}

// If one of the partitions does not exist nothing is added, and the others are told that they weren't tried.
std::optional<AddResults> unknown_partitions(wire::Arena& arena, const protocol::MetadataImage& image,
                                             const AddTopics& topics) {
  bool unknown = false;
  const AddResults results = results_with(arena, topics, [&](std::string_view name, std::int32_t index) {
    const protocol::TopicImage* topic = image.topic(name);
    if (topic != nullptr && topic->partitions.contains(index)) return ErrorCode::OPERATION_NOT_ATTEMPTED;
    unknown = true;
    return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
  });
  return unknown ? std::optional(results) : std::nullopt;
}

// A request of brokers: one coordinator each transaction, one answer.
struct Gathered {
  ExchangePtr exchange;
  AddRequest request;
  AddResponse response;
  std::vector<std::shared_ptr<wire::Message<AddResponse>>> parts;  // what the response points to
  std::size_t missing = 0;

  void done() {
    if (--missing == 0) exchange->respond(response);
  }
};

}  // namespace

void TransactionRequests::add_partitions(const ExchangePtr& exchange) {
  if (exchange->version() < kBrokersFrom) return add_to_one(exchange);
  add_to_each(exchange);
}

void TransactionRequests::add_to_one(const ExchangePtr& exchange) {
  const auto request = std::make_shared<AddRequest>();
  if (!exchange->decode(*request)) return;
  const AddTopics topics = request->v3_and_below_topics;
  if (const auto unknown = unknown_partitions(exchange->arena(), context_->image, topics)) {
    AddResponse response;
    response.results_by_topic_v3_and_below = *unknown;
    return exchange->respond(response);
  }
  const TransactionPartition::Answer answer = [exchange, topics](std::expected<transaction::Response, ErrorCode> said) {
    if (said) return exchange->respond(std::get<wire::Message<AddResponse>>(*said).value);
    AddResponse response;
    response.results_by_topic_v3_and_below =
        results_with(exchange->arena(), topics, [&](std::string_view, std::int32_t) { return said.error(); });
    exchange->respond(response);
  };
  set_.ask(
      request->v3_and_below_transactional_id,
      [&](transaction::Token token) {
        return transaction::events_in::AddPartitionsToTxn{
            .token = token, .version = exchange->version(), .request = *request};
      },
      answer);
}

void TransactionRequests::add_to_each(const ExchangePtr& exchange) {
  const auto gathered = std::make_shared<Gathered>();
  gathered->exchange = exchange;
  if (!exchange->decode(gathered->request)) return;
  const auto& transactions = gathered->request.transactions;
  gathered->missing = transactions.size();
  gathered->response.results_by_transaction =
      exchange->arena().make_span<AddResponse::AddPartitionsToTxnResult>(transactions.size());
  if (transactions.empty()) return exchange->respond(gathered->response);
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    const auto& wanted = transactions[i];
    AddResponse::AddPartitionsToTxnResult& result = gathered->response.results_by_transaction[i];
    result.transactional_id = wanted.transactional_id;
    if (const auto unknown = unknown_partitions(exchange->arena(), context_->image, wanted.topics)) {
      result.topic_results = *unknown;
      gathered->done();
      continue;
    }
    const TransactionPartition::Answer answer = [gathered, i](std::expected<transaction::Response, ErrorCode> said) {
      AddResponse::AddPartitionsToTxnResult& into = gathered->response.results_by_transaction[i];
      if (said) {
        auto part =
            std::make_shared<wire::Message<AddResponse>>(std::move(std::get<wire::Message<AddResponse>>(*said)));
        if (!part->value.results_by_transaction.empty()) into = part->value.results_by_transaction[0];
        gathered->parts.push_back(std::move(part));
      } else {
        into.topic_results = results_with(gathered->exchange->arena(), gathered->request.transactions[i].topics,
                                          [&](std::string_view, std::int32_t) { return said.error(); });
      }
      gathered->done();
    };
    set_.ask(
        wanted.transactional_id,
        [&](transaction::Token token) {
          return transaction::events_in::VerifyPartitions{
              .token = token, .version = exchange->version(), .transaction = wanted};
        },
        answer);
  }
}

// ---- DescribeTransactions, ListTransactions ----
namespace {

using DescribeResponse = wire::DescribeTransactionsResponse;
using ListResponse = wire::ListTransactionsResponse;

using DescribeGather = Gather<wire::DescribeTransactionsRequest, DescribeResponse>;
using ListGather = Gather<wire::ListTransactionsRequest, ListResponse>;

void finish_describe(DescribeGather& gather) {
  std::vector<DescribeResponse::TransactionState> states;
  for (const auto& part : gather.parts) {
    if (part == nullptr) continue;
    states.insert(states.end(), part->value.transaction_states.begin(), part->value.transaction_states.end());
  }
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] != nullptr) continue;
    DescribeResponse::TransactionState& state = states.emplace_back();
    state.transactional_id = gather.request.transactional_ids[i];
    state.error_code = code(gather.errors[i]);
  }
  DescribeResponse response;
  response.transaction_states = gather.exchange->arena().copy_span<DescribeResponse::TransactionState>(states);
  gather.exchange->respond(response);
}

void finish_list(ListGather& gather) {
  std::vector<ListResponse::TransactionState> states;
  ListResponse response;
  for (const auto& part : gather.parts) {
    if (part == nullptr) continue;
    states.insert(states.end(), part->value.transaction_states.begin(), part->value.transaction_states.end());
    response.unknown_state_filters = part->value.unknown_state_filters;
    if (response.error_code == 0) response.error_code = part->value.error_code;
  }
  const auto refused = std::ranges::find_if(gather.errors, [](ErrorCode error) { return error != ErrorCode::NONE; });
  if (refused != gather.errors.end()) response.error_code = code(*refused);
  response.transaction_states = gather.exchange->arena().copy_span<ListResponse::TransactionState>(states);
  gather.exchange->respond(response);
}

}  // namespace

void TransactionRequests::describe(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_describe);
  if (gather == nullptr) return;
  for (const std::string_view id : gather->request.transactional_ids) {
    set_.ask(
        id,
        [&](transaction::Token token) {
          return transaction::events_in::DescribeTransactions{
              .token = token, .version = exchange->version(), .transactional_id = id};
        },
        part_of(gather));
  }
  gather->done();
}

// What this broker coordinates; while a partition of it loads, Kafka asks to come again.
void TransactionRequests::list(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_list);
  if (gather == nullptr) return;
  set_.ask_each(
      [&](transaction::Token token) {
        return transaction::events_in::ListTransactions{
            .token = token, .version = exchange->version(), .request = gather->request};
      },
      [&] { return part_of(gather); });
  gather->done();
}

}  // namespace verdict::broker
