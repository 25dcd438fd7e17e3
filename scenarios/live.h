#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checker/history.h"
#include "protocol/client/admin.h"
#include "scenarios/clients.h"
#include "scenarios/scenario.h"
#include "sim/history_sink.h"

// A scenario's workload against a cluster that is there, over any Runtime: its topics, its clients, and a final read.
// No faults; what the cluster is made of, is not the run's to choose.
namespace verdict::scenarios {

struct LiveOptions {
  std::vector<Endpoint> bootstrap;
  // Added to the clients' numbers, so that values of other runs in the same topics are told apart.
  std::int64_t first_process = 0;
};

struct LiveResult {
  std::string failure;                                                           // why it came to no end; empty: it did
  std::vector<std::string> unmet;                                                // what it lacks to count
  std::uint64_t acknowledged = 0, delivered = 0, committed = 0, final_read = 0;  // records; transactions
};

// What a live run leaves out of a scenario, a sentence each.
std::vector<std::string> left_out(const Scenario& scenario);

class LiveRun final : private sim::HistorySink {
 public:
  // `scenario` is resolved and valid. history: a line with its newline. say: how it goes on, a sentence.
  LiveRun(Runtime& runtime, const Scenario& scenario, LiveOptions options,
          std::function<void(std::string_view line)> history, std::function<void(const std::string&)> say);
  ~LiveRun() override;
  LiveRun(const LiveRun&) = delete;
  LiveRun& operator=(const LiveRun&) = delete;

  Task<LiveResult> run();
  void interrupt() { interrupted_ = true; }  // the load ends now; what it did is read and judged

  class Client;  // of the workload

 private:
  using Maker = std::function<std::unique_ptr<Client>()>;
  struct Slot {
    std::int64_t start_ms = 0;
    bool produces = false;
    Maker make;
    std::unique_ptr<Client> client;
  };

  void report(const sim::ClientOp& op) override;
  bool fail(std::string why);
  Task<bool> find_cluster();
  Task<bool> make_topic(TopicSpec topic);
  Task<bool> await_leaders(std::string topic);
  Task<bool> locate(std::string topic);
  bool add_clients();
  bool has_partitions(const std::string& topic, const std::vector<std::int32_t>& named);
  template <class Process, class Load>
  Maker maker(const Load& load);
  Maker producing(const ProducerSpec& spec, std::int64_t process);
  Maker consuming(const ConsumerSpec& spec, std::int64_t process);
  Task<void> work();
  Task<void> stop(bool producers);
  Task<void> read_finally(bool committed);
  Task<bool> ask_ends();

  Runtime* runtime_;
  const Scenario& scenario_;
  LiveOptions options_;
  std::function<void(std::string_view)> history_;
  std::function<void(const std::string&)> say_;
  ClientSettings settings_;
  client::Admin admin_;
  std::size_t brokers_ = 0;
  std::map<std::string, std::int32_t> topics_;             // with their partitions
  std::map<client::TopicPartition, std::int64_t> starts_;  // where they ended before the run
  std::map<client::TopicPartition, std::int64_t> ends_;    // and where they end after it
  std::vector<Slot> slots_;
  std::int64_t last_process_ = 0;  // of the load; the final readers' are above
  bool interrupted_ = false;
  LiveResult result_;
  checker::HistoryEntry entry_;
  std::string line_;
};

}  // namespace verdict::scenarios
