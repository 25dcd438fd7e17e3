#include "cli/campaign_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cli/jobs.h"
#include "reports/campaign.h"

namespace verdict::cli {
namespace {

constexpr std::uint64_t kInconclusiveOneIn = 50;

}  // namespace

std::string failure_folder(const std::string& out, std::uint64_t seed) {
  return fmt::format("{}/failures/seed-{}", out, seed);
}

int print_campaign(const search::CampaignSummary& summary, const search::CampaignHead& head, const std::string& out,
                   Format format) {
  const auto replay = [&](const search::FailureGroup& group) {
    const std::string folder = failure_folder(out, group.first_seed);
    if (std::filesystem::exists(folder + "/run.json")) return "./verdict replay " + folder;
    return fmt::format("./verdict search --profile {} --seeds {}..{}{}", head.profile, group.first_seed,
                       group.first_seed, settings_text(head.settings));
  };
  if (format == Format::text) {
    reports::Tally tally;
    tally.passed = summary.passed();
    tally.failed = summary.failed();
    tally.inconclusive = summary.inconclusive();
    fmt::print("{}{}\n", summary.text(head, replay), tally.last_line());
  } else {
    fmt::print("{}\n", summary.json(head));
  }
  std::fflush(stdout);
  const search::Profile* profile = search::find_profile(head.profile);
  const bool lacks = profile != nullptr && !summary.missing(*profile).empty();
  return lacks || summary.inconclusive() * kInconclusiveOneIn > summary.runs() ? kInconclusive : kOk;
}

std::string utc_now() { return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::now())); }

}  // namespace verdict::cli
