#pragma once

#include <string>
#include <vector>

#include "search/draw.h"
#include "search/profile.h"

// How one scenario comes about. Only search's own sources include it.
namespace verdict::search {

// Draws the parts of a scenario one after the other; used once. Inside a RapidCheck generator only (see draw.h).
class Maker {
 public:
  explicit Maker(const Profile& profile) : profile_(profile) {}

  scenarios::Scenario make();

 private:
  using FaultSpec = scenarios::FaultSpec;
  using ProducerSpec = scenarios::ProducerSpec;
  using Trigger = scenarios::Trigger;

  // cluster, topics, clients: generator.cpp
  void cluster();
  void topics();
  void clients();
  void environment();
  void fit_answers();
  void add_producer(ProducerSpec load);
  void add_consumer(scenarios::ConsumerSpec reader);
  void compaction();
  scenarios::TopicSpec topic(const std::string& name, std::int64_t partitions);
  ProducerSpec producer(const std::string& topic, std::size_t number);
  bool varies(std::string_view field) const;  // the profile lets it, and this run does it
  std::int64_t effective(std::string_view key, std::int64_t otherwise) const;  // of the cluster's configuration

  // one fault: faults.cpp
  FaultSpec& add(std::string_view action);
  FaultSpec& single(std::string_view action, const std::string& target);
  void parameters(FaultSpec& fault);
  void message(FaultSpec& fault);
  void groups(FaultSpec& fault);
  Trigger trigger();
  void when(FaultSpec& fault);
  void change_topic(FaultSpec& fault);
  std::string_view choose(std::string_view kind);
  // Disturbs whoever leads `partition`, so that another is elected, at `at_ms`.
  FaultSpec& unseat(const std::string& partition, std::int64_t at_ms);
  static void unheard(FaultSpec& rule, const std::string& broker);
  std::string some_partition();
  std::string some_broker() const;
  std::string some_node();
  std::string damaged() const;
  std::int64_t moment(std::int64_t margin_ms) const;  // of the workload, so long before its end
  void make_time(std::int64_t until_ms);              // the run lasts so long, as far as its profile allows
  std::int64_t restart() const;
  bool enabled(std::string_view action) const;

  // groups of faults that belong together: patterns.cpp
  void pattern(std::string_view name);
  void election_burst();
  void stale_metadata();
  void held_response();
  void pending_isr();
  void doom_in_turn();
  void slow_follower();
  void quick_restarts();
  void cut_off_leader();
  void blackout();
  void topic_change();
  // across elections: reigns.cpp
  void reigns();
  struct Chain {
    std::string partition;
    std::string preferred;      // its leader, by assignment
    std::int64_t begin_ms = 0;  // of the first election
    std::int64_t elections = 0;
  };
  void set_in_chain(FaultSpec& fault, const Chain& chain, std::int64_t reign);
  enum class Missing : std::uint8_t { records, news, both };
  void leave_behind(const Chain& chain, const std::string& broker, std::int64_t from, Missing what);
  void carry(const Chain& chain, const std::vector<std::string>& cast);
  void long_answer();
  void bulk_load(const std::vector<std::string>& cast, std::int64_t start_ms);
  void release_in_reign(const std::string& partition, std::string rule, std::int64_t reign);
  Trigger in_reign(const std::string& partition, std::int64_t reign);
  std::vector<std::string> replicas_of(const std::string& partition) const;  // targets, the preferred leader first
  scenarios::TopicSpec& topic_of(const std::string& partition);

  // leaders that are deposed without a fault of their own: returns.cpp
  void returns();
  void outlived();
  void outvote(const std::string& partition, const std::string& leader, std::int64_t reign);
  void old_news();
  void come_back(const std::vector<std::string>& cast);
  void tail(const std::string& partition, const std::vector<std::string>& cast, std::int32_t nobody);
  void commit_by_all(const std::string& partition);
  void one_by_one(const std::string& partition, const std::string& broker, std::int64_t reign);
  void miss(const std::string& partition, const std::string& leader, const std::string& broker, std::int64_t reign);
  void deaf_through(const std::string& partition, const std::string& broker);
  void apart_in_reign(const std::string& partition, const std::vector<std::string>& cast, std::int64_t reign);
  void depose(const std::string& partition, std::int64_t reign);
  void hush(const std::string& partition, std::int64_t reign);

  // incarnations, and members of the ISR: lives.cpp
  void earlier_life();
  void late_fencing();
  void shrunken();
  FaultSpec& lose(const std::string& broker);
  static void hold_answers(FaultSpec& rule, const std::string& from, const std::string& to);

  // away for longer than the others keep records: retention.cpp
  void long_away();
  void keep_little(scenarios::TopicSpec& topic);
  void meanwhile(const std::string& partition, const std::vector<std::string>& others, std::int64_t away);

  // clients that coordinators serve, and what hurts them: coordinated.cpp, transactions.cpp
  bool has_transactions() const { return load_ != "plain" && load_ != "groups"; }
  bool has_groups() const { return load_ == "groups" || load_ == "transforms"; }
  bool coordinated() const { return load_ != "plain"; }
  void coordinator_settings();
  void coordinated_clients();
  void transact(ProducerSpec& load, bool pipelined);
  void make_members();
  void consumer_sessions();
  void readers_of_committed();
  void coordinated_pattern();
  void fit_markers();
  void coordinated_message(FaultSpec& fault);
  Trigger coordinated_trigger();
  Trigger moved(const std::string& id, std::string_view state);
  Trigger appended(std::string_view marker);
  std::string data_partition() const;
  std::string transactions_partition() const;
  std::string offsets_partition() const;
  ProducerSpec& transactional();  // one of them
  std::int32_t member() const;    // number of one of the groups' members
  std::int64_t session_of(std::int32_t client) const;
  std::string group_api(std::string_view classic) const;
  std::int64_t patience(const ProducerSpec& load) const;  // after so long its transaction is aborted
  void paused_producer();
  void coordinator_dies();
  void late_marker();
  void late_produce();
  void late_verification();
  void given_up();
  void late_end();
  void second_instance();
  void lost_answers();
  void transaction_elections();
  void paused_member();
  void dying_rebalance();
  void late_commit();
  void late_join();
  std::vector<scenarios::ConsumerSpec*> one_group(std::string_view protocol);  // members of the first; maybe none
  void back_and_forth();
  void taken_seat();

  const Profile& profile_;
  std::string_view load_ = "plain";
  bool narrow_ = false;  // one partition on three brokers: what happens there is what the run is about
  scenarios::Scenario scenario_;
  std::vector<Weight> actions_;          // those of this run
  std::vector<std::string> partitions_;  // "orders-0"
  std::string focus_;                    // the partition that most faults are about
  std::int32_t damaged_ = 0;             // the broker whose disk may be destroyed
  bool bulk_ = false;                    // there is a topic of large records
  std::int32_t topics_made_ = 0;         // by faults
  std::int32_t number_ = 0;              // of the last fault
  std::int32_t clients_ = 0;             // with numbers of their own, so that one more disturbs no other
};

}  // namespace verdict::search
