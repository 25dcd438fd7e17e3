#include "storage/partition_metadata.h"

#include <fmt/format.h>

#include "storage/text.h"

namespace verdict::storage {

std::string format_partition_metadata(const Uuid& topic_id) {
  return fmt::format("version: 0\ntopic_id: {}", topic_id.to_string());
}

std::expected<Uuid, std::string> parse_partition_metadata(std::string_view text) {
  const std::string_view version = take_line(text);
  if (version != "version: 0") return std::unexpected(fmt::format("line 1: \"{}\" is not \"version: 0\"", version));
  constexpr std::string_view kKey = "topic_id: ";
  const std::string_view line = take_line(text);
  const auto id = line.starts_with(kKey) ? Uuid::parse(line.substr(kKey.size())) : std::nullopt;
  if (!id || id->is_zero()) return std::unexpected(fmt::format("line 2: \"{}\" is not \"topic_id: <id>\"", line));
  if (!take_line(text).empty() || !text.empty()) return std::unexpected(std::string("more than two lines"));
  return *id;
}

}  // namespace verdict::storage
