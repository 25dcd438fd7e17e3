#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "protocol/wire/access.h"
#include "protocol/wire/base64.h"
#include "protocol/wire/codec.h"

namespace verdict::wire {
namespace {

using Json = nlohmann::json;

struct JsonReader {
  Arena& arena;
  int version;
  bool flexible;
  std::string path;
  std::string error;

  // Each of these returns false after it set `error`.
  bool complain(std::string_view what) {
    error = (path.empty() ? "message" : path) + ": " + std::string(what);
    return false;
  }

  bool belongs(const FieldInfo& field) const {
    return has_version(field.versions, version) && (field.tag < 0 || flexible);
  }

  bool structure(const StructInfo& info, const Json& json, void* object) {
    if (!json.is_object()) {
      return complain("must be an object");
    }
    const std::size_t depth = path.size();
    std::size_t found = 0;
    for (const FieldInfo& field : info.fields) {
      if (!belongs(field)) {
        continue;
      }
      path.append(depth == 0 ? "" : ".").append(field.name);
      const auto item = json.find(field.name);
      if (item == json.end()) {
        if (field.tag < 0) {
          return complain("is missing");
        }
      } else {
        ++found;
        if (!read_field(field, *item, member(field, object))) {
          return false;
        }
      }
      path.resize(depth);
    }
    return found == json.size() || unknown_key(info, json);
  }

  bool unknown_key(const StructInfo& info, const Json& json) {
    for (const auto& [key, ignored] : json.items()) {
      const bool known = std::ranges::any_of(info.fields, [&, name = std::string_view(key)](const FieldInfo& field) {
        return belongs(field) && field.name == name;
      });
      if (!known) {
        path.append(path.empty() ? "" : ".").append(key);
        return complain("no such field in version " + std::to_string(version));
      }
    }
    return true;
  }

  bool read_field(const FieldInfo& field, const Json& json, void* at) {
    if (json.is_null()) {
      return null(field, at);
    }
    if (field.array) {
      return array(field, json, at);
    }
    if (!field.optional) {
      return value(field, json, at);
    }
    if (field.type == FieldType::string) {
      return value(field, json, &as<std::optional<std::string_view>>(at).emplace());
    }
    if (field.type == FieldType::bytes) {
      return value(field, json, &as<std::optional<Bytes>>(at).emplace());
    }
    engage_struct(*field.structure, at, true);
    return structure(*field.structure, json, at);
  }

  bool null(const FieldInfo& field, void* at) {
    if (!has_version(field.nullable, version)) {
      return complain("must not be null in version " + std::to_string(version));
    }
    if (field.array) {
      store_array(field, at, {.null = true});
    } else if (field.type == FieldType::records) {
      as<Records>(at) = Records::none();
    } else if (field.type == FieldType::string) {
      as<std::optional<std::string_view>>(at) = std::nullopt;
    } else if (field.type == FieldType::bytes) {
      as<std::optional<Bytes>>(at) = std::nullopt;
    } else {
      engage_struct(*field.structure, at, false);
    }
    return true;
  }

  bool array(const FieldInfo& field, const Json& json, void* at) {
    if (!json.is_array()) {
      return complain("must be an array");
    }
    const ErasedArray items{.first = new_elements(arena, field, json.size()), .count = json.size()};
    if (items.first == nullptr) {
      return complain("is too large");
    }
    const std::size_t depth = path.size();
    for (std::size_t i = 0; i < items.count; ++i) {
      path.append("[").append(std::to_string(i)).append("]");
      if (!value(field, json[i], element(field, items, i))) {
        return false;
      }
      path.resize(depth);
    }
    store_array(field, at, items);
    return true;
  }

  template <class T>
  bool integer(const Json& json, void* at) {
    constexpr std::int64_t kLow = std::numeric_limits<T>::min();
    constexpr std::int64_t kHigh = std::numeric_limits<T>::max();
    const bool fits = json.is_number_integer() &&
                      (!json.is_number_unsigned() || json.get<std::uint64_t>() <= static_cast<std::uint64_t>(kHigh)) &&
                      json.get<std::int64_t>() >= kLow && json.get<std::int64_t>() <= kHigh;
    if (!fits) {
      return complain("must be an integer from " + std::to_string(kLow) + " to " + std::to_string(kHigh));
    }
    as<T>(at) = json.get<T>();
    return true;
  }

  bool float64(const Json& json, void* at) {
    if (json.is_number()) {
      as<double>(at) = json.get<double>();
    } else if (json == "NaN") {
      as<double>(at) = std::numeric_limits<double>::quiet_NaN();
    } else if (json == "Infinity") {
      as<double>(at) = std::numeric_limits<double>::infinity();
    } else if (json == "-Infinity") {
      as<double>(at) = -std::numeric_limits<double>::infinity();
    } else {
      return complain("must be a number, or \"NaN\", \"Infinity\" or \"-Infinity\"");
    }
    return true;
  }

  bool base64(const Json& json, Bytes& bytes) {
    const auto parsed = json.is_string() ? parse_base64(json.get_ref<const std::string&>()) : std::nullopt;
    if (!parsed) {
      return complain("must be base64 (with padding)");
    }
    bytes = arena.copy(Bytes(*parsed));
    return true;
  }

  bool uuid(const Json& json, void* at) {
    const auto parsed = json.is_string() ? Uuid::parse(json.get_ref<const std::string&>()) : std::nullopt;
    if (!parsed) {
      return complain("must be a uuid: 22 characters of URL-safe base64");
    }
    as<Uuid>(at) = *parsed;
    return true;
  }

  bool value(const FieldInfo& field, const Json& json, void* at) {
    switch (field.type) {
      case FieldType::boolean:
        return json.is_boolean() ? (as<bool>(at) = json.get<bool>(), true) : complain("must be true or false");
      case FieldType::int8:
        return integer<std::int8_t>(json, at);
      case FieldType::int16:
        return integer<std::int16_t>(json, at);
      case FieldType::uint16:
        return integer<std::uint16_t>(json, at);
      case FieldType::int32:
        return integer<std::int32_t>(json, at);
      case FieldType::int64:
        return integer<std::int64_t>(json, at);
      case FieldType::float64:
        return float64(json, at);
      case FieldType::uuid:
        return uuid(json, at);
      case FieldType::string:
        return json.is_string() ? (as<std::string_view>(at) = arena.copy(json.get_ref<const std::string&>()), true)
                                : complain("must be a string");
      case FieldType::bytes:
        return base64(json, as<Bytes>(at));
      case FieldType::records: {
        Bytes bytes;
        const bool fine = base64(json, bytes);
        as<Records>(at) = Records::of(bytes);
        return fine;
      }
      case FieldType::structure:
        return structure(*field.structure, json, at);
    }
    return complain("has no type");
  }
};

}  // namespace

std::expected<void, std::string> from_json(const MessageInfo& info, Arena& arena, std::string_view json, int version,
                                           void* message) {
  if (!info.supports(version)) {
    return std::unexpected(std::string(info.name) + " has no version " + std::to_string(version));
  }
  Json parsed;
  try {
    parsed = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return std::unexpected("not JSON at byte " + std::to_string(error.byte));
  }
  std::memcpy(message, info.structure->defaults, info.structure->size);
  JsonReader reader{arena, version, info.flexible(version), {}, {}};
  if (!reader.structure(*info.structure, parsed, message)) {
    return std::unexpected(std::move(reader.error));
  }
  return {};
}

}  // namespace verdict::wire
