#include <algorithm>
#include <cstring>
#include <memory>

#include "protocol/wire/access.h"
#include "protocol/wire/arena.h"
#include "protocol/wire/codec.h"
#include "runtime/assert.h"

namespace verdict::wire {

// Nothing is padded: a nullable struct's flag follows the struct, and erased spans may be copied as any span.
static_assert(sizeof(std::optional<std::span<std::byte>>) == sizeof(std::optional<std::span<Uuid>>));
static_assert(sizeof(std::span<std::byte>) == sizeof(std::span<Uuid>));

Layout element_layout(const FieldInfo& field) {
  switch (field.type) {
    case FieldType::boolean:
    case FieldType::int8:
      return {1, 1};
    case FieldType::int16:
    case FieldType::uint16:
      return {2, 2};
    case FieldType::int32:
      return {4, 4};
    case FieldType::int64:
    case FieldType::float64:
      return {8, 8};
    case FieldType::string:
      return {sizeof(std::string_view), alignof(std::string_view)};
    case FieldType::bytes:
      return {sizeof(Bytes), alignof(Bytes)};
    case FieldType::records:
      return {sizeof(Records), alignof(Records)};
    case FieldType::uuid:
      return {sizeof(Uuid), alignof(Uuid)};
    case FieldType::structure:
      return {field.structure->size, field.structure->alignment};
  }
  VERDICT_ASSERT(false);
  return {};
}

std::size_t least_element_bytes(const FieldInfo& field, int version) {
  switch (field.type) {
    case FieldType::string:
    case FieldType::bytes:
    case FieldType::records:
      return 1;
    case FieldType::uuid:
      return 16;
    case FieldType::structure:
      return field.structure->minimum[static_cast<std::size_t>(version)];
    default:
      return element_layout(field).size;
  }
}

std::byte* new_elements(Arena& arena, const FieldInfo& field, std::size_t count) {
  const Layout layout = element_layout(field);
  auto* first = static_cast<std::byte*>(arena.try_allocate(count * layout.size, layout.alignment));
  if (first == nullptr) {
    return nullptr;
  }
  if (field.type == FieldType::structure) {
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(first + i * layout.size, field.structure->defaults, layout.size);
    }
  } else if (field.type == FieldType::string) {
    std::uninitialized_value_construct_n(reinterpret_cast<std::string_view*>(first), count);
  } else if (field.type == FieldType::bytes) {
    std::uninitialized_value_construct_n(reinterpret_cast<Bytes*>(first), count);
  } else if (field.type == FieldType::records) {
    std::uninitialized_value_construct_n(reinterpret_cast<Records*>(first), count);
  } else {
    std::memset(first, 0, count * layout.size);
  }
  return first;
}

namespace {

bool equal_bytes(Bytes a, Bytes b) { return std::ranges::equal(a, b); }

bool equal_records(const Records& a, const Records& b) {
  if (a.null || b.null) {
    return a.null == b.null;
  }
  return a.splice == b.splice && a.size == b.size && equal_bytes(a.bytes(), b.bytes());
}

bool equal_values(const FieldInfo& field, const void* a, const void* b) {
  switch (field.type) {
    case FieldType::boolean:
      return as<bool>(a) == as<bool>(b);
    case FieldType::string:
      return as<std::string_view>(a) == as<std::string_view>(b);
    case FieldType::bytes:
      return equal_bytes(as<Bytes>(a), as<Bytes>(b));
    case FieldType::records:
      return equal_records(as<Records>(a), as<Records>(b));
    case FieldType::structure:
      return equal_structs(*field.structure, a, b);
    default:
      return std::memcmp(a, b, element_layout(field).size) == 0;  // numbers, float64 by its bits, and uuids
  }
}

}  // namespace

bool equal_fields(const FieldInfo& field, const void* a, const void* b) {
  if (field.array) {
    const ErasedArray left = load_array(field, a);
    const ErasedArray right = load_array(field, b);
    if (left.null != right.null || left.count != right.count) {
      return false;
    }
    for (std::size_t i = 0; i < left.count; ++i) {
      if (!equal_values(field, element(field, left, i), element(field, right, i))) {
        return false;
      }
    }
    return true;
  }
  if (!field.optional) {
    return equal_values(field, a, b);
  }
  if (field.type == FieldType::string) {
    return as<std::optional<std::string_view>>(a) == as<std::optional<std::string_view>>(b);
  }
  if (field.type == FieldType::bytes) {
    const auto& left = as<std::optional<Bytes>>(a);
    const auto& right = as<std::optional<Bytes>>(b);
    return left.has_value() == right.has_value() && (!left || equal_bytes(*left, *right));
  }
  const bool engaged = struct_engaged(*field.structure, a);
  return engaged == struct_engaged(*field.structure, b) && (!engaged || equal_structs(*field.structure, a, b));
}

bool equal_structs(const StructInfo& info, const void* a, const void* b) {
  return std::ranges::all_of(
      info.fields, [&](const FieldInfo& field) { return equal_fields(field, member(field, a), member(field, b)); });
}

bool equal(const MessageInfo& info, const void* a, const void* b) { return equal_structs(*info.structure, a, b); }

namespace {

void copy_struct(const StructInfo& info, Arena& arena, void* object);

void copy_value(const FieldInfo& field, Arena& arena, void* at) {
  if (field.type == FieldType::string) {
    as<std::string_view>(at) = arena.copy(as<std::string_view>(at));
  } else if (field.type == FieldType::bytes) {
    as<Bytes>(at) = arena.copy(as<Bytes>(at));
  } else if (field.type == FieldType::records) {
    auto& records = as<Records>(at);
    if (!records.null && records.splice < 0) {
      records.data = arena.copy(records.bytes()).data();
    }
  } else if (field.type == FieldType::structure) {
    copy_struct(*field.structure, arena, at);
  }
}

void copy_array(const FieldInfo& field, Arena& arena, void* at) {
  const ErasedArray from = load_array(field, at);
  if (from.null) {
    return;
  }
  const ErasedArray to{.first = new_elements(arena, field, from.count), .count = from.count};
  VERDICT_ASSERT(to.first != nullptr, "an arena's limit");
  if (from.count != 0) {
    std::memcpy(to.first, from.first, from.count * element_layout(field).size);
  }
  for (std::size_t i = 0; i < to.count; ++i) {
    copy_value(field, arena, element(field, to, i));
  }
  store_array(field, at, to);
}

void copy_struct(const StructInfo& info, Arena& arena, void* object) {
  for (const FieldInfo& field : info.fields) {
    void* at = member(field, object);
    if (field.array) {
      copy_array(field, arena, at);
    } else if (!field.optional) {
      copy_value(field, arena, at);
    } else if (field.type == FieldType::string) {
      auto& text = as<std::optional<std::string_view>>(at);
      text = text ? std::optional(arena.copy(*text)) : text;
    } else if (field.type == FieldType::bytes) {
      auto& bytes = as<std::optional<Bytes>>(at);
      bytes = bytes ? std::optional<Bytes>(arena.copy(*bytes)) : bytes;
    } else if (struct_engaged(*field.structure, at)) {
      copy_struct(*field.structure, arena, at);
    }
  }
}

}  // namespace

void deep_copy(const MessageInfo& info, Arena& arena, void* message) { copy_struct(*info.structure, arena, message); }

}  // namespace verdict::wire
