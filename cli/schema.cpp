// verdict schema: JSON Schemas of what the program reads and writes.
#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "reports/assets.h"
#include "scenarios/scenario.h"

namespace verdict::cli {

int schema(const std::string& which) {
  if (which != "scenario" && which != "result") return usage(fmt::format("schema {}: scenario or result", which));
  std::string text =
      which == "scenario" ? scenarios::scenario_schema() : std::string(reports::asset("result.schema.json"));
  if (!text.ends_with('\n')) text += '\n';
  fmt::print("{}", text);
  return kOk;
}

}  // namespace verdict::cli
