#pragma once

#include <functional>
#include <memory>
#include <string>

#include "protocol/client/admin.h"
#include "scenarios/scenario.h"
#include "sim/node.h"
#include "sim/workload.h"

// Client machines of a run.
namespace verdict::scenarios {

class ProducerMachine final : public sim::Process {
 public:
  ProducerMachine(Runtime& runtime, const sim::ProducerLoad& load, sim::HistorySink* sink)
      : load(runtime, load, sink) {}
  sim::ProducerProcess load;
};

class ConsumerMachine final : public sim::Process {
 public:
  ConsumerMachine(Runtime& runtime, const sim::ConsumerLoad& load, sim::HistorySink* sink)
      : load(runtime, load, sink) {}
  sim::ConsumerProcess load;
};

// Creates and deletes topics, again and again until it is done.
class AdminMachine final : public sim::Process {
 public:
  AdminMachine(Runtime& runtime, const client::ClientOptions& options)
      : runtime_(&runtime), admin_(runtime, options), scope_(runtime) {}
  void create(const TopicSpec& topic) { scope_.spawn(create_task(topic)); }
  void remove(const std::string& topic) { scope_.spawn(remove_task(topic)); }
  std::size_t unfinished() const { return unfinished_; }
  const std::string& refusal() const { return refusal_; }  // of the last attempt

 private:
  Task<void> create_task(TopicSpec topic);
  Task<void> remove_task(std::string topic);

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
  std::int64_t bytes_per_ms = 0;  // of its links; 0: no limit
};
client::ClientOptions client_options(const ClientSettings& settings, std::int64_t process);
// `partitions`: of the topic, where the spec names none.
sim::ProducerLoad producer_load(const ProducerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions);
sim::ConsumerLoad consumer_load(const ConsumerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions);

}  // namespace verdict::scenarios
