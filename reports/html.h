#pragma once

#include <string>
#include <string_view>

#include "reports/load_stats.h"
#include "reports/run_record.h"
#include "reports/trace_data.h"

namespace verdict::reports {

// report.html: one file, no network. `scenario`: the resolved scenario's JSON.
// shrunk, curve, why: sections of shrunk.h, curve.h and cause.h, or empty.
std::string html_report(const RunRecord& record, std::string_view scenario, const TraceData& trace,
                        const LoadStats& load, std::string_view shrunk = {}, std::string_view curve = {},
                        std::string_view why = {});

}  // namespace verdict::reports
