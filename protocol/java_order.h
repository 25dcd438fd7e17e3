#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/uuid.h"

// What Java's hashes and hash tables make of things, where Kafka's decisions depend on it.
namespace verdict::protocol {

// Java's String.hashCode of the text that these bytes are in Java: UTF-16, with U+FFFD for what is no UTF-8.
std::int32_t java_hash(std::string_view utf8);
std::int32_t java_hash(const Uuid& id);                         // Kafka's Uuid.hashCode
constexpr std::int32_t java_hash(std::int32_t n) { return n; }  // Integer.hashCode

// The table of a HashMap that grew to so many entries, one by one; and of one that was made as a copy.
std::size_t java_buckets(std::size_t entries);
std::size_t java_buckets_of_copy(std::size_t entries);

// In which order a HashMap walks over keys with these hashes: places in `hashes`. Keys of one bucket come in their
// order here; in Java, in that in which they were put.
std::vector<std::size_t> java_order(std::span<const std::int32_t> hashes, std::size_t buckets);

// The keys of an ordered container in that order.
template <class Keys>
auto in_java_order(const Keys& keys, std::size_t buckets) {
  using Key = typename Keys::value_type;
  std::vector<std::int32_t> hashes;
  std::vector<const Key*> at;
  for (const Key& key : keys) {
    hashes.push_back(java_hash(key));
    at.push_back(&key);
  }
  std::vector<Key> out;
  out.reserve(at.size());
  for (const std::size_t i : java_order(hashes, buckets)) out.push_back(*at[i]);
  return out;
}

}  // namespace verdict::protocol
