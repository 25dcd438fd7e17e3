// Any bytes as a scenario: refused with a path, or written back with the same meaning.
#include "scenarios/scenario.h"

#include "runtime/assert.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::scenarios;
  const auto scenario = parse_scenario(verdict::fuzz::text_of(data, size));
  if (!scenario) return 0;
  const std::string text = to_json(*scenario);
  const auto again = parse_scenario(text);
  VERDICT_ASSERT(again, "what was written must parse");
  VERDICT_ASSERT(to_json(*again) == text, "a scenario changes on its way");
  return 0;
}
