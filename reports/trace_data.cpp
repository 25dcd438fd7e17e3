#include "reports/trace_data.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reports/zstd_file.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
T get(const Json& json, const char* name, T fallback = {}) {
  const auto found = json.find(name);
  if (found == json.end()) return fallback;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->template get<std::string>() : fallback;
  } else if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->template get<bool>() : fallback;
  } else if constexpr (std::is_integral_v<T>) {
    return found->is_number_integer() ? found->template get<T>() : fallback;
  } else {
    T list;
    if (!found->is_array()) return list;
    for (const Json& element : *found) {
      if (element.is_number_integer()) list.push_back(element.template get<typename T::value_type>());
    }
    return list;
  }
}

using Nodes = std::vector<std::int32_t>;
using Offsets = std::vector<std::int64_t>;

ReplicaChange change_of(std::string_view event, const Json& json) {
  using Kind = ReplicaChange::Kind;
  const auto number = [&json](const char* name) { return get<std::int64_t>(json, name, -1); };
  ReplicaChange change;
  change.epoch = get<std::int32_t>(json, "leader_epoch", -1);
  if (event == "log_opened") {
    change.kind = Kind::opened, change.a = number("log_start"), change.b = number("log_end");
    change.epoch = get<std::int32_t>(json, "last_epoch", -1);
  } else if (event == "log_closed") {
    change.kind = Kind::closed;
  } else if (event == "batch_appended") {
    change.kind = Kind::appended, change.a = number("base"), change.b = number("last");
    change.epoch = get<std::int32_t>(json, "epoch", -1);
    change.crc = get<std::uint32_t>(json, "crc");
  } else if (event == "log_truncated") {
    change.kind = Kind::truncated, change.a = number("to");
  } else if (event == "log_start_moved") {
    change.kind = Kind::start_moved, change.a = number("to");
  } else if (event == "became_leader") {
    change.kind = Kind::leader, change.a = number("high_watermark"), change.isr = get<Nodes>(json, "isr");
  } else if (event == "became_follower") {
    change.kind = Kind::follower;
  } else if (event == "isr_adopted") {
    change.kind = Kind::isr, change.isr = get<Nodes>(json, "isr");
  } else if (event == "high_watermark_advanced") {
    change.kind = Kind::high_watermark, change.a = number("to");
  } else if (event == "log_cleaned") {
    change.kind = Kind::cleaned, change.a = number("from"), change.b = number("to");
    change.bases = get<Offsets>(json, "bases");
  }
  return change;
}

}  // namespace

struct TraceLoader::State {
  // What happened to replicas in the window, in order, for `base` when its oldest events leave.
  struct Note {
    enum class Kind : std::uint8_t { event, decision, down } kind;
    std::int32_t partition = -1;
    std::uint16_t lane = 0;
    PartitionDecision decision;
  };

  TraceLimits limits;
  TraceData data;
  std::map<std::string, std::uint16_t, std::less<>> lanes;
  std::map<std::string, std::int32_t, std::less<>> partitions;
  std::map<std::string, std::uint16_t, std::less<>> kinds;
  std::map<std::string, std::uint16_t, std::less<>> apis;
  std::map<std::int32_t, PartitionDecision> decided;  // newest, whole run
  std::deque<Note> notes;
  std::size_t after_focus = 0;
  bool window_open = true;
  std::uint64_t unreadable = 0;

  std::uint16_t lane(const std::string& host) {
    const auto [found, added] = lanes.try_emplace(host, static_cast<std::uint16_t>(data.nodes.size()));
    if (added) data.nodes.push_back({.host = host, .id = -1, .client = false});
    return found->second;
  }
  std::int32_t partition(const std::string& name) {
    const auto [found, added] = partitions.try_emplace(name, static_cast<std::int32_t>(data.partitions.size()));
    if (added) data.partitions.push_back(name);
    return found->second;
  }
  template <class T>
  void coarse(std::vector<T>& list, T entry) {
    if (list.size() < limits.coarse) {
      list.push_back(std::move(entry));
    } else {
      ++data.coarse_dropped;
    }
  }

  // Does the window still take details at this time?
  bool takes(std::int64_t t_ns) {
    if (!window_open) return false;
    if (limits.focus_ns < 0 || t_ns <= limits.focus_ns) return true;
    window_open = ++after_focus <= limits.events / 4;
    return window_open;
  }

  void apply(ReplicaStates& states, const Note& note, const TraceEvent* event) {
    switch (note.kind) {
      case Note::Kind::event:
        states.apply(note.partition, note.lane, event->change);
        break;
      case Note::Kind::decision:
        states.decide(note.partition, note.decision);
        break;
      case Note::Kind::down:
        states.node_down(note.lane);
        break;
    }
  }

  void note(Note note) {
    if (!window_open) return;
    notes.push_back(std::move(note));
    if (notes.back().kind != Note::Kind::event) apply(data.last, notes.back(), nullptr);
    while (data.events.size() > limits.events) {
      apply(data.base, notes.front(), notes.front().kind == Note::Kind::event ? &data.events.front() : nullptr);
      if (notes.front().kind == Note::Kind::event) {
        data.window_from_ns = data.events.front().t_ns;
        data.events.pop_front();
      }
      notes.pop_front();
    }
  }

  void nodes(const Json& json) {
    for (const Json& node : json) {
      const std::uint16_t at = lane(get<std::string>(node, "host"));
      data.nodes[at].id = get<std::int32_t>(node, "id", -1);
      data.nodes[at].client = get<bool>(node, "client");
    }
  }

  std::uint16_t kind(const std::string& name, const Json& json) {
    const auto [found, added] = kinds.try_emplace(name, static_cast<std::uint16_t>(data.kinds.size()));
    if (added) {
      TraceKind made{.name = name, .fields = {}};
      for (const auto& [field, value] : json.items()) {
        if (!is_head(field)) made.fields.push_back(field);
      }
      data.kinds.push_back(std::move(made));
    }
    return found->second;
  }
  static bool is_head(std::string_view field) {
    return field == "t_ns" || field == "event" || field == "host" || field == "incarnation" || field == "partition";
  }

  void event(std::int64_t t_ns, const std::string& name, const Json& json) {
    ++data.all_events;
    const std::uint16_t at = lane(get<std::string>(json, "host"));
    const std::string partition_name = get<std::string>(json, "partition");
    const std::int32_t index = partition_name.empty() ? -1 : partition(partition_name);
    if (name == "partition_decided") decision(t_ns, index, json);
    if (!takes(t_ns)) return;
    TraceEvent made;
    made.t_ns = t_ns;
    made.lane = at;
    made.incarnation = get<std::uint32_t>(json, "incarnation");
    made.kind = kind(name, json);
    made.partition = index;
    Json values = Json::array();
    for (const auto& [field, value] : json.items()) {
      if (!is_head(field)) values.push_back(value);
    }
    made.values = values.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (index >= 0) made.change = change_of(name, json);
    data.last.apply(index, at, made.change);
    data.events.push_back(std::move(made));
    note({.kind = Note::Kind::event, .partition = index, .lane = at, .decision = {}});
  }

  void decision(std::int64_t t_ns, std::int32_t index, const Json& json) {
    PartitionDecision made{.leader = get<std::int32_t>(json, "leader", -1),
                           .leader_epoch = get<std::int32_t>(json, "leader_epoch", -1),
                           .partition_epoch = get<std::int32_t>(json, "partition_epoch", -1),
                           .replicas = get<Nodes>(json, "replicas"),
                           .isr = get<Nodes>(json, "isr")};
    PartitionDecision& old = decided[index];
    if (made.partition_epoch < old.partition_epoch) return;  // a controller that starts again tells its log anew
    if (made.leader_epoch > old.leader_epoch) {
      coarse(data.elections, {.t_ns = t_ns, .partition = index, .leader = made.leader, .epoch = made.leader_epoch});
    }
    old = made;
    note({.kind = Note::Kind::decision, .partition = index, .lane = 0, .decision = std::move(made)});
  }

  void message(std::int64_t t_ns, const std::string& api, const Json& json) {
    ++data.all_messages;
    if (!window_open || (limits.focus_ns >= 0 && t_ns > limits.focus_ns && after_focus > limits.events / 4)) return;
    const auto [found, added] = apis.try_emplace(api, static_cast<std::uint16_t>(data.apis.size()));
    if (added) data.apis.push_back(api);
    data.messages.push_back({.sent_ns = get<std::int64_t>(json, "sent_ns"),
                             .delivered_ns = t_ns,
                             .from = lane(get<std::string>(json, "from")),
                             .to = lane(get<std::string>(json, "to")),
                             .api = found->second,
                             .response = get<std::string>(json, "side") == "response",
                             .correlation = get<std::int32_t>(json, "correlation"),
                             .bytes = get<std::uint32_t>(json, "bytes")});
    if (data.messages.size() > limits.messages) data.messages.pop_front();
  }

  void fault(std::int64_t t_ns, const std::string& id, const Json& json) {
    if (!get<bool>(json, "begins", true)) {
      const auto open = std::find_if(data.faults.rbegin(), data.faults.rend(),
                                     [&](const TraceFault& f) { return f.id == id && f.to_ns < 0; });
      if (open != data.faults.rend()) open->to_ns = t_ns;
      return;
    }
    TraceFault made{.id = id,
                    .action = get<std::string>(json, "action"),
                    .text = get<std::string>(json, "text"),
                    .from_ns = t_ns,
                    .to_ns = -1,
                    .lanes = {}};
    if (const auto hosts = json.find("hosts"); hosts != json.end() && hosts->is_array()) {
      for (const Json& host : *hosts) {
        if (host.is_string()) made.lanes.push_back(lane(host.get<std::string>()));
      }
    }
    coarse(data.faults, std::move(made));
  }

  // A process's death is over when it runs again.
  void end_death(std::uint16_t at, std::int64_t t_ns) {
    for (TraceFault& fault : data.faults) {
      const bool death = fault.action == "kill" || fault.action == "power_loss" || fault.action == "doom" ||
                         fault.action == "doom_power" || fault.action == "stop";
      if (death && fault.to_ns < 0 && fault.lanes == std::vector<std::uint16_t>{at}) fault.to_ns = t_ns;
    }
  }

  void up(std::int64_t t_ns, const Json& json) {
    TraceUp made{.t_ns = t_ns,
                 .lane = lane(get<std::string>(json, "host")),
                 .up = get<bool>(json, "up"),
                 .incarnation = get<std::uint32_t>(json, "incarnation"),
                 .why = get<std::string>(json, "why")};
    if (made.up) end_death(made.lane, t_ns);
    if (!made.up) note({.kind = Note::Kind::down, .partition = -1, .lane = made.lane, .decision = {}});
    coarse(data.ups, std::move(made));
  }

  void phase(std::int64_t t_ns, const std::string& name) {
    if (name == "final read" && limits.focus_ns < 0) window_open = false;
    coarse(data.phases, {.t_ns = t_ns, .name = name});
  }

  void read(const Json& json) {
    if (const auto list = json.find("nodes"); list != json.end()) return nodes(*list);
    const auto t_ns = get<std::int64_t>(json, "t_ns");
    data.end_ns = std::max(data.end_ns, t_ns);
    for (const char* what : {"event", "message", "fault", "phase"}) {
      const auto found = json.find(what);
      if (found == json.end() || !found->is_string()) continue;
      const auto name = found->get<std::string>();
      if (what[0] == 'e') return event(t_ns, name, json);
      if (what[0] == 'm') return message(t_ns, name, json);
      if (what[0] == 'f') return fault(t_ns, name, json);
      return phase(t_ns, name);
    }
    if (json.contains("up")) return up(t_ns, json);
    ++unreadable;
  }
};

TraceLoader::TraceLoader(TraceLimits limits) : state_(std::make_unique<State>()) { state_->limits = limits; }
TraceLoader::~TraceLoader() = default;

void TraceLoader::line(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    ++state_->unreadable;
    return;
  }
  state_->read(json);
}

TraceData TraceLoader::take() { return std::move(state_->data); }
std::uint64_t TraceLoader::unreadable() const { return state_->unreadable; }

std::expected<TraceData, std::string> load_trace(const std::string& path, const TraceLimits& limits) {
  TraceLoader loader(limits);
  if (auto read = read_zstd_lines(path, [&](std::string_view line) { loader.line(line); }); !read) {
    return std::unexpected(read.error());
  }
  return loader.take();
}

}  // namespace verdict::reports
