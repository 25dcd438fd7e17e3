#include "cli/properties.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

#include "cli/commands.h"
#include "runtime/asio/asio_runtime.h"
#include "storage/checkpoint.h"

extern char** environ;

namespace verdict::cli {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kEmbedded =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "controller.quorum.voters=1@127.0.0.1:9093\n"
    "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
    "controller.listener.names=CONTROLLER\n"
    "log.dirs=verdict-data\n"
    "offsets.topic.replication.factor=1\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n";

Pairs environment() {
  Pairs pairs;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

std::expected<protocol::BrokerConfig, int> parse(std::string_view text, std::string_view name,
                                                 const std::vector<std::string>& overrides) {
  Pairs given = protocol::properties_of_environment(environment());
  for (const std::string& override : overrides) {
    const std::size_t equals = override.find('=');
    if (equals == std::string::npos || equals == 0) {
      fmt::print(stderr, "--override {}: must be key=value\n", override);
      return std::unexpected(kUsage);
    }
    given.emplace_back(override.substr(0, equals), override.substr(equals + 1));
  }
  auto loaded = protocol::BrokerConfig::parse(text, name, given, "environment or --override");
  if (!loaded) {
    for (const protocol::ConfigProblem& problem : loaded.error()) fmt::print(stderr, "{}\n", problem.text);
    return std::unexpected(kUsage);
  }
  for (const std::string& warning : loaded->warnings) fmt::print(stderr, "{}\n", warning);
  return std::move(loaded->config);
}

}  // namespace

std::expected<protocol::BrokerConfig, int> load_properties(const std::string& path,
                                                           const std::vector<std::string>& overrides) {
  AsioRuntime runtime;
  const auto text = storage::read_small_file(runtime.disk(), path);
  if (!text) {
    fmt::print(stderr, "{}: {}\n", path, text.error().message());
    return std::unexpected(kUsage);
  }
  return parse(*text, path, overrides);
}

std::expected<protocol::BrokerConfig, int> embedded_properties(const std::vector<std::string>& overrides) {
  return parse(kEmbedded, "embedded defaults", overrides);
}

}  // namespace verdict::cli
