#pragma once

#include "runtime/runtime.h"

namespace verdict::storage {

// Always, but for the planted defect crc-ignored. Ask for a batch whose CRC is wrong.
inline bool refuses_bad_crc(Runtime& runtime) {
  if (!runtime.defects().has(Defect::CrcIgnored)) [[likely]]
    return true;
  runtime.mark(Mark::DefectCrcIgnored);
  return false;
}

}  // namespace verdict::storage
