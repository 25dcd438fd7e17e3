#include "storage/record_hash.h"

#define XXH_INLINE_ALL
#define XXH_NO_INLINE_HINTS 1
#include <xxhash.h>

namespace verdict::storage {
namespace {

std::uint64_t hash(const NullableBytes& bytes, std::uint64_t seed) {
  return bytes ? XXH3_64bits_withSeed(bytes->data(), bytes->size(), seed) : ~seed;
}

std::int64_t positive(std::uint64_t value) { return static_cast<std::int64_t>(value >> 1 | 1); }

}  // namespace

std::int64_t key_hash(const NullableBytes& key) { return key ? positive(hash(key, 0)) : 0; }

std::int64_t content_hash(const RecordView& record) {
  std::uint64_t sum = hash(record.key, static_cast<std::uint64_t>(record.timestamp));
  sum = hash(record.value, sum);
  sum = hash(record.headers, sum + static_cast<std::uint64_t>(record.header_count));
  return record.value ? positive(sum) : -positive(sum);
}

}  // namespace verdict::storage
