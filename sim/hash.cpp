#include "sim/hash.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace verdict::sim {
namespace {

std::string_view name_of(std::uint64_t what) {
  switch (static_cast<EventKind>(what >> 56)) {
    case EventKind::completion:
      return "completion";
    case EventKind::arrival:
      return "arrival";
    case EventKind::window:
      return "window";
    case EventKind::rst:
      return "rst";
    case EventKind::give_up:
      return "give-up";
    case EventKind::handshake:
      return "handshake";
    case EventKind::call:
      return "call";
  }
  return "?";
}

std::string describe(const TraceEntry& entry) {
  const auto entity = static_cast<std::uint32_t>(entry.what);
  return fmt::format("{} of {}/{} at {} ns, digest {:016x}", name_of(entry.what), entity >> 16, entity & 0xffff,
                     entry.at_ns, entry.digest);
}

}  // namespace

void RunningHash::fold() {
  block_[0] = digest();
  used_ = 1;
}

void RunningHash::bytes(std::span<const std::byte> data) {
  value(data.size());
  value(XXH3_64bits(data.data(), data.size()));
}

std::uint64_t RunningHash::digest() const { return XXH3_64bits(block_.data(), used_ * sizeof(std::uint64_t)); }

void RunningHash::finish_entry() {
  if (!open_) return;
  entry_.digest = digest_;
  log_->entries.push_back(entry_);
  open_ = false;
}

void RunningHash::start_entry(std::int64_t at_ns, std::uint64_t what) {
  finish_entry();
  entry_ = {at_ns, what, 0};
  digest_ = 0;
  open_ = true;
}

void RunningHash::record(TraceLog* log) {
  if (log_ != nullptr) finish_entry();
  log_ = log;
  open_ = false;
}

std::optional<TraceDifference> first_difference(const TraceLog& a, const TraceLog& b) {
  const std::size_t common = std::min(a.entries.size(), b.entries.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (a.entries[i] == b.entries[i]) continue;
    return TraceDifference{i, fmt::format("event {}: {} | {}", i, describe(a.entries[i]), describe(b.entries[i]))};
  }
  if (a.entries.size() == b.entries.size()) return std::nullopt;
  const bool a_longer = a.entries.size() > common;
  const std::string extra = describe((a_longer ? a : b).entries[common]);
  return TraceDifference{common, fmt::format("event {}: {} | {}", common, a_longer ? extra : "the run has ended",
                                             a_longer ? "the run has ended" : extra)};
}

}  // namespace verdict::sim
