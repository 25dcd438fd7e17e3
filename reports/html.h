#pragma once

#include <string>
#include <string_view>

#include "reports/load_stats.h"
#include "reports/run_record.h"
#include "reports/trace_data.h"

namespace verdict::reports {

// report.html: one file, no network. `scenario`: the resolved scenario's JSON.
// shrunk, curve: sections of shrunk.h and curve.h, or empty.
std::string html_report(const RunRecord& record, std::string_view scenario, const TraceData& trace,
                        const LoadStats& load, std::string_view shrunk = {}, std::string_view curve = {});

}  // namespace verdict::reports
