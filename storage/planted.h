#pragma once

#include "runtime/runtime.h"
#include "storage/batch.h"
#include "storage/producer_state.h"

namespace verdict::storage {

// Always, but for the planted defect crc-ignored. Ask for a batch whose CRC is wrong.
inline bool refuses_bad_crc(Runtime& runtime) {
  if (!runtime.defects().has(Defect::CrcIgnored)) [[likely]]
    return true;
  runtime.mark(Mark::DefectCrcIgnored);
  return false;
}

// Never, but for the planted defect sequence-gap: whether a batch is taken although others are missing before it.
inline bool takes_gap(Runtime& runtime, const ProducerEntry& known, const BatchHeader& header) {
  if (!runtime.defects().has(Defect::SequenceGap)) [[likely]]
    return false;
  if (header.producer_epoch != known.epoch || header.base_sequence <= known.last_sequence()) return false;
  runtime.mark(Mark::DefectSequenceGap);
  return true;
}

// Never, but for the planted defect resend-new-epoch: whether a batch of an earlier leader epoch isn't known again.
inline bool forgets_with_epoch(Runtime& runtime, LeaderEpoch appended, LeaderEpoch now) {
  if (!runtime.defects().has(Defect::ResendNewEpoch)) [[likely]]
    return false;
  if (appended == kNoEpoch || appended == now) return false;
  runtime.mark(Mark::DefectResendNewEpoch);
  return true;
}

}  // namespace verdict::storage
