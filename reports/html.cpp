#include "reports/html.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "reports/assets.h"
#include "reports/json_text.h"
#include "reports/text.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;
using scenarios::RunOutcome;

std::string tag(std::string_view name, std::string_view text) {
  return fmt::format("<{0}>{1}</{0}>", name, escape_markup(text));
}

std::string list_of(std::string_view title, const std::vector<std::string>& items) {
  if (items.empty()) return {};
  std::string out = fmt::format("<section><h2>{}</h2><ul>", escape_markup(title));
  for (const std::string& item : items) out += tag("li", item);
  return out + "</ul></section>";
}

std::string headline(const RunRecord& record) {
  const auto& result = record.result;
  const bool bad = failed(result.outcome);
  const std::string sentence = !result.sentence.empty()             ? result.sentence
                               : result.outcome == RunOutcome::pass ? "No rule was broken"
                               : result.outcome == RunOutcome::inconclusive
                                   ? "The run did not see what its scenario says it must"
                                   : std::string(scenarios::name_of(result.outcome));
  std::string out = fmt::format("<header class=\"{}\"><h1>{}</h1><p>",
                                bad                                  ? "bad"
                                : result.outcome == RunOutcome::pass ? "good"
                                                                     : "open",
                                escape_markup(sentence));
  out += fmt::format("<strong>{}</strong>", scenarios::name_of(result.outcome));
  if (!result.invariant.empty()) out += " of <strong>" + escape_markup(invariant_title(result.invariant)) + "</strong>";
  out += fmt::format(" in {} seed {}", escape_markup(result.scenario), result.seed);
  if (result.violation_ns >= 0) out += fmt::format(" at {}", seconds_text(result.violation_ns));
  return out + "</p></header>";
}

std::string witnesses(const RunRecord& record, const TraceData& trace) {
  const auto& result = record.result;
  if (result.witnesses.empty()) return {};
  std::string out =
      "<section><h2>Witnesses</h2><table "
      "id=\"witnesses\"><thead><tr><th></th><th>time</th><th>node</th><th>what</th></tr>"
      "</thead><tbody>";
  for (const WitnessView& view : condensed(result.witnesses)) {
    const auto& witness = *view.line;
    if (view.skipped > 0)
      out += fmt::format("<tr class=\"dim\"><td></td><td></td><td></td><td>{} like it</td></tr>", view.skipped);
    std::string host = witness.node < 0 ? "client" : fmt::format("node {}", witness.node);
    for (const TraceNode& node : trace.nodes) {
      if (!node.client && witness.node >= 0 && node.id == witness.node) host = node.host;
    }
    if (witness.incarnation > 1) host += fmt::format(" (life {})", witness.incarnation);
    out += fmt::format("<tr data-t=\"{}\"><td>{}</td><td class=\"num\">{}</td><td>{}</td><td>{}</td></tr>",
                       witness.time_ns, view.number, seconds_text(witness.time_ns), escape_markup(host),
                       escape_markup(witness.text));
  }
  return out + "</tbody></table></section>";
}

std::string replay(const RunRecord& record) {
  return fmt::format(
      "<section><h2>Replay</h2><p class=\"command\"><code id=\"replay\">{}</code> <button id=\"copy\" "
      "type=\"button\">copy</button></p>"
      "<p class=\"dim\">build {}, hash {:016x}</p></section>",
      escape_markup(record.replay), escape_markup(record.build), record.result.hash);
}

std::string scenario_section(const RunRecord& record, std::string_view scenario) {
  const auto& result = record.result;
  std::string out = "<section><h2>Scenario</h2>";
  const Json json = Json::parse(scenario, nullptr, false);
  if (json.is_object()) {
    for (const char* name : {"title", "description"}) {
      if (json.contains(name) && json[name].is_string()) out += tag("p", json[name].get<std::string>());
    }
  }
  out += fmt::format(
      "<p>{} records acknowledged, {} delivered, {} read at the end; {} elections, {} messages, {} events in {} ms of "
      "virtual time.</p>",
      result.acknowledged, result.delivered, result.final_read, result.elections, result.messages, result.events,
      result.simulated_ms);
  if (!result.faults.empty()) {
    out += "<p>Outcomes that faults changed:";
    for (const auto& [name, count] : result.faults)
      out += fmt::format(" <span class=\"chip\">{} {}</span>", escape_markup(name), count);
    out += "</p>";
  }
  return out + "<details><summary>scenario.json</summary><pre>" + escape_markup(scenario) +
         "</pre></details></section>";
}

Json numbers(const std::vector<std::int32_t>& list) { return Json(list); }

Json base_json(const ReplicaStates& base) {
  Json replicas = Json::array();
  for (const auto& [key, replica] : base.replicas()) {
    Json tail = Json::array();
    for (const BatchRef& batch : replica.tail) tail.push_back({batch.base, batch.last, batch.epoch, batch.crc});
    replicas.push_back({{"p", key.first},
                        {"lane", key.second},
                        {"open", replica.open},
                        {"start", replica.log_start},
                        {"leo", replica.log_end},
                        {"hw", replica.high_watermark},
                        {"epoch", replica.epoch},
                        {"role", static_cast<int>(replica.role)},
                        {"isr", numbers(replica.isr)},
                        {"tail", std::move(tail)}});
  }
  Json decisions = Json::array();
  for (const auto& [partition, decided] : base.decisions()) {
    decisions.push_back({{"p", partition},
                         {"leader", decided.leader},
                         {"epoch", decided.leader_epoch},
                         {"pepoch", decided.partition_epoch},
                         {"isr", numbers(decided.isr)},
                         {"replicas", numbers(decided.replicas)}});
  }
  return {{"replicas", std::move(replicas)}, {"decisions", std::move(decisions)}, {"compacted", base.compacted()}};
}

Json coarse_json(const RunRecord& record, const TraceData& trace, const LoadStats& load) {
  Json json;
  const auto& result = record.result;
  json["violation_ns"] = result.violation_ns;
  json["partition"] = result.partition;
  json["offset"] = result.offset;
  json["end_ns"] = trace.end_ns;
  json["window_ns"] = trace.window_from_ns;
  json["all_events"] = trace.all_events;
  json["all_messages"] = trace.all_messages;
  json["partitions"] = trace.partitions;
  json["apis"] = trace.apis;
  json["nodes"] = json["kinds"] = json["faults"] = json["ups"] = json["phases"] = json["elections"] = Json::array();
  for (const TraceNode& node : trace.nodes)
    json["nodes"].push_back({{"host", node.host}, {"id", node.id}, {"client", node.client}});
  for (const TraceKind& kind : trace.kinds) json["kinds"].push_back({{"name", kind.name}, {"fields", kind.fields}});
  for (const TraceFault& fault : trace.faults) {
    json["faults"].push_back({{"id", fault.id},
                              {"action", fault.action},
                              {"text", fault.text},
                              {"from", fault.from_ns},
                              {"to", fault.to_ns},
                              {"lanes", fault.lanes}});
  }
  for (const TraceUp& up : trace.ups) json["ups"].push_back({up.t_ns, up.lane, up.up, up.incarnation, up.why});
  for (const TracePhase& phase : trace.phases) json["phases"].push_back({phase.t_ns, phase.name});
  for (const TraceElection& e : trace.elections) json["elections"].push_back({e.t_ns, e.partition, e.leader, e.epoch});
  json["witnesses"] = Json::array();
  for (const WitnessView& view : condensed(result.witnesses)) {
    const auto& witness = *view.line;
    json["witnesses"].push_back({{"t", witness.time_ns},
                                 {"node", witness.node},
                                 {"text", witness.text},
                                 {"number", view.number},
                                 {"skipped", view.skipped}});
  }
  Json buckets = Json::array();
  for (const LoadStats::Bucket& b : load.buckets())
    buckets.push_back({b.acknowledged, b.failed, b.p50_us, b.p99_us, b.max_us});
  json["load"] = {{"bucket_ms", load.bucket_ms()}, {"buckets", std::move(buckets)}};
  json["base"] = base_json(trace.base);
  return json;
}

// The bulk of the data is written as text: a tree of it would cost ten times its size.
std::string data_json(const RunRecord& record, const TraceData& trace, const LoadStats& load) {
  std::string out = coarse_json(record, trace, load).dump(-1, ' ', false, Json::error_handler_t::replace);
  out.pop_back();  // the closing brace
  out += ",\"events\":[";
  for (bool first = true; const TraceEvent& e : trace.events) {
    fmt::format_to(std::back_inserter(out), "{}[{},{},{},{},{},{}]", first ? "" : ",", e.t_ns, e.lane, e.incarnation,
                   e.kind, e.partition, e.values);
    first = false;
  }
  out += "],\"messages\":[";
  for (bool first = true; const TraceMessage& m : trace.messages) {
    fmt::format_to(std::back_inserter(out), "{}[{},{},{},{},{},{},{},{}]", first ? "" : ",", m.sent_ns, m.delivered_ns,
                   m.from, m.to, m.api, m.response ? 1 : 0, m.correlation, m.bytes);
    first = false;
  }
  return out + "]}";
}

std::string fill(std::string_view page, std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  std::string out;
  for (std::size_t at = 0; at < page.size();) {
    const std::size_t open = page.find("{{", at);
    const std::size_t close = open == std::string_view::npos ? open : page.find("}}", open);
    if (close == std::string_view::npos) return out += page.substr(at);
    out += page.substr(at, open - at);
    const std::string_view name = page.substr(open + 2, close - open - 2);
    for (const auto& [part, text] : parts) {
      if (part == name) out += text;
    }
    at = close + 2;
  }
  return out;
}

}  // namespace

std::string html_report(const RunRecord& record, std::string_view scenario, const TraceData& trace,
                        const LoadStats& load, std::string_view shrunk, std::string_view curve, std::string_view why) {
  const std::string title = escape_markup(fmt::format("{} seed {}: {}", record.result.scenario, record.result.seed,
                                                      scenarios::name_of(record.result.outcome)));
  const std::string head = headline(record);
  const std::string lists = witnesses(record, trace) + list_of("Not seen", record.result.unmet) +
                            list_of("What clients saw", record.result.black_box) +
                            list_of("Last words", record.stderr_tail);
  const std::string how = replay(record) + std::string(shrunk);
  const std::string what = scenario_section(record, scenario);
  const std::string data = script_safe(data_json(record, trace, load));
  return fill(asset("report.html"), {{"title", title},
                                     {"style", asset("report.css")},
                                     {"headline", head},
                                     {"witnesses", lists},
                                     {"replay", how},
                                     {"scenario", what},
                                     {"why", why},
                                     {"data", data},
                                     {"curve", curve},
                                     {"model", asset("model.js")},
                                     {"diagram", asset("diagram.js")},
                                     {"tables", asset("tables.js")},
                                     {"charts", asset("charts.js")},
                                     {"main", asset("main.js")}});
}

}  // namespace verdict::reports
