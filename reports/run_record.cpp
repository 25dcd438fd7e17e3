#include "reports/run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;
using scenarios::RunOutcome;
using scenarios::RunResult;

constexpr auto kReplace = Json::error_handler_t::replace;

template <class T>
void read(const Json& json, const char* name, T& into) {
  const auto found = json.find(name);
  if (found != json.end() && !found->is_null()) into = found->template get<T>();
}

RunOutcome outcome_of(const std::string& name) {
  for (const RunOutcome outcome : {RunOutcome::pass, RunOutcome::violation, RunOutcome::inconclusive,
                                   RunOutcome::nondeterministic, RunOutcome::overrun, RunOutcome::crash}) {
    if (scenarios::name_of(outcome) == name) return outcome;
  }
  throw std::invalid_argument(fmt::format("no outcome is called {}", name));
}

std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), hash, 16);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    throw std::invalid_argument("hash: 16 hex digits");
  return hash;
}

RunResult result_of(const Json& json) {
  RunResult result;
  read(json, "scenario", result.scenario);
  read(json, "seed", result.seed);
  result.outcome = outcome_of(json.at("outcome").get<std::string>());
  read(json, "invariant", result.invariant);
  read(json, "sentence", result.sentence);
  read(json, "partition", result.partition);
  read(json, "offset", result.offset);
  read(json, "violation_ns", result.violation_ns);
  read(json, "workload_ns", result.workload_ns);
  for (const Json& witness : json.value("witnesses", Json::array())) {
    scenarios::WitnessLine line;
    read(witness, "time_ns", line.time_ns);
    read(witness, "node", line.node);
    read(witness, "incarnation", line.incarnation);
    read(witness, "text", line.text);
    result.witnesses.push_back(std::move(line));
  }
  read(json, "unmet", result.unmet);
  read(json, "black_box", result.black_box);
  read(json, "acknowledged", result.acknowledged);
  read(json, "acknowledged_all", result.acknowledged_all);
  read(json, "delivered", result.delivered);
  read(json, "final_read", result.final_read);
  if (const auto history = json.find("history"); history != json.end()) {
    read(*history, "entries", result.history.entries);
    read(*history, "sends_ok", result.history.sends_ok);
    read(*history, "sends_failed", result.history.sends_failed);
    read(*history, "sends_unknown", result.history.sends_unknown);
    read(*history, "unknown_read", result.history.unknown_read);
    read(*history, "unknown_unread", result.history.unknown_unread);
    read(*history, "unseen", result.history.unseen);
    read(*history, "records_polled", result.history.records_polled);
  }
  read(json, "faults", result.faults);
  read(json, "marks", result.marks);
  read(json, "sites", result.sites);
  read(json, "protocol_events", result.event_counts);
  read(json, "fired", result.fired);
  read(json, "events", result.events);
  read(json, "messages", result.messages);
  read(json, "elections", result.elections);
  read(json, "simulated_ms", result.simulated_ms);
  read(json, "wall_ms", result.wall_ms);
  result.hash = hash_of(json.value("hash", std::string("0")));
  read(json, "difference", result.difference);
  return result;
}

template <class T, class Read>
std::expected<T, std::string> parse(std::string_view text, Read read_all) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::unexpected("is no JSON object");
  try {
    return read_all(json);
  } catch (const std::exception& error) {
    std::string what = error.what();
    if (what.starts_with("[json")) what.erase(0, what.find("] ") + 2);  // the library's own number of the error
    return std::unexpected("is no record of a run: " + what);
  }
}

}  // namespace

std::string to_json(const RunRecord& record) {
  Json json = Json::parse(record.result.to_json());
  json["build"] = record.build;
  json["replay"] = record.replay;
  json["check_determinism"] = record.check_determinism;
  if (!record.stderr_tail.empty()) json["stderr"] = record.stderr_tail;
  return json.dump(2, ' ', false, kReplace) + "\n";
}

std::expected<RunRecord, std::string> parse_run_record(std::string_view text) {
  return parse<RunRecord>(text, [](const Json& json) {
    RunRecord record;
    record.result = result_of(json);
    read(json, "build", record.build);
    read(json, "replay", record.replay);
    read(json, "check_determinism", record.check_determinism);
    read(json, "stderr", record.stderr_tail);
    return record;
  });
}

std::expected<RunResult, std::string> parse_run_result(std::string_view text) {
  return parse<RunResult>(text, result_of);
}

std::string run_object(const RunResult& result, std::string_view dir) {
  Json json;
  json["scenario"] = result.scenario;
  json["seed"] = result.seed;
  json["outcome"] = scenarios::name_of(result.outcome);
  json["invariant"] = result.invariant;
  json["sentence"] = result.sentence;
  json["acknowledged"] = result.acknowledged;
  json["delivered"] = result.delivered;
  json["faults"] = result.faults;
  json["events"] = result.events;
  json["messages"] = result.messages;
  json["simulated_ms"] = result.simulated_ms;
  json["wall_ms"] = result.wall_ms;
  json["hash"] = fmt::format("{:016x}", result.hash);
  json["dir"] = dir;
  return json.dump(-1, ' ', false, kReplace);
}

bool failed(RunOutcome outcome) { return outcome != RunOutcome::pass && outcome != RunOutcome::inconclusive; }

int exit_code(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::pass:
      return 0;
    case RunOutcome::violation:
    case RunOutcome::overrun:
      return 1;
    case RunOutcome::inconclusive:
      return 2;
    case RunOutcome::nondeterministic:
      return 3;
    case RunOutcome::crash:
      break;
  }
  return 70;
}

int gravest(int a, int b) {
  constexpr std::array<int, 5> kByGravity = {0, 2, 1, 3, 70};
  const auto rank = [&](int code) {
    const auto found = std::ranges::find(kByGravity, code);
    return found - kByGravity.begin();  // a code of no list is graver than all
  };
  return rank(a) >= rank(b) ? a : b;
}

}  // namespace verdict::reports
