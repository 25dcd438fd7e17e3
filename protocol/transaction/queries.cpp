// DescribeTransactions and ListTransactions (KIP-664, 994, 1152).
#include <algorithm>
#include <utility>

#include "protocol/transaction/pattern.h"
#include "protocol/transaction/state.h"
#include "runtime/assert.h"

namespace verdict::transaction {
namespace {

using Described = wire::DescribeTransactionsResponse::TransactionState;
using TopicData = wire::DescribeTransactionsResponse::TopicData;
using Listed = wire::ListTransactionsResponse::TransactionState;

Described describe(const Transaction& t, wire::Arena& arena) {
  const auto topics = by_topic(t.partitions);
  const auto out = arena.make_span<TopicData>(topics.size());
  std::size_t n = 0;
  for (const auto& [topic, partitions] : topics) {
    out[n].topic = topic;
    out[n++].partitions = arena.copy_span<std::int32_t>(partitions);
  }
  return {.transaction_state = name_of(t.state),
          .transaction_timeout_ms = t.timeout_ms,
          .transaction_start_time_ms = t.start_ms,
          .producer_id = t.producer_id,
          .producer_epoch = t.producer_epoch,
          .topics = out};
}

}  // namespace

void TransactionCoordinator::step(const events_in::DescribeTransactions& event, MonoTime, WallTime, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  wire::Arena arena;
  const auto states = arena.make_span<Described>(1);
  if (event.transactional_id.empty()) {
    states[0].error_code = wire::code(ErrorCode::INVALID_REQUEST);
  } else if (const Transaction* t = s.find(event.transactional_id); t == nullptr) {
    states[0].error_code = wire::code(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
  } else {
    states[0] = describe(*t, arena);
  }
  states[0].transactional_id = event.transactional_id;
  s.respond(event.token, wire::DescribeTransactionsResponse{.transaction_states = states}, out);
}

void TransactionCoordinator::step(const events_in::ListTransactions& event, MonoTime, WallTime wall, Effects& out) {
  State& s = *state_;
  VERDICT_ASSERT(s.loaded);
  const wire::ListTransactionsRequest& request = event.request;
  const auto pattern = Pattern::parse(request.transactional_id_pattern.value_or(std::string_view{}));
  if (!pattern) {
    s.log(out, true,
          "ListTransactions: a pattern that is not supported: " + std::string(*request.transactional_id_pattern));
    s.respond(event.token,
              wire::ListTransactionsResponse{.error_code = wire::code(ErrorCode::INVALID_REGULAR_EXPRESSION)}, out);
    return;
  }
  std::set<TransactionState> wanted;
  std::vector<std::string_view> unknown;
  for (const std::string_view name : request.state_filters) {
    if (const auto state = find_state(name)) {
      wanted.insert(*state);
    } else {
      unknown.push_back(name);
    }
  }
  const bool by_pattern = !request.transactional_id_pattern.value_or(std::string_view{}).empty();
  std::vector<Listed> listed;
  for (const auto& [id, t] : s.transactions) {
    const std::int64_t duration_ms = to_ms(wall) - t.start_ms;
    if ((!request.producer_id_filters.empty() &&
         std::ranges::find(request.producer_id_filters, t.producer_id) == request.producer_id_filters.end()) ||
        (!request.state_filters.empty() && !wanted.contains(t.state)) ||
        (request.duration_filter >= 0 && duration_ms <= request.duration_filter) ||
        (by_pattern && !pattern->matches(id))) {
      continue;
    }
    listed.push_back({.transactional_id = id, .producer_id = t.producer_id, .transaction_state = name_of(t.state)});
  }
  s.respond(event.token, wire::ListTransactionsResponse{.unknown_state_filters = unknown, .transaction_states = listed},
            out);
}

}  // namespace verdict::transaction
