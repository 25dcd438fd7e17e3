#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "scenarios/scenario.h"

// Conditions of drawn triggers, and how they and targets name who leads and who is a client.
namespace verdict::search {

constexpr std::int32_t kAllFrames = 1'000'000;  // of a message rule: as good as without an end
constexpr std::int32_t kOneRecord = 64;         // bytes of a batch: each record has one of its own

inline scenarios::Condition text(const char* field, const std::string& value) {
  return {.field = field, .kind = scenarios::Condition::Kind::text, .text = value};
}

inline scenarios::Condition at_least(const char* field, std::int64_t value) {
  return {.field = field,
          .kind = scenarios::Condition::Kind::range,
          .min = value,
          .max = std::numeric_limits<std::int64_t>::max()};
}

inline scenarios::Condition members(const char* field, std::size_t count) {
  return {.field = field, .kind = scenarios::Condition::Kind::size, .min = static_cast<std::int64_t>(count)};
}

inline std::string leader_of(const std::string& partition) { return "leader(" + partition + ")"; }
inline std::string client(std::int32_t number) { return "client(" + std::to_string(number) + ")"; }

}  // namespace verdict::search
