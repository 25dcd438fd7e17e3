#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verdict::transaction {

// The part of regular expressions that names of transactional ids need: characters, '.', '\' before a character that is
// no letter or digit, and '*', '+' or '?' behind one of them. The whole text must match. Time is in the product of the
// lengths.
class Pattern {
 public:
  static std::optional<Pattern> parse(std::string_view text);  // none: it needs more than that, or is no expression
  bool matches(std::string_view text) const;

 private:
  struct Atom {
    char character = 0;
    bool any = false;
    bool optional = false;
    bool repeats = false;
  };
  std::vector<Atom> atoms_;
};

}  // namespace verdict::transaction
