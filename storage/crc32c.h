#pragma once

#include <cstdint>

#include "storage/bytes.h"

namespace verdict::storage {

// CRC-32C (Castagnoli), as in record batches. crc32c(b, crc32c(a)) is the sum of a followed by b. Uses SSE4.2 where the
// processor has it; both ways give the same sums.
std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);

// The way without special instructions, for tests.
std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t before = 0);

}  // namespace verdict::storage
