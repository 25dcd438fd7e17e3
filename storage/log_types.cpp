#include "storage/log_types.h"

#include <array>

#include "storage/text.h"

namespace verdict::storage {

namespace {
constexpr std::array<std::string_view, 12> kKindNames{"out of range",
                                                      "invalid batch",
                                                      "too large",
                                                      "append failed",
                                                      "read failed",
                                                      "damaged",
                                                      "offline",
                                                      "unsupported",
                                                      "out of order sequence",
                                                      "invalid producer epoch",
                                                      "invalid transaction state",
                                                      "transaction coordinator fenced"};
constexpr std::size_t kDigits = 20;
}  // namespace

std::string_view name_of(LogErrorKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::string LogError::to_string() const {
  std::string text(name_of(kind));
  if (!detail.empty()) text += ": " + detail;
  if (cause) text += ": " + cause.message();
  return text;
}

void append_segment_file_name(std::string& to, Offset base, std::string_view suffix) {
  const std::size_t end = to.size() + kDigits;
  to.reserve(end + suffix.size());
  to.append(kDigits, '0');
  auto rest = static_cast<std::uint64_t>(base.value());
  for (std::size_t i = end; rest != 0; rest /= 10) to[--i] = static_cast<char>('0' + rest % 10);
  to.append(suffix);
}

std::string segment_file_name(Offset base, std::string_view suffix) {
  std::string name;
  append_segment_file_name(name, base, suffix);
  return name;
}

std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view suffix) {
  if (name.size() != kDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  const auto base = parse_number<std::int64_t>(name.substr(0, kDigits));
  if (!base || *base < 0) return std::nullopt;
  return Offset(*base);
}

}  // namespace verdict::storage
