#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace verdict::controller {

// Why a topic can't have this name, in Kafka's words ("Topic name is invalid: ..."); none: it can.
std::optional<std::string> bad_topic_name(std::string_view name);
// '.' and '_' are one in metric names: topics whose names differ only there collide.
bool has_collision_character(std::string_view name);
std::string collision_form(std::string_view name);

}  // namespace verdict::controller
