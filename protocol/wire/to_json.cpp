#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "protocol/wire/access.h"
#include "protocol/wire/base64.h"
#include "protocol/wire/codec.h"
#include "runtime/assert.h"

namespace verdict::wire {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the well-formed UTF-8 sequence at `at` (RFC 3629), or 0.
std::size_t sequence_bytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xC2 ? 0
                           : first < 0xE0 ? 2
                           : first < 0xF0 ? 3
                           : first < 0xF5 ? 4
                                          : 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const unsigned second = byte(at + 1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool beyond = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : size;
}

struct JsonWriter {
  int version;
  bool flexible;
  std::string out;

  template <class T>
  void number(T value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
    out.append(text.data(), end.ptr);
  }

  // What JSON has no number for goes as a string, as Jackson writes it.
  void float64(double value) {
    if (std::isnan(value)) {
      out += "\"NaN\"";
    } else if (std::isinf(value)) {
      out += value < 0 ? "\"-Infinity\"" : "\"Infinity\"";
    } else {
      const std::size_t start = out.size();
      number(value);
      if (out.find_first_of(".e", start) == std::string::npos) {
        out += ".0";
      }
    }
  }

  void string(std::string_view text) {
    out.push_back('"');
    for (std::size_t i = 0; i < text.size();) {
      const char c = text[i];
      const std::size_t size = sequence_bytes(text, i);
      if (size == 0) {
        out += kReplacement;
      } else if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        control(static_cast<unsigned char>(c));
      } else {
        out.append(text.substr(i, size));
      }
      i += size == 0 ? 1 : size;
    }
    out.push_back('"');
  }

  void control(unsigned char c) {
    constexpr std::string_view kHex = "0123456789abcdef";
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += "\\u00";
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
    }
  }

  void base64(Bytes bytes) {
    out.push_back('"');
    append_base64(out, bytes);
    out.push_back('"');
  }

  void key(bool& first, std::string_view name, std::string_view suffix = {}) {
    out += first ? "\"" : ",\"";
    first = false;
    out.append(name).append(suffix).append("\":");
  }

  void structure(const StructInfo& info, const void* object) {
    out.push_back('{');
    bool first = true;
    for (const FieldInfo& field : info.fields) {
      const void* at = member(field, object);
      if (!has_version(field.versions, version) || (field.tag >= 0 && !flexible)) {
        continue;
      }
      if (field.type == FieldType::records && as<Records>(at).splice >= 0) {
        key(first, field.name, "SizeInBytes");
        number(as<Records>(at).size);
        continue;
      }
      key(first, field.name);
      write_field(field, at);
    }
    out.push_back('}');
  }

  void write_field(const FieldInfo& field, const void* at) {
    if (field.array) {
      array(load_array(field, at), field);
    } else if (!field.optional) {
      value(field, at);
    } else if (field.type == FieldType::string) {
      const auto& text = as<std::optional<std::string_view>>(at);
      text ? string(*text) : null();
    } else if (field.type == FieldType::bytes) {
      const auto& bytes = as<std::optional<Bytes>>(at);
      bytes ? base64(*bytes) : null();
    } else {
      struct_engaged(*field.structure, at) ? structure(*field.structure, at) : null();
    }
  }

  void null() { out += "null"; }

  void array(const ErasedArray& items, const FieldInfo& field) {
    if (items.null) {
      null();
      return;
    }
    out.push_back('[');
    for (std::size_t i = 0; i < items.count; ++i) {
      if (i != 0) {
        out.push_back(',');
      }
      value(field, element(field, items, i));
    }
    out.push_back(']');
  }

  void value(const FieldInfo& field, const void* at) {
    switch (field.type) {
      case FieldType::boolean:
        out += as<bool>(at) ? "true" : "false";
        break;
      case FieldType::int8:
        number(int{as<std::int8_t>(at)});
        break;
      case FieldType::int16:
        number(as<std::int16_t>(at));
        break;
      case FieldType::uint16:
        number(as<std::uint16_t>(at));
        break;
      case FieldType::int32:
        number(as<std::int32_t>(at));
        break;
      case FieldType::int64:
        number(as<std::int64_t>(at));
        break;
      case FieldType::float64:
        float64(as<double>(at));
        break;
      case FieldType::uuid:
        string(as<Uuid>(at).to_string());
        break;
      case FieldType::string:
        string(as<std::string_view>(at));
        break;
      case FieldType::bytes:
        base64(as<Bytes>(at));
        break;
      case FieldType::records:
        as<Records>(at).null ? null() : base64(as<Records>(at).bytes());
        break;
      case FieldType::structure:
        structure(*field.structure, at);
        break;
    }
  }
};

}  // namespace

std::string to_json(const MessageInfo& info, int version, const void* message) {
  VERDICT_ASSERT(info.supports(version), info.name);
  JsonWriter writer{version, info.flexible(version), {}};
  writer.structure(*info.structure, message);
  return std::move(writer.out);
}

}  // namespace verdict::wire
