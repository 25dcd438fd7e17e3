#include "reports/campaign.h"

#include <fmt/format.h>

#include <charconv>

#include "runtime/random.h"

namespace verdict::reports {
namespace {

template <class T>
bool whole(std::string_view text, T& into) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), into);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && !text.empty();
}

}  // namespace

std::expected<scenarios::SeedRange, std::string> parse_seeds(std::string_view text) {
  scenarios::SeedRange range;
  const std::size_t dots = text.find("..");
  const std::string_view first = text.substr(0, dots);
  const std::string_view last = dots == std::string_view::npos ? first : text.substr(dots + 2);
  if (!whole(first, range.first) || !whole(last, range.last) || range.first > range.last) {
    return std::unexpected(fmt::format("seeds \"{}\": a whole number, or A..B with A at most B", text));
  }
  if (range.last - range.first >= 100'000'000)
    return std::unexpected(fmt::format("seeds \"{}\": at most 100,000,000", text));
  return range;
}

bool in_share(double share, std::string_view scenario, std::uint64_t seed) {
  if (share >= 1) return true;
  std::uint64_t key = seed;
  for (const char c : scenario) key = mix64(key, static_cast<std::uint8_t>(c));
  return static_cast<double>(scale_to(mix64(key), 1'000'000)) < share * 1e6;
}

std::expected<std::int64_t, std::string> parse_duration_ms(std::string_view text) {
  const auto wrong = [&] {
    return std::unexpected(fmt::format("time \"{}\": milliseconds, or a number with ms, s or m", text));
  };
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return wrong();
  const std::string_view unit = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  double factor = 0;
  if (unit.empty() || unit == "ms") factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60'000;
  if (factor == 0 || !(value >= 0) || value * factor > 1e12) return wrong();
  return static_cast<std::int64_t>(value * factor);
}

void Tally::add(scenarios::RunOutcome outcome) {
  if (outcome == scenarios::RunOutcome::pass) {
    ++passed;
  } else if (outcome == scenarios::RunOutcome::inconclusive) {
    ++inconclusive;
  } else {
    ++failed;
  }
  code = gravest(code, exit_code(outcome));
}

std::string Tally::last_line() const {
  std::string line = fmt::format("{} passed, {} failed", passed, failed);
  if (inconclusive > 0) line += fmt::format(", {} inconclusive", inconclusive);
  return line;
}

}  // namespace verdict::reports
