#include "runtime/asio/logger.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <iterator>

namespace verdict::real {
namespace {

constexpr std::array<std::string_view, 5> kLevels = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
using Buffer = fmt::memory_buffer;

void append_time(Buffer& out, WallTime time, LogFormat format) {
  const std::int64_t ms = to_ms(time);
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  const bool json = format == LogFormat::json;
  json ? ::gmtime_r(&seconds, &parts) : ::localtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{:03}{}", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, json ? 'T' : ' ', parts.tm_hour, parts.tm_min, parts.tm_sec,
                 json ? '.' : ',', ms % 1000, json ? "Z" : "");
}

void append_text(Buffer& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out.push_back(c);
    }
  }
}

// Bytes that are no UTF-8 would make the line no JSON: every byte above 0x7f of such a text is escaped as Latin-1.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
    if (size == 0 || text.size() - i < size) return false;
    for (std::size_t k = 1; k < size; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    const auto second = size > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
        (lead == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += size;
  }
  return true;
}

void append_json(Buffer& out, std::string_view text) {
  const bool utf8 = is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || (byte > 0x7f && !utf8)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out.push_back(c);
    }
  }
}

}  // namespace

void write_log(int descriptor, LogFormat format, WallTime time, LogLevel level, std::string_view logger,
               std::string_view message) {
  Buffer out;
  const std::string_view name = kLevels[static_cast<std::size_t>(level)];
  const auto add = [&out](std::string_view text) { out.append(text); };
  if (format == LogFormat::json) {
    add("{\"time\":\"");
    append_time(out, time, format);
    fmt::format_to(std::back_inserter(out), "\",\"level\":\"{}\",\"logger\":\"", name);
    append_json(out, logger);
    add("\",\"message\":\"");
    append_json(out, message);
    add("\"}\n");
  } else {
    add("[");
    append_time(out, time, format);
    fmt::format_to(std::back_inserter(out), "] {} ", name);
    append_text(out, message);
    add(" (");
    append_text(out, logger);
    add(")\n");
  }
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t n = ::write(descriptor, out.data() + done, out.size() - done);
    if (n < 0 && errno != EINTR) return;  // nowhere to say so
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

}  // namespace verdict::real
