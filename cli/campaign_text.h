#pragma once

#include <cstdint>
#include <string>

#include "cli/commands.h"
#include "search/campaign.h"

// What a campaign came to, as `verdict search` and `verdict merge` print it.
namespace verdict::cli {

// The bundle of a group's first failing run.
std::string failure_folder(const std::string& out, std::uint64_t seed);

// Prints the summary; the exit code is that of what it lacks, beside the runs' own: 2 if a kind that the profile draws
// never occurred in a thousand runs, or if more than one run in fifty was inconclusive.
int print_campaign(const search::CampaignSummary& summary, const search::CampaignHead& head, const std::string& out,
                   Format format);

std::string utc_now();  // "20251123T051500Z"

}  // namespace verdict::cli
