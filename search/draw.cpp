#include "search/draw.h"

#include <rapidcheck/Gen.h>
#include <rapidcheck/gen/Numeric.h>

#include "runtime/assert.h"

namespace verdict::search {

std::int64_t within(std::int64_t min, std::int64_t max) {
  VERDICT_ASSERT(min <= max, "an empty range");
  return *rc::gen::inRange<std::int64_t>(min, max + 1);
}

std::int64_t within(Range range) { return within(range.min, range.max); }

bool share(std::int32_t percent) { return within(0, 99) >= 100 - percent; }

std::int64_t one_of(std::initializer_list<std::int64_t> values) {
  return values.begin()[within(0, static_cast<std::int64_t>(values.size()) - 1)];
}

std::string_view one_of(std::span<const std::string_view> values) {
  return values[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(values.size()) - 1))];
}

std::string_view weighted(std::span<const Weight> weights) {
  std::int64_t total = 0;
  for (const Weight& weight : weights) total += weight.weight;
  if (total == 0) return {};
  std::int64_t left = within(0, total - 1);
  for (const Weight& weight : weights) {
    left -= weight.weight;
    if (left < 0) return weight.name;
  }
  return {};
}

}  // namespace verdict::search
