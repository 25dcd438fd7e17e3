#include "reports/trace.h"

#include <fmt/format.h>

#include <iterator>
#include <type_traits>
#include <variant>

#include "protocol/wire/api_keys.h"
#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using protocol::events::Role;
using protocol::events::StartReason;
using protocol::events::TruncateReason;

std::string_view text_of(Role role) { return role == Role::leader ? "leader" : "follower"; }
std::string_view text_of(TruncateReason reason) {
  switch (reason) {
    case TruncateReason::divergence:
      return "divergence";
    case TruncateReason::full:
      return "full";
    case TruncateReason::append_failed:
      return "append_failed";
  }
  return {};
}
std::string_view text_of(StartReason reason) {
  switch (reason) {
    case StartReason::retention:
      return "retention";
    case StartReason::delete_records:
      return "delete_records";
    case StartReason::leader:
      return "leader";
  }
  return {};
}

// Appends ,"name":value for each member of an event.
class FieldWriter {
 public:
  FieldWriter(std::string& out, const std::map<Uuid, std::string>& topics) : out_(out), topics_(topics) {}

  template <class T>
  void operator()(std::string_view name, const T& value) {
    out_ += ",\"";
    out_ += name;
    out_ += "\":";
    write(value);
  }

 private:
  void write(bool value) { out_ += value ? "true" : "false"; }
  void write(std::string_view value) { append_json_string(out_, value); }
  void write(const Uuid& value) { append_json_string(out_, value.to_string()); }
  void write(const PartitionKey& value) {
    const auto topic = topics_.find(value.topic);
    append_json_string(
        out_, fmt::format("{}-{}", topic == topics_.end() ? value.topic.to_string() : topic->second, value.index));
  }
  template <class T>
  void write(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      append_json_string(out_, text_of(value));
    } else if constexpr (requires { value.value(); }) {
      fmt::format_to(std::back_inserter(out_), "{}", value.value());
    } else if constexpr (std::is_arithmetic_v<T>) {
      fmt::format_to(std::back_inserter(out_), "{}", value);
    } else {
      out_ += '[';
      for (bool first = true; const auto& element : value) {
        if (!first) out_ += ',';
        first = false;
        write(element);
      }
      out_ += ']';
    }
  }

  std::string& out_;
  const std::map<Uuid, std::string>& topics_;
};

std::string_view level_text(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return "TRACE";
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warn:
      return "WARN";
    case LogLevel::error:
      return "ERROR";
  }
  return {};
}

}  // namespace

std::string_view TraceWriter::host(sim::NodeIndex index) const {
  return index.value() < hosts_.size() ? std::string_view(hosts_[index.value()]) : "?";
}

void TraceWriter::begin(sim::VirtualTime at) {
  line_.clear();
  fmt::format_to(std::back_inserter(line_), "{{\"t_ns\":{}", sim::to_ns(at));
}

void TraceWriter::end() {
  line_ += "}\n";
  if (sinks_.trace) sinks_.trace(line_);
}

void TraceWriter::on_cluster(const std::vector<scenarios::NodeInfo>& nodes) {
  line_ = "{\"nodes\":[";
  for (const scenarios::NodeInfo& node : nodes) {
    if (hosts_.size() <= node.index.value()) hosts_.resize(node.index.value() + 1U);
    hosts_[node.index.value()] = node.host;
    if (line_.back() != '[') line_ += ',';
    line_ += "{\"host\":";
    append_json_string(line_, node.host);
    fmt::format_to(std::back_inserter(line_), ",\"id\":{},\"client\":{}}}", node.id, node.client);
  }
  line_ += ']';
  end();
}

void TraceWriter::on_event(sim::VirtualTime at, sim::NodeIndex index, NodeId, std::uint32_t incarnation,
                           const protocol::Event& event) {
  begin(at);
  std::visit(
      [&](const auto& e) {
        fmt::format_to(std::back_inserter(line_), ",\"event\":\"{}\",\"host\":", e.name);
        append_json_string(line_, host(index));
        fmt::format_to(std::back_inserter(line_), ",\"incarnation\":{}", incarnation);
        e.fields(FieldWriter(line_, topics_));
      },
      event);
  end();
}

void TraceWriter::on_topic(sim::VirtualTime, const Uuid& id, std::string_view name) {
  if (topics_.contains(id)) return;
  const int count = ++created_[std::string(name)];
  topics_.emplace(id, count == 1 ? std::string(name) : fmt::format("{}@{}", name, count));
}

void TraceWriter::on_message(const sim::FrameHead& frame, sim::VirtualTime sent, sim::VirtualTime delivered) {
  begin(delivered);
  line_ += ",\"message\":";
  append_json_string(line_, frame.api_key < 0 ? "unknown" : wire::to_string(static_cast<wire::ApiKey>(frame.api_key)));
  fmt::format_to(std::back_inserter(line_), ",\"side\":\"{}\",\"from\":", frame.response ? "response" : "request");
  append_json_string(line_, host(frame.from));
  line_ += ",\"to\":";
  append_json_string(line_, host(frame.to));
  fmt::format_to(std::back_inserter(line_),
                 ",\"sent_ns\":{},\"version\":{},\"correlation\":{},\"connection\":{},\"bytes\":{}", sim::to_ns(sent),
                 frame.api_version, frame.correlation_id, frame.connection, frame.size);
  end();
}

void TraceWriter::on_fault(sim::VirtualTime at, const scenarios::FaultNote& note) {
  begin(at);
  line_ += ",\"fault\":";
  append_json_string(line_, note.id);
  line_ += ",\"action\":";
  append_json_string(line_, note.action);
  line_ += note.begins ? ",\"begins\":true,\"hosts\":[" : ",\"begins\":false,\"hosts\":[";
  for (const sim::NodeIndex index : note.nodes) {
    if (line_.back() != '[') line_ += ',';
    append_json_string(line_, host(index));
  }
  line_ += "],\"text\":";
  append_json_string(line_, note.text);
  end();
}

void TraceWriter::on_node(sim::VirtualTime at, sim::NodeIndex index, bool up, std::uint32_t incarnation,
                          std::string_view why) {
  begin(at);
  line_ += ",\"host\":";
  append_json_string(line_, host(index));
  fmt::format_to(std::back_inserter(line_), ",\"up\":{},\"incarnation\":{},\"why\":", up, incarnation);
  append_json_string(line_, why);
  end();
}

void TraceWriter::on_phase(sim::VirtualTime at, std::string_view phase) {
  begin(at);
  line_ += ",\"phase\":";
  append_json_string(line_, phase);
  end();
}

void TraceWriter::on_log(sim::VirtualTime at, sim::NodeIndex index, LogLevel level, std::string_view logger,
                         std::string_view message) {
  if (!sinks_.log) return;
  sinks_.log(host(index),
             fmt::format("[{}] {} {} ({})\n", seconds_text(sim::to_ns(at)), level_text(level), message, logger));
}

void TraceWriter::on_history(std::string_view line) {
  if (sinks_.history) sinks_.history(line);
}

}  // namespace verdict::reports
