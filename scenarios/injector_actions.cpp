// What each fault does to the simulated machine room.
#include <algorithm>
#include <array>

#include "scenarios/injector.h"

namespace verdict::scenarios {
namespace {

sim::PowerLossPolicy policy_of(const std::string& name) {
  if (name == "data_only") return sim::PowerLossPolicy::data_only();
  if (name == "all_unsynced_lost") return sim::PowerLossPolicy::all_unsynced_lost();
  if (name == "nothing_lost") return sim::PowerLossPolicy::nothing_lost();
  return sim::PowerLossPolicy::everything();
}

}  // namespace

void Injector::apply(std::size_t number, Fault& fault, const TargetContext& here) {
  const FaultSpec& spec = *fault.spec;
  if (fault.target) {
    fault.hit = resolve_machines(*fault.target, here);
    if (fault.hit.empty()) return;  // nobody to hit now: it has not fired
    if (spec.action == "older_disk" && !images_.contains({number, fault.hit.front()})) return;
  }
  const std::vector<sim::NodeIndex> a = machines_of(fault.a, here);
  const std::vector<sim::NodeIndex> b = machines_of(fault.b, here);
  if ((!fault.a.empty() && a.empty()) || (!fault.b.empty() && b.empty())) return;
  fault.fired = true;
  if (!fault.target) {
    fault.hit = a;
    fault.hit.insert(fault.hit.end(), b.begin(), b.end());
  }
  if (spec.action == "message") {
    apply_message(number, fault);
    return;
  }
  fired_.push_back(spec.id);
  note(fault, true);
  if (spec.action == "create_topic" || spec.action == "delete_topic") {
    host_.administer(spec);
  } else if (spec.action == "release") {
    for (std::size_t i = 0; i < faults_.size(); ++i) {
      if (faults_[i].spec->id == spec.of) release_rule(faults_[i], i);
    }
  } else if (!apply_process(spec, fault) && !apply_network(number, spec, fault, a, b)) {
    const bool known = apply_disk_or_clock(number, spec, fault);
    VERDICT_ASSERT(known, "a fault without an effect");
  }
}

void Injector::expect_restart(sim::NodeIndex index, const FaultSpec& spec) {
  fates_[index] = {.restart = spec.restart_ms < 0 ? Duration(-1) : from_ms(spec.restart_ms),
                   .stays_down = spec.stays_down,
                   .image = std::nullopt};
}

void Injector::on_death(sim::NodeIndex index) {
  const auto fate = fates_.find(index);
  if (fate == fates_.end()) return;
  if (fate->second.image) world_.restore_image(index, *std::exchange(fate->second.image, std::nullopt));
  if (!active_) {  // an orderly stop that was under way at the heal: nobody else starts it again
    if (!fate->second.stays_down) world_.after(Duration(0), [this, index] { cluster_.start(index); });
    return;
  }
  if (fate->second.restart < Duration(0)) return;
  later(fate->second.restart, [this, index] {
    if (world_.node(index).running()) return;  // somebody else was sooner, and its fate is another one now
    fates_.erase(index);
    cluster_.start(index);
  });
}

void Injector::start_again(sim::NodeIndex index, bool running) {
  const auto fate = fates_.find(index);
  if (running && fate != fates_.end()) {  // on its way down: it starts as soon as it is there
    fate->second.restart = Duration(0);
    fate->second.stays_down = false;
    return;
  }
  fates_.erase(index);
  later(Duration(0), [this, index] { cluster_.start(index); });
}

// A client has no other life.
void Injector::apply_to_client(sim::NodeIndex index, const FaultSpec& spec, const Fault& fault) {
  if (spec.action == "kill") world_.kill(index);
  if (spec.action == "resume") world_.resume(index);
  if (spec.action != "pause") return;
  world_.pause(index);
  paused_clients_.push_back(index);
  undo_later(static_cast<std::size_t>(&fault - faults_.data()), [this, index] { world_.resume(index); });
}

bool Injector::apply_process(const FaultSpec& spec, Fault& fault) {
  if (spec.action == "rolling_restart") {
    roll(0, &spec);
    return true;
  }
  for (const sim::NodeIndex index : fault.hit) {
    const bool running = world_.node(index).running();
    if (!cluster_.owns(index)) {
      apply_to_client(index, spec, fault);
    } else if (spec.action == "kill" || spec.action == "power_loss") {
      expect_restart(index, spec);
      if (spec.action == "kill") {
        world_.kill(index);
      } else {
        world_.power_loss(index, policy_of(spec.policy));
        if (!running) on_death(index);
      }
    } else if (spec.action == "doom" || spec.action == "doom_power") {
      expect_restart(index, spec);
      const auto k = static_cast<std::uint64_t>(spec.nth_call);
      if (spec.action == "doom") {
        world_.doom(index, k);
      } else {
        world_.doom_power(index, k, policy_of(spec.policy));
      }
    } else if (spec.action == "doom_sync" || spec.action == "doom_sync_power") {
      expect_restart(index, spec);
      const auto k = static_cast<std::uint64_t>(spec.nth_call);
      if (spec.action == "doom_sync") {
        world_.doom_in_sync(index, k);
      } else {
        world_.doom_power_in_sync(index, k, policy_of(spec.policy));
      }
    } else if (spec.action == "pause") {
      world_.pause(index);
      const auto number = static_cast<std::size_t>(&fault - faults_.data());
      undo_later(number, [this, index] { world_.resume(index); });
    } else if (spec.action == "resume") {
      world_.resume(index);
    } else if (spec.action == "stop") {
      expect_restart(index, spec);
      cluster_.stop_orderly(index);
    } else if (spec.action == "start") {
      start_again(index, running);
    } else if (spec.action == "older_disk") {
      expect_restart(index, spec);
      fates_[index].image = images_.at({static_cast<std::size_t>(&fault - faults_.data()), index});
      world_.power_loss(index, sim::PowerLossPolicy::nothing_lost());
      if (!running) on_death(index);
    } else if (spec.action == "wipe") {
      expect_restart(index, spec);
      world_.kill(index);
      // At the top of the loop: nothing of the process is left that could use the disk.
      later(Duration(0), [this, index] {
        if (!world_.node(index).running()) world_.wipe_disk(index);
      });
    } else {
      return false;
    }
  }
  static constexpr std::array kActionsOnProcesses = {"kill", "power_loss", "pause", "resume",
                                                     "stop", "start",      "wipe",  "older_disk"};
  return !fault.hit.empty() && (spec.action.starts_with("doom") ||
                                std::ranges::find(kActionsOnProcesses, spec.action) != kActionsOnProcesses.end());
}

// One broker after the other: down in order, up again after delay_ms, in its ISRs again, then the next.
void Injector::roll(std::size_t place, const FaultSpec* spec) {
  while (place < cluster_.machines().size() && !cluster_.machines()[place].broker) ++place;
  if (place == cluster_.machines().size()) return;
  const sim::NodeIndex index = cluster_.machines()[place].index;
  fates_[index] = {.restart = from_ms(spec->delay_ms), .stays_down = false, .image = std::nullopt};
  cluster_.stop_orderly(index);
  later(from_ms(spec->delay_ms + 50), [this, place, spec] { roll_wait(place, spec, world_.now() + 20s); });
}

void Injector::roll_wait(std::size_t place, const FaultSpec* spec, sim::VirtualTime limit) {
  const sim::NodeIndex index = cluster_.machines()[place].index;
  if ((world_.node(index).running() && !fates_.contains(index) && settled(index)) || world_.now() >= limit)
    return roll(place + 1, spec);
  later(20ms, [this, place, spec, limit] { roll_wait(place, spec, limit); });
}

bool Injector::settled(sim::NodeIndex index) const {
  const NodeId id = cluster_.machines()[index.value()].id;
  const auto broker = cluster_.view().brokers.find(id);
  if (broker == cluster_.view().brokers.end() || broker->second.fenced || broker->second.shutting_down) return false;
  return std::ranges::all_of(cluster_.view().partitions, [&](const auto& entry) {
    const sim::ClusterView::Partition& p = entry.second;
    return cluster_.view().topics.at(p.key.topic).deleted || std::ranges::find(p.replicas, id) == p.replicas.end() ||
           std::ranges::find(p.isr, id) != p.isr.end();
  });
}

bool Injector::apply_network(std::size_t number, const FaultSpec& spec, Fault& fault,
                             const std::vector<sim::NodeIndex>& a, const std::vector<sim::NodeIndex>& b) {
  const auto each = [a, b](auto&& act) {
    for (const sim::NodeIndex from : a) {
      for (const sim::NodeIndex to : b) {
        if (from != to) act(from, to);
      }
    }
  };
  if (spec.action == "partition") {
    const auto set = [this, a, b](bool on) {
      if (a.size() == 1 && b.size() == 1) return world_.partition_pair(a.front(), b.front(), on);
      world_.partition_split(a, b, on);
    };
    set(true);
    undo_later(number, [set] { set(false); });
  } else if (spec.action == "isolate") {
    const sim::NodeIndex index = fault.hit.front();
    world_.isolate(index, true);
    undo_later(number, [this, index] { world_.isolate(index, false); });
  } else if (spec.action == "block") {
    each([&](auto from, auto to) { world_.block(from, to); });
    undo_later(number, [this, each] { each([&](auto from, auto to) { world_.unblock(from, to); }); });
  } else if (spec.action == "bridge") {
    const sim::NodeIndex bridge = fault.hit.front();
    world_.partition_bridge(a, b, bridge, true);
    undo_later(number, [this, a, b, bridge] { world_.partition_bridge(a, b, bridge, false); });
  } else if (spec.action == "clog") {
    each([&](auto from, auto to) { world_.clog(from, to); });
    undo_later(number, [this, each] { each([&](auto from, auto to) { world_.release(from, to); }); });
  } else if (spec.action == "slow_link") {
    const auto rate = static_cast<std::uint64_t>(spec.bytes);
    each([&](auto from, auto to) { world_.slow_link(from, to, from_ms(spec.delay_ms), rate); });
    undo_later(number, [this, each] { each([&](auto from, auto to) { world_.slow_link(from, to, Duration(0), 0); }); });
  } else if (spec.action == "random_partition") {
    apply_random_partition(number, fault);
  } else if (spec.action == "swizzle") {
    apply_swizzle(spec, fault);
  } else if (spec.action == "refuse_connects" || spec.action == "hang_connects") {
    const auto set = [this, each, refuse = spec.action == "refuse_connects"](bool on) {
      each([&](auto from, auto to) {
        refuse ? world_.refuse_connects(from, to, on) : world_.hang_connects(from, to, on);
      });
    };
    set(true);
    undo_later(number, [set] { set(false); });
  } else if (spec.action == "reset") {
    each([&](auto from, auto to) { world_.reset_connections(from, to); });
  } else {
    return false;
  }
  return true;
}

std::uint64_t Injector::key_of(const FaultSpec& spec) const {
  std::uint64_t key = spec.id.size();
  for (const char c : spec.id) key = mix64(key, static_cast<unsigned char>(c));
  return key;
}

void Injector::apply_random_partition(std::size_t number, Fault& fault) {
  std::vector<sim::NodeIndex> sides[2];
  for (const sim::NodeIndex index : fault.hit) {
    KeyedRandom source = world_.keyed(sim::Draw::fault, mix64(key_of(*fault.spec), index.value()));
    sides[world_.draw(source) & 1].push_back(index);
  }
  for (auto& side : sides) {
    auto& other = &side == &sides[0] ? sides[1] : sides[0];
    if (!side.empty() || other.size() < 2) continue;
    side.push_back(other.back());
    other.pop_back();
  }
  world_.partition_random(sides[0], sides[1], true);
  undo_later(number, [this, a = sides[0], b = sides[1]] { world_.partition_random(a, b, false); });
}

// One step after the other: each machine's links are clogged in one order, and released in another.
void Injector::apply_swizzle(const FaultSpec& spec, Fault& fault) {
  const auto places = [&](const std::vector<std::int32_t>& given, std::uint64_t salt) {
    std::vector<sim::NodeIndex> order;
    for (const std::int32_t place : given) {
      if (static_cast<std::size_t>(place) < fault.hit.size())
        order.push_back(fault.hit[static_cast<std::size_t>(place)]);
    }
    if (!given.empty()) return order;
    std::vector<std::pair<std::uint64_t, sim::NodeIndex>> drawn;
    for (const sim::NodeIndex index : fault.hit) {
      KeyedRandom source = world_.keyed(sim::Draw::fault, mix64(mix64(key_of(spec), salt), index.value()));
      drawn.emplace_back(world_.draw(source), index);
    }
    std::ranges::sort(drawn);
    for (const auto& [draw, index] : drawn) order.push_back(index);
    return order;
  };
  const std::vector<sim::NodeIndex> clogs = places(spec.order, 1);
  const std::vector<sim::NodeIndex> releases = places(spec.release_order, 2);
  std::int64_t step = 0;
  for (const sim::NodeIndex index : clogs)
    later(from_ms(spec.delay_ms * step++), [this, index] { world_.swizzle(index, true); });
  for (const sim::NodeIndex index : releases)
    later(from_ms(spec.delay_ms * step++), [this, index] { world_.swizzle(index, false); });
}

// Of every broker that is no controller: whom the fault will hit is not known yet. The controller's log is decided by
// its only voter: an older one would be a cluster that forgot what it had promised.
void Injector::take_images(std::size_t number) {
  if (faults_[number].fired) return;
  for (const sim::Machine& machine : cluster_.machines()) {
    if (!machine.controller) images_[{number, machine.index}] = world_.take_image(machine.index);
  }
}

void Injector::apply_message(std::size_t number, Fault& fault) {
  fault.in_force = true;
  rules_.push_back(number);
  note(fault, true);
  undo_later(number, [this, number] { release_rule(faults_[number], number); });
}

bool Injector::apply_disk_or_clock(std::size_t number, const FaultSpec& spec, Fault& fault) {
  const sim::NodeIndex index = fault.hit.front();
  if (spec.action == "disk_errors" || spec.action == "disk_slow") {
    sim::DiskFaults faults;
    faults.path_part = spec.path_part;
    faults.fail_reads = static_cast<std::uint32_t>(spec.fail_reads);
    faults.fail_writes = static_cast<std::uint32_t>(spec.fail_writes);
    faults.fail_syncs = static_cast<std::uint32_t>(spec.fail_syncs);
    faults.extra_latency = std::chrono::microseconds(spec.latency_us);
    faults.append_stall = std::chrono::microseconds(spec.stall_us);
    world_.set_disk_faults(index, faults);
    undo_later(number, [this, index] { world_.set_disk_faults(index, {}); });
  } else if (spec.action == "full_disk") {
    const std::uint64_t used =
        static_cast<std::uint64_t>(scenario_.disk.capacity_bytes) - world_.node(index).disk().free_bytes();
    world_.set_disk_capacity(index, used + static_cast<std::uint64_t>(spec.bytes));
    undo_later(number, [this, index] {
      world_.set_disk_capacity(index, static_cast<std::uint64_t>(scenario_.disk.capacity_bytes));
    });
  } else if (spec.action == "bit_rot") {
    world_.rot_bits(index, spec.path_part, key_of(spec));
  } else if (spec.action == "misdirected_write") {
    world_.misdirect_write(index, spec.path_part, key_of(spec));
  } else if (spec.action == "clock_offset") {
    world_.set_clock_offset(index, from_ms(spec.by_ms));
    undo_later(number, [this, index] { world_.set_clock_offset(index, Duration(0)); });
  } else if (spec.action == "clock_drift") {
    world_.set_clock_rate(index, static_cast<std::int32_t>(spec.ppm));
    undo_later(number, [this, index] { world_.set_clock_rate(index, 0); });
  } else if (spec.action == "clock_jump") {
    world_.jump_clock(index, from_ms(spec.by_ms));
  } else {
    return false;
  }
  return true;
}

}  // namespace verdict::scenarios
