#pragma once

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

}  // namespace verdict::cli
