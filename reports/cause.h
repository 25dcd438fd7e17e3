#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reports/run_record.h"
#include "reports/trace_data.h"

// Why a run failed: of all that happened, what the violation causally depends on, as a chain with witnesses. Fault,
// election, truncation, loss.
namespace verdict::reports {

// One thing that had to happen. Its kind is that of an event of the feed ("log_truncated"), or "fault", "down", "up",
// "violation".
struct CauseLink {
  std::int64_t t_ns = 0;
  std::string host;  // who announced or suffered it; empty: the whole
  std::string kind;
  std::string text;                  // a sentence in Kafka's terms, without time
  std::string heard;                 // how it came about from what another machine did: the message; empty: by itself
  std::vector<std::size_t> because;  // places in the chain, all below its own
};

// In order of time; the last one is the violation. Empty for a run that did not fail of a violation. Walks back from
// the events at the violation and at its witnesses, and from what became of the offset that it names, by
//   - the order within a process, from an event to what the process had decided or learned before: its role, its log,
//   - messages between machines: a decision that reached a broker, an answer that reached a follower, a batch,
//   - the controller's decisions: which one a role follows, whose fencing or proposal made it,
//   - the disk and the process: a death, and the start after it,
// and ends at faults. Only the violation's partition counts, and only the machines that one comes to. An edge holds
// only from earlier to later. What lies before the trace's window is not known.
std::vector<CauseLink> cause_of(const scenarios::RunResult& result, const TraceData& trace);

// "3. 3.006896 s  broker-3  truncates orders-0 from 131 to 128 [1, 2]" for each link.
std::vector<std::string> cause_lines(const std::vector<CauseLink>& chain);

// Report sections; empty for an empty chain.
std::string cause_markdown(const std::vector<CauseLink>& chain);
std::string cause_section(const std::vector<CauseLink>& chain);  // HTML

// The lines that a folder's verdict.json keeps; none if it has none.
std::vector<std::string> read_why(const std::string& folder);

}  // namespace verdict::reports
