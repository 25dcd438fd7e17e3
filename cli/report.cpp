// verdict report: the report files of a bundle, made anew.
#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "reports/bundle.h"

namespace verdict::cli {

int report(const std::string& folder) {
  if (const auto wrote = reports::write_reports(folder); !wrote) return usage(wrote.error());
  fmt::print("{}/report.html\n", folder);
  return kOk;
}

}  // namespace verdict::cli
