#include "search/campaign.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/names.h"
#include "search/kinds.h"
#include "search/signature.h"

namespace verdict::search {
namespace {

using Json = nlohmann::ordered_json;
using scenarios::RunOutcome;

constexpr int kVersion = 1;
constexpr std::size_t kLineWidth = 110;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<RunOutcome> find_outcome(std::string_view name) {
  for (const RunOutcome outcome : {RunOutcome::pass, RunOutcome::violation, RunOutcome::inconclusive,
                                   RunOutcome::nondeterministic, RunOutcome::overrun, RunOutcome::crash}) {
    if (scenarios::name_of(outcome) == name) return outcome;
  }
  return std::nullopt;
}

template <class Read>
auto reading(std::string_view line, Read read) -> std::expected<decltype(read(Json())), std::string> {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return std::unexpected("not a JSON object");
  try {
    return read(json);
  } catch (const nlohmann::json::exception& error) {
    return std::unexpected(std::string(error.what()));
  }
}

bool read_whole(std::string_view text, std::uint64_t& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

// "kill 12, pause 7", broken into lines.
std::string listed(std::string_view title, const std::vector<std::string>& items) {
  std::string out, line = fmt::format("{}:", title);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = items[i] + (i + 1 < items.size() ? "," : "");
    if (line.size() + 1 + item.size() > kLineWidth) {
      out += line + "\n";
      line = "   ";
    }
    line += " " + item;
  }
  return out + line + (items.empty() ? " none\n" : "\n");
}

}  // namespace

std::string to_line(const CampaignHead& head) {
  return dump({{"search", kVersion},
               {"profile", head.profile},
               {"settings", head.settings},
               {"seeds", head.seeds},
               {"shard", head.shard},
               {"build", head.build}});
}

std::expected<CampaignHead, std::string> parse_head(std::string_view line) {
  const auto version = reading(line, [](const Json& json) { return json.value("search", 0); });
  if (!version || *version == 0) return std::unexpected("it does not begin with the head of a search");
  if (*version != kVersion)
    return std::unexpected(fmt::format("it is of version {}, this program reads {}", *version, kVersion));
  return reading(line, [](const Json& json) {
    return CampaignHead{.profile = json.at("profile"),
                        .settings = json.at("settings").get<std::vector<std::string>>(),
                        .build = json.at("build"),
                        .seeds = json.at("seeds").get<std::set<std::string>>(),
                        .shard = json.at("shard")};
  });
}

std::string to_line(const CampaignRun& run) {
  Json json{{"seed", run.seed},
            {"outcome", scenarios::name_of(run.outcome)},
            {"hash", fmt::format("{:016x}", run.hash)},
            {"simulated_ms", run.simulated_ms},
            {"wall_ms", run.wall_ms},
            {"events", run.events},
            {"messages", run.messages},
            {"elections", run.elections},
            {"acknowledged", run.acknowledged},
            {"actions", run.actions},
            {"operations", run.operations},
            {"apis", run.apis},
            {"triggers", run.triggers},
            {"settings", run.settings},
            {"faults", run.faults},
            {"marks", run.marks},
            {"states", run.states},
            {"sampled_states", run.sampled}};
  if (!run.signature.empty()) json["signature"] = run.signature;
  if (!run.result.empty()) json["result"] = Json::parse(run.result);
  return dump(json);
}

std::expected<CampaignRun, std::string> parse_run(std::string_view line) {
  return reading(line, [](const Json& json) {
    const auto names = [&](const char* key) { return json.at(key).get<std::set<std::string>>(); };
    CampaignRun run;
    run.seed = json.at("seed");
    run.outcome = find_outcome(json.at("outcome").get<std::string>()).value_or(RunOutcome::crash);
    const std::string hash = json.at("hash");
    std::from_chars(hash.data(), hash.data() + hash.size(), run.hash, 16);
    run.simulated_ms = json.at("simulated_ms");
    run.wall_ms = json.at("wall_ms");
    run.events = json.at("events");
    run.messages = json.at("messages");
    run.elections = json.at("elections");
    run.acknowledged = json.at("acknowledged");
    run.actions = names("actions");
    run.operations = names("operations");
    run.apis = names("apis");
    run.triggers = names("triggers");
    run.settings = names("settings");
    run.faults = names("faults");
    run.marks = names("marks");
    run.states = json.at("states");
    run.sampled = json.at("sampled_states").get<StateSample>();
    run.signature = json.value("signature", "");
    if (json.contains("result")) run.result = dump(json["result"]);
    return run;
  });
}

CampaignRun condensed(const scenarios::Scenario& scenario, const scenarios::RunResult& result) {
  CampaignRun run;
  run.seed = result.seed;
  run.outcome = result.outcome;
  run.signature = signature(result);
  run.hash = result.hash;
  run.simulated_ms = result.simulated_ms;
  run.wall_ms = result.wall_ms;
  run.events = result.events;
  run.messages = result.messages;
  run.elections = result.elections;
  run.acknowledged = result.acknowledged;
  Kinds fired = fired_kinds(scenario, result);
  run.actions = std::move(fired.actions);
  run.operations = std::move(fired.operations);
  run.apis = std::move(fired.apis);
  run.triggers = std::move(fired.triggers);
  run.settings = kinds_of(scenario).settings;
  for (const auto& [name, count] : result.faults) run.faults.insert(name);
  for (const auto& [name, count] : result.marks) run.marks.insert(name);
  run.states = result.abstract_states.size();
  run.sampled = sample_of(result.abstract_states);
  if (result.outcome != RunOutcome::pass) run.result = result.to_json();
  return run;
}

std::expected<CampaignHead, std::string> merged(const CampaignHead& a, const CampaignHead& b) {
  const auto differ = [](std::string_view what, const std::string& x, const std::string& y) {
    return std::unexpected(fmt::format("{} differ: {} and {}", what, x, y));
  };
  const auto text = [](const std::vector<std::string>& settings) {
    return settings.empty() ? std::string("none") : fmt::format("{}", fmt::join(settings, " "));
  };
  if (a.profile != b.profile) return differ("profiles", a.profile, b.profile);
  if (a.settings != b.settings) return differ("settings", text(a.settings), text(b.settings));
  if (a.build != b.build) return differ("builds", a.build, b.build);
  CampaignHead both = a;
  both.seeds.insert(b.seeds.begin(), b.seeds.end());
  if (a.shard != b.shard) both.shard.clear();
  return both;
}

void CampaignSummary::add(const CampaignRun& run) {
  ++runs_;
  simulated_ms_ += static_cast<std::uint64_t>(run.simulated_ms);
  messages_ += run.messages;
  events_ += run.events;
  elections_ += run.elections;
  acknowledged_ += run.acknowledged;
  const auto count = [this](const char* what, const std::set<std::string>& names) {
    for (const std::string& name : names) ++kinds_[fmt::format("{} {}", what, name)];
  };
  count("action", run.actions);
  count("operation", run.operations);
  count("api", run.apis);
  count("trigger", run.triggers);
  count("setting", run.settings);
  count("fault", run.faults);
  count("mark", run.marks);
  mark_names_.insert(run.marks.begin(), run.marks.end());
  states_.add(run.seed, run.sampled);
  if (run.outcome == RunOutcome::pass) {
    ++passed_;
  } else if (run.outcome == RunOutcome::inconclusive) {
    ++inconclusive_;
  } else {
    ++failed_;
    FailureGroup& group = groups_[run.signature];
    if (group.runs++ == 0 || run.seed < group.first_seed) {
      group.signature = run.signature;
      group.first_seed = run.seed;
      group.sentence =
          reading(run.result, [](const Json& json) { return json.value("sentence", ""); }).value_or(std::string());
    }
  }
}

std::vector<FailureGroup> CampaignSummary::groups() const {
  std::vector<FailureGroup> all;
  for (const auto& [signature, group] : groups_) all.push_back(group);
  std::ranges::sort(all, {}, [](const FailureGroup& g) { return std::pair(g.first_seed, g.signature); });
  return all;
}

std::vector<std::string> CampaignSummary::unreached(const CampaignHead& head) const {
  std::vector<std::string> ids;
  for (const std::string& setting : head.settings) {
    if (!setting.starts_with("defects=")) continue;
    const Json planted = Json::parse(setting.substr(8), nullptr, false);
    if (!planted.is_array()) continue;
    for (const Json& id : planted) {
      if (id.is_string() && !mark_names_.contains("defect-" + id.get<std::string>())) ids.push_back(id);
    }
  }
  return ids;
}

std::uint64_t CampaignSummary::not_run(const CampaignHead& head) const {
  std::vector<scenarios::SeedRange> ranges;
  for (const std::string& text : head.seeds) {
    const std::size_t dots = text.find("..");
    scenarios::SeedRange& range = ranges.emplace_back();
    if (dots == text.npos || !read_whole(std::string_view(text).substr(0, dots), range.first) ||
        !read_whole(std::string_view(text).substr(dots + 2), range.last))
      return 0;
  }
  std::uint64_t shard = 1, shards = 1;
  const std::size_t slash = head.shard.find('/');
  if (slash != head.shard.npos) {
    read_whole(std::string_view(head.shard).substr(0, slash), shard);
    read_whole(std::string_view(head.shard).substr(slash + 1), shards);
  }
  if (shards == 0 || shard == 0 || shard > shards) return 0;
  // Seeds below `end` with seed % shards == shard - 1.
  const auto below = [&](std::uint64_t end) { return end / shards + (end % shards >= shard ? 1 : 0); };
  std::ranges::sort(ranges, {}, &scenarios::SeedRange::first);
  std::uint64_t seeds = 0, next = 0;  // those below `next` are counted
  for (const scenarios::SeedRange& range : ranges) {
    const std::uint64_t from = std::max(next, range.first);
    if (range.last < from) continue;
    seeds += below(range.last + 1) - below(from);
    next = range.last + 1;
  }
  return seeds > runs_ ? seeds - runs_ : 0;
}

std::vector<std::string> CampaignSummary::missing(const Profile& profile) const {
  std::vector<std::string> names;
  if (runs_ < kRunsForKinds) return names;
  for (std::string& kind : required_kinds(profile)) {
    if (!kinds_.contains(kind)) names.push_back(std::move(kind));
  }
  return names;
}

std::string CampaignSummary::text_with(const CampaignHead& head, const std::vector<std::string>& commands) const {
  std::string out =
      fmt::format("search {}, seeds {}{}: {} runs, {:.2f} simulated hours, {} messages, {} elections\n", head.profile,
                  fmt::join(head.seeds, " and "), head.shard.empty() ? "" : fmt::format(" (shard {})", head.shard),
                  runs_, static_cast<double>(simulated_ms_) / 3'600'000, messages_, elections_);
  for (const auto& [what, title] :
       {std::pair("action ", "faults that fired, and in how many runs"), std::pair("operation ", "operations"),
        std::pair("api ", "requests that rules were about"), std::pair("trigger ", "events that set faults off"),
        std::pair("setting ", "settings"), std::pair("fault ", "effects of faults"),
        std::pair("mark ", "marks reached")}) {
    std::vector<std::string> items;
    for (const auto& [kind, count] : kinds_) {
      if (kind.starts_with(what))
        items.push_back(fmt::format("{} {}", kind.substr(std::string_view(what).size()), count));
    }
    out += listed(title, items);
  }
  std::vector<std::string> never;
  for (std::size_t i = 0; i < kMarkCount; ++i) {
    const std::string name(name_of(static_cast<Mark>(i)));
    if (!mark_names_.contains(name) && !name.starts_with("defect-")) never.push_back(name);
  }
  out += listed("marks never reached", never);
  std::vector<std::string> curve;
  for (const auto& [seed, states] : states_.points()) curve.push_back(fmt::format("{} by seed {}", states, seed));
  out += listed("abstract states of partitions, about", curve);
  if (runs_ > 0) {
    out += fmt::format("    one more run would bring about {:.2g} new ones\n",
                       static_cast<double>(states_.new_a_thousand_runs()) / 1'000);
  }
  const std::vector<FailureGroup> failures = groups();
  for (std::size_t i = 0; i < failures.size(); ++i) {
    const FailureGroup& group = failures[i];
    out += fmt::format("{} in {} of {} runs, first seed {}: {}\n    {}\n", group.signature, group.runs, runs_,
                       group.first_seed, group.sentence, commands[i]);
  }
  for (const std::string& id : unreached(head))
    out += fmt::format("defect {}: unreached, no run came to its diverging side\n", id);
  if (const Profile* profile = find_profile(head.profile)) {
    const std::vector<std::string> lacking = missing(*profile);
    if (!lacking.empty()) out += listed(fmt::format("never in {} runs, though the profile draws it", runs_), lacking);
  }
  if (const std::uint64_t left = not_run(head); left > 0) out += fmt::format("{} of its seeds were not run\n", left);
  if (failed_ == 0 && passed_ > 0)
    out += fmt::format("0 violations in {} runs: p < {:.2g} at 95%\n", passed_, 3.0 / static_cast<double>(passed_));
  return out;
}

std::string CampaignSummary::json(const CampaignHead& head) const {
  Json json{{"profile", head.profile},
            {"settings", head.settings},
            {"seeds", head.seeds},
            {"shard", head.shard},
            {"runs", runs_},
            {"passed", passed_},
            {"failed", failed_},
            {"inconclusive", inconclusive_},
            {"messages", messages_},
            {"events", events_},
            {"elections", elections_},
            {"acknowledged", acknowledged_},
            {"simulated_ms", simulated_ms_}};
  Json failures = Json::array();
  for (const FailureGroup& group : groups()) {
    failures.push_back({{"signature", group.signature},
                        {"runs", group.runs},
                        {"first_seed", group.first_seed},
                        {"sentence", group.sentence}});
  }
  json["failures"] = std::move(failures);
  Json curve = Json::array();
  for (const auto& [at, states] : states_.points()) curve.push_back({{"seed", at}, {"states", states}});
  json["states"] = std::move(curve);
  json["new_states_in_1000_runs"] = states_.new_a_thousand_runs();
  json["kinds"] = kinds_;
  json["unreached"] = unreached(head);
  const Profile* profile = find_profile(head.profile);
  json["not_run"] = not_run(head);
  json["missing"] = profile == nullptr ? std::vector<std::string>() : missing(*profile);
  return dump(json);
}

}  // namespace verdict::search
