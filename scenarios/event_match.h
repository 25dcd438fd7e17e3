#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/events.h"
#include "scenarios/scenario.h"
#include "scenarios/target.h"

// Conditions over the protocol feed, resolved once and then cheap: field names become places, texts become values.
namespace verdict::scenarios {

constexpr std::size_t kEventKinds = std::variant_size_v<protocol::Event>;

std::string_view event_name(std::size_t kind);  // by the variant's index
std::optional<std::size_t> find_event(std::string_view name);
std::string event_names();  // "log_opened, log_closed, ..."

class EventMatcher {
 public:
  // The error's path begins at the trigger or expectation: ".event", ".match.isr".
  static std::expected<EventMatcher, ScenarioError> make(std::string_view event, const std::vector<Condition>& match);

  std::size_t kind() const { return kind_; }
  bool matches(const protocol::Event& event, const sim::Origin& origin, const TargetContext& context) const;

  struct Compiled {
    int place = 0;  // of the field, -1: "node"
    Condition condition;
    std::optional<Target> target;
  };

 private:
  std::size_t kind_ = 0;
  std::vector<Compiled> conditions_;
};

}  // namespace verdict::scenarios
