#include "scenarios/history_entry.h"

namespace verdict::scenarios {
namespace {

// The history's enumerators stand in the order of the clients'.
constexpr checker::HistoryType in_history(sim::OpType type) { return static_cast<checker::HistoryType>(type); }
static_assert(in_history(sim::OpType::invoke) == checker::HistoryType::invoke);
static_assert(in_history(sim::OpType::info) == checker::HistoryType::info);

constexpr checker::HistoryCall in_history(sim::OpCall call) { return static_cast<checker::HistoryCall>(call); }
static_assert(in_history(sim::OpCall::send) == checker::HistoryCall::send);
static_assert(in_history(sim::OpCall::end) == checker::HistoryCall::end);

}  // namespace

void to_history(const sim::ClientOp& op, checker::HistoryEntry& entry) {
  entry.op = op.op;
  entry.process = op.process;
  entry.type = in_history(op.type);
  entry.call = in_history(op.call);
  entry.acks = op.acks;
  entry.partition = op.partition;
  entry.offset = op.offset;
  entry.value = op.value;
  entry.time_ns = op.time_ns;
  entry.idempotent = op.idempotent;
  entry.ordered = op.ordered;
  entry.renewed = op.renewed;
  entry.compacted = op.compacted;
  entry.tombstone = op.tombstone;
  entry.read_committed = op.read_committed;
  entry.txn = op.txn;
  entry.input = op.input;
  entry.group = op.group;
  entry.topic = op.topic;
  entry.key = op.key;
  entry.error = op.error;
  entry.records.clear();
  for (const sim::OffsetAndValue& record : op.records) entry.records.push_back({record.offset, record.value});
}

}  // namespace verdict::scenarios
