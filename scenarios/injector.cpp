// When faults fire, how they end, and the message rules. What each does is in injector_actions.cpp.
#include "scenarios/injector.h"

#include <algorithm>

#include "protocol/wire/api_keys.h"

namespace verdict::scenarios {
namespace {

std::vector<Target> targets_of(const std::vector<std::string>& texts) {
  std::vector<Target> targets;
  for (const std::string& text : texts) targets.push_back(*parse_target(text));
  return targets;
}

std::optional<Target> target_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return *parse_target(text);
}

}  // namespace

Injector::Injector(sim::World& world, sim::Cluster& cluster, const Scenario& scenario, InjectorHost& host)
    : world_(world), cluster_(cluster), scenario_(scenario), host_(host) {
  for (const FaultSpec& spec : scenario.faults) {
    Fault fault;
    fault.spec = &spec;
    fault.target = target_of(spec.target);
    fault.a = targets_of(spec.a);
    fault.b = targets_of(spec.b);
    fault.from = target_of(spec.from);
    fault.to = target_of(spec.to);
    if (const auto api = wire::find_api_key(spec.api)) fault.api = static_cast<std::int16_t>(*api);
    if (spec.when) fault.trigger = *EventMatcher::make(spec.when->event, spec.when->match);
    faults_.push_back(std::move(fault));
  }
}

void Injector::later(Duration delay, std::function<void()> call) {
  world_.after(delay, [this, generation = generation_, call = std::move(call)] {
    if (generation == generation_) call();
  });
}

void Injector::arm() {
  began_ = world_.now();
  active_ = true;
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const FaultSpec& spec = *faults_[i].spec;
    if (spec.action == "older_disk" && spec.image_ms == 0) {
      take_images(i);
    } else if (spec.action == "older_disk") {
      later(from_ms(spec.image_ms), [this, i] { take_images(i); });
    }
    if (spec.at_ms) {
      later(from_ms(*spec.at_ms), [this, i] { fire(i, kNoNode); });
      continue;
    }
    const auto start = [this, i] {
      faults_[i].armed = true;
      by_event_[faults_[i].trigger->kind()].push_back(i);
    };
    if (spec.when->not_before_ms > 0) {
      later(from_ms(spec.when->not_before_ms), start);
    } else {
      start();
    }
    if (spec.when->deadline_ms > 0) later(from_ms(spec.when->deadline_ms), [this, i] { fire(i, kNoNode); });
  }
}

void Injector::on_event(const sim::Origin& origin, const protocol::Event& event) {
  std::vector<std::size_t>& waiting = by_event_[event.index()];
  if (waiting.empty() || !active_) return;
  std::vector<std::size_t> due;
  const TargetContext here = context(origin.node);
  std::erase_if(waiting, [&](std::size_t i) {
    Fault& fault = faults_[i];
    if (fault.fired) return true;
    if (!fault.trigger->matches(event, origin, here) || ++fault.seen < fault.spec->when->nth) return false;
    due.push_back(i);
    return true;
  });
  for (const std::size_t i : due) {
    const std::int64_t after_us = faults_[i].spec->when->after_us;
    if (after_us == 0) {
      fire(i, origin.node);
    } else {
      later(std::chrono::microseconds(after_us), [this, i, node = origin.node] { fire(i, node); });
    }
  }
}

void Injector::fire(std::size_t number, NodeId announced_by) {
  Fault& fault = faults_[number];
  if (!active_ || fault.fired) return;
  apply(number, fault, context(announced_by));
}

void Injector::undo_later(std::size_t number, std::function<void()> undo) {
  const Fault& fault = faults_[number];
  if (fault.spec->for_ms == 0) return;
  later(from_ms(fault.spec->for_ms), [this, number, undo = std::move(undo)] {
    undo();
    note(faults_[number], false);
  });
}

TargetContext Injector::context(NodeId announced_by) const {
  return {.cluster = cluster_,
          .announced_by = announced_by,
          .hit_by =
              [this](const std::string& id) {
                const std::vector<sim::NodeIndex>* found = hit(id);
                return found == nullptr ? std::vector<sim::NodeIndex>{} : *found;
              },
          .clients = &host_.client_machines(),
          .numbered_clients = &host_.numbered_clients()};
}

const std::vector<sim::NodeIndex>* Injector::hit(const std::string& id) const {
  for (const Fault& fault : faults_) {
    if (fault.fired && fault.spec->id == id) return &fault.hit;
  }
  return nullptr;
}

std::vector<std::string> Injector::unfired() const {
  std::vector<std::string> ids;
  for (const Fault& fault : faults_) {
    const bool had_effect = fault.spec->action == "message" ? fault.counted : fault.fired;
    if (!had_effect && !fault.spec->optional) ids.push_back(fault.spec->id);
  }
  return ids;
}

std::vector<sim::NodeIndex> Injector::machines_of(const std::vector<Target>& targets, const TargetContext& here) const {
  std::vector<sim::NodeIndex> machines;
  for (const Target& target : targets) {
    for (const sim::NodeIndex index : resolve_machines(target, here)) {
      if (std::ranges::find(machines, index) == machines.end()) machines.push_back(index);
    }
  }
  return machines;
}

void Injector::note(const Fault& fault, bool begins) {
  FaultNote note{.id = fault.spec->id,
                 .action = fault.spec->action,
                 .begins = begins,
                 .nodes = fault.hit,
                 .text = fault.spec->action};
  for (std::size_t i = 0; i < note.nodes.size(); ++i)
    note.text += (i == 0 ? " of " : ", ") + world_.node(note.nodes[i]).host();
  if (!begins) note.text += " ends";
  host_.fault_note(note);
}

// ---- message rules ----

sim::FrameDecision Injector::on_frame(const sim::FrameHead& frame) {
  if (rules_.empty() || !active_) return {};
  for (const std::size_t number : rules_) {
    Fault& rule = faults_[number];
    const FaultSpec& spec = *rule.spec;
    if (!rule.in_force || (rule.api >= 0 && frame.api_key != rule.api)) continue;
    if (spec.side != "any" && (spec.side == "response") != frame.response) continue;
    const auto fits = [&](const std::optional<Target>& target, sim::NodeIndex index) {
      if (!target) return true;
      const std::vector<sim::NodeIndex> machines = resolve_machines(*target, context());
      return std::ranges::find(machines, index) != machines.end();
    };
    if (!fits(rule.from, frame.from) || !fits(rule.to, frame.to)) continue;
    ++rule.frames;
    if (rule.frames < spec.nth || rule.frames >= spec.nth + spec.count) continue;
    if (!std::exchange(rule.counted, true)) fired_.push_back(spec.id);
    sim::FrameDecision decision;
    if (spec.effect == "hold") {
      decision.action = sim::FrameAction::hold;
      decision.hold_id = static_cast<std::uint32_t>(number + 1);
      rule.holds = true;
    } else if (spec.effect == "delay") {
      decision.action = sim::FrameAction::delay;
      decision.delay = from_ms(spec.delay_ms);
    } else {
      decision.action = sim::FrameAction::reset;
    }
    return decision;
  }
  return {};
}

void Injector::on_delivered(const sim::FrameHead& frame, sim::VirtualTime sent) {
  if (delivered) delivered(frame, sent);
}

void Injector::release_rule(Fault& rule, std::size_t number) {
  rule.in_force = false;
  if (std::exchange(rule.holds, false)) world_.release_messages(static_cast<std::uint32_t>(number + 1));
}

// ---- the end ----

void Injector::heal() {
  active_ = false;
  ++generation_;
  for (std::size_t i = 0; i < faults_.size(); ++i) release_rule(faults_[i], i);
  world_.heal_network();
  for (const sim::Machine& machine : cluster_.machines()) {
    world_.set_disk_faults(machine.index, {});
    world_.lift_rot(machine.index);  // Kafka repairs nothing: whoever asks for those offsets would wait for ever
    world_.set_disk_capacity(machine.index, static_cast<std::uint64_t>(scenario_.disk.capacity_bytes));
    world_.set_clock_rate(machine.index, 0);
    world_.resume(machine.index);
    world_.undoom(machine.index);
    if (stays_down(machine.index) || world_.node(machine.index).running()) continue;
    fates_.erase(machine.index);
    cluster_.start(machine.index);
  }
  for (const sim::NodeIndex index : paused_clients_) world_.resume(index);
}

void Injector::at_rest() {
  std::erase_if(fates_, [](const auto& fate) { return !fate.second.stays_down; });
}

bool Injector::stays_down(sim::NodeIndex index) const {
  const auto fate = fates_.find(index);
  return fate != fates_.end() && fate->second.stays_down;
}

}  // namespace verdict::scenarios
