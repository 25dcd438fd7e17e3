#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <string>

#include "cli/commands.h"
#include "cli/jobs.h"

namespace verdict::cli {
namespace {

using Action = std::function<int()>;

void add_serve(CLI::App& app, ServeOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "run a node on real sockets");
  command->add_option("properties", options.properties,
                      "server.properties; without it: one node on 127.0.0.1:9092, ./verdict-data");
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

void add_format(CLI::App* command, Format& format, bool lines) {
  const std::string allowed = lines ? "text, json or jsonl" : "text or json";
  command->add_option_function<std::string>(
      "--format",
      [&format, lines, allowed](const std::string& text) {
        if (text != "text" && text != "json" && !(lines && text == "jsonl")) {
          throw CLI::ValidationError("--format " + text, allowed);
        }
        format = text == "text" ? Format::text : text == "json" ? Format::json : Format::jsonl;
      },
      allowed);
}

void add_run(CLI::App& app, RunOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("run", "run scenarios in the simulator, under faults, with a verdict");
  command->add_option("scenarios", options.scenarios,
                      "names (verdict list scenarios) or .json files; none: the whole library");
  auto* seed =
      command->add_option("--seed", options.seeds, "the seed N; without: each scenario's own")
          ->check([](const std::string& text) {
            return text.find("..") == std::string::npos ? std::string() : text + ": one seed; a range is for --seeds";
          });
  command->add_option("--seeds", options.seeds, "seeds A..B, both included")->excludes(seed);
  command->add_option("--jobs", options.jobs, "worker processes; one a core")->check(CLI::Range(1, 1024));
  command->add_option("--out", options.out, "where files of failures and single runs go")->capture_default_str();
  command->add_option("--set", options.settings, "path=value in every scenario: phases.run_ms=500, faults[0].at_ms=10")
      ->allow_extra_args(false);
  command->add_option("--check-determinism", options.check_determinism,
                      "share of the runs that are executed twice, 0 to 1");
  command->add_flag("--trace", options.trace, "write the files of passing runs too");
  command->add_flag("--fail-fast", options.fail_fast, "stop at the first failure");
  add_format(command, options.format, true);
  command->callback([&] { action = [&] { return run(options); }; });
}

void add_replay(CLI::App& app, ReplayOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("replay", "run a bundle again");
  command->add_option("bundle", options.bundle, "the folder of a run: out/SCENARIO/UTC-SEED")->required();
  auto* until =
      command->add_option("--until", options.until, "stop at this virtual time (1500ms, 1.5s) and show the replicas");
  auto* reseed = command
                     ->add_option("--reseed-at", options.reseed_at,
                                  "how likely the failure was: branch there with other draws (1.5s,2s or curve)")
                     ->excludes(until);
  command->add_option("--branches", options.branches, "at each of the times")
      ->needs(reseed)
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--jobs", options.jobs, "worker processes for branches; one a core")
      ->needs(reseed)
      ->check(CLI::Range(1, 1024));
  command->callback([&] { action = [&] { return replay(options); }; });
}

void add_shrink(CLI::App& app, ShrinkOptions& options, Action& action) {
  CLI::App* command =
      app.add_subcommand("shrink", "make a failing run's scenario small: the same invariant still fails");
  command->add_option("bundle", options.bundle, "the folder of a run that failed: out/SCENARIO/UTC-SEED")->required();
  command->add_option("--for", options.time, "stop after this time, with what was found (90s, 5m)")
      ->capture_default_str();
  command->add_option("--runs", options.runs, "stop after so many runs; 0: no limit")->check(CLI::NonNegativeNumber);
  command->add_option("--jobs", options.jobs, "worker processes; one a core")->check(CLI::Range(1, 1024));
  command->add_option("--out", options.out,
                      "a new folder for the shrunk bundle, or a .json file for its scenario; BUNDLE/shrunk");
  command->callback([&] { action = [&] { return shrink(options); }; });
}

void add_mutants(CLI::App& app, MutantsOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("mutants", "plant known bugs and count the runs until each is found");
  command->add_option("defects", options.defects, "ids (verdict list defects); none: all");
  command->add_option("--profile", options.profile, "what is drawn (verdict list profiles)")->capture_default_str();
  command->add_option("--trials", options.trials, "independent ones of each defect, each up to its kill")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--runs", options.runs, "of all trials of a defect together, at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--for", options.limit, "wall time of a defect's runs, one after the other, at most: 30s, 10m")
      ->capture_default_str();
  command->add_option("--seed", options.seed, "the first; trial n begins n million after it")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  command->add_flag("--shrink", options.shrink, "make the first kill of each defect small, in a minute each");
  command->add_option("--out", options.out,
                      "a folder for matrix.json, matrix.md and matrix.html, and ID.json of a shrunk kill");
  command->add_option("--jobs", options.jobs, "worker processes; one a core")->check(CLI::Range(1, 1024));
  add_format(command, options.format, false);
  command->callback([&] { action = [&] { return mutants(options); }; });
}

void add_search(CLI::App& app, SearchOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("search", "draw scenarios, run them, and keep what breaks a rule");
  command->add_option("--profile", options.profile, "what is drawn (verdict list profiles)")->capture_default_str();
  command->add_option("--seeds", options.seeds, "seeds A..B, both included; 1..1000, or from 1 on with --for");
  command->add_option("--for", options.limit, "wall time after which nothing new is begun: 30s, 10m");
  command->add_option("--shard", options.shard, "i/n: of the seeds the i-th of n parts");
  command->add_option("--jobs", options.jobs, "worker processes; one a core")->check(CLI::Range(1, 1024));
  command->add_option("--fail-fast", options.fail_fast, "stop after so many distinct failures")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--set", options.settings, "path=value in every scenario, as in run")->allow_extra_args(false);
  command->add_option("--check-determinism", options.check_determinism,
                      "share of the runs that are executed twice, 0 to 1");
  command->add_option("--out", options.out, "runs.jsonl and failures/; one of the same search goes on where it ended");
  add_format(command, options.format, true);
  command->callback([&] { action = [&] { return search(options); }; });
}

void add_merge(CLI::App& app, MergeOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("merge", "the shards of a search as one");
  command->add_option("folders", options.folders, "the --out folders of its parts, in any order")->required();
  command->add_option("--out", options.out, "a new folder for the whole");
  add_format(command, options.format, false);
  command->callback([&] { action = [&] { return merge(options); }; });
}

void add_live(CLI::App& app, LiveOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand(
      "live", "run a scenario's workload against a Kafka cluster that is there, without its faults, and judge it");
  command->add_option("scenario", options.scenario, "a name (verdict list scenarios) or a .json file")->required();
  command->add_option("--bootstrap", options.bootstrap, "HOST:PORT of a broker; more of them behind commas")
      ->required();
  command->add_option("--set", options.settings, "path=value in the scenario: phases.run_ms=20000")
      ->allow_extra_args(false);
  command->add_option("--seed", options.seed, "of the clients' draws; without: another one each time")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--out", options.out, "where the folder with the clients' history goes")->capture_default_str();
  add_format(command, options.format, false);
  command->callback([&] { action = [&] { return live(options); }; });
}

struct LookOptions {
  std::string kind;
  std::string schema = "scenario";
  std::string history;
  std::string folder;
  Format format = Format::text;
};

void add_looks(CLI::App& app, LookOptions& options, Action& action) {
  CLI::App* names = app.add_subcommand("list", "everything that has a name");
  names->add_option("kind", options.kind,
                    "scenarios, invariants, faults, defects, marks, sites or profiles; none: all");
  add_format(names, options.format, false);
  names->callback([&] { action = [&] { return list(options.kind, options.format); }; });
  CLI::App* schemas = app.add_subcommand("schema", "JSON Schema of a scenario or of a run's result");
  schemas->add_option("which", options.schema, "scenario or result")->capture_default_str();
  schemas->callback([&] { action = [&] { return schema(options.schema); }; });
  CLI::App* checks = app.add_subcommand("check", "judge a clients' history by what clients saw");
  checks->add_option("history", options.history, "history.jsonl, a bundle's folder, or - for standard input")
      ->required();
  add_format(checks, options.format, false);
  checks->callback([&] { action = [&] { return check(options.history, options.format); }; });
  CLI::App* reports = app.add_subcommand("report", "make the report files of a bundle anew");
  reports->add_option("folder", options.folder, "the bundle")->required();
  reports->callback([&] { action = [&] { return report(options.folder); }; });
}

int run_main(int argc, char** argv) {
  CLI::App app("Kafka's replication protocol on trial: simulated under faults, and as a real broker", "verdict");
  app.require_subcommand(1);
  Action action;
  ServeOptions serve_options;
  StorageOptions storage_options;
  RunOptions run_options;
  ReplayOptions replay_options;
  ShrinkOptions shrink_options;
  MutantsOptions mutants_options;
  SearchOptions search_options;
  MergeOptions merge_options;
  LiveOptions live_options;
  LookOptions look_options;
  add_run(app, run_options, action);
  add_replay(app, replay_options, action);
  add_shrink(app, shrink_options, action);
  add_mutants(app, mutants_options, action);
  add_search(app, search_options, action);
  add_merge(app, merge_options, action);
  add_looks(app, look_options, action);
  add_live(app, live_options, action);
  add_serve(app, serve_options, action);
  add_storage(app, storage_options, action);
  add_wire(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::string text = error.what();
    const std::string word = argc > 1 ? argv[1] : "";
    const bool command = !app.get_subcommands([&](CLI::App* one) { return one->get_name() == word; }).empty();
    if (!word.empty() && !command) text = (word[0] == '-' ? "no option is called " : "no command is called ") + word;
    std::ranges::replace(text, '\n', ' ');
    return usage(text + (command ? " (verdict " + word + " --help)" : " (verdict --help)"));
  }
  return action();
}

}  // namespace
}  // namespace verdict::cli

int main(int argc, char** argv) { return verdict::cli::run_main(argc, argv); }
