#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "reports/run_record.h"
#include "runtime/names.h"

namespace verdict::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLive = std::chrono::milliseconds(200);
constexpr auto kQuiet = std::chrono::seconds(10);

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace

bool colour(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0');
}

Progress::Progress(std::uint64_t total)
    : total_(total), terminal_(::isatty(STDERR_FILENO) == 1), began_(Clock::now()), last_(began_) {}

double Progress::elapsed_s() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

void Progress::add(const scenarios::RunResult& result) {
  std::set<std::string> marks;
  for (const auto& [mark, count] : result.marks) marks.insert(mark);
  const bool failed = reports::failed(result.outcome);
  add(result.simulated_ms,
      failed ? fmt::format("{}/{}/{}", result.scenario, scenarios::name_of(result.outcome), result.invariant)
             : std::string(),
      marks);
}

void Progress::add(std::int64_t simulated_ms, const std::string& failure, const std::set<std::string>& marks) {
  ++runs_;
  simulated_ms_ += simulated_ms;
  if (!failure.empty()) failures_.insert(failure);
  marks_.insert(marks.begin(), marks.end());
}

std::string Progress::text() const {
  const double elapsed = elapsed_s();
  const double rate = elapsed > 0 ? static_cast<double>(runs_) / elapsed : 0;
  const double hours = elapsed > 0 ? static_cast<double>(simulated_ms_) / 3'600'000 / elapsed : 0;
  std::string out = total_ > 0 ? fmt::format("{} of {} runs", runs_, total_) : fmt::format("{} runs", runs_);
  out += fmt::format(", {:.1f} runs/s, {:.3f} simulated hours/s, {} distinct failures, {} of {} marks", rate, hours,
                     failures_.size(), marks_.size(), kMarkCount);
  double left = total_ > runs_ && runs_ > 0 ? static_cast<double>(total_ - runs_) / rate : -1;
  const double limit = std::chrono::duration<double>(limit_).count();
  if (limit > 0 && (left < 0 || limit - elapsed < left)) left = std::max(limit - elapsed, 0.0);
  if (left >= 0) out += ", " + duration_text(left) + " left";
  return out;
}

void Progress::show() {
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? std::chrono::duration_cast<Clock::duration>(kLive)
                               : std::chrono::duration_cast<Clock::duration>(kQuiet))) {
    return;
  }
  last_ = now;
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}", text());
    std::fflush(stderr);
    shown_ = true;
  } else {
    fmt::print(stderr, "verdict: {}\n", text());
  }
}

void Progress::clear() {
  if (shown_) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace verdict::cli
