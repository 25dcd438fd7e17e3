#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "cli/commands.h"
#include "cli/properties.h"
#include "protocol/broker/node.h"
#include "runtime/asio/asio_runtime.h"

namespace verdict::cli {
namespace {

std::optional<LogLevel> level_of(std::string_view name) {
  if (name == "trace") return LogLevel::trace;
  if (name == "debug") return LogLevel::debug;
  if (name == "info") return LogLevel::info;
  if (name == "warn") return LogLevel::warn;
  if (name == "error") return LogLevel::error;
  return std::nullopt;
}

// The node from start to stop; lives on the loop's stack.
class Service {
 public:
  Service(AsioRuntime& runtime, protocol::BrokerConfig config)
      : runtime_(&runtime), node_(runtime, std::move(config), nullptr), scope_(runtime) {}

  int run() {
    runtime_->on_signal([this](int) { stop(); });
    scope_.spawn(start());
    runtime_->run();
    return kOk;
  }

 private:
  Task<void> start() {
    const auto started = co_await node_.start();
    if (!started) {
      runtime_->log(LogLevel::error, "Node", started.error());
      // What was begun holds sockets and locks: the process ends as it would after a crash.
      std::_Exit(kUsage);
      co_return;
    }
    started_ = true;
    if (stopping_) scope_.spawn(finish());
  }

  void stop() {
    if (stopping_) return;
    stopping_ = true;
    runtime_->log(LogLevel::info, "Node", "stopping");
    if (started_) scope_.spawn(finish());
  }

  Task<void> finish() {
    co_await node_.stop();
    runtime_->log(LogLevel::info, "Node", "stopped");
    runtime_->stop();
  }

  AsioRuntime* runtime_;
  broker::Node node_;
  bool started_ = false;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace

int serve(const ServeOptions& options) {
  const bool embedded = options.properties.empty();
  auto config =
      embedded ? embedded_properties(options.overrides) : load_properties(options.properties, options.overrides);
  if (!config) return config.error();
  const auto level = level_of(options.log_level);
  if (!level || (options.log_format != "text" && options.log_format != "json")) {
    fmt::print(stderr, "--log-level {} --log-format {}: allowed are trace, debug, info, warn, error, and text, json\n",
               options.log_level, options.log_format);
    return kUsage;
  }
  AsioOptions asio;
  asio.log_level = *level;
  asio.log_format = options.log_format == "json" ? LogFormat::json : LogFormat::text;
  asio.on_halt = [](std::string_view) { std::_Exit(kInternal); };
  AsioRuntime runtime(asio);
  if (embedded && !runtime.disk().status(config->log_dirs().front() + "/meta.properties")) {
    Uuid cluster;
    cluster.high = runtime.random(Purpose::ClusterId, 0);
    cluster.low = runtime.random(Purpose::ClusterId, 0);
    if (const auto formatted = broker::format_directory(runtime, *config, cluster.to_string()); !formatted) {
      fmt::print(stderr, "{}\n", formatted.error());
      return kUsage;
    }
  }
  Service service(runtime, std::move(*config));
  return service.run();
}

}  // namespace verdict::cli
