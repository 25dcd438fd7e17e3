#include "reports/cause.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "reports/bundle.h"
#include "reports/facts.h"
#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;
using scenarios::RunOutcome;
using scenarios::RunResult;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kLate = 50 * kMs;          // a decision takes effect within less, if nothing is in its way
constexpr std::int64_t kUnderWay = 20 * kMs;      // a message arrives within less, if nothing holds it
constexpr std::int64_t kAftermath = 5'000 * kMs;  // a disturbance may be noticed so much later: sessions, lag

class Walk {
 public:
  Walk(const RunResult& result, const TraceData& trace) : result_(result), trace_(trace) {
    const auto found = std::ranges::find(trace.partitions, result.partition);
    if (!result.partition.empty() && found != trace.partitions.end())
      partition_ = static_cast<std::int32_t>(found - trace.partitions.begin());
    end_ns_ = result.violation_ns >= 0 ? result.violation_ns : trace.end_ns;
    facts_ = facts_of(trace, partition_, end_ns_);
    because_.resize(facts_.size());
    heard_.resize(facts_.size());
  }

  std::vector<CauseLink> run() {
    find_roots();
    while (!todo_.empty()) {
      const std::size_t at = todo_.front();
      todo_.pop_front();
      explain(at);
    }
    return chain();
  }

 private:
  using Place = std::optional<std::size_t>;

  // ---- finding ----

  template <class Fits>
  Place last_before(std::size_t at, Fits fits) const {
    while (at-- > 0) {
      if (fits(facts_[at])) return at;
    }
    return std::nullopt;
  }
  template <class Fits>
  Place last(Fits fits) const {
    return last_before(facts_.size(), fits);
  }
  Place last_of(std::size_t at, FactKind kind, std::uint16_t lane) const {
    return last_before(at, [&](const Fact& f) { return f.kind == kind && f.lane == lane; });
  }
  std::optional<std::uint16_t> lane_of(std::int32_t id) const {
    for (std::size_t i = 0; i < trace_.nodes.size(); ++i) {
      if (!trace_.nodes[i].client && trace_.nodes[i].id == id && id >= 0) return static_cast<std::uint16_t>(i);
    }
    return std::nullopt;
  }
  std::int32_t id_of(std::uint16_t lane) const { return trace_.nodes[lane].id; }

  // ---- the graph ----

  void reach(std::size_t at) {
    if (reached_.insert(at).second) todo_.push_back(at);
  }
  // What was set up is where everything begins, and no cause.
  bool of_set_up(std::size_t at) const { return facts_[at].t_ns < result_.workload_ns; }
  void root(Place at) {
    if (!at || of_set_up(*at)) return;
    roots_.insert(*at);
    reach(*at);
  }
  void need(std::size_t of, Place cause) {
    if (!cause || *cause >= of || of_set_up(*cause)) return;  // what is later is no cause
    because_[of].insert(*cause);
    reach(*cause);
    const bool silent = facts_[*cause].kind == FactKind::fault || facts_[*cause].kind == FactKind::down;
    if (facts_[of].lane != facts_[*cause].lane && !silent) hear(of, *cause);
  }

  // The message that brought it from the one machine to the other; what held it on its way is a cause, too.
  void hear(std::size_t of, std::size_t cause) {
    const Fact& there = facts_[cause];
    const Fact& here = facts_[of];
    for (auto m = trace_.messages.rbegin(); m != trace_.messages.rend(); ++m) {
      if (m->delivered_ns > here.t_ns) continue;
      if (m->delivered_ns < there.t_ns) break;  // by delivery
      if (m->from != there.lane || m->to != here.lane || m->sent_ns < there.t_ns) continue;
      const std::int64_t took = m->delivered_ns - m->sent_ns;
      heard_[of] = fmt::format("by {}'s {} {} of {}", trace_.nodes[m->from].host, trace_.apis[m->api],
                               m->response ? "answer" : "request", seconds_text(m->sent_ns));
      if (took >= kUnderWay) {
        heard_[of] += fmt::format(", {} ms under way", took / kMs);
        disturbed(of, {here.lane, there.lane}, m->sent_ns, m->delivered_ns, true);
      }
      return;
    }
  }

  // Faults but deaths that were in force in that time on one of the lanes; `messages`: rules for messages, too, which
  // name no machine.
  bool disturbed(std::size_t of, std::initializer_list<std::uint16_t> lanes, std::int64_t from, std::int64_t to,
                 bool messages) {
    bool any = false;
    for (std::size_t i = 0; i < of; ++i) {
      const TraceFault* fault = facts_[i].fault;
      if (fault == nullptr || is_death(fault->action) || fault->from_ns > to) continue;
      if (fault->to_ns >= 0 && fault->to_ns < from) continue;
      const bool concerns = (messages && fault->lanes.empty()) || std::ranges::any_of(lanes, [&](std::uint16_t lane) {
                              return std::ranges::find(fault->lanes, lane) != fault->lanes.end();
                            });
      if (!concerns) continue;
      need(of, i);
      any = true;
    }
    return any;
  }

  // Why machine `id` was missed by who announced fact `of`: its death, or faults around it.
  void missed(std::size_t of, std::int32_t id) {
    const auto lane = lane_of(id);
    if (!lane) return;
    const std::int64_t now = facts_[of].t_ns;
    const Place welcome = last_before(
        of, [&](const Fact& f) { return f.kind == FactKind::fencing && f.node == id && !f.flag && !f.shutting_down; });
    const Place down = last_of(of, FactKind::down, *lane);
    const bool died = down && !of_set_up(*down) && (!welcome || *down > *welcome);
    if (died) return need(of, down);
    bool any = disturbed(of, {*lane}, now - kAftermath, now, false);
    const Place stop = last_before(of, [&](const Fact& f) {
      return f.fault != nullptr && f.fault->action == "stop" && f.lane == *lane && f.t_ns >= now - kAftermath;
    });
    need(of, stop);
    any |= stop.has_value();
    if (!any) disturbed(of, {facts_[of].lane}, now - kAftermath, now, true);
  }

  // ---- what each kind of fact comes from ----

  void explain(std::size_t at) {
    const Fact& fact = facts_[at];
    switch (fact.kind) {
      case FactKind::fault:
        return;
      case FactKind::down:
        return need(at, last_before(at, [&](const Fact& f) {
                      return f.fault != nullptr && is_death(f.fault->action) &&
                             std::ranges::find(f.fault->lanes, fact.lane) != f.fault->lanes.end();
                    }));
      case FactKind::up:
        return need(at, last_of(at, FactKind::down, fact.lane));
      case FactKind::opened:
        return need(at, last_of(at, FactKind::up, fact.lane));
      case FactKind::decided:
        return explain_decision(at);
      case FactKind::fencing:
        if (fact.flag || fact.shutting_down) return missed(at, fact.node);
        return need(
            at, last_before(at, [&](const Fact& f) { return f.kind == FactKind::registered && f.node == fact.node; }));
      case FactKind::registered:
        if (const auto lane = lane_of(fact.node)) need(at, last_of(at, FactKind::up, *lane));
        return;
      case FactKind::leads:
      case FactKind::follows:
      case FactKind::adopted:
        return explain_role(at);
      case FactKind::proposed:
        return explain_proposal(at);
      default:
        return explain_log(at);
    }
  }

  void explain_decision(std::size_t at) {
    const Fact& fact = facts_[at];
    const auto fencing_of = [&](std::int32_t id, bool gone) {
      return last_before(at, [&](const Fact& f) {
        return f.kind == FactKind::fencing && f.node == id && (f.flag || f.shutting_down) == gone;
      });
    };
    const auto proposal =
        last_before(at, [&](const Fact& f) { return f.kind == FactKind::proposed && f.isr == fact.isr; });
    if (fact.epoch != fact.was_epoch) {
      if (fact.was_leader >= 0 && fact.was_leader != fact.node) need(at, fencing_of(fact.was_leader, true));
      if (fact.was_leader < 0 && fact.node >= 0) need(at, fencing_of(fact.node, false));
      if (fact.node >= 0 && !fact.was.empty() && !contains(fact.was, fact.node)) {
        need(at, last_before(at, [&](const Fact& f) {
               return f.kind == FactKind::decided && contains(f.was, fact.node) && !contains(f.isr, fact.node);
             }));
      }
    }
    for (const std::int32_t id : fact.was) {
      if (contains(fact.isr, id) || id == fact.was_leader) continue;
      need(at, proposal ? proposal : fencing_of(id, true));
    }
    for (const std::int32_t id : fact.isr) {
      if (!fact.was.empty() && !contains(fact.was, id)) need(at, proposal);
    }
  }

  void explain_role(std::size_t at) {
    const Fact& fact = facts_[at];
    const Place decision = last_before(
        at, [&](const Fact& f) { return f.kind == FactKind::decided && f.partition_epoch == fact.partition_epoch; });
    if (fact.kind == FactKind::adopted && (!decision || facts_[*decision].isr != fact.isr)) {
      // An ISR that nobody decided: proposed, or made up.
      const Place proposal = last_before(
          at, [&](const Fact& f) { return f.kind == FactKind::proposed && f.lane == fact.lane && f.isr == fact.isr; });
      if (proposal) return need(at, proposal);
      for (const std::int32_t id : decision ? facts_[*decision].isr : std::vector<std::int32_t>()) {
        if (!contains(fact.isr, id)) missed(at, id);
      }
    }
    need(at, decision);
    if (!decision || fact.kind == FactKind::adopted) return;
    const Fact& decided = facts_[*decision];
    const Place up = last_of(at, FactKind::up, fact.lane);
    if (up && facts_[*up].t_ns >= decided.t_ns) {
      need(at, up);
    } else if (fact.t_ns - decided.t_ns >= kLate) {
      disturbed(at, {fact.lane, decided.lane}, decided.t_ns, fact.t_ns, false);
    }
  }

  void explain_proposal(std::size_t at) {
    const Fact& fact = facts_[at];
    need(at, last_of(at, FactKind::leads, fact.lane));
    for (const std::int32_t id : fact.was) {
      if (!contains(fact.isr, id)) missed(at, id);
    }
    for (const std::int32_t id : fact.isr) {
      const auto lane = lane_of(id);
      if (!contains(fact.was, id) && lane) need(at, last_of(at, FactKind::up, *lane));
    }
  }

  // A batch comes from whom the replica follows, whoever wrote it first.
  void explain_copy(std::size_t at) {
    const Fact& fact = facts_[at];
    const Place role = last_of(at, FactKind::follows, fact.lane);
    need(at, role);
    const auto leader = role ? lane_of(facts_[*role].node) : std::nullopt;
    const auto same = [&](const Fact& f) {
      return f.kind == FactKind::appended && f.from == fact.from && f.crc == fact.crc && f.lane != fact.lane;
    };
    const Place there = last_before(at, [&](const Fact& f) { return leader && same(f) && f.lane == *leader; });
    need(at, there ? there : last_before(at, [&](const Fact& f) { return same(f) && f.flag; }));
  }

  void explain_log(std::size_t at) {
    const Fact& fact = facts_[at];
    const auto appended = [&](std::int64_t offset) {
      return last_before(
          at, [&](const Fact& f) { return f.kind == FactKind::appended && f.lane == fact.lane && covers(f, offset); });
    };
    switch (fact.kind) {
      case FactKind::appended:
        if (fact.flag) return need(at, last_of(at, FactKind::leads, fact.lane));
        return explain_copy(at);
      case FactKind::truncated: {
        const Place role = last_of(at, FactKind::follows, fact.lane);
        need(at, role);
        return need(at, last_before(at, [&](const Fact& f) {
                      return f.kind == FactKind::diverges && f.node == id_of(fact.lane) &&
                             (!role || f.t_ns >= facts_[*role].t_ns);
                    }));
      }
      case FactKind::diverges:
        return need(at, last_of(at, FactKind::leads, fact.lane));
      case FactKind::high_watermark:
        need(at, appended(result_.offset >= 0 && result_.offset < fact.to ? result_.offset : fact.to - 1));
        if (fact.flag) return need(at, last_of(at, FactKind::adopted, fact.lane));
        return need(at, last_before(at, [&](const Fact& f) {
                      return f.kind == FactKind::high_watermark && f.flag && f.to >= fact.to;
                    }));
      case FactKind::acknowledged:
        need(at, appended(fact.to));
        return need(at, last_before(at, [&](const Fact& f) {
                      return f.kind == FactKind::high_watermark && f.lane == fact.lane && f.from <= fact.to &&
                             fact.to < f.to;
                    }));
      default:
        return;
    }
  }

  // ---- where the walk begins ----

  void find_roots() {
    for (const scenarios::WitnessLine& witness : result_.witnesses) root_witness(witness);
    if (result_.offset >= 0 && partition_ >= 0) root_offset(result_.offset);
    const auto lane = result_.witnesses.empty() ? std::nullopt : lane_of(result_.witnesses.back().node);
    root_violation(lane);
    if (!roots_.empty()) return;
    // It names nothing that is in the trace: what the machines concerned did last.
    for (std::size_t n = 0; n < trace_.nodes.size(); ++n) {
      root(
          last([&](const Fact& f) { return f.lane == n && f.kind != FactKind::high_watermark && f.fault == nullptr; }));
    }
  }

  // The events of the violation's turn: changes of state, else the first of each kind.
  void root_violation(std::optional<std::uint16_t> lane) {
    std::map<FactKind, std::size_t> first;
    bool changed = false;
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      const Fact& fact = facts_[i];
      if (fact.t_ns != result_.violation_ns || fact.fault != nullptr || (lane && fact.lane != *lane)) continue;
      const bool data = fact.kind == FactKind::appended || fact.kind == FactKind::high_watermark ||
                        fact.kind == FactKind::acknowledged;
      if (!data) root(i);
      changed |= !data;
      if (data) first.try_emplace(fact.kind, i);
    }
    // A follower hears the high watermark with the batches that it copies.
    if (first.contains(FactKind::appended) && first.contains(FactKind::high_watermark) &&
        !facts_[first.at(FactKind::high_watermark)].flag)
      first.erase(FactKind::high_watermark);
    for (const auto& [kind, at] : first) {
      if (!changed) root(at);
    }
  }

  void root_witness(const scenarios::WitnessLine& witness) {
    const auto lane = lane_of(witness.node);
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      const Fact& fact = facts_[i];
      if (fact.t_ns != witness.time_ns || fact.kind == FactKind::fault) continue;
      const bool told_of = (fact.kind == FactKind::fencing || fact.kind == FactKind::registered);
      const bool its = told_of ? fact.node == witness.node : lane && fact.lane == *lane;
      // A series of advances is context; the one that committed the offset is found by the offset.
      if (!its || fact.kind == FactKind::high_watermark || fact.kind == FactKind::appended ||
          fact.kind == FactKind::acknowledged)
        continue;
      // A broker's coming and going matters where something comes of it.
      if (told_of || fact.kind == FactKind::up || fact.kind == FactKind::down || fact.kind == FactKind::opened)
        continue;
      root(i);
    }
  }

  // What became of an offset: who wrote it, who said that it is safe, who cut it.
  void root_offset(std::int64_t offset) {
    std::set<std::uint32_t> batches;
    bool acknowledged = false, committed = false;
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      const Fact& fact = facts_[i];
      if (of_set_up(i)) continue;
      const bool passes = fact.from <= offset && offset < fact.to;
      const bool passed_over = fact.flag && offset < fact.to;  // it begins anew behind it
      const bool cut = fact.kind == FactKind::truncated && ((fact.to <= offset && offset < fact.from) || passed_over);
      const bool said = fact.kind == FactKind::acknowledged && covers(fact, offset) && fact.error == 0;
      const bool safe = fact.kind == FactKind::high_watermark && fact.flag && passes;
      const bool written = fact.kind == FactKind::appended && fact.flag && covers(fact, offset);
      if (cut || (said && !acknowledged) || (safe && !committed) || (written && batches.insert(fact.crc).second))
        root(i);
      acknowledged |= said;
      committed |= safe;
      if (fact.kind == FactKind::opened && fact.to <= offset && held(i, offset)) root(i);
    }
  }

  // Had the replica the offset when it last ran?
  bool held(std::size_t at, std::int64_t offset) const {
    const Fact& opened = facts_[at];
    for (std::size_t i = at; i-- > 0;) {
      const Fact& fact = facts_[i];
      if (fact.lane != opened.lane) continue;
      if (fact.kind == FactKind::appended && covers(fact, offset)) return true;
      if (fact.kind == FactKind::truncated && (fact.flag || fact.to <= offset)) return false;
      if (fact.kind == FactKind::opened) return fact.to > offset;
    }
    return false;
  }

  // ---- the chain ----

  // Steps that say nothing by themselves: what they come from is shown in their place.
  bool quiet(std::size_t at) const {
    const Fact& fact = facts_[at];
    if (roots_.contains(at)) return false;
    if (fact.kind == FactKind::down) {
      return std::ranges::any_of(because_[at], [&](std::size_t i) { return facts_[i].t_ns == fact.t_ns; });
    }
    return fact.kind == FactKind::adopted || fact.kind == FactKind::registered || fact.kind == FactKind::opened ||
           (fact.kind == FactKind::follows && heard_[at].find("under way") == std::string::npos);
  }

  std::set<std::size_t> loud_causes(const std::set<std::size_t>& causes) const {
    std::set<std::size_t> out;
    for (const std::size_t i : causes) {
      if (!quiet(i)) {
        out.insert(i);
        continue;
      }
      for (const std::size_t further : loud_causes(because_[i])) out.insert(further);
    }
    return out;
  }

  std::vector<CauseLink> chain() const {
    std::vector<CauseLink> links;
    std::map<std::size_t, std::size_t> places;
    std::vector<std::set<std::size_t>> above;  // of each link: all that it depends on
    const auto add = [&](CauseLink link, const std::set<std::size_t>& causes) {
      std::set<std::size_t> direct, all;
      for (const std::size_t i : causes) direct.insert(places.at(i));
      for (const std::size_t i : direct) all.insert(above[i].begin(), above[i].end());
      // A cause of a cause need not be said twice.
      for (const std::size_t i : direct) {
        if (!all.contains(i)) link.because.push_back(i);
      }
      all.insert(direct.begin(), direct.end());
      above.push_back(std::move(all));
      links.push_back(std::move(link));
    };
    for (const std::size_t at : reached_) {  // in order of time
      if (quiet(at)) continue;
      const Fact& fact = facts_[at];
      const bool nobody = fact.fault != nullptr && fact.fault->lanes.size() != 1;
      add({.t_ns = fact.t_ns,
           .host = nobody ? std::string() : trace_.nodes[fact.lane].host,
           .kind = std::string(name_of(fact.kind)),
           .text = fact_text(fact, result_.partition),
           .heard = heard_[at],
           .because = {}},
          loud_causes(because_[at]));
      places[at] = links.size() - 1;
    }
    add({.t_ns = end_ns_, .host = {}, .kind = "violation", .text = result_.sentence, .heard = {}, .because = {}},
        loud_causes(roots_));
    return links;
  }

  const RunResult& result_;
  const TraceData& trace_;
  std::int32_t partition_ = -1;
  std::int64_t end_ns_ = 0;
  std::vector<Fact> facts_;
  std::vector<std::set<std::size_t>> because_;  // by fact
  std::vector<std::string> heard_;
  std::set<std::size_t> roots_;
  std::set<std::size_t> reached_;
  std::deque<std::size_t> todo_;
};

std::string numbers(const std::vector<std::size_t>& places) {
  std::string out;
  for (const std::size_t place : places) out += fmt::format("{}{}", out.empty() ? "" : ", ", place + 1);
  return out;
}

}  // namespace

std::vector<CauseLink> cause_of(const RunResult& result, const TraceData& trace) {
  if (result.outcome != RunOutcome::violation) return {};
  return Walk(result, trace).run();
}

std::vector<std::string> cause_lines(const std::vector<CauseLink>& chain) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const CauseLink& link = chain[i];
    std::string line = fmt::format("{:>2}. {:>12}  {:<10} {}", i + 1, seconds_text(link.t_ns), link.host, link.text);
    if (!link.heard.empty()) line += ", " + link.heard;
    if (!link.because.empty()) line += fmt::format(" [{}]", numbers(link.because));
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string cause_markdown(const std::vector<CauseLink>& chain) {
  if (chain.empty()) return {};
  std::string out = "\n## Why\n\n| | time | node | what | because of |\n|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const CauseLink& link = chain[i];
    fmt::format_to(std::back_inserter(out), "| {} | {} | {} | {}{}{} | {} |\n", i + 1, seconds_text(link.t_ns),
                   link.host, link.text, link.heard.empty() ? "" : ", ", link.heard, numbers(link.because));
  }
  return out;
}

std::string cause_section(const std::vector<CauseLink>& chain) {
  if (chain.empty()) return {};
  std::string out =
      "<section><h2>Why</h2><table id=\"why\"><thead><tr><th></th><th>time</th><th>node</th><th>what</th>"
      "<th>because of</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const CauseLink& link = chain[i];
    const std::string heard =
        link.heard.empty() ? "" : fmt::format(" <span class=\"dim\">{}</span>", escape_markup(link.heard));
    fmt::format_to(std::back_inserter(out),
                   "<tr data-t=\"{}\" class=\"why-{}\"><td>{}</td><td class=\"num\">{}</td><td>{}</td><td>{}{}</td>"
                   "<td class=\"num\">{}</td></tr>",
                   link.t_ns, link.kind, i + 1, seconds_text(link.t_ns), escape_markup(link.host),
                   escape_markup(link.text), heard, numbers(link.because));
  }
  return out + "</tbody></table></section>";
}

std::vector<std::string> read_why(const std::string& folder) {
  const auto text = read_file(folder + "/verdict.json");
  if (!text) return {};
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("why") || !json["why"].is_array()) return {};
  std::vector<CauseLink> chain;
  try {
    for (const Json& link : json["why"]) {
      chain.push_back({.t_ns = link.at("t_ns"),
                       .host = link.at("host"),
                       .kind = link.at("kind"),
                       .text = link.at("text"),
                       .heard = link.at("heard"),
                       .because = link.at("because").get<std::vector<std::size_t>>()});
    }
  } catch (const nlohmann::json::exception&) {
    return {};
  }
  return cause_lines(chain);
}

}  // namespace verdict::reports
