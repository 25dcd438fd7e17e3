#include "protocol/controller/topic_rules.h"

#include <algorithm>

namespace verdict::controller {
namespace {

constexpr std::size_t kLongestName = 249;  // with "-" and ten digits it is a file name

bool is_legal(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::optional<std::string> bad_topic_name(std::string_view name) {
  const std::string quoted = "'" + std::string(name) + "'";
  const std::string prefix = "Topic name is invalid: ";
  if (name.empty()) {
    return prefix + "the empty string is not allowed";
  }
  if (name == "." || name == "..") {
    return prefix + quoted + " is not allowed";
  }
  if (name.size() > kLongestName) {
    return prefix + "the length of " + quoted + " is longer than the max allowed length " +
           std::to_string(kLongestName);
  }
  if (!std::ranges::all_of(name, is_legal)) {
    return prefix + quoted + " contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
  }
  return std::nullopt;
}

bool has_collision_character(std::string_view name) { return name.find_first_of("._") != std::string_view::npos; }

std::string collision_form(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '.', '_');
  return out;
}

}  // namespace verdict::controller
