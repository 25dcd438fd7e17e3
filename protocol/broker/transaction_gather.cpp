#include <utility>

#include "protocol/broker/coordinators.h"
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
  const auto found = coordinator_of(request->v3_and_below_transactional_id);
  if (!found) return answer(std::unexpected(found.error()));
  (*found)->ask(
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
    const auto found = coordinator_of(wanted.transactional_id);
    if (!found) {
      answer(std::unexpected(found.error()));
      continue;
    }
    (*found)->ask(
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

template <class Request, class Response>
struct Merging {
  ExchangePtr exchange;
  Request request;
  std::vector<std::shared_ptr<wire::Message<Response>>> parts;
  std::vector<std::pair<std::string_view, ErrorCode>> refused;
  std::size_t missing = 1;  // the last is its maker's own
};

void finish(Merging<wire::DescribeTransactionsRequest, DescribeResponse>& merging) {
  if (--merging.missing != 0) return;
  std::vector<DescribeResponse::TransactionState> states;
  for (const auto& part : merging.parts)
    states.insert(states.end(), part->value.transaction_states.begin(), part->value.transaction_states.end());
  for (const auto& [id, error] : merging.refused) {
    DescribeResponse::TransactionState& state = states.emplace_back();
    state.transactional_id = id;
    state.error_code = code(error);
  }
  DescribeResponse response;
  response.transaction_states = merging.exchange->arena().copy_span<DescribeResponse::TransactionState>(states);
  merging.exchange->respond(response);
}

void finish(Merging<wire::ListTransactionsRequest, ListResponse>& merging) {
  if (--merging.missing != 0) return;
  std::vector<ListResponse::TransactionState> states;
  ListResponse response;
  for (const auto& part : merging.parts) {
    states.insert(states.end(), part->value.transaction_states.begin(), part->value.transaction_states.end());
    response.unknown_state_filters = part->value.unknown_state_filters;
    if (response.error_code == 0) response.error_code = part->value.error_code;
  }
  if (!merging.refused.empty()) response.error_code = code(merging.refused.front().second);
  response.transaction_states = merging.exchange->arena().copy_span<ListResponse::TransactionState>(states);
  merging.exchange->respond(response);
}

template <class Request, class Response>
TransactionPartition::Answer part_of(std::shared_ptr<Merging<Request, Response>> merging, std::string_view id) {
  ++merging->missing;
  return [merging, id](std::expected<transaction::Response, ErrorCode> said) {
    if (said) {
      merging->parts.push_back(
          std::make_shared<wire::Message<Response>>(std::move(std::get<wire::Message<Response>>(*said))));
    } else {
      merging->refused.emplace_back(id, said.error());
    }
    finish(*merging);
  };
}

}  // namespace

void TransactionRequests::describe(const ExchangePtr& exchange) {
  const auto merging = std::make_shared<Merging<wire::DescribeTransactionsRequest, DescribeResponse>>();
  merging->exchange = exchange;
  if (!exchange->decode(merging->request)) return;
  for (const std::string_view id : merging->request.transactional_ids) {
    const TransactionPartition::Answer answer = part_of(merging, id);
    const auto found = coordinator_of(id);
    if (!found) {
      answer(std::unexpected(found.error()));
      continue;
    }
    (*found)->ask(
        [&](transaction::Token token) {
          return transaction::events_in::DescribeTransactions{
              .token = token, .version = exchange->version(), .transactional_id = id};
        },
        answer);
  }
  finish(*merging);
}

// What this broker coordinates; while a partition of it loads, Kafka asks to come again.
void TransactionRequests::list(const ExchangePtr& exchange) {
  const auto merging = std::make_shared<Merging<wire::ListTransactionsRequest, ListResponse>>();
  merging->exchange = exchange;
  if (!exchange->decode(merging->request)) return;
  for (const auto& [index, coordinator] : std::map(set_.all())) {
    const TransactionPartition::Answer answer = part_of(merging, {});
    if (const ErrorCode refusal = coordinator->refusal(); refusal != ErrorCode::NONE) {
      answer(std::unexpected(refusal));
      continue;
    }
    std::static_pointer_cast<TransactionPartition>(coordinator)
        ->ask(
            [&](transaction::Token token) {
              return transaction::events_in::ListTransactions{
                  .token = token, .version = exchange->version(), .request = merging->request};
            },
            answer);
  }
  finish(*merging);
}

}  // namespace verdict::broker
