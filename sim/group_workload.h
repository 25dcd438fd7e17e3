#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/group.h"
#include "sim/workload.h"

// Clients that read as members of a group, over any Runtime.
namespace verdict::sim {

// Reads what its group gives it, from the committed offsets on. Of each partition it tells the history where it begins
// (assign), so that what it reads again after a rebalance is no surprise.
class GroupReader final : private client::GroupListener {
 public:
  GroupReader(Runtime& runtime, const client::ClientOptions& client, const client::ConsumerOptions& consumer,
              const client::GroupOptions& group, ReaderLog& log);

  // Takes up a new assignment first. Returns by the deadline, often empty.
  Task<client::Polled> poll(MonoTime deadline);
  // The positions behind what poll() returned, of partitions that are still its own.
  const client::OffsetsToCommit& positions() const { return positions_; }
  Task<client::ErrorCode> commit(MonoTime deadline);
  // Whether an attempt of the last commit that failed may have been taken, whatever the last attempt was answered.
  bool commit_maybe_taken() const { return member_.commit_maybe_taken(); }
  client::GroupMembership membership() const { return member_.membership(); }
  std::uint64_t assignments() const { return assignments_; }  // how often it was told one, or lost it
  // What was read since the last commit is to be read again.
  void rewind() { fresh_ = true; }
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
  bool fresh_ = false;  // the committed offsets are to be asked for
  bool closed_ = false;
  Signal wake_;
  client::Consumer consumer_;
  client::GroupMember member_;
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
};

// A member that commits after each poll that brought something. Runs from construction; destroyed at any time in
// a simulation, after close() on the real machine.
class GroupConsumerProcess {
 public:
  GroupConsumerProcess(Runtime& runtime, const GroupLoad& load, HistorySink* sink);

  void stop();
  bool finished() const { return finished_; }
  Task<void> close();
  const LoadStats& stats() const { return stats_; }

 private:
  Task<void> run();

  Runtime* runtime_;
  GroupLoad load_;
  ReaderLog log_;
  LoadStats stats_;
  bool stopping_ = false;
  bool finished_ = false;
  Signal wake_;
  GroupReader reader_;
  Scope scope_;
};

}  // namespace verdict::sim
