#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace verdict {

// A number with a meaning: no implicit conversion from or to other numbers. Tag is an incomplete type.
template <class Tag, std::integral Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(Strong, Strong) = default;

 private:
  Rep value_ = 0;
};

// A Strong that is a position on a line: position + distance, position - position.
template <class Tag, std::integral Rep>
class Position {
 public:
  using rep = Rep;
  constexpr Position() = default;
  constexpr explicit Position(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(Position, Position) = default;
  friend constexpr Position operator+(Position a, Rep distance) { return Position(a.value_ + distance); }
  friend constexpr Position operator-(Position a, Rep distance) { return Position(a.value_ - distance); }
  friend constexpr Rep operator-(Position a, Position b) { return a.value_ - b.value_; }
  constexpr Position& operator++() {
    ++value_;
    return *this;
  }

 private:
  Rep value_ = 0;
};

}  // namespace verdict
