// verdict live: a scenario's workload over real sockets against a cluster that is there, judged by the black box.
#include "scenarios/live.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/campaign_text.h"
#include "cli/check.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "reports/bundle.h"
#include "runtime/asio/asio_runtime.h"
#include "runtime/random.h"
#include "runtime/scope.h"

namespace verdict::cli {
namespace {

// Values carry their process: with numbers of its own a run is no other's witness. Below 2^21 with room for its
// clients.
constexpr std::uint64_t kProcessBases = 1 << 20;

std::optional<std::vector<Endpoint>> parse_bootstrap(std::string_view text) {
  std::vector<Endpoint> found;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const std::size_t colon = one.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    std::string_view host = one.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    Endpoint endpoint{.host = std::string(host)};
    const char* const end = one.data() + one.size();
    const auto [stop, error] = std::from_chars(one.data() + colon + 1, end, endpoint.port);
    if (error != std::errc() || stop != end || endpoint.port == 0) return std::nullopt;
    found.push_back(std::move(endpoint));
  }
  if (found.empty()) return std::nullopt;
  return found;
}

// A new folder for the run's files; or a sentence that says why there is none.
std::expected<std::string, std::string> make_folder(const std::string& out, const std::string& scenario) {
  const std::string stem = fmt::format("{}/{}/live-{}", out, scenario, utc_now());
  std::string folder = stem;
  for (int n = 2; std::filesystem::exists(folder); ++n) folder = fmt::format("{}-{}", stem, n);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return std::unexpected(fmt::format("--out {}: {} can't be made: {}", out, folder, error.message()));
  return folder;
}

class Session {
 public:
  Session(AsioRuntime& runtime, const scenarios::Scenario& scenario, scenarios::LiveOptions options,
          std::ofstream& history)
      : runtime_(&runtime),
        run_(
            runtime, scenario, std::move(options), [&history](std::string_view line) { history << line; },
            [](const std::string& how) { fmt::print(stderr, "verdict: live: {}\n", how); }),
        scope_(runtime) {}

  scenarios::LiveResult run() {
    runtime_->on_signal([this](int) { run_.interrupt(); });
    scope_.spawn(task());
    runtime_->run();
    return std::move(result_);
  }

 private:
  Task<void> task() {
    result_ = co_await run_.run();
    runtime_->stop();
  }

  AsioRuntime* runtime_;
  scenarios::LiveRun run_;
  scenarios::LiveResult result_;
  Scope scope_;
};

int show(const LiveOptions& options, const std::string& scenario, const std::string& folder,
         const scenarios::LiveResult& live, const std::vector<std::string>& left_out,
         const checker::HistoryResult& found) {
  const bool conclusive = live.unmet.empty() && live.failure.empty();
  const int code = !found.valid() ? kViolation : conclusive ? kOk : kInconclusive;
  const std::string_view outcome = code == kOk ? "pass" : code == kViolation ? "violation" : "inconclusive";
  nlohmann::ordered_json json = {{"scenario", scenario},
                                 {"bootstrap", options.bootstrap},
                                 {"outcome", outcome},
                                 {"dir", folder},
                                 {"left_out", left_out},
                                 {"unmet", live.unmet},
                                 {"acknowledged", live.acknowledged},
                                 {"delivered", live.delivered},
                                 {"committed_transactions", live.committed},
                                 {"final_read", live.final_read},
                                 {"check", nlohmann::ordered_json::parse(found.to_json())}};
  if (!live.failure.empty()) json["failure"] = live.failure;
  if (!reports::write_file(folder + "/verdict.json", json.dump(2) + "\n")) {
    fmt::print(stderr, "verdict: {}/verdict.json can't be written\n", folder);
    return kInternal;
  }
  if (options.format == Format::json) {
    fmt::print("{}\n", json.dump());
    return code;
  }
  if (!left_out.empty()) fmt::print("left out: {}\n", fmt::join(left_out, "; "));
  print_history_text(found);
  for (const std::string& what : live.unmet) fmt::print("inconclusive: {}\n", what);
  if (!live.failure.empty()) fmt::print("inconclusive: {}\n", live.failure);
  fmt::print("    {}  (./verdict check {})\n", folder, folder);
  fmt::print("{} passed, {} failed{}\n", code == kOk ? 1 : 0, code == kViolation ? 1 : 0,
             code == kInconclusive ? ", 1 inconclusive" : "");
  return code;
}

}  // namespace

int live(const LiveOptions& options) {
  const auto bootstrap = parse_bootstrap(options.bootstrap);
  if (!bootstrap)
    return usage(
        fmt::format("--bootstrap {}: allowed is HOST:PORT, with more of them behind commas", options.bootstrap));
  AsioOptions asio;
  asio.log_level = LogLevel::warn;
  if (!options.seed.empty()) {
    std::uint64_t seed = 0;
    const char* const end = options.seed.data() + options.seed.size();
    const auto [stop, error] = std::from_chars(options.seed.data(), end, seed);
    if (error != std::errc() || stop != end)
      return usage(fmt::format("--seed {}: allowed is a whole number", options.seed));
    asio.seed = seed;
  }
  auto loaded = load_scenario(options.scenario, options.settings);
  if (!loaded) return usage(loaded.error());
  const scenarios::Scenario scenario = scenarios::resolve(std::move(*loaded));
  const auto folder = make_folder(options.out, scenario.name);
  if (!folder) return usage(folder.error());
  const std::string path = *folder + "/history.jsonl";
  std::ofstream history(path, std::ios::binary);
  const std::vector<std::string> missing = scenarios::left_out(scenario);
  for (const std::string& what : missing) fmt::print(stderr, "verdict: live: without {}\n", what);
  scenarios::LiveResult result;
  {
    AsioRuntime runtime(asio);
    const std::uint64_t base = scale_to(runtime.random(Purpose::Workload, 0), kProcessBases);
    Session session(runtime, scenario, {.bootstrap = *bootstrap, .first_process = static_cast<std::int64_t>(base)},
                    history);
    result = session.run();
  }
  history.close();
  if (history.fail() || !reports::write_file(*folder + "/scenario.json", scenarios::to_json(scenario) + "\n")) {
    fmt::print(stderr, "verdict: {}: the run's files can't be written\n", *folder);
    return kInternal;
  }
  const auto found = check_file(path);
  if (!found) {
    fmt::print(stderr, "verdict: {}: {}\n", path, found.error());
    return kInternal;
  }
  return show(options, scenario.name, *folder, result, missing, *found);
}

}  // namespace verdict::cli
