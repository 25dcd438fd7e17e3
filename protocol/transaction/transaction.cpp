#include "protocol/transaction/transaction.h"

#include <array>

namespace verdict::transaction {
namespace {

using enum TransactionState;

constexpr std::array<std::string_view, 8> kNames{"Empty",        "Ongoing",          "PrepareCommit",
                                                 "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                                 "Dead",         "PrepareEpochFence"};

}  // namespace

std::string_view name_of(TransactionState state) { return kNames.at(static_cast<std::size_t>(state)); }

std::optional<TransactionState> find_state(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      return static_cast<TransactionState>(i);
    }
  }
  return std::nullopt;
}

bool may_follow(TransactionState from, TransactionState to) {
  const bool at_rest = from == empty || from == complete_commit || from == complete_abort;
  switch (to) {
    case empty:
    case dead:
      return at_rest;
    case ongoing:
      return at_rest || from == ongoing;
    case prepare_commit:
    case prepare_epoch_fence:
      return from == ongoing;
    case prepare_abort:  // at rest: transaction version 2 aborts what never got a partition
      return at_rest || from == ongoing || from == prepare_epoch_fence;
    case complete_commit:
      return from == prepare_commit;
    case complete_abort:
      return from == prepare_abort;
  }
  return false;
}

}  // namespace verdict::transaction
