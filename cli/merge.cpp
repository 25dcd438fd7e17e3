// verdict merge: shards and parts of a campaign, together as if they had been one.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <optional>

#include "cli/campaign_text.h"
#include "cli/jobs.h"
#include "cli/runs_file.h"
#include "reports/bundle.h"
#include "reports/run_record.h"

namespace verdict::cli {
namespace {

struct Merged {
  std::optional<search::CampaignHead> head;
  std::map<std::uint64_t, std::string> lines;  // by seed
  std::map<std::uint64_t, std::uint64_t> hashes;
  search::CampaignSummary summary;
  int code = kOk;
  std::string different;  // two runs of one seed that differ; empty: none

  std::expected<void, std::string> read(const std::string& folder) {
    auto read_head = read_runs(folder, [this](search::CampaignRun run, std::string line) {
      const auto [at, added] = hashes.emplace(run.seed, run.hash);
      if (!added) {
        if (at->second != run.hash)
          different = fmt::format("seed {} has the hashes {:016x} and {:016x}", run.seed, at->second, run.hash);
        return;
      }
      if (run.outcome != scenarios::RunOutcome::inconclusive)
        code = reports::gravest(code, reports::exit_code(run.outcome));
      summary.add(run);
      lines.emplace(run.seed, std::move(line));
    });
    if (!read_head) return std::unexpected(read_head.error());
    if (!head) {
      head = std::move(*read_head);
      return {};
    }
    auto both = search::merged(*head, *read_head);
    if (!both) return std::unexpected(fmt::format("{}: {}; allowed: parts of one search", folder, both.error()));
    head = std::move(*both);
    return {};
  }
};

std::expected<void, std::string> copy_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  std::filesystem::create_directories(to, error);
  if (error) return std::unexpected(fmt::format("{}: {}", to.string(), error.message()));
  for (std::filesystem::directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    const std::filesystem::path into = to / at->path().filename();
    if (at->is_directory(error)) {
      if (auto copied = copy_folder(at->path(), into); !copied) return copied;
      continue;
    }
    const auto text = reports::read_file(at->path().string());
    if (!text) return std::unexpected(text.error());
    if (auto wrote = reports::write_file(into.string(), *text); !wrote) return wrote;
  }
  if (error) return std::unexpected(fmt::format("{}: {}", from.string(), error.message()));
  return {};
}

// The file as one campaign would have left it, and the bundles of each failure's first seed.
std::expected<void, std::string> write(const Merged& merged, const MergeOptions& options) {
  RunsFile file;
  std::error_code error;
  if (std::filesystem::exists(options.out + "/runs.jsonl", error))
    return std::unexpected(fmt::format("--out {}: holds a search already; allowed: a new folder", options.out));
  if (auto opened = file.open(options.out, *merged.head, [](search::CampaignRun) {}); !opened) return opened;
  for (const auto& [seed, line] : merged.lines) {
    if (auto wrote = file.append(line); !wrote) return wrote;
  }
  for (const search::FailureGroup& group : merged.summary.groups()) {
    for (const std::string& folder : options.folders) {
      const std::string from = failure_folder(folder, group.first_seed);
      const std::string to = failure_folder(options.out, group.first_seed);
      if (!std::filesystem::exists(from + "/run.json", error)) continue;
      if (auto copied = copy_folder(from, to); !copied) return copied;
      break;
    }
  }
  return {};
}

}  // namespace

int merge(const MergeOptions& options) {
  Merged merged;
  for (const std::string& folder : options.folders) {
    if (auto read = merged.read(folder); !read) return usage(read.error());
  }
  if (!options.out.empty()) {
    if (auto wrote = write(merged, options); !wrote) {
      static_cast<void>(usage(wrote.error()));
      if (wrote.error().starts_with("--out")) return kUsage;
      // Half of a sum is none: the parts are still there, and the next attempt finds the place free.
      std::error_code ignored;
      std::filesystem::remove(options.out + "/runs.jsonl", ignored);
      std::filesystem::remove_all(options.out + "/failures", ignored);
      return kInternal;
    }
  }
  const std::string& bundles = options.out.empty() ? options.folders.front() : options.out;
  int code = print_campaign(merged.summary, *merged.head, bundles, options.format);
  // A whole that lacks a part says nothing of it.
  if (merged.summary.not_run(*merged.head) > 0) code = reports::gravest(code, kInconclusive);
  if (!merged.different.empty()) {
    fmt::print(stderr, "verdict: not deterministic: {}\n", merged.different);
    code = reports::gravest(code, kNotDeterministic);
  }
  return reports::gravest(code, merged.code);
}

}  // namespace verdict::cli
