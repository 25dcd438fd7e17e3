#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "cli/commands.h"

namespace verdict::cli {
namespace {

using Action = std::function<int()>;

void add_serve(CLI::App& app, ServeOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "run a node on real sockets");
  command->add_option("properties", options.properties, "server.properties; without it: one node on 127.0.0.1:9092, ./verdict-data");
  command->add_option("--override", options.overrides, "key=value, over the file and the environment");
  command->add_option("--log-format", options.log_format, "text or json");
  command->add_option("--log-level", options.log_level, "trace, debug, info, warn or error");
  command->callback([&] { action = [&] { return serve(options); }; });
}

void add_storage(CLI::App& app, StorageOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("storage", "a node's log directory");
  command->require_subcommand(1);
  CLI::App* format = command->add_subcommand("format", "make a node's log directory");
  format->add_option("-t,--cluster-id", options.cluster_id, "see random-uuid")->required();
  format->add_option("-c,--config", options.properties, "server.properties")->required();
  format->add_option("--override", options.overrides, "key=value");
  format->add_flag("-g,--ignore-formatted", options.ignore_formatted, "a formatted directory is no error");
  format->callback([&] { action = [&] { return storage_format(options); }; });
  CLI::App* info = command->add_subcommand("info", "what the log directory says of itself");
  info->add_option("-c,--config", options.properties, "server.properties")->required();
  info->add_option("--override", options.overrides, "key=value");
  info->callback([&] { action = [&] { return storage_info(options); }; });
  CLI::App* uuid = command->add_subcommand("random-uuid", "a new cluster id");
  uuid->callback([&] { action = [] { return storage_random_uuid(); }; });
  CLI::App* dump = command->add_subcommand("dump", "the batches of log files");
  dump->add_option("files", options.files, "*.log")->required();
  dump->callback([&] { action = [&] { return storage_dump(options); }; });
}

void add_wire(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("wire", "Kafka's messages between hex and JSON, line by line");
  command->callback([&] { action = [] { return wire(); }; });
}

int run_main(int argc, char** argv) {
  CLI::App app("Kafka's replication protocol on trial: simulated under faults, and as a real broker", "verdict");
  app.require_subcommand(1);
  Action action;
  ServeOptions serve_options;
  StorageOptions storage_options;
  add_serve(app, serve_options, action);
  add_storage(app, storage_options, action);
  add_wire(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  return action();
}

}  // namespace
}  // namespace verdict::cli

int main(int argc, char** argv) { return verdict::cli::run_main(argc, argv); }
