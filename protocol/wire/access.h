#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "protocol/wire/descriptor.h"

// Members of messages by their description: for the table-driven parts of this folder only.
namespace verdict::wire {

inline const void* member(const FieldInfo& field, const void* object) {
  return static_cast<const std::byte*>(object) + field.offset;
}
inline void* member(const FieldInfo& field, void* object) { return static_cast<std::byte*>(object) + field.offset; }

template <class T>
const T& as(const void* at) {
  return *static_cast<const T*>(at);
}
template <class T>
T& as(void* at) {
  return *static_cast<T*>(at);
}

// Spans of any element share one representation (checked in tests/unit/wire), so an erased one is copied in and out.
struct ErasedArray {
  std::byte* first = nullptr;
  std::size_t count = 0;
  bool null = false;
};

inline ErasedArray load_array(const FieldInfo& field, const void* at) {
  std::span<std::byte> span;
  if (field.optional) {
    std::optional<std::span<std::byte>> held;
    std::memcpy(static_cast<void*>(&held), at, sizeof held);
    if (!held) {
      return {.null = true};
    }
    span = *held;
  } else {
    std::memcpy(static_cast<void*>(&span), at, sizeof span);
  }
  return {.first = span.data(), .count = span.size()};
}

inline void store_array(const FieldInfo& field, void* at, ErasedArray array) {
  const std::span<std::byte> span(array.first, array.count);
  if (!field.optional) {
    std::memcpy(at, &span, sizeof span);
    return;
  }
  std::optional<std::span<std::byte>> held;
  if (!array.null) {
    held = span;
  }
  std::memcpy(at, static_cast<const void*>(&held), sizeof held);
}

// std::optional<Struct>: the struct, then the flag (checked in tests/unit/wire).
inline bool struct_engaged(const StructInfo& info, const void* at) {
  bool engaged = false;
  std::memcpy(&engaged, static_cast<const std::byte*>(at) + info.size, sizeof engaged);
  return engaged;
}
inline void engage_struct(const StructInfo& info, void* at, bool engaged) {
  std::memcpy(at, info.defaults, info.size);
  std::memcpy(static_cast<std::byte*>(at) + info.size, &engaged, sizeof engaged);
}

struct Layout {
  std::size_t size;
  std::size_t alignment;
};
Layout element_layout(const FieldInfo& field);

// Least bytes of one element on the wire.
std::size_t least_element_bytes(const FieldInfo& field, int version);

// Arrays of `count` elements with their defaults; null if the arena is full.
std::byte* new_elements(Arena& arena, const FieldInfo& field, std::size_t count);

inline std::byte* element(const FieldInfo& field, const ErasedArray& array, std::size_t index) {
  return array.first + index * element_layout(field).size;
}

bool equal_structs(const StructInfo& info, const void* a, const void* b);
bool equal_fields(const FieldInfo& field, const void* a, const void* b);

inline bool is_default(const StructInfo& info, const FieldInfo& field, const void* object) {
  return equal_fields(field, member(field, object), member(field, info.defaults));
}

}  // namespace verdict::wire
