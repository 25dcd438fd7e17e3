#include "reports/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "checker/invariants.h"
#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;

std::string heading(const RunResult& result) {
  if (!result.sentence.empty()) return result.sentence;
  switch (result.outcome) {
    case RunOutcome::pass:
      return "no rule was broken";
    case RunOutcome::inconclusive:
      return "the run did not see what its scenario says it must";
    default:
      return std::string(scenarios::name_of(result.outcome));
  }
}

void line(std::string& out, std::string_view text) {
  out += text;
  out += '\n';
}

std::string node_name(const TraceData& trace, std::int32_t id) {
  for (const TraceNode& node : trace.nodes) {
    if (!node.client && node.id == id) return node.host;
  }
  return fmt::format("node {}", id);
}

std::string role_text(const ReplicaState& replica) {
  if (!replica.open) return "down";
  return replica.role == ReplicaRole::leader ? "leader" : replica.role == ReplicaRole::follower ? "follower" : "-";
}

constexpr std::size_t kSeries = 4;  // witnesses alike, from which on their middle is left out

// The same but for numbers?
bool alike(const scenarios::WitnessLine& a, const scenarios::WitnessLine& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (a.node != b.node || a.incarnation != b.incarnation) return false;
  std::size_t i = 0, j = 0;
  while (i < a.text.size() && j < b.text.size()) {
    if (digit(a.text[i]) && digit(b.text[j])) {
      while (i < a.text.size() && digit(a.text[i])) ++i;
      while (j < b.text.size() && digit(b.text[j])) ++j;
    } else if (a.text[i++] != b.text[j++]) {
      return false;
    }
  }
  return i == a.text.size() && j == b.text.size();
}

}  // namespace

std::string invariant_title(const std::string& id) {
  const checker::Invariant* known = checker::find_invariant(id);
  return known == nullptr || known->name == id || known->name.empty() ? id : fmt::format("{} {}", id, known->name);
}

std::string run_line(const RunResult& result) {
  const std::string head =
      fmt::format("{:<13} {} seed {}: ", scenarios::name_of(result.outcome), result.scenario, result.seed);
  if (result.outcome == RunOutcome::pass) {
    return head + fmt::format("{} acknowledged, {} delivered, {} elections, {} ms", result.acknowledged,
                              result.delivered, result.elections, result.simulated_ms);
  }
  return head + (result.invariant.empty() ? "" : result.invariant + ": ") + heading(result);
}

std::string witness_text(const scenarios::WitnessLine& witness) {
  const std::string who = witness.node < 0      ? std::string("client")
                          : witness.node == 100 ? std::string("controller")
                                                : fmt::format("broker {}", witness.node);
  const std::string life = witness.incarnation > 1 ? fmt::format(" (life {})", witness.incarnation) : "";
  return fmt::format("{:>12}  {:<18} {}", seconds_text(witness.time_ns), who + life, witness.text);
}

std::string failure_text(const RunRecord& record) {
  const RunResult& result = record.result;
  std::string out;
  line(out, run_line(result));
  for (const WitnessView& witness : condensed(result.witnesses)) {
    if (witness.skipped > 0) line(out, fmt::format("    {:>12}  {} like it", "...", witness.skipped));
    line(out, "    " + witness_text(*witness.line));
  }
  if (!record.why.empty()) line(out, "    why");
  for (const std::string& why : record.why) line(out, "    " + why);
  for (const std::string& unmet : result.unmet) line(out, "    not seen: " + unmet);
  for (const std::string& anomaly : result.black_box) line(out, "    clients saw: " + anomaly);
  for (const std::string& said : record.stderr_tail) line(out, "    | " + said);
  if (!record.replay.empty()) line(out, "    " + record.replay);
  return out;
}

std::string matrix_text(const TraceData& trace) {
  std::string out;
  for (std::size_t i = 0; i < trace.partitions.size(); ++i) {
    const auto partition = static_cast<std::int32_t>(i);
    const auto decision = trace.last.decisions().find(partition);
    if (decision == trace.last.decisions().end()) continue;
    const PartitionDecision& decided = decision->second;
    fmt::format_to(std::back_inserter(out), "{}: leader {}, epoch {}, ISR [{}], replicas [{}]\n", trace.partitions[i],
                   decided.leader, decided.leader_epoch, fmt::join(decided.isr, " "), fmt::join(decided.replicas, " "));
    for (const auto& [key, replica] : trace.last.replicas()) {
      if (key.first != partition) continue;
      const std::string crc = replica.tail.empty() ? "-" : fmt::format("{:08x}", replica.tail.back().crc);
      fmt::format_to(std::back_inserter(out), "  {:<12} {:<9} LEO {:<8} HW {:<8} epoch {:<4} CRC {:<9} ISR [{}]\n",
                     trace.nodes[key.second].host, role_text(replica), replica.log_end, replica.high_watermark,
                     replica.epoch, crc, fmt::join(replica.isr, " "));
    }
    if (const auto divergence = trace.last.first_divergence(partition)) {
      fmt::format_to(std::back_inserter(out),
                     "  first divergent offset {}: {} has epoch {} CRC {:08x}, {} has epoch {} CRC {:08x}\n",
                     divergence->offset, trace.nodes[divergence->lane_a].host, divergence->a.epoch, divergence->a.crc,
                     trace.nodes[divergence->lane_b].host, divergence->b.epoch, divergence->b.crc);
    }
  }
  return out;
}

std::string summary_markdown(const RunRecord& record, const TraceData& trace, const std::vector<CauseLink>& why) {
  const RunResult& result = record.result;
  std::string out;
  line(out, fmt::format("# {}", heading(result)));
  line(out, "");
  line(out, fmt::format("- scenario: {}, seed {}", result.scenario, result.seed));
  line(out, fmt::format("- outcome: **{}**{}", scenarios::name_of(result.outcome),
                        result.invariant.empty() ? "" : ", " + invariant_title(result.invariant)));
  if (result.violation_ns >= 0) line(out, fmt::format("- at {} of virtual time", seconds_text(result.violation_ns)));
  line(out, fmt::format("- acknowledged {}, delivered {}, elections {}, messages {}, events {}", result.acknowledged,
                        result.delivered, result.elections, result.messages, result.events));
  line(out, fmt::format("- hash `{:016x}`, build `{}`", result.hash, record.build));
  line(out, fmt::format("- replay: `{}`", record.replay));
  const auto section = [&out](std::string_view title) { out += fmt::format("\n## {}\n\n", title); };
  if (!result.witnesses.empty()) {
    section("Witnesses");
    line(out, "| time | node | what |");
    line(out, "|---|---|---|");
    for (const auto& [witness, number, skipped] : condensed(result.witnesses)) {
      if (skipped > 0) line(out, fmt::format("| ... | | {} like it |", skipped));
      line(out, fmt::format("| {} | {} | {} |", seconds_text(witness->time_ns), node_name(trace, witness->node),
                            witness->text));
    }
  }
  out += cause_markdown(why);
  const auto list = [&](std::string_view title, const std::vector<std::string>& items) {
    if (items.empty()) return;
    section(title);
    for (const std::string& item : items) line(out, "- " + item);
  };
  list("Not seen", result.unmet);
  list("What clients saw", result.black_box);
  list("Last words", record.stderr_tail);
  if (!trace.faults.empty()) {
    section("Faults");
    for (std::size_t i = 0; i < trace.faults.size() && i < 100; ++i) {
      const TraceFault& fault = trace.faults[i];
      line(out, fmt::format("- {}{}: {}", seconds_text(fault.from_ns),
                            fault.to_ns < 0 ? std::string() : " to " + seconds_text(fault.to_ns), fault.text));
    }
  }
  const std::string matrix = matrix_text(trace);
  if (!matrix.empty()) {
    section("Replicas at the end of the window");
    out += "```\n" + matrix + "```\n";
  }
  return out;
}

std::string junit_xml(const RunRecord& record) {
  const RunResult& result = record.result;
  const bool bad = failed(result.outcome);
  std::string cases;
  int tests = 0;
  bool named = false;
  const auto add = [&](std::string_view name, std::string_view inner) {
    ++tests;
    fmt::format_to(std::back_inserter(cases), "    <testcase classname=\"{}\" name=\"{}\"",
                   escape_markup(result.scenario), escape_markup(name));
    cases += inner.empty() ? std::string("/>\n") : fmt::format(">{}</testcase>\n", inner);
  };
  const std::string broken =
      fmt::format("<failure type=\"{}\" message=\"{}\">{}</failure>", scenarios::name_of(result.outcome),
                  escape_markup(heading(result)), escape_markup(failure_text(record)));
  const std::string skipped = result.outcome == RunOutcome::inconclusive
                                  ? fmt::format("<skipped message=\"{}\"/>", escape_markup(heading(result)))
                                  : std::string();
  for (const auto list : {checker::invariants(), checker::anomalies()}) {
    for (const checker::Invariant& invariant : list) {
      const bool here = bad && invariant.id == result.invariant;
      named |= here;
      add(invariant_title(std::string(invariant.id)), here ? broken : skipped);
    }
  }
  if (bad && !named)
    add(result.invariant.empty() ? scenarios::name_of(result.outcome) : std::string_view(result.invariant), broken);
  const auto seconds = static_cast<double>(result.wall_ms) / 1000;
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
      "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\">\n"
      "    <properties><property name=\"seed\" value=\"{}\"/><property name=\"hash\" value=\"{:016x}\"/></properties>\n"
      "{}  </testsuite>\n</testsuites>\n",
      escape_markup(result.scenario), tests, bad ? 1 : 0, skipped.empty() ? 0 : tests, seconds, result.seed,
      result.hash, cases);
}

std::vector<WitnessView> condensed(const std::vector<scenarios::WitnessLine>& witnesses) {
  std::vector<WitnessView> shown;
  for (std::size_t i = 0; i < witnesses.size();) {
    std::size_t end = i + 1;
    while (end < witnesses.size() && alike(witnesses[i], witnesses[end])) ++end;
    if (end - i < kSeries) {
      for (; i < end; ++i) shown.push_back({.line = &witnesses[i], .number = i + 1, .skipped = 0});
      continue;
    }
    shown.push_back({.line = &witnesses[i], .number = i + 1, .skipped = 0});
    shown.push_back({.line = &witnesses[end - 1], .number = end, .skipped = end - i - 2});
    i = end;
  }
  return shown;
}

std::string verdict_json(const RunRecord& record, const std::vector<CauseLink>& why) {
  using Json = nlohmann::ordered_json;
  const Json all = Json::parse(to_json(record));
  Json json;
  for (const char* name : {"outcome", "invariant", "sentence", "partition", "offset", "violation_ns", "witnesses",
                           "unmet", "black_box", "difference", "stderr", "replay"}) {
    if (all.contains(name)) json[name] = all[name];
  }
  for (const CauseLink& link : why) {
    json["why"].push_back({{"t_ns", link.t_ns},
                           {"host", link.host},
                           {"kind", link.kind},
                           {"text", link.text},
                           {"heard", link.heard},
                           {"because", link.because}});
  }
  return json.dump(2) + "\n";
}

}  // namespace verdict::reports
