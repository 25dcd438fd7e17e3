#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/group.h"
#include "sim/workload.h"

// Clients that read as members of a group, over any Runtime.
namespace verdict::sim {

// Reads what its group gives it, from the committed offsets on; what a cooperative member keeps, from where it was. Of
// each partition it tells the history where it begins (assign), so that what it reads again after a rebalance is no
// surprise.
class GroupReader final : private client::GroupListener {
 public:
  GroupReader(Runtime& runtime, const client::ClientOptions& client, const client::ConsumerOptions& consumer,
              const client::GroupOptions& group, ReaderLog& log);

  // Takes up a new assignment first. Returns by the deadline, often empty.
  Task<client::Polled> poll(MonoTime deadline);
  // The positions behind what poll() returned, of partitions that are still its own.
  const client::OffsetsToCommit& positions() const { return positions_; }
  // As who it is, or was when it read them.
  Task<client::ErrorCode> commit(client::GroupMembership as, client::OffsetsToCommit offsets, MonoTime deadline);
  // Whether an attempt of the last commit that failed may have been taken, whatever the last attempt was answered.
  bool commit_maybe_taken() const { return member_->commit_maybe_taken(); }
  client::GroupMembership membership() const { return member_->membership(); }
  bool settled() const { return member_->settled() || member_->fenced(); }
  bool fenced() const { return member_->fenced(); }
  std::uint64_t assignments() const { return assignments_; }  // how often it was told one, or lost it
  // What was read since the last commit is to be read again.
  void rewind() { fresh_ = {partitions_.begin(), partitions_.end()}; }
  void interrupt();
  Task<void> close();

 private:
  Task<bool> take_up(MonoTime deadline);
  void revoked(const std::vector<client::TopicPartition>& partitions, bool lost) override;
  void assigned(std::int32_t generation, const std::vector<client::TopicPartition>& partitions) override;

  Runtime* runtime_;
  ReaderLog* log_;
  std::string group_;
  std::vector<client::TopicPartition> partitions_;
  client::OffsetsToCommit positions_;
  std::uint64_t assignments_ = 0;
  std::set<client::TopicPartition> fresh_;  // whose committed offsets are to be asked for
  bool closed_ = false;
  Signal wake_;
  client::Consumer consumer_;
  std::unique_ptr<client::GroupMember> member_;
};

// What the history is told of one commit of offsets: an operation for each partition.
class CommitReport {
 public:
  // `txn`: the transaction that it is part of, -1: none.
  CommitReport(ReaderLog& log, const client::OffsetsToCommit& offsets, std::string_view group, std::int64_t txn = -1);
  void end(OpType type, client::ErrorCode error);

 private:
  void tell(OpType type, client::ErrorCode error);

  ReaderLog* log_;
  std::string group_;
  std::int64_t txn_;
  struct Part {
    client::TopicPartition partition;
    std::int64_t offset = 0;
    std::int64_t op = 0;
  };
  std::vector<Part> parts_;
};

struct GroupLoad {
  std::int64_t process = 0;
  client::ClientOptions client;
  client::ConsumerOptions consumer;
  client::GroupOptions group;
  Duration poll_interval = 0ms;
  Duration time = Duration::max();
  // One poll in so many, drawn, is followed by a long work, after which the commit is tried as the member that polled.
  std::uint32_t stall_one_in = 0;  // 0: none
  Duration stall = 0ms;
  // Comes and goes: leaves in order after so long, drawn around it, and comes back.
  Duration stay = 0ms;  // 0: it stays
  Duration away = 0ms;
};

// A member that commits after each poll that brought something. Another one with its group.instance.id ends it. Runs
// from construction; destroyed at any time in a simulation, after close() on the real machine.
class GroupConsumerProcess {
 public:
  GroupConsumerProcess(Runtime& runtime, const GroupLoad& load, HistorySink* sink);

  void stop();
  void calm();  // who is in the group stays, who is away stays away
  bool finished() const { return finished_; }
  // In the group as far as it knows, or no member that is to be.
  bool settled() const { return finished_ || (reader_ ? reader_->settled() : calm_); }
  Task<void> close();
  const LoadStats& stats() const { return stats_; }

 private:
  Task<void> run();
  Task<void> stay(MonoTime until);
  Task<void> commit(client::GroupMembership as);
  Task<void> pause(Duration time);
  bool draw_one_in(std::uint32_t n);
  std::uint64_t draw() { return runtime_->random(Purpose::Workload, static_cast<std::uint64_t>(load_.process)); }

  Runtime* runtime_;
  GroupLoad load_;
  ReaderLog log_;
  LoadStats stats_;
  bool stopping_ = false;
  MonoTime end_{};  // of its load
  bool calm_ = false;
  bool finished_ = false;
  Signal wake_;
  std::optional<GroupReader> reader_;
  Scope scope_;
};

}  // namespace verdict::sim
