#include "tests/unit/transaction/harness.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace verdict::transaction {
namespace {

// AddPartitionsToTxn's topics, from pairs.
struct Topics {
  explicit Topics(const std::vector<TopicPartition>& partitions) {
    for (const TopicPartition& one : partitions) {
      numbers[one.topic].push_back(one.partition);
    }
    for (auto& [name, list] : numbers) {
      topics.push_back({.name = name, .partitions = list});
    }
  }
  std::map<std::string, std::vector<std::int32_t>> numbers;
  std::vector<wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic> topics;
};

std::vector<ErrorCode> errors_of(std::span<wire::AddPartitionsToTxnResponse::AddPartitionsToTxnTopicResult> topics) {
  std::vector<ErrorCode> out;
  for (const auto& topic : topics) {
    for (const auto& partition : topic.results_by_partition) {
      out.push_back(wire::error_from_code(partition.partition_error_code));
    }
  }
  return out;
}

}  // namespace

Harness::Harness(std::int16_t transaction_version) {
  options.transaction_version = transaction_version;
  options.coordinator_epoch = -1;
  fail_over();
}

void Harness::fail_over() {
  ++options.coordinator_epoch;
  coordinator_ = std::make_unique<TransactionCoordinator>(options, &feed);
  markers.clear();
  allocations.clear();
  timer.reset();
  for (const LogRecord& record : log) {
    std::optional<std::span<const std::byte>> value;
    if (record.value) {
      value = *record.value;
    }
    const auto done = coordinator_->replay(record.key, value, wall);
    EXPECT_TRUE(done) << done.error();
  }
  Effects effects;
  coordinator_->loaded(now, wall, effects);
  carry_out(effects);
}

template <class Event>
void Harness::step(const Event& event) {
  Effects effects;
  coordinator_->step(event, now, wall, effects);
  carry_out(effects);
}

void Harness::carry_out(Effects& effects) {
  for (Effect& effect : effects.list) {
    if (auto* append = std::get_if<effects::Append>(&effect)) {
      batches.push_back(append->records.size());
      std::ranges::move(append->records, std::back_inserter(log));
    } else if (auto* respond = std::get_if<effects::Respond>(&effect)) {
      EXPECT_TRUE(responses_.emplace(respond->token, std::move(respond->response)).second) << "two answers";
    } else if (auto* send = std::get_if<effects::SendMarkers>(&effect)) {
      EXPECT_EQ(send->coordinator_epoch, options.coordinator_epoch);
      markers.push_back(std::move(*send));
    } else if (auto* allocate = std::get_if<effects::AllocateProducerId>(&effect)) {
      allocations.push_back(allocate->transactional_id);
    } else if (auto* arm = std::get_if<effects::ArmTimer>(&effect)) {
      timer = arm->when;
    } else if (auto* decision = std::get_if<effects::Decided>(&effect)) {
      decided.push_back(std::move(*decision));
    } else {
      lines.push_back(std::get<effects::Log>(effect));
    }
  }
  marks.insert(marks.end(), effects.marks.begin(), effects.marks.end());
  while (allocate_at_once && !allocations.empty()) {
    allocated(allocations.front(), next_producer_id++);
  }
}

template <class T>
wire::Message<T> Harness::take() {
  auto response = std::move(std::get<wire::Message<T>>(responses_.at(token_)));
  responses_.erase(token_);
  return response;
}

std::optional<Answer> Harness::answer_of(Token token) {
  const auto found = responses_.find(token);
  if (found == responses_.end()) {
    return std::nullopt;
  }
  const Response response = std::move(found->second);
  responses_.erase(found);
  if (const auto* init = std::get_if<wire::Message<wire::InitProducerIdResponse>>(&response)) {
    return Answer{wire::error_from_code(init->value.error_code), {init->value.producer_id, init->value.producer_epoch}};
  }
  const auto& end = std::get<wire::Message<wire::EndTxnResponse>>(response);
  return Answer{wire::error_from_code(end.value.error_code), {end.value.producer_id, end.value.producer_epoch}};
}

std::optional<Answer> Harness::init(const std::string& id, std::optional<Producer> expected, int version,
                                    std::int32_t timeout_ms) {
  const Producer producer = expected.value_or(Producer{});
  const wire::InitProducerIdRequest request{.transactional_id = id,
                                            .transaction_timeout_ms = timeout_ms,
                                            .producer_id = producer.id,
                                            .producer_epoch = producer.epoch};
  step(events_in::InitProducerId{.token = ++token_, .version = version, .request = request});
  return answer_of(token_);
}

ErrorCode Harness::add(const std::string& id, Producer producer, std::vector<TopicPartition> partitions, int version) {
  Topics topics(partitions);
  const wire::AddPartitionsToTxnRequest request{.v3_and_below_transactional_id = id,
                                                .v3_and_below_producer_id = producer.id,
                                                .v3_and_below_producer_epoch = producer.epoch,
                                                .v3_and_below_topics = topics.topics};
  step(events_in::AddPartitionsToTxn{.token = ++token_, .version = version, .request = request});
  const auto response = take<wire::AddPartitionsToTxnResponse>();
  const auto errors = errors_of(response.value.results_by_topic_v3_and_below);
  EXPECT_EQ(errors.size(), partitions.size());
  EXPECT_EQ(std::ranges::count(errors, errors.front()), std::ssize(errors)) << "one error for all";
  return errors.front();
}

std::vector<ErrorCode> Harness::from_broker(const std::string& id, Producer producer,
                                            std::vector<TopicPartition> partitions, bool verify_only, int version) {
  Topics topics(partitions);
  const wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTransaction transaction{.transactional_id = id,
                                                                                   .producer_id = producer.id,
                                                                                   .producer_epoch = producer.epoch,
                                                                                   .verify_only = verify_only,
                                                                                   .topics = topics.topics};
  step(events_in::VerifyPartitions{.token = ++token_, .version = version, .transaction = transaction});
  const auto response = take<wire::AddPartitionsToTxnResponse>();
  EXPECT_EQ(response.value.results_by_transaction.size(), 1U);
  EXPECT_EQ(response.value.results_by_transaction[0].transactional_id, id);
  return errors_of(response.value.results_by_transaction[0].topic_results);
}

ErrorCode Harness::add_offsets(const std::string& id, Producer producer, std::int32_t partition, int version) {
  const wire::AddOffsetsToTxnRequest request{
      .transactional_id = id, .producer_id = producer.id, .producer_epoch = producer.epoch, .group_id = "group"};
  step(events_in::AddOffsetsToTxn{
      .token = ++token_, .version = version, .request = request, .offsets_partition = partition});
  const auto response = take<wire::AddOffsetsToTxnResponse>();
  return wire::error_from_code(response.value.error_code);
}

std::optional<Answer> Harness::end(const std::string& id, Producer producer, bool commit, int version) {
  const wire::EndTxnRequest request{
      .transactional_id = id, .producer_id = producer.id, .producer_epoch = producer.epoch, .committed = commit};
  step(events_in::EndTxn{.token = ++token_, .version = version, .request = request});
  return answer_of(token_);
}

wire::Message<wire::DescribeTransactionsResponse> Harness::describe(const std::string& id) {
  step(events_in::DescribeTransactions{.token = ++token_, .version = 0, .transactional_id = id});
  return take<wire::DescribeTransactionsResponse>();
}

wire::Message<wire::ListTransactionsResponse> Harness::list(const wire::ListTransactionsRequest& request, int version) {
  step(events_in::ListTransactions{.token = ++token_, .version = version, .request = request});
  return take<wire::ListTransactionsResponse>();
}

void Harness::allocated(std::string id, std::expected<std::int64_t, ErrorCode> producer_id) {
  std::erase(allocations, id);
  step(events_in::ProducerIdAllocated{.transactional_id = id, .producer_id = producer_id});
  if (!allocate_at_once) {
    while (!responses_.empty()) {
      const Token token = responses_.begin()->first;
      later_answers[token] = *answer_of(token);
    }
  }
}

void Harness::mark(std::vector<MarkerOutcome> outcomes) {
  const effects::SendMarkers sent = std::move(markers.front());
  markers.pop_front();
  events_in::MarkersWritten written{.transactional_id = sent.transactional_id,
                                    .producer_id = sent.producer_id,
                                    .producer_epoch = sent.producer_epoch,
                                    .partitions = {}};
  for (std::size_t i = 0; i < sent.partitions.size(); ++i) {
    written.partitions.push_back({sent.partitions[i], outcomes[std::min(i, outcomes.size() - 1)]});
  }
  step(written);
}

void Harness::marked(const events_in::MarkersWritten& written) { step(written); }

void Harness::mark_all() {
  while (!markers.empty()) {
    mark();
  }
}

void Harness::wait(Duration time) {
  const MonoTime end = now + time;
  const auto advance = [&](MonoTime to) {
    wall += std::chrono::duration_cast<std::chrono::milliseconds>(to - now);
    now = to;
  };
  while (timer && *timer <= end) {
    advance(*timer);
    timer.reset();
    step(events_in::Tick{});
  }
  advance(end);
}

void Harness::feature(std::int16_t transaction_version) {
  options.transaction_version = transaction_version;
  step(events_in::FeatureChanged{transaction_version});
}

void Harness::rewrite(const std::string& id, Transaction t) {
  log.push_back({.key = encode_key(id), .value = encode_value(t, 1)});
  fail_over();
}

}  // namespace verdict::transaction
