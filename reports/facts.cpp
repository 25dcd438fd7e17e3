#include "reports/facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;

struct Named {
  std::string_view name;
  FactKind kind;
};
constexpr std::array kNames{
    Named{"fault", FactKind::fault},
    Named{"down", FactKind::down},
    Named{"up", FactKind::up},
    Named{"log_opened", FactKind::opened},
    Named{"batch_appended", FactKind::appended},
    Named{"log_truncated", FactKind::truncated},
    Named{"became_leader", FactKind::leads},
    Named{"became_follower", FactKind::follows},
    Named{"high_watermark_advanced", FactKind::high_watermark},
    Named{"isr_proposed", FactKind::proposed},
    Named{"isr_adopted", FactKind::adopted},
    Named{"divergence_answered", FactKind::diverges},
    Named{"produce_acknowledged", FactKind::acknowledged},
    Named{"partition_decided", FactKind::decided},
    Named{"broker_registered", FactKind::registered},
    Named{"broker_fencing", FactKind::fencing},
};

// An event's values by the names of its fields.
class Values {
 public:
  Values(const TraceKind& kind, const std::string& text) : kind_(kind), values_(Json::parse(text, nullptr, false)) {}

  template <class T>
  T get(std::string_view name, T otherwise) const {
    const Json* found = find(name);
    if (found == nullptr) return otherwise;
    if constexpr (std::is_same_v<T, bool>) {
      return found->is_boolean() ? found->get<bool>() : otherwise;
    } else if constexpr (std::is_same_v<T, std::string>) {
      return found->is_string() ? found->get<std::string>() : otherwise;
    } else {
      return found->is_number_integer() ? found->get<T>() : otherwise;
    }
  }
  std::vector<std::int32_t> list(std::string_view name) const {
    std::vector<std::int32_t> out;
    const Json* found = find(name);
    if (found == nullptr || !found->is_array()) return out;
    for (const Json& element : *found) {
      if (element.is_number_integer()) out.push_back(element.get<std::int32_t>());
    }
    return out;
  }

 private:
  const Json* find(std::string_view name) const {
    const auto at = std::ranges::find(kind_.fields, name);
    const auto place = static_cast<std::size_t>(at - kind_.fields.begin());
    return values_.is_array() && place < values_.size() ? &values_[place] : nullptr;
  }
  const TraceKind& kind_;
  Json values_;
};

void read_log(Fact& fact, const Values& values) {
  fact.epoch = values.get<std::int32_t>("epoch", values.get<std::int32_t>("leader_epoch", -1));
  fact.crc = values.get<std::uint32_t>("crc", 0);
  if (fact.kind == FactKind::appended || fact.kind == FactKind::acknowledged) {
    fact.from = values.get<std::int64_t>("base", -1);
    fact.to = values.get<std::int64_t>("last", -1);
    fact.flag = values.get<std::string>("role", "") == "leader";
    fact.acks = values.get<std::int32_t>("acks", 0);
    fact.error = values.get<std::int32_t>("error_code", 0);
  } else if (fact.kind == FactKind::opened) {
    fact.epoch = values.get<std::int32_t>("last_epoch", -1);
    fact.to = values.get<std::int64_t>("log_end", -1);
    fact.flag = values.get<std::int64_t>("cut_bytes", 0) > 0;
  } else {
    fact.from = values.get<std::int64_t>("from", -1);
    fact.to = values.get<std::int64_t>("to", values.get<std::int64_t>("end", -1));
    fact.flag = fact.kind == FactKind::truncated ? values.get<std::string>("reason", "") == "full"
                                                 : values.get<std::string>("role", "") == "leader";
    fact.node = values.get<std::int32_t>("follower", -1);
    if (fact.kind == FactKind::diverges) fact.epoch = values.get<std::int32_t>("diverging_epoch", -1);
  }
}

void read_role(Fact& fact, const Values& values) {
  fact.epoch = values.get<std::int32_t>("leader_epoch", -1);
  fact.partition_epoch = values.get<std::int32_t>("partition_epoch", -1);
  fact.node = values.get<std::int32_t>("leader", -1);
  fact.isr = values.list("isr");
  fact.from = values.get<std::int64_t>("epoch_start", -1);
  fact.to = values.get<std::int64_t>("high_watermark", -1);
  fact.flag = values.get<bool>("unclean", false);
  if (fact.kind == FactKind::proposed) {
    fact.was = fact.isr;
    fact.isr = values.list("proposed");
  }
}

void read_broker(Fact& fact, const Values& values) {
  fact.node = values.get<std::int32_t>("broker", -1);
  fact.flag = values.get<bool>(fact.kind == FactKind::fencing ? "fenced" : "clean", false);
  fact.shutting_down = values.get<bool>("shutting_down", false);
}

bool is_global(FactKind kind) { return kind == FactKind::registered || kind == FactKind::fencing; }

void read_values(Fact& fact, const Values& values) {
  switch (fact.kind) {
    case FactKind::opened:
    case FactKind::appended:
    case FactKind::truncated:
    case FactKind::high_watermark:
    case FactKind::diverges:
    case FactKind::acknowledged:
      return read_log(fact, values);
    case FactKind::leads:
    case FactKind::follows:
    case FactKind::proposed:
    case FactKind::adopted:
    case FactKind::decided:
      return read_role(fact, values);
    default:
      return read_broker(fact, values);
  }
}

std::string offsets(std::int64_t from, std::int64_t to) {
  return from == to ? fmt::format("offset {}", from) : fmt::format("offsets {} to {}", from, to);
}

std::string decided_text(const Fact& fact, std::string_view partition) {
  const std::string isr = fmt::format("[{}]", fmt::join(fact.isr, " "));
  if (fact.was.empty() && fact.was_epoch < 0)
    return fmt::format("creates {} with broker {} as leader, ISR {}", partition, fact.node, isr);
  if (fact.epoch != fact.was_epoch) {
    if (fact.node < 0)
      return fmt::format("leaves {} without a leader from epoch {} on, ISR {}", partition, fact.epoch, isr);
    return fmt::format("makes broker {} leader of {} in epoch {}, {}, ISR {}", fact.node, partition, fact.epoch,
                       fact.was_leader < 0            ? std::string("which had none")
                       : fact.was_leader == fact.node ? std::string("as before")
                                                      : fmt::format("after broker {}", fact.was_leader),
                       isr) +
           (fact.flag ? ", from outside the ISR" : "");
  }
  return fmt::format("changes the ISR of {} from [{}] to {}", partition, fmt::join(fact.was, " "), isr);
}

std::string proposed_text(const Fact& fact, std::string_view partition) {
  return fmt::format("proposes, as leader of {} in epoch {}, to change the ISR from [{}] to [{}]", partition,
                     fact.epoch, fmt::join(fact.was, " "), fmt::join(fact.isr, " "));
}

std::string fault_text(const Fact& fact) {
  const TraceFault& fault = *fact.fault;
  std::string text = fault.text.empty() ? fault.action : fault.text;
  if (fault.to_ns > fault.from_ns && !is_death(fault.action)) text += ", until " + seconds_text(fault.to_ns);
  return fmt::format("fault {}: {}", fault.id, text);
}

}  // namespace

std::string_view name_of(FactKind kind) { return std::ranges::find(kNames, kind, &Named::kind)->name; }

bool covers(const Fact& fact, std::int64_t offset) { return fact.from <= offset && offset <= fact.to; }

bool contains(const std::vector<std::int32_t>& list, std::int32_t id) {
  return std::ranges::find(list, id) != list.end();
}

bool is_death(std::string_view action) {
  return action == "kill" || action == "power_loss" || action.starts_with("doom") || action == "stop" ||
         action == "wipe" || action == "older_disk" || action == "rolling_restart";
}

std::vector<Fact> facts_of(const TraceData& trace, std::int32_t partition, std::int64_t until_ns) {
  std::vector<Fact> facts;
  for (const TraceFault& fault : trace.faults) {
    if (fault.from_ns > until_ns) continue;
    facts.push_back({.kind = FactKind::fault,
                     .t_ns = fault.from_ns,
                     .lane = fault.lanes.empty() ? std::uint16_t{0} : fault.lanes.front(),
                     .fault = &fault});
  }
  for (const TraceUp& up : trace.ups) {
    if (up.t_ns > until_ns || (up.up && up.incarnation <= 1)) continue;
    facts.push_back({.kind = up.up ? FactKind::up : FactKind::down,
                     .t_ns = up.t_ns,
                     .lane = up.lane,
                     .incarnation = up.incarnation,
                     .up = &up});
  }
  std::vector<const Named*> kinds;
  for (const TraceKind& kind : trace.kinds) {
    const auto found = std::ranges::find(kNames, kind.name, &Named::name);
    kinds.push_back(found == kNames.end() ? nullptr : &*found);
  }
  Fact last;  // decision
  for (const TraceEvent& event : trace.events) {
    if (event.t_ns > until_ns) break;
    const Named* named = kinds[event.kind];
    if (named == nullptr || (!is_global(named->kind) && (event.partition != partition || partition < 0))) continue;
    Fact fact{.kind = named->kind, .t_ns = event.t_ns, .lane = event.lane, .incarnation = event.incarnation};
    read_values(fact, Values(trace.kinds[event.kind], event.values));
    if (fact.kind == FactKind::decided) {
      if (fact.partition_epoch <= last.partition_epoch) continue;  // a controller that starts again tells its log anew
      fact.was = last.isr;
      fact.was_leader = last.node;
      fact.was_epoch = last.epoch;
      last = fact;
    }
    facts.push_back(std::move(fact));
  }
  // At one instant: faults, deaths and starts before what the processes say.
  const auto rank = [](const Fact& fact) {
    const std::int32_t kind = fact.kind == FactKind::fault  ? 0
                              : fact.kind == FactKind::down ? 1
                              : fact.kind == FactKind::up   ? 2
                              : is_global(fact.kind)        ? 3  // one record batch holds a fencing and its elections
                                                            : 4;
    return std::tuple(fact.t_ns, kind, fact.number);
  };
  for (std::size_t i = 0; i < facts.size(); ++i) facts[i].number = i;
  std::ranges::sort(facts, {}, rank);
  return facts;
}

std::string fact_text(const Fact& fact, std::string_view partition) {
  switch (fact.kind) {
    case FactKind::fault:
      return fault_text(fact);
    case FactKind::down:
      return fact.up->why;
    case FactKind::up:
      return fmt::format("starts again (life {})", fact.incarnation);
    case FactKind::opened:
      return fmt::format("opens its log of {}, which ends at {} (epoch {}){}", partition, fact.to, fact.epoch,
                         fact.flag ? "; recovery cut its end" : "");
    case FactKind::appended:
      return fmt::format("{} {} of {} in epoch {}", fact.flag ? "appends, as leader," : "copies",
                         offsets(fact.from, fact.to), partition, fact.epoch);
    case FactKind::truncated:
      return fact.flag ? fmt::format("starts {}, which ended at {}, anew at {}", partition, fact.from, fact.to)
                       : fmt::format("truncates {} from {} to {}", partition, fact.from, fact.to);
    case FactKind::leads:
      return fmt::format("leads {} in epoch {} from offset {}, high watermark {}", partition, fact.epoch, fact.from,
                         fact.to);
    case FactKind::follows:
      return fact.node < 0 ? fmt::format("knows no leader of {} in epoch {}", partition, fact.epoch)
                           : fmt::format("follows broker {} in epoch {} of {}", fact.node, fact.epoch, partition);
    case FactKind::high_watermark:
      return fmt::format("moves the high watermark of {} from {} to {}", partition, fact.from, fact.to);
    case FactKind::proposed:
      return proposed_text(fact, partition);
    case FactKind::adopted:
      return fmt::format("works with the ISR [{}] of {}", fmt::join(fact.isr, " "), partition);
    case FactKind::diverges:
      return fmt::format("answers broker {} that epoch {} of {} ends at offset {}", fact.node, fact.epoch, partition,
                         fact.to);
    case FactKind::acknowledged:
      return fmt::format("acknowledges {} of {} (acks={})", offsets(fact.from, fact.to), partition,
                         fact.acks < 0 ? "all" : std::to_string(fact.acks));
    case FactKind::decided:
      return decided_text(fact, partition);
    case FactKind::registered:
      return fmt::format("registers broker {} anew{}", fact.node, fact.flag ? "" : ", after an unclean stop");
    case FactKind::fencing:
      return fmt::format("{} broker {}", fact.shutting_down ? "lets go" : fact.flag ? "fences" : "unfences", fact.node);
  }
  return {};
}

}  // namespace verdict::reports
