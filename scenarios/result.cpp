#include "scenarios/result.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace verdict::scenarios {

std::string_view name_of(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::pass:
      return "pass";
    case RunOutcome::violation:
      return "violation";
    case RunOutcome::inconclusive:
      return "inconclusive";
    case RunOutcome::nondeterministic:
      return "nondeterministic";
    case RunOutcome::overrun:
      return "overrun";
    case RunOutcome::crash:
      return "crash";
  }
  return {};
}

std::string RunResult::to_json() const {
  nlohmann::ordered_json json;
  json["scenario"] = scenario;
  json["seed"] = seed;
  json["outcome"] = name_of(outcome);
  json["invariant"] = invariant;
  json["sentence"] = sentence;
  json["partition"] = partition;
  json["offset"] = offset;
  json["violation_ns"] = violation_ns;
  json["workload_ns"] = workload_ns;
  json["witnesses"] = nlohmann::ordered_json::array();
  for (const WitnessLine& witness : witnesses) {
    json["witnesses"].push_back({{"time_ns", witness.time_ns},
                                 {"node", witness.node},
                                 {"incarnation", witness.incarnation},
                                 {"text", witness.text}});
  }
  json["unmet"] = unmet;
  json["black_box"] = black_box;
  json["acknowledged"] = acknowledged;
  json["acknowledged_all"] = acknowledged_all;
  json["delivered"] = delivered;
  json["final_read"] = final_read;
  json["history"] = {{"entries", history.entries},
                     {"sends_ok", history.sends_ok},
                     {"sends_failed", history.sends_failed},
                     {"sends_unknown", history.sends_unknown},
                     {"unknown_read", history.unknown_read},
                     {"unknown_unread", history.unknown_unread},
                     {"unseen", history.unseen},
                     {"records_polled", history.records_polled}};
  json["faults"] = nlohmann::ordered_json(faults);
  json["marks"] = nlohmann::ordered_json(marks);
  json["sites"] = nlohmann::ordered_json(sites);
  json["protocol_events"] = nlohmann::ordered_json(event_counts);
  json["fired"] = fired;
  json["events"] = events;
  json["messages"] = messages;
  json["elections"] = elections;
  json["simulated_ms"] = simulated_ms;
  json["wall_ms"] = wall_ms;
  json["hash"] = fmt::format("{:016x}", hash);
  if (!difference.empty()) json["difference"] = difference;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace verdict::scenarios
