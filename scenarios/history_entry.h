#pragma once

#include "checker/history.h"
#include "sim/history_sink.h"

namespace verdict::scenarios {

// What clients say as a history's entry; its storage is reused.
void to_history(const sim::ClientOp& op, checker::HistoryEntry& entry);

}  // namespace verdict::scenarios
