#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "protocol/wire/message.h"

// The tables behind JSON, equality, random values, deep copies and the rarer codecs. Read-only data; the generator
// writes them into ${build}/generated/protocol/wire/gen/*.cpp. A handler needs none of this: see codec.h.
namespace verdict::wire {

class Arena;
class Reader;
class Sizer;
class Writer;

enum class FieldType : std::uint8_t {
  boolean,
  int8,
  int16,
  uint16,
  int32,
  int64,
  float64,
  string,
  bytes,
  records,
  uuid,
  structure
};

using VersionSet = std::uint32_t;  // bit v: version v
constexpr bool has_version(VersionSet set, int version) {
  return version >= 0 && version < 32 && ((set >> version) & 1U) != 0;
}

struct StructInfo;

struct FieldInfo {
  const char* name;  // as in Kafka's JSON
  std::uint32_t offset;
  FieldType type;  // of the element if it is an array
  bool array;
  bool optional;        // the C++ member is std::optional
  bool ignorable;       // dropped without an error where the version lacks it
  bool never_flexible;  // keeps the old string form in flexible versions (KIP-511)
  std::int8_t tag;      // -1: not tagged
  VersionSet versions;
  VersionSet nullable;
  const StructInfo* structure;  // of type structure
};

struct StructInfo {
  const char* name;
  std::span<const FieldInfo> fields;     // in order of the wire; tagged ones in order of declaration
  std::span<const std::uint8_t> tagged;  // indices of tagged fields, tags rising
  std::uint32_t size;
  std::uint32_t alignment;
  const void* defaults;                    // an object with every default
  std::span<const std::uint16_t> minimum;  // least encoded bytes by version
};

// Straight code of the hot messages; null for those that run off the tables.
struct StraightCodec {
  void (*read)(Reader&, Arena&, int version, void* message) = nullptr;
  void (*size)(Sizer&, int version, const void* message) = nullptr;
  void (*write)(Writer&, int version, const void* message) = nullptr;
};

struct MessageInfo {
  std::string_view name;
  MessageKind kind;
  std::int16_t api_key;  // requests, responses: api; records: type; -1: none
  std::int16_t lowest_version;
  std::int16_t highest_version;         // below lowest: no version is left (removed APIs)
  std::int16_t first_flexible_version;  // 32767: none
  bool latest_version_unstable;
  const StructInfo* structure;
  StraightCodec straight;

  bool supports(int version) const { return version >= lowest_version && version <= highest_version; }
  bool flexible(int version) const { return version >= first_flexible_version; }
};

}  // namespace verdict::wire
