// Workloads and invariants that the caller of a run brought with him.
#include <fmt/format.h>

#include <algorithm>

#include "scenarios/trial.h"

namespace verdict::scenarios {

// After all other machines, so that they don't notice: a scenario's draws are the same with and without guests.
void Trial::add_guests() {
  for (const Guest& guest : options_.guests) {
    if (guest.invariant) guest_rules_.push_back({.name = guest.name, .invariant = guest.invariant()});
    if (!guest.workload) continue;
    const std::string name = guest.name;
    client::ClientOptions options = client_options(settings_, 0);
    options.client_id = name;
    auto factory = [this, name, options, make = guest.workload](Runtime& runtime) -> std::unique_ptr<sim::Process> {
      return make({.runtime = runtime,
                   .client = options,
                   .tell = [this, name](std::string_view what, std::string_view key, std::int64_t value) {
                     guest_told(name, what, key, value);
                   }});
    };
    const sim::NodeIndex index = world_.add_node({.host = name, .factory = std::move(factory), .defects = {}});
    client_indices_.push_back(index);
    guests_.push_back({.index = index, .name = name});
  }
}

template <class Ask>
void Trial::ask_guests(const sim::Origin& origin, Ask ask) {
  const std::uint64_t losses = white_.metrics().excused_losses;
  const Moment moment{.time_ns = sim::to_ns(world_.now()),
                      .node = origin.node,
                      .incarnation = origin.incarnation,
                      .cluster = cluster_.view(),
                      .excused_losses = losses};
  for (const GuestRule& rule : guest_rules_) {
    std::optional<Broken> broken = ask(*rule.invariant, moment);
    if (!broken || (losses > 0 && rule.invariant->forgives_excused_losses())) continue;
    broken_ = {.name = rule.name,
               .time_ns = moment.time_ns,
               .node = origin.node,
               .incarnation = origin.incarnation,
               .broken = std::move(*broken)};
    return;
  }
}

void Trial::ask_guests_of(const sim::Origin& origin, const protocol::Event& event) {
  ask_guests(origin, [&event](Invariant& rule, const Moment& moment) { return rule.on_event(moment, event); });
}

void Trial::guest_told(const std::string& who, std::string_view what, std::string_view key, std::int64_t value) {
  for (const std::string_view text : {std::string_view(who), what, key}) {
    world_.hash_value(text.size());
    world_.hash_bytes(std::as_bytes(std::span(text)));
  }
  world_.hash_value(static_cast<std::uint64_t>(value));
  if (convicted()) return;
  const Told told{.time_ns = sim::to_ns(world_.now()), .who = who, .what = what, .key = key, .value = value};
  ask_guests({.index = {}, .node = kNoNode, .incarnation = 0},
             [&told](Invariant& rule, const Moment& moment) { return rule.on_told(moment, told); });
  if (convicted()) world_.stop();
}

void Trial::stop_guests() {
  for (const GuestMachine& guest : guests_) {
    auto* process = world_.node(guest.index).process();
    if (process != nullptr) static_cast<Workload*>(process)->stop();
  }
}

std::string Trial::unfinished_guest() {
  for (const GuestMachine& guest : guests_) {
    auto* process = world_.node(guest.index).process();
    if (process != nullptr && !static_cast<Workload*>(process)->finished()) return guest.name;
  }
  return {};
}

Trial::Step Trial::judge_end() {
  ask_guests({.index = {}, .node = kNoNode, .incarnation = 0},
             [](Invariant& rule, const Moment& moment) { return rule.at_end(moment); });
  return convicted() ? Step::ended : Step::go_on;
}

void Trial::conclude_guest(const BrokenRule& rule) {
  result_.outcome = RunOutcome::violation;
  result_.invariant = rule.name;
  result_.sentence = rule.broken.sentence;
  result_.partition = rule.broken.partition;
  result_.offset = rule.broken.offset;
  result_.violation_ns = rule.time_ns;
  for (const std::string& text : rule.broken.witnesses) {
    result_.witnesses.push_back(
        {.time_ns = rule.time_ns, .node = rule.node.value(), .incarnation = rule.incarnation, .text = text});
  }
}

}  // namespace verdict::scenarios
