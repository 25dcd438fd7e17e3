#include <nlohmann/json.hpp>

#include "protocol/quorum/quorum.h"

namespace verdict::quorum {

// Written by hand to keep Kafka's order of the fields; a cluster id is base64 and needs no escaping, but is quoted by
// the library all the same.
std::string format_quorum_state(const QuorumState& state) {
  std::string voters;
  for (const NodeId id : state.voters) {
    voters += (voters.empty() ? "" : ",") + std::string("{\"voterId\":") + std::to_string(id.value()) + "}";
  }
  return "{\"clusterId\":" + nlohmann::json(state.cluster_id).dump() +
         ",\"leaderId\":" + std::to_string(state.leader.value()) +
         ",\"leaderEpoch\":" + std::to_string(state.epoch.value()) +
         ",\"votedId\":" + std::to_string(state.voted.value()) + ",\"appliedOffset\":0,\"currentVoters\":[" + voters +
         "],\"data_version\":0}";
}

std::expected<QuorumState, std::string> parse_quorum_state(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return std::unexpected(std::string("quorum-state is no JSON object"));
  }
  const auto bad = [](std::string_view field) {
    return std::unexpected("quorum-state: the field " + std::string(field) + " is missing or not what it should be");
  };
  const auto number = [&](const char* field) -> std::optional<std::int32_t> {
    const auto found = json.find(field);
    if (found == json.end() || !found->is_number_integer()) {
      return std::nullopt;
    }
    const auto value = found->get<std::int64_t>();
    return value >= -1 && value <= 0x7fffffff ? std::optional(static_cast<std::int32_t>(value)) : std::nullopt;
  };
  const auto version = number("data_version");
  if (!version || (*version != 0 && *version != 1)) {
    return bad("data_version");
  }
  QuorumState out;
  const auto leader = number("leaderId");
  const auto epoch = number("leaderEpoch");
  const auto voted = number("votedId");
  if (!leader || !epoch || *epoch < 0 || !voted) {
    return bad(!leader ? "leaderId" : !voted ? "votedId" : "leaderEpoch");
  }
  out.leader = NodeId(*leader);
  out.epoch = QuorumEpoch(*epoch);
  out.voted = NodeId(*voted);
  if (const auto cluster = json.find("clusterId"); cluster != json.end()) {
    if (!cluster->is_string()) {
      return bad("clusterId");
    }
    out.cluster_id = cluster->get<std::string>();
  }
  if (const auto voters = json.find("currentVoters"); voters != json.end() && !voters->is_null()) {
    if (!voters->is_array()) {
      return bad("currentVoters");
    }
    for (const auto& voter : *voters) {
      const auto id = voter.is_object() ? voter.find("voterId") : voter.end();
      if (!voter.is_object() || id == voter.end() || !id->is_number_integer()) {
        return bad("currentVoters");
      }
      out.voters.push_back(NodeId(id->get<std::int32_t>()));
    }
  }
  return out;
}

}  // namespace verdict::quorum
