#include "protocol/wire/random_message.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "protocol/wire/access.h"
#include "runtime/assert.h"

namespace verdict::wire {
namespace {

constexpr std::uint64_t kLongestArray = 3;
constexpr std::array<std::string_view, 8> kPieces = {
    "orders", "a", "\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC", "\xF0\x9F\x98\x80", "\"\n\\", "\x01\x7F", "node-1"};
constexpr std::array<double, 6> kFloats = {0.0, -0.0, 1.5, -2.25e10, 1e-300, std::numeric_limits<double>::infinity()};

struct Maker {
  Arena& arena;
  int version;
  bool flexible;
  DrawSource draw;

  std::uint64_t below(std::uint64_t bound) { return draw() % bound; }

  // Small, extreme and any: the last by the draw's own bits.
  template <class T>
  T integer() {
    const std::uint64_t kind = below(6);
    const std::uint64_t bits = draw();
    switch (kind) {
      case 0:
        return 0;
      case 1:
        return static_cast<T>(-1);
      case 2:
        return std::numeric_limits<T>::max();
      case 3:
        return std::numeric_limits<T>::min();
      case 4:
        return static_cast<T>(bits % 100);
      default:
        return static_cast<T>(bits);
    }
  }

  std::string_view string() {
    const std::uint64_t kind = below(8);
    if (kind == 0) {
      return {};
    }
    if (kind == 1) {  // lengths around a varint's second byte
      const std::span<char> text = arena.make_span<char>(120 + below(20));
      std::memset(text.data(), 'x', text.size());
      return {text.data(), text.size()};
    }
    return kPieces[below(kPieces.size())];
  }

  Bytes bytes() {
    const std::uint64_t kind = below(4);
    const std::span<std::byte> out = arena.make_span<std::byte>(kind == 0   ? 0
                                                                : kind == 1 ? 100 + below(200)
                                                                            : below(20));
    for (std::byte& byte : out) {
      byte = static_cast<std::byte>(draw());
    }
    return out;
  }

  void structure(const StructInfo& info, void* object) {
    for (const FieldInfo& field : info.fields) {
      if (!has_version(field.versions, version) || (field.tag >= 0 && (!flexible || below(2) == 0))) {
        continue;
      }
      void* at = member(field, object);
      const bool null = has_version(field.nullable, version) && below(4) == 0;
      if (field.array) {
        array(field, at, null);
      } else if (field.type == FieldType::records) {
        as<Records>(at) = null ? Records::none() : Records::of(bytes());
      } else if (!field.optional) {
        value(field, at);
      } else if (field.type == FieldType::string) {
        as<std::optional<std::string_view>>(at) = null ? std::nullopt : std::optional(string());
      } else if (field.type == FieldType::bytes) {
        as<std::optional<Bytes>>(at) = null ? std::nullopt : std::optional(bytes());
      } else {
        engage_struct(*field.structure, at, !null);
        if (!null) {
          structure(*field.structure, at);
        }
      }
    }
  }

  void array(const FieldInfo& field, void* at, bool null) {
    if (null) {
      store_array(field, at, {.null = true});
      return;
    }
    ErasedArray items{.count = below(kLongestArray + 1)};
    items.first = new_elements(arena, field, items.count);
    VERDICT_ASSERT(items.first != nullptr, "an arena's limit");
    for (std::size_t i = 0; i < items.count; ++i) {
      value(field, element(field, items, i));
    }
    store_array(field, at, items);
  }

  Uuid uuid() {
    const std::uint64_t high = integer<std::uint64_t>();
    const std::uint64_t low = integer<std::uint64_t>();
    return {high, low};
  }

  void value(const FieldInfo& field, void* at) {
    switch (field.type) {
      case FieldType::boolean:
        as<bool>(at) = below(2) == 1;
        break;
      case FieldType::int8:
        as<std::int8_t>(at) = integer<std::int8_t>();
        break;
      case FieldType::int16:
        as<std::int16_t>(at) = integer<std::int16_t>();
        break;
      case FieldType::uint16:
        as<std::uint16_t>(at) = integer<std::uint16_t>();
        break;
      case FieldType::int32:
        as<std::int32_t>(at) = integer<std::int32_t>();
        break;
      case FieldType::int64:
        as<std::int64_t>(at) = integer<std::int64_t>();
        break;
      case FieldType::float64:
        as<double>(at) = kFloats[below(kFloats.size())];
        break;
      case FieldType::uuid:
        as<Uuid>(at) = uuid();
        break;
      case FieldType::string:
        as<std::string_view>(at) = string();
        break;
      case FieldType::bytes:
        as<Bytes>(at) = bytes();
        break;
      case FieldType::records:
        as<Records>(at) = Records::of(bytes());
        break;
      case FieldType::structure:
        structure(*field.structure, at);
        break;
    }
  }
};

}  // namespace

void random_message(const MessageInfo& info, Arena& arena, int version, DrawSource draw, void* message) {
  VERDICT_ASSERT(info.supports(version), info.name);
  std::memcpy(message, info.structure->defaults, info.structure->size);
  Maker{arena, version, info.flexible(version), draw}.structure(*info.structure, message);
}

}  // namespace verdict::wire
