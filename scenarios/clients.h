#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "protocol/client/admin.h"
#include "scenarios/scenario.h"
#include "sim/node.h"
#include "sim/transactional_workload.h"
#include "sim/workload.h"

// Client machines of a run.
namespace verdict::scenarios {

class ProducingMachine : public sim::Process {
 public:
  virtual void stop() = 0;
  virtual bool finished() const = 0;        // stopped, and every record has its outcome
  virtual std::size_t pending() const = 0;  // records without one
};

template <class Client, class Load>
class LoadedMachine final : public ProducingMachine {
 public:
  LoadedMachine(Runtime& runtime, const Load& load, sim::HistorySink* sink) : load_(runtime, load, sink) {}
  void stop() override { load_.stop(); }
  bool finished() const override { return load_.finished(); }
  std::size_t pending() const override { return load_.pending(); }

 private:
  Client load_;
};
using ProducerMachine = LoadedMachine<sim::ProducerProcess, sim::ProducerLoad>;
using TransactionalMachine = LoadedMachine<sim::TransactionalProcess, sim::TransactionalLoad>;

class GroupMachine final : public sim::Process {
 public:
  GroupMachine(Runtime& runtime, const sim::GroupLoad& load, sim::HistorySink* sink) : load_(runtime, load, sink) {}
  void calm() { load_.calm(); }
  bool settled() const { return load_.settled(); }

 private:
  sim::GroupConsumerProcess load_;
};

class ConsumerMachine final : public sim::Process {
 public:
  ConsumerMachine(Runtime& runtime, const sim::ConsumerLoad& load, sim::HistorySink* sink)
      : load(runtime, load, sink) {}
  sim::ConsumerProcess load;
};

// Creates and deletes topics and lowers features, again and again until it is done.
class AdminMachine final : public sim::Process {
 public:
  AdminMachine(Runtime& runtime, const client::ClientOptions& options)
      : runtime_(&runtime), admin_(runtime, options), scope_(runtime) {}
  void create(const TopicSpec& topic);
  void remove(const std::string& topic);
  void lower_feature(const std::string& name, std::int16_t level);
  std::size_t unfinished() const { return unfinished_; }
  const std::string& refusal() const { return refusal_; }  // of the last attempt

 private:
  // done_before: the refusal that says so; NONE: there is no such one.
  template <class Ask>
  Task<void> insist(Ask ask, client::ErrorCode done_before);

  Runtime* runtime_;
  std::size_t unfinished_ = 0;
  std::string refusal_;
  client::Admin admin_;
  Scope scope_;
};

struct ClientSettings {
  std::vector<Endpoint> bootstrap;
  std::int64_t request_timeout_ms = 2000;
  std::int64_t delivery_timeout_ms = 8000;
  std::int64_t bytes_per_ms = 0;                 // of its links; 0: no limit
  std::set<std::string, std::less<>> compacted;  // topics
};
// The names of those whose cleanup.policy has compact.
std::set<std::string, std::less<>> compacted_topics(const std::vector<TopicSpec>& topics);

client::ClientOptions client_options(const ClientSettings& settings, std::int64_t process);
// `partitions`: of the topic, where the spec names none.
sim::ProducerLoad producer_load(const ProducerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions);
sim::TransactionalLoad transactional_load(const ProducerSpec& spec, const ClientSettings& settings,
                                          std::int64_t process, std::int32_t partitions);
sim::GroupLoad group_load(const ConsumerSpec& spec, const ClientSettings& settings, std::int64_t process);
sim::ConsumerLoad consumer_load(const ConsumerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions);

}  // namespace verdict::scenarios
