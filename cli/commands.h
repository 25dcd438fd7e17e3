#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// One function a subcommand, with what main.cpp parsed for it; each returns the exit code (UX of the program: 0 pass,
// 1 violation, 2 inconclusive, 3 not deterministic, 64 usage or bad input, 70 internal error).
namespace verdict::cli {

constexpr int kOk = 0;
constexpr int kViolation = 1;
constexpr int kInconclusive = 2;
constexpr int kNotDeterministic = 3;
constexpr int kUsage = 64;
constexpr int kInternal = 70;

struct ServeOptions {
  std::string properties;              // path; empty: the embedded default
  std::vector<std::string> overrides;  // key=value
  std::string log_format = "text";     // text, json
  std::string log_level = "info";
};
int serve(const ServeOptions& options);

struct StorageOptions {
  std::string properties;
  std::vector<std::string> overrides;
  std::string cluster_id;
  bool ignore_formatted = false;
  std::vector<std::string> files;  // dump
};
int storage_format(const StorageOptions& options);
int storage_info(const StorageOptions& options);
int storage_random_uuid();
int storage_dump(const StorageOptions& options);

// JSON lines {"name","version","hex"} or {"name","version","value"} on standard input; both forms on standard output.
int wire();

enum class Format : unsigned char { text, json, jsonl };

struct RunOptions {
  std::vector<std::string> scenarios;  // names of the library or paths of .json files; empty: the library
  std::string seeds;                   // N or A..B; empty: the scenario's
  std::vector<std::string> settings;   // path=value
  std::string out = "out";
  int jobs = 0;                  // 0: one a core
  double check_determinism = 0;  // share of runs that are executed twice
  Format format = Format::text;
  bool trace = false;  // files of passing runs too
  bool fail_fast = false;
};
int run(const RunOptions& options);

struct ReplayOptions {
  std::string bundle;
  std::string until;      // virtual time; empty: to the end
  std::string reseed_at;  // virtual times, or "curve"; empty: no branches
  int branches = 20;      // at each of them
  int jobs = 0;           // of branches; 0: one a core
};
int replay(const ReplayOptions& options);

struct ShrinkOptions {
  std::string bundle;
  std::string time = "60s";
  std::int64_t runs = 0;  // 0: no limit
  int jobs = 0;           // 0: one a core
  std::string out;        // a folder for the bundle, or a .json file for the scenario; empty: BUNDLE/shrunk
};
int shrink(const ShrinkOptions& options);

struct MutantsOptions {
  std::vector<std::string> defects;  // ids; empty: all
  std::string profile = "default";
  std::uint64_t seed = 1;       // the first
  std::uint64_t trials = 20;    // of each defect
  std::uint64_t runs = 20'000;  // budget of a defect, all its trials together
  std::string limit = "10m";    // the same in wall time of its runs, one after the other
  bool shrink = false;          // a kill of each defect is made small
  std::string out;              // matrix.json, .md and .html; empty: none
  int jobs = 0;
  Format format = Format::text;
};
int mutants(const MutantsOptions& options);

struct SearchOptions {
  std::string profile = "default";
  std::string seeds;                  // A..B; empty: 1..1000, or from 1 on with a limit
  std::string limit;                  // of wall time, "10m"; empty: none
  std::string shard;                  // "i/n"
  std::vector<std::string> settings;  // path=value
  std::string out;                    // empty: out/search-PROFILE/UTC
  int jobs = 0;
  int fail_fast = 0;             // distinct failures after which it stops; 0: none
  double check_determinism = 0;  // share of runs that are executed twice
  Format format = Format::text;
};
int search(const SearchOptions& options);

struct MergeOptions {
  std::vector<std::string> folders;
  std::string out;  // empty: the summary alone
  Format format = Format::text;
};
int merge(const MergeOptions& options);

struct LiveOptions {
  std::string scenario;   // a name of the library, or the path of a .json file
  std::string bootstrap;  // HOST:PORT, with more of them behind commas
  std::vector<std::string> settings;
  std::string out = "out";
  std::string seed;  // of the clients' draws; empty: another one each time
  Format format = Format::text;
};
int live(const LiveOptions& options);

int list(const std::string& kind, Format format);  // "", scenarios, invariants, faults, ...
int schema(const std::string& which);              // scenario, result
int check(const std::string& history, Format format);
int report(const std::string& folder);

}  // namespace verdict::cli
