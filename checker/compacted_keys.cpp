#include "checker/compacted_keys.h"

#include <algorithm>

namespace verdict::checker {

void CompactedKeys::send(std::uint32_t log, const HistoryEntry& entry) {
  if (!entry.compacted || entry.value < 0) return;
  std::uint32_t& number = key_of_[{log, entry.key}];
  if (number == 0) {
    keys_.emplace_back();
    number = static_cast<std::uint32_t>(keys_.size());
  }
  Value& value = values_[static_cast<std::uint64_t>(entry.value)];
  value = {.key = number, .tombstone = entry.tombstone};
  if (entry.tombstone && entry.type == HistoryType::info) keys_[number - 1].unknown_tombstone = true;
}

void CompactedKeys::stands(std::int64_t value, std::int64_t offset) {
  const Value* known = values_.find(static_cast<std::uint64_t>(value));
  if (known == nullptr || known->key == 0) return;
  Key& key = keys_[known->key - 1];
  key.newest = std::max(key.newest, offset);
}

bool CompactedKeys::known(std::int64_t value) {
  const Value* found = values_.find(static_cast<std::uint64_t>(value));
  return found != nullptr && found->key != 0;
}

bool CompactedKeys::may_be_gone(std::int64_t value, std::int64_t offset) {
  const Value* known = values_.find(static_cast<std::uint64_t>(value));
  if (known == nullptr || known->key == 0) return false;
  const Key& key = keys_[known->key - 1];
  return known->tombstone || key.unknown_tombstone || key.newest > offset;
}

}  // namespace verdict::checker
