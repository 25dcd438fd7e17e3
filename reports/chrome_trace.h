#pragma once

#include <string>

#include "reports/trace_data.h"

namespace verdict::reports {

// trace.json, for Perfetto and chrome://tracing: a process is a node, flow arrows are messages; virtual microseconds.
std::string chrome_trace(const TraceData& trace);

}  // namespace verdict::reports
