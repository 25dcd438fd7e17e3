#pragma once

#include <string>
#include <string_view>

namespace verdict::reports {

// Appends `text` as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// `text` with what XML and HTML treat specially escaped; control characters that XML 1.0 can't hold become U+FFFD.
std::string escape_markup(std::string_view text);

// JSON that may stand inside a <script> element: "</" and "<!" can't occur.
std::string script_safe(std::string_view json);

// 1234567 -> "1.234567 s"
std::string seconds_text(long long ns);

}  // namespace verdict::reports
