#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "search/campaign.h"

// runs.jsonl of a campaign: its head, then a line a run as they end. A line is there whole or not at all: what an
// interruption or a full disk left of one is cut off.
namespace verdict::cli {

class RunsFile {
 public:
  RunsFile() = default;
  ~RunsFile();
  RunsFile(const RunsFile&) = delete;
  RunsFile& operator=(const RunsFile&) = delete;

  // Makes the folder and a new file, or goes on with the one that is there if it has the same head; `had` gets its
  // runs. The error is a sentence.
  std::expected<void, std::string> open(const std::string& folder, const search::CampaignHead& head,
                                        const std::function<void(search::CampaignRun)>& had);
  // One line, handed to the operating system before this returns.
  std::expected<void, std::string> append(std::string_view line);

 private:
  std::expected<void, std::string> failed(int error);

  std::string path_;
  int fd_ = -1;
  std::int64_t size_ = 0;  // of its whole lines
};

// The runs of the campaign in `folder`, in the file's order; an unfinished last line is skipped.
std::expected<search::CampaignHead, std::string> read_runs(
    const std::string& folder, const std::function<void(search::CampaignRun, std::string line)>& run);

}  // namespace verdict::cli
