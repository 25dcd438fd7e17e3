#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scenarios/event_match.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/message_tap.h"

namespace verdict::scenarios {

// What the injector asks of the trial that it is part of.
class InjectorHost {
 public:
  virtual ~InjectorHost() = default;
  virtual const std::vector<sim::NodeIndex>& client_machines() const = 0;
  virtual const std::map<std::int32_t, sim::NodeIndex>& numbered_clients() const = 0;
  virtual void administer(const FaultSpec& fault) = 0;  // create_topic, delete_topic
  virtual void fault_note(const FaultNote& note) = 0;
};

// A scenario's faults in one run: arms them, fires each at its time or trigger, undoes it, and heals everything. Also
// the message rules, as the network's tap. Once healed nothing fires any more.
class Injector final : public sim::MessageTap {
 public:
  Injector(sim::World& world, sim::Cluster& cluster, const Scenario& scenario, InjectorHost& host);

  void arm();  // the workload begins now
  void on_event(const sim::Origin& origin, const protocol::Event& event);
  void on_death(sim::NodeIndex index);
  // Ends all faults: blocks, held messages, disks, clocks; starts what is down, but for faults whose victims stay so.
  void heal();
  void at_rest();  // whoever dies from now on does so by another hand
  bool stays_down(sim::NodeIndex index) const;

  const std::vector<std::string>& fired() const { return fired_; }
  std::vector<std::string> unfired() const;  // ids of those that had to
  const std::vector<sim::NodeIndex>* hit(const std::string& id) const;
  TargetContext context(NodeId announced_by = kNoNode) const;

  sim::FrameDecision on_frame(const sim::FrameHead& frame) override;
  void on_delivered(const sim::FrameHead& frame, sim::VirtualTime sent) override;
  std::function<void(const sim::FrameHead&, sim::VirtualTime sent)> delivered;  // may be empty

 private:
  struct Fault {
    const FaultSpec* spec = nullptr;
    std::optional<Target> target;
    std::vector<Target> a, b;
    std::optional<EventMatcher> trigger;
    std::int32_t seen = 0;
    bool armed = false;
    bool fired = false;
    std::vector<sim::NodeIndex> hit;
    // of a message rule in force
    std::optional<Target> from, to;
    std::int16_t api = -1;
    bool in_force = false;
    std::int32_t frames = 0;
    bool holds = false;
    bool counted = false;
  };

  void fire(std::size_t number, NodeId announced_by);
  void apply(std::size_t number, Fault& fault, const TargetContext& context);
  void start_again(sim::NodeIndex index, bool running);
  void apply_to_client(sim::NodeIndex index, const FaultSpec& spec, const Fault& fault);
  bool apply_process(const FaultSpec& spec, Fault& fault);
  bool apply_network(std::size_t number, const FaultSpec& spec, Fault& fault, const std::vector<sim::NodeIndex>& a,
                     const std::vector<sim::NodeIndex>& b);
  bool apply_disk_or_clock(std::size_t number, const FaultSpec& spec, Fault& fault);
  void apply_message(std::size_t number, Fault& fault);
  void apply_random_partition(std::size_t number, Fault& fault);
  void apply_swizzle(const FaultSpec& spec, Fault& fault);
  void take_images(std::size_t number);
  std::uint64_t key_of(const FaultSpec& spec) const;  // of its draws: the same whatever other faults there are
  void undo_later(std::size_t number, std::function<void()> undo);
  void expect_restart(sim::NodeIndex index, const FaultSpec& spec);
  void roll(std::size_t place, const FaultSpec* spec);
  void roll_wait(std::size_t place, const FaultSpec* spec, sim::VirtualTime limit);
  void release_rule(Fault& rule, std::size_t number);
  bool settled(sim::NodeIndex index) const;
  void note(const Fault& fault, bool begins);
  std::vector<sim::NodeIndex> machines_of(const std::vector<Target>& targets, const TargetContext& context) const;
  void later(Duration delay, std::function<void()> call);

  sim::World& world_;
  sim::Cluster& cluster_;
  const Scenario& scenario_;
  InjectorHost& host_;
  sim::VirtualTime began_{};
  bool active_ = false;
  std::uint64_t generation_ = 0;  // calls of before the heal are stale
  std::vector<Fault> faults_;
  std::array<std::vector<std::size_t>, kEventKinds> by_event_;  // armed triggers
  std::vector<std::size_t> rules_;                              // message rules in force
  std::vector<std::string> fired_;
  struct Fate {
    Duration restart{-1};
    bool stays_down = false;
    std::optional<std::uint64_t> image;  // comes back first
  };
  std::map<std::pair<std::size_t, sim::NodeIndex>, std::uint64_t> images_;  // by number of the fault
  std::vector<sim::NodeIndex> paused_clients_;
  std::map<sim::NodeIndex, Fate> fates_;  // of machines that a fault will have brought down
};

}  // namespace verdict::scenarios
