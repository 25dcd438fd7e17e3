#include "scenarios/event_match.h"

#include <utility>

namespace verdict::scenarios {
namespace {

using protocol::Event;

template <std::size_t... I>
constexpr std::array<std::string_view, kEventKinds> names_of(std::index_sequence<I...>) {
  return {std::variant_alternative_t<I, Event>::name...};
}
constexpr std::array<std::string_view, kEventKinds> kNames = names_of(std::make_index_sequence<kEventKinds>());

enum class FieldType : std::uint8_t { number, partition, topic, text, nodes, enumeration };

template <class T>
constexpr FieldType type_of() {
  if constexpr (std::is_same_v<T, PartitionKey>) {
    return FieldType::partition;
  } else if constexpr (std::is_same_v<T, Uuid>) {
    return FieldType::topic;
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return FieldType::text;
  } else if constexpr (requires(const T& t) { t.size(); }) {
    return FieldType::nodes;
  } else if constexpr (std::is_enum_v<T>) {
    return FieldType::enumeration;
  } else {
    return FieldType::number;
  }
}

struct FieldInfo {
  std::string_view name;
  FieldType type;
};

template <std::size_t I>
std::vector<FieldInfo> fields_of() {
  std::vector<FieldInfo> found;
  const std::variant_alternative_t<I, Event> empty{};
  empty.fields([&]<class T>(std::string_view name, const T&) { found.push_back({name, type_of<T>()}); });
  return found;
}

template <std::size_t... I>
std::vector<FieldInfo> fields_of(std::size_t kind, std::index_sequence<I...>) {
  std::vector<FieldInfo> found;
  static_cast<void>(((I == kind ? (found = fields_of<I>(), true) : false) || ...));
  return found;
}

std::string_view name_of(protocol::events::Role role) {
  return role == protocol::events::Role::leader ? "leader" : "follower";
}
std::string_view name_of(protocol::events::TruncateReason reason) {
  switch (reason) {
    case protocol::events::TruncateReason::divergence:
      return "divergence";
    case protocol::events::TruncateReason::full:
      return "full";
    case protocol::events::TruncateReason::append_failed:
      return "append_failed";
  }
  return {};
}
std::string_view name_of(protocol::events::StartReason reason) {
  switch (reason) {
    case protocol::events::StartReason::retention:
      return "retention";
    case protocol::events::StartReason::delete_records:
      return "delete_records";
    case protocol::events::StartReason::leader:
      return "leader";
  }
  return {};
}

// "" if it fits; else what is allowed.
std::string check_condition(const FieldInfo& field, const Condition& condition) {
  using enum Condition::Kind;
  switch (field.type) {
    case FieldType::partition:
      return condition.kind == text ? "" : "a partition like \"orders-0\"";
    case FieldType::topic:
      return condition.kind == text ? "" : "a topic's name";
    case FieldType::text:
      return condition.kind == text ? "" : "a string";
    case FieldType::enumeration:
      return condition.kind == text ? "" : "a name";
    case FieldType::nodes:
      return condition.kind == size || condition.kind == contains ? "" : "{\"size\":n} or {\"contains\":id}";
    case FieldType::number:
      break;
  }
  if (condition.kind == number || condition.kind == range) return "";
  if (condition.kind == text && parse_target(condition.text)) return "";
  return "a number, {\"min\":,\"max\":} or a target";
}

struct Evaluator {
  const std::vector<EventMatcher::Compiled>& conditions;
  const TargetContext& context;
  int place = 0;
  std::size_t held = 0;

  bool number_fits(const EventMatcher::Compiled& c, std::int64_t value) const {
    if (c.condition.kind == Condition::Kind::number) return value == c.condition.min;
    if (c.condition.kind == Condition::Kind::range) return value >= c.condition.min && value <= c.condition.max;
    return c.target && resolve_node(*c.target, context).value() == value;
  }

  template <class T>
  bool fits(const EventMatcher::Compiled& c, const T& value) const {
    if constexpr (std::is_same_v<T, PartitionKey>) {
      const std::string_view text = c.condition.text;
      const auto topic = context.cluster.view().topics.find(value.topic);
      if (topic == context.cluster.view().topics.end()) return false;
      const std::string& name = topic->second.name;
      return text.size() > name.size() + 1 && text.starts_with(name) && text[name.size()] == '-' &&
             text.substr(name.size() + 1) == std::to_string(value.index);
    } else if constexpr (std::is_same_v<T, Uuid>) {
      const auto topic = context.cluster.view().topics.find(value);
      return topic != context.cluster.view().topics.end() && topic->second.name == c.condition.text;
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      return std::string_view(value) == c.condition.text;
    } else if constexpr (requires { value.size(); }) {
      if (c.condition.kind == Condition::Kind::size) return static_cast<std::int64_t>(value.size()) == c.condition.min;
      for (const auto& element : value) {
        if (static_cast<std::int64_t>(element.value()) == c.condition.min) return true;
      }
      return false;
    } else if constexpr (std::is_enum_v<T>) {
      return name_of(value) == c.condition.text;
    } else if constexpr (requires { value.value(); }) {
      return number_fits(c, static_cast<std::int64_t>(value.value()));
    } else {
      return number_fits(c, static_cast<std::int64_t>(value));
    }
  }

  template <class T>
  void operator()(std::string_view, const T& value) {
    for (const EventMatcher::Compiled& c : conditions) {
      if (c.place == place && fits(c, value)) ++held;
    }
    ++place;
  }
};

}  // namespace

std::string_view event_name(std::size_t kind) { return kNames.at(kind); }

std::optional<std::size_t> find_event(std::string_view name) {
  for (std::size_t i = 0; i < kEventKinds; ++i) {
    if (kNames[i] == name) return i;
  }
  return std::nullopt;
}

std::string event_names() {
  std::string names;
  for (const std::string_view name : kNames) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

std::expected<EventMatcher, ScenarioError> EventMatcher::make(std::string_view event,
                                                              const std::vector<Condition>& match) {
  EventMatcher made;
  const auto kind = find_event(event);
  if (!kind) return std::unexpected(ScenarioError{".event", std::string(event), "one of " + event_names()});
  made.kind_ = *kind;
  const std::vector<FieldInfo> known = fields_of(*kind, std::make_index_sequence<kEventKinds>());
  for (const Condition& condition : match) {
    Compiled compiled{.place = -2, .condition = condition, .target = std::nullopt};
    FieldInfo info{"node", FieldType::number};
    if (condition.field == "node") compiled.place = -1;
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i].name != condition.field) continue;
      compiled.place = static_cast<int>(i);
      info = known[i];
    }
    if (compiled.place == -2) {
      std::string names = "node";
      for (const FieldInfo& field : known) names += ", " + std::string(field.name);
      return std::unexpected(ScenarioError{".match." + condition.field, "no such field", "one of " + names});
    }
    if (std::string allowed = check_condition(info, condition); !allowed.empty()) {
      return std::unexpected(ScenarioError{
          ".match." + condition.field, condition.text.empty() ? "another kind of condition" : condition.text, allowed});
    }
    if (info.type == FieldType::number && condition.kind == Condition::Kind::text)
      compiled.target = *parse_target(condition.text);
    made.conditions_.push_back(std::move(compiled));
  }
  return made;
}

bool EventMatcher::matches(const Event& event, const sim::Origin& origin, const TargetContext& context) const {
  if (event.index() != kind_) return false;
  if (conditions_.empty()) return true;
  Evaluator evaluator{.conditions = conditions_, .context = context};
  for (const Compiled& c : conditions_) {
    if (c.place != -1) continue;
    if (!evaluator.number_fits(c, origin.node.value())) return false;
    ++evaluator.held;
  }
  std::visit([&](const auto& e) { e.fields(evaluator); }, event);
  return evaluator.held == conditions_.size();
}

}  // namespace verdict::scenarios
