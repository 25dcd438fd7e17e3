#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "reports/cause.h"
#include "reports/run_record.h"
#include "reports/trace_data.h"

namespace verdict::reports {

// "C1 NoCommittedRecordLost"; an anomaly or a run's own end by its name alone.
std::string invariant_title(const std::string& id);

// One line: "pass  leader-crash seed 1: 1204 acknowledged, 3 elections".
std::string run_line(const scenarios::RunResult& result);

// A run that did not pass, for a terminal: the sentence, the witnesses (or what was not seen), the command that
// replays. host_of a witness is made from its node id: "broker 2", "controller".
std::string failure_text(const RunRecord& record);

// "1.250000 s  broker 2 (life 3)  appended ..."
std::string witness_text(const scenarios::WitnessLine& witness);

// Witnesses for people: of a series by one node that differs in numbers only, the first and the last.
struct WitnessView {
  const scenarios::WitnessLine* line = nullptr;
  std::size_t number = 0;   // its place among all, from 1
  std::size_t skipped = 0;  // how many like it were left out before it
};
std::vector<WitnessView> condensed(const std::vector<scenarios::WitnessLine>& witnesses);

// summary.md
std::string summary_markdown(const RunRecord& record, const TraceData& trace, const std::vector<CauseLink>& why = {});

// The replica matrix of each partition at the end of the trace's window, as plain text.
std::string matrix_text(const TraceData& trace);

// junit.xml: a testcase is scenario x invariant.
std::string junit_xml(const RunRecord& record);

// verdict.json: what was decided and why.
std::string verdict_json(const RunRecord& record, const std::vector<CauseLink>& why = {});

}  // namespace verdict::reports
