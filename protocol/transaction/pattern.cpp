#include "protocol/transaction/pattern.h"

namespace verdict::transaction {
namespace {

constexpr std::string_view kSpecial = "[](){}|^$*+?";

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

std::optional<Pattern> Pattern::parse(std::string_view text) {
  Pattern out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    Atom atom{.character = text[i]};
    if (text[i] == '\\') {
      if (i + 1 == text.size() || letter_or_digit(text[i + 1])) {
        return std::nullopt;
      }
      atom.character = text[++i];
    } else if (kSpecial.contains(text[i])) {
      return std::nullopt;
    } else {
      atom.any = text[i] == '.';
    }
    if (i + 1 < text.size() && std::string_view("*+?").contains(text[i + 1])) {
      ++i;
      atom.optional = text[i] != '+';
      atom.repeats = text[i] != '?';
    }
    out.atoms_.push_back(atom);
  }
  return out;
}

bool Pattern::matches(std::string_view text) const {
  // at[i]: the text so far can end before atom i.
  std::vector<bool> at(atoms_.size() + 1);
  const auto skip_optional = [&] {
    for (std::size_t i = 0; i < atoms_.size(); ++i) {
      at[i + 1] = at[i + 1] || (at[i] && atoms_[i].optional);
    }
  };
  at[0] = true;
  skip_optional();
  for (const char c : text) {
    std::vector<bool> next(at.size());
    for (std::size_t i = 0; i < atoms_.size(); ++i) {
      if (at[i] && (atoms_[i].any ? c != '\n' : atoms_[i].character == c)) {
        next[i + 1] = true;
        next[i] = next[i] || atoms_[i].repeats;
      }
    }
    at = std::move(next);
    skip_optional();
  }
  return at.back();
}

}  // namespace verdict::transaction
