#pragma once

#include <string_view>

// What makes a struct an event of the feed: its name, and its fields in order (see events.h).
#define VERDICT_EVENT(text)                      \
  static constexpr std::string_view name = text; \
  template <class Visit>                         \
  void fields([[maybe_unused]] Visit&& visit) const
