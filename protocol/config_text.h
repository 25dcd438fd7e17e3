#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/config_keys.h"

// The small grammars inside properties. All input is hostile.
namespace verdict::protocol {

template <class Range, class Value, class Projection = std::identity>
bool has_element(const Range& range, const Value& value, Projection projection = {}) {
  return std::ranges::find(range, value, projection) != std::ranges::end(range);
}

std::optional<std::int64_t> parse_integer(std::string_view text);  // decimal, an optional sign, nothing else
std::optional<double> parse_real(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);  // true or false in any case
std::string_view trimmed(std::string_view text);
std::vector<std::string> split_trimmed(std::string_view text, char separator);  // "": nothing

// "PLAINTEXT://host:9092,CONTROLLER://[::1]:9093"; the error says which entry and what is allowed.
std::expected<std::vector<EndpointName>, std::string> parse_endpoints(std::string_view text);
// "1@host:9093,2@host:9094"
std::expected<std::vector<VoterAddress>, std::string> parse_voters(std::string_view text);

struct PropertyLine {
  std::string name;
  std::string value;
  int line = 0;  // where it begins, from 1
};
// Java's format; the error names the line.
std::expected<std::vector<PropertyLine>, std::vector<std::string>> parse_properties(std::string_view text);

}  // namespace verdict::protocol
