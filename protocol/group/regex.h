#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

// Regular expressions of subscriptions, in RE2's syntax (KIP-848). Matching takes time linear in the topic's name.
namespace verdict::group {

class TopicRegex {
 public:
  static std::expected<TopicRegex, std::string> compile(std::string_view pattern);  // an error: what is wrong
  TopicRegex(TopicRegex&&) noexcept;
  TopicRegex& operator=(TopicRegex&&) noexcept;
  ~TopicRegex();

  bool matches(std::string_view topic) const;  // the whole of it

 private:
  struct Compiled;
  explicit TopicRegex(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace verdict::group
