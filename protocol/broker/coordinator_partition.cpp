#include "protocol/broker/coordinator_partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "Coordinator";
constexpr std::size_t kLoadBytes = std::size_t{5} << 20;  // offsets.load.buffer.size
constexpr std::int16_t kAll = -1;

}  // namespace

CoordinatorPartition::CoordinatorPartition(Context context, PartitionPtr partition, LeaderEpoch epoch)
    : context_(std::move(context)),
      partition_(std::move(partition)),
      epoch_(epoch),
      watcher_(*context_.runtime),
      alarm_changed_(*context_.runtime) {}

ErrorCode CoordinatorPartition::refusal() const {
  switch (state_) {
    case State::active:
      return ErrorCode::NONE;
    case State::loading:
      return ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    case State::failed:
    case State::gone:
      return ErrorCode::NOT_COORDINATOR;
  }
  return ErrorCode::NOT_COORDINATOR;
}

void CoordinatorPartition::start() {
  context_.scope->spawn(load(shared_from_this()));
  context_.scope->spawn(timer(shared_from_this()));
}

void CoordinatorPartition::drop() {
  if (state_ == State::gone) return;
  const bool was_active = state_ == State::active;
  state_ = State::gone;
  if (was_active) announce_change(false);
  held_.clear();
  if (was_active) answer_open(ErrorCode::NOT_COORDINATOR);
  watcher_.wake.notify();
  alarm_changed_.notify();
}

void CoordinatorPartition::lose(std::string_view why) {
  if (state_ == State::gone) return;
  runtime().log(LogLevel::warn, kLogger, fmt::format("{} in epoch {}: {}", partition_->name(), epoch_.value(), why));
  drop();
  context_.lost(*this);
}

void CoordinatorPartition::fail(std::string_view why) {
  runtime().log(LogLevel::error, kLogger, fmt::format("{} can't be loaded: {}", partition_->name(), why));
  if (state_ != State::gone) state_ = State::failed;
}

void CoordinatorPartition::announce_change(bool active) {
  partition_->announce(protocol::events::CoordinatorChanged{
      .partition = partition_->key(), .leader_epoch = epoch_, .active = active, .end = partition_->log_end()});
}

// ---- loading ----

// All of the log, also what is not committed yet: this leader will commit it. It is served from once it is. Meanwhile
// nothing but markers of transactions is appended.
Task<void> CoordinatorPartition::load(Self self) {
  Offset at = partition_->log_start();
  partition_->watch(watcher_);
  while (state_ == State::loading) {
    const Offset end = partition_->log_end();
    if (at < end) {
      at = co_await read_log(at, end);
    } else if (partition_->replica().high_watermark() < end) {
      co_await watcher_.wake.wait();
    } else {
      state_ = State::active;
    }
  }
  partition_->unwatch(watcher_);
  if (state_ != State::active) co_return;
  runtime().log(
      LogLevel::info, kLogger,
      fmt::format("{} is loaded up to offset {} in epoch {}", partition_->name(), at.value(), epoch_.value()));
  announce_change(true);
  loaded();
}

// One piece from `at` on; returns where the next begins.
Task<Offset> CoordinatorPartition::read_log(Offset at, Offset end) {
  const auto bytes = co_await partition_->log().read_bytes(at, kLoadBytes, end, true);
  if (state_ != State::loading) co_return end;
  if (!bytes && bytes.error().kind == storage::LogErrorKind::out_of_range && partition_->log_start() > at)
    co_return partition_->log_start();  // retention was sooner
  if (!bytes) {
    fail(bytes.error().to_string());
    co_return end;
  }
  storage::Bytes rest = *bytes;
  const Offset before = at;
  for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
    if (!replay_batch(*batch)) co_return end;
    at = batch->header().next_offset();
  }
  co_return at == before ? end : at;  // what is left is a hole
}

bool CoordinatorPartition::replay_batch(const storage::BatchView& batch) {
  const storage::BatchHeader& header = batch.header();
  const CoordinatorProducer producer{.id = header.producer_id.value(), .epoch = header.producer_epoch.value()};
  auto reader = storage::open_records(batch, context_.replicas->decompressor());
  if (!reader) {
    fail(fmt::format("batch at offset {}: {}", header.base_offset.value(), name_of(reader.error())));
    return false;
  }
  storage::RecordView record;
  for (;;) {
    const auto more = reader->next(record);
    if (!more) {
      fail(fmt::format("batch at offset {}: {}", header.base_offset.value(), name_of(more.error())));
      return false;
    }
    if (!*more) return true;
    if (header.control()) {
      const auto type = record.key ? storage::parse_control_key(*record.key) : std::nullopt;
      if (type == storage::ControlType::commit || type == storage::ControlType::abort)
        replay_marker(producer, type == storage::ControlType::commit);
      continue;
    }
    const auto done = replay(record, header.transactional() ? std::optional(producer) : std::nullopt);
    if (!done) {
      fail(fmt::format("record at offset {}: {}", record.offset.value(), done.error()));
      return false;
    }
  }
}

// ---- appending ----

void CoordinatorPartition::begin_batch(const std::optional<CoordinatorProducer>& transactional) {
  storage::BatchOptions options;
  if (transactional) {
    options.producer_id = ProducerId(transactional->id);
    options.producer_epoch = ProducerEpoch(transactional->epoch);
    options.transactional = true;
  }
  builder_.reset(options);
}

void CoordinatorPartition::append_batch() {
  auto wait = std::make_unique<ProduceWait>(runtime());
  const WaiterId waiter = context_.replicas->begin_wait(*wait, partition_).waiter;
  const ProduceOutcome outcome =
      partition_->produce(builder_.finish(compressor_), kAll, waiter, storage::AppendOrigin::coordinator);
  if (!outcome.waits) {
    context_.replicas->end_wait(waiter);
    lose(fmt::format("a record can't be appended: {}", wire::to_string(outcome.error)));
    return;
  }
  context_.scope->spawn(await_commit(shared_from_this(), std::move(wait), ++appended_));
}

Task<void> CoordinatorPartition::await_commit(Self self, std::unique_ptr<ProduceWait> wait, std::uint64_t number) {
  while (wait->unfinished != 0) co_await wait->done.wait();
  const ErrorCode error = wait->parts[0].error;
  context_.replicas->end_wait(wait->parts[0].waiter);
  if (error != ErrorCode::NONE) {
    lose(fmt::format("a record was not committed: {}", wire::to_string(error)));
    co_return;
  }
  committed(number);
}

void CoordinatorPartition::committed(std::uint64_t appends) {
  committed_ = std::max(committed_, appends);
  while (!held_.empty() && held_.front().appends <= committed_) {
    const std::function<void()> action = std::move(held_.front().action);
    held_.pop_front();
    action();
  }
}

void CoordinatorPartition::when_committed(std::function<void()> action) {
  if (state_ != State::active) return;
  if (committed_ == appended_) return action();
  held_.push_back({.appends = appended_, .action = std::move(action)});
}

void CoordinatorPartition::marker_appended(const CoordinatorProducer& producer, bool committed) {
  if (state_ == State::active) marker(producer, committed);
}

// ---- time ----

void CoordinatorPartition::arm(MonoTime when) {
  alarm_ = when;
  alarm_changed_.notify();
}

Task<void> CoordinatorPartition::timer(Self self) {
  while (state_ != State::gone) {
    const MonoTime until = alarm_.value_or(MonoTime::max());
    if (runtime().now() < until) {
      co_await alarm_changed_.wait_until(until);
      continue;
    }
    alarm_.reset();
    if (state_ == State::active) tick();
  }
}

}  // namespace verdict::broker
