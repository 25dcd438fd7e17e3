#pragma once

#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checker/black_box.h"
#include "checker/liveness.h"
#include "checker/white_box.h"
#include "scenarios/clients.h"
#include "scenarios/event_match.h"
#include "scenarios/injector.h"
#include "scenarios/result.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/hash.h"
#include "sim/history_sink.h"
#include "sim/world.h"

namespace verdict::scenarios {

// One run: the cluster, its clients, its faults and its judges, from set-up to verdict. The phases of SIMULATION.md.
class Trial final : private sim::ClusterSink,
                    private InjectorHost,
                    private sim::HistorySink,
                    private sim::LossSink,
                    private sim::LogSink {
 public:
  // `scenario` is resolved and valid, and outlives the trial.
  Trial(const Scenario& scenario, std::uint64_t seed, const RunOptions& options, sim::TraceLog* trace);
  ~Trial();
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  RunResult run();

 private:
  struct ClientMachine {
    sim::NodeIndex index;
    std::int64_t process = 0;
    bool produces = false;
    std::int64_t start_ms = 0;
    std::string group;  // of which it is a member, and no more than that
  };
  struct GuestMachine {
    sim::NodeIndex index;
    std::string name;
  };
  struct GuestRule {
    std::string name;
    std::unique_ptr<Invariant> invariant;
  };
  struct BrokenRule {
    std::string name;
    std::int64_t time_ns = 0;
    NodeId node = kNoNode;
    std::uint32_t incarnation = 0;
    Broken broken;
  };
  struct Expected {
    const EventExpectation* spec;
    EventMatcher matcher;
    std::int64_t seen = 0;
  };
  // A run's own end: the reason is in result_ or in the white box.
  enum class Step : std::uint8_t { go_on, ended };

  // ClusterSink
  void started(const sim::Origin& origin) override;
  void event(const sim::Origin& origin, const protocol::Event& event) override;
  void stopped(const sim::Origin& origin, sim::StopCause cause) override;
  void bytes_lost(const sim::Origin& origin, const sim::Loss& loss) override;
  // InjectorHost
  const std::vector<sim::NodeIndex>& client_machines() const override { return client_indices_; }
  const std::map<std::int32_t, sim::NodeIndex>& numbered_clients() const override { return numbered_clients_; }
  void administer(const FaultSpec& fault) override;
  void fault_note(const FaultNote& note) override;
  // HistorySink
  void report(const sim::ClientOp& op) override;
  void produce_sent(std::int64_t process, std::uint64_t batch, std::string_view topic, const Uuid& topic_id,
                    std::int32_t partition, std::uint32_t crc) override;
  void produce_renumbered(std::int64_t process, std::uint64_t batch, const Uuid& topic_id, std::int32_t partition,
                          std::uint32_t crc) override;
  void produce_finished(std::int64_t process, std::uint64_t batch) override;
  void transaction_begun(const sim::TransactionBegun& begun) override;
  void transaction_asked(const sim::TransactionAsked& asked) override;
  void transactional_sent(std::int64_t process, const Uuid& topic_id, std::int32_t partition, std::int64_t producer_id,
                          std::int16_t producer_epoch, std::int32_t base_sequence) override;
  void offsets_asked(std::int64_t process) override;
  void consumption_resumed(std::int64_t process, std::string_view group, std::string_view topic, std::int32_t partition,
                           std::int64_t position) override;
  // LossSink, LogSink
  void lost(const sim::Loss& loss) override;
  void imaged(sim::NodeIndex node, std::uint64_t image) override;
  void restored(sim::NodeIndex node, std::uint64_t image) override;
  void line(sim::VirtualTime at, sim::NodeIndex node, LogLevel level, std::string_view logger,
            std::string_view message) override;

  void add_clients();
  sim::ProcessFactory producing(const ProducerSpec& spec, std::int32_t process, std::int32_t partitions);
  sim::ProcessFactory consuming(const ConsumerSpec& spec, std::int32_t process, std::int32_t partitions);
  void draw_clocks();
  void add_guests();
  void guest_told(const std::string& who, std::string_view what, std::string_view key, std::int64_t value);
  template <class Ask>
  void ask_guests(const sim::Origin& origin, Ask ask);
  void ask_guests_of(const sim::Origin& origin, const protocol::Event& event);
  void stop_guests();
  std::string unfinished_guest();  // its name; empty: none
  void conclude_guest(const BrokenRule& rule);
  // A rule is broken: nothing more is to be run.
  bool convicted() const {
    return broken_.has_value() || (options_.own_rules && !options_.past_violation && white_.violation().has_value());
  }
  Step set_up();
  Step workload();
  Step heal_and_settle();
  Step final_read();
  Step judge_end();
  Step read_all(const std::string& what, NodeId only_leader);
  Step lead_with(NodeId alone);
  Step bring_up(NodeId id);
  Step run_to(sim::VirtualTime when);
  template <class Done>
  Step run_while_not(Done done, Duration limit, bool* reached);
  Step overrun(std::string invariant, std::string sentence);
  void phase(std::string_view name);
  bool ready() const;
  bool producers_finished();
  bool in_core(NodeId id) const;
  // Within what time the cluster is to come to rest; anew at each phase: what was written by then is to be synced.
  void bound_liveness();
  void final_reader_operation(const sim::ClientOp& op);
  void delivered(const sim::FrameHead& frame, sim::VirtualTime sent);
  void offsets_told(const sim::FrameHead& frame);
  void start_moved(NodeId node, const PartitionKey& partition);
  bool transforms(std::int64_t process) const;
  checker::LivenessProbe probe();
  void probe_groups(checker::LivenessProbe& into);
  std::optional<Offset> end_before(const PartitionKey& key, Offset end);
  void probe_partition(const sim::ClusterView::Partition& partition, checker::LivenessProbe& into);
  std::optional<checker::Violation> liveness_violation();
  std::map<client::TopicPartition, Offset> read_goals(NodeId only_leader);
  std::int64_t longest_log();
  // The node's replica, if it runs and has opened it.
  broker::PartitionPtr opened(NodeId id, const PartitionKey& key);
  void conclude();
  void conclude_violation(const checker::Violation& violation);
  void conclude_black_box();
  bool rot_explains(const checker::Anomaly& anomaly) const;
  void check_expectations();
  MonoTime mono() const { return MonoTime(Duration(sim::to_ns(world_.now()))); }
  AdminMachine* admin() { return static_cast<AdminMachine*>(world_.node(admin_).process()); }

  const Scenario& scenario_;
  const RunOptions& options_;
  RunResult result_;
  checker::WhiteBox white_;
  checker::BlackBox black_;
  sim::World world_;
  sim::Cluster cluster_;
  checker::LivenessBounds bounds_;
  Duration fetch_passes_{};  // after so long a follower has what its leader had
  std::map<PartitionKey, std::deque<std::pair<MonoTime, Offset>>> ends_seen_;  // of leaders' logs, since when
  ClientSettings settings_;
  sim::NodeIndex admin_;
  sim::NodeIndex reader_;
  sim::ConsumerLoad reader_load_;
  std::int64_t load_processes_ = 0;  // clients' numbers are 1 to this; the final reader's are above
  std::int64_t reader_process_ = 0;
  std::vector<ClientMachine> clients_;
  std::vector<sim::NodeIndex> client_indices_;
  std::map<std::int32_t, sim::NodeIndex> numbered_clients_;
  std::map<sim::NodeIndex, std::string> transforming_;  // clients' machines; of which group each is a member
  bool went_back_ = false;  // one of them, as told by who coordinates its group or leads its inputs no more
  std::set<client::TopicPartition> removed_unheard_;  // a deposed leader removed what its successor has
  bool outlived_end_ = false;  // a request to end a transaction, of before KIP-890, arrived when it had been given up
  std::vector<GuestMachine> guests_;
  std::vector<GuestRule> guest_rules_;
  std::optional<BrokenRule> broken_;  // of a guest's
  std::optional<Injector> injector_;
  std::vector<Expected> expected_;
  std::array<std::vector<std::size_t>, kEventKinds> expected_by_event_;
  std::array<std::uint64_t, kEventKinds> event_counts_{};
  checker::HistoryEntry entry_;
  std::string line_;
  bool counting_ = true;  // false in the final read
  std::bitset<kMarkCount> marks_before_final_read_;
  bool stopping_load_ = false;
  sim::VirtualTime load_stopped_{};
  Offset committed_at_heal_{0};
  std::optional<sim::FaultCounters> counters_;
  std::optional<checker::Violation> liveness_;
  std::map<client::TopicPartition, std::int64_t> read_to_;  // by the final reader
  std::map<std::string, Uuid> topics_created_;              // the first of each name
  bool ended_early_ = false;
  bool reseeded_ = false;
};

}  // namespace verdict::scenarios
