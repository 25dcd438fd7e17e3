#pragma once

#include <cstdint>

#include "storage/batch.h"

// What tells records apart without their bytes (XXH3, 64 bits): for announcements, never for decisions of a log.
namespace verdict::storage {

// Positive for a record with a value, negative for one without (a tombstone). Over timestamp, key, value and headers.
std::int64_t content_hash(const RecordView& record);
std::int64_t key_hash(const NullableBytes& key);  // 0: no key; else positive

}  // namespace verdict::storage
