#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "protocol/wire/registry.h"

namespace verdict::cli {
namespace {

using Json = nlohmann::ordered_json;

// The line with both forms; the error is a sentence.
std::expected<std::string, std::string> convert(const std::string& line) {
  const Json in = Json::parse(line, nullptr, false);
  if (!in.is_object() || !in.contains("name") || !in["name"].is_string() || !in.contains("version") ||
      !in["version"].is_number_integer()) {
    return std::unexpected("a line must be an object with \"name\", \"version\" and \"hex\" or \"value\"");
  }
  const std::string name = in["name"];
  const wire::MessageInfo* info = wire::find_message(name);
  if (info == nullptr) return std::unexpected(fmt::format("no message is called {}", name));
  const auto given = in["version"].get<std::int64_t>();
  if (given < 0 || given > std::numeric_limits<std::int16_t>::max())
    return std::unexpected(fmt::format("{} version {}: must be 0 to 32767", name, in["version"].dump()));
  const int version = static_cast<int>(given);
  std::vector<std::byte> bytes;
  if (in.contains("hex") && in["hex"].is_string()) {
    auto decoded = wire::from_hex(in["hex"].get<std::string>());
    if (!decoded) return std::unexpected(decoded.error());
    bytes = std::move(*decoded);
  } else if (in.contains("value")) {
    auto encoded = wire::json_to_bytes(*info, version, in["value"].dump());
    if (!encoded) return std::unexpected(encoded.error());
    bytes = std::move(*encoded);
  } else {
    return std::unexpected("neither \"hex\" nor \"value\"");
  }
  const auto json = wire::bytes_to_json(*info, version, bytes);
  if (!json) return std::unexpected(json.error());
  Json out;
  out["name"] = name;
  out["version"] = version;
  out["hex"] = wire::to_hex(bytes);
  out["value"] = Json::parse(*json);
  return out.dump();
}

}  // namespace

int wire() {
  int code = kOk;
  std::string line;
  for (int number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const auto converted = convert(line);
    if (converted) {
      fmt::print("{}\n", *converted);
      std::fflush(stdout);
    } else {
      fmt::print(stderr, "standard input:{}: {}\n", number, converted.error());
      code = kUsage;
    }
  }
  return code;
}

}  // namespace verdict::cli
