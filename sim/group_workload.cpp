#include "sim/group_workload.h"

#include <algorithm>
#include <utility>

#include "protocol/wire/errors.h"
#include "runtime/io.h"
#include "runtime/random.h"

namespace verdict::sim {
namespace {

constexpr Duration kCommitTime = 5s;
constexpr Duration kIdle = 100ms;  // between two looks for an assignment

bool contains(const std::vector<client::TopicPartition>& all, const client::TopicPartition& one) {
  return std::ranges::find(all, one) != all.end();
}

// What a refusal says for sure, if no earlier attempt is in doubt: the coordinator has not taken it.
bool refused(client::ErrorCode error) {
  using enum client::ErrorCode;
  return error == UNKNOWN_MEMBER_ID || error == ILLEGAL_GENERATION || error == REBALANCE_IN_PROGRESS ||
         error == FENCED_INSTANCE_ID || error == STALE_MEMBER_EPOCH || error == GROUP_ID_NOT_FOUND;
}

}  // namespace

GroupReader::GroupReader(Runtime& runtime, const client::ClientOptions& client, const client::ConsumerOptions& consumer,
                         const client::GroupOptions& group, ReaderLog& log)
    : runtime_(&runtime),
      log_(&log),
      group_(group.group),
      wake_(runtime),
      consumer_(runtime, client, consumer),
      member_(client::make_group_member(runtime, client, group, *this)) {}

void GroupReader::revoked(const std::vector<client::TopicPartition>& partitions, bool) {
  for (const client::TopicPartition& partition : partitions) {
    consumer_.unassign(partition);
    std::erase(partitions_, partition);
    positions_.erase(partition);
    fresh_.erase(partition);
  }
  ++assignments_;
  consumer_.interrupt();
}

void GroupReader::assigned(std::int32_t, const std::vector<client::TopicPartition>& partitions) {
  for (const client::TopicPartition& partition : partitions) {
    if (contains(partitions_, partition)) continue;
    fresh_.insert(partition);
    positions_.erase(partition);
  }
  partitions_ = partitions;
  ++assignments_;
  consumer_.interrupt();
  wake_.notify();
}

// False: not now.
Task<bool> GroupReader::take_up(MonoTime deadline) {
  const std::uint64_t assignment = assignments_;
  const std::vector<client::TopicPartition> mine(fresh_.begin(), fresh_.end());
  std::vector<std::int64_t> ops;
  for (const client::TopicPartition& partition : mine) ops.push_back(log_->ask_position(partition, group_));
  if (log_->sink() != nullptr) log_->sink()->offsets_asked(log_->process());
  const auto committed = co_await member_->committed(mine, true, deadline);
  if (!committed || assignment != assignments_ || closed_) co_return false;
  fresh_.clear();
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const client::TopicPartition& partition = mine[i];
    positions_.erase(partition);
    const auto found = committed->find(partition);
    const bool known = found != committed->end() && found->second.offset != kNoOffset;
    const std::int64_t position = known ? found->second.offset.value() : -1;
    consumer_.assign(partition, known ? client::StartAt::at(found->second.offset, found->second.leader_epoch)
                                      : client::StartAt::earliest());
    log_->told_position(ops[i], partition, group_, position);
    if (log_->sink() != nullptr) {
      log_->sink()->consumption_resumed(log_->process(), group_, partition.topic, partition.partition, position);
    }
  }
  co_return true;
}

Task<client::Polled> GroupReader::poll(MonoTime deadline) {
  client::Polled nothing;
  if (!fresh_.empty()) {
    const bool taken = co_await take_up(deadline);
    if (!taken) co_return nothing;
  }
  if (partitions_.empty() && !closed_) {
    co_await wake_.wait_until(std::min(deadline, runtime_->now() + kIdle));
    co_return nothing;
  }
  client::Polled polled = co_await consumer_.poll(deadline);
  // Another's by now, or to be read again from another place.
  std::erase_if(polled.partitions, [this](const auto& part) {
    return !contains(partitions_, part.partition) || fresh_.contains(part.partition);
  });
  for (const client::PolledPartition& part : polled.partitions) {
    if (part.event == client::PolledPartition::Event::error || part.next == kNoOffset) continue;
    positions_[part.partition] = {.offset = part.next, .leader_epoch = part.next_epoch};
  }
  co_return polled;
}

Task<client::ErrorCode> GroupReader::commit(client::GroupMembership as, client::OffsetsToCommit offsets,
                                            MonoTime deadline) {
  co_return co_await member_->commit_as(std::move(as), std::move(offsets), deadline);
}

void GroupReader::interrupt() {
  consumer_.interrupt();
  wake_.notify();
}

Task<void> GroupReader::close() {
  closed_ = true;
  interrupt();
  co_await member_->close();
  co_await consumer_.close();
}

// ---- CommitReport ----

CommitReport::CommitReport(ReaderLog& log, const client::OffsetsToCommit& offsets, std::string_view group,
                           std::int64_t txn)
    : log_(&log), group_(group), txn_(txn) {
  if (log.sink() == nullptr) return;
  for (const auto& [partition, committed] : offsets)
    parts_.push_back({partition, committed.offset.value(), log.describe(OpCall::commit_offsets, partition).op});
  tell(OpType::invoke, client::ErrorCode::NONE);
}

void CommitReport::end(OpType type, client::ErrorCode error) { tell(type, error); }

void CommitReport::tell(OpType type, client::ErrorCode error) {
  for (const Part& part : parts_) {
    ClientOp op = log_->describe_again(part.op, OpCall::commit_offsets, part.partition);
    op.type = type;
    op.offset = part.offset;
    op.group = group_;
    op.txn = txn_;
    if (error != client::ErrorCode::NONE) op.error = wire::to_string(error);
    log_->sink()->report(op);
  }
}

// ---- GroupConsumerProcess ----

GroupConsumerProcess::GroupConsumerProcess(Runtime& runtime, const GroupLoad& load, HistorySink* sink)
    : runtime_(&runtime),
      load_(load),
      log_(runtime, load_.process, load_.consumer.read_committed, sink),
      wake_(runtime),
      scope_(runtime) {
  scope_.spawn(run());
}

bool GroupConsumerProcess::draw_one_in(std::uint32_t n) { return n != 0 && scale_to(draw(), n) == 0; }

Task<void> GroupConsumerProcess::pause(Duration time) {
  const MonoTime until = end_of(runtime_->now(), time);
  while (!stopping_ && runtime_->now() < until) co_await wake_.wait_until(until);
}

Task<void> GroupConsumerProcess::run() {
  end_ = end_of(runtime_->now(), load_.time);
  while (!stopping_ && runtime_->now() < end_) {
    reader_.emplace(*runtime_, load_.client, load_.consumer, load_.group, log_);
    MonoTime until = end_;
    if (load_.stay > Duration::zero()) {
      const std::uint64_t time = scale_to(draw(), static_cast<std::uint64_t>(load_.stay.count()));
      until = std::min(end_, runtime_->now() + load_.stay / 2 + Duration(static_cast<std::int64_t>(time)));
    }
    co_await stay(until);
    if (stopping_ || reader_->fenced() || load_.stay == Duration::zero()) break;
    co_await reader_->close();
    reader_.reset();
    co_await pause(load_.away);
    if (calm_) break;
  }
  finished_ = true;
}

// As one member of the group.
Task<void> GroupConsumerProcess::stay(MonoTime until) {
  while (!stopping_ && !reader_->fenced() && runtime_->now() < (calm_ ? end_ : until)) {
    const MonoTime poll_by = std::min(calm_ ? end_ : until, runtime_->now() + kCommitTime);
    const client::Polled polled = co_await reader_->poll(poll_by);
    const client::GroupMembership as = reader_->membership();
    ++stats_.polls;
    log_.take(polled, stats_);
    if (polled.records() != 0 && !stopping_) co_await commit(as);
    if (load_.poll_interval > Duration::zero() && !stopping_) {
      co_await wake_.wait_until(std::min(end_, runtime_->now() + load_.poll_interval));
    }
  }
}

Task<void> GroupConsumerProcess::commit(client::GroupMembership as) {
  const client::OffsetsToCommit offsets = reader_->positions();
  if (draw_one_in(load_.stall_one_in)) co_await pause(load_.stall);
  const MonoTime commit_by = std::min(end_, runtime_->now() + kCommitTime);
  CommitReport report(log_, offsets, load_.group.group);
  const client::ErrorCode error = co_await reader_->commit(std::move(as), offsets, commit_by);
  const bool not_taken = refused(error) && !reader_->commit_maybe_taken();
  report.end(error == client::ErrorCode::NONE ? OpType::ok : not_taken ? OpType::fail : OpType::info, error);
}

void GroupConsumerProcess::stop() {
  stopping_ = true;
  if (reader_) reader_->interrupt();
  wake_.notify();
}

void GroupConsumerProcess::calm() { calm_ = true; }

Task<void> GroupConsumerProcess::close() {
  stop();
  if (reader_) co_await reader_->close();
  co_await scope_.join();
}

}  // namespace verdict::sim
