#include "reports/json_text.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

namespace verdict::reports {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Length of the well-formed UTF-8 sequence at the beginning of `text`; 0: there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool outside = (lead == 0xed && second >= 0xa0) || (lead == 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : length;
}

template <class Plain>
void each_character(std::string_view text, std::string& out, Plain append) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    append(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  each_character(text, out, [&out](std::string_view character) {
    switch (character[0]) {
      case '"':
        out += "\\\"";
        return;
      case '\\':
        out += "\\\\";
        return;
      case '\n':
        out += "\\n";
        return;
      case '\t':
        out += "\\t";
        return;
      default:
        break;
    }
    if (static_cast<std::uint8_t>(character[0]) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(character[0]));
    } else {
      out += character;
    }
  });
  out += '"';
}

std::string escape_markup(std::string_view text) {
  std::string out;
  each_character(text, out, [&out](std::string_view character) {
    switch (character[0]) {
      case '&':
        out += "&amp;";
        return;
      case '<':
        out += "&lt;";
        return;
      case '>':
        out += "&gt;";
        return;
      case '"':
        out += "&quot;";
        return;
      case '\'':
        out += "&#39;";
        return;
      default:
        break;
    }
    const bool control = static_cast<std::uint8_t>(character[0]) < 0x20 && character != "\n" && character != "\t";
    out += control || character == "\xef\xbf\xbe" || character == "\xef\xbf\xbf" ? kReplacement : character;
  });
  return out;
}

std::string script_safe(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";  // "<" occurs in JSON inside strings only
    } else {
      out += c;
    }
  }
  return out;
}

std::string seconds_text(long long ns) {
  const long long us = ns / 1000;
  return fmt::format("{}{}.{:06} s", ns < 0 ? "-" : "", (us < 0 ? -us : us) / 1'000'000,
                     (us < 0 ? -us : us) % 1'000'000);
}

}  // namespace verdict::reports
