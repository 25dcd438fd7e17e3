#include "checker/history.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace verdict::checker {
namespace {

// By the enumerators' numbers.
constexpr std::string_view kTypes[] = {"invoke", "ok", "fail", "info"};
constexpr std::string_view kCalls[] = {"send", "poll", "assign", "seek", "commit", "abort", "commit_offsets", "other"};
static_assert(std::size(kTypes) == static_cast<std::size_t>(HistoryType::info) + 1);
static_assert(std::size(kCalls) == static_cast<std::size_t>(HistoryCall::other) + 1);

// A reader of one JSON object whose members are known. Hostile input ends in an error, never in deep recursion.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()), begin_(at_) {}

  std::expected<void, std::string> read(HistoryEntry& entry) {
    if (!take('{')) return fail("an object is expected");
    if (take('}')) return fail("op, type and f are needed");
    do {
      if (!string(key_)) return fail("a member's name is expected");
      if (!take(':')) return fail("':' is expected");
      if (!member(entry)) return fail("bad value of \"" + key_ + "\"");
    } while (take(','));
    if (!take('}')) return fail("'}' is expected");
    space();
    if (at_ != end_) return fail("text after the object");
    if (!seen_op_ || !seen_type_ || !seen_call_) return fail("op, type and f are needed");
    return {};
  }

 private:
  std::unexpected<std::string> fail(std::string why) const {
    return std::unexpected(why + " (column " + std::to_string(at_ - begin_ + 1) + ")");
  }

  void space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }

  bool take(char c) {
    space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  bool word(std::string_view w) {
    space();
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }

  template <class Integer>
  bool number(Integer& value) {
    space();
    const auto [stop, error] = std::from_chars(at_, end_, value);
    if (error != std::errc{}) return false;
    if (stop != end_ && (*stop == '.' || *stop == 'e' || *stop == 'E')) return false;
    at_ = stop;
    return true;
  }

  bool string(std::string& value) {
    value.clear();
    if (!take('"')) return false;
    while (at_ != end_ && *at_ != '"') {
      if (*at_ != '\\') {
        value.push_back(*at_++);
        continue;
      }
      if (++at_ == end_ || !escape(*at_++, value)) return false;
    }
    return take('"');
  }

  bool escape(char c, std::string& value) {
    switch (c) {
      case '"':
      case '\\':
      case '/':
        value.push_back(c);
        return true;
      case 'n':
        value.push_back('\n');
        return true;
      case 't':
        value.push_back('\t');
        return true;
      case 'r':
        value.push_back('\r');
        return true;
      case 'b':
        value.push_back('\b');
        return true;
      case 'f':
        value.push_back('\f');
        return true;
      case 'u':
        break;
      default:
        return false;
    }
    unsigned code = 0;
    if (end_ - at_ < 4) return false;
    const auto [stop, error] = std::from_chars(at_, at_ + 4, code, 16);
    if (error != std::errc{} || stop != at_ + 4) return false;
    at_ = stop;
    if (code < 0x80) {
      value.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      value.push_back(static_cast<char>(0xc0 | (code >> 6)));
      value.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    } else {
      value.push_back(static_cast<char>(0xe0 | (code >> 12)));
      value.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
      value.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    }
    return true;
  }

  bool boolean(bool& value) {
    if (word("true")) return value = true, true;
    if (word("false")) return value = false, true;
    return false;
  }

  bool records(std::vector<OffsetValue>& out) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      OffsetValue r{};
      if (!take('[') || !number(r.offset) || !take(',') || !number(r.value) || !take(']')) return false;
      out.push_back(r);
    } while (take(','));
    return take(']');
  }

  // Any value; nesting is counted, not recursed into.
  bool skip() {
    int depth = 0;
    do {
      space();
      if (at_ == end_) return false;
      const char c = *at_;
      if (c == '"') {
        if (!string(text_)) return false;
      } else if (c == '[' || c == '{') {
        ++depth, ++at_;
        continue;
      } else if (c == ']' || c == '}') {
        --depth, ++at_;
      } else if (depth > 0 && (c == ',' || c == ':')) {
        ++at_;
        continue;
      } else {
        const char* start = at_;
        while (at_ != end_ && std::string_view(",]}: \t").find(*at_) == std::string_view::npos) ++at_;
        if (at_ == start) return false;
      }
    } while (depth > 0);
    return depth == 0;
  }

  bool type(HistoryEntry& e) {
    if (!string(text_)) return false;
    seen_type_ = true;
    const auto* const known = std::ranges::find(kTypes, text_);
    if (known == std::end(kTypes)) return false;
    e.type = static_cast<HistoryType>(known - kTypes);
    return true;
  }

  bool call(HistoryEntry& e) {
    if (!string(text_)) return false;
    seen_call_ = true;
    const auto* const known = std::ranges::find(kCalls, text_);
    e.call = known == std::end(kCalls) ? HistoryCall::other : static_cast<HistoryCall>(known - kCalls);
    return true;
  }

  bool member(HistoryEntry& e) {
    if (key_ == "op") return seen_op_ = number(e.op);
    if (key_ == "process") return number(e.process);
    if (key_ == "type") return type(e);
    if (key_ == "f") return call(e);
    if (key_ == "topic") return string(e.topic);
    if (key_ == "partition") return number(e.partition);
    if (key_ == "offset") return number(e.offset);
    if (key_ == "value") return number(e.value);
    if (key_ == "acks") return number(e.acks);
    if (key_ == "key") return string(e.key);
    if (key_ == "error") return string(e.error);
    if (key_ == "time_ns") return number(e.time_ns);
    if (key_ == "idempotent") return boolean(e.idempotent);
    if (key_ == "ordered") return boolean(e.ordered);
    if (key_ == "renewed") return boolean(e.renewed);
    if (key_ == "compacted") return boolean(e.compacted);
    if (key_ == "tombstone") return boolean(e.tombstone);
    if (key_ == "read_committed") return boolean(e.read_committed);
    if (key_ == "txn") return number(e.txn);
    if (key_ == "input") return number(e.input);
    if (key_ == "group") return string(e.group);
    if (key_ == "records") return records(e.records);
    return skip();
  }

  const char* at_;
  const char* end_;
  const char* begin_;
  std::string key_, text_;
  bool seen_op_ = false, seen_type_ = false, seen_call_ = false;
};

void put(std::string& out, std::string_view name, std::int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(",\"").append(name).append("\":").append(digits, end);
}

void put(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":\"");
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out.append("\\u00");
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

}  // namespace

void write_history_line(const HistoryEntry& e, std::string& out) {
  out.append("{\"op\":").append(std::to_string(e.op));
  put(out, "process", e.process);
  put(out, "type", kTypes[static_cast<std::size_t>(e.type)]);
  put(out, "f", kCalls[static_cast<std::size_t>(e.call)]);
  put(out, "topic", e.topic);
  put(out, "partition", e.partition);
  if (e.call == HistoryCall::send) {
    put(out, "acks", e.acks);
    put(out, "value", e.value);
    if (!e.key.empty()) put(out, "key", e.key);
    if (e.idempotent) out.append(",\"idempotent\":true");
    if (e.ordered) out.append(",\"ordered\":true");
    if (e.renewed) out.append(",\"renewed\":true");
    if (e.compacted) out.append(",\"compacted\":true");
    if (e.tombstone) out.append(",\"tombstone\":true");
    if (e.input >= 0) put(out, "input", e.input);
  }
  if (!e.group.empty()) put(out, "group", e.group);
  if (e.txn >= 0) put(out, "txn", e.txn);
  if (e.read_committed) out.append(",\"read_committed\":true");
  if (e.offset >= 0) put(out, "offset", e.offset);
  if (e.call == HistoryCall::poll && e.type == HistoryType::ok) {
    out.append(",\"records\":[");
    for (std::size_t i = 0; i < e.records.size(); ++i) {
      if (i > 0) out.push_back(',');
      out.append("[").append(std::to_string(e.records[i].offset)).append(",");
      out.append(std::to_string(e.records[i].value)).append("]");
    }
    out.push_back(']');
  }
  if (!e.error.empty()) put(out, "error", e.error);
  put(out, "time_ns", e.time_ns);
  out.append("}\n");
}

std::expected<void, std::string> parse_history_line(std::string_view line, HistoryEntry& entry) {
  entry.op = entry.process = entry.time_ns = 0;
  entry.acks = -1;
  entry.partition = 0;
  entry.offset = entry.value = -1;
  entry.txn = entry.input = -1;
  entry.idempotent = entry.ordered = entry.renewed = entry.read_committed = false;
  entry.compacted = entry.tombstone = false;
  entry.group.clear();
  entry.topic.clear();
  entry.key.clear();
  entry.error.clear();
  entry.records.clear();
  return LineReader(line).read(entry);
}

}  // namespace verdict::checker
