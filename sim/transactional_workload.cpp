#include "sim/transactional_workload.h"

#include <algorithm>
#include <set>
#include <utility>

#include "protocol/wire/errors.h"
#include "runtime/assert.h"
#include "runtime/io.h"
#include "runtime/random.h"

namespace verdict::sim {
namespace {

constexpr Duration kBetweenLives = 200ms;
constexpr Duration kPollTime = 200ms;
// Sends are numbered from 0 in their process.
constexpr std::uint32_t kFirstPoll = 0x80000000;
constexpr std::int64_t kFirstEnd = 0xc0000000;

}  // namespace

TransactionalProcess::TransactionalProcess(Runtime& runtime, TransactionalLoad load, HistorySink* sink)
    : runtime_(&runtime),
      load_(std::move(load)),
      sink_(sink),
      log_(runtime, load_.process, load_.consumer.read_committed, sink, kFirstPoll),
      value_(std::max<std::size_t>(load_.value_bytes, kValueDigits), '.'),
      key_(load_.keys),
      wake_(runtime),
      scope_(runtime) {
  VERDICT_ASSERT(load_.process >= 0 && !load_.partitions.empty() && load_.burst > 0);
  load_.transaction.watch = this;
  scope_.spawn(run());
}

TransactionalProcess::~TransactionalProcess() = default;

void TransactionalProcess::stop() {
  stopping_ = true;
  if (reader_) reader_->interrupt();
  wake_.notify();
}

Task<void> TransactionalProcess::close() {
  stop();
  if (producer_) co_await producer_->close();
  co_await scope_.join();
}

bool TransactionalProcess::over() const { return stopping_ || runtime_->now() >= end_ || stats_.sent >= load_.records; }

Task<void> TransactionalProcess::pause(Duration mean) {
  const std::uint64_t time = scale_to(draw(), 2 * static_cast<std::uint64_t>(mean.count()) + 1);
  const MonoTime next = std::min(end_, runtime_->now() + Duration(static_cast<std::int64_t>(time)));
  while (!stopping_ && runtime_->now() < next) co_await wake_.wait_until(next);
}

Task<void> TransactionalProcess::run() {
  end_ = end_of(runtime_->now(), load_.time);
  for (std::uint32_t life = 0; !over() && (load_.lives == 0 || life < load_.lives); ++life) {
    if (life != 0) co_await pause(kBetweenLives);
    co_await live();
  }
  finished_ = true;
}

// One producer, from InitProducerId to an error that ends it.
Task<void> TransactionalProcess::live() {
  producer_.emplace(*runtime_, load_.client, load_.producer, load_.transaction,
                    static_cast<client::DeliverySink&>(*this));
  if (!load_.group.group.empty()) reader_.emplace(*runtime_, load_.client, load_.consumer, load_.group, log_);
  const client::ErrorCode error = co_await producer_->init(runtime_->now() + load_.producer.delivery_timeout);
  Next next = error == client::ErrorCode::NONE ? Next::go_on : Next::another_life;
  while (next == Next::go_on && !over()) {
    co_await pause(load_.interval);
    if (reader_) co_await read_inputs();
    if (over() || (reader_ && inputs_.empty())) continue;
    next = co_await transact();
  }
  inputs_.clear();
  if (reader_) co_await reader_->close();
  reader_.reset();
  co_await producer_->close();
  producer_.reset();
  batches_before_ = last_batch_;
}

Task<void> TransactionalProcess::read_inputs() {
  inputs_.clear();
  const client::Polled polled = co_await reader_->poll(std::min(end_, runtime_->now() + kPollTime));
  ++stats_.polls;
  log_.take(polled, stats_, &inputs_);
}

ClientOp TransactionalProcess::describe(OpCall call) {
  return {.process = load_.process, .call = call, .time_ns = to_ns(runtime_->now()), .txn = txn()};
}

// What the transaction will send, and where to.
void TransactionalProcess::plan() {
  sent_.clear();
  const std::size_t records = reader_ ? inputs_.size() : load_.burst;
  for (std::size_t i = 0; i < records; ++i) {
    const std::size_t place = load_.partitions.size() == 1 ? 0 : scale_to(draw(), load_.partitions.size());
    sent_.push_back({.place = place,
                     .value = make_value(load_.process, sequence_++),
                     .input = reader_ ? inputs_[i] : -1,
                     .key = key_.draw(*runtime_, load_.process)});
  }
}

void TransactionalProcess::send(const Sent& one) {
  const client::TopicPartition& target = load_.partitions[one.place];
  ++stats_.sent;
  if (sink_ != nullptr) {
    ClientOp op = describe(OpCall::send);
    op.op = one.value;
    op.partition = target.partition;
    op.value = one.value;
    op.input = one.input;
    op.group = load_.group.group;
    op.idempotent = true;
    op.topic = target.topic;
    key_.describe(one.key, op);
    sink_->report(op);
  }
  format_value(one.value, value_);
  client::ProducerRecord record;
  key_.fill(record, one.key, value_);
  const bool taken =
      producer_->send(target.topic, target.partition, record, static_cast<std::uint64_t>(&one - sent_.data()));
  VERDICT_ASSERT(taken, "a transaction fits into the buffer");
}

void TransactionalProcess::delivered(std::uint64_t token, const client::DeliveryReport& report) {
  const Sent& one = sent_[token];
  stats_.count(report.delivery);
  if (sink_ == nullptr) return;
  ClientOp op = describe(OpCall::send);
  op.op = one.value;
  op.type = type_of(report.delivery);
  op.partition = load_.partitions[one.place].partition;
  op.topic = load_.partitions[one.place].topic;
  op.value = one.value;
  op.offset = report.offset.value();
  key_.describe(one.key, op);
  if (report.error != client::ErrorCode::NONE) op.error = wire::to_string(report.error);
  sink_->report(op);
}

void TransactionalProcess::batch_sending(const client::BatchSent& batch) {
  last_batch_ = std::max(last_batch_, batches_before_ + batch.id);
  if (sink_ == nullptr || batch.attempt != 0) return;
  sink_->produce_sent(load_.process, batches_before_ + batch.id, batch.topic, batch.topic_id, batch.partition,
                      batch.crc);
  sink_->transactional_sent(load_.process, batch.topic_id, batch.partition, batch.producer_id.value(),
                            batch.producer_epoch.value(), batch.base_sequence);
}

void TransactionalProcess::asked(TransactionWatch::Call call, const client::ProducerIdentity&, bool settled) {
  if (sink_ == nullptr) return;
  using enum TransactionWatch::Call;
  sink_->transaction_asked({.process = load_.process,
                            .transactional_id = load_.transaction.id,
                            .call = call == init     ? TransactionCall::init
                                    : call == commit ? TransactionCall::commit
                                                     : TransactionCall::abort,
                            .settled = settled});
}

void TransactionalProcess::batch_finished(std::uint64_t id) {
  if (sink_ != nullptr) sink_->produce_finished(load_.process, batches_before_ + id);
}

// All that belongs to the transaction; false: it can't be committed.
Task<bool> TransactionalProcess::fill(client::GroupMembership member, client::OffsetsToCommit offsets) {
  std::set<client::TopicPartition> partitions;
  for (const Sent& one : sent_) partitions.insert(load_.partitions[one.place]);
  const MonoTime deadline = runtime_->now() + load_.producer.delivery_timeout;
  const client::ErrorCode added = co_await producer_->add_partitions({partitions.begin(), partitions.end()}, deadline);
  if (added != client::ErrorCode::NONE) co_return false;
  for (const Sent& one : sent_) send(one);
  if (offsets.empty()) co_return true;
  CommitReport report(log_, offsets, member.group, txn());
  const client::ErrorCode committed =
      co_await producer_->commit_offsets(std::move(member), std::move(offsets), deadline);
  report.end(committed == client::ErrorCode::NONE ? OpType::ok : OpType::info, committed);
  co_return committed == client::ErrorCode::NONE;
}

Task<TransactionalProcess::Next> TransactionalProcess::transact() {
  ++transactions_;
  if (sink_ != nullptr) {
    sink_->transaction_begun({.process = load_.process,
                              .txn = txn(),
                              .transactional_id = load_.transaction.id,
                              .producer_id = producer_->identity().id,
                              .producer_epoch = producer_->identity().epoch,
                              .version_two = producer_->version_two()});
  }
  plan();
  // Of the generation in which they were read: of a later one the partitions may be others'.
  client::GroupMembership member;
  client::OffsetsToCommit offsets;
  if (reader_) {
    member = reader_->membership();
    offsets = reader_->positions();
    VERDICT_ASSERT(member.generation >= 0 && !offsets.empty());
  }
  const bool wanted = load_.abort_one_in == 0 || scale_to(draw(), load_.abort_one_in) != 0;
  const bool filled = co_await fill(std::move(member), std::move(offsets));
  co_return co_await finish(filled && wanted);
}

void TransactionalProcess::report_end(OpCall call, std::int64_t op, const client::TransactionEnd& end) {
  if (sink_ == nullptr) return;
  ClientOp told = describe(call);
  told.op = op;
  told.type = end.outcome == client::TransactionOutcome::done       ? OpType::ok
              : end.outcome == client::TransactionOutcome::not_done ? OpType::fail
                                                                    : OpType::info;
  if (end.error != client::ErrorCode::NONE) told.error = wire::to_string(end.error);
  sink_->report(told);
}

Task<TransactionalProcess::Next> TransactionalProcess::finish(bool commit) {
  const auto ask = [this](OpCall call) {
    const std::int64_t op = load_.process << 32 | (kFirstEnd + operations_++);
    ClientOp asked = describe(call);
    asked.op = op;
    if (sink_ != nullptr) sink_->report(asked);
    return op;
  };
  if (commit) {
    const std::int64_t op = ask(OpCall::commit);
    const client::TransactionEnd end = co_await producer_->commit(runtime_->now() + load_.producer.delivery_timeout);
    report_end(OpCall::commit, op, end);
    if (end.outcome == client::TransactionOutcome::done) co_return Next::go_on;
    if (end.outcome == client::TransactionOutcome::unknown) co_return Next::another_life;
  }
  const std::int64_t op = ask(OpCall::abort);
  const client::TransactionEnd end = co_await producer_->abort(runtime_->now() + load_.producer.delivery_timeout);
  report_end(OpCall::abort, op, end);
  if (reader_) reader_->rewind();
  const bool good = end.outcome == client::TransactionOutcome::done && end.error == client::ErrorCode::NONE;
  co_return good ? Next::go_on : Next::another_life;
}

}  // namespace verdict::sim
