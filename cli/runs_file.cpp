#include "cli/runs_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace verdict::cli {
namespace {

std::string path_in(const std::string& folder) { return folder + "/runs.jsonl"; }

struct Contents {
  std::optional<search::CampaignHead> head;  // none: an empty file
  std::int64_t whole = 0;                    // bytes of whole lines
};

std::expected<Contents, std::string> read_file(const std::string& path,
                                               const std::function<void(search::CampaignRun, std::string)>& run) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  Contents contents;
  std::uint64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (in.eof()) break;  // no line break: it was not finished
    ++number;
    const auto wrong = [&](const std::string& why) {
      return std::unexpected(fmt::format("{}:{}: {}; allowed: the runs.jsonl of a search", path, number, why));
    };
    contents.whole += static_cast<std::int64_t>(line.size()) + 1;
    if (!contents.head) {
      auto head = search::parse_head(line);
      if (!head) return wrong(head.error());
      contents.head = std::move(*head);
      continue;
    }
    auto parsed = search::parse_run(line);
    if (!parsed) return wrong(parsed.error());
    run(std::move(*parsed), std::move(line));
  }
  return contents;
}

}  // namespace

RunsFile::~RunsFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::expected<void, std::string> RunsFile::failed(int error) {
  return std::unexpected(fmt::format("{}: {}", path_, std::strerror(error)));
}

std::expected<void, std::string> RunsFile::open(const std::string& folder, const search::CampaignHead& head,
                                                const std::function<void(search::CampaignRun)>& had) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) return std::unexpected(fmt::format("{}: {}", folder, made.message()));
  path_ = path_in(folder);
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) return failed(errno);
  std::vector<search::CampaignRun> runs;
  auto contents =
      read_file(path_, [&](search::CampaignRun run, const std::string&) { runs.push_back(std::move(run)); });
  if (!contents) return std::unexpected(contents.error());
  if (contents->head && *contents->head != head) {
    const auto same = search::merged(*contents->head, head);
    std::string why = same ? (contents->head->shard != head.shard ? "another shard" : "other seeds") : same.error();
    return std::unexpected(fmt::format("{} holds another search ({}); allowed: another --out", folder, why));
  }
  size_ = contents->whole;
  if (::ftruncate(fd_, size_) != 0 || ::lseek(fd_, size_, SEEK_SET) != size_) return failed(errno);
  if (!contents->head) return append(search::to_line(head));
  for (search::CampaignRun& run : runs) had(std::move(run));
  return {};
}

std::expected<void, std::string> RunsFile::append(std::string_view line) {
  std::string text(line);
  text += '\n';
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(fd_, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      static_cast<void>(::ftruncate(fd_, size_) + ::lseek(fd_, size_, SEEK_SET));
      return failed(error);
    }
    at += static_cast<std::size_t>(n);
  }
  size_ += static_cast<std::int64_t>(text.size());
  return {};
}

std::expected<search::CampaignHead, std::string> read_runs(
    const std::string& folder, const std::function<void(search::CampaignRun, std::string)>& run) {
  auto contents = read_file(path_in(folder), run);
  if (!contents) return std::unexpected(contents.error());
  if (!contents->head)
    return std::unexpected(fmt::format("{}: empty; allowed: the runs.jsonl of a search", path_in(folder)));
  return std::move(*contents->head);
}

}  // namespace verdict::cli
