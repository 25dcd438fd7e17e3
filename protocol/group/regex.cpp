#include "protocol/group/regex.h"

#include <re2/re2.h>

#include <utility>

namespace verdict::group {

struct TopicRegex::Compiled {
  Compiled(std::string_view pattern, const re2::RE2::Options& options)
      : re(re2::StringPiece(pattern.data(), pattern.size()), options) {}
  re2::RE2 re;
};

namespace {

// In the words of Kafka's library for them, RE2/J. (It also refuses two groups of one name, which RE2 takes.)
std::string_view words_of(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass:
    case re2::RE2::ErrorBadCharRange:
      return "invalid character class range";
    case re2::RE2::ErrorMissingBracket:
      return "missing closing ]";
    case re2::RE2::ErrorMissingParen:
      return "missing closing )";
    case re2::RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    default:
      return "regexp/syntax: internal error";
  }
}

}  // namespace

TopicRegex::TopicRegex(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
TopicRegex::TopicRegex(TopicRegex&&) noexcept = default;
TopicRegex& TopicRegex::operator=(TopicRegex&&) noexcept = default;
TopicRegex::~TopicRegex() = default;

std::expected<TopicRegex, std::string> TopicRegex::compile(std::string_view pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_unique<Compiled>(pattern, options);
  if (!compiled->re.ok()) {
    return std::unexpected(std::string(words_of(compiled->re.error_code())));
  }
  return TopicRegex(std::move(compiled));
}

bool TopicRegex::matches(std::string_view topic) const {
  return re2::RE2::FullMatch(re2::StringPiece(topic.data(), topic.size()), compiled_->re);
}

}  // namespace verdict::group
